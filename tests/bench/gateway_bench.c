/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole gateway, from port to port, against the raw AEAD engine: lan -> route -> wireguard -> path -> wan and back, with the same keys,
 * buffers and lengths on both sides. 1,000 peers with counters of their own (of the 101,000 that there are), chosen at random
 * for every packet; 4,096 unaligned packets; bursts of 32. --port memif: the gateway is the zero-copy client of two memifs,
 * whose 4,096 buffers lie as the driver has them; the AEAD alone still works on packets as before.
 */
#include "bench.h"
#include "box.h"
#include "crypto/aead.h"
#include "message.h"
#include "plugin/loader.h"
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PEERS 1000 /* that take part in most figures */
#define MANY 100000 /* that are reached over IPv4; PEERS more over IPv6 */
#define ALL (MANY + PEERS)
#define BURSTS (BOX_PACKETS / BOX_BURST)

struct load {
	const struct aead_engine *engine;
	void *worker;
	uint32_t size; /* of inner packets; 0: IMIX */
	bool open;
	uint32_t first, peers; /* those that take part */
};

static struct session *remotes;
static struct rte_mbuf *nodes_pkts[BOX_PACKETS];
static struct tr_aead aead[BOX_PACKETS];
static uint32_t seed = 1;
static const struct tr_addr gateway = {.family = 4, .ip = {198, 51, 100, 7}}, far = {.family = 4, .ip = {198, 51, 100, 2}};
static const struct tr_addr gateway6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 7}};
static const struct tr_addr far6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 2}};
static const struct tr_addr host = {.family = 4, .ip = {10, 20, 0, 99}};

static uint32_t
random_below(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)seed * n >> 32);
}

/* ---- The pipeline ---- */

static char *
pipeline(const char *key_file)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fprintf(f,
		"instances:\n"
		"  wan: {class: interface, address: [198.51.100.7/24, '2001:db8::7/64']}\n"
		"  lan: {class: interface, address: 10.20.0.1/16}\n"
		"  wg0: {class: wireguard, listen: 51820, private_key: 'file:%s'}\n"
		"  path: {class: path}\n"
		"  router: {class: route, routes: {100.64.0.0/10: wg0.plain, 10.20.0.0/16: lan.ip}}\n"
		"  none: {class: drop}\n"
		"links:\n"
		"  - wan.udp -> wg0.cipher\n"
		"  - wan.ip -> none.in\n"
		"  - wg0.cipher -> path.in\n"
		"  - path.udp -> wan.ip\n"
		"  - wg0.plain -> router.in\n"
		"  - lan.ip -> router.in\n"
		"  - lan.udp -> none.in\n"
		"  - router.udp -> none.in\n"
		"netmap:\n",
		key_file);
	session_list(f, remotes, ALL);
	fclose(f);
	return text;
}

static void
open_session(uint32_t peer)
{
	const bool four = peer < MANY;
	struct tr_endpoint e = {.family = four ? 4 : 6, .remote_port = 20000, .local_port = 51820};

	memcpy(e.remote, four ? far.ip : far6.ip, 16);
	memcpy(e.local, four ? gateway.ip : gateway6.ip, 16);
	session_open(&remotes[peer], peer, &e);
}

static void
start(const char *plugins)
{
	char key_file[] = "/tmp/tailrace-key-XXXXXX";

	bench_must(crypto_init() == 0, "no cryptography");
	session_key_file(key_file);
	remotes = session_new(ALL);
	char *text = pipeline(key_file);
	box_start(plugins, text, 200000, 1);
	remove(key_file);
	free(text);
	box_settle();
	for (uint32_t i = 0; i < ALL; i++)
		open_session(i);
	for (int port = 0; port < BOX_PORTS; port++) {
		struct rte_mbuf **sent;
		uint32_t n = box_sent(port, &sent);
		box_release(sent, n);
	}
}

/* ---- Encrypting ---- */

/* IMIX: 28 packets of 64 bytes, 16 of 570, 4 of 1420 (1518 in the open, but a tunnel has less room). */
static uint16_t
size_of(const struct load *l)
{
	if (l->size != 0)
		return (uint16_t)l->size;
	uint32_t k = random_below(48);
	return k < 28 ? 64 : k < 44 ? 570 : 1420;
}

static uint16_t
padded(uint16_t size)
{
	uint16_t up = (uint16_t)((size + 15) / 16 * 16);
	return up > 1420 ? size : up;
}

/* Packets of the LAN to random peers, and what the engine alone would have to seal of them. */
static void
prepare_plain(const struct load *l, struct rte_mbuf **pkts)
{
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		uint32_t peer = l->first + random_below(l->peers);
		struct tr_addr to = session_inside(peer);
		const uint16_t size = size_of(l);
		pkts[i] = box_packet(i);
		box_udp(pkts[i], BOX_LAN, &host, 9, &to, 9, (uint16_t)(size - 28));
		aead[i] = (struct tr_aead){.key = remotes[peer].seals, .counter = i, .len = padded(size),
			.data = rte_pktmbuf_mtod_offset(pkts[i], uint8_t *, 14)};
	}
}

static uint64_t
raw(const struct load *l)
{
	uint64_t clocks[BURSTS];

	for (uint32_t i = 0; i < BURSTS; i++) {
		uint64_t begin = bench_clock();
		if (l->open)
			l->engine->open(l->worker, aead + i * BOX_BURST, BOX_BURST);
		else
			l->engine->seal(l->worker, aead + i * BOX_BURST, BOX_BURST);
		clocks[i] = bench_clock() - begin;
	}
	return bench_median(clocks, BURSTS) * BURSTS;
}

static uint64_t
encrypt(void *arg, uint64_t ops)
{
	static struct rte_mbuf *pkts[BOX_PACKETS];
	const struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare_plain(l, pkts);
		clocks += box_through(pkts, BOX_LAN, BOX_WAN);
	}
	return clocks;
}

static uint64_t
raw_seal(void *arg, uint64_t ops)
{
	static struct rte_mbuf *pkts[BOX_PACKETS];
	const struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare_plain(l, pkts);
		clocks += raw(l);
	}
	return clocks;
}

/* ---- Decrypting ---- */

/* Sealed packets of random peers to the LAN. */
static void
prepare_sealed(const struct load *l, struct rte_mbuf **pkts)
{
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		struct session *r = &remotes[l->first + random_below(l->peers)];
		const uint16_t size = size_of(l), len = padded(size);
		const uint32_t type = MESSAGE_DATA;
		struct tr_addr from = session_inside((uint32_t)(r - remotes));
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64, .next_proto_id = IPPROTO_UDP,
			.total_length = rte_cpu_to_be_16(size)};
		pkts[i] = box_packet(i);
		uint8_t *p = box_udp(pkts[i], BOX_WAN, &far, 20000, &gateway, 51820, (uint16_t)(len + 32));
		memcpy(p, &type, 4);
		memcpy(p + 4, &r->theirs, 4);
		memcpy(p + 8, &r->counter, 8);
		memcpy(&ip.src_addr, from.ip, 4);
		memcpy(&ip.dst_addr, host.ip, 4);
		ip.hdr_checksum = tr_sum_fold(tr_sum(0, &ip, sizeof(ip)));
		memcpy(p + 16, &ip, sizeof(ip));
		aead[i] = (struct tr_aead){.key = r->opens, .counter = r->counter++, .data = p + 16, .len = len};
	}
	for (uint32_t i = 0; i < BOX_PACKETS; i += BOX_BURST)
		l->engine->seal(l->worker, aead + i, BOX_BURST);
}

static uint64_t
decrypt(void *arg, uint64_t ops)
{
	static struct rte_mbuf *pkts[BOX_PACKETS];
	const struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare_sealed(l, pkts);
		clocks += box_through(pkts, BOX_WAN, BOX_LAN);
	}
	return clocks;
}

static uint64_t
raw_open(void *arg, uint64_t ops)
{
	static struct rte_mbuf *pkts[BOX_PACKETS];
	const struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare_sealed(l, pkts);
		clocks += raw(l);
	}
	return clocks;
}

/* ---- */

/* The first packet each way resolves the neighbour; and what comes out of a session must open. */
static void
warm_up(const struct load *l)
{
	static struct rte_mbuf *pkts[BOX_PACKETS];
	struct rte_mbuf **sent;
	uint8_t plain[2048];

	prepare_plain(l, pkts);
	box_feed(BOX_LAN, pkts, 1);
	box_settle();
	uint32_t n = box_sent(BOX_WAN, &sent);
	bench_must(n > 0, "nothing came out sealed");
	const size_t outer = l->first < MANY ? 14 + 28 : 14 + 48;
	const uint8_t *msg = rte_pktmbuf_mtod_offset(sent[n - 1], const uint8_t *, outer);
	uint64_t counter;
	memcpy(&counter, msg + 8, sizeof(counter));
	bench_must(core_crypto.open(plain, aead[0].key, counter, msg + 16, sent[n - 1]->data_len - outer - 16, NULL, 0),
		"what came out does not open");
	box_release(sent, n);
	if (l->first >= MANY)
		return;
	prepare_sealed(l, pkts);
	box_feed(BOX_WAN, pkts, 1);
	box_settle();
	n = box_sent(BOX_LAN, &sent);
	bench_must(n > 0 && (l->size == 0 || sent[n - 1]->data_len == 14 + l->size), "nothing came out in clear");
	box_release(sent, n);
}

/* Where the clocks of one load go: --nodes. */
static void
prepare_nodes(void *arg)
{
	const struct load *l = arg;

	if (l->open)
		prepare_sealed(l, nodes_pkts);
	else
		prepare_plain(l, nodes_pkts);
}

static void
run_nodes(void *arg)
{
	const struct load *l = arg;

	box_through(nodes_pkts, l->open ? BOX_WAN : BOX_LAN, l->open ? BOX_LAN : BOX_WAN);
}

static void
by_node(struct load *l, const char *figure)
{
	uint64_t clocks[BOX_RUNS];
	struct box_node node[BOX_NODES];
	double sum = 0;

	for (unsigned r = 0; r < BOX_RUNS; r++)
		clocks[r] = (l->open ? raw_open : raw_seal)(l, BOX_PACKETS);
	bench_median(clocks, BOX_RUNS);
	printf("%s, clocks per packet\n  %-20s %8.1f\n", figure, l->engine->name, (double)clocks[BOX_RUNS / 4] / BOX_PACKETS);
	unsigned n = box_nodes(prepare_nodes, run_nodes, l, BOX_RUNS, node);
	for (unsigned k = 0; k < n; k++) {
		printf("  %-20s %8.1f\n", node[k].name, node[k].clocks);
		sum += node[k].clocks;
	}
	printf("  %-20s %8.1f\n", "sum", sum);
}

static void
against_raw(const struct load *base, const char *what, bool open, uint32_t size, const char *goal)
{
	struct load l = *base;
	char figure[64];

	l.size = size;
	l.open = open;
	snprintf(figure, sizeof(figure), "%s %s above %s", open ? "decrypt" : "encrypt", what, l.engine->name);
	if (!bench_wanted(figure))
		return;
	warm_up(&l);
	if (bench_by_node()) {
		by_node(&l, figure);
		return;
	}
	bench_pair(&(struct bench_pair){.figure = figure, .step = BOX_PACKETS, .goal = goal,
		.ours = {"gateway", open ? decrypt : encrypt, &l}, .reference = {l.engine->name, open ? raw_open : raw_seal, &l}});
}

static void
ipv6_outside(const struct load *base)
{
	struct load four = *base, six = *base;
	static const char figure[] = "encrypt 1420 B, IPv6 outside";

	four.size = six.size = 1420;
	six.first = MANY;
	if (!bench_wanted(figure))
		return;
	warm_up(&four);
	warm_up(&six);
	if (bench_by_node()) {
		by_node(&six, figure);
		return;
	}
	bench_pair(&(struct bench_pair){.figure = figure, .step = BOX_PACKETS, .goal = "<= 110", .ours = {"IPv6", encrypt, &six},
		.reference = {"IPv4", encrypt, &four}});
}

/* Every packet to another of all peers, against all of them to one. */
static void
many_peers(const struct load *base, bool open, uint32_t size)
{
	struct load many = *base, one = *base;
	char figure[64];

	many.size = one.size = size;
	many.open = one.open = open;
	many.peers = MANY;
	one.peers = 1;
	snprintf(figure, sizeof(figure), "%s %u B, 100 k peers against one", open ? "decrypt" : "encrypt", size);
	if (!bench_wanted(figure))
		return;
	warm_up(&many);
	if (bench_by_node()) {
		by_node(&many, figure);
		return;
	}
	bench_pair(&(struct bench_pair){.figure = figure, .step = BOX_PACKETS, .goal = size < 512 ? "ratio <= 1.6" : "ratio <= 1.3",
		.ours = {"100 k", open ? decrypt : encrypt, &many}, .reference = {"one", open ? decrypt : encrypt, &one}});
}

static const uint32_t sizes[] = {64, 512, 1420};

/* What every figure of the gateway includes of a driver's: a worker that only passes on what comes in. */
static void
port_alone(const struct load *base)
{
	static struct rte_mbuf *pkts[BOX_PACKETS];
	uint64_t clocks[BOX_RUNS];
	char figure[32];

	for (unsigned s = 0; s < 3; s++) {
		struct load l = *base;
		l.size = sizes[s];
		snprintf(figure, sizeof(figure), "empty forward %u B", sizes[s]);
		for (unsigned r = 0; bench_wanted(figure) && r < BOX_RUNS; r++) {
			prepare_plain(&l, pkts);
			clocks[r] = box_port_alone(pkts, BOX_LAN);
		}
		if (bench_wanted(figure))
			bench_value(figure, (double)bench_median(clocks, BOX_RUNS) / BOX_PACKETS, "clocks", NULL);
	}
}

/* What is not the AEAD's: above the engine that the gateway uses, and above ipsec-mb, which other gateways would. */
static void
above(const struct load *base, const char *engine)
{
	static const char *const goals[2][3] = {{"<= 140", "", "<= 150"}, {"<= 200", "", "<= 210"}};
	struct load l = *base;
	char what[16];

	l.engine = aead_choose(engine);
	bench_must(l.engine != NULL, "no such AEAD engine");
	l.worker = l.engine->worker_new();
	for (unsigned open = 0; open < 2; open++) {
		for (unsigned s = 0; s < 3; s++) {
			snprintf(what, sizeof(what), "%u B", sizes[s]);
			against_raw(&l, what, open, sizes[s], goals[open][s]);
		}
		if (engine == NULL)
			against_raw(&l, "IMIX", open, 0, "ratio <= 1.6");
	}
	l.engine->worker_free(l.worker);
}

int
main(int argc, char **argv)
{
	struct load l = {.peers = PEERS};

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	const bool memif = box_option(&argc, argv);
	start(PLUGINS); /* before the pinning, which threads inherit */
	bench_init(memif ? "gateway-memif" : "gateway", argc, argv);
	bench_note(box_port_kind());
	if (memif && !bench_by_node())
		port_alone(&l);
	above(&l, NULL);
	if (!bench_by_node())
		above(&l, "ipsec-mb");
	l.engine = aead_choose(NULL);
	l.worker = l.engine->worker_new();
	ipv6_outside(&l);
	for (unsigned k = 0; k < 6; k++)
		many_peers(&l, k / 3, sizes[k % 3]);
	l.engine->worker_free(l.worker);
	box_stop();
	free(remotes);
	return bench_end();
}
