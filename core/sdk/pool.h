/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet pool that tells the truth about memory: every packet is a heap block of its own, allocated when it is taken
 * and freed when it is given back, so that AddressSanitizer knows overruns, use after free and double free by the stacks
 * that made them. Needs no EAL. Any thread. Slower than a real pool; for tests and for sanitizer builds of the daemon.
 */
#pragma once

#include <rte_mbuf.h>

/* n: packets in use at once, at most. room: data room, headroom included. NULL: out of memory. */
struct rte_mempool *pool_new(const char *name, uint32_t n, uint16_t room);
/* Every packet must be back: pool_in_use() == 0. NULL is fine. */
void pool_free(struct rte_mempool *pool);
uint32_t pool_in_use(const struct rte_mempool *pool);

/*
 * Poisons head- and tailroom: what lies outside the packet's data belongs to nobody until rte_pktmbuf_prepend() or
 * rte_pktmbuf_append() (guard.h). The owner of a graph guards a packet before a node gets it and lifts the guard before a
 * driver does, which knows no guards. Nothing happens without the sanitizer, or to a packet of another pool.
 */
void pool_guard(struct rte_mbuf *m);
void pool_unguard(struct rte_mbuf *m);
