/* SPDX-License-Identifier: BSD-3-Clause */
/* A peer, a relay and NATs that tests play against the class punch, in simulated time. */
#pragma once

#include "punch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rte_ip.h>
#include <rte_udp.h>
#include <sodium.h>
#include <tailrace/fakehost.h>

extern const struct tr_plugin tr_plugin;

#define REGION 7
#define PORT 41641
#define PROBE 20000

static const uint8_t self4[4] = {10, 1, 0, 10}, peer4[4] = {203, 0, 113, 11}, other4[4] = {203, 0, 113, 12};

/* The peer, as the test plays it. */
static struct {
	uint8_t secret[32], key[32], node[32], shared[32], ours[32];
	uint32_t id;
} peer;

/* What was sent last. */
static struct {
	unsigned pings, probes, pongs, calls, others;
	struct {
		uint8_t txid[DISCO_TXID];
		uint32_t size; /* of the datagram */
	} probe[8]; /* of the last round */
	struct disco_message message;
	struct tr_endpoint to; /* of the last ping */
	uint8_t txid[DISCO_TXID];
	struct tr_endpoint pong_to;
} sent;

static inline char *
base64(const uint8_t key[32], char text[48])
{
	return sodium_bin2base64(text, 48, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

static inline struct fh *
start(const char *more)
{
	static uint8_t secret[32];
	char netmap[512], options[512], node[48], key[48];
	memset(peer.secret, 0x22, 32);
	memset(secret, 0x11, 32);
	memset(peer.node, 0x55, 32);
	disco_public(peer.key, peer.secret);
	disco_public(peer.ours, secret);
	assert_true(disco_shared(peer.shared, peer.secret, peer.ours));
	snprintf(netmap, sizeof(netmap), "{peers: {b: {public_key: \"%s\", disco_key: \"%s\", derp: %u, allowed_ips: [100.64.0.2/32]}}}",
		base64(peer.node, node), base64(peer.key, key), REGION);
	snprintf(options, sizeof(options), "{listen: %u, peers: wg0, node_key: \"%s\", private_key: \"%s\"%s}", PORT, node,
		fh_secret(secret), more);
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = options, .netmap = netmap, .packet_size = 4096});
	assert_non_null(h);
	peer.id = 1;
	memset(&sent, 0, sizeof(sent));
	const struct tr_own_endpoint own = {.address = {{.family = 4, .ip = {203, 0, 113, 10}}, 5000}, .kind = TR_OWN_STUN};
	fh_own_endpoints(h, &own, 1);
	return h;
}

/* Opens what our side sent. */
static inline void
note(const struct fh_out *o)
{
	uint8_t data[4096];
	assert_string_equal(o->gate, "out");
	memcpy(data, o->data, o->len);
	assert_true(disco_is(data, o->len));
	assert_memory_equal(disco_sender(data), peer.ours, 32);
	const int n = disco_open(data, o->len, peer.shared);
	assert_true(n > 0);
	assert_true(disco_parse(&sent.message, data + DISCO_PAYLOAD, (size_t)n));
	switch (sent.message.type) {
	case DISCO_PING:
		if (o->len > DISCO_PING_SIZE) {
			assert_int_equal(o->meta.flags, TR_META_OWN | TR_META_WHOLE);
			assert_int_equal(sent.message.padding, o->len - DISCO_PING_SIZE);
			memcpy(sent.probe[sent.probes % 8].txid, sent.message.txid, DISCO_TXID);
			sent.probe[sent.probes++ % 8].size = o->len;
			break;
		}
		sent.pings++;
		sent.to = o->meta.endpoint;
		memcpy(sent.txid, sent.message.txid, DISCO_TXID);
		assert_int_equal(o->len, DISCO_PING_SIZE);
		assert_int_equal(o->meta.endpoint.gate, TR_KIND_UDP);
		break;
	case DISCO_PONG:
		sent.pongs++;
		sent.pong_to = o->meta.endpoint;
		break;
	case DISCO_CALL_ME_MAYBE:
		sent.calls++;
		assert_int_equal(o->meta.endpoint.gate, TR_KIND_DERP);
		assert_int_equal(o->meta.endpoint.remote_port, REGION);
		assert_memory_equal(o->meta.endpoint.remote, peer.node, 16);
		break;
	default:
		sent.others++;
	}
}

/* Takes what came out; the last drop's reason, or NULL. */
static inline const char *
pump(struct fh *h)
{
	static char reason[32];
	const struct fh_out *o;
	bool dropped = false;
	while ((o = fh_next(h)) != NULL) {
		if (o->drop == NULL) {
			note(o);
			continue;
		}
		snprintf(reason, sizeof(reason), "%s", o->drop);
		dropped = true;
	}
	return dropped ? reason : NULL;
}

static inline void
run(struct fh *h, uint64_t ns)
{
	for (uint64_t t = 0; t < ns; t += 20 * MS) {
		fh_advance(h, 20 * MS);
		pump(h);
	}
}

static inline void
deliver_bytes(struct fh *h, const uint8_t source[4], uint16_t port, uint16_t local_port, const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = fh_udp4(h, source, port, self4, local_port, data, len);
	tr_meta(m)->endpoint.flags = local_port != PORT ? TR_ENDPOINT_BOUND : 0; /* mux's */
	fh_send_mbufs(h, 0, "in", &m, 1);
}

static inline size_t
seal(uint8_t *data, size_t payload)
{
	uint8_t nonce[DISCO_NONCE];
	randombytes_buf(nonce, sizeof(nonce));
	return disco_seal(data, payload, peer.key, nonce, peer.shared);
}

static inline void
peer_pings(struct fh *h, const uint8_t source[4], uint16_t port, uint16_t local_port, const uint8_t txid[DISCO_TXID])
{
	uint8_t data[DISCO_MAX];
	deliver_bytes(h, source, port, local_port, data, seal(data, disco_ping(data + DISCO_PAYLOAD, txid, peer.node)));
}

static inline void
peer_sees(struct fh *h, const uint8_t source[4], uint16_t port, uint16_t local_port, uint16_t outside)
{
	uint8_t data[DISCO_MAX];
	const struct tr_sockaddr seen = {{.family = 4, .ip = {203, 0, 113, 10}}, outside};
	deliver_bytes(h, source, port, local_port, data, seal(data, disco_pong(data + DISCO_PAYLOAD, sent.txid, &seen)));
}

static inline void
peer_pongs(struct fh *h, const uint8_t source[4], uint16_t port, uint16_t local_port)
{
	peer_sees(h, source, port, local_port, 5000);
}

static inline void
peer_pongs_to_probe(struct fh *h, unsigned which)
{
	uint8_t last[DISCO_TXID];
	memcpy(last, sent.txid, DISCO_TXID);
	memcpy(sent.txid, sent.probe[which].txid, DISCO_TXID);
	peer_pongs(h, peer4, 41641, PORT);
	memcpy(sent.txid, last, DISCO_TXID);
}

static inline void
relay_bytes(struct fh *h, const uint8_t node[32], const uint8_t *data, size_t len)
{
	struct rte_mbuf *m = fh_packet(h, data, len);
	tr_meta(m)->endpoint = tr_endpoint_derp(REGION, node);
	fh_send_mbufs(h, 0, "relay", &m, 1);
}

static inline void
peer_calls(struct fh *h, const uint8_t node[32], const struct tr_sockaddr *list, unsigned n)
{
	uint8_t data[DISCO_MAX];
	relay_bytes(h, node, data, seal(data, disco_call_me_maybe(data + DISCO_PAYLOAD, list, n)));
}

static const struct tr_sockaddr addresses[] = {{{.family = 4, .ip = {203, 0, 113, 11}}, 41641}, {{.family = 4, .ip = {203, 0, 113, 12}}, 9}};

static inline void
settle(struct fh *h)
{
	fh_run_jobs(h);
	pump(h);
}

static inline struct tr_endpoint
in_use(struct fh *h)
{
	struct tr_endpoint e;
	fh_path(h, peer.id, &e);
	return e;
}

/* A direct path to the peer is in use. */
static inline struct fh *
start_directly(void)
{
	struct fh *h = start("");
	fh_wanted(h, peer.id);
	settle(h);
	peer_calls(h, peer.node, addresses, 1);
	pump(h);
	peer_pongs(h, peer4, 41641, PORT);
	pump(h);
	return h;
}
