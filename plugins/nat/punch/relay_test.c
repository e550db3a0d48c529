/* SPDX-License-Identifier: BSD-3-Clause */
/* The class udp-relay against clients that the test plays, in simulated time. */
#include "relay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rte_ip.h>
#include <rte_udp.h>
#include <sodium.h>
#include <tailrace/fakehost.h>

extern const struct tr_plugin tr_plugin;

#define PORT 40000
#define REGION 7
#define CLIENTS 3 /* the last one may not ask */

static const uint8_t self4[4] = {198, 51, 100, 9};

static struct client {
	uint8_t secret[32], key[32], node[32], shared[32];
	uint8_t ip[4];
	uint16_t port;
	uint32_t generation;
} client[CLIENTS];

static struct disco_relay path; /* as it was answered */

static char *
base64(const uint8_t key[32], char text[48])
{
	return sodium_bin2base64(text, 48, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

static struct fh *
start(const char *more)
{
	char netmap[2048] = "{peers: {", one[512], node[48], key[48];
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &client[i];
		memset(c->secret, 0x11 * (int)(i + 1), 32);
		memset(c->node, 0x55 + (int)i, 32);
		disco_public(c->key, c->secret);
		memcpy(c->ip, (uint8_t[4]){203, 0, 113, (uint8_t)(10 + i)}, 4);
		c->port = (uint16_t)(41000 + i);
		c->generation = 1;
		snprintf(one, sizeof(one), "c%u: {public_key: \"%s\", disco_key: \"%s\", derp: %u, allowed_ips: [100.64.0.%u/32]%s}, ", i,
			base64(c->node, node), base64(c->key, key), REGION, i + 1, i < 2 ? ", relay_client: true" : "");
		strcat(netmap, one);
	}
	strcat(netmap, "}}");
	char options[256];
	snprintf(options, sizeof(options), "{listen: %u, peers: wg0%s}", PORT, more);
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "udp-relay", .options = options, .netmap = netmap, .workers = 2});
	assert_non_null(h);
	const struct tr_own_endpoint own = {.address = {{.family = 4, .ip = {198, 51, 100, 9}}, PORT}, .kind = TR_OWN_STUN};
	fh_own_endpoints(h, &own, 1);
	return h;
}

static void
ask(struct fh *h, unsigned who, const uint8_t a[32], const uint8_t b[32])
{
	uint8_t payload[DISCO_ALLOCATE_LEN];
	struct disco_allocate request = {.generation = 77 + who};
	memcpy(request.client[0], a, 32);
	memcpy(request.client[1], b, 32);
	struct rte_mbuf *m = fh_packet(h, payload, disco_allocate(payload, &request));
	tr_meta(m)->peer = who + 1;
	tr_meta(m)->endpoint = tr_endpoint_derp(REGION, client[who].node);
	fh_send_mbufs(h, who % 2, "requests", &m, 1);
	fh_run_jobs(h);
}

/* The answer, into `path`. */
static void
expect_answer(struct fh *h, unsigned who)
{
	const struct fh_out *o = fh_next(h);
	assert_non_null(o);
	assert_null(o->drop);
	assert_string_equal(o->gate, "answers");
	assert_int_equal(o->meta.peer, who + 1);
	assert_int_equal(o->meta.endpoint.gate, TR_KIND_DERP);
	assert_memory_equal(o->meta.endpoint.remote, client[who].node, 16);
	assert_true(disco_parse_relay(&path, o->data, o->len));
	assert_int_equal(path.generation, 77 + who);
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_true(disco_shared(client[i].shared, client[i].secret, path.server));
}

static void
send_from(struct fh *h, const struct client *c, const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = fh_udp4(h, c->ip, c->port, self4, PORT, data, len);
	fh_send_mbufs(h, 1, "in", &m, 1);
}

static void
send_bind(struct fh *h, const struct client *c, enum disco_type type, const uint8_t remote[32], const uint8_t *challenge)
{
	uint8_t data[GENEVE_HEAD + DISCO_MAX], nonce[DISCO_NONCE];
	struct disco_bind b = {.vni = path.vni, .generation = c->generation};
	memcpy(b.remote, remote, 32);
	if (challenge != NULL)
		memcpy(b.challenge, challenge, 32);
	geneve_write(data, &(struct geneve){.protocol = GENEVE_DISCO, .control = true, .vni = path.vni});
	const size_t n = disco_bind(data + GENEVE_HEAD + DISCO_PAYLOAD, type, &b);
	randombytes_buf(nonce, sizeof(nonce));
	send_from(h, c, data, GENEVE_HEAD + disco_seal(data + GENEVE_HEAD, n, c->key, nonce, c->shared));
}

static void
expect_challenge(struct fh *h, const struct client *c, uint8_t challenge[32])
{
	struct disco_bind b;
	struct geneve g;
	uint8_t data[512];
	const struct fh_out *o = fh_next(h);
	assert_non_null(o);
	assert_null(o->drop);
	assert_string_equal(o->gate, "out");
	assert_memory_equal(o->meta.endpoint.remote, c->ip, 4);
	assert_int_equal(o->meta.endpoint.remote_port, c->port);
	assert_int_equal(o->meta.endpoint.local_port, PORT);
	assert_int_equal(o->meta.endpoint.gate, TR_KIND_UDP);
	memcpy(data, o->data, o->len);
	assert_true(geneve_read(&g, data, o->len));
	assert_true(g.control);
	assert_int_equal(g.vni, path.vni);
	const int n = disco_open(data + GENEVE_HEAD, o->len - GENEVE_HEAD, c->shared);
	assert_true(n > 0);
	assert_true(disco_parse_bind(&b, data + GENEVE_HEAD + DISCO_PAYLOAD, (size_t)n));
	assert_int_equal(data[GENEVE_HEAD + DISCO_PAYLOAD], DISCO_BIND_CHALLENGE);
	assert_int_equal(b.generation, c->generation);
	memcpy(challenge, b.challenge, 32);
}

static void
bind_client(struct fh *h, unsigned who, unsigned other)
{
	uint8_t challenge[32];
	send_bind(h, &client[who], DISCO_BIND, client[other].key, NULL);
	expect_challenge(h, &client[who], challenge);
	send_bind(h, &client[who], DISCO_BIND_ANSWER, client[other].key, challenge);
	fh_expect_drop(h, "consumed");
}

static void
send_data(struct fh *h, const struct client *c, uint32_t vni, uint8_t octet)
{
	uint8_t data[GENEVE_HEAD + 32];
	memset(data, octet, sizeof(data));
	geneve_write(data, &(struct geneve){.protocol = GENEVE_WIREGUARD, .vni = vni});
	send_from(h, c, data, sizeof(data));
}

static void
expect_data(struct fh *h, const struct client *to, uint8_t octet)
{
	const struct fh_out *o = fh_next(h);
	assert_non_null(o);
	assert_null(o->drop);
	assert_string_equal(o->gate, "out");
	assert_int_equal(o->len, GENEVE_HEAD + 32);
	assert_int_equal(o->data[GENEVE_HEAD], octet);
	assert_memory_equal(o->meta.endpoint.remote, to->ip, 4);
	assert_int_equal(o->meta.endpoint.remote_port, to->port);
	assert_int_equal(o->meta.peer, TR_NO_PEER);
}

/* A path between the first two, both bound. */
static struct fh *
start_bound(const char *more)
{
	struct fh *h = start(more);
	ask(h, 0, client[0].key, client[1].key);
	expect_answer(h, 0);
	bind_client(h, 0, 1);
	bind_client(h, 1, 0);
	return h;
}

static void
relays(void **state)
{
	(void)state;
	struct fh *h = start("");
	ask(h, 0, client[0].key, client[1].key);
	expect_answer(h, 0);
	assert_int_equal(path.n, 1);
	assert_int_equal(path.address[0].port, PORT);
	assert_int_equal(path.bind_ns, RELAY_BIND);
	assert_true(memcmp(path.client[0], path.client[1], 32) < 0);
	const uint32_t vni = path.vni;
	char *json;
	assert_int_equal(fh_command(h, "status", 0, NULL, &json), 0);
	assert_string_equal(json, "{\"state\":\"relays on 1 of at most 1000 paths\"}");
	free(json);
	const uint64_t id = path.id;
	ask(h, 1, client[1].key, client[0].key); /* the other side, the other way round: the same path */
	expect_answer(h, 1);
	assert_int_equal(path.vni, vni);
	assert_int_equal(path.id, id);

	bind_client(h, 0, 1);
	send_data(h, &client[0], path.vni, 'a');
	fh_expect_drop(h, "not_bound");
	bind_client(h, 1, 0);
	send_data(h, &client[0], path.vni, 'b');
	expect_data(h, &client[1], 'b');
	send_data(h, &client[1], path.vni, 'c');
	expect_data(h, &client[0], 'c');
	assert_int_equal(fh_counter(h, "packets"), 2);
	assert_int_equal(fh_counter(h, "bound"), 2);
	fh_free(h);
}

static void
who_may_ask(void **state)
{
	uint8_t stranger[32];
	(void)state;
	struct fh *h = start("");
	memset(stranger, 0x99, 32);
	ask(h, 2, client[2].key, client[0].key);
	fh_expect_drop(h, "not_allowed"); /* has no relay_client */
	ask(h, 0, client[1].key, client[2].key);
	fh_expect_drop(h, "not_allowed"); /* for others */
	ask(h, 0, client[0].key, stranger);
	fh_expect_drop(h, "not_allowed");
	ask(h, 0, client[0].key, client[0].key);
	fh_expect_drop(h, "bad_request");
	ask(h, 0, client[0].key, client[2].key); /* who may not ask may be asked for */
	expect_answer(h, 0);
	struct rte_mbuf *m = fh_packet(h, FH_BYTES("0800 01020304"));
	tr_meta(m)->peer = 1;
	fh_send_mbufs(h, 0, "requests", &m, 1);
	fh_expect_drop(h, "bad_request");
	const struct tr_own_endpoint none = {0};
	fh_own_endpoints(h, &none, 0);
	ask(h, 0, client[0].key, client[1].key);
	fh_expect_drop(h, "no_address");
	fh_free(h);
}

static void
forged(void **state)
{
	uint8_t challenge[32], other[32];
	(void)state;
	struct fh *h = start_bound("");
	struct client thief = client[0];
	thief.port++;
	send_data(h, &thief, path.vni, 'x');
	fh_expect_drop(h, "unknown_source");
	send_data(h, &client[0], path.vni + 1, 'x');
	fh_expect_drop(h, "unknown_path");
	send_data(h, &client[0], 5, 'x');
	fh_expect_drop(h, "unknown_path");
	send_data(h, &client[0], 0xffffff, 'x');
	fh_expect_drop(h, "unknown_path");
	send_from(h, &client[0], (const uint8_t *)"short", 5);
	fh_expect_drop(h, "not_geneve");

	/* A bind once more, from where a thief listens: he gets a challenge that he can't read, and that is good for his address only. */
	client[0].generation++;
	send_bind(h, &client[0], DISCO_BIND, client[1].key, NULL);
	expect_challenge(h, &client[0], challenge);
	thief.generation = client[0].generation;
	send_bind(h, &thief, DISCO_BIND_ANSWER, client[1].key, challenge);
	fh_expect_drop(h, "wrong");
	memset(other, 1, 32);
	send_bind(h, &client[0], DISCO_BIND_ANSWER, client[1].key, other);
	fh_expect_drop(h, "wrong");
	send_bind(h, &client[0], DISCO_BIND, client[2].key, NULL);
	fh_expect_drop(h, "wrong");
	send_bind(h, &client[0], DISCO_BIND_CHALLENGE, client[1].key, challenge);
	fh_expect_drop(h, "wrong");
	memset(thief.shared, 7, 32);
	send_bind(h, &thief, DISCO_BIND, client[1].key, NULL);
	fh_expect_drop(h, "forged");
	send_bind(h, &client[2], DISCO_BIND, client[1].key, NULL);
	fh_expect_drop(h, "unknown_sender");
	send_bind(h, &client[0], DISCO_BIND_ANSWER, client[1].key, challenge);
	fh_expect_drop(h, "consumed");
	send_bind(h, &client[0], DISCO_BIND_ANSWER, client[1].key, challenge);
	fh_expect_drop(h, "replayed");
	/* None of it has moved anybody. */
	send_data(h, &client[1], path.vni, 'd');
	expect_data(h, &client[0], 'd');
	fh_free(h);
}

/* A client whose address changes binds anew; what comes from where it was is not relayed any more. */
static void
moves(void **state)
{
	(void)state;
	struct fh *h = start_bound("");
	const struct client old = client[0];
	client[0].port = 777;
	client[0].generation++;
	bind_client(h, 0, 1);
	send_data(h, &client[1], path.vni, 'e');
	expect_data(h, &client[0], 'e');
	send_data(h, &old, path.vni, 'f');
	fh_expect_drop(h, "unknown_source");
	assert_int_equal(fh_counter(h, "moved"), 1);
	fh_free(h);
}

static void
challenges_end(void **state)
{
	uint8_t challenge[32];
	(void)state;
	struct fh *h = start_bound("");
	client[0].generation++;
	send_bind(h, &client[0], DISCO_BIND, client[1].key, NULL);
	expect_challenge(h, &client[0], challenge);
	fh_advance(h, 2 * RELAY_EPOCH);
	send_bind(h, &client[0], DISCO_BIND_ANSWER, client[1].key, challenge);
	fh_expect_drop(h, "wrong");
	fh_free(h);
}

static void
expires(void **state)
{
	(void)state;
	struct fh *h = start("");
	ask(h, 0, client[0].key, client[1].key);
	expect_answer(h, 0);
	const uint64_t id = path.id;
	bind_client(h, 0, 1);
	fh_advance(h, RELAY_BIND + SECOND); /* the other never bound */
	send_data(h, &client[0], path.vni, 'a');
	fh_expect_drop(h, "unknown_path");
	assert_int_equal(fh_counter(h, "expired"), 1);

	ask(h, 0, client[0].key, client[1].key);
	expect_answer(h, 0);
	assert_true(path.id > id);
	bind_client(h, 0, 1);
	bind_client(h, 1, 0);
	for (unsigned i = 0; i < 4; i++) { /* a path in use lives */
		fh_advance(h, RELAY_IDLE / 2);
		send_data(h, &client[0], path.vni, 'a');
		expect_data(h, &client[1], 'a');
		send_data(h, &client[1], path.vni, 'b');
		expect_data(h, &client[0], 'b');
	}
	for (unsigned i = 0; i < 2; i++) { /* one of them is silent */
		fh_advance(h, RELAY_IDLE / 2 + SECOND);
		send_data(h, &client[0], path.vni, 'a');
	}
	expect_data(h, &client[1], 'a');
	fh_expect_drop(h, "unknown_path");
	assert_int_equal(fh_counter(h, "expired"), 2);
	fh_free(h);
}

static void
limits(void **state)
{
	(void)state;
	struct fh *h = start_bound(", paths: 1, rate: 1000");
	ask(h, 0, client[0].key, client[2].key);
	fh_expect_drop(h, "full");
	for (unsigned i = 0; i < 2; i++) { /* 40 bytes each; a tenth of a second's worth at once */
		send_data(h, &client[0], path.vni, 'a');
		expect_data(h, &client[1], 'a');
	}
	send_data(h, &client[0], path.vni, 'a');
	fh_expect_drop(h, "rate");
	send_data(h, &client[1], path.vni, 'b'); /* the other client's is its own */
	expect_data(h, &client[0], 'b');
	fh_advance(h, 50 * MS);
	send_data(h, &client[0], path.vni, 'a');
	expect_data(h, &client[1], 'a');
	fh_advance(h, SECOND);
	struct client liar = client[0];
	memset(liar.shared, 7, 32);
	for (unsigned i = 0; i < RELAY_BINDS; i++) {
		send_bind(h, &liar, DISCO_BIND, client[1].key, NULL);
		fh_expect_drop(h, "forged");
	}
	send_bind(h, &liar, DISCO_BIND, client[1].key, NULL);
	fh_expect_drop(h, "handshake_rate");
	fh_free(h);
}

/* A client that has started anew has another disco key: its path begins anew, in the place of the old one. */
static void
starts_anew(void **state)
{
	char peer[256], node[48], key[48];
	(void)state;
	struct fh *h = start_bound(", paths: 1");
	const uint32_t vni = path.vni;
	const uint64_t id = path.id;
	/* A key that is still on the same side of the other one's. */
	const bool low = memcmp(client[0].key, client[1].key, 32) < 0;
	for (uint8_t octet = 0x70; (memcmp(client[0].key, client[1].key, 32) < 0) != low || octet == 0x70; octet++) {
		memset(client[0].secret, octet, 32);
		disco_public(client[0].key, client[0].secret);
	}
	snprintf(peer, sizeof(peer), "{public_key: \"%s\", disco_key: \"%s\", derp: %u, relay_client: true}", base64(client[0].node, node),
		base64(client[0].key, key), REGION);
	fh_peer_add(h, peer);
	ask(h, 0, client[0].key, client[1].key);
	expect_answer(h, 0);
	assert_int_equal(path.vni, vni);
	assert_true(path.id > id);
	send_data(h, &client[0], path.vni, 'a');
	fh_expect_drop(h, "unknown_source");
	bind_client(h, 0, 1);
	bind_client(h, 1, 0);
	fh_peer_remove(h, vni / RELAY_PATHS);
	send_data(h, &client[0], path.vni, 'a');
	fh_expect_drop(h, "unknown_path");
	fh_free(h);
}

static void
busy(void **state)
{
	(void)state;
	struct fh *h = start("");
	fh_jobs_full(h, true);
	ask(h, 0, client[0].key, client[1].key);
	fh_expect_drop(h, "busy");
	fh_jobs_full(h, false);
	fh_advance(h, SECOND);
	ask(h, 0, client[0].key, client[1].key);
	expect_answer(h, 0);
	fh_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(relays), cmocka_unit_test(who_may_ask), cmocka_unit_test(forged), cmocka_unit_test(moves),
		cmocka_unit_test(challenges_end), cmocka_unit_test(expires), cmocka_unit_test(limits), cmocka_unit_test(starts_anew),
		cmocka_unit_test(busy),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
