/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Longest-prefix match for routes and allowed IPs alike: IPv4 and IPv6 prefixes to a 32-bit value (0 = none).
 * One writer (control thread); readers on workers without locks, under rcu.h. A reader sees the old or the new value
 * of the longest prefix that covers its address, never another prefix's.
 *
 * A table of 2^16 entries on the first 16 bits, each one 64-bit word: the value of the prefixes up to /16 and the number
 * of an immutable, path-compressed trie with a stride of 8 bits for the longer ones. An update copies the nodes on its
 * path (2 for IPv4, at most 14 for IPv6) and publishes them by one store, so a look-up sees the trie before or after
 * each update and never between two. Replaced nodes wait for a grace period and are reused by later updates.
 */
#pragma once

#include <tailrace/types.h>

struct lpm;

/* max_rules: both families together, bound on memory (-ENOSPC beyond). NULL: out of memory. */
struct lpm *lpm_new(uint32_t max_rules);
void lpm_free(struct lpm *l); /* no readers left */

/* Control thread. value != 0. 0, -ENOSPC, -ENOMEM. Setting again replaces. O(length), not O(rules). */
int lpm_set(struct lpm *l, const struct tr_prefix *p, uint32_t value);
int lpm_del(struct lpm *l, const struct tr_prefix *p); /* -ENOENT */
uint32_t lpm_exact(const struct lpm *l, const struct tr_prefix *p); /* value of exactly this prefix; 0: not there */
void lpm_each(const struct lpm *l, void (*fn)(void *arg, const struct tr_prefix *p, uint32_t value), void *arg);
uint32_t lpm_count(const struct lpm *l);
size_t lpm_memory(const struct lpm *l); /* bytes */

/* Workers: a burst. addr[i] points at 4 or 16 bytes in network order (any alignment). value[i] = 0: no match. */
void lpm_find4(const struct lpm *l, const uint8_t *const *addr, uint16_t n, uint32_t *value);
void lpm_find6(const struct lpm *l, const uint8_t *const *addr, uint16_t n, uint32_t *value);
