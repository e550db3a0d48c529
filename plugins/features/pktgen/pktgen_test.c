/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole class against a little gateway of the test's own, which opens and seals with the same primitives and can
 * lose, repeat and delay; and one instance against another.
 */
#include "pktgen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/fakehost.h>
#include <tailrace/udp.h>

#include <cmocka.h>

#define MS 1000000ull
#define SESSIONS 3

struct pair {
	struct session_keys keys;
	uint32_t theirs, ours;
	uint64_t send, receive_end;
};

struct peer {
	struct identity me;
	struct handshake hs;
	struct pair now, before, next; /* next: answered, not yet confirmed */
	uint32_t indexes, initiated;
	unsigned initiations, responses, keepalives, data;
};

struct gateway {
	struct fh *h;
	const struct tr_crypto *c;
	struct peer peer[SESSIONS];
	unsigned lose, repeat, n; /* every n-th data packet */
	bool astray;              /* all to the first session */
	bool silent, demand_cookie;
	bool lenient; /* counts what is forged, repeated or out of order instead of failing */
	struct window window;
	struct window_rest rest;
	unsigned forged, replayed, overtaken, flood, flood_good;
	uint16_t port; /* that the last data came from */
	uint8_t local[4];
	uint8_t cookie[16];
};

static char yaml[512];

static const char *
options(const uint8_t public_key[32], const char *more)
{
	char base64[45];
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t k[33] = {0};

	memcpy(k, public_key, 32);
	for (int i = 0; i < 11; i++) {
		uint32_t v = (uint32_t)k[3 * i] << 16 | (uint32_t)k[3 * i + 1] << 8 | k[3 * i + 2];
		for (int j = 0; j < 4; j++)
			base64[4 * i + j] = set[v >> (18 - 6 * j) & 63];
	}
	base64[43] = '=';
	base64[44] = '\0';
	snprintf(yaml, sizeof(yaml),
		"target: 198.51.100.7:51820\npublic_key: %s\ninside: 100.64.0.2\nsink: 10.20.0.99\nseed: 5\n%s", base64, more);
	return yaml;
}

static void
session_key(const struct tr_crypto *c, uint64_t seed, uint32_t n, uint8_t public_key[32])
{
	uint8_t secret[32];

	session_secret(c, seed, n, secret);
	c->public_key(public_key, secret);
}

static const struct tr_crypto *
crypto(void)
{
	extern const struct tr_crypto core_crypto;
	extern int crypto_init(void);

	assert_int_equal(crypto_init(), 0);
	return &core_crypto;
}

extern const struct tr_plugin tr_plugin;

static struct gateway *
gateway_new(const char *more)
{
	struct gateway *g = calloc(1, sizeof(*g));

	g->c = crypto();
	for (uint32_t i = 0; i < SESSIONS; i++) {
		memset(g->peer[i].me.secret, 0x48, 32);
		session_key(g->c, 5, i, g->peer[i].me.remote);
		assert_true(identity_complete(g->c, &g->peer[i].me));
	}
	g->h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "pktgen",
		.options = options(g->peer[0].me.public_key, more)});
	if (!g->h)
		fprintf(stderr, "%s\n", fh_failure());
	assert_non_null(g->h);
	return g;
}

static void
gateway_free(struct gateway *g)
{
	while (fh_next(g->h))
		;
	fh_free(g->h);
	free(g);
}

/* A WireGuard message as a UDP datagram to one session's port. */
static void
to_session(struct fh *h, uint16_t port, const uint8_t *msg, size_t len)
{
	uint8_t ip[2048] = {0x45};
	struct rte_udp_hdr udp = {.src_port = rte_cpu_to_be_16(51820), .dst_port = rte_cpu_to_be_16(port),
		.dgram_len = rte_cpu_to_be_16((uint16_t)(len + 8))};

	ip[2] = (uint8_t)((len + 28) >> 8), ip[3] = (uint8_t)(len + 28), ip[9] = IPPROTO_UDP;
	memcpy(ip + 12, "\xc6\x33\x64\x07\xc6\x33\x64\x02", 8);
	memcpy(ip + 20, &udp, 8);
	memcpy(ip + 28, msg, len);
	fh_send(h, "cipher", ip, len + 28);
}

static void
seal_to(struct gateway *g, unsigned n, const uint8_t *ip, size_t len)
{
	struct pair *p = &g->peer[n].now;
	uint8_t msg[2048] = {HS_TYPE_DATA};
	size_t padded = (len + 15) & ~(size_t)15;
	uint8_t *plain = calloc(1, padded + 1);

	memcpy(msg + 4, &p->theirs, 4);
	memcpy(msg + 8, &p->send, 8);
	if (len > 0)
		memcpy(plain, ip, len);
	g->c->seal(msg + 16, p->keys.send, p->send++, plain, padded, NULL, 0);
	free(plain);
	to_session(g->h, (uint16_t)(20000 + n), msg, padded + 32);
}

static void
answer_initiation(struct gateway *g, unsigned n, const uint8_t *msg, size_t len)
{
	struct peer *p = &g->peer[n];
	uint8_t timestamp[12], ephemeral[32], unused[32], response[HS_RESPONSE];

	p->initiations++;
	assert_int_equal(len, HS_INITIATION);
	assert_true(hs_mac1_right(g->c, msg, len, p->me.public_key));
	if (g->silent)
		return;
	if (g->demand_cookie) {
		uint8_t with[HS_INITIATION], key[32];
		memcpy(with, msg, len);
		hs_mac(g->c, with, len, p->me.public_key, g->cookie);
		if (memcmp(with, msg, len) != 0) {
			const void *part[] = {"cookie--", p->me.public_key};
			uint8_t reply[HS_COOKIE_REPLY] = {HS_TYPE_COOKIE};
			memcpy(reply + 4, msg + 4, 4);
			g->c->blake2s(key, 32, NULL, 0, part, (const size_t[]){8, 32}, 2);
			g->c->xseal(reply + 32, key, reply + 8, g->cookie, 16, msg + 116, 16);
			to_session(g->h, (uint16_t)(20000 + n), reply, sizeof(reply));
			return;
		}
	}
	assert_true(initiation_read(g->c, &p->hs, &p->me, msg, timestamp));
	g->c->keypair(ephemeral, unused);
	p->next = (struct pair){.ours = ++p->indexes, .theirs = hs_get32(msg + 4)};
	assert_true(response_write(g->c, &p->hs, &p->me, ephemeral, p->next.ours, response, &p->next.keys));
	hs_mac(g->c, response, HS_RESPONSE, p->me.remote, NULL);
	to_session(g->h, (uint16_t)(20000 + n), response, HS_RESPONSE);
}

/* Plain packets go back in by the plain gate; those to another session are sealed for it. */
static void
forward(struct gateway *g, const uint8_t *ip, size_t len)
{
	static uint8_t kept[2048];
	size_t total = (size_t)ip[2] << 8 | ip[3];

	memcpy(kept, ip, len);
	if (g->lose && ++g->n % g->lose == 0)
		return;
	for (unsigned i = 0; i < (g->repeat && g->n % g->repeat == 0 ? 2u : 1u); i++) {
		if (kept[16] == 10)
			fh_send(g->h, "plain", kept, total);
		else
			seal_to(g, g->astray ? 0 : kept[19] - 2u, kept, total);
	}
}

static void
open_from(struct gateway *g, unsigned n, const uint8_t *msg, size_t len)
{
	struct peer *p = &g->peer[n];
	uint8_t plain[2048];

	if (p->next.ours && hs_get32(msg + 4) == p->next.ours) {
		p->before = p->now;
		p->now = p->next;
		p->next.ours = 0;
	}
	struct pair *k = hs_get32(msg + 4) == p->now.ours ? &p->now : &p->before;
	assert_int_equal(hs_get32(msg + 4), k->ours);
	assert_true(len % 16 == 0 || len == 1420 + 32);
	bool authentic = g->c->open(plain, k->keys.receive, hs_get64(msg + 8), msg + 16, len - 16, NULL, 0);
	if (g->lenient) {
		enum seen seen = authentic ? window_see(&g->window, &g->rest, hs_get64(msg + 8)) : SEEN_TOO_OLD;
		g->forged += !authentic;
		g->replayed += seen == SEEN_TWICE;
		g->overtaken += seen == SEEN_LATE;
		if (seen == SEEN_TWICE || seen == SEEN_TOO_OLD)
			return;
	} else {
		assert_int_equal(hs_get64(msg + 8), k->receive_end++); /* counters rise by one */
		assert_true(authentic);
	}
	if (len == 32) {
		p->keepalives++;
		return;
	}
	p->data++;
	if (!g->silent)
		forward(g, plain, len - 32);
}

static void
finish_own_initiation(struct gateway *g, unsigned n, const uint8_t *msg)
{
	struct peer *p = &g->peer[n];

	p->responses++;
	assert_true(hs_mac1_right(g->c, msg, HS_RESPONSE, p->me.public_key));
	p->before = p->now;
	p->now = (struct pair){.ours = p->initiated, .theirs = hs_get32(msg + 4)};
	assert_true(response_read(g->c, &p->hs, &p->me, msg, &p->now.keys));
	seal_to(g, n, NULL, 0);
}

static void
serve(struct gateway *g)
{
	const struct fh_out *o;
	uint8_t msg[2048];

	while ((o = fh_next(g->h))) {
		if (!o->gate)
			continue;
		size_t len = o->len;
		memcpy(msg, o->data, len);
		if (strcmp(o->gate, "plain") == 0) {
			forward(g, msg, len);
			continue;
		}
		assert_string_equal(o->gate, "cipher");
		if (len == HS_INITIATION && hs_get32(msg + 4) == FLOOD_INDEX) {
			g->flood++;
			g->flood_good += hs_mac1_right(g->c, msg, len, g->peer[0].me.public_key);
			continue;
		}
		unsigned n = o->meta.endpoint.local_port - 20000u;
		if (g->lenient) {
			g->port = o->meta.endpoint.local_port;
			memcpy(g->local, o->meta.endpoint.local, 4);
			n = 0;
		}
		assert_in_range(n, 0, SESSIONS - 1);
		assert_int_equal(o->meta.endpoint.remote_port, 51820);
		if (msg[0] == HS_TYPE_INITIATION)
			answer_initiation(g, n, msg, len);
		else if (msg[0] == HS_TYPE_RESPONSE)
			finish_own_initiation(g, n, msg);
		else
			open_from(g, n, msg, len);
	}
}

static void
advance(struct gateway *g, uint64_t ns)
{
	for (uint64_t end = fh_now(g->h) + ns; fh_now(g->h) < end;) {
		fh_advance(g->h, 4 * MS);
		serve(g);
	}
}

static void
set(struct gateway *g, const char *key, const char *value)
{
	char *json = NULL, a[32], b[32];
	char *argv[] = {a, b};

	snprintf(a, sizeof(a), "%s", key);
	snprintf(b, sizeof(b), "%s", value);
	assert_int_equal(fh_command(g->h, "set", 2, argv, &json), 0);
	free(json);
}

static void
command(struct gateway *g, const char *name, const char *argument)
{
	char *json = NULL, text[32];
	char *argv[] = {text};

	snprintf(text, sizeof(text), "%s", argument ? argument : "");
	assert_int_equal(fh_command(g->h, name, argument ? 1 : 0, argv, &json), 0);
	free(json);
}

static struct pktgen *
self(struct gateway *g)
{
	return fh_self(g->h);
}

/* ---- The tests ---- */

static void
opens_sessions(void **state)
{
	struct gateway *g = gateway_new("sessions: 3\n");

	advance(g, 2000 * MS);
	for (int i = 0; i < SESSIONS; i++) {
		assert_int_equal(g->peer[i].initiations, 1);
		assert_int_equal(g->peer[i].keepalives, 1); /* which confirms the session */
	}
	assert_int_equal(meter_get(&self(g)->up), SESSIONS);
	assert_int_equal(fh_counter(g->h, "sessions"), SESSIONS);
	gateway_free(g);
}

static void
measures(void **state)
{
	static const struct {
		const char *direction;
		enum direction which;
	} all[] = {{"up", UP}, {"down", DOWN}, {"through", THROUGH}};
	char more[100];

	for (int i = 0; i < 3; i++) {
		snprintf(more, sizeof(more), "sessions: 3\nrate: 5k\nsize: 1420\ndirection: %s\n", all[i].direction);
		struct gateway *g = gateway_new(more);
		advance(g, 1000 * MS);
		command(g, "start", "2");
		advance(g, 2500 * MS);
		struct meter *m = &self(g)->meter[all[i].which];
		assert_in_range(m->sent, 9960, 10000);
		assert_int_equal(m->received, m->sent);
		assert_int_equal(m->duplicates + m->reordered + m->too_old, 0);
		assert_int_equal(self(g)->counter_twice, 0);
		assert_int_equal(self(g)->run.running, 0);
		assert_in_range(m->longest_gap, 0, 8 * MS);
		command(g, "start", "1"); /* books begin anew */
		advance(g, 200 * MS);
		assert_in_range(m->sent, 900, 1001);
		command(g, "stop", NULL);
		advance(g, 100 * MS);
		assert_int_equal(meter_lost(m), 0);
		gateway_free(g);
	}
}

static void
notices(void **state)
{
	struct gateway *g = gateway_new("sessions: 1\nrate: 5k\nsize: 64\ndirection: up\n");

	advance(g, 1000 * MS);
	g->lose = 100;
	g->repeat = 33;
	command(g, "start", "2");
	advance(g, 2500 * MS);
	struct meter *m = &self(g)->meter[UP];
	assert_int_equal(meter_lost(m), m->sent / 100);
	assert_in_range(m->duplicates, m->sent / 33 - 10, m->sent / 33 + 1);
	g->lose = g->repeat = 0;
	g->silent = true; /* the gateway stops for 100 ms: the sender does not */
	command(g, "start", NULL);
	advance(g, 100 * MS);
	g->silent = false;
	advance(g, 100 * MS);
	assert_in_range(meter_lost(m), 480, 520);

	/* A gateway that uses a counter twice: the datagram is authentic, and reported. */
	seal_to(g, 0, NULL, 0);
	g->peer[0].now.send--;
	seal_to(g, 0, NULL, 0);
	assert_int_equal(self(g)->counter_twice, 1);
	assert_int_equal(fh_drops(g->h, "replay"), 1);
	gateway_free(g);
}

static void
knows_foreign_packets(void **state)
{
	struct gateway *g = gateway_new("sessions: 3\nrate: 5k\nsize: 128\ndirection: through\n");

	advance(g, 1000 * MS);
	g->astray = true; /* right for one of three */
	command(g, "start", "1");
	advance(g, 1500 * MS);
	struct meter *m = &self(g)->meter[THROUGH];
	assert_in_range(m->received, m->sent / 3 - 1, m->sent / 3 + 1);
	assert_int_equal(fh_counter(g->h, "foreign"), meter_lost(m));
	gateway_free(g);
}

/* What is injected is what the other side finds, and the stream itself loses nothing. */
static void
faults(void **state)
{
	struct gateway *g = gateway_new("sessions: 1\nrate: 5k\nsize: 64,512\ndirection: up\nforge: 10\n");

	advance(g, 1000 * MS);
	g->lenient = true;
	g->window = (struct window){.end = 1}; /* the keepalive */
	set(g, "replay", "7");
	set(g, "swap", "13");
	command(g, "start", "1");
	advance(g, 1500 * MS);
	struct meter *m = &self(g)->meter[UP];
	assert_in_range(m->sent, 4960, 5000);
	assert_int_equal(meter_lost(m) + m->duplicates, 0);
	assert_int_equal(fh_counter(g->h, "forgeries"), m->sent / 10);
	assert_int_equal(g->forged, fh_counter(g->h, "forgeries"));
	assert_in_range(fh_counter(g->h, "replays"), m->sent / 7 - 60, m->sent / 7);
	assert_int_equal(g->replayed, fh_counter(g->h, "replays"));
	assert_in_range(fh_counter(g->h, "swaps"), m->sent / 14, m->sent / 13);
	assert_int_equal(g->overtaken, fh_counter(g->h, "swaps"));
	assert_int_equal(m->reordered, g->overtaken);
	assert_int_equal(self(g)->held, 0);

	/* One that waits to be overtaken when all ends is given back. */
	set(g, "swap", "1");
	command(g, "start", NULL);
	for (int i = 0; i < 100 && self(g)->held == 0; i++)
		advance(g, 4 * MS);
	assert_int_equal(self(g)->held, 1);
	gateway_free(g);
}

static void
roams_and_floods(void **state)
{
	struct gateway *g = gateway_new("sessions: 1\nrate: 1k\nfrom: [198.51.100.2, 198.51.100.3]\n");

	advance(g, 1000 * MS);
	g->lenient = true;
	g->window = (struct window){.end = 1};
	set(g, "roam", "10");
	set(g, "flood", "20k");
	command(g, "start", "1");
	advance(g, 1500 * MS);
	uint64_t roams = fh_counter(g->h, "roams");
	assert_in_range(roams, 9, 10);
	assert_int_equal(g->port, 20000 + roams);
	assert_int_equal(g->local[3], 2 + roams % 2);
	assert_int_equal(meter_lost(&self(g)->meter[UP]), 0);
	assert_in_range(g->flood, 19000, 20000);
	assert_int_equal(g->flood, fh_counter(g->h, "flooded"));
	assert_in_range(g->flood_good, 0, 1);
	set(g, "flood_mac1", "good");
	set(g, "flood", "1k");
	g->flood = g->flood_good = 0;
	command(g, "start", "1");
	advance(g, 1500 * MS);
	assert_in_range(g->flood, 980, 1000);
	assert_int_equal(g->flood_good, g->flood);

	/* The gateway calls a session at the port it has roamed to. */
	uint8_t msg[HS_INITIATION], ephemeral[32], unused[32], timestamp[12];
	struct peer *p = &g->peer[0];
	g->c->keypair(ephemeral, unused);
	hs_timestamp(timestamp, 1700000000 * SECOND);
	assert_true(initiation_write(g->c, &p->hs, &p->me, ephemeral, 77, timestamp, msg));
	hs_mac(g->c, msg, sizeof(msg), p->me.remote, NULL);
	to_session(g->h, (uint16_t)(20000 + session_shift(self(g), 0)), msg, sizeof(msg));
	fh_advance(g->h, 20 * MS);
	assert_int_equal(fh_counter(g->h, "responses"), 1);
	gateway_free(g);
}

static void
reconnects(void **state)
{
	struct gateway *g = gateway_new("sessions: 3\n");

	advance(g, 2000 * MS);
	assert_in_range(self(g)->all_up_ns, 1, 2000 * MS);
	command(g, "reconnect", NULL);
	advance(g, 4 * MS);
	assert_true(self(g)->up < SESSIONS);
	assert_int_equal(self(g)->all_up_ns, 0);
	advance(g, 2000 * MS);
	assert_int_equal(self(g)->up, SESSIONS);
	assert_in_range(self(g)->all_up_ns, 1, 2000 * MS);
	for (int i = 0; i < SESSIONS; i++)
		assert_int_equal(g->peer[i].initiations, 2);
	gateway_free(g);
}

static void
refuses_settings(void **state)
{
	static char *const wrong[][2] = {{"rate", "0"}, {"rate", "1G"}, {"rate", ""}, {"rate", "1kk"}, {"size", "10"}, {"size", "1421"},
		{"direction", "sideways"}, {"seed", "3"}, {"colour", "red"}, {"forge", "-1"}, {"flood", "99999999999999999999999"}};
	struct gateway *g = gateway_new("sessions: 1\n");
	char *json = NULL;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		assert_true(fh_command(g->h, "set", 2, wrong[i], &json) < 0);
		free(json);
	}
	set(g, "size", "100,200");
	set(g, "rate", "2k"); /* and the text of the size is still there */
	assert_string_equal(self(g)->live.size, "100,200");
	assert_int_equal(sizes_mean(&self(g)->sizes), 150);
	gateway_free(g);
}

static void
rekeys(void **state)
{
	struct gateway *g = gateway_new("sessions: 2\nrate: 100\ndirection: both\nautostart: true\n");

	advance(g, 500 * SECOND);
	for (int i = 0; i < 2; i++)
		assert_int_equal(g->peer[i].initiations, 1 + 4); /* every 120 s */
	assert_int_equal(meter_lost(&self(g)->meter[UP]), 0);
	assert_int_equal(meter_lost(&self(g)->meter[DOWN]), 0);
	assert_in_range(self(g)->meter[DOWN].received, 24900, 25000);
	assert_in_range(fh_counter(g->h, "no_session"), 0, 2); /* before the first session was up */
	gateway_free(g);
}

/* An idle session is let go after 180 s, and opened again; a dead gateway is asked every 5 s. */
static void
retries(void **state)
{
	struct gateway *g = gateway_new("sessions: 1\n");

	g->silent = true;
	advance(g, 52 * SECOND);
	assert_in_range(g->peer[0].initiations, 10, 11);
	g->silent = false;
	advance(g, 10 * SECOND);
	unsigned before = g->peer[0].initiations;
	advance(g, 170 * SECOND);
	assert_int_equal(g->peer[0].initiations, before);
	advance(g, 20 * SECOND);
	assert_int_equal(g->peer[0].initiations, before + 1);
	gateway_free(g);
}

static void
cookies(void **state)
{
	struct gateway *g = gateway_new("sessions: 1\n");

	g->demand_cookie = true;
	memset(g->cookie, 0x77, 16);
	advance(g, 8 * SECOND);
	assert_int_equal(g->peer[0].initiations, 2);
	assert_int_equal(fh_counter(g->h, "cookies"), 1);
	assert_int_equal(meter_get(&self(g)->up), 1);
	gateway_free(g);
}

static void
answers(void **state)
{
	struct gateway *g = gateway_new("sessions: 3\ninitiate: false\ndirection: down\nrate: 1k\n");
	uint8_t msg[HS_INITIATION], ephemeral[32], unused[32], timestamp[12];

	advance(g, 2000 * MS);
	assert_int_equal(fh_counter(g->h, "initiations"), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned n = 0; n < SESSIONS; n++) {
			struct peer *p = &g->peer[n];
			g->c->keypair(ephemeral, unused);
			hs_timestamp(timestamp, (1700000000 + round) * SECOND);
			p->initiated = ++p->indexes;
			assert_true(initiation_write(g->c, &p->hs, &p->me, ephemeral, p->initiated, timestamp, msg));
			hs_mac(g->c, msg, sizeof(msg), p->me.remote, NULL);
			to_session(g->h, (uint16_t)(20000 + n), msg, sizeof(msg));
			advance(g, 100 * MS);
			assert_int_equal(p->responses, round + 1);
			to_session(g->h, (uint16_t)(20000 + n), msg, sizeof(msg)); /* a replay changes nothing */
			advance(g, 100 * MS);
			assert_int_equal(p->responses, round + 1);
		}
		command(g, "start", "1");
		advance(g, 1500 * MS);
		assert_in_range(self(g)->meter[DOWN].sent, 990, 1000);
		assert_int_equal(meter_lost(&self(g)->meter[DOWN]), 0);
	}
	/* Data heard and nothing to say: a keepalive after 10 s. */
	unsigned before = g->peer[0].keepalives;
	advance(g, 11 * SECOND);
	assert_int_equal(g->peer[0].keepalives, before + 1);
	gateway_free(g);
}

static void
rubbish(void **state)
{
	struct gateway *g = gateway_new("sessions: 1\n");
	uint8_t msg[256];

	advance(g, 1000 * MS);
	srand(1);
	for (int i = 0; i < 5000; i++) {
		size_t len = (size_t)rand() % sizeof(msg);
		for (size_t j = 0; j < len; j++)
			msg[j] = (uint8_t)rand();
		if (len >= 4)
			memcpy(msg, (const uint8_t[]){(uint8_t)(1 + i % 4), 0, 0, 0}, 4);
		if (len >= 12 && i % 3 == 0) /* the index of the live session */
			memcpy(msg + (i % 4 == 1 ? 8 : 4), &self(g)->hot[0].slot[CURRENT].receive.local, 4);
		to_session(g->h, 20000, msg, len);
	}
	static const size_t exact[] = {HS_INITIATION, HS_RESPONSE, HS_COOKIE_REPLY};
	for (int type = 0; type < 3; type++) {
		memset(msg, 0, sizeof(msg));
		msg[0] = (uint8_t)(type + 1);
		to_session(g->h, 20000, msg, exact[type]);
	}
	advance(g, 1000 * MS);
	assert_int_equal(meter_get(&self(g)->up), 1);
	assert_true(fh_drops(g->h, "forged") > 0 && fh_drops(g->h, "malformed") > 0 && fh_drops(g->h, "unknown") > 0);
	gateway_free(g);
}

static void
jobs_full(void **state)
{
	struct gateway *g = gateway_new("sessions: 3\n");

	fh_jobs_full(g->h, true);
	advance(g, 1000 * MS);
	assert_int_equal(fh_counter(g->h, "initiations"), 0);
	fh_jobs_full(g->h, false);
	advance(g, 1000 * MS);
	assert_int_equal(meter_get(&self(g)->up), SESSIONS);
	gateway_free(g);
}

static void
ferry(struct fh *from, struct fh *to)
{
	const struct fh_out *o;
	uint8_t msg[2048];

	while ((o = fh_next(from))) {
		if (!o->gate)
			continue;
		size_t len = o->len;
		memcpy(msg, o->data, len);
		to_session(to, 20000, msg, len);
	}
}

/* Two instances: each is the other's gateway. The second waits, then answers. */
static void
against_each_other(void **state)
{
	const struct tr_crypto *c = crypto();
	uint8_t key[32];

	session_key(c, 6, 0, key);
	struct fh *a = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = "a",
		.options = options(key, "rate: 1k\ndirection: through\nautostart: true\n")});
	session_key(c, 5, 0, key);
	char *text = strdup(options(key, "initiate: false\n"));
	strstr(text, "seed: 5")[6] = '6';
	struct fh *b = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = "b", .options = text});
	assert_true(a && b);
	for (int i = 0; i < 250 * 400; i++) { /* 400 s: three rekeys */
		fh_advance(a, 4 * MS);
		fh_advance(b, 4 * MS);
		ferry(a, b);
		ferry(b, a);
	}
	assert_int_equal(fh_counter(a, "sessions"), 4);
	assert_int_equal(fh_counter(b, "sessions"), 4);
	assert_int_equal(fh_counter(b, "responses"), 4);
	struct pktgen *pa = fh_self(a), *pb = fh_self(b);
	assert_true(pa->meter[THROUGH].sent > 390000);
	assert_int_equal(fh_counter(b, "stale"), pa->meter[THROUGH].sent);
	assert_int_equal(pb->counter_twice + pb->counter_old, 0);
	while (fh_next(a) || fh_next(b))
		;
	fh_free(a);
	fh_free(b);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(opens_sessions), cmocka_unit_test(measures), cmocka_unit_test(knows_foreign_packets),
		cmocka_unit_test(notices), cmocka_unit_test(faults), cmocka_unit_test(roams_and_floods), cmocka_unit_test(reconnects),
		cmocka_unit_test(refuses_settings),
		cmocka_unit_test(rekeys), cmocka_unit_test(retries), cmocka_unit_test(cookies), cmocka_unit_test(answers),
		cmocka_unit_test(rubbish), cmocka_unit_test(jobs_full), cmocka_unit_test(against_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
