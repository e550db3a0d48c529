/* SPDX-License-Identifier: BSD-3-Clause */
/* What the engines that put blocks of many packets into lanes have in common. Needs a lanes_*.h before it. */
#pragma once

#include "aead_engines.h"
#include "chacha_lanes.h"
#include "poly1305.h"

#include <sodium.h>
#include <stdlib.h>

/* ChaCha20's way through the burst: 64-byte blocks in order; block 0 makes the packet's one-time key. */
struct cursor {
	uint32_t packet, block;
};

/* Of 64 bytes, without the one for the key. */
static inline uint32_t
blocks_of(const struct tr_aead *p)
{
	return (p->len + 63) / 64;
}

/* One more lane: this block of p[packet]. Its data is needed when the vector after this one is made, or soon after. */
static inline void
lanes_add(struct lanes *l, const struct tr_aead *p, uint32_t packet, uint32_t block)
{
	const struct tr_aead *a = &p[packet];
	unsigned lane = l->n++;

	l->key[lane] = a->key;
	l->block[lane] = block;
	l->nonce[0][lane] = (uint32_t)a->counter;
	l->nonce[1][lane] = (uint32_t)(a->counter >> 32);
	l->packet[lane] = (uint16_t)packet;
	__builtin_prefetch(a->data + 64 * (size_t)block, 1);
}

/* Gives the lanes that are left a key to read. */
static inline void
lanes_end(struct lanes *l)
{
	static const uint8_t no_key[32];

	for (unsigned lane = l->n; lane < LANES; lane++)
		l->key[lane] = no_key;
}

static void
cursor_fill(struct cursor *c, struct lanes *l, const struct tr_aead *p, uint32_t n)
{
	l->n = 0;
	while (l->n < LANES && c->packet < n) {
		lanes_add(l, p, c->packet, c->block);
		if (c->block++ == blocks_of(&p[c->packet]))
			c->packet++, c->block = 0;
	}
	lanes_end(l);
}

/* Key stream over block `block` (from 1) of the packet. The tag's place is written to, and restored. */
static inline void
apply_row(const struct tr_aead *p, uint32_t block, const uint8_t *row)
{
	uint32_t left = p->len - 64 * (block - 1);
	uint8_t *data = p->data + 64 * (size_t)(block - 1);

	if (__builtin_expect(left >= 64, 1)) {
		row_xor(data, row);
		return;
	}
	__m128i tag = _mm_loadu_si128((const __m128i *)(data + left));
	for (uint32_t i = 0; i < left; i += 16) {
		__m128i *at = (__m128i *)(data + i);
		_mm_storeu_si128(at, _mm_xor_si128(_mm_loadu_si128(at), _mm_load_si128((const __m128i *)(row + i))));
	}
	_mm_storeu_si128((__m128i *)(data + left), tag);
}

/* Constant time; tag: as poly1305_tag() gives it. */
static inline bool
tag_equal(const struct tr_aead *p, const uint64_t tag[2])
{
	uint64_t sent[2];

	memcpy(sent, p->data + p->len, TR_AEAD_TAG);
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: half a tag is enough */
	sent[1] = tag[1];
#endif
	return ((tag[0] ^ sent[0]) | (tag[1] ^ sent[1])) == 0;
}
