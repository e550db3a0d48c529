/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IP headers: the checks that every packet passes before a core node believes its header (RFC 1812 §5.2.2 and §5.3.7,
 * RFC 8200 §4), and small accessors. Worker threads; no state.
 */
#pragma once

#include "net/checksum.h"

#include <rte_byteorder.h>
#include <tailrace/plugin.h>

enum { IP_ICMP = 1, IP_TCP = 6, IP_UDP = 17, IP_ICMP6 = 58 };
enum { IPV4_LEN = 20, IPV6_LEN = 40, UDP_LEN = 8 };

enum ip_fault {
	IP_OK,
	IP_SHORT,
	IP_VERSION,
	IP_HEADER_LENGTH,
	IP_CHECKSUM,
	IP_LENGTH,
	IP_SOURCE,
	IP_DESTINATION,
	IP_EXTENSION,
	IP_FAULTS
};

/* The drop reasons of a class that checks headers begin with these: reason = fault - 1. */
#define IP_FAULT_REASONS                                                                                               \
	{"ip_short", "shorter than an IP header"}, {"ip_version", "neither IPv4 nor IPv6"},                            \
		{"ip_header_length", "IPv4 header length below 5 words or beyond the packet"},                         \
		{"ip_checksum", "IPv4 header checksum wrong"},                                                         \
		{"ip_length", "IP length field beyond the packet"},                                                    \
		{"ip_source", "source address is multicast, broadcast, loopback or unspecified"},                      \
		{"ip_destination", "destination address is loopback or unspecified"},                                  \
		{"ip_extension", "IPv6 extension headers malformed, too many or too long"}
#define IP_DROP(fault) TR_DROP((fault)-1)

struct ip_view {
	uint8_t version, ttl;
	uint8_t l3_len; /* to the upper layer, extension headers included */
	uint8_t l4;     /* protocol of the upper layer (of the whole datagram, also in a fragment) */
	bool fragment;  /* a part of a datagram */
	bool tail;      /* not the first part: no upper-layer header here */
	uint16_t len;   /* bytes by the IP header: what lies behind is padding */
};

/* IPv6, after the version was seen to be 6. */
enum ip_fault ip6_check(const uint8_t *p, uint32_t len, struct ip_view *v);

static inline uint16_t
get_16(const uint8_t *p) /* as it lies in memory, for checksums */
{
	uint16_t v;
	memcpy(&v, p, 2);
	return v;
}

static inline void
put_16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

/* To or from network order. DPDK's is volatile assembly, which the compiler can neither move nor merge with a load. */
static inline uint16_t
swap_16(uint16_t v)
{
	return __builtin_bswap16(v);
}

static inline uint16_t
get_be16(const uint8_t *p)
{
	return swap_16(get_16(p));
}

static inline void
put_be16(uint8_t *p, uint16_t v)
{
	put_16(p, swap_16(v));
}

static inline uint32_t
get_32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return v;
}

static inline void
put_32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static inline uint64_t
get_64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}

static inline void
put_64(uint8_t *p, uint64_t v)
{
	memcpy(p, &v, 8);
}

/* Of one family. */
static inline bool
prefix_covers(const struct tr_prefix *p, const uint8_t *a)
{
	const unsigned bytes = p->len / 8, bits = p->len % 8;
	return memcmp(p->addr.ip, a, bytes) == 0 && (bits == 0 || ((p->addr.ip[bytes] ^ a[bytes]) >> (8 - bits)) == 0);
}

static inline bool
ip4_source_ok(const uint8_t *a)
{
	return (uint8_t)(a[0] - 1) < 223 && a[0] != 127; /* 1..223 */
}

static inline enum ip_fault
ip4_check(const uint8_t *p, uint32_t len, struct ip_view *v)
{
	unsigned words = p[0] & 15;
	if (unlikely(words < 5 || words * 4 > len))
		return IP_HEADER_LENGTH;
	if (unlikely(csum_ipv4(p, words) != 0))
		return IP_CHECKSUM;
	v->len = get_be16(p + 2);
	if (unlikely(v->len < words * 4 || v->len > len))
		return IP_LENGTH;
	uint16_t frag = get_be16(p + 6);
	v->version = 4;
	v->ttl = p[8];
	v->l3_len = (uint8_t)(words * 4);
	v->l4 = p[9];
	v->fragment = (frag & 0x3fff) != 0;
	v->tail = (frag & 0x1fff) != 0;
	if (unlikely(!ip4_source_ok(p + 12)))
		return IP_SOURCE;
	if (unlikely(p[16] == 0 || p[16] == 127))
		return IP_DESTINATION;
	return IP_OK;
}

/* What most packets are: an IPv4 header of 20 bytes without a fault, from one station to another. `len` bytes are there.
 * That a sum of words folds to 0xffff is to say that 0xffff divides it: one multiplication. So it does if a carry out of 64
 * bits is added below, because it divides 2^64 - 1. */
static inline bool
ip4_is_plain(const uint8_t *p, uint32_t len)
{
	if (unlikely(len < IPV4_LEN))
		return false;
	const uint16_t total = get_be16(p + 2);
	return p[0] == 0x45 && total >= IPV4_LEN && total <= len && csum_ipv4_carried(p) % 0xffff == 0 &&
	       ip4_source_ok(p + 12) && ip4_source_ok(p + 16);
}

/* Fills `v` when IP_OK; also when only an address is at fault (IPv6: as if there were no extension headers), and all of it
 * but l3_len and l4 when only extension headers are. */
static inline enum ip_fault
ip_check(const uint8_t *p, uint32_t len, struct ip_view *v)
{
	if (len < IPV4_LEN)
		return IP_SHORT;
	if (p[0] >> 4 == 4)
		return ip4_check(p, len, v);
	if (p[0] >> 4 == 6)
		return ip6_check(p, len, v);
	return IP_VERSION;
}

static inline bool
ip6_is_unspecified(const uint8_t *a)
{
	static const uint8_t zero[16];
	return memcmp(a, zero, 16) == 0;
}

static inline bool
ip6_is_link_local(const uint8_t *a)
{
	return a[0] == 0xfe && (a[1] & 0xc0) == 0x80;
}

/* Source and destination of a checked packet. */
static inline const uint8_t *
ip_src(const uint8_t *p)
{
	return p + (p[0] >> 4 == 4 ? 12 : 8);
}

static inline const uint8_t *
ip_dst(const uint8_t *p)
{
	return p + (p[0] >> 4 == 4 ? 16 : 24);
}

static inline bool
ip_dst_is_multicast(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? p[16] >= 224 : p[24] == 0xff;
}

/* The traffic class byte: DSCP and ECN. */
static inline uint8_t
ip_tos(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? p[1] : (uint8_t)(p[0] << 4 | p[1] >> 4);
}

/* Writes an IPv6 header without addresses. */
static inline void
ip6_header(uint8_t *p, uint8_t tos, uint16_t payload, uint8_t next, uint8_t hops)
{
	put_32(p, rte_cpu_to_be_32(UINT32_C(0x60000000) | (uint32_t)tos << 20));
	put_32(p + 4, swap_16(payload) | (uint32_t)next << 16 | (uint32_t)hops << 24);
}

/* Writes an IPv4 header without addresses and checksum; DF clear. */
static inline void
ip4_header(uint8_t *p, uint8_t tos, uint16_t len, uint16_t id, uint8_t next, uint8_t ttl)
{
	p[0] = 0x45;
	p[1] = tos;
	put_be16(p + 2, len);
	put_be16(p + 4, id);
	memset(p + 6, 0, 2);
	p[8] = ttl;
	p[9] = next;
	memset(p + 10, 0, 2);
}

/* Where the byte lies that names the upper layer of a checked packet. */
uint32_t ip_protocol_at(const uint8_t *p, const struct ip_view *v);

/* Puts a source address (4 or 16 bytes) where none was; checksums that cover it follow. l3_len 0: the upper layer is not
 * known and has none. */
void ip_set_source(uint8_t *p, uint8_t l3_len, uint8_t l4, const uint8_t *src);

/* A datagram for this box, no fragment: length and checksum of UDP, then metadata for a gate of type udp; trims what lies behind the
 * datagram. Reasons start at UDP_FAULT_REASONS's place in the class. */
enum udp_fault { UDP_OK, UDP_LENGTH, UDP_CHECKSUM, UDP_FAULTS };
#define UDP_FAULT_REASONS                                                                                              \
	{"udp_length", "UDP length field wrong"}, {"udp_checksum", "UDP checksum wrong, or absent in IPv6"}
enum udp_fault udp_accept(struct rte_mbuf *m, const struct ip_view *v);

/*
 * Where a datagram came from and went to, of version 4 or 6. In whole words, each from a register: they are compared and copied
 * as such a moment later, and put together in memory first, they would be read again in wider pieces than they were written.
 */
static inline void
udp_endpoint(struct tr_meta *meta, const uint8_t *ip, const uint8_t *udp, uint8_t version)
{
	uint8_t *e = (uint8_t *)&meta->endpoint;
	const uint32_t ports = get_32(udp);
	_Static_assert(sizeof(meta->endpoint) == 40 && offsetof(struct tr_endpoint, remote_port) == 4, "layout");
	put_64(e, version | (uint64_t)__builtin_bswap32(ports << 16 | ports >> 16) << 32); /* family and ports, little-endian */
	if (version == 4) {
		put_64(e + 8, get_32(ip + 12));
		put_64(e + 16, 0);
		put_64(e + 24, get_32(ip + 16));
		put_64(e + 32, 0);
	} else {
		memcpy(e + 8, ip + 8, 32);
	}
}

/* Makes the packet `len` bytes long, at its end. false: no tailroom. */
static inline bool
ip_resize(struct rte_mbuf *m, uint16_t len)
{
	if (likely(len == m->data_len))
		return true;
	if (len < m->data_len)
		return rte_pktmbuf_trim(m, (uint16_t)(m->data_len - len)) == 0;
	return rte_pktmbuf_append(m, (uint16_t)(len - m->data_len)) != NULL;
}

/* Spreads addresses over tables, by low bits: each bit of one counts, which a product's low half alone would not give. */
static inline uint64_t
ip_hash(const uint8_t a[16], uint64_t seed)
{
	uint64_t w[2];
	memcpy(w, a, sizeof(w));
	unsigned __int128 p = (unsigned __int128)(w[0] ^ seed ^ UINT64_C(0x9e3779b97f4a7c15)) * (w[1] ^ UINT64_C(0xd6e8feb86659fd93));
	return (uint64_t)p ^ (uint64_t)(p >> 64);
}
