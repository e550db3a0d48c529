/* SPDX-License-Identifier: BSD-3-Clause */
/* CRC-32 (IEEE 802.3, as in zlib) with sixteen tables: a STUN request with FINGERPRINT is hashed on the packet path. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct crc32 {
	uint32_t table[16][256];
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
		for (int t = 1; t < 16; t++)
			c->table[t][i] = c->table[t - 1][i] >> 8 ^ c->table[0][c->table[t - 1][i] & 0xff];
}

/* One word's share; `first` is the table of its first byte. */
static inline uint32_t
crc32_word(const struct crc32 *c, uint32_t v, int first)
{
	return c->table[first][v & 0xff] ^ c->table[first - 1][v >> 8 & 0xff] ^ c->table[first - 2][v >> 16 & 0xff] ^
	       c->table[first - 3][v >> 24];
}

static inline uint32_t
crc32_sum(const struct crc32 *c, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint32_t crc = 0xffffffffu;
	for (; len >= 16; p += 16, len -= 16) {
		uint32_t v[4]; /* words: each finds its bytes in one store, if an answer was just written there */
		memcpy(v, p, 16);
		crc = crc32_word(c, v[0] ^ crc, 15) ^ crc32_word(c, v[1], 11) ^ crc32_word(c, v[2], 7) ^ crc32_word(c, v[3], 3);
	}
	while (len-- > 0)
		crc = crc >> 8 ^ c->table[0][(crc ^ *p++) & 0xff];
	return ~crc;
}
