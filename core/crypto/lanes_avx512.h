/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vector operations that the engines are written in, as AVX-512: 16 lanes of 32 bits, or 8 of 64. See lanes_avx2.h.
 * With LANES_EMULATED the same text runs on any CPU: SIMDe does in C what each intrinsic says, for the tests.
 */
#pragma once

#ifdef LANES_EMULATED
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#else
#include <immintrin.h>
#endif
#include <stdint.h>

#define LANES 16
#define LANES64 8

typedef __m512i vec;
typedef __m512i vec_parked; /* 32 registers: nothing has to be put away */

static inline vec
vec_load(const void *p)
{
	return _mm512_load_si512(p);
}

static inline void
vec_store(void *p, vec a)
{
	_mm512_store_si512(p, a);
}

static inline vec
vec_set32(uint32_t x)
{
	return _mm512_set1_epi32((int)x);
}

static inline vec
vec_set64(uint64_t x)
{
	return _mm512_set1_epi64((long long)x);
}

static inline vec
vec_xor(vec a, vec b)
{
	return _mm512_xor_si512(a, b);
}

static inline vec
vec_or(vec a, vec b)
{
	return _mm512_or_si512(a, b);
}

static inline vec
vec_and(vec a, vec b)
{
	return _mm512_and_si512(a, b);
}

static inline vec
vec_add32(vec a, vec b)
{
	return _mm512_add_epi32(a, b);
}

static inline vec
vec_add64(vec a, vec b)
{
	return _mm512_add_epi64(a, b);
}

#define vec_srl64(a, n) _mm512_srli_epi64(a, n)
#define vec_sll64(a, n) _mm512_slli_epi64(a, n)
#define vec_rotl32(a, n) _mm512_rol_epi32(a, n)

/*
 * sum + the low, or the high, 52 bits of the product of the low 52 bits of a and b. SIMDe 0.7 lacks both; the emulation
 * says what the manual does.
 */
#if defined(LANES_EMULATED)
static inline vec
vec_madd52(vec sum, vec a, vec b, unsigned shift)
{
	const uint64_t mask = ((uint64_t)1 << 52) - 1;
	uint64_t s[8], x[8], y[8];

	_mm512_storeu_si512(s, sum);
	_mm512_storeu_si512(x, a);
	_mm512_storeu_si512(y, b);
	for (int i = 0; i < 8; i++)
		s[i] += (uint64_t)((unsigned __int128)(x[i] & mask) * (y[i] & mask) >> shift) & mask;
	return _mm512_loadu_si512(s);
}

#define vec_madd52lo(sum, a, b) vec_madd52(sum, a, b, 0)
#define vec_madd52hi(sum, a, b) vec_madd52(sum, a, b, 52)
#elif defined(__AVX512IFMA__)
#define vec_madd52lo(sum, a, b) _mm512_madd52lo_epu64(sum, a, b)
#define vec_madd52hi(sum, a, b) _mm512_madd52hi_epu64(sum, a, b)
#endif

/* The same 16 bytes of four lanes, one in each 128-bit column. */
static inline vec
vec_columns(const uint8_t *a, const uint8_t *b, const uint8_t *c, const uint8_t *d)
{
	vec v = _mm512_castsi128_si512(_mm_loadu_si128((const __m128i *)a));

	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)b), 1);
	v = _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)c), 2);
	return _mm512_inserti32x4(v, _mm_loadu_si128((const __m128i *)d), 3);
}

/* In each 128-bit column: the 4 x 4 matrix of 32-bit words of a[0..3], transposed. */
static inline void
vec_transpose4(vec a[4])
{
	vec t0 = _mm512_unpacklo_epi32(a[0], a[1]), t1 = _mm512_unpacklo_epi32(a[2], a[3]);
	vec t2 = _mm512_unpackhi_epi32(a[0], a[1]), t3 = _mm512_unpackhi_epi32(a[2], a[3]);

	a[0] = _mm512_unpacklo_epi64(t0, t1);
	a[1] = _mm512_unpackhi_epi64(t0, t1);
	a[2] = _mm512_unpacklo_epi64(t2, t3);
	a[3] = _mm512_unpackhi_epi64(t2, t3);
}

/* k[w] = word w of each lane's key of 32 bytes. */
static inline void
vec_keys(vec k[8], const uint8_t *const key[LANES])
{
	for (int w = 0; w < 8; w += 4) {
		for (int i = 0; i < 4; i++)
			k[w + i] = vec_columns(key[i] + 4 * w, key[4 + i] + 4 * w, key[8 + i] + 4 * w, key[12 + i] + 4 * w);
		vec_transpose4(k + w);
	}
}

/*
 * s[w] = word w of each lane; row + 64 * lane: a lane's 16 words. After the first step, column b of s[4 * q + i] holds
 * words 4 * q to 4 * q + 3 of lane 4 * b + i; the second is the transposition of columns against q.
 */
static inline void
vec_rows(uint8_t *row, vec s[16])
{
	for (int w = 0; w < 16; w += 4)
		vec_transpose4(s + w);
	for (int i = 0; i < 4; i++) {
		vec a = _mm512_shuffle_i32x4(s[i], s[4 + i], 0x44), b = _mm512_shuffle_i32x4(s[8 + i], s[12 + i], 0x44);
		vec c = _mm512_shuffle_i32x4(s[i], s[4 + i], 0xee), d = _mm512_shuffle_i32x4(s[8 + i], s[12 + i], 0xee);
		vec_store(row + 64 * i, _mm512_shuffle_i32x4(a, b, 0x88));
		vec_store(row + 64 * (4 + i), _mm512_shuffle_i32x4(a, b, 0xdd));
		vec_store(row + 64 * (8 + i), _mm512_shuffle_i32x4(c, d, 0x88));
		vec_store(row + 64 * (12 + i), _mm512_shuffle_i32x4(c, d, 0xdd));
	}
}

/* 16 bytes at `offset` of each lane of 64 bits: the first 8 and the last 8. */
static inline void
vec_blocks(vec *lo, vec *hi, const uint8_t *const at[LANES64], uint64_t offset)
{
	vec a = vec_columns(at[0] + offset, at[2] + offset, at[4] + offset, at[6] + offset);
	vec b = vec_columns(at[1] + offset, at[3] + offset, at[5] + offset, at[7] + offset);

	*lo = _mm512_unpacklo_epi64(a, b);
	*hi = _mm512_unpackhi_epi64(a, b);
}

/* Key stream over 64 bytes in place. */
static inline void
row_xor(uint8_t *data, const uint8_t *row)
{
	_mm512_storeu_si512(data, vec_xor(_mm512_loadu_si512(data), vec_load(row)));
}
