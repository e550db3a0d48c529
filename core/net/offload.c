/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/offload.h"

#include "net/ip.h"

enum { TCP_LEN = 20, SEQ = 4, ACK = 8, OFFSET = 12, FLAGS = 13, WINDOW = 14, SUM = 16 };
enum { FIN = 1, PSH = 8, ACKS = 16, CWR = 128 };
#define LARGEST 65535u

static uint32_t
get_be32(const uint8_t *p)
{
	return rte_be_to_cpu_32(get_32(p));
}

static void
put_be32(uint8_t *p, uint32_t v)
{
	put_32(p, rte_cpu_to_be_32(v));
}

/* The length field of an IP header, and the IPv4 checksum. */
static void
put_length(uint8_t *p, uint32_t len)
{
	if (p[0] >> 4 == 6) {
		put_be16(p + 4, (uint16_t)(len - IPV6_LEN));
		return;
	}
	put_be16(p + 2, (uint16_t)len);
	put_16(p + 10, 0);
	put_16(p + 10, csum_ipv4(p, p[0] & 15));
}

/* ---- From the kernel ---- */

/* The checksum from `start` on, whose field holds the pseudo header's sum. */
static bool
complete(uint8_t *p, uint32_t len, uint32_t start, uint32_t field)
{
	if (start >= len || field + 2 > len - start)
		return false;
	uint16_t sum = csum_finish(csum_add(0, p + start, len - start));
	put_16(p + start + field, sum == 0 && field == 6 ? 0xffff : sum); /* UDP's; 0 would say that there is none */
	return true;
}

bool
cut_begin(struct cut *c, const struct virtio_net_hdr *h, uint8_t *p, uint32_t len)
{
	struct ip_view v;
	*c = (struct cut){.p = p, .len = len};
	const uint8_t type = h->gso_type & (uint8_t)~VIRTIO_NET_HDR_GSO_ECN;
	if (type == VIRTIO_NET_HDR_GSO_NONE)
		return len >= IPV4_LEN && ((h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) == 0 ||
		                                  complete(p, len, h->csum_start, h->csum_offset));
	if ((type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6) || h->gso_size == 0)
		return false;
	/* The lengths in a packet of 64 kB may be zero; they are written anew anyway. */
	if (len < IPV6_LEN || (type == VIRTIO_NET_HDR_GSO_TCPV4) != (p[0] >> 4 == 4) ||
	        (p[0] >> 4 == 4 && (p[0] & 15) * 4u > len))
		return false;
	put_length(p, RTE_MIN(len, LARGEST));
	if (ip_check(p, len, &v) != IP_OK || v.fragment || v.l4 != IP_TCP || v.l3_len + (uint32_t)TCP_LEN > len)
		return false;
	const uint32_t tcp = (p[v.l3_len + OFFSET] >> 4) * 4u;
	if (tcp < TCP_LEN || v.l3_len + tcp >= len)
		return false;
	c->l3_len = v.l3_len;
	c->head = (uint16_t)(v.l3_len + tcp);
	c->at = c->head;
	c->mss = h->gso_size;
	return true;
}

static uint32_t
cut_whole(struct cut *c, uint8_t *out, uint32_t room)
{
	if (c->at != 0 || c->len > room)
		return 0;
	memcpy(out, c->p, c->len);
	c->at = c->len;
	return c->len;
}

/* The headers of the segment after this one. */
static void
step(struct cut *c, uint32_t payload)
{
	uint8_t *tcp = c->p + c->l3_len;
	put_be32(tcp + SEQ, get_be32(tcp + SEQ) + payload);
	tcp[FLAGS] &= (uint8_t)~CWR; /* said once */
	if (c->p[0] >> 4 == 4)
		put_be16(c->p + 4, (uint16_t)(get_be16(c->p + 4) + 1));
}

uint32_t
cut_next(struct cut *c, uint8_t *out, uint32_t room)
{
	if (c->mss == 0)
		return cut_whole(c, out, room);
	const uint32_t payload = RTE_MIN(c->len - c->at, c->mss), len = c->head + payload;
	if (payload == 0 || len > room)
		return 0;
	memcpy(out, c->p, c->head);
	memcpy(out + c->head, c->p + c->at, payload);
	uint8_t *tcp = out + c->l3_len;
	if (c->at + payload < c->len) /* said by the last */
		tcp[FLAGS] &= (uint8_t) ~(FIN | PSH);
	put_length(out, len);
	put_16(tcp + SUM, 0);
	put_16(tcp + SUM, csum_l4(out, IP_TCP, tcp, len - c->l3_len));
	c->at += payload;
	step(c, payload);
	return len;
}

/* ---- To the kernel ---- */

/* A segment that may be joined with others: data, nothing but ACK and PSH, and a right checksum. */
static bool
joinable(const uint8_t *p, uint32_t len, uint16_t *l3_len, uint16_t *head)
{
	const bool v4 = p[0] == 0x45;
	*l3_len = v4 ? IPV4_LEN : IPV6_LEN;
	if (len < *l3_len + (uint32_t)TCP_LEN || (!v4 && p[0] >> 4 != 6) || p[v4 ? 9 : 6] != IP_TCP ||
	        (v4 && (get_be16(p + 6) & 0x3fff) != 0))
		return false;
	if (v4 ? get_be16(p + 2) != len : get_be16(p + 4) + (uint32_t)IPV6_LEN != len)
		return false;
	const uint8_t *tcp = p + *l3_len;
	*head = (uint16_t)(*l3_len + (tcp[OFFSET] >> 4) * 4);
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: options beyond the end */
	const uint32_t end = len + 40;
#else
	const uint32_t end = len;
#endif
	return tcp[OFFSET] >> 4 >= TCP_LEN / 4 && *head < end && (tcp[FLAGS] | PSH) == (ACKS | PSH) &&
	       csum_l4(p, IP_TCP, tcp, len - *l3_len) == 0;
}

static bool
same_flow(const struct join *j, const uint8_t *p, uint32_t len)
{
	if (len < IPV4_LEN + 4 || (p[0] != j->head[0] && (p[0] == 0x45 || j->head[0] == 0x45)))
		return false;
	if (p[0] == 0x45)
		return memcmp(p + 12, j->head + 12, 12) == 0;
	return len >= IPV6_LEN + 4 && memcmp(p + 8, j->head + 8, 36) == 0;
}

/* Is everything that the kernel would be told of the segment, but its place, what it is told of those before? */
static bool
same_headers(const struct join *j, const uint8_t *p, uint16_t l3_len, uint16_t head)
{
	const uint8_t *tcp = p + l3_len, *first = j->head + l3_len;
	if (head != j->head_len || memcmp(tcp + ACK, first + ACK, 5) != 0 ||
	        get_16(tcp + WINDOW) != get_16(first + WINDOW) ||
	        memcmp(tcp + TCP_LEN, first + TCP_LEN, head - l3_len - (size_t)TCP_LEN) != 0)
		return false;
	if (l3_len == IPV4_LEN)
		return p[1] == j->head[1] && p[6] == j->head[6] && p[8] == j->head[8];
	return get_32(p) == get_32(j->head) && p[7] == j->head[7];
}

static void
append(struct join *j, const uint8_t *p, uint16_t head, uint16_t payload)
{
	const uint8_t flags = p[j->l3_len + FLAGS];
	j->payload[j->n] = p + head;
	j->size[j->n++] = payload;
	j->len += payload;
	j->next += payload;
	j->head[j->l3_len + FLAGS] |= flags;
	j->ended = payload < j->size[0] || (flags & PSH) != 0 || j->n == JOIN_PARTS;
}

enum join_fate
join_add(struct join *j, const uint8_t *p, uint32_t len)
{
	uint16_t l3_len, head;
	if (j->n > 0 && !same_flow(j, p, len)) /* first: it costs less than the checksum, and most of many flows are others */
		return JOIN_OTHER;
	if (len < IPV4_LEN || !joinable(p, len, &l3_len, &head))
		return JOIN_CANT;
	const uint16_t payload = (uint16_t)(len - head);
	if (j->n == 0) {
		memcpy(j->head, p, head);
		j->l3_len = l3_len;
		j->head_len = head;
		j->len = head;
		j->next = get_be32(p + l3_len + SEQ);
		append(j, p, head, payload);
		return JOIN_TAKEN;
	}
	if (j->ended || payload > j->size[0] || j->len + payload > LARGEST || get_be32(p + l3_len + SEQ) != j->next ||
	        !same_headers(j, p, l3_len, head))
		return JOIN_AFTER;
	append(j, p, head, payload);
	return JOIN_TAKEN;
}

int
join_end(struct join *j, struct iovec *iov)
{
	j->vnet = (struct virtio_net_hdr){0};
	if (j->n > 1) {
		const bool v4 = j->l3_len == IPV4_LEN;
		uint8_t *tcp = j->head + j->l3_len;
		put_length(j->head, j->len);
		put_16(tcp + SUM, csum_fold(csum_pseudo(j->head, IP_TCP, j->len - j->l3_len)));
		j->vnet = (struct virtio_net_hdr){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		        .gso_type = v4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6,
		        .hdr_len = j->head_len,
		        .gso_size = j->size[0],
		        .csum_start = j->l3_len,
		        .csum_offset = SUM};
	}
	iov[0] = (struct iovec){&j->vnet, sizeof(j->vnet)};
	iov[1] = (struct iovec){j->head, j->head_len};
	for (uint16_t k = 0; k < j->n; k++)
		iov[k + 2] = (struct iovec){(void *)(uintptr_t)j->payload[k], j->size[k]};
	return j->n + 2;
}
