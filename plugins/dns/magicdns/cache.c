/* SPDX-License-Identifier: BSD-3-Clause */
#include "cache.h"

#include <stdlib.h>
#include <sys/queue.h>

#define SECOND 1000000000ull

struct entry {
	LIST_ENTRY(entry) chain;
	TAILQ_ENTRY(entry) used; /* least lately first */
	uint64_t put, expires;
	struct stored stored;
	struct wire_key key;
	uint8_t data[]; /* offsets of TTLs, then the message */
};

LIST_HEAD(bucket, entry);

struct cache {
	uint64_t (*hash)(void *arg, const struct wire_key *);
	void *arg;
	TAILQ_HEAD(, entry) used;
	uint32_t n, n_buckets; /* a power of two, doubled when there are more entries than buckets */
	struct bucket *bucket;
};

#define BUCKETS_MIN 256

struct cache *
cache_new(uint64_t (*hash)(void *arg, const struct wire_key *), void *arg)
{
	struct cache *c = calloc(1, sizeof(*c));
	if (c == NULL)
		return NULL;
	c->hash = hash;
	c->arg = arg;
	c->n_buckets = BUCKETS_MIN;
	c->bucket = calloc(c->n_buckets, sizeof(*c->bucket));
	TAILQ_INIT(&c->used);
	if (c->bucket == NULL) {
		free(c);
		return NULL;
	}
	return c;
}

static void
drop(struct cache *c, struct entry *e)
{
	LIST_REMOVE(e, chain);
	TAILQ_REMOVE(&c->used, e, used);
	free(e);
	c->n--;
}

void
cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	while (!TAILQ_EMPTY(&c->used))
		drop(c, TAILQ_FIRST(&c->used));
	free(c->bucket);
	free(c);
}

static struct bucket *
bucket_of(struct cache *c, const struct wire_key *k)
{
	return &c->bucket[c->hash(c->arg, k) & (c->n_buckets - 1)];
}

static struct entry *
find(struct bucket *b, const struct wire_key *k)
{
	struct entry *e;
	LIST_FOREACH(e, b, chain)
		if (e->key.len == k->len && memcmp(e->key.bytes, k->bytes, k->len) == 0)
			return e;
	return NULL;
}

const struct stored *
cache_find(struct cache *c, const struct wire_key *k, uint64_t now, uint32_t *age)
{
	struct entry *e = find(bucket_of(c, k), k);
	if (e == NULL)
		return NULL;
	if (e->expires <= now) {
		drop(c, e);
		return NULL;
	}
	TAILQ_REMOVE(&c->used, e, used);
	TAILQ_INSERT_TAIL(&c->used, e, used);
	*age = (uint32_t)((now - e->put) / SECOND);
	return &e->stored;
}

/* Without memory for it the chains just grow longer. */
static void
grow(struct cache *c)
{
	struct bucket *more = calloc((size_t)c->n_buckets * 2, sizeof(*more));
	if (more == NULL)
		return;
	free(c->bucket);
	c->bucket = more;
	c->n_buckets *= 2;
	struct entry *e;
	TAILQ_FOREACH(e, &c->used, used)
		LIST_INSERT_HEAD(bucket_of(c, &e->key), e, chain);
}

static struct entry *
entry_new(const struct wire_key *k, const uint8_t *msg, const struct wire_answer *a, uint64_t now)
{
	const size_t offsets = a->n_ttl * sizeof(*a->ttl_at);
	struct entry *e = malloc(sizeof(*e) + offsets + a->len);
	if (e == NULL)
		return NULL;
	memcpy(e->data, a->ttl_at, offsets);
	memcpy(e->data + offsets, msg, a->len);
	e->put = now;
	e->expires = now + a->ttl * SECOND;
	e->stored = (struct stored){.wire = e->data + offsets, .len = a->len, .n_ttl = a->n_ttl,
		.ttl_at = (const uint16_t *)e->data};
	e->key.len = k->len;
	memcpy(e->key.bytes, k->bytes, k->len);
	return e;
}

void
cache_put(struct cache *c, const struct wire_key *k, const uint8_t *msg, const struct wire_answer *a, uint64_t now,
	uint32_t max)
{
	struct entry *old = find(bucket_of(c, k), k);
	if (old != NULL)
		drop(c, old);
	while (c->n > 0 && c->n >= max)
		drop(c, TAILQ_FIRST(&c->used));
	if (max == 0 || a->ttl == 0 || a->len > CACHE_ANSWER_MAX)
		return;
	struct entry *e = entry_new(k, msg, a, now);
	if (e == NULL)
		return;
	if (c->n >= c->n_buckets)
		grow(c);
	LIST_INSERT_HEAD(bucket_of(c, k), e, chain);
	TAILQ_INSERT_TAIL(&c->used, e, used);
	c->n++;
}

uint32_t
cache_count(const struct cache *c)
{
	return c->n;
}
