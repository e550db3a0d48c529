/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The generator beside the gateway that it loads: both in one engine, on one worker, their two ports cabled to each other. All sessions
 * are opened by real handshakes; then each packet is made and sealed by one, opened and sealed anew by the gateway, and opened and
 * verified by the next. So both sides seal and open once a packet, and each has an interface and a path. As fast as it goes: a burst
 * is always due. Fewer sessions than were opened: the others are left alone.
 *
 * usage: bench-pktgen [--sessions N] and what all benchmarks take; --nodes: by node
 */
#include "../../plugins/features/pktgen/pktgen.h"
#include "bench.h"
#include "box.h"
#include "crypto/aead.h"
#include "plugin/loader.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEED 1
#define MANY 100000
#define JOBS 16 /* at once: with more the gateway counts itself under load, and takes 20 handshakes a second from an address */
#define TURNS 32 /* of a burst each */

static const struct tr_addr inside = {.family = 4, .ip = {100, 64, 0, 2}};
static struct pktgen *gen;
static uint32_t many = MANY;

/* ---- The pipeline ---- */

static char *
base64(const uint8_t key[32], char text[64])
{
	return sodium_bin2base64(text, 64, key, 32, sodium_base64_VARIANT_ORIGINAL);
}

static void
write_peers(FILE *f)
{
	uint8_t secret[32], public_key[32];
	char a[64];

	fputs("netmap:\n  peers:\n", f);
	for (uint32_t n = 0; n < many; n++) {
		const struct tr_addr at = probe_address(&inside, n);
		session_secret(&core_crypto, SEED, n, secret);
		core_crypto.public_key(public_key, secret);
		fprintf(f, "    p%u: {public_key: %s, allowed_ips: [%u.%u.%u.%u/32]}\n", n, base64(public_key, a), at.ip[0], at.ip[1], at.ip[2],
			at.ip[3]);
	}
}

static char *
pipeline(const char *key_file, const uint8_t public_key[32])
{
	char *text = NULL, a[64];
	size_t size;
	FILE *f = open_memstream(&text, &size);

	bench_must(f != NULL, "out of memory");
	fprintf(f, "instances:\n"
		"  wan: {class: interface, address: 198.51.100.7/24}\n"
		"  wg0: {class: wireguard, listen: 51820, private_key: 'file:%s'}\n"
		"  path: {class: path}\n"
		"  router: {class: route, routes: {100.64.0.0/10: wg0.plain}}\n"
		"  lan: {class: interface, address: 198.51.100.2/24}\n"
		"  far: {class: path}\n"
		"  none: {class: drop}\n"
		"  gen: {class: pktgen, target: '198.51.100.7:51820', public_key: %s, seed: %d, sessions: %u, inside: 100.64.0.2,\n"
		"    sink: 10.20.0.99, direction: through, rate: 100M, open_rate: 1,\n"
		"    from: 198.51.100.2}\n"
		"links: [wan.udp -> wg0.cipher, wan.ip -> none.in, wg0.cipher -> path.in, path.udp -> wan.ip, wg0.plain -> router.in,\n"
		"  router.udp -> none.in, lan.udp -> gen.cipher, lan.ip -> none.in, gen.cipher -> far.in, far.udp -> lan.ip]\n",
		key_file, base64(public_key, a), SEED, many);
	write_peers(f);
	fclose(f);
	return text;
}

static void
turns(unsigned n)
{
	while (n-- > 0) {
		box_turn();
		box_cable();
	}
}

static void
open_sessions(void *arg)
{
	const uint64_t begin = measure_ns();

	gen->o.open_rate = SECOND; /* till now nobody was there to answer */
	while (meter_get(&gen->up) < many) {
		gen->next_open = box_jobs() < (meter_get(&gen->up) ? JOBS : 1) ? 0 : UINT64_MAX; /* neighbours, first */
		turns(1);
		bench_must(measure_ns() - begin < 300 * SECOND, "not all sessions were opened within 300 s");
	}
	fprintf(stderr, "%u sessions opened in %.1f s\n", many, (double)(measure_ns() - begin) / 1e9);
}

static void
start(void)
{
	char key_file[] = "/tmp/tailrace-key-XXXXXX", a[64];
	uint8_t secret[32], public_key[32];

	bench_must(crypto_init() == 0, "no cryptography");
	core_crypto.random(secret, sizeof(secret));
	core_crypto.public_key(public_key, secret);
	const int fd = mkstemp(key_file);
	bench_must(fd >= 0 && dprintf(fd, "%s\n", base64(secret, a)) > 0 && close(fd) == 0, "cannot write a key file");
	char *text = pipeline(key_file, public_key);
	box_start(PLUGINS, text, many + 10, 1);
	remove(key_file);
	free(text);
	gen = box_self("gen");
}

/* ---- Figures ---- */

static bool
generators(const struct box_node *n)
{
	static const char *const mine[] = {"gen.", "far.", "lan."};

	for (unsigned i = 0; i < sizeof(mine) / sizeof(*mine); i++)
		if (strncmp(n->name, mine[i], strlen(mine[i])) == 0)
			return true;
	return false;
}

/* Clocks of one side's nodes for so many packets: those of the median turn, which moves a burst all the way. */
static uint64_t
side(bool generator, uint64_t ops)
{
	struct box_node node[BOX_NODES];
	uint64_t clocks[TURNS], all = 0;

	for (uint64_t done = 0; done < ops; done += BURST * TURNS) {
		for (unsigned t = 0; t < TURNS; t++) {
			box_clock(true);
			turns(1);
			box_clock(false);
			clocks[t] = 0;
			for (unsigned i = 0, n = box_clocks(node); i < n; i++)
				if (generators(&node[i]) == generator)
					clocks[t] += (uint64_t)node[i].clocks;
		}
		all += bench_median(clocks, TURNS) * TURNS;
	}
	return all;
}

static uint64_t
run_generator(void *arg, uint64_t ops)
{
	return side(true, ops);
}

static uint64_t
run_gateway(void *arg, uint64_t ops)
{
	return side(false, ops);
}

static void
by_node(const char *figure)
{
	static uint64_t clocks[BOX_NODES][16 * TURNS];
	struct box_node node[BOX_NODES];
	unsigned n = 0;

	for (unsigned t = 0; t < 16 * TURNS; t++) {
		box_clock(true);
		turns(1);
		box_clock(false);
		n = box_clocks(node);
		for (unsigned i = 0; i < n; i++)
			clocks[i][t] = (uint64_t)node[i].clocks;
	}
	printf("%s: TSC clocks per packet\n", figure);
	for (unsigned i = 0; i < n; i++) {
		const uint64_t median = bench_median(clocks[i], 16 * TURNS);
		if (median > 0)
			printf("  %-20s %8.1f\n", node[i].name, (double)median / BURST);
	}
}

static void
figure(uint32_t sessions, uint32_t size)
{
	static uint32_t runs;
	char name[64], text[16];

	snprintf(name, sizeof(name), "%u B, %u session%s", size, sessions, sessions == 1 ? "" : "s");
	if (!bench_wanted(name))
		return;
	gen->o.sessions = sessions;
	gen->next = gen->scan = 0;
	snprintf(text, sizeof(text), "%u", size);
	bench_must(sizes_set(&gen->sizes, text, 0, 1420, name, 0), "no size");
	atomic_store(&gen->run.wanted, ++runs);
	do
		turns(TURNS); /* neighbours, caches, and each session once */
	while (meter_get(&gen->meter[THROUGH].sent) < sessions);
	if (bench_by_node())
		by_node(name);
	else
		bench_pair(&(struct bench_pair){.figure = name, .goal = "<= 0", .step = BURST * TURNS, .ours = {"generator", run_generator, NULL},
			.reference = {"gateway", run_gateway, NULL}});
	atomic_store(&gen->run.wanted, 0);
	turns(TURNS);
	const struct meter *m = &gen->meter[THROUGH];
	if (meter_lost(m) + meter_get(&m->duplicates) + meter_get(&m->reordered) + meter_get(&gen->counter_twice) != 0) {
		fprintf(stderr, "%s: of %lu sent %lu lost, %lu duplicates, %lu reordered\n", name, (unsigned long)meter_get(&m->sent),
			(unsigned long)meter_lost(m), (unsigned long)meter_get(&m->duplicates), (unsigned long)meter_get(&m->reordered));
		exit(1);
	}
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = {64, 512, 1420};
	uint32_t sessions[] = {1, 1000, 10000, 100000};

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	if (argc >= 3 && strcmp(argv[1], "--sessions") == 0) {
		many = (uint32_t)strtoul(argv[2], NULL, 10);
		bench_must(many >= 1 && many <= MANY, "--sessions: 1 to 100000");
		argv[2] = argv[0];
		argc -= 2;
		argv += 2;
	}
	start(); /* before the pinning, which threads inherit */
	bench_init("pktgen", argc, argv);
	bench_note(box_port_kind());
	box_control(open_sessions, NULL);
	for (unsigned k = 0; k < 4 && sessions[k] <= many; k++)
		for (unsigned i = 0; i < 3; i++)
			figure(sessions[k], sizes[i]);
	gen->o.sessions = many;
	box_stop();
	return bench_end();
}
