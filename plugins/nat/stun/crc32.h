/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32 (IEEE 802.3, as in zlib) with eight tables: a STUN request with FINGERPRINT is hashed on the packet path. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct crc32 {
	uint32_t table[8][256];
};

static inline void
crc32_init(struct crc32 *c)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t v = i;
		for (int bit = 0; bit < 8; bit++)
			v = v >> 1 ^ (v & 1 ? 0xedb88320u : 0);
		c->table[0][i] = v;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int t = 1; t < 8; t++)
			c->table[t][i] = c->table[t - 1][i] >> 8 ^ c->table[0][c->table[t - 1][i] & 0xff];
}

static inline uint32_t
crc32_sum(const struct crc32 *c, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = 0xffffffffu;
	for (; len >= 8; p += 8, len -= 8) {
		uint64_t v;
		memcpy(&v, p, 8);
		v ^= crc;
		crc = c->table[7][v & 0xff] ^ c->table[6][v >> 8 & 0xff] ^ c->table[5][v >> 16 & 0xff] ^
		      c->table[4][v >> 24 & 0xff] ^ c->table[3][v >> 32 & 0xff] ^ c->table[2][v >> 40 & 0xff] ^
		      c->table[1][v >> 48 & 0xff] ^ c->table[0][v >> 56];
	}
	while (len-- > 0)
		crc = crc >> 8 ^ c->table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}
