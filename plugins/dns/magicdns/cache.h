/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Upstreams' answers by question, bounded in number and size; the one used least lately makes room. One thread.
 */
#pragma once

#include "answer.h"
#include "wire.h"

#define CACHE_ANSWER_MAX 4096 /* longer answers aren't kept */

struct cache;

/* hash: 64 bits of a keyed hash, so that nobody can make questions collide. */
struct cache *cache_new(uint64_t (*hash)(void *arg, const struct wire_key *), void *arg);
void cache_free(struct cache *c);

/* Valid until the next call. NULL: not there, or expired by `now` (ns). *age: seconds since it was put. */
const struct stored *cache_find(struct cache *c, const struct wire_key *k, uint64_t now, uint32_t *age);
/* Keeps a copy; at most `max` entries stay (0: none). Nothing is kept when memory is short. */
void cache_put(struct cache *c, const struct wire_key *k, const uint8_t *msg, const struct wire_answer *a, uint64_t now,
	uint32_t max);
uint32_t cache_count(const struct cache *c);
