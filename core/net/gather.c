/* SPDX-License-Identifier: BSD-3-Clause */
/* Fragments for this box become datagrams again (RFC 791 §3.2, RFC 815, RFC 8200 §4.5, RFC 5722). */
#include "net/fragment.h"

enum { FRAGMENT_HEADER = 8, NEXT_FRAGMENT = 44, MF = 0x2000, OFFSET = 0x1fff };

/* What one fragment says. */
struct piece {
	struct gather_key key;
	uint8_t header_len; /* up to the payload */
	uint32_t from, to;  /* of the datagram's payload */
	bool more;
};

static void
read4(const uint8_t *p, const struct ip_view *v, struct piece *f)
{
	uint16_t field = get_be16(p + 6);
	f->header_len = (uint8_t)((p[0] & 15) * 4);
	f->more = (field & MF) != 0;
	f->from = (field & OFFSET) * 8u;
	f->key.id = get_be16(p + 4);
	f->key.l4 = p[9];
	memcpy(f->key.addr, p + 12, 8);
}

/* Other headers in front of the fragment header are not taken in: nobody we serve sends them. */
static bool
read6(const uint8_t *p, const struct ip_view *v, struct piece *f)
{
	if (p[6] != NEXT_FRAGMENT || v->len < IPV6_LEN + FRAGMENT_HEADER)
		return false;
	uint16_t field = get_be16(p + 42);
	f->header_len = IPV6_LEN + FRAGMENT_HEADER;
	f->more = (field & 1) != 0;
	f->from = field & 0xfff8u;
	f->key.id = (uint32_t)get_be16(p + 44) << 16 | get_be16(p + 46);
	memcpy(f->key.addr, p + 8, 32);
	return true;
}

static enum gather_fate
read_piece(const uint8_t *p, const struct ip_view *v, struct piece *f, uint32_t *at)
{
	*f = (struct piece){.key = {.version = v->version}};
	*at = 0;
	if (v->version == 4)
		read4(p, v, f);
	else if (!read6(p, v, f))
		return GATHER_BAD;
	f->to = f->from + v->len - f->header_len;
	if (f->to == f->from || (f->more && f->to % 8 != 0)) {
		*at = v->version == 6 ? 4 : 0; /* the payload length */
		return GATHER_BAD;
	}
	if (f->to > UINT16_MAX) {
		*at = v->version == 6 ? IPV6_LEN + 2 : 0; /* the offset */
		return GATHER_BAD;
	}
	return GATHER_KEPT;
}

static void
release(struct tr_node *node, struct gather_slot *s, uint16_t reason)
{
	node->host->packet_drop(node, s->m, reason);
	s->m = NULL;
}

static struct gather_slot *
open_slot(struct tr_node *node, struct gather *g, const struct piece *f, uint16_t reason)
{
	struct gather_slot *s = &g->slot[0];
	for (unsigned k = 0; k < GATHER_SLOTS; k++) {
		struct gather_slot *t = &g->slot[k];
		if (t->m != NULL && memcmp(&t->key, &f->key, sizeof(f->key)) == 0)
			return t;
		if (s->m != NULL && (t->m == NULL || t->until < s->until))
			s = t; /* a free one, or the oldest */
	}
	struct rte_mbuf *m = node->host->packet_new(node);
	if (m == NULL)
		return NULL;
	if (s->m != NULL)
		release(node, s, reason);
	uint64_t until = *node->now + (f->key.version == 4 ? GATHER_NS4 : GATHER_NS6);
	*s = (struct gather_slot){.m = m, .key = f->key, .until = until};
	if (until < g->next)
		g->next = until;
	return s;
}

static bool
has(const struct gather_slot *s, uint32_t unit)
{
	return (s->have[unit / 64] >> unit % 64 & 1) != 0;
}

/* Does the piece contradict what is there? *again: it is there already, to the last byte. */
static bool
contradicts(const struct gather_slot *s, const struct piece *f, const uint8_t *data, bool *again)
{
	unsigned there = 0, units = (f->to + 7) / 8 - f->from / 8;
	for (uint32_t u = f->from / 8; u < (f->to + 7) / 8; u++)
		there += has(s, u);
	const uint8_t *payload = rte_pktmbuf_mtod_offset(s->m, const uint8_t *, GATHER_HEADER);
	*again = there == units && f->to <= s->most && memcmp(payload + f->from, data, f->to - f->from) == 0;
	if (*again)
		return false;
	if (there > 0 || (s->end != 0 && (f->to > s->end || (!f->more && f->to != s->end))))
		return true;
	return !f->more && s->most > f->to;
}

static void
put(struct gather_slot *s, const struct piece *f, const uint8_t *p)
{
	uint8_t *payload = rte_pktmbuf_mtod_offset(s->m, uint8_t *, GATHER_HEADER);
	memcpy(payload + f->from, p + f->header_len, f->to - f->from);
	for (uint32_t u = f->from / 8; u < (f->to + 7) / 8; u++)
		s->have[u / 64] |= UINT64_C(1) << u % 64;
	if (f->to > s->most)
		s->most = (uint16_t)f->to;
	if (!f->more)
		s->end = (uint16_t)f->to;
	if (f->from == 0) {
		s->header_len = f->header_len;
		memcpy(s->header, p, f->header_len);
	}
}

/* Payload that is there without a gap, from the start. */
static uint16_t
first_run(const struct gather_slot *s)
{
	uint32_t u = 0;
	while (u < GATHER_UNITS && has(s, u))
		u++;
	return (uint16_t)(u * 8 < s->most ? u * 8 : s->most);
}

/* Turns the buffer into the packet: `header` in front of `len` bytes of payload. */
static struct rte_mbuf *
dress(struct gather_slot *s, const uint8_t *header, uint8_t header_len, uint16_t len)
{
	struct rte_mbuf *m = s->m;
	ip_resize(m, (uint16_t)(GATHER_HEADER + len));
	uint8_t *p = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)(GATHER_HEADER - header_len));
	memcpy(p, header, header_len);
	put_be16(p + (p[0] >> 4 == 4 ? 2 : 4), p[0] >> 4 == 4 ? m->data_len : (uint16_t)(m->data_len - IPV6_LEN));
	if (p[0] >> 4 == 4) {
		put_16(p + 10, 0);
		put_16(p + 10, csum_ipv4(p, header_len / 4u));
	}
	return m;
}

static struct rte_mbuf *
whole_of(struct gather_slot *s)
{
	uint8_t head = s->header_len;
	if (s->key.version == 4) {
		put_be16(s->header + 6, 0);
	} else {
		head -= FRAGMENT_HEADER;
		s->header[6] = s->header[IPV6_LEN];
	}
	return dress(s, s->header, head, s->end);
}

/* A slot's buffer grows to what the piece needs. */
static bool
reach(struct gather_slot *s, uint32_t to)
{
	uint32_t want = GATHER_HEADER + to;
	if (to > GATHER_UNITS * 8)
		return false;
	if (want <= s->m->data_len)
		return true;
	return want - s->m->data_len + TR_TAILROOM <= rte_pktmbuf_tailroom(s->m) && ip_resize(s->m, (uint16_t)want);
}

enum gather_fate
gather_add(struct tr_node *node, struct gather *g, const struct rte_mbuf *m, const struct ip_view *v, uint16_t reason,
	struct rte_mbuf **whole, uint32_t *at)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	struct piece f;
	bool again;
	enum gather_fate fate = read_piece(p, v, &f, at);
	if (fate != GATHER_KEPT)
		return fate;
	struct gather_slot *s = open_slot(node, g, &f, reason);
	if (s == NULL)
		return GATHER_ROOM;
	if (s->refused)
		return GATHER_OVERLAP;
	if (!reach(s, f.to)) {
		release(node, s, reason);
		return GATHER_ROOM;
	}
	if (contradicts(s, &f, p + f.header_len, &again)) {
		s->refused = true;
		return GATHER_OVERLAP;
	}
	if (!again)
		put(s, &f, p);
	if (s->end == 0 || s->header_len == 0 || first_run(s) < s->end)
		return GATHER_KEPT;
	*whole = whole_of(s);
	*tr_meta(*whole) = *tr_meta((struct rte_mbuf *)(uintptr_t)m);
	tr_meta(*whole)->trace = 0;
	s->m = NULL;
	return GATHER_WHOLE;
}

void
gather_init(struct gather *g)
{
	g->next = UINT64_MAX;
	for (unsigned k = 0; k < GATHER_SLOTS; k++)
		g->slot[k].m = NULL;
}

void
gather_expire(struct tr_node *node, struct gather *g, uint64_t now, uint16_t reason,
	void (*tell)(void *arg, const struct rte_mbuf *first), void *arg)
{
	g->next = UINT64_MAX;
	for (unsigned k = 0; k < GATHER_SLOTS; k++) {
		struct gather_slot *s = &g->slot[k];
		if (s->m != NULL && s->until <= now) {
			if (s->header_len != 0 && !s->refused)
				tell(arg, dress(s, s->header, s->header_len, first_run(s)));
			release(node, s, reason);
		} else if (s->m != NULL && s->until < g->next) {
			g->next = s->until;
		}
	}
}

void
gather_clear(struct tr_node *node, struct gather *g, uint16_t reason)
{
	for (unsigned k = 0; k < GATHER_SLOTS; k++)
		if (g->slot[k].m != NULL)
			release(node, &g->slot[k], reason);
	g->next = UINT64_MAX;
}
