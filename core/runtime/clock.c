/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <rte_cpuflags.h>
#include <time.h>

#define APART_MAX 4096 /* counts: a thread that was interrupted between two readings takes none from them */

uint64_t
clock_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

bool
clock_steady(void)
{
	return rte_cpu_get_flag_enabled(RTE_CPUFLAG_INVTSC) > 0;
}

/* A rate that suddenly differs by 1/256 is none: the machine slept, or was moved to another. */
static bool
plausible(uint64_t scale, uint64_t before)
{
	return before == 0 || (scale > before ? scale - before : before - scale) < before / 256;
}

uint64_t
clock_adjust(struct clock *c, uint64_t count, uint64_t ns)
{
	const uint64_t counts = count - c->count, last = c->ns + (c->span * c->scale >> 32);
	if (ns < last)
		ns = last;
	if (c->span == 0 && counts < CLOCK_SPAN && c->count != 0)
		return ns; /* too short to tell the rate */
	const uint64_t passed = ns - c->ns;
	uint64_t scale = 0;
	if (c->count != 0 && counts < UINT64_C(1) << 40 && passed < UINT64_C(1) << 32)
		scale = (passed << 32) / counts;
	c->scale = plausible(scale, c->scale) ? scale : 0;
	c->span = c->scale ? CLOCK_SPAN : 0;
	c->count = count;
	c->ns = ns;
	return ns;
}

uint64_t
clock_reread(struct clock *c)
{
	const uint64_t count = rte_rdtsc(), ns = clock_ns(), last = c->ns + (c->span * c->scale >> 32);
	if (c->steady && rte_rdtsc() - count <= APART_MAX)
		return clock_adjust(c, count, ns);
	*c = (struct clock){.ns = ns > last ? ns : last, .steady = c->steady};
	return c->ns;
}
