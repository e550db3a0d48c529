/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A routing table of 1 M IPv4 and 250 k IPv6 prefixes over 500 next hops: how long a file of them takes to load, what they cost in
 * memory, how long one more and one less take, each alone, among them; and what a packet costs that is forwarded by them,
 * above the port, beside one that is forwarded by one route.
 */
#include "bench.h"
#include "box_figure.h"
#include "net/route.h"
#include "plugin/loader.h"
#include "runtime/rcu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define ROUTES4 1000000u
#define ROUTES6 250000u
#define HOPS 250u /* of each family, all on the wan */
#define CHANGES 20000

static uint64_t seed = 88172645463325252ull;
static uint64_t took[2 * CHANGES];
static char path[] = "/tmp/routes-XXXXXX";
/* Addresses that the table leads to, uniformly chosen among its prefixes. */
static struct tr_addr to4[BOX_PACKETS], to6[BOX_PACKETS];

static uint32_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static uint64_t
ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The k-th of a stream keeps a place with the probability that each had (reservoir sampling). */
static void
remember(struct tr_addr *to, uint32_t k, const struct tr_addr *a)
{
	uint32_t at = k < BOX_PACKETS ? k : rnd() % (k + 1);
	if (at < BOX_PACKETS)
		to[at] = *a;
}

/* Lengths as in the Internet's tables: mostly /24, and /48. */
static void
write_file(FILE *f)
{
	struct tr_addr a = {.family = 4};
	for (uint32_t k = 0; k < ROUTES4; k++) {
		unsigned len = rnd() % 10 < 6 ? 24 : 17 + rnd() % 7;
		uint32_t net = ((11 + rnd() % 180) << 24 | (rnd() & 0xffffff)) & ~0u << (32 - len);
		if (net >> 24 == 127)
			net ^= 1u << 24;
		fprintf(f, "%u.%u.%u.%u/%u wan.ip via 198.51.100.%u\n", net >> 24, net >> 16 & 255, net >> 8 & 255, net & 255, len,
			2 + rnd() % HOPS);
		uint32_t host = __builtin_bswap32(net | (rnd() & ~(~0u << (32 - len))));
		memcpy(a.ip, &host, 4);
		remember(to4, k, &a);
	}
	a = (struct tr_addr){.family = 6};
	for (uint32_t k = 0; k < ROUTES6; k++) {
		uint32_t net[3] = {0x2000 | (rnd() & 0xfff), rnd() & 0xffff, rnd() & 0xffff};
		if (net[0] == 0x2001)
			net[0] = 0x2002;
		fprintf(f, "%x:%x:%x::/48 wan.ip via 2001:db8:1::%x\n", net[0], net[1], net[2], 2 + rnd() % HOPS);
		for (unsigned i = 0; i < 3; i++)
			a.ip[2 * i] = (uint8_t)(net[i] >> 8), a.ip[2 * i + 1] = (uint8_t)net[i];
		a.ip[15] = (uint8_t)rnd();
		remember(to6, k, &a);
	}
	fflush(f);
}

/* ---- The table alone ---- */

static int
gate(void *arg, const char *name)
{
	return 1;
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static bool
change(struct route_table *t)
{
	for (unsigned k = 0; k < CHANGES; k++) {
		struct tr_prefix p = {.addr = {.family = 4, .ip = {(uint8_t)(1 + rnd() % 126), (uint8_t)rnd(), (uint8_t)rnd(), 77}}, .len = 32};
		struct tr_addr via = {.family = 4, .ip = {10, (uint8_t)rnd(), 1, 1}};
		uint64_t start = ns();
		if (route_table_add(t, &p, 1, &via) != 0)
			return false;
		took[2 * k] = ns() - start;
		start = ns();
		if (route_table_del(t, &p) != 0)
			return false;
		took[2 * k + 1] = ns() - start;
	}
	qsort(took, 2 * CHANGES, sizeof(*took), compare);
	return true;
}

struct alone {
	double load;
	struct route_counts counts;
};

static bool
table_alone(struct alone *a)
{
	static const struct route_gate gates[2] = {{0}, {1500, true}};
	char why[300] = "out of memory";
	if (rcu_init() != 0)
		return false;
	struct route_table *t = route_table_new(ROUTES4 + ROUTES6, gates);
	uint64_t start = ns();
	bool ok = t != NULL && route_file_read(t, path, gate, NULL, why, sizeof(why));
	a->load = (double)(ns() - start) / 1e9;
	if (ok) {
		a->counts = route_table_counts(t);
		ok = change(t);
	}
	if (!ok)
		fprintf(stderr, "%s\n", why);
	if (t != NULL)
		route_table_free(t);
	rcu_fini();
	return ok;
}

/* ---- Forwarding ---- */

/* From the LAN by all routes, from the WAN by one of each family. */
static const char pipeline[] =
	"instances:\n"
	"  wan: {class: interface, address: [198.51.100.1/24, \"2001:db8:1::1/64\"]}\n"
	"  lan: {class: interface, address: [10.20.0.1/16, \"2001:db8:2::1/64\"], gateway: [10.20.0.2, \"2001:db8:2::2\"]}\n"
	"  many: {class: route, routes: {198.51.100.0/24: wan.ip}, file: %s}\n"
	"  one: {class: route, routes: {0.0.0.0/0: lan.ip, \"::/0\": lan.ip}}\n"
	"  none: {class: drop}\n"
	"links: [wan.udp -> none.in, lan.udp -> none.in, wan.ip -> one.in, lan.ip -> many.in, many.udp -> none.in, one.udp -> none.in]\n";

struct kind {
	const char *figure;
	enum box_port in, out;
	const struct tr_addr *to;
};

static void
prepare(const void *arg, struct rte_mbuf **pkts)
{
	static const struct tr_addr far4 = {.family = 4, .ip = {198, 51, 100, 9}}, near4 = {.family = 4, .ip = {10, 20, 0, 9}},
	    far6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, 0, 1, [15] = 9}}, near6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, 0, 2, [15] = 9}};
	const struct kind *k = arg;
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		bool v6 = k->to[i].family == 6;
		pkts[i] = box_packet(i);
		box_udp(pkts[i], k->in, k->in == BOX_LAN ? v6 ? &near6 : &near4 : v6 ? &far6 : &far4, (uint16_t)(1024 + i), &k->to[i], 9,
			v6 ? 64 - 48 : 64 - 28);
	}
}

static void
forward(void)
{
	static const struct kind kinds[] = {
		{"forward 64 B, IPv4, 1 route", BOX_WAN, BOX_LAN, to4},
		{"forward 64 B, IPv4, 1 M routes at random", BOX_LAN, BOX_WAN, to4},
		{"forward 64 B, IPv6, 1 route", BOX_WAN, BOX_LAN, to6},
		{"forward 64 B, IPv6, 250 k routes at random", BOX_LAN, BOX_WAN, to6},
	};
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		box_above_ports(&(struct box_figure){kinds[i].figure, NULL, kinds[i].in, kinds[i].out, prepare, &kinds[i]});
}

int
main(int argc, char **argv)
{
	char text[sizeof(pipeline) + sizeof(path)];
	struct alone a;
	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	if (f == NULL)
		return 1;
	write_file(f);
	fclose(f);
	bool ok = table_alone(&a);
	if (ok) {
		snprintf(text, sizeof(text), pipeline, path);
		box_start(PLUGINS, text, 16, 1);
	}
	unlink(path);
	if (!ok)
		return 1;
	bench_init("routes", argc, argv);
	bench_note(box_port_kind());
	bench_value("routes loaded from a file", a.counts.pipeline + a.counts.added, "routes", "");
	bench_value("time to load them", a.load, "s", "<= 5");
	bench_value("memory of a route", (double)a.counts.memory / (a.counts.pipeline + a.counts.added), "B", "");
	bench_value("one route more or less among them, median", (double)took[CHANGES] / 1e6, "ms", "<= 1");
	bench_value("the slowest of 40,000 changes", (double)took[2 * CHANGES - 1] / 1e6, "ms", "");
	forward();
	box_stop();
	return bench_end();
}
