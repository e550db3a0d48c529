/* SPDX-License-Identifier: BSD-3-Clause */
/* Cutting and joining: each undoes the other, and what must not be joined is not. */
#include "config/test.h"
#include "net/ip.h"
#include "net/offload.h"
#include "net/testpacket.h"

#include <stdlib.h>

#define TCP 20

static uint8_t big[65536], seg[64][2048];
static uint32_t seg_len[64];

/* A packet of the kernel's: `payload` bytes in front of which checksum and lengths are left to us. */
static uint32_t
make_big(bool v6, uint32_t payload, uint8_t flags)
{
	const uint32_t l3 = v6 ? 40 : 20;
	uint8_t *tcp = big + l3;
	memset(big, 0, l3 + TCP + 12);
	if (v6) {
		ip6_header(big, 0, 0, IP_TCP, 64);
		big[8] = big[24] = 0x20;
		big[23] = 1;
		big[39] = 2;
	} else {
		ip4_header(big, 0, 0, 77, IP_TCP, 64);
		memcpy(big + 12, (const uint8_t[]){192, 0, 2, 1, 192, 0, 2, 2}, 8);
	}
	put_be16(tcp, 22);
	put_be16(tcp + 2, 40000);
	memcpy(tcp + 4, (const uint8_t[]){0xff, 0xff, 0xff, 0}, 4); /* the sequence wraps */
	tcp[12] = 8 << 4;                                           /* with a timestamp option's room */
	tcp[13] = flags;
	put_be16(tcp + 14, 500);
	memset(tcp + 20, 1, 12);
	for (uint32_t i = 0; i < payload; i++)
		big[l3 + 32 + i] = (uint8_t)(i * 7 + i / 256);
	return l3 + 32 + payload;
}

static unsigned
cut_all(uint32_t len, uint16_t mss, uint8_t type)
{
	struct virtio_net_hdr h = {.gso_type = type, .gso_size = mss, .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM};
	struct cut c;
	unsigned n = 0;
	assert_true(cut_begin(&c, &h, big, len));
	while ((seg_len[n] = cut_next(&c, seg[n], sizeof(seg[n]))) != 0)
		n++;
	assert_int_equal(c.at, len);
	return n;
}

static void
cuts_and_joins(void **state)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const uint32_t l3 = v6 ? 40 : 20;
		const uint8_t type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
		uint32_t len = make_big(v6, 10 * 1400 + 77, 0x18);
		unsigned n = cut_all(len, 1400, type);
		assert_int_equal(n, 11);
		struct join j = {0};
		for (unsigned i = 0; i < n; i++) {
			struct ip_view v;
			assert_int_equal(seg_len[i], l3 + 32 + (i < 10 ? 1400 : 77));
			assert_int_equal(ip_check(seg[i], seg_len[i], &v), IP_OK);
			assert_true(tp_good(seg[i], seg_len[i]));
			assert_int_equal(seg[i][l3 + 13], i < 10 ? 0x10 : 0x18); /* PSH with the last */
			assert_int_equal(join_add(&j, seg[i], seg_len[i]), JOIN_TAKEN);
		}
		assert_true(j.ended);
		struct iovec iov[JOIN_PARTS + 2];
		assert_int_equal(join_end(&j, iov), 13);
		const struct virtio_net_hdr *h = iov[0].iov_base;
		assert_int_equal(h->gso_type, type);
		assert_int_equal(h->gso_size, 1400);
		assert_int_equal(h->csum_start, l3);
		uint8_t whole[65536];
		size_t at = 0;
		for (unsigned i = 1; i < 13; i++) {
			memcpy(whole + at, iov[i].iov_base, iov[i].iov_len);
			at += iov[i].iov_len;
		}
		assert_int_equal(at, len);
		uint8_t again[2048];
		struct cut c;
		assert_true(cut_begin(&c, h, whole, (uint32_t)at)); /* as the kernel would: the same segments */
		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(cut_next(&c, again, sizeof(again)), seg_len[i]);
			assert_memory_equal(again, seg[i], seg_len[i]);
		}
	}
}

static void
ends_with_the_last(void **state)
{
	uint32_t len = make_big(false, 3000, 0x80 | 0x19); /* CWR, FIN, PSH, ACK */
	assert_int_equal(cut_all(len, 1000, VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN), 3);
	assert_int_equal(seg[0][33], 0x90); /* CWR with the first */
	assert_int_equal(seg[1][33], 0x10);
	assert_int_equal(seg[2][33], 0x19);
	assert_int_equal(get_be16(seg[2] + 4), 79);                        /* IPv4 identification counts */
	assert_memory_equal(seg[1] + 24, ((uint8_t[]){0, 0, 2, 0xe8}), 4); /* 0xffffff00 + 1000 */
}

static void
completes_a_checksum(void **state)
{
	uint8_t out[256];
	struct cut c;
	size_t n = tp_udp(big, "192.0.2.1", 5000, "192.0.2.2", 53, 40);
	put_16(big + 26, csum_fold(csum_pseudo(big, IP_UDP, 48)));
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = 20, .csum_offset = 6};
	assert_true(cut_begin(&c, &h, big, (uint32_t)n));
	assert_int_equal(cut_next(&c, out, sizeof(out)), n);
	assert_true(tp_good(out, n));
	assert_int_equal(cut_next(&c, out, sizeof(out)), 0);
	h.csum_start = (uint16_t)n; /* beyond */
	assert_false(cut_begin(&c, &h, big, (uint32_t)n));
	h.csum_start = (uint16_t)(n - 7);
	assert_false(cut_begin(&c, &h, big, (uint32_t)n));
}

static void
makes_no_sense(void **state)
{
	struct cut c;
	struct virtio_net_hdr h = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4};
	uint32_t len = make_big(false, 3000, 0x10);
	assert_false(cut_begin(&c, &h, big, len)); /* segments of no length */
	h.gso_size = 1000;
	assert_false(cut_begin(&c, &h, big, 52)); /* no payload */
	assert_false(cut_begin(&c, &h, big, 30));
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	assert_false(cut_begin(&c, &h, big, len));
	h.gso_type = VIRTIO_NET_HDR_GSO_UDP;
	assert_false(cut_begin(&c, &h, big, len));
	h.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	big[0] = 0x4f; /* a header beyond the end */
	assert_false(cut_begin(&c, &h, big, 52));
	big[0] = 0x45;
	big[9] = IP_UDP;
	assert_false(cut_begin(&c, &h, big, len));
}

/* Each row spoils the second of three segments of 1000 bytes. */
static void
joins_no_others(void **state)
{
	static const struct {
		uint32_t at;
		uint8_t to;
		enum join_fate fate;
	} row[] = {
	        {20 + 13, 0x11, JOIN_CANT}, {20 + 13, 0x50, JOIN_CANT}, /* FIN, ECE */
	        {20 + 11, 9, JOIN_AFTER}, {20 + 15, 9, JOIN_AFTER},     /* acknowledgement, window */
	        {20 + 7, 9, JOIN_AFTER}, {20 + 31, 9, JOIN_AFTER},
	        {1, 3, JOIN_AFTER},                           /* sequence, option, congestion mark */
	        {20 + 3, 9, JOIN_OTHER}, {15, 9, JOIN_OTHER}, /* port, address */
	        {6, 0x20, JOIN_CANT},                         /* a fragment */
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		cut_all(make_big(false, 3000, 0x10), 1000, VIRTIO_NET_HDR_GSO_TCPV4);
		struct join j = {0};
		assert_int_equal(join_add(&j, seg[0], seg_len[0]), JOIN_TAKEN);
		seg[1][row[i].at] = row[i].to;
		put_16(seg[1] + 36, 0);
		put_16(seg[1] + 36, csum_l4(seg[1], IP_TCP, seg[1] + 20, seg_len[1] - 20));
		assert_int_equal(join_add(&j, seg[1], seg_len[1]), row[i].fate);
		assert_int_equal(j.n, 1);
	}
	cut_all(make_big(false, 3000, 0x10), 1000, VIRTIO_NET_HDR_GSO_TCPV4);
	struct join j = {0};
	seg[0][100] ^= 1; /* a wrong checksum is the kernel's to see */
	assert_int_equal(join_add(&j, seg[0], seg_len[0]), JOIN_CANT);
	assert_int_equal(join_add(&j, seg[1], seg_len[1]), JOIN_TAKEN);
	assert_int_equal(join_add(&j, seg[2], seg_len[2] - 1), JOIN_CANT); /* shorter than it says */
	seg[2][23] ^= 1; /* another flow's is not looked at any closer */
	assert_int_equal(join_add(&j, seg[2], seg_len[2] - 1), JOIN_OTHER);
	assert_int_equal(join_add(&j, seg[2], 23), JOIN_OTHER);
	struct iovec iov[JOIN_PARTS + 2];
	assert_int_equal(join_end(&j, iov), 3); /* alone: as it came */
	assert_int_equal(((struct virtio_net_hdr *)iov[0].iov_base)->gso_type, VIRTIO_NET_HDR_GSO_NONE);
	assert_memory_equal(iov[1].iov_base, seg[1], 52);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cuts_and_joins), cmocka_unit_test(ends_with_the_last),
	        cmocka_unit_test(completes_a_checksum), cmocka_unit_test(makes_no_sense),
	        cmocka_unit_test(joins_no_others)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
