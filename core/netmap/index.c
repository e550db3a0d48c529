/* SPDX-License-Identifier: BSD-3-Clause */
#include "index.h"

#include <rte_prefetch.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BURST 64
#define ROUNDS 4
#define RESERVE 1024 /* freed slots a worker keeps back before it reuses one, while it has fresh ones */

struct slot { /* written by its worker only */
	_Atomic uint64_t value;
	_Atomic uint32_t tag; /* generation << 1 | in use */
};

/* A worker's slots: freed ones wait in a ring, oldest first, so that a number comes back as late as possible. */
struct owner {
	uint32_t first, fresh, end; /* first..fresh have been used; fresh..end never */
	uint32_t *ring, head, n;
} __attribute__((aligned(64)));

struct index_table {
	struct slot *slot;
	uint32_t *rings;
	uint32_t bits, slots; /* slots = 1 << bits */
	uint32_t key[ROUNDS];
	uint16_t workers;
	struct owner owner[];
};

/* A Feistel network on two halves of 16 bits: a bijection whatever the rounds do; the keys make it unguessable. Four numbers
 * at once: a burst of them is decoded for every burst that comes in. */
typedef uint32_t four __attribute__((vector_size(16)));

static inline four
scramble(four half, uint32_t key)
{
	four x = (half ^ key) * 0x9e3779b1u;
	x = (x ^ x >> 15 ^ key >> 7) * 0x85ebca6bu;
	return x >> 16;
}

static inline uint32_t
encode(const struct index_table *t, uint32_t x)
{
	four left = {x >> 16}, right = {x & 0xffff};
	for (int i = 0; i < ROUNDS; i++) {
		four next = left ^ scramble(right, t->key[i]);
		left = right;
		right = next;
	}
	return left[0] << 16 | right[0];
}

static inline four
decode(const struct index_table *t, four x)
{
	four left = x >> 16, right = x & 0xffff;
	for (int i = ROUNDS; i-- > 0;) {
		four before = right ^ scramble(left, t->key[i]);
		right = left;
		left = before;
	}
	return left << 16 | right;
}

static void *
map(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	return p == MAP_FAILED ? NULL : p;
}

struct index_table *
index_table_new(uint32_t capacity, uint16_t workers)
{
	size_t size = sizeof(struct index_table) + workers * sizeof(struct owner);
	struct index_table *t = aligned_alloc(64, (size + 63) & ~(size_t)63);
	uint32_t bits = 6;

	while (bits < 28 && 1u << bits < capacity)
		bits++;
	if (!t || !workers || sodium_init() < 0) {
		free(t);
		return NULL;
	}
	*t = (struct index_table){.bits = bits, .slots = 1u << bits, .workers = workers};
	t->slot = map(t->slots * sizeof(struct slot));
	t->rings = map(t->slots * sizeof(uint32_t));
	if (t->slot)
		madvise(t->slot, t->slots * sizeof(struct slot), MADV_HUGEPAGE);
	if (!t->slot || !t->rings) {
		index_table_free(t);
		return NULL;
	}
	randombytes_buf(t->key, sizeof(t->key));
	uint32_t each = t->slots / workers;
	for (uint16_t w = 0; w < workers; w++) {
		t->owner[w] = (struct owner){
			.first = w * each, .fresh = w * each, .end = (w + 1u) * each, .ring = t->rings + w * each};
	}
	return t;
}

void
index_table_free(struct index_table *t)
{
	if (!t)
		return;
	if (t->slot)
		munmap(t->slot, t->slots * sizeof(struct slot));
	if (t->rings)
		munmap(t->rings, t->slots * sizeof(uint32_t));
	sodium_memzero(t->key, sizeof(t->key));
	free(t);
}

uint32_t
index_table_add(struct index_table *t, uint16_t worker, uint64_t value)
{
	struct owner *o = &t->owner[worker];
	uint32_t s;

	if (o->n > RESERVE || (o->n && o->fresh == o->end)) {
		s = o->ring[o->head];
		o->head = o->head + 1 == o->end - o->first ? 0 : o->head + 1;
		o->n--;
	} else if (o->fresh < o->end) {
		s = o->fresh++;
	} else {
		return 0;
	}
	struct slot *x = &t->slot[s];
	uint32_t generation = atomic_load_explicit(&x->tag, memory_order_relaxed) >> 1, index;
	do { /* 0 means none: the generation that would make it is skipped */
		generation = (generation + 1) & (UINT32_MAX >> t->bits);
		index = encode(t, generation << t->bits | s);
	} while (!index);
	/* Release, so that whoever reads this value also sees that the tag of the one before is gone. */
	atomic_store_explicit(&x->value, value, memory_order_release);
	atomic_store_explicit(&x->tag, generation << 1 | 1, memory_order_release);
	return index;
}

void
index_table_del(struct index_table *t, uint16_t worker, uint32_t index)
{
	struct owner *o = &t->owner[worker];
	uint32_t x = decode(t, (four){index})[0], s = x & (t->slots - 1), tag = (x >> t->bits) << 1 | 1;

	if (s < o->first || s >= o->fresh || atomic_load_explicit(&t->slot[s].tag, memory_order_relaxed) != tag)
		return;
	atomic_store_explicit(&t->slot[s].tag, tag & ~1u, memory_order_relaxed);
	uint32_t size = o->end - o->first, at = o->head + o->n++;
	o->ring[at < size ? at : at - size] = s;
}

static void
find(const struct index_table *t, const uint32_t *index, unsigned n, uint64_t *value)
{
	struct slot *slot[BURST];
	uint32_t tag[BURST], number[BURST] = {0};

	memcpy(number, index, n * sizeof(*number));
	for (unsigned i = 0; i < n; i += 4) {
		four x;
		memcpy(&x, number + i, sizeof(x));
		x = decode(t, x);
		memcpy(number + i, &x, sizeof(x));
	}
	for (unsigned i = 0; i < n; i++) {
		uint32_t x = number[i];
		slot[i] = &t->slot[x & (t->slots - 1)];
		tag[i] = (x >> t->bits) << 1 | 1;
		rte_prefetch0(slot[i]);
	}
	for (unsigned i = 0; i < n; i++) {
		/* The tag before and after: the value between them belongs to it. */
		uint32_t before = atomic_load_explicit(&slot[i]->tag, memory_order_acquire);
		uint64_t v = atomic_load_explicit(&slot[i]->value, memory_order_acquire);
		uint32_t after = atomic_load_explicit(&slot[i]->tag, memory_order_relaxed);
		value[i] = before == tag[i] && after == tag[i] ? v : 0;
	}
}

void
index_table_find(const struct index_table *t, const uint32_t *index, uint16_t n, uint64_t *value)
{
	for (unsigned i = 0; i < n; i += BURST)
		find(t, index + i, n - i < BURST ? n - i : BURST, value + i);
}
