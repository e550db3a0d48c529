/* SPDX-License-Identifier: BSD-3-Clause */
/* The vector operations that the engine is written in, as AVX2: 8 lanes of 32 bits, or 4 of 64. See aead_lanes.h. */
#pragma once

#include <immintrin.h>
#include <stdint.h>

#define LANES 8
#define LANES64 4

typedef __m256i vec;
typedef volatile __m256i vec_parked; /* in memory, not in one of the 16 registers */

static inline vec
vec_load(const void *p)
{
	return _mm256_load_si256(p);
}

static inline void
vec_store(void *p, vec a)
{
	_mm256_store_si256(p, a);
}

static inline vec
vec_set32(uint32_t x)
{
	return _mm256_set1_epi32((int)x);
}

static inline vec
vec_set64(uint64_t x)
{
	return _mm256_set1_epi64x((long long)x);
}

static inline vec
vec_xor(vec a, vec b)
{
	return _mm256_xor_si256(a, b);
}

static inline vec
vec_or(vec a, vec b)
{
	return _mm256_or_si256(a, b);
}

static inline vec
vec_and(vec a, vec b)
{
	return _mm256_and_si256(a, b);
}

static inline vec
vec_add32(vec a, vec b)
{
	return _mm256_add_epi32(a, b);
}

static inline vec
vec_add64(vec a, vec b)
{
	return _mm256_add_epi64(a, b);
}

#define vec_srl64(a, n) _mm256_srli_epi64(a, n)
#define vec_sll64(a, n) _mm256_slli_epi64(a, n)

/* The low 32 bits of each lane of 64, multiplied. */
static inline vec
vec_mul32(vec a, vec b)
{
	return _mm256_mul_epu32(a, b);
}

/* By whole bytes a shuffle does it; n is constant wherever this is called. */
static inline __attribute__((always_inline)) vec
vec_rotl32(vec a, const int n)
{
	if (n == 16)
		return _mm256_shuffle_epi8(a, _mm256_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13, 2, 3, 0, 1,
					      6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
	if (n == 8)
		return _mm256_shuffle_epi8(a, _mm256_setr_epi8(3, 0, 1, 2, 7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14, 3, 0, 1, 2,
					      7, 4, 5, 6, 11, 8, 9, 10, 15, 12, 13, 14));
	return _mm256_or_si256(_mm256_slli_epi32(a, n), _mm256_srli_epi32(a, 32 - n));
}

/* The same 16 bytes of lanes i and i + 4. */
static inline vec
vec_pair(const uint8_t *lo, const uint8_t *hi)
{
	return _mm256_inserti128_si256(
		_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)lo)), _mm_loadu_si128((const __m128i *)hi), 1);
}

/* In each 128-bit column: the 4 x 4 matrix of 32-bit words of a[0..3], transposed. */
static inline void
vec_transpose4(vec a[4])
{
	vec t0 = _mm256_unpacklo_epi32(a[0], a[1]), t1 = _mm256_unpacklo_epi32(a[2], a[3]);
	vec t2 = _mm256_unpackhi_epi32(a[0], a[1]), t3 = _mm256_unpackhi_epi32(a[2], a[3]);

	a[0] = _mm256_unpacklo_epi64(t0, t1);
	a[1] = _mm256_unpackhi_epi64(t0, t1);
	a[2] = _mm256_unpacklo_epi64(t2, t3);
	a[3] = _mm256_unpackhi_epi64(t2, t3);
}

/* k[w] = word w of each lane's key of 32 bytes. */
static inline void
vec_keys(vec k[8], const uint8_t *const key[LANES])
{
	for (int w = 0; w < 8; w += 4) {
		for (int i = 0; i < 4; i++)
			k[w + i] = vec_pair(key[i] + 4 * w, key[i + 4] + 4 * w);
		vec_transpose4(k + w);
	}
}

/* s[w] = word w of each lane; row + 64 * lane: a lane's 16 words. */
static inline void
vec_rows(uint8_t *row, vec s[16])
{
	for (int w = 0; w < 16; w += 4)
		vec_transpose4(s + w);
	for (int i = 0; i < 4; i++) {
		vec_store(row + 64 * i, _mm256_permute2x128_si256(s[i], s[4 + i], 0x20));
		vec_store(row + 64 * i + 32, _mm256_permute2x128_si256(s[8 + i], s[12 + i], 0x20));
		vec_store(row + 64 * (4 + i), _mm256_permute2x128_si256(s[i], s[4 + i], 0x31));
		vec_store(row + 64 * (4 + i) + 32, _mm256_permute2x128_si256(s[8 + i], s[12 + i], 0x31));
	}
}

/* 16 bytes at `offset` of each lane of 64 bits: the first 8 and the last 8. */
static inline void
vec_blocks(vec *lo, vec *hi, const uint8_t *const at[LANES64], uint64_t offset)
{
	vec a = vec_pair(at[0] + offset, at[2] + offset), b = vec_pair(at[1] + offset, at[3] + offset);

	*lo = _mm256_unpacklo_epi64(a, b);
	*hi = _mm256_unpackhi_epi64(a, b);
}

/* Key stream over 64 bytes in place. */
static inline void
row_xor(uint8_t *data, const uint8_t *row)
{
	for (int i = 0; i < 64; i += 32) {
		vec a = _mm256_loadu_si256((const vec *)(data + i));
		_mm256_storeu_si256((vec *)(data + i), vec_xor(a, vec_load(row + i)));
	}
}
