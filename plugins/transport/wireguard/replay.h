/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The replay window (RFC 6479): a ring of 128 words. A counter may be up to 8,128 behind the greatest seen. Written by
 * the peer's owner worker only, after authentication.
 *
 *   counter against `next` (greatest seen + 1)     verdict
 *   1  >= next                                      new: words skipped over are cleared, bit set
 *   2  next - 8129 <= counter < next, bit clear     late: bit set
 *   3  next - 8129 <= counter < next, bit set       replayed
 *   4  counter < next - 8129                        too old
 *   5  counter >= REJECT_AFTER_MESSAGES             never valid
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define REPLAY_WORDS 128u
#define REPLAY_WINDOW ((REPLAY_WORDS - 1) * 64u)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - REPLAY_WINDOW - 1)

struct replay {
	uint64_t newest; /* the word of the greatest counter seen: kept beside it, so that most packets touch nothing else */
	uint64_t next;   /* greatest counter seen + 1; 0: none yet */
	uint64_t bits[REPLAY_WORDS]; /* of words before that one */
};

/* The window moves on to a later word: the one before joins the ring, those skipped over are empty. */
static inline void
replay_advance(struct replay *r, uint64_t from, uint64_t to)
{
	const uint64_t skipped = to - from - 1 < REPLAY_WORDS ? to - from - 1 : REPLAY_WORDS;

	r->bits[from % REPLAY_WORDS] = r->newest;
	for (uint64_t i = 1; i <= skipped; i++)
		r->bits[(from + i) % REPLAY_WORDS] = 0;
	r->newest = 0;
}

/* True: not seen before; from now on it is. */
static inline bool
replay_accept(struct replay *r, uint64_t counter)
{
	if (counter >= REJECT_AFTER_MESSAGES || counter + REPLAY_WINDOW + 1 < r->next)
		return false;
	if (counter == r->next && counter % 64) { /* row 1, within the newest word */
		r->newest |= 1ull << counter % 64;
		r->next = counter + 1;
		return true;
	}
	const uint64_t at = counter / 64, top = r->next ? (r->next - 1) / 64 : 0, bit = 1ull << counter % 64;
	if (at > top)
		replay_advance(r, top, at);
	uint64_t *word = at < top ? &r->bits[at % REPLAY_WORDS] : &r->newest;
	if (*word & bit)
		return false;
	*word |= bit;
	if (counter >= r->next)
		r->next = counter + 1;
	return true;
}
