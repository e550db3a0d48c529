/* SPDX-License-Identifier: BSD-3-Clause */
#define HASH_NONFATAL_OOM 1
#define uthash_nonfatal_oom(element) ((element)->hh.tbl = NULL)

#include "registry.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Clients choose their keys: by a hash that they could compute they would make them collide. */
static unsigned
keyed_hash(const struct registry *r, const void *data, size_t len)
{
	uint64_t h;
	crypto_shorthash((uint8_t *)&h, data, len, r->hash_key);
	return (unsigned)h;
}

void
registry_init(struct registry *r)
{
	*r = (struct registry){.epoch = 1};
	randombytes_buf(r->hash_key, sizeof(r->hash_key));
}

struct party *
registry_find(const struct registry *r, const uint8_t key[32])
{
	struct party *p;
	HASH_FIND_BYHASHVALUE(hh, r->parties, key, 32, keyed_hash(r, key, 32), p);
	return p;
}

static struct party *
party_of(struct registry *r, const uint8_t key[32])
{
	struct party *p = registry_find(r, key);
	if (p != NULL || (p = calloc(1, sizeof(*p))) == NULL)
		return p;
	memcpy(p->key, key, 32);
	TAILQ_INIT(&p->members);
	TAILQ_INIT(&p->reached);
	HASH_ADD_BYHASHVALUE(hh, r->parties, key, 32, keyed_hash(r, key, 32), p);
	if (p->hh.tbl == NULL) {
		free(p);
		return NULL;
	}
	return p;
}

bool
registry_join(struct registry *r, struct member *m, const uint8_t key[32])
{
	m->party = party_of(r, key);
	LIST_INIT(&m->heard);
	if (m->party == NULL)
		return false;
	TAILQ_INSERT_HEAD(&m->party->members, m, link);
	r->epoch++;
	return true;
}

void
registry_spoke(struct registry *r, struct member *m)
{
	if (TAILQ_FIRST(&m->party->members) == m)
		return;
	TAILQ_REMOVE(&m->party->members, m, link);
	TAILQ_INSERT_HEAD(&m->party->members, m, link);
	r->epoch++;
}

static void
forget(struct registry *r, struct party *source, struct relation *x)
{
	TAILQ_REMOVE(&source->reached, x, of_source);
	LIST_REMOVE(x, of_target);
	source->n_reached--;
	HASH_DEL(r->relations, x);
	free(x);
}

void
registry_reached(struct registry *r, struct party *source, struct member *target)
{
	struct relation *x, probe = {.key = {source, target}};
	const unsigned hash = keyed_hash(r, &probe.key, sizeof(probe.key));
	HASH_FIND_BYHASHVALUE(hh, r->relations, &probe.key, sizeof(probe.key), hash, x);
	if (x != NULL || (x = calloc(1, sizeof(*x))) == NULL)
		return;
	x->key.source = source;
	x->key.target = target;
	HASH_ADD_BYHASHVALUE(hh, r->relations, key, sizeof(x->key), hash, x);
	if (x->hh.tbl == NULL) {
		free(x);
		return;
	}
	TAILQ_INSERT_TAIL(&source->reached, x, of_source);
	LIST_INSERT_HEAD(&target->heard, x, of_target);
	if (++source->n_reached > RELATIONS_MAX)
		forget(r, source, TAILQ_FIRST(&source->reached));
}

struct party *
registry_announce(struct registry *r, const uint8_t key[32], struct member *neighbour)
{
	struct party *p = party_of(r, key);
	if (p == NULL)
		return NULL;
	struct announcement **at = &p->announced;
	for (; *at != NULL; at = &(*at)->next)
		if ((*at)->neighbour == neighbour)
			return p;
	*at = calloc(1, sizeof(**at));
	if (*at == NULL)
		return registry_empty(p) ? (registry_bury(r, p, NULL, NULL), NULL) : NULL;
	(*at)->neighbour = neighbour;
	r->epoch++;
	return p;
}

void
registry_renounce(struct registry *r, struct party *p, const struct member *neighbour)
{
	for (struct announcement **at = &p->announced, *a; (a = *at) != NULL; at = &a->next) {
		if (a->neighbour != neighbour)
			continue;
		*at = a->next;
		free(a);
		r->epoch++;
		return;
	}
}

struct party *
registry_leave(struct registry *r, struct member *m)
{
	struct party *p = m->party;
	for (struct relation *x; (x = LIST_FIRST(&m->heard)) != NULL;)
		forget(r, (struct party *)(uintptr_t)x->key.source, x);
	TAILQ_REMOVE(&p->members, m, link);
	m->party = NULL;
	r->epoch++;
	return p;
}

void
registry_bury(struct registry *r, struct party *p, void (*gone)(void *arg, struct member *target, const uint8_t key[32]),
	void *arg)
{
	for (struct relation *x; (x = TAILQ_FIRST(&p->reached)) != NULL;) {
		struct member *target = (struct member *)(uintptr_t)x->key.target;
		forget(r, p, x);
		if (gone != NULL)
			gone(arg, target, p->key);
	}
	HASH_DEL(r->parties, p);
	r->epoch++;
	free(p);
}
