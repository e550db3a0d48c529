/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nodes of transport/wireguard above the raw AEAD: bursts of 32 over 4,096 unaligned packets of 1,000 peers, each with
 * keys and counters of its own. Graph, ports and the netmap's look-ups are not in it: the host here answers from arrays.
 */
#include "bench.h"

#include "../../plugins/transport/wireguard/wireguard.h"
#include <crypto/aead.h>

#include <stdio.h>
#include <stdlib.h>

enum { PEERS = 1000, PACKETS = 4096, BURST = 32, ROOM = 2176 };

struct slot {
	struct rte_mbuf m;
	struct tr_meta meta;
	uint8_t buf[ROOM];
} __attribute__((aligned(64)));

static struct slot *slots;
static struct rte_mbuf *order[PACKETS];
static uint32_t peer_of_packet[PACKETS];
static struct tr_endpoint endpoints[PEERS + 1];
static const struct aead_engine *engine;
static void *engine_worker;
static struct wg wg;
static struct tr_host host;
static uint64_t counts[64], now = 1000 * SECOND;
static struct tr_node node = {.self = &wg, .host = &host, .count = counts, .now = &now};
static uint32_t payload; /* bytes of the inner packet */

/* ---- A host of arrays ---- */

static void
by_destination(struct tr_node *n, struct rte_mbuf *const *m, uint16_t count, uint32_t *peer)
{
	for (uint16_t i = 0; i < count; i++)
		memcpy(&peer[i], rte_pktmbuf_mtod_offset(m[i], const uint8_t *, 16), 4);
}

static void
by_source(struct tr_node *n, struct rte_mbuf *const *m, uint16_t count, uint32_t *peer)
{
	for (uint16_t i = 0; i < count; i++)
		memcpy(&peer[i], rte_pktmbuf_mtod_offset(m[i], const uint8_t *, 12), 4);
}

static void
indexes(struct tr_node *n, const uint32_t *index, uint16_t count, uint64_t *value)
{
	for (uint16_t i = 0; i < count; i++)
		value[i] = index[i];
}

static void
paths(struct tr_node *n, const uint32_t *peer, uint16_t count, struct tr_endpoint *out)
{
	for (uint16_t i = 0; i < count; i++)
		out[i] = endpoints[peer[i]];
}

static void
learn(struct tr_node *n, uint32_t peer, const struct tr_endpoint *from)
{
	if (memcmp(&endpoints[peer], from, sizeof(*from)) != 0)
		endpoints[peer] = *from;
}

static void
arm(struct tr_node *n, struct tr_timer *t, uint64_t at)
{
	t->at = at;
}

static void
seal(struct tr_node *n, struct tr_aead *a, uint16_t count)
{
	engine->seal(engine_worker, a, count);
}

static void
open_(struct tr_node *n, struct tr_aead *a, uint16_t count)
{
	engine->open(engine_worker, a, count);
}

/* There is one worker. */
static uint16_t
spread(struct tr_node *n, bool open, uint16_t gate, struct rte_mbuf *const *m, const struct tr_aead *a, uint16_t count)
{
	return TR_SPREAD_HERE;
}

static void *
zeroed(size_t size)
{
	void *p = aligned_alloc(64, (size + 63) & ~(size_t)63);
	if (!p)
		abort();
	return memset(p, 0, size);
}

static const struct tr_blocks *
blocks(size_t size, uint32_t count)
{
	struct tr_blocks *b = zeroed(sizeof(*b));
	*b = (struct tr_blocks){.stride = (size + 63) & ~(size_t)63, .count = count};
	b->base = zeroed(b->stride * count);
	return b;
}

static void
setup(void)
{
	host = (struct tr_host){.size = sizeof(host), .workers = 1, .peers_by_destination = by_destination,
		.peers_by_source = by_source, .indexes = indexes, .paths = paths, .path_learn = learn, .timer_arm = arm,
		.aead_seal = seal, .aead_open = open_, .spread = spread, .crypto = &core_crypto};
	wg = (struct wg){.host = &host, .crypto = &core_crypto, .mtu = 1420, .listen = 51820};
	wg.hot = blocks(sizeof(struct hot), PEERS + 1);
	wg.pairs = blocks(sizeof(struct pairs), PEERS + 1);
	wg.peers = blocks(sizeof(struct peer), PEERS + 1);
	wg.workers = blocks(sizeof(struct worker), 1);
	for (uint32_t id = 1; id <= PEERS; id++) {
		struct hot *h = hot_of(&wg, id);
		struct pair *p = pair_of(&wg, id, 1);
		core_crypto.random(h->send.key, 32);
		memcpy(p->key, h->send.key, 32);
		h->send.rekey_at = h->send.reject_at = p->reject_at = p->last_minute_at = UINT64_MAX;
		h->send.remote = id;
		h->t.index[0] = id;
		h->t.current = 1;
		endpoints[id] = (struct tr_endpoint){.family = 4, .remote_port = 51820, .local_port = 51820};
		memcpy(endpoints[id].remote, &id, 4);
	}
	slots = zeroed(sizeof(*slots) * PACKETS);
	for (uint32_t i = 0; i < PACKETS; i++) {
		slots[i].m = (struct rte_mbuf){.buf_addr = slots[i].buf, .buf_len = ROOM, .nb_segs = 1,
			.priv_size = sizeof(struct tr_meta)};
		order[i] = &slots[i].m;
		peer_of_packet[i] = 1 + (uint32_t)random() % PEERS;
	}
}

/* A packet as the route hands it over, metadata written; Ethernet's 14 bytes before it leave it unaligned. */
static void
plain(uint32_t i)
{
	struct rte_mbuf *m = order[i];
	uint8_t *p = (uint8_t *)m->buf_addr + TR_HEADROOM + 14;
	m->data_off = TR_HEADROOM + 14;
	m->data_len = (uint16_t)payload;
	m->pkt_len = payload;
	p[0] = 0x45;
	p[2] = (uint8_t)(payload >> 8);
	p[3] = (uint8_t)payload;
	memcpy(p + 12, &peer_of_packet[i], 4);
	memcpy(p + 16, &peer_of_packet[i], 4);
	*tr_meta(m) = (struct tr_meta){.l3_len = 20, .l4 = 17};
}

static uint32_t
padded(void)
{
	return RTE_MIN((payload + 15) & ~15u, 1420u);
}

/* ---- Encryption ---- */

static uint64_t
raw_seal(void *arg, uint64_t ops)
{
	struct tr_aead a[BURST];
	uint64_t clocks = 0;
	for (uint64_t k = 0; k < ops; k += BURST) {
		for (uint32_t i = 0; i < BURST; i++) {
			uint32_t at = (uint32_t)(k + i) % PACKETS;
			plain(at);
			struct sending *s = &hot_of(&wg, peer_of_packet[at])->send;
			a[i] = (struct tr_aead){.key = s->key, .counter = s->counter++,
				.data = rte_pktmbuf_mtod(order[at], uint8_t *), .len = padded()};
		}
		uint64_t t = bench_clock();
		engine->seal(engine_worker, a, BURST);
		clocks += bench_clock() - t;
	}
	return clocks;
}

static uint64_t
node_seal(void *arg, uint64_t ops)
{
	uint16_t gate[BURST];
	uint64_t clocks = 0;
	for (uint64_t k = 0; k < ops; k += BURST) {
		uint32_t at = (uint32_t)k % PACKETS;
		for (uint32_t i = 0; i < BURST; i++)
			plain(at + i);
		uint64_t t = bench_clock();
		plain_process(&node, &order[at], BURST, gate);
		seal_process(&node, &order[at], BURST, gate);
		clocks += bench_clock() - t;
		for (uint32_t i = 0; i < BURST; i++)
			if (gate[i] != OUT_CIPHER)
				abort();
	}
	return clocks;
}

/* ---- Decryption ---- */

/* Seals all packets as the peers would, behind IPv4 and UDP headers. */
static void
arrive(void)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		plain(i);
		struct rte_mbuf *m = order[i];
		struct tr_meta *meta = tr_meta(m);
		struct sending *s = &hot_of(&wg, peer_of_packet[i])->send;
		uint32_t len = padded();
		uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
		struct message_data *h = (struct message_data *)p - 1;
		*h = (struct message_data){.type = MESSAGE_DATA, .receiver = peer_of_packet[i], .counter = s->counter++};
		struct tr_aead a = {.key = s->key, .counter = h->counter, .data = p, .len = len};
		engine->seal(engine_worker, &a, 1);
		uint16_t udp = (uint16_t)(8 + sizeof(*h) + len + TR_AEAD_TAG);
		p = (uint8_t *)h - 4;
		p[0] = (uint8_t)(udp >> 8);
		p[1] = (uint8_t)udp;
		m->data_off = (uint16_t)(m->data_off - sizeof(*h) - 28);
		m->data_len = (uint16_t)(udp + 20);
		m->pkt_len = m->data_len;
		*meta = (struct tr_meta){.l3_len = 20, .l4 = 17, .endpoint = endpoints[peer_of_packet[i]]};
	}
}

static uint64_t
raw_open(void *arg, uint64_t ops)
{
	struct tr_aead a[BURST];
	uint64_t clocks = 0;
	for (uint64_t k = 0; k < ops; k += BURST) {
		if (k % PACKETS == 0)
			arrive();
		for (uint32_t i = 0; i < BURST; i++) {
			uint32_t at = (uint32_t)(k + i) % PACKETS;
			struct message_data *h = rte_pktmbuf_mtod_offset(order[at], struct message_data *, 28);
			a[i] = (struct tr_aead){.key = pair_of(&wg, peer_of_packet[at], 1)->key, .counter = h->counter,
				.data = h->data, .len = padded()};
		}
		uint64_t t = bench_clock();
		engine->open(engine_worker, a, BURST);
		clocks += bench_clock() - t;
	}
	return clocks;
}

static uint64_t
node_open(void *arg, uint64_t ops)
{
	uint16_t gate[BURST];
	uint64_t clocks = 0;
	for (uint64_t k = 0; k < ops; k += BURST) {
		uint32_t at = (uint32_t)k % PACKETS;
		if (at == 0)
			arrive();
		for (uint32_t i = 0; i < BURST; i++)
			rte_prefetch0(rte_pktmbuf_mtod(order[at + i], uint8_t *)); /* the nodes before have read the headers */
		uint64_t t = bench_clock();
		cipher_process(&node, &order[at], BURST, gate);
		open_process(&node, &order[at], BURST, gate);
		clocks += bench_clock() - t;
		for (uint32_t i = 0; i < BURST; i++)
			if (gate[i] != OUT_PLAIN)
				abort();
	}
	return clocks;
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = {64, 1420};
	char figure[64];
	bench_init("wireguard", argc, argv);
	if (crypto_init() || !(engine = aead_choose(NULL)) || !(engine_worker = engine->worker_new()))
		return 1;
	setup();
	for (unsigned i = 0; i < 2; i++) {
		payload = sizes[i];
		snprintf(figure, sizeof(figure), "encrypt %u B", payload);
		bench_pair(&(struct bench_pair){.figure = figure, .ours = {"nodes", node_seal, NULL},
			.reference = {engine->name, raw_seal, NULL}, .step = PACKETS});
		snprintf(figure, sizeof(figure), "decrypt %u B", payload);
		bench_pair(&(struct bench_pair){.figure = figure, .ours = {"nodes", node_open, NULL},
			.reference = {engine->name, raw_open, NULL}, .step = PACKETS});
	}
	engine->worker_free(engine_worker);
	return bench_end();
}
