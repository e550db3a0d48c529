/* SPDX-License-Identifier: BSD-3-Clause */
#include "digest.h"

#include <string.h>

#define LONGEST 9000
#define SWEPT 2049 /* lengths */
#define BURST 64
#define ROUNDS 200
#define PRIME 0x100000001b3 /* of FNV-1a, which takes a byte at a time */

static uint32_t
next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005 + 1442695040888963407;
	return (uint32_t)(*seed >> 33);
}

/* Eight bytes at a time: an emulated CPU has other things to do. */
static void
fill(uint8_t *to, uint32_t n, uint64_t *seed)
{
	for (; n >= 8; to += 8, n -= 8) {
		next(seed);
		memcpy(to, seed, 8);
	}
	next(seed);
	memcpy(to, seed, n);
}

static void
add(uint64_t *hash, const uint8_t *data, uint32_t n)
{
	uint64_t word = 0;
	for (; n >= 8; data += 8, n -= 8) {
		memcpy(&word, data, 8);
		*hash = (*hash ^ word) * PRIME;
	}
	memcpy(&word, data, n);
	*hash = (*hash ^ word ^ n) * PRIME;
	*hash ^= *hash >> 32;
}

/* A bit of the tag or, if there is any, of the data. */
static void
forge(const struct tr_aead *p, uint64_t *seed)
{
	const uint32_t at = next(seed) % (p->len + 16);
	p->data[at] ^= (uint8_t)(1u << next(seed) % 8);
}

static void
use_burst(const struct aead_engine *e, void *worker, struct tr_aead *p, uint16_t n, uint64_t *seed, uint64_t *hash)
{
	e->seal(worker, p, n);
	for (uint16_t i = 0; i < n; i++)
		add(hash, p[i].data, p[i].len + 16);
	for (uint16_t i = 0; i < n; i++)
		if (next(seed) % 5 == 0)
			forge(&p[i], seed);
	e->open(worker, p, n);
	for (uint16_t i = 0; i < n; i++) {
		add(hash, &(const uint8_t){p[i].ok == 1}, 1);
		if (p[i].ok == 1)
			add(hash, p[i].data, p[i].len);
	}
}

void
digest_engine(const struct aead_engine *e, void *worker, uint64_t out[DIGESTS])
{
	static uint8_t memory[BURST][LONGEST + 16 + 64], key[BURST][32];
	struct tr_aead p[BURST];
	uint64_t seed = 1;
	uint32_t length = 0;

	for (unsigned i = 0; i < DIGESTS; i++)
		out[i] = 0xcbf29ce484222325;
	for (unsigned round = 0; round < ROUNDS; round++) {
		const uint16_t n = (uint16_t)(3 + next(&seed) % (BURST - 2));
		for (uint16_t i = 0; i < n; i++) {
			length = (length + 1031) % SWEPT; /* prime to it: a burst holds lengths from everywhere, and all come */
			p[i] = (struct tr_aead){.key = key[i], .counter = (uint64_t)next(&seed) * 0x9e3779b97f4a7c15,
				.data = memory[i] + next(&seed) % 64, .len = next(&seed) % 40 == 0 ? next(&seed) % (LONGEST + 1) : length};
			fill(key[i], 32, &seed);
			fill(p[i].data, p[i].len, &seed);
		}
		use_burst(e, worker, p, n, &seed, &out[round * DIGESTS / ROUNDS]);
	}
}
