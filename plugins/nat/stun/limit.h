/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests per second and source (IPv4 /32, IPv6 /64), in memory that doesn't grow: a table of 8,192 sources per worker,
 * four to a cache line. A source that finds no free slot takes that of the one which has asked least lately, so a flood of
 * forged sources can make the limit forget, never the server run out. Placement is keyed: nobody can aim at a slot.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <tailrace/packet.h>

#define LIMIT_SETS 2048
#define LIMIT_WAYS 4
#define LIMIT_BURST_NS 1000000000ull /* a source that was silent may use a second's worth at once */

/* A slot is idle when `paid` lies in the past, hence also when zeroed. */
struct limit_slot {
	uint64_t source; /* keyed hash */
	uint64_t paid;   /* ns: the time up to which its requests are paid for */
};

struct limit {
	struct limit_slot set[LIMIT_SETS][LIMIT_WAYS];
	uint64_t secret[2];
};

static inline uint64_t
limit_source(const struct limit *l, const struct tr_endpoint *from)
{
	uint64_t address = 0;
	memcpy(&address, from->remote, from->family == 4 ? 4 : 8);
	unsigned __int128 product = (unsigned __int128)(address ^ l->secret[0]) * (l->secret[1] + from->family);
	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* May this source be answered now, when each answer costs `interval` ns? */
static inline bool
limit_pass(struct limit *l, uint64_t source, uint64_t now, uint64_t interval)
{
	struct limit_slot *set = l->set[source % LIMIT_SETS], *slot = set;
	for (int i = 0; i < LIMIT_WAYS; i++) {
		if (set[i].source == source) {
			slot = &set[i];
			break;
		}
		if (set[i].paid < slot->paid)
			slot = &set[i];
	}
	uint64_t paid = slot->source == source && slot->paid > now ? slot->paid : now;
	if (paid + interval > now + LIMIT_BURST_NS)
		return false;
	*slot = (struct limit_slot){source, paid + interval};
	return true;
}
