/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker's clock: CLOCK_BOOTTIME in ns. Reading that costs a loop 80 clocks, the time stamp counter 30; so the counter
 * measures the time since the clock was last read, for a millisecond, at the rate found between the two readings before.
 * Never goes back; stands still for a moment when the counter was ahead. One thread.
 */
#pragma once

#include <rte_branch_prediction.h>
#include <rte_cycles.h>
#include <stdbool.h>
#include <stdint.h>

#define CLOCK_SPAN (UINT64_C(1) << 21) /* counts between two readings of the clock */

struct clock { /* all zero but for `steady`: not read yet */
	uint64_t count, ns; /* at the last reading */
	uint64_t scale;     /* ns per 2^32 counts; 0: unknown yet, the clock itself is read each time */
	uint64_t span;      /* counts for which `scale` holds: CLOCK_SPAN, or 0 */
	bool steady;        /* clock_steady(): false = the clock itself is read each time */
};

uint64_t clock_ns(void); /* any thread */
bool clock_steady(void); /* does the counter run at one rate, also in deep sleep? */
/* Takes a reading of both; returns the time. */
uint64_t clock_adjust(struct clock *c, uint64_t count, uint64_t ns);
uint64_t clock_reread(struct clock *c);

static inline uint64_t
clock_now(struct clock *c)
{
	const uint64_t counts = rte_rdtsc() - c->count;
	return likely(counts < c->span) ? c->ns + (counts * c->scale >> 32) : clock_reread(c);
}
