/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The AEAD engines against ipsec-mb: bursts of 32 with 1,000 keys, their own counters, and 4,096 unaligned buffers as far
 * apart as mbufs; then the chosen engine for every length and size of burst, and for bursts of mixed lengths. What the ports
 * of the CPU allow stands beside the engine for which core/README.md counts it.
 */
#include "bench.h"
#include "crypto/aead.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST 32
#define KEYS 1000
#define BUFFERS 4096
#define STRIDE 2304
#define MEMORY (BUFFERS * STRIDE)
#define MAX_BURST 256
#define TOGETHER 16 /* packets that are measured at once, at least */
#define PAIRS 9
#define MIXED 200

static uint8_t (*keys)[32], *memory;
static uint64_t counters[KEYS];
static bool json;

struct load {
	const struct aead_engine *engine;
	void *worker;
	uint32_t at; /* next buffer */
	uint32_t len, stride, seed;
	bool open;
};

static uint32_t
random_below(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)*seed * n >> 32);
}

static void
take_buffers(struct load *l, struct tr_aead *p, uint32_t n)
{
	if ((size_t)(l->at + n) * l->stride > MEMORY)
		l->at = 0;
	for (uint32_t i = 0; i < n; i++, l->at++) {
		uint32_t key = random_below(&l->seed, KEYS);
		p[i] = (struct tr_aead){.key = keys[key], .counter = counters[key]++, .len = l->len,
			.data = memory + (size_t)l->at * l->stride + 128 + l->at % 61};
	}
}

/* Clocks of some bursts of n, sealed; or sealed before and then opened. */
static uint64_t
bursts_clocks(struct load *l, struct tr_aead *p, uint32_t n, uint32_t some)
{
	uint64_t begin = bench_clock();

	for (uint32_t i = 0; i < n * some; i += n)
		l->engine->seal(l->worker, p + i, (uint16_t)n);
	if (!l->open)
		return bench_clock() - begin;
	begin = bench_clock();
	for (uint32_t i = 0; i < n * some; i += n)
		l->engine->open(l->worker, p + i, (uint16_t)n);
	uint64_t clocks = bench_clock() - begin;
	for (uint32_t i = 0; i < n * some; i++)
		if (!p[i].ok)
			abort();
	return clocks;
}

/* ---- Bursts of 32: all buffers are sealed before the first is opened, so that opening meets them cold too ---- */

static uint64_t
run(void *arg, uint64_t ops)
{
	static struct tr_aead p[BUFFERS];
	struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BUFFERS) {
		l->at = 0;
		take_buffers(l, p, BUFFERS);
		uint64_t begin = bench_clock();
		for (uint32_t i = 0; i < BUFFERS; i += BURST)
			l->engine->seal(l->worker, p + i, BURST);
		uint64_t middle = bench_clock();
		for (uint32_t i = 0; l->open && i < BUFFERS; i += BURST)
			l->engine->open(l->worker, p + i, BURST);
		clocks += l->open ? bench_clock() - middle : middle - begin;
		for (uint32_t i = 0; l->open && i < BUFFERS; i++)
			if (!p[i].ok)
				abort();
	}
	return clocks;
}

/* ---- The port bound ---- */

#define CHACHA_CLOCKS 535.0 /* 16 blocks of ChaCha20, or 16 of Poly1305, over two 512-bit ports: core/README.md */
#define POLY_CLOCKS 65.0
#define CHAIN 4096

/* The core's clocks in one of the TSC's, by a chain of multiplications: 3 of them each, on every CPU that has an engine. */
static double
core_clocks(void)
{
	uint64_t least = UINT64_MAX;

	for (int run = 0; run < 200; run++) {
		uint64_t x = bench_clock() | 1, begin = bench_clock();
		for (int i = 0; i < CHAIN; i++)
			__asm__ volatile("imul %0, %0" : "+r"(x));
		const uint64_t clocks = bench_clock() - begin;
		least = clocks < least ? clocks : least;
	}
	return 3.0 * CHAIN / (double)least;
}

static void
against_ports(const char *figure, uint32_t len, double clocks)
{
	const double bound = (double)((len + 63) / 64 + 1) / 16 * CHACHA_CLOCKS + (double)((len + 15) / 16 + 1) / 16 * POLY_CLOCKS;
	char text[96];

	snprintf(text, sizeof(text), "%s against the port bound", figure);
	bench_value(text, clocks * core_clocks() / bound, "x", len == 1424 ? "<= 1.4" : "");
}

static void
compare_sizes(const struct aead_engine *ours, const struct aead_engine *reference, bool open)
{
	static const uint32_t sizes[] = {64, 128, 256, 512, 1024, 1424};
	struct load a = {.engine = ours, .worker = ours->worker_new(), .stride = STRIDE, .open = open};
	struct load b = {.engine = reference, .worker = reference->worker_new(), .stride = STRIDE, .open = open};

	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		char figure[64];
		a.len = b.len = sizes[s];
		snprintf(figure, sizeof(figure), "%s %s %u B", ours->name, open ? "open" : "seal", sizes[s]);
		const struct bench_result r = bench_pair(&(struct bench_pair){.figure = figure, .step = BUFFERS, .ours = {ours->name, run, &a},
			.reference = {reference->name, run, &b}});
		if (r.ours > 0 && strcmp(ours->name, "ifma") == 0)
			against_ports(figure, sizes[s], r.ours);
	}
	ours->worker_free(a.worker);
	reference->worker_free(b.worker);
}

/* ---- Every length and size of burst ---- */

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Clocks of bursts like this one, the least of some: what disturbs a burst only adds. Short ones follow each other until the steps of the
 * clock, 4 % of the shortest, are small against them. len: of each packet, NULL: l->len.
 */
static double
least(struct load *l, uint32_t n, const uint32_t *len)
{
	struct tr_aead p[MAX_BURST];
	const uint32_t some = n < TOGETHER ? TOGETHER / n : 1;
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 5; i++) {
		take_buffers(l, p, n * some);
		for (uint32_t j = 0; len && j < n * some; j++)
			p[j].len = len[j % n];
		uint64_t clocks = bursts_clocks(l, p, n, some);
		best = clocks < best ? clocks : best;
	}
	return (double)best / some;
}

/* How many times faster: the median of the pairs. */
static double
speedup(struct load *a, struct load *b, uint32_t n, const uint32_t *len)
{
	double ratio[PAIRS];

	least(a, n, len);
	least(b, n, len);
	for (int i = 0; i < PAIRS; i++) {
		double ours = i % 2 ? least(a, n, len) : 0, other = least(b, n, len);
		ratio[i] = other / (i % 2 ? ours : least(a, n, len));
	}
	qsort(ratio, PAIRS, sizeof(*ratio), compare);
	return ratio[PAIRS / 2];
}

static const uint32_t lengths[] = {0, 1, 15, 16, 17, 63, 64, 65, 80, 128, 256, 575, 1024, 1424, 4096, 8960};
static const uint32_t bursts[] = {1, 2, 3, 7, 8, 15, 16, 31, 32, 64, MAX_BURST};
#define COUNT(a) (sizeof(a) / sizeof(*(a)))

/* Every cell; the noise of each row beside it is the worst cell of the reference against itself. */
static void
matrix(struct load *a, struct load *b)
{
	const char *verb = a->open ? "open" : "seal";
	char figure[64];

	snprintf(figure, sizeof(figure), "matrix %s", verb);
	if (!bench_wanted(figure))
		return;
	if (!json) {
		printf("\n%s, times as fast as %s\n%8s", verb, b->engine->name, "B\\burst");
		for (size_t i = 0; i < COUNT(bursts); i++)
			printf("%6u", bursts[i]);
		printf("   noise");
	}
	for (size_t l = 0; l < COUNT(lengths); l++) {
		struct load same;
		double worst = 1e9, noise = 1e9;
		a->len = b->len = lengths[l];
		a->stride = b->stride = 128 + 64 + ((lengths[l] + 16 + 63) & ~63u);
		a->at = b->at = 0;
		same = *b;
		if (!json)
			printf("\n%8u", lengths[l]);
		for (size_t i = 0; i < COUNT(bursts); i++) {
			double x = speedup(a, b, bursts[i], NULL);
			const double itself = speedup(&same, b, bursts[i], NULL);
			worst = x < worst ? x : worst;
			noise = itself < noise ? itself : noise;
			if (!json)
				printf("%6.2f", x);
			fflush(stdout);
		}
		if (!json)
			printf("%8.2f", noise);
		snprintf(figure, sizeof(figure), "matrix %s %u B, worst burst", verb, lengths[l]);
		if (!json)
			continue;
		bench_value(figure, worst, "times as fast", ">= 0.95");
		snprintf(figure, sizeof(figure), "matrix %s %u B, %s against itself", verb, lengths[l], b->engine->name);
		bench_value(figure, noise, "times as fast", "");
	}
	if (!json)
		printf("\n");
}

/* Bursts of 1 to 64 packets, lengths of all magnitudes up to 1,424 bytes. */
static void
mixed(struct load *a, struct load *b)
{
	static const uint32_t range[] = {64, 256, 1424};
	double ratio[MIXED];
	uint32_t seed = 7, len[64];
	char figure[64];

	snprintf(figure, sizeof(figure), "mixed %s", a->open ? "open" : "seal");
	if (!bench_wanted(figure))
		return;
	a->stride = b->stride = STRIDE;
	a->at = b->at = 0;
	for (int i = 0; i < MIXED; i++) {
		uint32_t n = 1 + random_below(&seed, COUNT(len));
		for (uint32_t j = 0; j < n; j++)
			len[j] = random_below(&seed, range[random_below(&seed, COUNT(range))] + 1);
		ratio[i] = speedup(a, b, n, len);
	}
	qsort(ratio, MIXED, sizeof(*ratio), compare);
	snprintf(figure, sizeof(figure), "mixed %s, 200 bursts, median", a->open ? "open" : "seal");
	bench_value(figure, ratio[MIXED / 2], "times as fast", "");
	snprintf(figure, sizeof(figure), "mixed %s, 200 bursts, worst", a->open ? "open" : "seal");
	bench_value(figure, ratio[0], "times as fast", ">= 0.95");
}

static void
compare_bursts(const struct aead_engine *ours, const struct aead_engine *reference, bool open)
{
	struct load a = {.engine = ours, .worker = ours->worker_new(), .open = open};
	struct load b = {.engine = reference, .worker = reference->worker_new(), .open = open};

	mixed(&a, &b);
	matrix(&a, &b);
	ours->worker_free(a.worker);
	reference->worker_free(b.worker);
}

static void
note_engines(const struct aead_engine *chosen)
{
	static char text[128] = "engines";

	for (const struct aead_engine *const *e = aead_engines; *e; e++)
		if ((*e)->usable())
			snprintf(text + strlen(text), sizeof(text) - strlen(text), " %s%s", (*e)->name, *e == chosen ? " (chosen)" : "");
	bench_note(text);
}

int
main(int argc, char **argv)
{
	bench_init("aead", argc, argv);
	const struct aead_engine *chosen = crypto_init() == 0 ? aead_choose(NULL) : NULL;
	const struct aead_engine *reference = aead_choose("ipsec-mb");
	if (!reference) {
		fprintf(stderr, "ipsec-mb does not run on this CPU\n");
		return 77;
	}
	note_engines(chosen);
	for (int i = 1; i < argc; i++)
		json |= strcmp(argv[i], "--json") == 0;
	keys = malloc(KEYS * sizeof(*keys));
	memory = calloc(1, MEMORY);
	if (!keys || !memory)
		return 2;
	core_crypto.random(keys, KEYS * sizeof(*keys));
	for (const struct aead_engine *const *e = aead_engines; *e != reference; e++)
		for (int open = 0; (*e)->usable() && open < 2; open++)
			compare_sizes(*e, reference, open);
	for (int open = 0; chosen != reference && open < 2; open++)
		compare_bursts(chosen, reference, open);
	free(memory);
	free(keys);
	return bench_end();
}
