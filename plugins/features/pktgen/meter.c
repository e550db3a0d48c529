/* SPDX-License-Identifier: BSD-3-Clause */
#include "meter.h"

#include <string.h>

#define WORDS (WINDOW / 64)

/* The greatest number is of another word than before: that goes to the rest, and those between are empty. */
static void
turn(struct window *w, struct window_rest *rest, uint64_t word)
{
	uint64_t next = 0;

	if (w->end > 0) {
		next = (w->end - 1) / 64;
		rest->bits[next++ % WORDS] = w->newest;
	}
	if (word - next > WORDS)
		next = word - WORDS;
	for (; next < word; next++)
		rest->bits[next % WORDS] = 0;
	w->newest = 0;
}

/*
 *   number              | verdict  | effect
 *   >= end              | NEWEST   | bits between are cleared, end = number + 1
 *   < end - WINDOW      | TOO_OLD  | none
 *   bit set             | TWICE    | none
 *   otherwise           | LATE     | bit set
 */
enum seen
window_see(struct window *w, struct window_rest *rest, uint64_t number)
{
	const uint64_t word = number / 64, bit = 1ull << number % 64;

	if (number >= w->end) {
		if (w->end == 0 || word != (w->end - 1) / 64)
			turn(w, rest, word);
		w->newest |= bit;
		w->end = number + 1;
		return SEEN_NEWEST;
	}
	if (w->end - number > WINDOW)
		return SEEN_TOO_OLD;
	uint64_t *bits = word == (w->end - 1) / 64 ? &w->newest : &rest->bits[word % WORDS];
	if (*bits & bit)
		return SEEN_TWICE;
	*bits |= bit;
	return SEEN_LATE;
}

void
meter_clear(struct meter *m)
{
	_Atomic uint64_t *figures[] = {&m->sent, &m->received, &m->duplicates, &m->reordered, &m->too_old, &m->longest_gap,
		&m->longest_watched, &m->latency_max};

	for (size_t i = 0; i < sizeof(figures) / sizeof(*figures); i++)
		atomic_store_explicit(figures[i], 0, memory_order_relaxed);
	for (size_t i = 0; i < BUCKETS; i++)
		atomic_store_explicit(&m->bucket[i], 0, memory_order_relaxed);
	m->last = m->last_watched = 0;
}

static unsigned
bucket_of(uint64_t ns)
{
	if (ns < 16)
		return (unsigned)ns;
	unsigned octave = 63 - (unsigned)__builtin_clzll(ns); /* 4.. */
	unsigned b = (octave - 3) * 16 + (unsigned)(ns >> (octave - 4) & 15);
	return b < BUCKETS ? b : BUCKETS - 1;
}

static uint64_t
bucket_end(unsigned b)
{
	if (b < 16)
		return b;
	unsigned octave = b / 16 + 3;
	return ((16ull + b % 16 + 1) << (octave - 4)) - 1;
}

void
meter_arrival(struct meter *m, struct window *flow, struct window_rest *rest, uint64_t seq, uint64_t sent, uint64_t now)
{
	uint64_t latency = now > sent ? now - sent : 0;

	if (m->last)
		meter_max(&m->longest_gap, now - m->last);
	m->last = now;
	switch (window_see(flow, rest, seq)) {
	case SEEN_TWICE:
		meter_add(&m->duplicates, 1);
		return;
	case SEEN_TOO_OLD:
		meter_add(&m->too_old, 1);
		return;
	case SEEN_LATE:
		meter_add(&m->reordered, 1);
		break;
	case SEEN_NEWEST:
		break;
	}
	meter_add(&m->received, 1);
	meter_add(&m->bucket[bucket_of(latency)], 1);
	meter_max(&m->latency_max, latency);
}

void
meter_watched(struct meter *m, uint64_t watched)
{
	if (m->last_watched)
		meter_max(&m->longest_watched, watched - m->last_watched);
	m->last_watched = watched;
}

uint64_t
meter_lost(const struct meter *m)
{
	/* Received first: a packet that is sent meanwhile must not make this negative. */
	uint64_t received = meter_get(&m->received), sent = meter_get(&m->sent);

	return sent > received ? sent - received : 0;
}

uint64_t
meter_latency(const struct meter *m, double share)
{
	uint64_t total = 0, sum = 0, want;

	for (unsigned i = 0; i < BUCKETS; i++)
		total += meter_get(&m->bucket[i]);
	want = (uint64_t)(share * (double)total + 0.5);
	for (unsigned i = 0; i < BUCKETS; i++) {
		sum += meter_get(&m->bucket[i]);
		if (sum > 0 && sum >= want)
			return bucket_end(i) < meter_get(&m->latency_max) ? bucket_end(i) : meter_get(&m->latency_max);
	}
	return 0;
}
