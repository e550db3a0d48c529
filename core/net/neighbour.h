/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The neighbours of an interface: IP address -> link-layer address, shared by all workers. It lies in a state block, so
 * that a recreated interface keeps what it learned.
 *
 * Every worker reads and writes without locks. What matters for reading, state and MAC, is one atomic word; a key is
 * written once, before its entry becomes visible, and never changes until the entry was dead for a grace period. So a
 * worker that saw an entry live may trust its key until its next quiescent state: never another neighbour's MAC.
 */
#pragma once

#include <rte_ether.h>
#include <stdatomic.h>
#include <tailrace/host.h>

#define NEIGHBOURS 8192     /* bound of the table */
#define NEIGHBOUR_PROBE 16  /* entries that a key may lie in */
#define NEIGHBOUR_LAYOUT 1

enum {
	NEIGHBOUR_RETRY_NS = 1000000000,         /* between solicitations: RFC 4861 RETRANS_TIMER */
	NEIGHBOUR_TRIES = 3,                     /* MAX_MULTICAST_SOLICIT, MAX_UNICAST_SOLICIT */
};
#define NEIGHBOUR_REACHABLE_NS (30 * UINT64_C(1000000000)) /* REACHABLE_TIME */
#define NEIGHBOUR_STATIC (UINT64_C(1) << 62) /* `confirmed` of a configured one: never old, never overwritten */
#define NEIGHBOUR_EXPIRE_NS (600 * UINT64_C(1000000000))   /* unused for this long: forgotten */

enum neighbour_state { NEIGHBOUR_FREE, NEIGHBOUR_CLAIMED, NEIGHBOUR_INCOMPLETE, NEIGHBOUR_RESOLVED, NEIGHBOUR_DEAD };

struct neighbour {
	_Atomic uint64_t link;      /* MAC in the low 48 bits, state above; any worker */
	_Atomic uint64_t confirmed; /* ns when last heard; when claimed, for an incomplete one */
	_Atomic uint64_t probed;    /* ns of the last solicitation */
	_Atomic uint32_t probes;    /* solicitations since last heard */
	uint32_t link_id;           /* part of the key: port and VLAN */
	struct tr_addr addr;        /* key */
};

struct neighbours {
	uint64_t seed; /* control thread, once; 0: not yet */
	struct neighbour entry[NEIGHBOURS];
};

static inline enum neighbour_state
neighbour_state(uint64_t link)
{
	return (enum neighbour_state)(link >> 48);
}

static inline uint64_t
neighbour_link(const uint8_t mac[6], enum neighbour_state s)
{
	uint64_t v = 0;
	memcpy(&v, mac, 6);
	return v | (uint64_t)s << 48;
}

/* The live entry, or NULL. */
struct neighbour *neighbour_find(struct neighbours *t, uint32_t link_id, const struct tr_addr *a);
/* The live entry, or a new incomplete one; NULL: full. */
struct neighbour *neighbour_get(struct neighbours *t, uint32_t link_id, const struct tr_addr *a, uint64_t now);
/* Heard from: its MAC, reachable from now on. */
void neighbour_learn(struct neighbour *e, const uint8_t mac[6], uint64_t now);
/* A neighbour advertisement (RFC 4861 §7.2.5): what it may change. mac NULL: it says none. */
void neighbour_advertised(struct neighbour *e, const uint8_t *mac, bool solicited, bool override, uint64_t now);
/* Heard of, not from: usable, but to be asked when used (STALE). */
void neighbour_hint(struct neighbour *e, const uint8_t mac[6], uint64_t now);
/* Configured. */
void neighbour_fix(struct neighbour *e, const uint8_t mac[6]);
/* Is it time to solicit? true: the caller must send one (this worker won). */
bool neighbour_probe(struct neighbour *e, uint64_t now);
/* Was solicited in vain? */
bool neighbour_failed(struct neighbour *e, uint64_t now);
/* Takes the entry out of use; it can be reused after a grace period. */
void neighbour_kill(struct neighbour *e, const struct tr_host *host, struct tr_instance *instance);
/* Kills what failed or was not heard from for long: entries from..from+n-1. */
void neighbour_sweep(struct neighbours *t, unsigned from, unsigned n, uint64_t now, const struct tr_host *host,
		     struct tr_instance *instance);
