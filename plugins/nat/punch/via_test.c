/* SPDX-License-Identifier: BSD-3-Clause */
/* The class punch as a client of a peer relay; the test plays the peer, the relay's node and the relay, in simulated time. */
#include "bind.h"
#include "geneve.h"

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

#define PORT 41641
#define REGION 7
#define VNI 0x010203
#define PEER 1u

static const uint8_t self4[4] = {10, 1, 0, 10}, relay4[4] = {198, 51, 100, 9};

/* Each with the key shared with our side. */
struct party {
	uint8_t secret[32], key[32], node[32], shared[32];
};
static struct party peer, third, relay;
static uint8_t ours[32];

/* What was sent last, of each type. */
static struct {
	unsigned n[DISCO_TYPES], wireguard;
	struct disco_allocate request;
	struct disco_relay via;
	struct disco_bind bind;
	struct tr_endpoint to;
	uint8_t ping[DISCO_TXID];
	unsigned probes; /* padded pings */
	struct {
		uint8_t txid[DISCO_TXID];
		uint32_t size; /* of the datagram */
	} probe[8];
} sent;

static void
party_make(struct party *p, uint8_t octet, const uint8_t secret[32])
{
	memset(p->secret, octet, 32);
	memset(p->node, octet + 1, 32);
	disco_public(p->key, p->secret);
	disco_public(ours, secret);
	assert_true(disco_shared(p->shared, p->secret, ours));
}

static char *
base64(const uint8_t key[32], char text[48])
{
	return sodium_bin2base64(text, 48, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

static struct fh *
start(const char *may)
{
	static uint8_t secret[32];
	char netmap[1024], options[512], a[48], b[48], c[48], d[48];
	memset(secret, 0x11, 32);
	party_make(&peer, 0x22, secret);
	party_make(&third, 0x33, secret);
	party_make(&relay, 0x77, secret);
	snprintf(netmap, sizeof(netmap),
		"{peers: {b: {public_key: \"%s\", disco_key: \"%s\", derp: %u, allowed_ips: [100.64.0.2/32]}, "
		"r: {public_key: \"%s\", disco_key: \"%s\", derp: %u%s}}}",
		base64(peer.node, a), base64(peer.key, b), REGION, base64(third.node, c), base64(third.key, d), REGION, may);
	snprintf(options, sizeof(options), "{listen: %u, peers: wg0, node_key: \"%s\", private_key: \"%s\"}", PORT, a, fh_secret(secret));
	memset(&sent, 0, sizeof(sent));
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "punch", .options = options, .netmap = netmap, .workers = 2});
	assert_non_null(h);
	const struct tr_own_endpoint own = {.address = {{.family = 4, .ip = {203, 0, 113, 10}}, 5000}, .kind = TR_OWN_STUN};
	fh_own_endpoints(h, &own, 1);
	return h;
}

/* Who can open it? */
static int
open_box(uint8_t *data, size_t len)
{
	const struct party *all[] = {&peer, &third, &relay};
	uint8_t copy[2048];
	for (unsigned i = 0; i < 3; i++) {
		memcpy(copy, data, len);
		const int n = disco_open(copy, len, all[i]->shared);
		if (n >= 0) {
			memcpy(data, copy, len);
			return n;
		}
	}
	return -1;
}

static void
note(const struct fh_out *o)
{
	uint8_t data[2048];
	struct geneve g;
	memcpy(data, o->data, o->len);
	sent.to = o->meta.endpoint;
	const size_t skip = geneve_read(&g, data, o->len) ? GENEVE_HEAD : 0;
	if (skip != 0 && g.protocol == GENEVE_WIREGUARD) {
		assert_int_equal(g.vni, VNI);
		sent.wireguard++;
		return;
	}
	const int n = open_box(data + skip, o->len - skip);
	assert_true(n > 0);
	const uint8_t *payload = data + skip + DISCO_PAYLOAD;
	struct disco_message m;
	assert_true(disco_parse(&m, payload, (size_t)n));
	if (m.type == DISCO_PING && m.padding != 0) {
		assert_int_equal(o->meta.flags, TR_META_OWN | TR_META_WHOLE);
		memcpy(sent.probe[sent.probes % 8].txid, m.txid, DISCO_TXID);
		sent.probe[sent.probes++ % 8].size = o->len;
		return;
	}
	sent.n[m.type]++;
	assert_int_equal(skip != 0 && g.control, m.type == DISCO_BIND || m.type == DISCO_BIND_ANSWER);
	if (m.type == DISCO_PING)
		memcpy(sent.ping, m.txid, DISCO_TXID);
	else if (m.type == DISCO_ALLOCATE)
		assert_true(disco_parse_allocate(&sent.request, payload, (size_t)n));
	else if (m.type == DISCO_CALL_ME_MAYBE_VIA)
		assert_true(disco_parse_relay(&sent.via, payload, (size_t)n));
	else if (m.type == DISCO_BIND || m.type == DISCO_BIND_ANSWER)
		assert_true(disco_parse_bind(&sent.bind, payload, (size_t)n));
}

/* Takes what came out; the last drop's reason, or "". */
static const char *
pump(struct fh *h)
{
	static char reason[32];
	const struct fh_out *o;
	reason[0] = 0;
	while ((o = fh_next(h)) != NULL) {
		if (o->drop != NULL)
			snprintf(reason, sizeof(reason), "%s", o->drop);
		else if (strcmp(o->gate, "out") == 0)
			note(o);
		else
			snprintf(reason, sizeof(reason), "to %s", o->gate);
	}
	return reason;
}

static void
settle(struct fh *h)
{
	for (unsigned i = 0; i < 3; i++) {
		fh_run_jobs(h);
		pump(h);
	}
}

static void
run(struct fh *h, uint64_t ns)
{
	for (uint64_t t = 0; t < ns; t += 20 * MS) {
		fh_advance(h, 20 * MS);
		pump(h);
	}
}

static size_t
seal(const struct party *from, uint8_t *data, size_t payload)
{
	uint8_t nonce[DISCO_NONCE];
	randombytes_buf(nonce, sizeof(nonce));
	return disco_seal(data, payload, from->key, nonce, from->shared);
}

static void
by_derp(struct fh *h, const struct party *from, const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = fh_packet(h, data, len);
	tr_meta(m)->endpoint = tr_endpoint_derp(REGION, from->node);
	fh_send_mbufs(h, 1, "relay", &m, 1);
}

static struct disco_relay
path_of(uint64_t id)
{
	struct disco_relay r = {.generation = sent.request.generation, .vni = VNI, .id = id, .bind_ns = VIA_HANDSHAKE, .idle_ns = 300 * SECOND,
		.n = 1, .address = {{{.family = 4, .ip = {198, 51, 100, 9}}, 40000}}};
	memcpy(r.server, relay.key, 32);
	const bool low = memcmp(ours, peer.key, 32) < 0;
	memcpy(r.client[low ? 0 : 1], ours, 32);
	memcpy(r.client[low ? 1 : 0], peer.key, 32);
	return r;
}

static void
tells(struct fh *h, const struct party *from, enum disco_type type, const struct disco_relay *r)
{
	uint8_t data[DISCO_MAX];
	by_derp(h, from, data, seal(from, data, disco_relay(data + DISCO_PAYLOAD, type, r)));
}

/* By the relay, after a Geneve header. */
static void
by_relay(struct fh *h, const struct geneve *g, const uint8_t *data, size_t len)
{
	uint8_t all[2048];
	geneve_write(all, g);
	memcpy(all + GENEVE_HEAD, data, len);
	struct rte_mbuf *m = fh_udp4(h, relay4, 40000, self4, PORT, all, GENEVE_HEAD + len);
	fh_send_mbufs(h, 0, "geneve", &m, 1);
}

static void
challenges(struct fh *h, uint32_t vni, uint32_t generation, const uint8_t remote[32])
{
	uint8_t data[DISCO_MAX];
	struct disco_bind b = {.vni = vni, .generation = generation};
	memset(b.challenge, 0x5a, 32);
	memcpy(b.remote, remote, 32);
	by_relay(h, &(struct geneve){.protocol = GENEVE_DISCO, .control = true, .vni = VNI}, data,
		seal(&relay, data, disco_bind(data + DISCO_PAYLOAD, DISCO_BIND_CHALLENGE, &b)));
}

static const struct geneve through = {.protocol = GENEVE_DISCO, .vni = VNI};

static void
peer_pongs(struct fh *h)
{
	uint8_t data[DISCO_MAX];
	const struct tr_sockaddr seen = {{.family = 4, .ip = {198, 51, 100, 9}}, 40000};
	by_relay(h, &through, data, seal(&peer, data, disco_pong(data + DISCO_PAYLOAD, sent.ping, &seen)));
}

static struct tr_endpoint
in_use(struct fh *h)
{
	struct tr_endpoint e;
	fh_path(h, PEER, &e);
	return e;
}

/* The relay has been asked, and has answered; we have bound, and a ping is on its way. */
static struct fh *
start_bound(void)
{
	struct fh *h = start(", relay: true");
	fh_wanted(h, PEER);
	settle(h);
	const struct disco_relay r = path_of(5);
	tells(h, &third, DISCO_ALLOCATED, &r);
	settle(h);
	challenges(h, VNI, sent.bind.generation, peer.key);
	assert_string_equal(pump(h), "consumed");
	return h;
}

static struct fh *
start_relayed(void)
{
	struct fh *h = start_bound();
	peer_pongs(h);
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(in_use(h).gate, TR_KIND_RELAY);
	return h;
}

/* ---- Tests ---- */

static void
finds_a_relay(void **state)
{
	(void)state;
	struct fh *h = start(", relay: true");
	fh_wanted(h, PEER);
	settle(h);
	assert_int_equal(sent.n[DISCO_ALLOCATE], 1);
	assert_true(memcmp(sent.request.client[0], sent.request.client[1], 32) < 0);

	struct disco_relay r = path_of(5);
	tells(h, &third, DISCO_ALLOCATED, &r);
	settle(h);
	assert_int_equal(sent.n[DISCO_CALL_ME_MAYBE_VIA], 1);
	r.generation = 0;
	assert_memory_equal(&sent.via, &r, sizeof(r));
	assert_int_equal(sent.n[DISCO_BIND], 1);
	assert_memory_equal(sent.bind.remote, peer.key, 32);
	assert_int_equal(sent.to.gate, TR_KIND_UDP);
	assert_memory_equal(sent.to.remote, relay4, 4);
	assert_int_equal(sent.to.local_port, PORT);
	assert_int_equal(in_use(h).gate, TR_KIND_DERP);

	challenges(h, VNI, sent.bind.generation, peer.key);
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(sent.n[DISCO_BIND_ANSWER], 1);
	assert_int_equal(sent.bind.challenge[31], 0x5a);
	assert_int_equal(sent.n[DISCO_PING], 1);
	peer_pongs(h);
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(in_use(h).gate, TR_KIND_RELAY);
	assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	fh_free(h);
}

/* Nobody is asked who may not relay, by default. */
static void
asks_nobody(void **state)
{
	(void)state;
	struct fh *h = start("");
	fh_wanted(h, PEER);
	settle(h);
	run(h, 40 * SECOND);
	assert_int_equal(sent.n[DISCO_ALLOCATE], 0);
	fh_free(h);
}

static void
carries(void **state)
{
	uint8_t packet[32] = {4};
	(void)state;
	struct fh *h = start_relayed();
	struct rte_mbuf *m = fh_packet(h, packet, sizeof(packet));
	tr_meta(m)->endpoint = in_use(h);
	tr_meta(m)->peer = PEER;
	fh_send_mbufs(h, 1, "wrap", &m, 1);
	pump(h);
	assert_int_equal(sent.wireguard, 1);
	assert_int_equal(sent.to.gate, TR_KIND_UDP);
	assert_int_equal(sent.to.remote_port, 40000);
	by_relay(h, &(struct geneve){.protocol = GENEVE_WIREGUARD, .vni = VNI}, packet, sizeof(packet));
	const struct fh_out *o = fh_next(h);
	assert_non_null(o);
	assert_string_equal(o->gate, "wireguard");
	assert_int_equal(o->len, sizeof(packet));
	const struct tr_endpoint at = in_use(h);
	assert_memory_equal(&o->meta.endpoint, &at, sizeof(at));
	fh_free(h);
}

/* Padded pings through the relay: its header is counted. */
static void
path_mtu(void **state)
{
	static const uint32_t sizes[] = {1280, 1360, 1400};
	uint8_t last[DISCO_TXID];
	(void)state;
	struct fh *h = start_relayed();
	fh_wanted(h, PEER);
	run(h, HEARTBEAT);
	assert_in_range(sent.probes, 5, 6);
	memcpy(last, sent.ping, DISCO_TXID);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(sent.probe[i].size, sizes[i] - 28);
		memcpy(sent.ping, sent.probe[i].txid, DISCO_TXID);
		peer_pongs(h);
		assert_string_equal(pump(h), "consumed");
	}
	memcpy(sent.ping, last, DISCO_TXID);
	peer_pongs(h);
	pump(h);
	assert_int_equal(in_use(h).mtu, 1400 - 28 - GENEVE_HEAD);
	peer_pongs(h);
	assert_string_equal(pump(h), "replayed");
	fh_free(h);
}

/* Which peer it is that relays. */
static void
names_the_relay(void **state)
{
	static char id[] = "1", path[] = "00000000000000000000000000000000", short_path[] = "0000";
	char *argv[] = {id, path}, *json, expected[64];
	const uint32_t vni = VNI;
	(void)state;
	struct fh *h = start_relayed();
	snprintf(id, sizeof(id), "%u", PEER);
	assert_int_equal(fh_command(h, "relay", 2, argv, &json), 0);
	assert_string_equal(json, "{\"relay\":\"\"}");
	free(json);
	for (unsigned i = 0; i < 4; i++)
		snprintf(expected + 2 * i, 3, "%02x", ((const uint8_t *)&vni)[i]);
	memcpy(path, expected, 8);
	assert_int_equal(fh_command(h, "relay", 2, argv, &json), 0);
	assert_string_equal(json, "{\"relay\":\"r\"}");
	free(json);
	argv[1] = short_path;
	assert_int_not_equal(fh_command(h, "relay", 2, argv, &json), 0);
	free(json);
	fh_free(h);
}

static void
expect_command(struct fh *h, const char *name, const char *part)
{
	char *json;
	assert_int_equal(fh_command(h, name, 0, NULL, &json), 0);
	if (strstr(json, part) == NULL)
		fail_msg("%s: no %s in %s", name, part, json);
	free(json);
}

/* What the operator sees of a relay: before it is asked, when it has answered, and when it does not any more. */
static void
reports(void **state)
{
	(void)state;
	struct fh *h = start(", relay: true");
	expect_command(h, "netcheck", "\"name\":\"r\"");
	expect_command(h, "netcheck", "\"state\":\"not asked yet\",\"paths\":0}");
	expect_command(h, "status", "{\"state\":\"1 peer relay, not asked yet\"}");
	fh_wanted(h, PEER);
	settle(h);
	expect_command(h, "netcheck", "\"state\":\"asked\",\"paths\":0}");
	const struct disco_relay r = path_of(5);
	tells(h, &third, DISCO_ALLOCATED, &r);
	settle(h);
	run(h, 1060 * MS); /* the first bind is lost */
	assert_int_equal(sent.n[DISCO_BIND], 2);
	challenges(h, VNI, sent.bind.generation, peer.key);
	pump(h);
	expect_command(h, "status", "\"1 of 1 peer relay answers, 0 paths\"");
	peer_pongs(h);
	pump(h);
	expect_command(h, "netcheck", "\"state\":\"answers\",\"paths\":1,\"latency_ms\":60.0,\"answered_s\":1}");
	expect_command(h, "status", "{\"state\":\"1 of 1 peer relay answers, 1 path\"}");
	for (unsigned i = 0; i < 100; i++) {
		fh_wanted(h, PEER);
		run(h, SECOND);
	}
	expect_command(h, "netcheck", "\"state\":\"does not answer\",\"paths\":0,");
	expect_command(h, "status", "peer relay `r` has not answered ");
	fh_free(h);
}

/* By a relay that the peer has asked, and that is no peer of ours. */
static void
reports_others(void **state)
{
	(void)state;
	struct fh *h = start("");
	expect_command(h, "status", "{}");
	const struct disco_relay r = path_of(5);
	fh_wanted(h, PEER);
	settle(h);
	tells(h, &peer, DISCO_CALL_ME_MAYBE_VIA, &r);
	settle(h);
	challenges(h, VNI, sent.bind.generation, peer.key);
	pump(h);
	peer_pongs(h);
	pump(h);
	expect_command(h, "netcheck", "{\"peer_relays\":[],\"paths_by_relays_of_others\":1}");
	expect_command(h, "status", "{\"state\":\"1 path by relays of others\"}");
	fh_free(h);
}

/* Heartbeats go by the relay; when they are not answered DERP has a copy first, and all in the end. The relay is asked again. */
static void
heartbeats(void **state)
{
	(void)state;
	struct fh *h = start_relayed();
	for (int beat = 0; beat < 5; beat++) {
		const unsigned before = sent.n[DISCO_PING];
		fh_wanted(h, PEER);
		run(h, HEARTBEAT);
		assert_int_equal(sent.n[DISCO_PING], before + 1);
		peer_pongs(h);
		pump(h);
		assert_int_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	}
	run(h, HEARTBEAT + OVERDUE + 100 * MS); /* a pong is overdue */
	assert_int_equal(in_use(h).gate, TR_KIND_RELAY);
	assert_int_not_equal(in_use(h).flags & TR_ENDPOINT_TWICE, 0);
	run(h, PING_TIMEOUT);
	assert_int_equal(in_use(h).gate, TR_KIND_DERP);
	const unsigned asked = sent.n[DISCO_ALLOCATE];
	fh_wanted(h, PEER);
	run(h, 35 * SECOND);
	assert_true(sent.n[DISCO_ALLOCATE] > asked);
	fh_free(h);
}

/* A bind, its challenge, the answer or a ping that is lost is sent again; a relay that never answers is left alone after half a minute. */
static void
losses(void **state)
{
	(void)state;
	struct fh *h = start(", relay: true");
	fh_wanted(h, PEER);
	settle(h);
	run(h, VIA_ASK_AGAIN + SECOND);
	assert_int_equal(sent.n[DISCO_ALLOCATE], 2); /* once more, and no more */
	const struct disco_relay r = path_of(5);
	tells(h, &third, DISCO_ALLOCATED, &r);
	settle(h);
	run(h, 10 * SECOND);
	assert_int_equal(sent.n[DISCO_BIND], 4); /* after 1, 2, 4 s */
	challenges(h, VNI, sent.bind.generation, peer.key);
	pump(h);
	const unsigned pings = sent.n[DISCO_PING];
	run(h, 21 * SECOND);
	assert_true(sent.n[DISCO_PING] > pings || sent.n[DISCO_BIND] > 4);
	assert_int_equal(vias_of(fh_self(h), PEER)->via[0].state, VIA_FREE);
	assert_int_equal(in_use(h).gate, TR_KIND_DERP);
	fh_free(h);
}

/* The peer has asked a relay that we know nothing of. */
static void
called(void **state)
{
	(void)state;
	struct fh *h = start("");
	const struct disco_relay r = path_of(5);
	tells(h, &peer, DISCO_CALL_ME_MAYBE_VIA, &r);
	settle(h);
	assert_int_equal(sent.n[DISCO_BIND], 1);
	tells(h, &peer, DISCO_CALL_ME_MAYBE_VIA, &r); /* under way */
	assert_string_equal(pump(h), "consumed");
	assert_int_equal(sent.n[DISCO_BIND], 1);
	assert_int_equal(sent.n[DISCO_CALL_ME_MAYBE_VIA], 0);
	struct disco_relay old = r;
	old.id = 4;
	old.vni++;
	tells(h, &peer, DISCO_CALL_ME_MAYBE_VIA, &old); /* overtaken */
	settle(h);
	assert_int_equal(sent.n[DISCO_BIND], 1);
	old.id = 6;
	tells(h, &peer, DISCO_CALL_ME_MAYBE_VIA, &old); /* a newer one */
	settle(h);
	assert_int_equal(sent.n[DISCO_BIND], 2);
	assert_int_equal(sent.bind.vni, VNI + 1);
	fh_free(h);
}

/* What nobody with the keys has made, or what was not asked for, changes nothing but a counter. */
static void
forgeries(void **state)
{
	uint8_t data[DISCO_MAX], copy[DISCO_MAX];
	(void)state;
	struct fh *h = start(", relay: true");
	fh_wanted(h, PEER);
	settle(h);
	struct disco_relay r = path_of(5);
	const struct vias *v = vias_of(fh_self(h), PEER);
	struct via before[VIAS];
	memcpy(before, v->via, sizeof(before));

	r.generation++;
	tells(h, &third, DISCO_ALLOCATED, &r);
	assert_string_equal(pump(h), "not_asked");
	r.generation--;
	tells(h, &peer, DISCO_ALLOCATED, &r); /* the peer was not asked */
	assert_string_equal(pump(h), "not_asked");
	memset(r.client[0], 9, 32); /* between others */
	memset(r.client[1], 9, 32);
	tells(h, &third, DISCO_ALLOCATED, &r);
	assert_string_equal(pump(h), "not_ours");
	tells(h, &peer, DISCO_CALL_ME_MAYBE_VIA, &r);
	assert_string_equal(pump(h), "not_ours");
	r = path_of(5);
	struct rte_mbuf *m = fh_udp4(h, relay4, 9, self4, PORT, data, seal(&peer, data, disco_relay(data + DISCO_PAYLOAD, DISCO_CALL_ME_MAYBE_VIA, &r)));
	fh_send_mbufs(h, 0, "in", &m, 1);
	assert_string_equal(pump(h), "call_by_udp");
	by_derp(h, &third, data, seal(&peer, data, disco_relay(data + DISCO_PAYLOAD, DISCO_CALL_ME_MAYBE_VIA, &r)));
	assert_string_equal(pump(h), "wrong_node");
	const size_t len = disco_relay(data + DISCO_PAYLOAD, DISCO_CALL_ME_MAYBE_VIA, &r);
	by_derp(h, &peer, data, seal(&peer, data, len - 1));
	assert_string_equal(pump(h), "too_short");
	challenges(h, VNI, 1, peer.key); /* no handshake is under way */
	assert_string_equal(pump(h), "no_handshake");
	peer_pongs(h);
	assert_string_equal(pump(h), "replayed");
	assert_memory_equal(before, v->via, sizeof(before));

	r = path_of(5);
	tells(h, &third, DISCO_ALLOCATED, &r);
	settle(h);
	memcpy(before, v->via, sizeof(before));
	const uint32_t generation = sent.bind.generation;
	memset(&sent, 0, sizeof(sent));
	challenges(h, VNI + 1, generation, peer.key);
	assert_string_equal(pump(h), "no_handshake");
	challenges(h, VNI, generation + 2, peer.key);
	assert_string_equal(pump(h), "no_handshake");
	challenges(h, VNI, generation, third.key);
	assert_string_equal(pump(h), "no_handshake");
	struct disco_bind b = {.vni = VNI, .generation = generation};
	memcpy(b.remote, peer.key, 32);
	const struct geneve control = {.protocol = GENEVE_DISCO, .control = true, .vni = VNI};
	const size_t n = seal(&relay, data, disco_bind(data + DISCO_PAYLOAD, DISCO_BIND_CHALLENGE, &b));
	for (size_t i = 6; i < n; i++) {
		memcpy(copy, data, n);
		copy[i] ^= 0x20;
		by_relay(h, &control, copy, n);
		assert_string_equal(pump(h), i < 38 ? "no_handshake" : "forged");
	}
	for (size_t i = 0; i < n; i++) {
		by_relay(h, &control, data, i);
		assert_string_equal(pump(h), i < DISCO_HEAD ? "not_disco" : "forged");
	}
	by_relay(h, &(struct geneve){.protocol = GENEVE_WIREGUARD, .control = true, .vni = VNI}, data, n);
	assert_string_equal(pump(h), "not_geneve");
	for (unsigned i = 0; i < DISCO_TYPES; i++)
		assert_int_equal(sent.n[i], 0);
	assert_memory_equal(before, v->via, sizeof(before));
	assert_int_equal(in_use(h).gate, TR_KIND_DERP);
	fh_free(h);
}

/* Requests of peers are our relay's to judge, and its answers are sealed for whoever asked. */
static void
serves(void **state)
{
	uint8_t data[DISCO_MAX];
	(void)state;
	struct fh *h = start("");
	struct disco_allocate ask = {.generation = 3};
	memcpy(ask.client[0], peer.key, 32);
	memcpy(ask.client[1], third.key, 32);
	by_derp(h, &peer, data, seal(&peer, data, disco_allocate(data + DISCO_PAYLOAD, &ask)));
	fh_run_jobs(h); /* the key shared with the peer */
	const struct fh_out *o = fh_next(h);
	assert_non_null(o);
	assert_string_equal(o->gate, "requests");
	assert_int_equal(o->meta.peer, PEER);
	assert_int_equal(o->len, DISCO_ALLOCATE_LEN);
	struct disco_relay r = path_of(1);
	struct rte_mbuf *m = fh_packet(h, data, disco_relay(data, DISCO_ALLOCATED, &r));
	tr_meta(m)->peer = PEER;
	tr_meta(m)->endpoint = tr_endpoint_derp(REGION, peer.node);
	fh_send_mbufs(h, 1, "answers", &m, 1);
	pump(h);
	assert_int_equal(sent.n[DISCO_ALLOCATED], 1);
	assert_int_equal(sent.to.gate, TR_KIND_DERP);
	assert_memory_equal(sent.to.remote, peer.node, 16);
	for (unsigned i = 0; i < 40; i++)
		by_derp(h, &peer, data, seal(&peer, data, disco_allocate(data + DISCO_PAYLOAD, &ask)));
	assert_string_equal(pump(h), "rate");
	fh_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(path_mtu), cmocka_unit_test(names_the_relay), cmocka_unit_test(reports), cmocka_unit_test(reports_others),
		cmocka_unit_test(finds_a_relay), cmocka_unit_test(asks_nobody), cmocka_unit_test(carries), cmocka_unit_test(heartbeats),
		cmocka_unit_test(losses), cmocka_unit_test(called), cmocka_unit_test(forgeries), cmocka_unit_test(serves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
