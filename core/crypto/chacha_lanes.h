/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ChaCha20 (RFC 8439 §2.3) with one block of key stream in each 32-bit lane: s[w] holds word w of all blocks, so the
 * rounds are the RFC's with vectors for words. Lanes need nothing in common: not the key, the nonce, nor the counter.
 */
#pragma once

struct lanes {
	const uint8_t *key[LANES];
	uint32_t block[LANES] __attribute__((aligned(64)));
	uint32_t nonce[2][LANES] __attribute__((aligned(64))); /* its last two words; WireGuard's first is zero */
	uint16_t packet[LANES];
	unsigned n; /* lanes in use */
};

/* Two of RFC 8439 §2.1's quarter rounds, side by side. */
#define QUARTERS(a, b, c, d, A, B, C, D)                                                                               \
	do {                                                                                                           \
		a = vec_add32(a, b), A = vec_add32(A, B);                                                              \
		d = vec_rotl32(vec_xor(d, a), 16), D = vec_rotl32(vec_xor(D, A), 16);                                  \
		c = vec_add32(c, d), C = vec_add32(C, D);                                                              \
		b = vec_rotl32(vec_xor(b, c), 12), B = vec_rotl32(vec_xor(B, C), 12);                                  \
		a = vec_add32(a, b), A = vec_add32(A, B);                                                              \
		d = vec_rotl32(vec_xor(d, a), 8), D = vec_rotl32(vec_xor(D, A), 8);                                    \
		c = vec_add32(c, d), C = vec_add32(C, D);                                                              \
		b = vec_rotl32(vec_xor(b, c), 7), B = vec_rotl32(vec_xor(B, C), 7);                                    \
	} while (0)

static inline void
chacha_start(vec s[16], const struct lanes *l)
{
	static const uint32_t constant[4] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};

	for (int i = 0; i < 4; i++)
		s[i] = vec_set32(constant[i]);
	vec_keys(s + 4, l->key);
	s[12] = vec_load(l->block);
	s[13] = vec_set32(0);
	s[14] = vec_load(l->nonce[0]);
	s[15] = vec_load(l->nonce[1]);
}

/*
 * The ten double rounds. `beside` is done four times in each: what runs on other ports costs nothing there.
 * 16 registers are two too few, and a compiler's choice of what to spill lies on the critical path; so half of the third
 * row is put away by hand while the other half is worked on, and is needed again only half a round later.
 */
#define CHACHA_ROUNDS(s, beside)                                                                                       \
	do {                                                                                                           \
		vec_parked park[4];                                                                                    \
		vec c0 = s[8], c1 = s[9], c2, c3;                                                                      \
		park[2] = s[10], park[3] = s[11];                                                                      \
		for (int round = 0; round < 10; round++) {                                                             \
			QUARTERS(s[0], s[4], c0, s[12], s[1], s[5], c1, s[13]);                                        \
			park[0] = c0, park[1] = c1, c2 = park[2], c3 = park[3];                                        \
			beside;                                                                                        \
			QUARTERS(s[2], s[6], c2, s[14], s[3], s[7], c3, s[15]);                                        \
			beside;                                                                                        \
			QUARTERS(s[0], s[5], c2, s[15], s[1], s[6], c3, s[12]);                                        \
			park[2] = c2, park[3] = c3, c0 = park[0], c1 = park[1];                                        \
			beside;                                                                                        \
			QUARTERS(s[2], s[7], c0, s[13], s[3], s[4], c1, s[14]);                                        \
			beside;                                                                                        \
		}                                                                                                      \
		s[8] = c0, s[9] = c1, s[10] = park[2], s[11] = park[3];                                                \
	} while (0)

/* row: LANES x 64 bytes of key stream, one lane's after the other's. */
static inline void
chacha_finish(uint8_t *row, vec s[16], const vec start[16])
{
	for (int i = 0; i < 16; i++)
		s[i] = vec_add32(s[i], start[i]);
	vec_rows(row, s);
}
