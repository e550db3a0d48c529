/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks, and what a set of readings says. */
#pragma once

#include <stdint.h>
#include <x86intrin.h>

static inline uint64_t
bench_clock(void)
{
	unsigned cpu;
	return __rdtscp(&cpu);
}

uint64_t measure_ns(void);
/* GHz of the TSC, of 20 ms; measured once. */
double measure_ghz(void);
/* The name that the CPU gives itself, with family and model. */
const char *measure_cpu(void);

/* Of n values, which are sorted on the way. */
uint64_t bench_median(uint64_t *v, unsigned n);
double measure_median(double *v, unsigned n);
/* Half the distance between the quartiles, as a share of the median. Of values that measure_median() has sorted. */
double measure_spread(const double *sorted, unsigned n);
