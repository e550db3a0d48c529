/* SPDX-License-Identifier: BSD-3-Clause */
#include "route.h"

#include <stdlib.h>

static struct learned *
find(const struct routes *t, const uint8_t key[32])
{
	struct learned *l;
	HASH_FIND(hh, t->table, key, 32, l);
	return l;
}

void
route_learn(struct routes *t, const uint8_t key[32], uint16_t region)
{
	struct learned *l = find(t, key);
	if (l == NULL && HASH_COUNT(t->table) < ROUTES_MAX && (l = calloc(1, sizeof(*l))) != NULL) {
		memcpy(l->key, key, sizeof(l->key));
		HASH_ADD(hh, t->table, key, sizeof(l->key), l);
	}
	if (l != NULL)
		l->region = region;
}

uint16_t
route_find(const struct routes *t, const uint8_t key[32])
{
	const struct learned *l = find(t, key);
	return l ? l->region : 0;
}

static void
drop(struct routes *t, struct learned *l)
{
	HASH_DEL(t->table, l);
	free(l);
}

void
route_forget(struct routes *t, const uint8_t key[32], uint16_t region)
{
	struct learned *l = find(t, key);
	if (l != NULL && l->region == region)
		drop(t, l);
}

void
route_forget_region(struct routes *t, uint16_t region)
{
	struct learned *l, *next;
	HASH_ITER(hh, t->table, l, next)
		if (region == 0 || l->region == region)
			drop(t, l);
}
