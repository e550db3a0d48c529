/* SPDX-License-Identifier: BSD-3-Clause */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->hh.tbl = NULL)

#include "sources.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define SECOND 1000000000ull

/* Who has many addresses could choose colliding ones. */
static unsigned
keyed_hash(const struct sources *t, const uint8_t key[9])
{
	uint64_t h;
	crypto_shorthash((uint8_t *)&h, key, 9, t->hash_key);
	return (unsigned)h;
}

void
sources_init(struct sources *t)
{
	*t = (struct sources){0};
	TAILQ_INIT(&t->resting);
	randombytes_buf(t->hash_key, sizeof(t->hash_key));
}

static void
forget(struct sources *t, struct source *s)
{
	if (s->resting)
		TAILQ_REMOVE(&t->resting, s, rest);
	HASH_DEL(t->table, s);
	free(s);
}

void
sources_fini(struct sources *t)
{
	struct source *s, *next;
	HASH_ITER(hh, t->table, s, next)
		forget(t, s);
}

static struct source *
source_of(struct sources *t, const struct tr_addr *from)
{
	uint8_t key[9] = {from->family};
	struct source *s;
	memcpy(key + 1, from->ip, from->family == 6 ? 8 : 4);
	const unsigned hash = keyed_hash(t, key);
	HASH_FIND_BYHASHVALUE(hh, t->table, key, sizeof(key), hash, s);
	if (s != NULL || (s = calloc(1, sizeof(*s))) == NULL)
		return s;
	memcpy(s->key, key, sizeof(key));
	HASH_ADD_BYHASHVALUE(hh, t->table, key, sizeof(key), hash, s);
	if (s->hh.tbl != NULL)
		return s;
	free(s);
	return NULL;
}

/* Nobody's connection counts there any more. */
static void
rest(struct sources *t, struct source *s, uint64_t now)
{
	if (s->n > 0)
		return;
	if (s->paid <= now) {
		forget(t, s);
	} else if (!s->resting) {
		s->resting = true;
		TAILQ_INSERT_TAIL(&t->resting, s, rest);
	}
}

static bool
pay(struct source *s, uint32_t per_second, uint64_t now)
{
	if (per_second == 0)
		return true;
	const uint64_t from = s->paid > now ? s->paid : now, price = SECOND / per_second;
	if (from + price > now + SOURCES_BURST * SECOND)
		return false;
	s->paid = from + price;
	return true;
}

enum source_verdict
sources_enter(struct sources *t, const struct tr_addr *from, uint32_t max, uint32_t per_second, uint64_t now, struct source **out)
{
	struct source *s = source_of(t, from);
	*out = NULL;
	if (s == NULL)
		return SOURCE_GOOD;
	if (max != 0 && s->n >= max)
		return SOURCE_MANY;
	if (!pay(s, per_second, now)) {
		rest(t, s, now);
		return SOURCE_FAST;
	}
	if (s->resting)
		TAILQ_REMOVE(&t->resting, s, rest);
	s->resting = false;
	s->n++;
	*out = s;
	return SOURCE_GOOD;
}

void
sources_leave(struct sources *t, struct source *s, uint64_t now)
{
	if (s == NULL)
		return;
	s->n--;
	rest(t, s, now);
}

void
sources_second(struct sources *t, uint64_t now)
{
	for (struct source *s; (s = TAILQ_FIRST(&t->resting)) != NULL && s->paid <= now;)
		forget(t, s);
}
