/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Longest-prefix match: clocks per look-up by number of rules, bursts of 32, uniform random addresses of the rules. Each
 * row is a ratio to one rule, measured alternately in the same run; medians of 9.
 */
#include "bench.h"
#include "net/lpm.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define BURST 32
#define LOOKUPS (1u << 18)

static uint64_t seed = 88172645463325252ull;

static uint32_t
rnd(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32);
}

static void
put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (uint8_t)(v >> (24 - 8 * i));
}

enum shape { TAILNET4, TAILNET6, INTERNET4, SHAPES };
/* Random /32 in 100.64.0.0/10; random /128 in fd7a:115c:a1e0::/48; 60 % /24, else /16../23, in 1.0.0.0-223.255.255.255. */
static const char *const shape_name[] = {"tailnet IPv4", "tailnet IPv6", "internet IPv4"};

static struct tr_prefix
rule(enum shape shape)
{
	struct tr_prefix p = {.addr.family = shape == TAILNET6 ? 6 : 4};

	switch (shape) {
	case TAILNET4:
		put32(p.addr.ip, 100u << 24 | 64u << 16 | (rnd() & 0x3fffff));
		p.len = 32;
		break;
	case TAILNET6:
		memcpy(p.addr.ip, "\xfd\x7a\x11\x5c\xa1\xe0", 6);
		put32(p.addr.ip + 6, rnd());
		put32(p.addr.ip + 12, rnd());
		p.len = 128;
		break;
	default:
		p.len = (uint8_t)(rnd() % 10 < 6 ? 24 : 16 + rnd() % 8);
		put32(p.addr.ip, ((1 + rnd() % 223) << 24 | (rnd() & 0xffffff)) & ~0u << (32 - p.len));
	}
	return p;
}

struct table {
	struct lpm *l;
	uint8_t (*addr)[16];
	const uint8_t **ptr;
	double add_us;
	enum shape shape;
};

static struct table
fill(enum shape shape, uint32_t rules)
{
	struct table t = {.l = lpm_new(rules), .addr = calloc(LOOKUPS, 16), .ptr = calloc(LOOKUPS, sizeof(uint8_t *))};
	struct tr_prefix *made = calloc(rules, sizeof(*made));
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (uint32_t i = 0; i < rules; i++) {
		made[i] = rule(shape);
		if (lpm_set(t.l, &made[i], i + 1))
			exit(1);
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	t.add_us = ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / 1e3 / rules;
	t.shape = shape;
	for (uint32_t i = 0; i < LOOKUPS; i++) {
		memcpy(t.addr[i], made[rnd() % rules].addr.ip, 16);
		t.ptr[i] = t.addr[i];
	}
	free(made);
	return t;
}

static void
empty(struct table *t)
{
	lpm_free(t->l);
	free(t->addr);
	free(t->ptr);
}

static uint64_t
look_up(void *arg, uint64_t ops)
{
	const struct table *t = arg;
	uint32_t value[BURST];

	for (uint64_t i = 0; i < ops; i += BURST)
		(t->shape == TAILNET6 ? lpm_find6 : lpm_find4)(t->l, t->ptr + i % LOOKUPS, BURST, value);
	return 0;
}

int
main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1000, 100000, 1000000};

	bench_init("lpm", argc, argv);
	for (enum shape s = 0; s < SHAPES; s++) {
		struct table one = fill(s, 1);
		for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
			struct table t = fill(s, sizes[k]);
			char figure[64];
			snprintf(figure, sizeof(figure), "%s, %u rules", shape_name[s], lpm_count(t.l));
			bench_pair(&(struct bench_pair){.figure = figure, .op = "look-up", .step = BURST,
				.ours = {"many rules", look_up, &t}, .reference = {"one rule", look_up, &one}});
			if (k + 1 == sizeof(sizes) / sizeof(sizes[0])) {
				snprintf(figure, sizeof(figure), "%s, adding one of them", shape_name[s]);
				bench_value(figure, t.add_us, "us", NULL);
				snprintf(figure, sizeof(figure), "%s, memory of each", shape_name[s]);
				bench_value(figure, (double)lpm_memory(t.l) / lpm_count(t.l), "bytes", NULL);
			}
			empty(&t);
		}
		empty(&one);
	}
	return bench_end();
}
