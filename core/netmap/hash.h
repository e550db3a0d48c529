/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash set of pointers: one writer (control thread), any number of readers without locks under rcu.h. Fixed size, in
 * pages touched only when used: it never moves, so a reader never waits and an insertion never rehashes.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hash {
	_Atomic(void *) *slot;
	size_t mask, used, max;
	uint64_t key[2]; /* secret: those who choose what is in the table can't make it collide */
	bool (*same)(const void *item, const void *key, size_t len);
};

bool hash_init(struct hash *h, size_t max, bool (*same)(const void *item, const void *key, size_t len));
void hash_fini(struct hash *h);
bool hash_add(struct hash *h, void *item, const void *key, size_t len); /* not there yet; false: full */
void hash_del(struct hash *h, const void *item, const void *key, size_t len);
void *hash_find(const struct hash *h, const void *key, size_t len); /* any reader */

/* hash_find() in steps, for bursts whose memory is to be fetched ahead: where the search begins, what lies there (only to
 * be fetched: it may be another's, or NULL), the search. */
size_t hash_start(const struct hash *h, const void *key, size_t len);
const void *hash_peek(const struct hash *h, size_t start);
void *hash_find_from(const struct hash *h, size_t start, const void *key, size_t len);
