/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The receiver's books. One worker writes; any thread may read what is atomic, at any time: each figure alone is
 * right, though two may be a packet apart.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Numbers seen lately. A number more than WINDOW behind the greatest can't be told from a duplicate. Those in one word with the
 * greatest lie beside it, the others apart: while numbers come in order, one in 64 touches them. All zero: nothing was seen.
 */
#define WINDOW 2048

struct window {
	uint64_t end; /* the greatest seen, plus 1 */
	uint64_t newest;
};
struct window_rest {
	uint64_t bits[WINDOW / 64]; /* of an empty window: anything */
};

enum seen { SEEN_NEWEST, SEEN_LATE, SEEN_TWICE, SEEN_TOO_OLD };
enum seen window_see(struct window *w, struct window_rest *rest, uint64_t number);

/* Latencies in buckets of 1/16 of an octave: within 6.3% at any size. */
#define BUCKETS (16 * 40)

struct meter {
	_Atomic uint64_t sent, received, duplicates, reordered, too_old;
	_Atomic uint64_t longest_gap; /* ns between two arrivals */
	_Atomic uint64_t longest_watched; /* the same, less the time in which the receiver itself did not run */
	_Atomic uint64_t latency_max;
	_Atomic uint64_t bucket[BUCKETS];
	uint64_t last, last_watched; /* arrival; 0: none yet */
};

/* The writer's increments need no locked instruction. */
static inline void
meter_add(_Atomic uint64_t *v, uint64_t n)
{
	atomic_store_explicit(v, atomic_load_explicit(v, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline void
meter_max(_Atomic uint64_t *v, uint64_t n)
{
	if (n > atomic_load_explicit(v, memory_order_relaxed))
		atomic_store_explicit(v, n, memory_order_relaxed);
}

static inline uint64_t
meter_get(const _Atomic uint64_t *v)
{
	return atomic_load_explicit(v, memory_order_relaxed);
}

void meter_clear(struct meter *m);
/* A packet of a flow arrived that was sent at `sent`. */
void meter_arrival(struct meter *m, struct window *flow, struct window_rest *rest, uint64_t seq, uint64_t sent, uint64_t now);
/* Beside meter_arrival(): the receiver's clock that stands still while it does not run; never 0. */
void meter_watched(struct meter *m, uint64_t watched);
/* Sent and not arrived. While packets are under way they count as lost. */
uint64_t meter_lost(const struct meter *m);
/* The latency that `share` (0..1) of the packets did not exceed, ns; the upper end of its bucket. */
uint64_t meter_latency(const struct meter *m, double share);
