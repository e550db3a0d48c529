/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Poly1305 (RFC 8439 §2.5) in 64-bit words, for code that runs beside vectors on ports of its own: 130-bit numbers as
 * h[2] * 2^128 + h[1] * 2^64 + h[0].
 */
#pragma once

#include <stdint.h>
#include <string.h>

typedef unsigned __int128 u128;

/*
 * (h1 h0) += (b a), and with three words. gcc 12 keeps 128-bit sums and carries in memory, which makes the chain of a
 * block 25 clocks instead of 15, so it gets the instructions.
 */
#if defined(__x86_64__) && !defined(__clang__)
#define ADD2(h0, h1, a, b) __asm__("add %2,%0\n\tadc %3,%1" : "+&r"(h0), "+r"(h1) : "r"((uint64_t)(a)), "re"((uint64_t)(b)) : "cc")
#define ADD3(h0, h1, h2, a, b, c)                                                                                      \
	__asm__("add %3,%0\n\tadc %4,%1\n\tadc %5,%2"                                                                  \
		: "+&r"(h0), "+&r"(h1), "+r"(h2)                                                                       \
		: "r"((uint64_t)(a)), "re"((uint64_t)(b)), "re"((uint64_t)(c))                                                     \
		: "cc")
#define MUL(lo, hi, a, b) __asm__("mulx %3,%0,%1" : "=r"(lo), "=r"(hi) : "d"(a), "r"(b))
#else
#define ADD2(h0, h1, a, b)                                                                                             \
	do {                                                                                                           \
		u128 sum = ((u128)h1 << 64 | h0) + ((u128)(b) << 64 | (a));                                            \
		h0 = (uint64_t)sum, h1 = (uint64_t)(sum >> 64);                                                        \
	} while (0)
#define ADD3(h0, h1, h2, a, b, c)                                                                                      \
	do {                                                                                                           \
		u128 sum = (u128)h0 + (a);                                                                             \
		h0 = (uint64_t)sum, sum = (u128)h1 + (b) + (uint64_t)(sum >> 64);                                      \
		h1 = (uint64_t)sum, h2 += (c) + (uint64_t)(sum >> 64);                                                 \
	} while (0)
#define MUL(lo, hi, a, b)                                                                                              \
	do {                                                                                                           \
		u128 product = (u128)(a) * (b);                                                                        \
		lo = (uint64_t)product, hi = (uint64_t)(product >> 64);                                                \
	} while (0)
#endif

struct poly1305 {
	uint64_t h[3];
	uint64_t r[2], s1; /* s1 = r[1] * 2^128 mod p = r[1] / 4 * 5: clamping made r[1] a multiple of 4 */
};

static inline void
poly1305_start(struct poly1305 *m, const uint8_t key[32])
{
	memcpy(m->r, key, 16);
	m->r[0] &= 0x0ffffffc0fffffff;
	m->r[1] &= 0x0ffffffc0ffffffc;
	m->s1 = m->r[1] + (m->r[1] >> 2);
	m->h[0] = m->h[1] = m->h[2] = 0;
}

/*
 * h = h * r modulo p, but not fully reduced: h[2] below 8 before, below 5 after. With s1 for r[1] * 2^128 no product lies
 * above 2^192, and what does above 2^130 is folded back times 5.
 */
static inline __attribute__((always_inline)) void
poly1305_multiply(struct poly1305 *m)
{
	uint64_t h0 = m->h[0], h1 = m->h[1], h2 = m->h[2], a0, a1, b0, b1, c0, c1, d0, d1, fold;

	MUL(a0, a1, h0, m->r[0]);
	MUL(b0, b1, h0, m->r[1]);
	MUL(c0, c1, h1, m->s1);
	MUL(d0, d1, h1, m->r[0]);
	ADD2(a0, a1, c0, c1);
	ADD2(b0, b1, d0, d1);
	c0 = h2 * m->s1;
	c1 = h2 * m->r[0];
	ADD2(b0, b1, c0, c1);
	ADD2(b0, b1, a1, 0);
	fold = (b1 >> 2) + (b1 & ~(uint64_t)3);
	b1 &= 3;
	ADD3(a0, b0, b1, fold, 0, 0);
	m->h[0] = a0, m->h[1] = b0, m->h[2] = b1;
}

static inline __attribute__((always_inline)) void
poly1305_block(struct poly1305 *m, uint64_t lo, uint64_t hi)
{
	ADD3(m->h[0], m->h[1], m->h[2], lo, hi, 1);
	poly1305_multiply(m);
}

/* The last block, padded with zeros: `len` of its bytes, 1 to 15, are there, and 16 are readable. */
static inline __attribute__((always_inline)) void
poly1305_partial(uint64_t in[2], const uint8_t *data, uint32_t len)
{
	unsigned bits = len * 8;

	memcpy(in, data, 16);
	in[0] &= bits < 64 ? ((uint64_t)1 << bits) - 1 : UINT64_MAX;
	in[1] &= bits > 64 ? ((uint64_t)1 << (bits - 64)) - 1 : 0;
}

/* The last bytes of the ciphertext, then both lengths (RFC 8439 §2.8: no associated data). data: 16 are readable. */
static inline __attribute__((always_inline)) void
poly1305_end(struct poly1305 *m, const uint8_t *data, uint32_t len)
{
	uint64_t in[2];

	if (len % 16 > 0) {
		poly1305_partial(in, data, len % 16);
		poly1305_block(m, in[0], in[1]);
	}
	poly1305_block(m, 0, len);
}

/* tag = (h mod p) + s mod 2^128, with h below 2^131. */
static inline __attribute__((always_inline)) void
poly1305_tag(const struct poly1305 *m, const uint8_t key[32], uint64_t tag[2])
{
	uint64_t h0 = m->h[0], h1 = m->h[1], h2 = m->h[2], g0 = h0, g1 = h1, g2 = h2, s[2], below;

	ADD3(g0, g1, g2, 5, 0, 0); /* h - p + 2^130 */
	below = (g2 >> 2) - 1;     /* all ones if h < p: h + 5 has no bit 130 */
	h0 = (h0 & below) | (g0 & ~below);
	h1 = (h1 & below) | (g1 & ~below);
	memcpy(s, key + 16, 16);
	ADD2(h0, h1, s[0], s[1]);
	tag[0] = h0, tag[1] = h1;
}
