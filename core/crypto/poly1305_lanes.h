/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Poly1305 (RFC 8439 §2.5) with one chain of blocks in each 64-bit lane, for AVX-512 IFMA (Gueron, Krasnov, "Fast
 * Polynomial evaluation with 52-bit multiplication" uses the same limbs): numbers of 130 bits as limbs of 44, 44 and
 * 42 bits, so that the multiplier's 52 bits leave room for sums that are not carried yet.
 *
 * Limb i weighs 2^(44 i). A product's low 52 bits weigh what its limbs do together; its high ones 2^52 = 2^44 * 2^8 times
 * that: one limb up, shifted by 8. What lies at 2^132 or above comes back times 20: 2^132 = 4 * 2^130 = 4 * 5 (mod p).
 */
#pragma once

#define MASK44 (((uint64_t)1 << 44) - 1)
#define MASK42 (((uint64_t)1 << 42) - 1)

/* A multiplier for each lane, with 20 times its upper limbs. */
struct factor {
	vec r[3], s[3]; /* s[0] is unused */
};

static inline vec
times5(vec a)
{
	return vec_add64(a, vec_sll64(a, 2));
}

/* Limbs of top * 2^128 + hi * 2^64 + lo. */
static inline void
limbs_of(vec limb[3], vec lo, vec hi, vec top)
{
	limb[0] = vec_and(lo, vec_set64(MASK44));
	limb[1] = vec_and(vec_or(vec_srl64(lo, 44), vec_sll64(hi, 20)), vec_set64(MASK44));
	limb[2] = vec_or(vec_srl64(hi, 24), vec_sll64(top, 40));
}

static inline void
factor_set(struct factor *f, vec lo, vec hi, vec top)
{
	limbs_of(f->r, lo, hi, top);
	for (int i = 1; i < 3; i++)
		f->s[i] = vec_sll64(times5(f->r[i]), 2);
}

/*
 * h = (h + block) * f. Before: h[0] and h[1] below 2^44 + 2^15, h[2] below 2^42; so with a block added all are below
 * 2^46, factors below 2^49, the sums of three low halves below 2^54 and of three high ones below 2^45. After: the same.
 */
static inline __attribute__((always_inline)) void
lanes_block(vec h[3], const struct factor *f, vec lo, vec hi, vec top)
{
	const vec zero = vec_set64(0);
	vec in[3], l[3], u[3], carry;

	limbs_of(in, lo, hi, top);
	for (int i = 0; i < 3; i++)
		h[i] = vec_add64(h[i], in[i]);
#define PRODUCT(i, a, b, c)                                                                                            \
	do {                                                                                                           \
		l[i] = vec_madd52lo(vec_madd52lo(vec_madd52lo(zero, h[2], c), h[1], b), h[0], a);                      \
		u[i] = vec_madd52hi(vec_madd52hi(vec_madd52hi(zero, h[2], c), h[1], b), h[0], a);                      \
	} while (0)
	PRODUCT(0, f->r[0], f->s[2], f->s[1]);
	PRODUCT(1, f->r[1], f->r[0], f->s[2]);
	PRODUCT(2, f->r[2], f->r[1], f->r[0]);
#undef PRODUCT
	l[0] = vec_add64(l[0], vec_sll64(times5(u[2]), 10)); /* 2^8 * 20 */
	l[1] = vec_add64(l[1], vec_sll64(u[0], 8));
	l[2] = vec_add64(l[2], vec_sll64(u[1], 8));
	carry = vec_srl64(l[0], 44);
	l[1] = vec_add64(l[1], carry);
	carry = vec_srl64(l[1], 44);
	l[2] = vec_add64(l[2], carry);
	carry = vec_srl64(l[2], 42);
	h[0] = vec_add64(vec_and(l[0], vec_set64(MASK44)), times5(carry));
	h[1] = vec_and(l[1], vec_set64(MASK44));
	h[2] = vec_and(l[2], vec_set64(MASK42));
}
