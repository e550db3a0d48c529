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

/* A lane gets this block of p[packet]. Its data is needed when the vector after this one is made, or soon after. */
static inline void
lanes_set(struct lanes *l, unsigned lane, const struct tr_aead *p, uint32_t packet, uint32_t block)
{
	const struct tr_aead *a = &p[packet];

	l->key[lane] = a->key;
	l->block[lane] = block;
	l->nonce[0][lane] = (uint32_t)a->counter;
	l->nonce[1][lane] = (uint32_t)(a->counter >> 32);
	l->packet[lane] = (uint16_t)packet;
	__builtin_prefetch(a->data + 64 * (size_t)block, 1);
}

static inline void
lanes_add(struct lanes *l, const struct tr_aead *p, uint32_t packet, uint32_t block)
{
	lanes_set(l, l->n++, p, packet, block);
}

/* Gives the lanes that are left a key to read. */
static inline void
lanes_end(struct lanes *l)
{
	static const uint8_t no_key[32];

	for (unsigned lane = l->n; lane < LANES; lane++)
		l->key[lane] = no_key;
}

/* The cursor and the number of lanes are kept out of memory, where the compiler can't tell them from what is written. */
static void
cursor_fill(struct cursor *c, struct lanes *l, const struct tr_aead *p, uint32_t n)
{
	struct cursor at = *c;
	unsigned lane = 0;

	while (lane < LANES && at.packet < n) {
		const uint32_t last = blocks_of(&p[at.packet]);
		for (; lane < LANES && at.block <= last; at.block++)
			lanes_set(l, lane++, p, at.packet, at.block);
		if (at.block > last)
			at = (struct cursor){at.packet + 1, 0};
	}
	l->n = lane;
	*c = at;
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
