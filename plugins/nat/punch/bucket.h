/* SPDX-License-Identifier: BSD-3-Clause */
/* Tokens that come back with time. */
#pragma once

#include <tailrace/types.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

/* Zeroed: full. */
struct bucket {
	uint64_t paid; /* ns: up to when what was let pass is paid for */
};

/* May something pass that costs `cost` ns, when `most` ns may be saved up? */
static inline bool
bucket_pay(struct bucket *b, uint64_t now, uint64_t cost, uint64_t most)
{
	const uint64_t paid = b->paid > now ? b->paid : now;
	if (paid + cost > now + most)
		return false;
	b->paid = paid + cost;
	return true;
}

/* May one more pass, when each costs `interval` and `burst` of them may come at once? */
static inline bool
bucket_pass(struct bucket *b, uint64_t now, uint64_t interval, unsigned burst)
{
	return bucket_pay(b, now, interval, burst * interval);
}
