/* SPDX-License-Identifier: BSD-3-Clause */
#include "bench.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * A pair is the medians of its slices: on a busy machine a slice in which another process ran for some milliseconds is
 * an outlier, and does not count.
 */
#define SLICE_NS 500000.0
#define SLICES 15
#define WARM_UP_NS 30000000.0

static struct {
	const char *name, *only, *note, *cpu;
	bool json, begun, nodes;
	unsigned pairs;
	double ghz;
} bench = {.note = ""};

static void
pin(int cpu)
{
	cpu_set_t set;

	sched_getaffinity(0, sizeof(set), &set);
	if (cpu < 0) /* the last one: interrupts tend to go to the first */
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set))
				cpu = i;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0) {
		fprintf(stderr, "cannot run on CPU %d\n", cpu);
		exit(2);
	}
}

void
bench_init(const char *name, int argc, char **argv)
{
	int cpu = -1;

	bench.name = name;
	bench.pairs = BENCH_PAIRS;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			bench.json = true;
		} else if (strcmp(argv[i], "--nodes") == 0) {
			bench.nodes = true;
		} else if (i + 1 < argc && strcmp(argv[i], "--pairs") == 0) {
			bench.pairs = (unsigned)atoi(argv[++i]);
		} else if (i + 1 < argc && strcmp(argv[i], "--cpu") == 0) {
			cpu = atoi(argv[++i]);
		} else if (i + 1 < argc && strcmp(argv[i], "--only") == 0) {
			bench.only = argv[++i];
		} else {
			fprintf(stderr, "usage: %s [--json] [--pairs N] [--cpu N] [--only TEXT] [--nodes]\n", argv[0]);
			exit(2);
		}
	}
	if (bench.pairs == 0 || bench.pairs > 99)
		bench.pairs = BENCH_PAIRS;
	pin(cpu);
	bench.cpu = measure_cpu();
	bench.ghz = measure_ghz();
}

void
bench_note(const char *text)
{
	bench.note = text;
}

int
bench_wanted(const char *figure)
{
	return !bench.only || strstr(figure, bench.only);
}

int
bench_by_node(void)
{
	return bench.nodes;
}

void
bench_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "%s\n", what);
	exit(1);
}

double
bench_ghz(void)
{
	return bench.ghz;
}

static double
slice(const struct bench_side *s, uint64_t ops)
{
	uint64_t begin = bench_clock();
	uint64_t counted = s->run(s->arg, ops);

	return (double)(counted ? counted : bench_clock() - begin) / (double)ops;
}

enum { OURS, REFERENCE, ABOVE, RATIO, KINDS };

/*
 * One pair. Slices of both sides take turns: a clock that changes speed meanwhile does it for both, and what is above or
 * below is a matter of neighbours. Which side goes first alternates, too.
 */
static void
take_pair(const struct bench_pair *p, const uint64_t ops[2], double out[KINDS])
{
	double v[KINDS][SLICES];

	for (unsigned i = 0; i < SLICES; i++) {
		for (unsigned j = 0; j < 2; j++) {
			const unsigned side = (i + j) % 2;
			v[side][i] = slice(side == OURS ? &p->ours : &p->reference, ops[side]);
		}
		v[ABOVE][i] = v[OURS][i] - v[REFERENCE][i];
		v[RATIO][i] = v[OURS][i] / v[REFERENCE][i];
	}
	for (unsigned k = 0; k < KINDS; k++)
		out[k] = measure_median(v[k], SLICES);
}

/* Operations that take SLICE_NS of wall time, found while warming up. */
static uint64_t
calibrate(const struct bench_side *s, uint64_t step)
{
	uint64_t ops = step, begin = measure_ns(), took = 0;

	while (measure_ns() - begin < WARM_UP_NS || took < SLICE_NS / 4) {
		uint64_t t = measure_ns();
		slice(s, ops);
		took = measure_ns() - t;
		if (took < SLICE_NS / 2)
			ops *= 2;
	}
	uint64_t want = (uint64_t)((double)ops * SLICE_NS / (double)took);
	return want < step ? step : want - want % step;
}

static void
head(void)
{
	if (!bench.begun && !bench.json)
		printf("%s%s%s: %s, TSC %.2f GHz; medians of %u pairs; TSC clocks\n%-44s %10s %10s %9s %7s %6s  %s\n", bench.name,
			*bench.note ? ", " : "", bench.note, bench.cpu, bench.ghz, bench.pairs, "figure", "ours", "reference", "above",
			"ratio", "+-", "goal");
	bench.begun = true;
}

static void
report(const struct bench_pair *p, const struct bench_result *r, double spread)
{
	const char *goal = p->goal ? p->goal : "";

	head();
	if (bench.json)
		printf("{\"bench\":\"%s\",\"figure\":\"%s\",\"op\":\"%s\",\"cpu\":\"%s\",\"note\":\"%s\",\"tsc_ghz\":%.3f,\"pairs\":%u,"
		       "\"ours\":{\"name\":\"%s\",\"clocks\":%.1f,\"ns\":%.1f},"
		       "\"reference\":{\"name\":\"%s\",\"clocks\":%.1f,\"ns\":%.1f},"
		       "\"above\":%.1f,\"ratio\":%.3f,\"spread\":%.3f,\"goal\":\"%s\"}\n",
			bench.name, p->figure, p->op ? p->op : "packet", bench.cpu, bench.note, bench.ghz, bench.pairs, p->ours.name,
			r->ours, r->ours / bench.ghz, p->reference.name, r->reference, r->reference / bench.ghz, r->above,
			r->ratio, spread, goal);
	else
		printf("%-44s %10.1f %10.1f %9.1f %7.3f %5.1f%%  %s\n", p->figure, r->ours, r->reference, r->above, r->ratio,
			spread * 100, goal);
	fflush(stdout);
}

struct bench_result
bench_pair(const struct bench_pair *p)
{
	struct bench_result r = {0};
	double v[KINDS][99], one[KINDS];
	uint64_t step = p->step ? p->step : 1;

	if (!bench_wanted(p->figure))
		return r;
	const uint64_t ops[] = {calibrate(&p->ours, step), calibrate(&p->reference, step)};
	for (unsigned i = 0; i < bench.pairs; i++) {
		take_pair(p, ops, one);
		for (unsigned k = 0; k < KINDS; k++)
			v[k][i] = one[k];
	}
	r.above = measure_median(v[ABOVE], bench.pairs);
	r.ratio = measure_median(v[RATIO], bench.pairs);
	r.ours = measure_median(v[OURS], bench.pairs);
	r.reference = measure_median(v[REFERENCE], bench.pairs);
	report(p, &r, measure_spread(v[RATIO], bench.pairs));
	return r;
}

void
bench_value(const char *figure, double value, const char *unit, const char *goal)
{
	head();
	if (bench.json)
		printf("{\"bench\":\"%s\",\"figure\":\"%s\",\"cpu\":\"%s\",\"note\":\"%s\",\"value\":%.6g,\"unit\":\"%s\","
		       "\"goal\":\"%s\"}\n",
			bench.name, figure, bench.cpu, bench.note, value, unit, goal ? goal : "");
	else
		printf("%-44s %10.4g %s  %s\n", figure, value, unit, goal ? goal : "");
	fflush(stdout);
}

int
bench_end(void)
{
	return 0;
}
