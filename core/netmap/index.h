/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receiver indexes: random-looking u32 -> u64, in constant time and without hashing: an index is a keyed permutation of
 * (slot, generation). Each worker allocates from its own slots; any reader looks up. No EAL.
 */
#pragma once

#include <stdint.h>

struct index_table;

struct index_table *index_table_new(uint32_t capacity, uint16_t workers); /* memory is touched only when used */
void index_table_free(struct index_table *t);
uint32_t index_table_add(struct index_table *t, uint16_t worker, uint64_t value); /* owner worker; 0: full */
void index_table_del(struct index_table *t, uint16_t worker, uint32_t index);     /* the worker that added it */
void index_table_find(const struct index_table *t, const uint32_t *index, uint16_t n, uint64_t *value); /* any worker */
