/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The whole gateway, from port to port, against the raw AEAD engine: lan -> route -> wireguard -> path -> wan and back, with the same keys,
 * buffers and lengths on both sides. 1,000 peers with counters of their own, chosen at random for every packet; 4,096
 * unaligned packets; bursts of 32.
 */
#include "bench.h"
#include "box.h"
#include "crypto/aead.h"
#include "plugin/loader.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PEERS 1000 /* that are reached over IPv4; and as many over IPv6 */
#define ALL (2 * PEERS)
#define HANDSHAKES 32 /* at once */
#define BURSTS (BOX_PACKETS / BOX_BURST)

struct remote {
	struct identity me;
	struct handshake hs;
	struct session_keys keys;
	uint32_t theirs;
	uint64_t counter;
};

struct load {
	const struct aead_engine *engine;
	void *worker;
	uint32_t size;
	bool open;
	uint32_t first; /* of the PEERS that take part */
};

static struct remote *remotes;
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

static struct tr_addr
inside(uint32_t peer)
{
	peer += 2;
	return (struct tr_addr){.family = 4, .ip = {100, (uint8_t)(64 + (peer >> 16)), (uint8_t)(peer >> 8), (uint8_t)peer}};
}

static uint64_t
wall_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

/* ---- The pipeline ---- */

static const char *
base64(const uint8_t key[32])
{
	static char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];

	return sodium_bin2base64(text, sizeof(text), key, 32, sodium_base64_VARIANT_ORIGINAL);
}

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
		"netmap:\n"
		"  peers:\n",
		key_file);
	for (uint32_t i = 0; i < ALL; i++) {
		struct tr_addr a = inside(i);
		fprintf(f, "    p%u: {public_key: %s, allowed_ips: [%u.%u.%u.%u/32]}\n", i, base64(remotes[i].me.public_key), a.ip[0],
			a.ip[1], a.ip[2], a.ip[3]);
	}
	fclose(f);
	return text;
}

static void
start(const char *plugins)
{
	uint8_t secret[32], public_key[32];
	char key_file[] = "/tmp/tailrace-key-XXXXXX";

	must(crypto_init() == 0, "no cryptography");
	core_crypto.keypair(secret, public_key);
	int fd = mkstemp(key_file);
	must(fd >= 0 && dprintf(fd, "%s\n", base64(secret)) > 0 && close(fd) == 0, "cannot write a key file");
	remotes = calloc(ALL, sizeof(*remotes));
	for (uint32_t i = 0; i < ALL; i++) {
		uint8_t unused[32];
		core_crypto.keypair(remotes[i].me.secret, unused);
		memcpy(remotes[i].me.remote, public_key, 32);
		must(identity_complete(&core_crypto, &remotes[i].me), "a key is no use");
	}
	char *text = pipeline(key_file);
	box_start(plugins, text, 200000);
	remove(key_file);
	free(text);
	box_settle();
	for (int port = 0; port < BOX_PORTS; port++) {
		struct rte_mbuf **sent;
		uint32_t n = box_sent(port, &sent);
		box_release(sent, n);
	}
}

/* ---- Sessions ---- */

static void
from_remote(struct rte_mbuf *m, uint32_t peer, const void *msg, uint16_t len)
{
	bool four = peer < PEERS;
	uint8_t *p = box_udp(m, BOX_WAN, four ? &far : &far6, 20000, four ? &gateway : &gateway6, 51820, len);

	memcpy(p, msg, len);
	if (!four)
		box_udp6_checksum(p, len);
}

static void
initiate(struct rte_mbuf *m, uint32_t peer)
{
	struct remote *r = &remotes[peer];
	uint8_t msg[HS_INITIATION], ephemeral[32], unused[32], timestamp[12];

	core_crypto.keypair(ephemeral, unused);
	hs_timestamp(timestamp, wall_ns());
	initiation_write(&core_crypto, &r->hs, &r->me, ephemeral, peer + 1, timestamp, msg);
	hs_mac(&core_crypto, msg, sizeof(msg), r->me.remote, NULL);
	from_remote(m, peer, msg, sizeof(msg));
}

static void
confirm(struct rte_mbuf *m, const uint8_t *response)
{
	uint32_t index = hs_get32(response + 8);
	uint8_t msg[32] = {HS_TYPE_DATA};

	must(index >= 1 && index <= ALL, "a response to nobody");
	struct remote *r = &remotes[index - 1];
	must(response_read(&core_crypto, &r->hs, &r->me, response, &r->keys), "a wrong response");
	r->theirs = hs_get32(response + 4);
	r->counter = 1;
	memcpy(msg + 4, &r->theirs, 4);
	core_crypto.seal(msg + 16, r->keys.send, 0, NULL, 0, NULL, 0);
	from_remote(m, index - 1, msg, sizeof(msg));
}

/* Takes the responses that came out, and feeds what confirms them. Returns how many there were. */
static uint32_t
take_responses(void)
{
	struct rte_mbuf **sent, *in[HANDSHAKES];
	uint32_t got = box_sent(BOX_WAN, &sent), n = 0;

	for (uint32_t i = 0; i < got && n < HANDSHAKES; i++) {
		const uint8_t *msg = rte_pktmbuf_mtod_offset(sent[i], const uint8_t *, sent[i]->data_len - HS_RESPONSE);
		if (sent[i]->data_len < 14 + 28 + HS_RESPONSE || msg[0] != HS_TYPE_RESPONSE)
			continue;
		in[n] = box_packet(HANDSHAKES + n);
		confirm(in[n++], msg);
	}
	box_release(sent, got);
	box_feed(BOX_WAN, in, n);
	box_settle();
	return n;
}

/* A handshake by PEERS remotes: a session lives for 180 s. */
static void
open_sessions(uint32_t begin)
{
	struct rte_mbuf *in[HANDSHAKES];

	for (uint32_t first = begin, n = 1; first < begin + PEERS; first += n, n = HANDSHAKES) { /* 1: resolves the neighbour */
		uint32_t answered = 0;
		if (n > begin + PEERS - first)
			n = begin + PEERS - first;
		for (uint32_t i = 0; i < n; i++) {
			in[i] = box_packet(i);
			initiate(in[i], first + i);
		}
		box_feed(BOX_WAN, in, n);
		for (int tries = 0; answered < n; tries++) {
			must(tries < 100000, "handshakes get no answer");
			usleep(20);
			box_settle();
			answered += take_responses();
		}
	}
}

/* ---- Encrypting ---- */

/* Packets of the LAN to random peers, and what the engine alone would have to seal of them. */
static void
prepare_plain(const struct load *l, struct rte_mbuf **pkts)
{
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		uint32_t peer = l->first + random_below(PEERS);
		struct tr_addr to = inside(peer);
		pkts[i] = box_packet(i);
		box_udp(pkts[i], BOX_LAN, &host, 9, &to, 9, (uint16_t)(l->size - 28));
		aead[i] = (struct tr_aead){.key = remotes[peer].keys.receive, .counter = i, .len = l->size,
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
	uint16_t padded = (uint16_t)((l->size + 15) / 16 * 16);
	if (padded > 1420)
		padded = (uint16_t)l->size;
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		struct remote *r = &remotes[random_below(PEERS)];
		const uint32_t type = HS_TYPE_DATA;
		struct tr_addr from = inside((uint32_t)(r - remotes));
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64, .next_proto_id = IPPROTO_UDP,
			.total_length = rte_cpu_to_be_16((uint16_t)l->size)};
		pkts[i] = box_packet(i);
		uint8_t *p = box_udp(pkts[i], BOX_WAN, &far, 20000, &gateway, 51820, (uint16_t)(padded + 32));
		memcpy(p, &type, 4);
		memcpy(p + 4, &r->theirs, 4);
		memcpy(p + 8, &r->counter, 8);
		memcpy(&ip.src_addr, from.ip, 4);
		memcpy(&ip.dst_addr, host.ip, 4);
		ip.hdr_checksum = tr_sum_fold(tr_sum(0, &ip, sizeof(ip)));
		memcpy(p + 16, &ip, sizeof(ip));
		aead[i] = (struct tr_aead){.key = r->keys.send, .counter = r->counter++, .data = p + 16, .len = padded};
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
	must(n > 0, "nothing came out sealed");
	const size_t outer = l->first < PEERS ? 14 + 28 : 14 + 48;
	const uint8_t *msg = rte_pktmbuf_mtod_offset(sent[n - 1], const uint8_t *, outer);
	must(core_crypto.open(plain, aead[0].key, hs_get64(msg + 8), msg + 16, sent[n - 1]->data_len - outer - 16, NULL, 0),
		"what came out does not open");
	box_release(sent, n);
	if (l->first >= PEERS)
		return;
	prepare_sealed(l, pkts);
	box_feed(BOX_WAN, pkts, 1);
	box_settle();
	n = box_sent(BOX_LAN, &sent);
	must(n > 0 && sent[n - 1]->data_len == 14 + l->size, "nothing came out in clear");
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
by_node(struct load *l, const char *figure)
{
	uint64_t clocks[BOX_RUNS];

	for (unsigned r = 0; r < BOX_RUNS; r++)
		clocks[r] = (l->open ? raw_open : raw_seal)(l, BOX_PACKETS);
	bench_median(clocks, BOX_RUNS);
	printf("%s, clocks per packet\n  %-20s %8.1f\n", figure, l->engine->name, (double)clocks[BOX_RUNS / 4] / BOX_PACKETS);
	box_nodes(nodes_pkts, l->open ? BOX_WAN : BOX_LAN, l->open ? BOX_LAN : BOX_WAN, prepare_nodes, l);
}

static void
against_raw(struct load *l)
{
	static const uint32_t sizes[] = {64, 512, 1420};
	static const char *const goals[2][3] = {{"<= 140", "", "<= 150"}, {"<= 200", "", "<= 210"}};

	for (int open = 0; open < 2; open++) {
		for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
			char figure[64];
			l->size = sizes[s];
			l->open = open;
			snprintf(figure, sizeof(figure), "%s %u B", open ? "decrypt" : "encrypt", sizes[s]);
			if (!bench_wanted(figure))
				continue;
			open_sessions(0);
			warm_up(l);
			if (bench_by_node()) {
				by_node(l, figure);
				continue;
			}
			bench_pair(&(struct bench_pair){.figure = figure, .step = BOX_PACKETS, .goal = goals[open][s],
				.ours = {"gateway", open ? decrypt : encrypt, l},
				.reference = {l->engine->name, open ? raw_open : raw_seal, l}});
		}
	}
}

static void
ipv6_outside(const struct load *base)
{
	struct load four = *base, six = *base;

	four.size = six.size = 1420;
	six.first = PEERS;
	if (!bench_wanted("encrypt 1420 B, IPv6 outside"))
		return;
	open_sessions(0);
	open_sessions(PEERS);
	warm_up(&four);
	warm_up(&six);
	if (bench_by_node()) {
		by_node(&six, "encrypt 1420 B, IPv6 outside");
		return;
	}
	bench_pair(&(struct bench_pair){.figure = "encrypt 1420 B, IPv6 outside", .step = BOX_PACKETS, .goal = "<= 110",
		.ours = {"IPv6", encrypt, &six}, .reference = {"IPv4", encrypt, &four}});
}

int
main(int argc, char **argv)
{
	struct load l = {.engine = NULL};

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	start(PLUGINS); /* before the pinning, which threads inherit: jobs have a CPU of their own */
	bench_init("gateway", argc, argv);
	l.engine = aead_choose(NULL);
	l.worker = l.engine->worker_new();
	against_raw(&l);
	l.open = false;
	ipv6_outside(&l);
	l.engine->worker_free(l.worker);
	box_stop();
	free(remotes);
	return bench_end();
}
