/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paired measurement: the thing and its reference alternate in one process on one pinned core, so that what disturbs one
 * disturbs both. A figure is the median of the pairs. Benchmarks report; they never fail for being slow.
 *
 *     int main(int argc, char **argv)
 *     {
 *             bench_init("aead", argc, argv);
 *             bench_pair(&(struct bench_pair){.figure = "seal 64 B", .ours = {"ipsec-mb", run_a, &a}, …});
 *             return bench_end();
 *     }
 */
#pragma once

#include "measure.h"

#include <stdbool.h>

#define BENCH_PAIRS 9

/* Does `ops` operations and returns the clocks that count; or 0: all of them between call and return count. */
typedef uint64_t bench_run(void *arg, uint64_t ops);

struct bench_side {
	const char *name;
	bench_run *run;
	void *arg;
};

struct bench_pair {
	const char *figure;
	const char *op;        /* what one operation is; NULL: packet */
	struct bench_side ours, reference;
	uint64_t step;         /* `ops` is a multiple of this; 0: 1 */
	const char *goal;      /* text, NULL: none */
};

struct bench_result {
	double ours, reference; /* clocks per operation, medians */
	double above, ratio;    /* ours - reference, ours / reference: medians over the pairs */
};

/* Options: --json (a line per figure), --pairs N, --cpu N, --only TEXT (figures whose name holds it), --nodes. */
void bench_init(const char *name, int argc, char **argv);
void bench_note(const char *text); /* how it is measured; shown beside the CPU */
struct bench_result bench_pair(const struct bench_pair *p);
/* A figure that is no pair of clocks: a share, a rate, a latency. */
void bench_value(const char *figure, double value, const char *unit, const char *goal);
int bench_end(void);

int bench_wanted(const char *figure); /* false: left out by --only */
int bench_by_node(void);              /* --nodes: where clocks go is wanted, instead of pairs */
void bench_must(bool ok, const char *what); /* else it ends with 1, and says so */
double bench_ghz(void);               /* of the TSC */
