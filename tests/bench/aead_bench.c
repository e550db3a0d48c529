/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The AEAD engines against libsodium: bursts of 32, with one key and 32 buffers that stay in the first cache, and with
 * 1,000 keys, their own counters, and 4,096 unaligned buffers as far apart as mbufs.
 */
#include "bench.h"
#include "crypto/aead.h"

#include <stdio.h>
#include <stdlib.h>

#define BURST 32
#define KEYS 1000
#define BUFFERS 4096
#define STRIDE 2304

static uint8_t (*keys)[32], *memory;
static uint64_t counters[KEYS];
static struct {
	uint64_t counter;
	uint32_t key;
} sealed[BUFFERS]; /* what the buffer was last sealed with */

struct load {
	const struct aead_engine *engine;
	void *worker;
	uint32_t len, buffers, keys, seed;
	int open;
};

static uint8_t *
buffer(uint32_t i)
{
	return memory + (size_t)i * STRIDE + 128 + i % 61;
}

static void
seal_all(struct load *l)
{
	struct tr_aead p[BURST];

	for (uint32_t at = 0; at < l->buffers; at += BURST) {
		for (uint32_t i = 0; i < BURST; i++) {
			l->seed = l->seed * 1664525 + 1013904223;
			uint32_t key = (uint32_t)((uint64_t)l->seed * l->keys >> 32);
			p[i] = (struct tr_aead){.key = keys[key], .counter = counters[key]++, .data = buffer(at + i), .len = l->len};
			sealed[at + i].key = key;
			sealed[at + i].counter = p[i].counter;
		}
		l->engine->seal(l->worker, p, BURST);
	}
}

static void
open_all(struct load *l)
{
	struct tr_aead p[BURST];

	for (uint32_t at = 0; at < l->buffers; at += BURST) {
		for (uint32_t i = 0; i < BURST; i++)
			p[i] = (struct tr_aead){.key = keys[sealed[at + i].key], .counter = sealed[at + i].counter,
				.data = buffer(at + i), .len = l->len};
		l->engine->open(l->worker, p, BURST);
		for (uint32_t i = 0; i < BURST; i++)
			if (!p[i].ok)
				abort();
	}
}

static uint64_t
run(void *arg, uint64_t ops)
{
	struct load *l = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= l->buffers) {
		uint64_t begin = bench_clock(), middle;
		seal_all(l);
		middle = bench_clock();
		if (l->open)
			open_all(l);
		clocks += l->open ? bench_clock() - middle : middle - begin;
	}
	return clocks;
}

static void
compare_engines(const struct aead_engine *ours, const struct aead_engine *sodium, int cold, int open)
{
	static const uint32_t sizes[] = {64, 128, 256, 512, 1024, 1420};
	struct load a = {.engine = ours, .worker = ours->worker_new(), .open = open};
	struct load b = {.engine = sodium, .worker = sodium->worker_new(), .open = open};

	a.buffers = b.buffers = cold ? BUFFERS : BURST;
	a.keys = b.keys = cold ? KEYS : 1;
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		char figure[64];
		a.len = b.len = sizes[s];
		snprintf(figure, sizeof(figure), "%s %u B, %s", open ? "open" : "seal", sizes[s],
			cold ? "1,000 keys, 4,096 buffers" : "one key, hot");
		bench_pair(&(struct bench_pair){.figure = figure, .step = a.buffers, .ours = {ours->name, run, &a},
			.reference = {sodium->name, run, &b}});
	}
	ours->worker_free(a.worker);
	sodium->worker_free(b.worker);
}

int
main(int argc, char **argv)
{
	bench_init("aead", argc, argv);
	const struct aead_engine *ours = crypto_init() == 0 ? aead_choose(NULL) : NULL, *sodium = aead_choose("libsodium");
	keys = malloc(KEYS * sizeof(*keys));
	memory = calloc(BUFFERS, STRIDE);
	if (!ours || !keys || !memory)
		return 2;
	core_crypto.random(keys, KEYS * sizeof(*keys));
	for (int cold = 0; cold < 2; cold++)
		for (int open = 0; open < 2; open++)
			compare_engines(ours, sodium, cold, open);
	free(memory);
	free(keys);
	return bench_end();
}
