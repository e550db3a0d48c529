/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/icmp.h"

enum { ICMP_HEADER = 8, ICMP_MAX4 = 576, ICMP_MAX6 = 1280 }; /* whole error: RFC 1812 §4.3.2.3, RFC 4443 §2.4 (c) */

static void
swap_addresses(uint8_t *p, bool v4)
{
	uint8_t tmp[16], *src = p + (v4 ? 12 : 8);
	const size_t size = v4 ? 4 : 16;
	memcpy(tmp, src, size);
	memmove(src, src + size, size);
	memcpy(src + size, tmp, size);
}

enum icmp_fault
icmp_echo(struct rte_mbuf *m, const struct ip_view *v)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *icmp = p + v->l3_len;
	const bool v4 = v->version == 4;
	const uint32_t len = v->len - v->l3_len;
	if (v->fragment || len < ICMP_HEADER || v->l4 != (v4 ? IP_ICMP : IP_ICMP6))
		return ICMP_OTHER;
	if ((v4 ? csum_finish(csum_add(0, icmp, len)) : csum_l4(p, IP_ICMP6, icmp, len)) != 0)
		return ICMP_CHECKSUM;
	if (icmp[0] != (v4 ? ICMP_ECHO : ICMP6_ECHO) || icmp[1] != 0)
		return ICMP_OTHER;
	uint16_t before = get_16(icmp);
	icmp[0] = v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
	put_16(icmp + 2, csum_change(get_16(icmp + 2), before, get_16(icmp)));
	swap_addresses(p, v4);
	uint8_t l3_len = v->l3_len;
	if (!v4 && l3_len != IPV6_LEN) { /* the answer goes without the question's extension headers */
		uint8_t header[IPV6_LEN];
		memcpy(header, p, IPV6_LEN);
		p = (uint8_t *)rte_pktmbuf_adj(m, (uint16_t)(l3_len - IPV6_LEN));
		memcpy(p, header, IPV6_LEN);
		l3_len = IPV6_LEN;
		p[6] = IP_ICMP6;
		put_be16(p + 4, (uint16_t)len);
	}
	if (v4) {
		p[8] = 64;
		put_16(p + 10, 0);
		put_16(p + 10, csum_ipv4(p, v->l3_len / 4));
	} else {
		p[7] = 64;
	}
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = l3_len;
	meta->l4 = v->l4;
	meta->flags = (uint8_t)((meta->flags & ~TR_META_VIA) | TR_META_OWN);
	return ICMP_REPLIED;
}

static bool
is_icmp_error(uint8_t version, const uint8_t *icmp)
{
	if (version == 6)
		return icmp[0] < 128 || icmp[0] == 137; /* errors, redirect */
	switch (icmp[0]) {
	case 3:  /* unreachable */
	case 4:  /* source quench */
	case 5:  /* redirect */
	case 11: /* time exceeded */
	case 12: /* parameter problem */
		return true;
	default:
		return false;
	}
}

/* type and code, and where in the second word `arg` goes. */
struct wording {
	uint8_t type, code;
	enum { ARG_NONE, ARG_BYTE, ARG_HALF, ARG_WORD } arg;
};

static const struct wording wording[2][TR_ICMP_OPTION + 1] = {
	{[TR_ICMP_NO_ROUTE] = {3, 0, ARG_NONE}, [TR_ICMP_HOST] = {3, 1, ARG_NONE}, [TR_ICMP_SCOPE] = {3, 1, ARG_NONE}, [TR_ICMP_PROHIBITED] = {3, 13, ARG_NONE},
		[TR_ICMP_PORT] = {3, 3, ARG_NONE}, [TR_ICMP_PROTOCOL] = {3, 2, ARG_NONE}, [TR_ICMP_TOO_BIG] = {3, 4, ARG_HALF},
		[TR_ICMP_TTL] = {11, 0, ARG_NONE}, [TR_ICMP_REASSEMBLY] = {11, 1, ARG_NONE},
		[TR_ICMP_PARAMETER] = {12, 0, ARG_BYTE}, [TR_ICMP_OPTION] = {12, 0, ARG_BYTE}},
	{[TR_ICMP_NO_ROUTE] = {1, 0, ARG_NONE}, [TR_ICMP_HOST] = {1, 3, ARG_NONE}, [TR_ICMP_SCOPE] = {1, 2, ARG_NONE}, [TR_ICMP_PROHIBITED] = {1, 1, ARG_NONE},
		[TR_ICMP_PORT] = {1, 4, ARG_NONE}, [TR_ICMP_PROTOCOL] = {4, 1, ARG_WORD}, [TR_ICMP_TOO_BIG] = {2, 0, ARG_WORD},
		[TR_ICMP_TTL] = {3, 0, ARG_NONE}, [TR_ICMP_REASSEMBLY] = {3, 1, ARG_NONE},
		[TR_ICMP_PARAMETER] = {4, 0, ARG_WORD}, [TR_ICMP_OPTION] = {4, 2, ARG_WORD}},
};

static bool
by_addressee(enum tr_icmp why)
{
	return why == TR_ICMP_PORT || why == TR_ICMP_PROTOCOL || why == TR_ICMP_REASSEMBLY || why == TR_ICMP_OPTION;
}

/* May an error be sent about this packet? Fills `v`. */
static bool
allowed(const struct rte_mbuf *m, struct ip_view *v)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	enum ip_fault fault = ip_check(p, m->data_len, v);
	if (fault != IP_OK && fault != IP_EXTENSION) /* malformed extension headers are what some errors are about */
		return false;
	const uint8_t flags = tr_meta((struct rte_mbuf *)(uintptr_t)m)->flags & (TR_META_OWN | TR_META_HOST);
	if ((v->tail && (v->version == 4 || v->l4 == IP_ICMP6)) || flags == TR_META_OWN || ip_dst_is_multicast(p))
		return false;
	if (v->version == 6 && ip6_is_unspecified(p + 8))
		return false;
	if (v->l4 == (v->version == 4 ? IP_ICMP : IP_ICMP6))
		return v->len > v->l3_len && !is_icmp_error(v->version, p + v->l3_len);
	return true;
}

static void
put_arg(uint8_t *icmp, const struct wording *w, uint32_t arg)
{
	memset(icmp + 4, 0, 4);
	if (w->arg == ARG_BYTE)
		icmp[4] = (uint8_t)arg;
	else if (w->arg == ARG_HALF)
		put_be16(icmp + 6, (uint16_t)arg);
	else if (w->arg == ARG_WORD) {
		put_be16(icmp + 4, (uint16_t)(arg >> 16));
		put_be16(icmp + 6, (uint16_t)arg);
	}
}

/* Fills `out`, a new packet, with the error about `m`. */
static void
fill(struct rte_mbuf *out, const struct rte_mbuf *m, const struct ip_view *v, enum tr_icmp why, uint32_t arg)
{
	const bool v4 = v->version == 4;
	const struct wording *w = &wording[!v4][why];
	const uint16_t l3 = v4 ? IPV4_LEN : IPV6_LEN, head = (uint16_t)(l3 + ICMP_HEADER);
	const uint8_t *from = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t quote = (uint16_t)((v4 ? ICMP_MAX4 : ICMP_MAX6) - head);
	if (quote > v->len)
		quote = v->len;
	if (quote + head > rte_pktmbuf_tailroom(out))
		quote = (uint16_t)(rte_pktmbuf_tailroom(out) - head);
	ip_resize(out, (uint16_t)(head + quote));
	uint8_t *p = rte_pktmbuf_mtod(out, uint8_t *), *icmp = p + l3, *src = p + (v4 ? 12 : 8);
	const size_t size = v4 ? 4 : 16;
	memcpy(icmp + ICMP_HEADER, from, quote);
	icmp[0] = w->type;
	icmp[1] = w->code;
	put_16(icmp + 2, 0);
	put_arg(icmp, w, arg);
	if (v4)
		ip4_header(p, 0xc0, out->data_len, 0, IP_ICMP, 64); /* precedence 6: RFC 1812 §4.3.2.5 */
	else
		ip6_header(p, 0, (uint16_t)(out->data_len - l3), IP_ICMP6, 64);
	memset(src, 0, size);
	if (by_addressee(why))
		memcpy(src, ip_dst(from), size);
	memcpy(src + size, ip_src(from), size);
	if (v4) {
		put_16(p + 10, csum_ipv4(p, 5));
		put_16(icmp + 2, csum_finish(csum_add(0, icmp, out->data_len - l3)));
	} else {
		put_16(icmp + 2, csum_l4(p, IP_ICMP6, icmp, out->data_len - l3));
	}
	struct tr_meta *meta = tr_meta(out);
	meta->l3_len = (uint8_t)l3;
	meta->l4 = v4 ? IP_ICMP : IP_ICMP6;
	meta->flags = TR_META_OWN;
	meta->in = TR_IN_SELF;
}

struct rte_mbuf *
icmp_make(struct tr_node *node, const struct rte_mbuf *m, enum tr_icmp why, uint32_t arg, uint64_t *since,
	enum tr_icmp_fate *fate)
{
	struct ip_view v;
	*fate = TR_ICMP_NOT_DUE;
	if (!allowed(m, &v))
		return NULL;
	*fate = TR_ICMP_LIMITED;
	struct rte_mbuf *e = icmp_rate_take(since, *node->now) ? node->host->packet_new(node) : NULL;
	if (e == NULL)
		return NULL;
	fill(e, m, &v, why, arg);
	*fate = TR_ICMP_SENT;
	return e;
}

enum tr_icmp_fate
icmp_send(struct tr_node *node, uint16_t gate, const struct rte_mbuf *m, enum tr_icmp why, uint32_t arg, uint64_t *since)
{
	enum tr_icmp_fate fate;
	struct rte_mbuf *e = icmp_make(node, m, why, arg, since, &fate);
	if (e != NULL)
		node->host->emit(node, gate, &e, 1);
	return fate;
}

bool
icmp_rate_take(uint64_t *since, uint64_t now)
{
	const uint64_t each = 1000000000u / ICMP_PER_SECOND, depth = each * ICMP_BURST;
	uint64_t floor = now > depth ? now - depth : 0;
	if (*since < floor)
		*since = floor;
	if (*since + each > now && now >= depth)
		return false;
	*since += each;
	return true;
}
