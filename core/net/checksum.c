/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/checksum.h"

#include <tailrace/udp.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

uint64_t
csum_add_plain(uint64_t sum, const void *data, size_t len)
{
	return tr_sum(sum, data, len);
}

#if defined(__x86_64__)
/*
 * Pairs of words are added by the signed multiply-add, which needs words in -32768..32767: each is lowered by 32768
 * first and the total raised again. A lane gains at most 65536 a vector, so fewer than 2^15 vectors cannot overflow it;
 * packets are far shorter.
 */
__attribute__((target("avx2"))) static inline __m256i
pairs_of(__m256i words)
{
	return _mm256_madd_epi16(_mm256_xor_si256(words, _mm256_set1_epi16((short)0x8000)), _mm256_set1_epi16(1));
}

__attribute__((target("avx2"))) static inline __m256i
pairs_at(const uint8_t *p)
{
	return pairs_of(_mm256_loadu_si256((const __m256i *)p));
}

/* At least one vector long. The last vector begins where it still lies within, with what was added before masked out. */
__attribute__((target("avx2"))) static uint64_t
csum_add_avx2(uint64_t sum, const uint8_t *p, size_t len)
{
	static const uint8_t edge[64] = {[32 ... 63] = 0xff};
	const uint8_t *end = p + (len & ~(size_t)1);
	__m256i a = _mm256_setzero_si256(), b = a, c = a, d = a;
	const size_t words = (len / 32 + 1) * 16; /* of all vectors */

	for (; end - p >= 128; p += 128) {
		a = _mm256_add_epi32(a, pairs_at(p));
		b = _mm256_add_epi32(b, pairs_at(p + 32));
		c = _mm256_add_epi32(c, pairs_at(p + 64));
		d = _mm256_add_epi32(d, pairs_at(p + 96));
	}
	for (; end - p >= 32; p += 32)
		a = _mm256_add_epi32(a, pairs_at(p));
	const __m256i keep = _mm256_loadu_si256((const __m256i *)(edge + (end - p)));
	b = _mm256_add_epi32(b, pairs_of(_mm256_and_si256(keep, _mm256_loadu_si256((const __m256i *)(end - 32)))));
	a = _mm256_add_epi32(_mm256_add_epi32(a, b), _mm256_add_epi32(c, d));
	a = _mm256_add_epi64(_mm256_cvtepi32_epi64(_mm256_castsi256_si128(a)),
		_mm256_cvtepi32_epi64(_mm256_extracti128_si256(a, 1)));
	const __m128i s = _mm_add_epi64(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
	const int64_t total = _mm_cvtsi128_si64(s) + _mm_extract_epi64(s, 1) + (int64_t)words * 32768;
	return sum + (uint64_t)total + (len % 2 ? *end : 0);
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
