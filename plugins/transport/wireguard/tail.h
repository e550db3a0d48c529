/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * rte_pktmbuf_append() and _trim() for packets of one segment: they look for the last one, and thereby touch the mbuf's
 * second cache line, which nothing else on the way needs. The sanitizer build takes the guarded originals.
 */
#pragma once

#include <tailrace/packet.h>

/* NULL: no room. */
static inline void *
tail_add(struct rte_mbuf *m, uint16_t n)
{
#ifdef TR_ASAN
	return rte_pktmbuf_append(m, n);
#else
	if (m->buf_len - m->data_off - m->data_len < n)
		return NULL;
	void *p = rte_pktmbuf_mtod_offset(m, void *, m->data_len);
	m->data_len = (uint16_t)(m->data_len + n);
	m->pkt_len = m->data_len;
	return p;
#endif
}

/* n is at most the packet's length. */
static inline void
tail_cut(struct rte_mbuf *m, uint16_t n)
{
#ifdef TR_ASAN
	rte_pktmbuf_trim(m, n);
#else
	m->data_len = (uint16_t)(m->data_len - n);
	m->pkt_len = m->data_len;
#endif
}
