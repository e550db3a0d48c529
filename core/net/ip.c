/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/ip.h"

#include <tailrace/reader.h>

enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_AUTH = 51, EXT_OPTIONS = 60, EXT_MAX = 8 };

/* Walks extension headers to the upper layer. A fragment header ends the walk in all fragments but the first. */
static enum ip_fault
ip6_extensions(const uint8_t *p, struct ip_view *v)
{
	struct tr_reader r = tr_reader(p + IPV6_LEN, v->len - IPV6_LEN);
	uint8_t next = p[6];
	for (unsigned n = 0; n < EXT_MAX; n++) {
		size_t size;
		if (next == EXT_FRAGMENT) {
			uint8_t after = tr_u8(&r);
			tr_u8(&r);
			uint16_t offset = tr_be16(&r);
			tr_be32(&r);
			if (r.bad)
				return IP_EXTENSION;
			v->fragment |= (offset & 0xfff9) != 0;
			next = after;
			if ((offset & 0xfff8) != 0) {
				v->tail = true;
				break;
			}
			continue;
		}
		if (next == EXT_HOP ? n > 0 : (next != EXT_ROUTING && next != EXT_AUTH && next != EXT_OPTIONS))
			break;
		uint8_t after = tr_u8(&r);
		size = tr_u8(&r);
		size = next == EXT_AUTH ? (size + 2) * 4 : (size + 1) * 8;
		if (size < 8 || !tr_take(&r, size - 2))
			return IP_EXTENSION;
		next = after;
	}
	if (next == EXT_HOP || r.p - p > UINT8_MAX ||
	    (!v->tail && (next == EXT_FRAGMENT || next == EXT_ROUTING || next == EXT_AUTH || next == EXT_OPTIONS)))
		return IP_EXTENSION;
	v->l4 = next;
	v->l3_len = (uint8_t)(r.p - p);
	return IP_OK;
}

enum ip_fault
ip6_check(const uint8_t *p, uint32_t len, struct ip_view *v)
{
	static const uint8_t loopback[16] = {[15] = 1};
	if (len < IPV6_LEN)
		return IP_SHORT;
	uint32_t total = IPV6_LEN + (uint32_t)get_be16(p + 4);
	if (total > len || total > UINT16_MAX)
		return IP_LENGTH;
	const uint8_t *src = p + 8, *dst = p + 24;
	*v = (struct ip_view){.version = 6, .ttl = p[7], .l3_len = IPV6_LEN, .l4 = p[6], .len = (uint16_t)total};
	/* An unspecified source is ND's, before an address is settled; those who forward refuse it. */
	if (src[0] == 0xff || memcmp(src, loopback, 16) == 0 || (p[6] != IP_ICMP6 && ip6_is_unspecified(src)))
		return IP_SOURCE;
	if (memcmp(dst, loopback, 16) == 0 || ip6_is_unspecified(dst))
		return IP_DESTINATION;
	if (p[6] == IP_UDP || p[6] == IP_TCP || p[6] == IP_ICMP6)
		return IP_OK;
	return ip6_extensions(p, v);
}

uint32_t
ip_protocol_at(const uint8_t *p, const struct ip_view *v)
{
	uint32_t at = v->version == 4 ? 9 : 6, next = IPV6_LEN;
	while (v->version == 6 && next < v->l3_len) {
		uint8_t type = p[at];
		at = next;
		next += type == EXT_FRAGMENT ? 8 : type == EXT_AUTH ? (p[next + 1] + 2u) * 4 : (p[next + 1] + 1u) * 8;
	}
	return at;
}

void
ip_set_source(uint8_t *p, uint8_t l3_len, uint8_t l4, const uint8_t *src)
{
	const bool v4 = p[0] >> 4 == 4;
	const size_t size = v4 ? 4 : 16;
	uint64_t sum = csum_add_plain(0, src, size);
	memcpy(p + (v4 ? 12 : 8), src, size);
	if (v4)
		put_16(p + 10, csum_change(get_16(p + 10), 0, sum));
	uint8_t *upper = p + l3_len;
	if (l3_len == 0)
		return;
	if (l4 == IP_UDP && get_16(upper + 6) != 0) {
		uint16_t field = csum_change(get_16(upper + 6), 0, sum);
		put_16(upper + 6, field == 0 ? 0xffff : field);
	} else if (l4 == IP_ICMP6 && !v4) {
		put_16(upper + 2, csum_change(get_16(upper + 2), 0, sum));
	}
}

enum udp_fault
udp_accept(struct rte_mbuf *m, const struct ip_view *v)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *udp = p + v->l3_len;
	struct tr_meta *meta = tr_meta(m);
	uint32_t room = v->len - v->l3_len;
	uint16_t len = room < UDP_LEN ? 0 : get_be16(udp + 4);
#ifdef TR_SEEDED_BUG /* for the fuzz targets to find: the datagram's own length is believed */
	room = UINT16_MAX;
#endif
	if (len < UDP_LEN || len > room)
		return UDP_LENGTH;
	if (get_16(udp + 6) == 0 ? v->version == 6
				 : (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD &&
					     csum_l4(p, IP_UDP, udp, len) != 0)
		return UDP_CHECKSUM;
	ip_resize(m, (uint16_t)(v->l3_len + len));
	meta->l3_len = v->l3_len;
	meta->l4 = IP_UDP;
	meta->tos = ip_tos(p);
	meta->flags |= TR_META_CSUM_OK;
	udp_endpoint(meta, p, udp, v->version);
	return UDP_OK;
}
