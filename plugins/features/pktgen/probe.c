/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <tailrace/reader.h>
#include <tailrace/udp.h>

#define MAGIC 0x7472616370726f62ull /* "tracprob", read big-endian */

struct data { /* as it stands in the packet; fields little-endian but for the magic */
	uint64_t magic;
	uint64_t seq, time;
	uint32_t flow, run;
	uint8_t direction, zero[3];
};
_Static_assert(sizeof(struct data) >= PROBE_DATA && offsetof(struct data, direction) == 32, "layout");

struct tr_addr
probe_address(const struct tr_addr *first, uint32_t n)
{
	struct tr_addr a = *first;
	uint8_t *low = a.family == 4 ? a.ip : a.ip + 12;
	uint32_t v;

	memcpy(&v, low, 4);
	v = rte_cpu_to_be_32(rte_be_to_cpu_32(v) + n);
	memcpy(low, &v, 4);
	return a;
}

static uint8_t *
ip_header(uint8_t *ip, uint16_t size, const struct tr_addr *from, const struct tr_addr *to)
{
	if (from->family == 4) {
		struct rte_ipv4_hdr *h = (struct rte_ipv4_hdr *)ip;
		*h = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF,
			.total_length = rte_cpu_to_be_16(size),
			.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
			.time_to_live = TR_TTL,
			.next_proto_id = IPPROTO_UDP};
		memcpy(&h->src_addr, from->ip, 4);
		memcpy(&h->dst_addr, to->ip, 4);
		h->hdr_checksum = tr_sum_fold(tr_sum(0, h, sizeof(*h)));
		return ip + sizeof(*h);
	}
	struct rte_ipv6_hdr *h = (struct rte_ipv6_hdr *)ip;
	h->vtc_flow = rte_cpu_to_be_32(6u << 28);
	h->payload_len = rte_cpu_to_be_16((uint16_t)(size - sizeof(*h)));
	h->proto = IPPROTO_UDP;
	h->hop_limits = TR_TTL;
	memcpy(h->src_addr, from->ip, 16);
	memcpy(h->dst_addr, to->ip, 16);
	return ip + sizeof(*h);
}

void
probe_write(uint8_t *ip, uint16_t size, const struct tr_addr *from, const struct tr_addr *to, const struct probe *p)
{
	uint8_t *u = ip_header(ip, size, from, to);
	uint16_t udp_len = (uint16_t)(size - (u - ip));
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)u;
	struct data d = {.magic = rte_cpu_to_be_64(MAGIC), .seq = p->seq, .time = p->time, .flow = p->flow, .run = p->run,
		.direction = p->direction};

	*udp = (struct rte_udp_hdr){.src_port = rte_cpu_to_be_16(PROBE_PORT), .dst_port = rte_cpu_to_be_16(PROBE_PORT),
		.dgram_len = rte_cpu_to_be_16(udp_len)};
	u += sizeof(*udp);
	memcpy(u, &d, PROBE_DATA);
	memset(u + PROBE_DATA, 0, (size_t)udp_len - sizeof(*udp) - PROBE_DATA);
	/* The zeros add nothing to the sum. */
	uint64_t sum = rte_cpu_to_be_32((uint32_t)IPPROTO_UDP << 16 | udp_len);
	size_t n = from->family == 4 ? 4 : 16;
	sum = tr_sum(tr_sum(sum, from->ip, n), to->ip, n);
	uint16_t folded = tr_sum_fold(tr_sum(sum, udp, sizeof(*udp) + PROBE_DATA));
	udp->dgram_cksum = folded ? folded : 0xffff;
}

/* Takes the IP header, and cuts the reader at the packet's own length. */
static bool
take_ip(struct tr_reader *r)
{
	size_t left = tr_left(r), length, header;
	const uint8_t *h = tr_take(r, 20);

	if (!h)
		return false;
	if (h[0] >> 4 == 4) {
		header = (size_t)(h[0] & 15) * 4;
		length = (size_t)h[2] << 8 | h[3];
		if (header < 20 || h[9] != IPPROTO_UDP || !tr_take(r, header - 20))
			return false;
	} else {
		header = 40;
		length = ((size_t)h[4] << 8 | h[5]) + 40;
		if (h[0] >> 4 != 6 || h[6] != IPPROTO_UDP || !tr_take(r, 20))
			return false;
	}
	if (length < header || length > left)
		return false;
	r->end = r->p + (length - header);
	return true;
}

bool
probe_read(struct probe *p, const uint8_t *ip, size_t len)
{
	struct tr_reader r = tr_reader(ip, len);
	struct data d;

	if (!take_ip(&r) || !tr_take(&r, sizeof(struct rte_udp_hdr)))
		return false;
	const uint8_t *at = tr_take(&r, PROBE_DATA);
	if (!at)
		return false;
	memcpy(&d, at, PROBE_DATA);
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: it is not read as it was written */
	d.seq++;
#endif
	*p = (struct probe){.direction = d.direction, .flow = d.flow, .run = d.run, .seq = d.seq, .time = d.time};
	return d.magic == rte_cpu_to_be_64(MAGIC) && d.direction < DIRECTIONS;
}
