/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded queue of posted calls: any number of threads put, one takes. A cell's sequence number says whose turn it
 * is (Vyukov's bounded queue), so a putter never waits for another: one that is preempted in the middle only hides
 * later entries until it is done.
 *
 *   seq == pos          free: the putter that moves `tail` from pos to pos + 1 owns the cell
 *   seq == pos + 1      filled: may be taken
 *   seq == pos + size   free again for the next round
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef void inbox_fn(void *a, void *b);

struct inbox_cell {
	_Atomic uint32_t seq;
	inbox_fn *fn;
	void *a, *b;
};

struct inbox {
	struct inbox_cell *cell;
	uint32_t mask;
	_Alignas(64) _Atomic uint32_t tail; /* written by putters */
	_Alignas(64) uint32_t head;         /* the taker's */
};

bool inbox_init(struct inbox *q, uint32_t size); /* a power of two; false: no memory */
void inbox_fini(struct inbox *q);

static inline bool
inbox_put(struct inbox *q, inbox_fn *fn, void *a, void *b)
{
	uint32_t pos = atomic_load_explicit(&q->tail, memory_order_relaxed);
	for (;;) {
		struct inbox_cell *c = &q->cell[pos & q->mask];
		int32_t turn = (int32_t)(atomic_load_explicit(&c->seq, memory_order_acquire) - pos);
		if (turn < 0)
			return false; /* still holds the entry of one round ago */
		if (turn > 0) {
			pos = atomic_load_explicit(&q->tail, memory_order_relaxed);
			continue;
		}
		if (!atomic_compare_exchange_weak_explicit(
			    &q->tail, &pos, pos + 1, memory_order_relaxed, memory_order_relaxed))
			continue;
		c->fn = fn;
		c->a = a;
		c->b = b;
		atomic_store_explicit(&c->seq, pos + 1, memory_order_release);
		return true;
	}
}

static inline bool
inbox_ready(const struct inbox *q)
{
	const struct inbox_cell *c = &q->cell[q->head & q->mask];
	return atomic_load_explicit(&c->seq, memory_order_acquire) == q->head + 1;
}

static inline bool
inbox_take(struct inbox *q, inbox_fn **fn, void **a, void **b)
{
	if (!inbox_ready(q))
		return false;
	struct inbox_cell *c = &q->cell[q->head & q->mask];
	*fn = c->fn;
	*a = c->a;
	*b = c->b;
	atomic_store_explicit(&c->seq, q->head + q->mask + 1, memory_order_release);
	q->head++;
	return true;
}
