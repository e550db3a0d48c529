/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For services that answer UDP datagrams: the payload of a packet of type udp, and turning that packet round into its
 * own answer (type ip) without a copy or another packet.
 */
#pragma once

#include <rte_byteorder.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <tailrace/packet.h>

#define TR_TTL 64

/* The payload of a packet of type udp, and its length by the UDP header (which the core has checked). */
static inline uint8_t *
tr_udp_payload(struct rte_mbuf *m, size_t *len)
{
	uint8_t *udp = rte_pktmbuf_mtod(m, uint8_t *) + tr_meta(m)->l3_len;
	*len = (size_t)__builtin_bswap16(((const struct rte_udp_hdr *)udp)->dgram_len) - sizeof(struct rte_udp_hdr);
	return udp + sizeof(struct rte_udp_hdr);
}

/* Bytes that an answer's payload may have, written over the request's. */
static inline size_t
tr_udp_room(const struct rte_mbuf *m)
{
	tr_guard_lift(m);
	size_t before = m->data_off + tr_meta((struct rte_mbuf *)(uintptr_t)m)->l3_len + sizeof(struct rte_udp_hdr);
	return before < m->buf_len ? m->buf_len - before : 0;
}

/*
 * Adds len bytes to a ones' complement sum of 32-bit words; part after part must start at a multiple of 4 bytes. Two words
 * a step, into a sum each: neither waits for the other.
 */
static inline uint64_t
tr_sum(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t odd = 0, words;
	for (; len >= 8; p += 8, len -= 8) {
		memcpy(&words, p, 8);
		sum += (uint32_t)words;
		odd += words >> 32;
	}
	uint32_t word = 0;
	uint16_t half = 0;
	if (len & 4) {
		memcpy(&word, p, 4);
		p += 4;
	}
	if (len & 2) {
		memcpy(&half, p, 2);
		p += 2;
	}
	/* The last bytes stand where they would in a word. */
	sum += (uint64_t)word + half + (len & 1 ? (uint32_t)*p << (len & 2 ? 16 : 0) : 0);
	return sum + odd;
}

/* Each rotation adds the halves and, by the carry from the lower into the upper one, what wraps around. */
static inline uint16_t
tr_sum_fold(uint64_t sum)
{
	const uint32_t word = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);
	return (uint16_t)~((word + (word << 16 | word >> 16)) >> 16);
}

/* UDP checksum over pseudo header, header (whose own checksum field must be 0) and payload; as it stands in the header. */
static inline rte_be16_t
tr_udp_checksum(const struct rte_udp_hdr *udp, const void *addresses, size_t addresses_len, uint16_t udp_len)
{
	uint64_t sum = rte_cpu_to_be_32((uint32_t)IPPROTO_UDP << 16 | udp_len);
	sum = tr_sum(sum, addresses, addresses_len); /* the parts of a pseudo header may be summed in any order */
	uint16_t folded = tr_sum_fold(tr_sum(sum, udp, udp_len));
	return folded ? folded : 0xffff;
}

static inline uint64_t
tr_udp_reply_ip4(uint8_t *ip, const struct tr_endpoint *to, uint16_t total_len)
{
	uint32_t local, remote;
	memcpy(&local, to->local, 4);
	memcpy(&remote, to->remote, 4);
	const uint64_t addresses = (uint64_t)local + remote;
	const uint32_t length = rte_cpu_to_be_32((uint32_t)RTE_IPV4_VHL_DEF << 24 | total_len);
	const uint32_t fragment = rte_cpu_to_be_32(RTE_IPV4_HDR_DF_FLAG);
	const uint32_t ttl = rte_cpu_to_be_32((uint32_t)TR_TTL << 24 | (uint32_t)IPPROTO_UDP << 16);
	const uint32_t checksum = tr_sum_fold(addresses + length + fragment + ttl);
	/* In as few stores as can be, from registers. */
	const uint64_t words[2] = {(uint64_t)fragment << 32 | length, (uint64_t)local << 32 | ttl | checksum << 16};
	memcpy(ip, &words[0], 8);
	memcpy(ip + 8, &words[1], 8);
	memcpy(ip + 16, &remote, 4);
	return addresses;
}

static inline uint64_t
tr_udp_reply_ip6(uint8_t *ip, const struct tr_endpoint *to, uint16_t udp_len)
{
	const uint64_t head = (uint64_t)rte_cpu_to_be_32((uint32_t)udp_len << 16 | IPPROTO_UDP << 8 | TR_TTL) << 32 |
			      rte_cpu_to_be_32(6u << 28);
	memcpy(ip, &head, sizeof(head));
	memcpy(ip + 8, to->local, 16);
	memcpy(ip + 24, to->remote, 16);
	return tr_sum(tr_sum(0, to->local, 16), to->remote, 16);
}

/*
 * Turns a packet of type udp into the answer to it, type ip. Its payload of `len` bytes already stands where the request's
 * did (len <= tr_udp_room()). Addresses and ports swap; the headers are new: no options or extension headers, TTL 64,
 * DSCP 0, and both checksums right. What the metadata said of the request is gone.
 *
 * Write a whole burst's payloads first, then turn the packets round: a checksum that reads what was written a moment
 * ago, in other pieces, waits for the stores (40 clocks a packet).
 */
static inline void
tr_udp_reply(struct rte_mbuf *m, size_t len)
{
	struct tr_meta *meta = tr_meta(m);
	const struct tr_endpoint *to = &meta->endpoint;
	const bool ip4 = to->family == 4;
	const uint16_t l3_len = ip4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	const uint16_t udp_len = (uint16_t)(sizeof(struct rte_udp_hdr) + len);

	m->data_off = (uint16_t)(m->data_off + meta->l3_len - l3_len);
	m->data_len = (uint16_t)(l3_len + udp_len);
	m->pkt_len = m->data_len;
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *), *udp = ip + l3_len;

	/* Pseudo header, header and payload: sums don't depend on order, so all but the payload comes from registers. */
	uint64_t sum = ip4 ? tr_udp_reply_ip4(ip, to, m->data_len) : tr_udp_reply_ip6(ip, to, udp_len);
	const uint32_t ports = rte_cpu_to_be_32((uint32_t)to->local_port << 16 | to->remote_port);
	const uint32_t length = rte_cpu_to_be_32((uint32_t)udp_len << 16);
	sum += (uint64_t)ports + length + rte_cpu_to_be_32((uint32_t)IPPROTO_UDP << 16 | udp_len);
	const uint16_t folded = tr_sum_fold(tr_sum(sum, udp + sizeof(struct rte_udp_hdr), len));
	const uint32_t checksum = folded ? folded : 0xffff;
	const uint64_t head = (uint64_t)(length | checksum << 16) << 32 | ports;
	memcpy(udp, &head, sizeof(head));

	meta->l3_len = (uint8_t)l3_len;
	meta->l4 = IPPROTO_UDP;
	meta->in = TR_IN_SELF;
	meta->tos = 0;
	meta->flags = TR_META_CSUM_OK | TR_META_OWN;
	meta->peer = TR_NO_PEER;
	meta->mark = 0;
	memset(&meta->scratch, 0, sizeof(meta->scratch));
}
