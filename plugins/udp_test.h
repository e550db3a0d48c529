/* SPDX-License-Identifier: BSD-3-Clause */
/* For node tests of UDP services: datagrams in, and answers checked with DPDK's own checksum functions. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <rte_ip.h>
#include <rte_udp.h>
#include <tailrace/fakehost.h>

#define CLIENT_PORT 32853

static const uint8_t client4[4] = {192, 0, 2, 1}, server4[4] = {198, 51, 100, 7};
static const uint8_t client6[16] = {0x20, 1, 0xd, 0xb8, [15] = 1}, server6[16] = {0x20, 1, 0xd, 0xb8, [15] = 7};

/* From the client to the server, checksums right. Returns the packet's size. */
static inline size_t
datagram(uint8_t *packet, int family, uint16_t port, const void *payload, size_t len)
{
	const size_t l3 = family == 4 ? 20 : 40;
	memset(packet, 0, l3 + 8);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(packet + l3);
	udp->src_port = rte_cpu_to_be_16(CLIENT_PORT);
	udp->dst_port = rte_cpu_to_be_16(port);
	udp->dgram_len = rte_cpu_to_be_16(8 + len);
	memcpy(packet + l3 + 8, payload, len);
	if (family == 4) {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)packet;
		*ip = (struct rte_ipv4_hdr){.version_ihl = 0x45, .total_length = rte_cpu_to_be_16(l3 + 8 + len),
			.time_to_live = 9, .next_proto_id = 17, .type_of_service = 0xb8};
		memcpy(&ip->src_addr, client4, 4);
		memcpy(&ip->dst_addr, server4, 4);
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		udp->dgram_cksum = rte_ipv4_udptcp_cksum(ip, udp);
	} else {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)packet;
		ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
		ip->payload_len = rte_cpu_to_be_16(8 + len);
		ip->proto = 17;
		ip->hop_limits = 9;
		memcpy(ip->src_addr, client6, 16);
		memcpy(ip->dst_addr, server6, 16);
		udp->dgram_cksum = rte_ipv6_udptcp_cksum(ip, udp);
	}
	return l3 + 8 + len;
}

static inline void
send_datagram(struct fh *h, int family, uint16_t port, const void *payload, size_t len)
{
	uint8_t packet[2048];
	fh_send(h, "in", packet, datagram(packet, family, port, payload, len));
}

/* The oldest packet out must be a right answer from that port to the client. Its payload; *len: the size of that. */
static inline const uint8_t *
expect_answer(struct fh *h, int family, uint16_t port, size_t *len)
{
	const struct fh_out *o = fh_next(h);
	const size_t l3 = family == 4 ? 20 : 40;
	assert_non_null(o);
	if (o->drop)
		print_error("dropped: %s\n", o->drop);
	assert_null(o->drop);
	assert_string_equal(o->gate, "out");
	assert_true(o->len >= l3 + 8);
	const struct rte_udp_hdr *udp = (const struct rte_udp_hdr *)(o->data + l3);
	if (family == 4) {
		const struct rte_ipv4_hdr *ip = (const struct rte_ipv4_hdr *)o->data;
		assert_int_equal(ip->version_ihl, 0x45);
		assert_int_equal(rte_be_to_cpu_16(ip->total_length), o->len);
		assert_int_equal(ip->time_to_live, 64);
		assert_int_equal(rte_raw_cksum(ip, 20), 0xffff);
		assert_int_equal(rte_ipv4_udptcp_cksum_verify(ip, udp), 0);
		assert_memory_equal(&ip->src_addr, server4, 4);
		assert_memory_equal(&ip->dst_addr, client4, 4);
	} else {
		const struct rte_ipv6_hdr *ip = (const struct rte_ipv6_hdr *)o->data;
		assert_int_equal(rte_be_to_cpu_32(ip->vtc_flow) >> 28, 6);
		assert_int_equal(rte_be_to_cpu_16(ip->payload_len), o->len - 40);
		assert_int_equal(ip->hop_limits, 64);
		assert_int_equal(rte_ipv6_udptcp_cksum_verify(ip, udp), 0);
		assert_memory_equal(ip->src_addr, server6, 16);
		assert_memory_equal(ip->dst_addr, client6, 16);
	}
	assert_int_not_equal(udp->dgram_cksum, 0);
	assert_int_equal(rte_be_to_cpu_16(udp->src_port), port);
	assert_int_equal(rte_be_to_cpu_16(udp->dst_port), CLIENT_PORT);
	assert_int_equal(rte_be_to_cpu_16(udp->dgram_len), o->len - l3);
	assert_int_equal(o->meta.l3_len, l3);
	assert_int_equal(o->meta.next_hop.family, 0);
	*len = o->len - l3 - 8;
	return o->data + l3 + 8;
}
