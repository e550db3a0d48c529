/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One peer on two workers against one: port to port through the real engine, which spreads the AEAD or, told that its worker
 * is not pressed, leaves it where it is. Both workers have a core of their own. And what of a packet's way can't be spread:
 * the owner's clocks from port to queue and from queue to port, the AEAD run by the other worker meanwhile, its caches and
 * all; they bound how many workers can have something to do.
 */
#include "bench.h"
#include "box.h"
#include "crypto/aead.h"
#include "message.h"
#include "netmap/store.h"
#include "peer.h"
#include "plugin/loader.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define BURSTS (BOX_PACKETS / BOX_BURST)

static struct {
	uint8_t public_key[32], seals[32], opens[32];
	uint32_t ours; /* receiver index at the gateway */
	uint64_t counter;
} peer;

struct load {
	const struct aead_engine *engine;
	void *worker;
	uint16_t size;
	bool open, spread;
};

static struct rte_mbuf *pkts[BOX_PACKETS];
static const struct tr_addr gateway = {.family = 4, .ip = {198, 51, 100, 7}}, far = {.family = 4, .ip = {198, 51, 100, 2}};
static const struct tr_addr host = {.family = 4, .ip = {10, 20, 0, 99}}, inside = {.family = 4, .ip = {100, 64, 0, 2}};

/* ---- The pipeline and the session ---- */

static char *
base64(const uint8_t key[32], char text[64])
{
	return sodium_bin2base64(text, 64, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

/* Two peers: the second's number is even, so that it belongs to the worker that the benchmark drives. */
static void
start(const char *plugins)
{
	uint8_t secret[32], other[32];
	char key_file[] = "/tmp/tailrace-key-XXXXXX", text[2048], a[64], b[64];

	bench_must(crypto_init() == 0, "no cryptography");
	core_crypto.random(secret, sizeof(secret));
	core_crypto.random(other, sizeof(other));
	core_crypto.random(&peer, offsetof(typeof(peer), ours));
	int fd = mkstemp(key_file);
	bench_must(fd >= 0 && dprintf(fd, "%s\n", base64(secret, a)) > 0 && close(fd) == 0, "cannot write a key file");
	snprintf(text, sizeof(text),
		"instances:\n"
		"  wan: {class: interface, address: 198.51.100.7/24}\n"
		"  lan: {class: interface, address: 10.20.0.1/16}\n"
		"  wg0: {class: wireguard, listen: 51820, private_key: 'file:%s'}\n"
		"  path: {class: path}\n"
		"  router: {class: route, routes: {100.64.0.0/10: wg0.plain, 10.20.0.0/16: lan.ip}}\n"
		"  none: {class: drop}\n"
		"links: [wan.udp -> wg0.cipher, wan.ip -> none.in, wg0.cipher -> path.in, path.udp -> wan.ip, wg0.plain -> router.in,\n"
		"  lan.ip -> router.in, lan.udp -> none.in, router.udp -> none.in]\n"
		"netmap:\n"
		"  peers:\n"
		"    other: {public_key: %s, allowed_ips: [100.64.0.1/32]}\n"
		"    peer: {public_key: %s, allowed_ips: [100.64.0.2/32]}\n",
		key_file, base64(other, a), base64(peer.public_key, b));
	box_start(plugins, text, 1000, 2);
	remove(key_file);
	box_settle();
}

/* What a handshake would have left, but for the time limits. */
static void
open_session(void)
{
	uint32_t id = box_peer("wg0", peer.public_key);
	struct hot *h = box_block("wg0", "hot", id);
	struct pair *p = &((struct pairs *)box_block("wg0", "pairs", id))->slot[0];
	struct tr_endpoint e = {.family = 4, .remote_port = 20000, .local_port = 51820};

	bench_must(id % 2 == 0, "the peer belongs to the other worker");
	memcpy(e.remote, far.ip, 16);
	memcpy(e.local, gateway.ip, 16);
	path_set(id, &e);
	peer.ours = box_index("wg0", id);
	h->send = (struct sending){.rekey_at = UINT64_MAX, .reject_at = UINT64_MAX, .remote = 1};
	memcpy(h->send.key, peer.seals, 32);
	h->t = (struct traffic){.index = {peer.ours}, .current = 1, .wake = 1};
	*p = (struct pair){.reject_at = UINT64_MAX, .last_minute_at = UINT64_MAX};
	memcpy(p->key, peer.opens, 32);
}

/* ---- Packets ---- */

static void
prepare_plain(const struct load *l)
{
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		pkts[i] = box_packet(i);
		box_udp(pkts[i], BOX_LAN, &host, 9, &inside, 9, (uint16_t)(l->size - 28));
	}
}

static void
prepare_sealed(const struct load *l)
{
	static struct tr_aead aead[BOX_PACKETS];
	const uint16_t len = RTE_MIN((uint16_t)((l->size + 15) / 16 * 16), (uint16_t)1420);
	struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64, .next_proto_id = IPPROTO_UDP,
		.total_length = rte_cpu_to_be_16(l->size)};

	memcpy(&ip.src_addr, inside.ip, 4);
	memcpy(&ip.dst_addr, host.ip, 4);
	ip.hdr_checksum = tr_sum_fold(tr_sum(0, &ip, sizeof(ip)));
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		pkts[i] = box_packet(i);
		uint8_t *p = box_udp(pkts[i], BOX_WAN, &far, 20000, &gateway, 51820, (uint16_t)(len + 32));
		struct message_data *m = (struct message_data *)p;
		*m = (struct message_data){.type = MESSAGE_DATA, .receiver = peer.ours, .counter = peer.counter};
		memcpy(m->data, &ip, sizeof(ip));
		aead[i] = (struct tr_aead){.key = peer.opens, .counter = peer.counter++, .data = m->data, .len = len};
	}
	for (uint32_t i = 0; i < BOX_PACKETS; i += BOX_BURST)
		l->engine->seal(l->worker, aead + i, BOX_BURST);
}

static void
feed(const struct load *l, uint32_t from, uint32_t n)
{
	box_feed(l->open ? BOX_WAN : BOX_LAN, pkts + from, n);
}

/* All have come out, and in order; among them may be some of the engine's own. */
static void
check(const struct load *l)
{
	struct rte_mbuf **sent;
	uint32_t ours = 0;

	box_settle();
	uint32_t n = box_sent(l->open ? BOX_LAN : BOX_WAN, &sent);
	for (uint32_t i = 0; i < n && ours < BOX_PACKETS; i++)
		ours += sent[i] == pkts[ours];
	box_release(sent, n);
	bench_must(ours == BOX_PACKETS, "packets came out in another order, or not at all");
}

static void
prepare(const struct load *l)
{
	if (l->open)
		prepare_sealed(l);
	else
		prepare_plain(l);
	box_spread(l->spread);
}

/* ---- Figures ---- */

static uint64_t
through(void *arg, uint64_t ops)
{
	const struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare(l);
		uint64_t begin = bench_clock();
		feed(l, 0, BOX_PACKETS);
		while (box_left(l->open ? BOX_LAN : BOX_WAN) < BOX_PACKETS)
			box_turn();
		clocks += bench_clock() - begin;
		check(l);
	}
	return clocks;
}

static void
prepare_serial(void *arg)
{
	struct load *l = arg;

	l->spread = true;
	prepare(l);
}

/*
 * The owner's turns when the other worker seals or opens everything: each takes a burst in, and lets out the one before, which by
 * then is done.
 */
static void
turns(const struct load *l, uint64_t clocks[BURSTS])
{
	uint32_t out = 0;

	for (uint32_t i = 0; i < BURSTS; i++) {
		feed(l, i * BOX_BURST, BOX_BURST);
		uint64_t begin = bench_clock();
		box_turn();
		clocks[i] = bench_clock() - begin;
		out += box_spread_out(false) > 0; /* else it came back within the turn */
		while (box_spread_out(true) > 0)
			rte_pause();
	}
	bench_must(out > BURSTS / 2, "the bursts were not spread");
	check(l);
}

static void
run_serial(void *arg)
{
	uint64_t clocks[BURSTS];

	turns(arg, clocks);
}

/* Clocks per packet, median. */
static double
serial(struct load *l)
{
	uint64_t clocks[BURSTS];

	prepare_serial(l);
	turns(l, clocks);
	return (double)bench_median(clocks, BURSTS) / BOX_BURST;
}

/* Where they go; what the queue needs counts for the node that is walked next. */
static void
by_node(struct load *l, const char *figure)
{
	struct box_node node[BOX_NODES];
	double sum = 0;
	const unsigned n = box_nodes(prepare_serial, run_serial, l, BOX_RUNS, node);

	printf("%s, serial clocks per packet\n", figure);
	for (unsigned k = 0; k < n; k++) {
		printf("  %-20s %8.1f\n", node[k].name, node[k].clocks);
		sum += node[k].clocks;
	}
	printf("  %-20s %8.1f\n", "sum", sum);
}

static void
figures(const struct load *base, bool open, uint16_t size, const char *goals[2])
{
	struct load one = *base, two;
	char figure[64];
	const char *what = open ? "decrypt" : "encrypt";

	one.open = open;
	one.size = size;
	two = one;
	two.spread = true;
	snprintf(figure, sizeof(figure), "%s %u B, one peer", what, size);
	if (!bench_wanted(figure))
		return;
	if (bench_by_node()) {
		by_node(&two, figure);
		return;
	}
	struct bench_result r = bench_pair(&(struct bench_pair){.figure = figure, .step = BOX_PACKETS, .goal = goals[0],
		.ours = {"2 workers", through, &two}, .reference = {"1 worker", through, &one}});
	uint64_t runs[BENCH_PAIRS];
	for (unsigned i = 0; i < BENCH_PAIRS; i++)
		runs[i] = (uint64_t)(serial(&two) * 16);
	double clocks = (double)bench_median(runs, BENCH_PAIRS) / 16;
	snprintf(figure, sizeof(figure), "%s %u B, serial", what, size);
	bench_value(figure, clocks, "clocks", NULL);
	snprintf(figure, sizeof(figure), "%s %u B, workers at most", what, size);
	bench_value(figure, r.reference / clocks, "", goals[1]);
}

int
main(int argc, char **argv)
{
	static const char *goals[] = {"ratio <= 0.56", ">= 8"}, *none[] = {NULL, NULL};
	struct load l = {.engine = NULL};
	struct rte_mbuf **sent;

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2) {
		fprintf(stderr, "two CPUs are needed\n");
		return 77;
	}
	start(PLUGINS); /* before the pinning, which threads inherit */
	bench_init("spread", argc, argv);
	l.engine = aead_choose(NULL);
	l.worker = l.engine->worker_new();
	open_session();
	/* The first packet each way resolves the neighbour. */
	for (int open = 0; open < 2; open++) {
		l.open = open;
		l.size = 64;
		prepare(&l);
		feed(&l, 0, 1);
		box_settle();
		uint32_t n = box_sent(open ? BOX_LAN : BOX_WAN, &sent);
		box_release(sent, n);
	}
	for (int open = 0; open < 2; open++) {
		figures(&l, open, 1420, goals);
		figures(&l, open, 512, none);
	}
	l.engine->worker_free(l.worker);
	box_stop();
	return bench_end();
}
