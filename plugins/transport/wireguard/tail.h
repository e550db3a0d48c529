/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both ends of a packet of one segment at once. rte_pktmbuf_append() and _trim() look for the last segment, and thereby touch
 * the mbuf's second cache line, which nothing else on the way needs. The sanitizer build takes the guarded originals.
 */
#pragma once

#include <tailrace/packet.h>

/* Room for `head` bytes before the packet and `tail` behind it. The new start; NULL: no room, and some may have been taken. */
static inline void *
wrap_add(struct rte_mbuf *m, uint16_t head, uint16_t tail)
{
#ifdef TR_ASAN
	return rte_pktmbuf_append(m, tail) ? rte_pktmbuf_prepend(m, head) : NULL;
#else
	if (m->data_off < head || m->buf_len - m->data_off - m->data_len < tail)
		return NULL;
	m->data_off = (uint16_t)(m->data_off - head);
	m->data_len = (uint16_t)(m->data_len + head + tail);
	m->pkt_len = m->data_len;
	return rte_pktmbuf_mtod(m, void *);
#endif
}

/* The packet becomes what lies in its middle: `len` bytes after the first `skip`. They are there. */
static inline void
unwrap_to(struct rte_mbuf *m, uint32_t skip, uint32_t len)
{
#ifdef TR_ASAN
	rte_pktmbuf_adj(m, (uint16_t)skip);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - len));
#else
	m->data_off = (uint16_t)(m->data_off + skip);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
#endif
}
