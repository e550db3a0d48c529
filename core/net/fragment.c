/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/fragment.h"

enum { FRAGMENT_HEADER = 8, NEXT_FRAGMENT = 44, MF = 0x2000, DF = 0x4000, OFFSET = 0x1fff };

/* The options that every fragment carries (RFC 791: their copied bit), padded; returns their length. */
static uint8_t
copied_options(const uint8_t *from, uint8_t len, uint8_t *to)
{
	uint8_t n = 0;
	for (unsigned at = 0; at < len && from[at] != 0;) {
		unsigned size = from[at] == 1 ? 1 : at + 1 < len ? from[at + 1] : 0;
		if (size < 1 || at + size > len || (from[at] != 1 && size < 2))
			break;
		if ((from[at] & 0x80) != 0) {
			memcpy(to + n, from + at, size);
			n = (uint8_t)(n + size);
		}
		at += size;
	}
	while (n % 4 != 0)
		to[n++] = 0;
	return n;
}

/* Writes the header of one fragment in front of its payload, which begins at `offset` (bytes) of what is split. */
static void
header4(uint8_t *to, uint8_t to_len, const uint8_t *first, uint16_t payload, uint32_t offset, bool more)
{
	uint16_t field = get_be16(first + 6), at = (uint16_t)((field & OFFSET) + offset / 8);
	put_be16(to + 2, (uint16_t)(to_len + payload));
	put_be16(to + 6, (uint16_t)((field & ~(OFFSET | MF)) | at | (more || (field & MF) != 0 ? MF : 0)));
	to[0] = (uint8_t)(0x40 | to_len / 4);
	put_16(to + 10, 0);
	put_16(to + 10, csum_ipv4(to, to_len / 4u));
}

static void
header6(uint8_t *to, uint8_t next, uint16_t payload, uint32_t offset, bool more, uint32_t id)
{
	uint8_t *f = to + IPV6_LEN;
	put_be16(to + 4, (uint16_t)(FRAGMENT_HEADER + payload));
	to[6] = NEXT_FRAGMENT;
	f[0] = next;
	f[1] = 0;
	put_be16(f + 2, (uint16_t)(offset | (more ? 1 : 0)));
	put_be16(f + 4, (uint16_t)(id >> 16));
	put_be16(f + 6, (uint16_t)id);
}

struct split {
	struct tr_node *node;
	uint16_t reason;
	const uint8_t *p; /* as it was */
	uint8_t head, rest_head; /* header of the first and of the other fragments */
	uint8_t rest[GATHER_HEADER];
	uint32_t len, room, id; /* payload, and how much of it goes into a fragment */
};

/* One fragment but the first, as a new packet. NULL: none left. */
static struct rte_mbuf *
part(const struct split *s, const struct tr_meta *meta, uint32_t offset)
{
	uint16_t payload = (uint16_t)(s->len - offset < s->room ? s->len - offset : s->room);
	const bool more = offset + payload < s->len, v4 = s->p[0] >> 4 == 4;
	struct rte_mbuf *m = s->node->host->packet_new(s->node);
	if (m == NULL)
		return NULL;
	if (!ip_resize(m, (uint16_t)(s->rest_head + payload))) {
		s->node->host->packet_drop(s->node, m, s->reason);
		return NULL;
	}
	uint8_t *to = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(to, s->rest, s->rest_head);
	memcpy(to + s->rest_head, s->p + s->head + offset, payload);
	if (v4)
		header4(to, s->rest_head, s->p, payload, offset, more);
	else
		header6(to, s->p[6], payload, offset, more, s->id);
	*tr_meta(m) = *meta;
	tr_meta(m)->trace = 0;
	tr_meta(m)->l3_len = s->rest_head;
	return m;
}

/* Cuts the packet itself down to the first fragment. */
static bool
cut_first(const struct split *s, struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), next = p[6];
	if (p[0] >> 4 == 4) {
		uint8_t first[GATHER_HEADER];
		memcpy(first, p, s->head);
		header4(p, s->head, first, (uint16_t)s->room, 0, true);
		return ip_resize(m, (uint16_t)(s->head + s->room));
	}
	p = (uint8_t *)rte_pktmbuf_prepend(m, FRAGMENT_HEADER);
	if (p == NULL)
		return false;
	memmove(p, p + FRAGMENT_HEADER, IPV6_LEN);
	header6(p, next, (uint16_t)s->room, 0, true, s->id);
	tr_meta(m)->l3_len = IPV6_LEN + FRAGMENT_HEADER;
	return ip_resize(m, (uint16_t)(IPV6_LEN + FRAGMENT_HEADER + s->room));
}

static bool
plan(struct split *s, const struct rte_mbuf *m, uint16_t mtu)
{
	const bool v4 = s->p[0] >> 4 == 4;
	s->head = v4 ? (uint8_t)((s->p[0] & 15) * 4) : IPV6_LEN;
	s->rest_head = v4 ? IPV4_LEN : IPV6_LEN + FRAGMENT_HEADER;
	memcpy(s->rest, s->p, v4 ? IPV4_LEN : IPV6_LEN);
	if (v4)
		s->rest_head = (uint8_t)(IPV4_LEN + copied_options(s->p + IPV4_LEN, (uint8_t)(s->head - IPV4_LEN), s->rest + IPV4_LEN));
	uint32_t overhead = v4 ? s->head : s->rest_head;
	s->len = m->data_len - s->head;
	s->room = mtu > overhead ? (mtu - overhead) & ~7u : 0;
	return s->room > 0 && s->room < s->len && (v4 || rte_pktmbuf_headroom(m) >= FRAGMENT_HEADER);
}

bool
fragment_split(struct tr_node *node, uint16_t gate, struct rte_mbuf **m, uint16_t mtu, uint32_t id, uint16_t reason)
{
	struct split s = {.node = node, .reason = reason, .p = rte_pktmbuf_mtod(*m, const uint8_t *), .id = id};
	struct rte_mbuf *out[TR_BURST];
	uint16_t n = 1;
	if (!plan(&s, *m, mtu))
		return false;
	uint32_t parts = (s.len + s.room - 1) / s.room;
	if (parts > TR_BURST)
		return false;
	while (n < parts && (out[n] = part(&s, tr_meta(*m), n * s.room)) != NULL)
		n++;
	if (n < parts) {
		while (n-- > 1)
			node->host->packet_drop(node, out[n], reason);
		return false;
	}
	cut_first(&s, *m);
	out[0] = *m;
	/* The last, new and so counted as held, takes the packet's place in the caller's burst, and that one its place here. */
	*m = out[parts - 1];
	node->host->emit(node, gate, out, (uint16_t)(parts - 1));
	return true;
}
