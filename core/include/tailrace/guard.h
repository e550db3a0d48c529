/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AddressSanitizer inside a packet. On a guarded pool (the fake host's, and the daemon's in a sanitizer build) the head-
 * and tailroom of a packet is poisoned while a node has it: a node may touch what rte_pktmbuf_prepend() and
 * rte_pktmbuf_append() have given it, and nothing else. These wrappers move the fence; without the sanitizer this header
 * is empty. A packet is grown by these calls only, never by writing data_off or data_len.
 */
#pragma once

#include <rte_mbuf.h>

#if defined(__SANITIZE_ADDRESS__)
#define TR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TR_ASAN 1
#endif
#endif

#ifdef TR_ASAN
#include <sanitizer/asan_interface.h>

#define TR_POOL_GUARDED (1u << 31) /* rte_mempool.flags */

static inline void
tr_guard_take(const struct rte_mbuf *m, const void *p, size_t n)
{
	if (m->pool->flags & TR_POOL_GUARDED)
		__asan_poison_memory_region(p, n);
}

/* For a node that rewrites a packet in place and sets its length afterwards: the whole buffer is open until it leaves. */
static inline void
tr_guard_lift(const struct rte_mbuf *m)
{
	__asan_unpoison_memory_region(m->buf_addr, m->buf_len);
}

static inline char *
tr_guard_prepend(struct rte_mbuf *m, uint16_t n)
{
	char *p = rte_pktmbuf_prepend(m, n);
	if (p)
		__asan_unpoison_memory_region(p, n);
	return p;
}

static inline char *
tr_guard_append(struct rte_mbuf *m, uint16_t n)
{
	char *p = rte_pktmbuf_append(m, n);
	if (p)
		__asan_unpoison_memory_region(p, n);
	return p;
}

static inline char *
tr_guard_adj(struct rte_mbuf *m, uint16_t n)
{
	char *p = rte_pktmbuf_adj(m, n);
	if (p)
		tr_guard_take(m, p - n, n);
	return p;
}

static inline int
tr_guard_trim(struct rte_mbuf *m, uint16_t n)
{
	int r = rte_pktmbuf_trim(m, n);
	if (r == 0)
		tr_guard_take(m, rte_pktmbuf_mtod_offset(m, const char *, rte_pktmbuf_data_len(m)), n);
	return r;
}

#define rte_pktmbuf_prepend tr_guard_prepend
#define rte_pktmbuf_append tr_guard_append
#define rte_pktmbuf_adj tr_guard_adj
#define rte_pktmbuf_trim tr_guard_trim
#else
static inline void
tr_guard_lift(const struct rte_mbuf *m)
{
}
#endif
