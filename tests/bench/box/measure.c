/* SPDX-License-Identifier: BSD-3-Clause */
#include "measure.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

uint64_t
measure_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

const char *
measure_cpu(void)
{
	static char text[80];
	unsigned r[12], eax = 0, ebx, ecx, edx;
	char brand[49] = "unknown CPU";

	if ((unsigned)__get_cpuid_max(0x80000000u, NULL) >= 0x80000004u) {
		for (unsigned i = 0; i < 3; i++)
			__get_cpuid(0x80000002 + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]);
		memcpy(brand, r, 48);
		for (char *end = brand + strlen(brand); end > brand && end[-1] == ' ';)
			*--end = '\0';
	}
	__get_cpuid(1, &eax, &ebx, &ecx, &edx);
	unsigned family = eax >> 8 & 15, model = eax >> 4 & 15;
	if (family == 15 || family == 6)
		model |= eax >> 12 & 0xf0;
	if (family == 15)
		family += eax >> 20 & 0xff;
	snprintf(text, sizeof(text), "%s (family %u model %u)", brand, family, model);
	return text;
}

double
measure_ghz(void)
{
	static double ghz;
	uint64_t t0 = measure_ns(), c0 = bench_clock(), t1;

	if (ghz > 0)
		return ghz;
	do
		t1 = measure_ns();
	while (t1 - t0 < 20000000);
	return ghz = (double)(bench_clock() - c0) / (double)(t1 - t0);
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double
measure_median(double *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static int
compare_clocks(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

uint64_t
bench_median(uint64_t *v, unsigned n)
{
	qsort(v, n, sizeof(*v), compare_clocks);
	return v[n / 2];
}

double
measure_spread(const double *sorted, unsigned n)
{
	const double middle = sorted[n / 2];

	return middle > 0 ? (sorted[n * 3 / 4] - sorted[n / 4]) / 2 / middle : 0;
}
