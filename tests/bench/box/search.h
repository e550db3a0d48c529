/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The greatest load at which a device loses no more than a share of what it is offered: a search of bounds by trials, after
 * RFC 2544 §26.1 (throughput) and RFC 9971 (MLRsearch). A load is a lower bound when enough of the time of its trials was
 * good, an upper bound when that can't become true any more; so one trial that something else disturbed decides nothing.
 * Trials are kept: a search for another loss ratio begins with what is known. Pure: the trials are the caller's.
 */
#pragma once

#include <stdbool.h>

struct search_trial {
	double load;             /* packets per second that were offered */
	double loss;             /* share of them that did not come out */
};

#define SEARCH_TRIALS 512
struct search {
	double first;     /* a load to begin with: about what the device does */
	double limit;     /* the greatest that can be offered */
	double precision; /* the bounds end no farther apart than this share */
	unsigned needed;  /* trials of a load; odd. More than half of them must be good */
	bool (*trial)(void *arg, double load, struct search_trial *out); /* false: no more */
	void *arg;
	/* The search's own. */
	unsigned n;
	struct {
		double load, loss;
	} done[SEARCH_TRIALS];
};

struct search_bounds {
	double lower, upper; /* lower 0: nothing was good enough; upper 0: the limit itself was */
	double loss;         /* the median of the lower bound's trials */
	unsigned trials;     /* made in this search */
	bool complete;
};

struct search_bounds search_run(struct search *s, double loss);
