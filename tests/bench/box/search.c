/* SPDX-License-Identifier: BSD-3-Clause */
#include "search.h"

#include <math.h>
#include <stdlib.h>

#define LEAST (1.0 / 4096) /* of the first load: where nothing is good, the search ends */

static int
compare(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

enum verdict { LOWER, UPPER, ENDED };

/* Makes trials of a load until it is a bound. */
static enum verdict
classify(struct search *s, double load, double goal, struct search_bounds *b)
{
	double loss[SEARCH_TRIALS];
	unsigned good = 0, bad = 0;

	for (unsigned i = 0; i < s->n; i++) {
		if (s->done[i].load != load)
			continue;
		loss[good + bad] = s->done[i].loss;
		if (s->done[i].loss <= goal)
			good++;
		else
			bad++;
	}
	while (good <= s->needed / 2 && bad <= s->needed / 2) {
		struct search_trial t;
		if (s->n == SEARCH_TRIALS || !s->trial(s->arg, load, &t))
			return ENDED;
		b->trials++;
		s->done[s->n].load = load;
		s->done[s->n++].loss = t.loss;
		loss[good + bad] = t.loss;
		if (t.loss <= goal)
			good++;
		else
			bad++;
	}
	if (good <= s->needed / 2)
		return UPPER;
	qsort(loss, good + bad, sizeof(*loss), compare);
	b->loss = loss[(good + bad) / 2];
	return LOWER;
}

/*
 * What trials of earlier searches say of this goal, so that their bounds are the first. A disturbance takes away and never
 * adds: an upper bound below a lower one is none.
 */
static void
recall(const struct search *s, double goal, double *lower, double *upper)
{
	for (int pass = 0; pass < 2; pass++)
		for (unsigned i = 0; i < s->n; i++) {
			unsigned good = 0, bad = 0;
			const double load = s->done[i].load;
			for (unsigned k = 0; k < s->n; k++) {
				good += s->done[k].load == load && s->done[k].loss <= goal;
				bad += s->done[k].load == load && s->done[k].loss > goal;
			}
			if (pass == 0 && good > s->needed / 2 && load > *lower)
				*lower = load;
			else if (pass == 1 && bad > s->needed / 2 && load > *lower && (*upper == 0 || load < *upper))
				*upper = load;
		}
}

/* The next load between bounds: their geometric mean; outwards in doubling steps while there is but one. */
static double
next_load(const struct search *s, double lower, double upper, double *step)
{
	if (lower == 0 && upper == 0)
		return s->first < s->limit ? s->first : s->limit;
	if (lower > 0 && upper > 0)
		return sqrt(lower * upper);
	const double by = 1 + *step;
	*step *= 2;
	const double load = upper > 0 ? upper / by : lower * by;
	return load > s->limit ? s->limit : load;
}

struct search_bounds
search_run(struct search *s, double loss)
{
	struct search_bounds b = {0};
	double step = 2 * s->precision;

	recall(s, loss, &b.lower, &b.upper);
	if (b.lower > 0)
		classify(s, b.lower, loss, &b);
	while (b.upper == 0 || b.lower == 0 || b.upper - b.lower > s->precision * b.upper) {
		const double load = next_load(s, b.lower, b.upper, &step);
		if ((b.lower >= s->limit && b.upper == 0) || load < s->first * LEAST)
			break;
		const enum verdict v = classify(s, load, loss, &b);
		if (v == ENDED)
			return b;
		if (v == LOWER)
			b.lower = load;
		else
			b.upper = load;
	}
	b.complete = true;
	return b;
}
