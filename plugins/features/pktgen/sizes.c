/* SPDX-License-Identifier: BSD-3-Clause */
#include "sizes.h"

#include <stdio.h>
#include <stdlib.h>

#define KINDS 16

struct kind {
	uint32_t count, size;
	int32_t credit;
};

static bool
number(const char **at, uint32_t *out)
{
	char *end;

	if (**at < '0' || **at > '9')
		return false;
	unsigned long v = strtoul(*at, &end, 10);
	*out = v > UINT16_MAX ? UINT16_MAX : (uint32_t)v;
	*at = end;
	return true;
}

/* `COUNTxSIZE` or `SIZE`, and the comma behind it. */
static bool
kind(const char **at, struct kind *k)
{
	*k = (struct kind){.count = 1};
	if (!number(at, &k->size))
		return false;
	if (**at == 'x') {
		k->count = k->size;
		++*at;
		if (!number(at, &k->size))
			return false;
	}
	if (**at == ',')
		return *++*at != '\0';
	return **at == '\0';
}

/* Who has waited for the longest share of its turns is next: 28x64,4x1518 are no 28 small ones in a row. */
static struct kind *
turn(struct kind *kinds, unsigned n, int32_t total)
{
	struct kind *next = kinds;

	for (unsigned i = 0; i < n; i++) {
		kinds[i].credit += (int32_t)kinds[i].count;
		if (kinds[i].credit > next->credit)
			next = &kinds[i];
	}
	next->credit -= total;
	return next;
}

bool
sizes_set(struct sizes *s, const char *text, uint32_t min, uint32_t max, char *why, size_t why_size)
{
	struct kind kinds[KINDS];
	uint32_t n = 0, total = 0;

	for (const char *at = text; n == 0 || *at; n++) {
		if (n == KINDS || !kind(&at, &kinds[n]) || kinds[n].count == 0 || total + kinds[n].count > SIZES_MAX) {
			snprintf(why, why_size, "size is a number, or a mix of up to %d packets such as 28x64,16x570,4x1420", SIZES_MAX);
			return false;
		}
		if (kinds[n].size < min || kinds[n].size > max) {
			snprintf(why, why_size, "size %u is not between %u, room for what is measured, and %u", kinds[n].size, min, max);
			return false;
		}
		total += kinds[n].count;
	}
	if (!s)
		return true;
	for (uint32_t i = 0; i < total; i++)
		atomic_store_explicit(&s->size[i], (uint16_t)turn(kinds, n, (int32_t)total)->size, memory_order_relaxed);
	atomic_store_explicit(&s->n, total, memory_order_release);
	return true;
}

uint16_t
sizes_next(struct sizes *s)
{
	if (s->at >= atomic_load_explicit(&s->n, memory_order_acquire))
		s->at = 0;
	return atomic_load_explicit(&s->size[s->at++], memory_order_relaxed);
}

uint32_t
sizes_mean(const struct sizes *s)
{
	uint32_t n = atomic_load_explicit(&s->n, memory_order_acquire), sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += atomic_load_explicit(&s->size[i], memory_order_relaxed);
	return n > 0 ? sum / n : 0;
}
