/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A routing table of 1 M IPv4 and 250 k IPv6 prefixes over 1,000 next hops: how long a file of them takes to load, what
 * they cost in memory, and how long one more and one less take, each alone, among them.
 */
#include "net/route.h"

#include "control/rcu.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define ROUTES4 1000000u
#define ROUTES6 250000u
#define CHANGES 20000

static uint64_t seed = 88172645463325252ull;
static uint64_t took[2 * CHANGES];

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

static int
gate(void *arg, const char *name)
{
	return name[0] - 'a';
}

/* Lengths as in the Internet's tables: mostly /24, and /48. */
static void
write_file(FILE *f)
{
	for (uint32_t k = 0; k < ROUTES4; k++) {
		unsigned len = rnd() % 10 < 6 ? 24 : 17 + rnd() % 7;
		uint32_t a = ((1 + rnd() % 223) << 24 | (rnd() & 0xffffff)) & ~0u << (32 - len);
		if (a >> 24 == 127)
			a ^= 1u << 24;
		fprintf(f, "%u.%u.%u.%u/%u b via 10.%u.0.1\n", a >> 24, a >> 16 & 255, a >> 8 & 255, a & 255, len, rnd() % 1000 & 255);
	}
	for (uint32_t k = 0; k < ROUTES6; k++)
		fprintf(f, "2%03x:%x:%x::/48 c via fe80::%x\n", rnd() & 0xfff, rnd() & 0xffff, rnd() & 0xffff, rnd() % 1000);
	fflush(f);
}

static int
compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

int
main(int argc, char **argv)
{
	static const struct route_gate gates[3] = {{0}, {1500, true}, {1420, false}};
	char path[] = "/tmp/routes-XXXXXX", why[300];
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
	bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
	if (f == NULL || rcu_init() != 0)
		return 1;
	write_file(f);
	struct route_table *t = route_table_new(ROUTES4 + ROUTES6, gates);
	uint64_t start = ns();
	if (t == NULL || !route_file_read(t, path, gate, NULL, why, sizeof(why))) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	double load = (double)(ns() - start) / 1e9;
	fclose(f);
	unlink(path);
	struct route_counts c = route_table_counts(t);
	for (unsigned k = 0; k < CHANGES; k++) {
		struct tr_prefix p = {.addr = {.family = 4, .ip = {(uint8_t)(1 + rnd() % 126), (uint8_t)rnd(), (uint8_t)rnd(), 77}}, .len = 32};
		struct tr_addr via = {.family = 4, .ip = {10, (uint8_t)rnd(), 1, 1}};
		start = ns();
		if (route_table_add(t, &p, 1, &via) != 0)
			return 1;
		took[2 * k] = ns() - start;
		start = ns();
		if (route_table_del(t, &p) != 0)
			return 1;
		took[2 * k + 1] = ns() - start;
	}
	qsort(took, 2 * CHANGES, sizeof(*took), compare);
	double median = (double)took[CHANGES] / 1e3, p999 = (double)took[2 * CHANGES - 2 * CHANGES / 1000] / 1e3,
	       worst = (double)took[2 * CHANGES - 1] / 1e3, mib = (double)c.memory / 1048576;
	if (json)
		printf("{\"routes\": %u, \"load_s\": %.2f, \"memory_mib\": %.0f, \"change_us\": %.2f, \"change_p999_us\": %.1f, "
		       "\"change_worst_us\": %.1f}\n", c.added, load, mib, median, p999, worst);
	else
		printf("%u routes over %u next hops: loaded in %.2f s, %.0f MiB; one changed in %.2f us (99.9 %%: %.1f, worst of %u: %.1f)\n",
			c.added, c.hops, load, mib, median, p999, 2 * CHANGES, worst);
	route_table_free(t);
	rcu_fini();
	return 0;
}
