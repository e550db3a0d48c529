/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/checksum.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

uint64_t
csum_add_plain(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;
	for (; len >= 4; len -= 4, p += 4) {
		uint32_t w;
		memcpy(&w, p, 4);
		sum += w;
	}
	uint32_t rest = 0;
	memcpy(&rest, p, len);
	return sum + rest;
}

#if defined(__x86_64__)
/*
 * Pairs of words are added by the signed multiply-add, which needs words in -32768..32767: each is lowered by 32768
 * first and the total raised again. A lane gains at most 65536 a step, so a step count below 2^15 cannot overflow;
 * packets are far shorter.
 */
__attribute__((target("avx2"))) static uint64_t
csum_add_avx2(uint64_t sum, const uint8_t *p, size_t len)
{
	const __m256i bias = _mm256_set1_epi16((short)0x8000), one = _mm256_set1_epi16(1);
	__m256i a = _mm256_setzero_si256(), b = a;
	size_t steps = len / 64;
	for (size_t i = 0; i < steps; i++, p += 64) {
		__m256i x = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)p), bias);
		__m256i y = _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)(p + 32)), bias);
		a = _mm256_add_epi32(a, _mm256_madd_epi16(x, one));
		b = _mm256_add_epi32(b, _mm256_madd_epi16(y, one));
	}
	__m256i lo = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(a)), hi = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(a, 1));
	lo = _mm256_add_epi64(lo, _mm256_cvtepi32_epi64(_mm256_castsi256_si128(b)));
	hi = _mm256_add_epi64(hi, _mm256_cvtepi32_epi64(_mm256_extracti128_si256(b, 1)));
	lo = _mm256_add_epi64(lo, hi);
	__m128i s = _mm_add_epi64(_mm256_castsi256_si128(lo), _mm256_extracti128_si256(lo, 1));
	int64_t total = _mm_cvtsi128_si64(s) + _mm_extract_epi64(s, 1) + (int64_t)steps * 32 * 32768;
	return csum_add_plain(sum + (uint64_t)total, p, len % 64);
}
#endif

uint64_t
csum_add(uint64_t sum, const void *data, size_t len)
{
#if defined(__x86_64__)
	if (len >= 128 && len < 1u << 20 && __builtin_cpu_supports("avx2"))
		return csum_add_avx2(sum, data, len);
#endif
	return csum_add_plain(sum, data, len);
}
