/* SPDX-License-Identifier: BSD-3-Clause */
/* A load client's latencies: a histogram in steps of 5 us up to 200 ms. One thread. */
#pragma once

#include <stdint.h>
#include <string.h>

#define LATENCY_STEP 5000 /* ns */
#define LATENCY_STEPS 40000

static uint32_t latency[LATENCY_STEPS];

static inline void
latency_clear(void)
{
	memset(latency, 0, sizeof(latency));
}

/* n packets that took so many ns each. */
static inline void
latency_add(uint64_t ns, uint32_t n)
{
	const uint64_t step = ns / LATENCY_STEP;
	latency[step < LATENCY_STEPS ? step : LATENCY_STEPS - 1] += n;
}

/* In ms; q: 0..1. */
static inline double
latency_percentile(double q)
{
	uint64_t all = 0, sum = 0;
	for (unsigned i = 0; i < LATENCY_STEPS; i++)
		all += latency[i];
	for (unsigned i = 0; i < LATENCY_STEPS; i++)
		if ((sum += latency[i]) >= (uint64_t)((double)all * q))
			return i * (LATENCY_STEP / 1e6);
	return 0;
}
