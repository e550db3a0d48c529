/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Segments to be joined, and packets to be cut. The first byte says which; the rest are packets, each behind its length
 * in two bytes, in a block of its own. TCP checksums are put right, or nothing would be joined.
 */
#include "net/ip.h"
#include "net/offload.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PACKETS 8

static void
put_checksum(uint8_t *p, uint32_t len)
{
	const uint32_t l3 = p[0] >> 4 == 4 ? IPV4_LEN : IPV6_LEN;
	if (len < l3 + 20 || p[p[0] >> 4 == 4 ? 9 : 6] != IP_TCP)
		return;
	put_16(p + l3 + 16, 0);
	put_16(p + l3 + 16, csum_l4(p, IP_TCP, p + l3, len - l3));
}

static void
join_one(struct join *j, const uint8_t *p, uint32_t len)
{
	struct iovec iov[JOIN_PARTS + 2];
	size_t sum = 0;
	if (join_add(j, p, len) != JOIN_AFTER || j->n == 0)
		return;
	const int n = join_end(j, iov);
	for (int i = 1; i < n; i++)
		sum += iov[i].iov_len;
	if (sum != j->len)
		abort();
	*j = (struct join){0};
	join_add(j, p, len);
}

static void
cut_up(uint8_t *p, uint32_t len, uint16_t mss)
{
	const struct virtio_net_hdr h = {
	        .gso_type = len > 0 && p[0] >> 4 == 6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
	        .gso_size = mss};
	static uint8_t out[2048];
	struct cut c;
	if (cut_begin(&c, &h, p, len))
		while (cut_next(&c, out, sizeof(out)) != 0)
			;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *p[PACKETS];
	unsigned n = 0;
	struct join j = {0};
	if (size < 1)
		return 0;
	const uint8_t mode = data[0];
	for (data++, size--; n < PACKETS && size > 2; n++) {
		uint32_t len = get_be16(data);
		data += 2;
		size -= 2;
		if (len > size)
			len = (uint32_t)size;
		p[n] = malloc(len != 0 ? len : 1);
		memcpy(p[n], data, len);
		data += len;
		size -= len;
		if (mode & 1) {
			cut_up(p[n], len, mode);
			continue;
		}
		if (len >= IPV4_LEN)
			put_checksum(p[n], len);
		join_one(&j, p[n], len);
	}
	while (n > 0)
		free(p[--n]);
	return 0;
}
