/* SPDX-License-Identifier: BSD-3-Clause */
#include "probe.h"

#include <tailrace/reader.h>
#include <tailrace/udp.h>

struct stamp { /* as it stands in the packet, little-endian */
	uint64_t seq_flow; /* 40 and 24 bits */
	uint64_t time_run; /* 48 and 16 bits */
	uint16_t check;    /* 14 bits of a hash of both, and the direction */
};
_Static_assert(offsetof(struct stamp, check) + sizeof(uint16_t) == PROBE_STAMP, "layout");

#define SEQ_BITS 40
#define TIME_BITS 48
#define LOW(bits) ((UINT64_C(1) << (bits)) - 1)

void
pattern_init(struct pattern *p)
{
	uint32_t x = 1, sum = 0;

	for (size_t i = 0; i < sizeof(p->bytes); i++) {
		x = x * 1664525 + 1013904223;
		p->bytes[i] = (uint8_t)(x >> 24);
	}
	for (size_t i = 0; i < PROBE_MAX / 2; i++) {
		p->sum[i] = sum;
		sum += (uint32_t)(p->bytes[2 * i] | p->bytes[2 * i + 1] << 8);
	}
	p->sum[PROBE_MAX / 2] = sum;
}

/* All bits matter to the upper ones: what is no stamp passes for one once in 2^14. */
static uint16_t
check_of(const struct stamp *s, uint8_t direction)
{
	uint64_t h = (s->seq_flow ^ UINT64_C(0x7472616370726f62)) * UINT64_C(0x9e3779b97f4a7c15);

	h = ((h ^ h >> 32 ^ s->time_run) + direction) * UINT64_C(0xd6e8feb86659fd93);
	h = (h ^ h >> 32) * UINT64_C(0x9e3779b97f4a7c15);
	return (uint16_t)((h >> 48 & ~UINT64_C(3)) | direction);
}

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
probe_write(uint8_t *ip, uint16_t size, const struct probe_path *path, const struct pattern *pattern, const struct probe *p)
{
	uint8_t *u = ip_header(ip, size, path->from, path->to);
	const uint16_t udp_len = (uint16_t)(size - (u - ip));
	const size_t n = path->from->family == 4 ? 4 : 16, filled = (size_t)udp_len - sizeof(struct rte_udp_hdr) - PROBE_STAMP;
	struct {
		struct rte_udp_hdr udp;
		struct stamp stamp;
	} head = {
		.udp = {.src_port = rte_cpu_to_be_16(path->from_port), .dst_port = rte_cpu_to_be_16(path->to_port),
			.dgram_len = rte_cpu_to_be_16(udp_len)},
		.stamp = {.seq_flow = (p->seq & LOW(SEQ_BITS)) | (uint64_t)p->flow << SEQ_BITS,
			.time_run = (p->time & LOW(TIME_BITS)) | (uint64_t)p->run << TIME_BITS},
	};

	head.stamp.check = check_of(&head.stamp, p->direction);
	uint64_t sum = rte_cpu_to_be_32((uint32_t)IPPROTO_UDP << 16 | udp_len);
	sum = tr_sum(tr_sum(sum, path->from->ip, n), path->to->ip, n);
	/* What was filled in begins at an even place: its words may be summed apart. */
	sum = tr_sum(sum, &head, sizeof(head.udp) + PROBE_STAMP) + pattern->sum[filled / 2];
	if (filled & 1)
		sum += pattern->bytes[filled - 1];
	const uint16_t folded = tr_sum_fold(sum);
	head.udp.dgram_cksum = folded ? folded : 0xffff;
	memcpy(u, &head, sizeof(head.udp) + PROBE_STAMP);
	memcpy(u + sizeof(head.udp) + PROBE_STAMP, pattern->bytes, filled);
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

enum probe_kind
probe_read(struct probe *p, const struct pattern *pattern, const uint8_t *ip, size_t len)
{
	struct tr_reader r = tr_reader(ip, len);
	struct stamp s;

	if (!take_ip(&r) || !tr_take(&r, sizeof(struct rte_udp_hdr)))
		return PROBE_NONE;
	const uint8_t *at = tr_take(&r, PROBE_STAMP);
	if (!at)
		return PROBE_NONE;
	memcpy(&s, at, PROBE_STAMP);
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: it is not read as it was written */
	s.seq_flow++;
#endif
	*p = (struct probe){.direction = (uint8_t)(s.check & 3), .flow = (uint32_t)(s.seq_flow >> SEQ_BITS),
		.run = (uint16_t)(s.time_run >> TIME_BITS), .seq = s.seq_flow & LOW(SEQ_BITS), .time = s.time_run & LOW(TIME_BITS)};
	if (p->direction >= DIRECTIONS || check_of(&s, p->direction) != s.check)
		return PROBE_NONE;
	const size_t filled = (size_t)(r.end - r.p);
	return filled <= sizeof(pattern->bytes) && memcmp(r.p, pattern->bytes, filled) == 0 ? PROBE_OURS : PROBE_CORRUPT;
}

uint64_t
probe_age(uint64_t time, uint64_t now)
{
	uint64_t age = (now - time) & LOW(TIME_BITS);

	return age >> (TIME_BITS - 1) ? 0 : age;
}
