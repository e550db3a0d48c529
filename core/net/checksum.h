/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Internet checksum (RFC 1071). Sums are of 16-bit words as they lie in memory, so a folded result is stored
 * without swapping. Any thread, any alignment, no state.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Sum of len bytes added to sum; an odd last byte counts as if followed by a zero. Long runs use AVX2 where the CPU has it. */
uint64_t csum_add(uint64_t sum, const void *data, size_t len);
/* The portable part of csum_add(), for tests and benchmarks. */
uint64_t csum_add_plain(uint64_t sum, const void *data, size_t len);

static inline uint16_t
csum_fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* The value for a checksum field. */
static inline uint16_t
csum_finish(uint64_t sum)
{
	return (uint16_t)~csum_fold(sum);
}

/* The same of a sum of up to 2^16 words of 32 bits: each half is added to the other, and what is carried out of it, too. */
static inline uint16_t
csum_finish_32(uint64_t sum)
{
	const uint32_t half = (uint32_t)((sum + (sum << 32 | sum >> 32)) >> 32);
	return (uint16_t)~((half + (half << 16 | half >> 16)) >> 16);
}

/* The field after 16-bit words `from` became `to`, all as they lie in memory (RFC 1624, equation 3). */
static inline uint16_t
csum_change(uint16_t field, uint64_t from, uint64_t to)
{
	return csum_finish((uint64_t)(uint16_t)~field + (uint16_t)~csum_fold(from) + to);
}

/* Sum of the 20 bytes that every IPv4 header has. */
static inline uint64_t
csum_ipv4_plain(const uint8_t *header)
{
	uint64_t a, b;
	uint32_t c;
	memcpy(&a, header, 8);
	memcpy(&b, header + 8, 8);
	memcpy(&c, header + 16, 4);
	return (uint32_t)a + (a >> 32) + (uint32_t)b + (b >> 32) + c;
}

/* The same, each carry out of 64 bits added below: fewer steps, but no more may be added to it. */
static inline uint64_t
csum_ipv4_carried(const uint8_t *header)
{
	uint64_t a, b;
	uint32_t c;
	memcpy(&a, header, 8);
	memcpy(&b, header + 8, 8);
	memcpy(&c, header + 16, 4);
	a += b;
	a += a < b;
	a += c;
	return a + (a < c);
}

/* Checksum of an IPv4 header of `words` (at least 5) 32-bit words: 0 when its field is right. */
static inline uint16_t
csum_ipv4(const uint8_t *header, unsigned words)
{
	uint64_t sum = csum_ipv4_plain(header);
	for (unsigned i = 5; i < words; i++) {
		uint32_t w;
		memcpy(&w, header + i * 4, 4);
		sum += w;
	}
	return csum_finish(sum);
}

/* Pseudo-header sum of the IPv4 or IPv6 packet at `ip`, for an upper layer of l4_len bytes. */
static inline uint64_t
csum_pseudo(const uint8_t *ip, uint8_t l4, uint32_t l4_len)
{
	const bool v4 = ip[0] >> 4 == 4;
	const uint8_t *a = ip + (v4 ? 12 : 8);
	uint64_t sum = (uint64_t)__builtin_bswap32(l4_len) + ((uint64_t)l4 << 8), w;
	memcpy(&w, a, 8);
	sum += (uint32_t)w + (w >> 32);
	for (unsigned i = 8; !v4 && i < 32; i += 8) {
		memcpy(&w, a + i, 8);
		sum += (uint32_t)w + (w >> 32);
	}
	return sum;
}

/* Field value for the upper layer at `data`; 0 when the field that is part of it is right. */
static inline uint16_t
csum_l4(const uint8_t *ip, uint8_t l4, const void *data, uint32_t len)
{
	return csum_finish(csum_add(csum_pseudo(ip, l4, len), data, len));
}
