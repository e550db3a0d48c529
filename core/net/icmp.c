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
	/* With IPv6 extension headers an answer would have to undo a routing header: not answered. */
	if (v->fragment || len < ICMP_HEADER || v->l4 != (v4 ? IP_ICMP : IP_ICMP6) || (!v4 && v->l3_len != IPV6_LEN))
		return ICMP_OTHER;
	if ((v4 ? csum_finish(csum_add(0, icmp, len)) : csum_l4(p, IP_ICMP6, icmp, len)) != 0)
		return ICMP_CHECKSUM;
	if (icmp[0] != (v4 ? ICMP_ECHO : ICMP6_ECHO) || icmp[1] != 0)
		return ICMP_OTHER;
	uint16_t before = get_16(icmp);
	icmp[0] = v4 ? ICMP_ECHO_REPLY : ICMP6_ECHO_REPLY;
	put_16(icmp + 2, csum_change(get_16(icmp + 2), before, get_16(icmp)));
	swap_addresses(p, v4);
	if (v4) {
		p[8] = 64;
		put_16(p + 10, 0);
		put_16(p + 10, csum_ipv4(p, v->l3_len / 4));
	} else {
		p[7] = 64;
	}
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = v->l3_len;
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

bool
icmp_error_allowed(const struct rte_mbuf *m, const struct ip_view *v)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	if (v->tail || (tr_meta((struct rte_mbuf *)(uintptr_t)m)->flags & TR_META_OWN) != 0 || ip_dst_is_multicast(p))
		return false;
	if (v->version == 6 && (ip6_is_unspecified(p + 8) || ip6_is_link_local(p + 8)))
		return false;
	if (v->l4 == (v->version == 4 ? IP_ICMP : IP_ICMP6))
		return v->len > v->l3_len && !is_icmp_error(v->version, p + v->l3_len);
	return true;
}

void
icmp_error(struct rte_mbuf *out, const struct rte_mbuf *m, const struct ip_view *v, enum icmp_error what, uint32_t mtu,
	const uint8_t *src)
{
	const bool v4 = v->version == 4;
	const uint16_t l3 = v4 ? IPV4_LEN : IPV6_LEN, head = (uint16_t)(l3 + ICMP_HEADER);
	const uint8_t *from = rte_pktmbuf_mtod(m, const uint8_t *);
	uint16_t quote = (uint16_t)((v4 ? ICMP_MAX4 : ICMP_MAX6) - head);
	if (quote > v->len)
		quote = v->len;
	if (quote + head > rte_pktmbuf_tailroom(out))
		quote = (uint16_t)(rte_pktmbuf_tailroom(out) - head);
	ip_resize(out, (uint16_t)(head + quote));
	uint8_t *p = rte_pktmbuf_mtod(out, uint8_t *), *icmp = p + l3;
	memcpy(icmp + ICMP_HEADER, from, quote);
	memset(icmp, 0, ICMP_HEADER);
	if (v4) {
		icmp[0] = what == ICMP_TOO_BIG ? 3 : 11;
		icmp[1] = what == ICMP_TOO_BIG ? 4 : 0;
		if (what == ICMP_TOO_BIG)
			put_be16(icmp + 6, (uint16_t)mtu);
		ip4_header(p, 0xc0, out->data_len, 0, IP_ICMP, 64); /* precedence 6: RFC 1812 §4.3.2.5 */
		memcpy(p + 12, src, 4);
		memcpy(p + 16, from + 12, 4);
		put_16(p + 10, csum_ipv4(p, 5));
		put_16(icmp + 2, csum_finish(csum_add(0, icmp, out->data_len - l3)));
	} else {
		icmp[0] = what == ICMP_TOO_BIG ? 2 : 3;
		if (what == ICMP_TOO_BIG) {
			put_be16(icmp + 4, (uint16_t)(mtu >> 16));
			put_be16(icmp + 6, (uint16_t)mtu);
		}
		ip6_header(p, 0, (uint16_t)(out->data_len - l3), IP_ICMP6, 64);
		memcpy(p + 8, src, 16);
		memcpy(p + 24, from + 8, 16);
		put_16(icmp + 2, csum_l4(p, IP_ICMP6, icmp, out->data_len - l3));
	}
	struct tr_meta *meta = tr_meta(out);
	meta->l3_len = (uint8_t)l3;
	meta->l4 = v4 ? IP_ICMP : IP_ICMP6;
	meta->flags = TR_META_OWN;
	meta->in = TR_IN_SELF;
}

bool
icmp_rate_take(struct icmp_rate *r, uint64_t now)
{
	const uint64_t each = 1000000000u / ICMP_PER_SECOND, depth = each * ICMP_BURST;
	uint64_t floor = now > depth ? now - depth : 0;
	if (r->since < floor)
		r->since = floor;
	if (r->since + each > now && now >= depth)
		return false;
	r->since += each;
	return true;
}
