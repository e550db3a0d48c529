/* SPDX-License-Identifier: BSD-3-Clause */
#include "blake2s.h"

#include <sodium.h>
#include <string.h>

/* A row of the 4x4 working state: the four G of a half round run side by side. */
typedef uint32_t row __attribute__((vector_size(16)));

static const uint32_t iv[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
	0x5be0cd19};

static inline row
rotr(row x, int n)
{
	return x >> n | x << (32 - n);
}

static inline void
half(row v[4], row x, row y)
{
	v[0] += v[1] + x;
	v[3] = rotr(v[3] ^ v[0], 16);
	v[2] += v[3];
	v[1] = rotr(v[1] ^ v[2], 12);
	v[0] += v[1] + y;
	v[3] = rotr(v[3] ^ v[0], 8);
	v[2] += v[3];
	v[1] = rotr(v[1] ^ v[2], 7);
}

/* Columns, then diagonals: rows 1..3 turn left by their number and back. Arguments: the message words of the round. */
#define ROUND(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p)                                                           \
	do {                                                                                                           \
		half(v, (row){w[a], w[c], w[e], w[g]}, (row){w[b], w[d], w[f], w[h]});                                 \
		v[1] = __builtin_shufflevector(v[1], v[1], 1, 2, 3, 0);                                                \
		v[2] = __builtin_shufflevector(v[2], v[2], 2, 3, 0, 1);                                                \
		v[3] = __builtin_shufflevector(v[3], v[3], 3, 0, 1, 2);                                                \
		half(v, (row){w[i], w[k], w[m], w[o]}, (row){w[j], w[l], w[n], w[p]});                                 \
		v[1] = __builtin_shufflevector(v[1], v[1], 3, 0, 1, 2);                                                \
		v[2] = __builtin_shufflevector(v[2], v[2], 2, 3, 0, 1);                                                \
		v[3] = __builtin_shufflevector(v[3], v[3], 1, 2, 3, 0);                                                \
	} while (0)

static void
compress(struct blake2s *s, uint32_t len, uint32_t last)
{
	uint32_t w[16];
	row v[4], x[2];

	s->total += len;
	memcpy(w, s->block, sizeof(w));
	memcpy(v, s->h, sizeof(s->h));
	memcpy(v + 2, iv, sizeof(iv));
	v[3] ^= (row){(uint32_t)s->total, (uint32_t)(s->total >> 32), last, 0};
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
	ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
	ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
	ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
	ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
	ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
	ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
	ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
	memcpy(x, s->h, sizeof(x));
	x[0] ^= v[0] ^ v[2];
	x[1] ^= v[1] ^ v[3];
	memcpy(s->h, x, sizeof(x));
	sodium_memzero(w, sizeof(w)); /* may be a key; v is not enough to go back */
}

void
blake2s_init(struct blake2s *s, size_t out_len, const void *key, size_t key_len)
{
	memset(s, 0, sizeof(*s));
	memcpy(s->h, iv, sizeof(iv));
	s->h[0] ^= 0x01010000 ^ (uint32_t)key_len << 8 ^ (uint32_t)out_len;
	s->out_len = (uint32_t)out_len;
	if (key_len > 0) {
		memcpy(s->block, key, key_len);
		s->fill = BLAKE2S_BLOCK;
	}
}

void
blake2s_update(struct blake2s *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len > 0) {
		if (s->fill == BLAKE2S_BLOCK) {
			compress(s, BLAKE2S_BLOCK, 0);
			s->fill = 0;
		}
		size_t n = BLAKE2S_BLOCK - s->fill;
		if (n > len)
			n = len;
		memcpy(s->block + s->fill, p, n);
		s->fill += (uint32_t)n;
		p += n;
		len -= n;
	}
}

void
blake2s_final(struct blake2s *s, void *out)
{
	memset(s->block + s->fill, 0, BLAKE2S_BLOCK - s->fill);
	compress(s, s->fill, ~0u);
	memcpy(out, s->h, s->out_len);
	sodium_memzero(s, sizeof(*s));
}
