/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets for tests, with checksums by DPDK's own functions: independent of those under test. */
#pragma once

#include <arpa/inet.h>
#include <rte_icmp.h>
#include <rte_ip.h>
#include <rte_tcp.h>
#include <rte_udp.h>
#include <stdlib.h>
#include <string.h>

static inline size_t
tp_eth(uint8_t *p, const char *dst, const char *src, uint16_t type)
{
	for (int i = 0; i < 6; i++) {
		p[i] = (uint8_t)strtoul(dst + 3 * i, NULL, 16);
		p[6 + i] = (uint8_t)strtoul(src + 3 * i, NULL, 16);
	}
	p[12] = (uint8_t)(type >> 8);
	p[13] = (uint8_t)type;
	return 14;
}

/* The IP header of a packet whose payload of `len` bytes lies behind it; returns the header's length. */
static inline size_t
tp_ip(uint8_t *p, const char *src, const char *dst, uint8_t proto, uint8_t ttl, size_t len)
{
	if (strchr(src, ':') != NULL) {
		struct rte_ipv6_hdr *h = (void *)p;
		*h = (struct rte_ipv6_hdr){.vtc_flow = htonl(6u << 28), .payload_len = htons((uint16_t)len), .proto = proto,
			.hop_limits = ttl};
		inet_pton(AF_INET6, src, h->src_addr);
		inet_pton(AF_INET6, dst, h->dst_addr);
		return sizeof(*h);
	}
	struct rte_ipv4_hdr *h = (void *)p;
	*h = (struct rte_ipv4_hdr){.version_ihl = 0x45, .total_length = htons((uint16_t)(sizeof(*h) + len)), .time_to_live = ttl,
		.next_proto_id = proto};
	inet_pton(AF_INET, src, &h->src_addr);
	inet_pton(AF_INET, dst, &h->dst_addr);
	h->hdr_checksum = rte_ipv4_cksum(h);
	return sizeof(*h);
}

static inline uint16_t
tp_l4sum(const uint8_t *ip, const void *l4)
{
	return ip[0] >> 4 == 4 ? rte_ipv4_udptcp_cksum((const void *)ip, l4) : rte_ipv6_udptcp_cksum((const void *)ip, l4);
}

static inline size_t
tp_udp(uint8_t *p, const char *src, uint16_t sport, const char *dst, uint16_t dport, size_t len)
{
	size_t l3 = tp_ip(p, src, dst, 17, 64, 8 + len);
	struct rte_udp_hdr *u = (void *)(p + l3);
	*u = (struct rte_udp_hdr){htons(sport), htons(dport), htons((uint16_t)(8 + len)), 0};
	for (size_t i = 0; i < len; i++)
		p[l3 + 8 + i] = (uint8_t)(i * 7 + 1);
	u->dgram_cksum = tp_l4sum(p, u);
	return l3 + 8 + len;
}

/* Echo request, or any ICMP message of this type. */
static inline size_t
tp_icmp(uint8_t *p, const char *src, const char *dst, uint8_t type, uint8_t ttl, size_t len)
{
	bool v6 = strchr(src, ':') != NULL;
	size_t l3 = tp_ip(p, src, dst, v6 ? 58 : 1, ttl, 8 + len);
	struct rte_icmp_hdr *i = (void *)(p + l3);
	*i = (struct rte_icmp_hdr){type, 0, 0, htons(77), htons(3)};
	memset(i + 1, 0x42, len);
	i->icmp_cksum = v6 ? tp_l4sum(p, i) : (uint16_t)~rte_raw_cksum(i, 8 + len);
	return l3 + 8 + len;
}

/* A SYN with options (a multiple of four bytes). */
static inline size_t
tp_syn(uint8_t *p, const char *src, const char *dst, uint8_t flags, const uint8_t *options, size_t len)
{
	size_t l3 = tp_ip(p, src, dst, 6, 64, 20 + len);
	struct rte_tcp_hdr *t = (void *)(p + l3);
	*t = (struct rte_tcp_hdr){.src_port = htons(1000), .dst_port = htons(80), .sent_seq = 1, .rx_win = htons(1000),
		.data_off = (uint8_t)((5 + len / 4) << 4), .tcp_flags = flags};
	if (len > 0)
		memcpy(t + 1, options, len);
	t->cksum = tp_l4sum(p, t);
	return l3 + 20 + len;
}

/* Are all checksums of this packet right? */
static inline bool
tp_good(const uint8_t *p, size_t len)
{
	const bool v4 = p[0] >> 4 == 4;
	const size_t l3 = v4 ? 20 : 40;
	const uint8_t proto = v4 ? p[9] : p[6];
	const void *l4 = p + l3;
	if (v4 && (rte_ipv4_cksum((const void *)p) != 0xffff && rte_raw_cksum(p, 20) != 0xffff))
		return false;
	if (proto == 1)
		return rte_raw_cksum(l4, len - l3) == 0xffff;
	if (proto == 17 && v4 && ((const struct rte_udp_hdr *)l4)->dgram_cksum == 0)
		return true;
	return v4 ? rte_ipv4_udptcp_cksum_verify((const void *)p, l4) == 0 : rte_ipv6_udptcp_cksum_verify((const void *)p, l4) == 0;
}
