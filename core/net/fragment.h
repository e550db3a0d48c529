/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Fragments. Packets larger than a link are split (IPv4 by whoever forwards, IPv6 by whoever made them); fragments for
 * this box are gathered, a bounded number of datagrams on each worker. Worker threads; no locks, no state shared.
 */
#pragma once

#include "net/ip.h"

#include <tailrace/host.h>

/*
 * Splits *m, larger than mtu, into fragments that all leave by `gate`, in order: all but the last are emitted here, the last
 * stands in *m then, still to be given a verdict. id: of the datagram, for IPv6 (IPv4 has its own). false: not possible
 * (no packets left, nothing fits), what was begun is dropped under the reason, and *m is as it was.
 */
bool fragment_split(struct tr_node *node, uint16_t gate, struct rte_mbuf **m, uint16_t mtu, uint32_t id, uint16_t reason);

#define GATHER_SLOTS 64 /* datagrams at once on a worker; the oldest makes room for a new one */
#define GATHER_UNITS 256 /* of 8 bytes: bound of a datagram, beside the room of a packet buffer */
#define GATHER_HEADER 60
#define GATHER_NS4 (30 * UINT64_C(1000000000))
#define GATHER_NS6 (60 * UINT64_C(1000000000)) /* RFC 8200 §4.5 */

struct gather_key {
	uint8_t addr[32]; /* source, destination */
	uint32_t id;
	uint16_t version, l4; /* l4 of IPv4 only */
};

struct gather_slot {
	struct rte_mbuf *m; /* GATHER_HEADER bytes free, then payload; held. NULL: free */
	struct gather_key key;
	uint64_t until;
	uint64_t have[GATHER_UNITS / 64]; /* units of payload that are there */
	uint16_t end;                     /* length of the payload, when the last part was seen; else 0 */
	uint16_t most;                    /* payload reaches to here, as far as seen */
	uint8_t header_len;               /* 0: first part not seen */
	bool refused;                     /* parts overlapped: the rest is refused as well (RFC 5722) */
	uint8_t header[GATHER_HEADER];    /* of the first part, fragment header included */
};

struct gather {
	uint64_t next; /* ns when something may expire; UINT64_MAX: nothing waits */
	struct gather_slot slot[GATHER_SLOTS];
};

enum gather_fate {
	GATHER_KEPT,    /* copied: the datagram is not whole yet, or was already there */
	GATHER_BAD,     /* not a fragment that can be */
	GATHER_OVERLAP, /* parts overlap: all of the datagram is refused */
	GATHER_ROOM,    /* too large for a packet buffer, or none left */
	GATHER_WHOLE,   /* copied, and *whole is the datagram, held */
};

/* Drop reasons of a class that gathers: of the fragment itself by its fate (WHOLE as KEPT), and of what is given up. */
#define GATHER_LOST GATHER_WHOLE
#define GATHER_REASONS (GATHER_LOST + 1)
#define GATHER_REASON_TEXTS                                                                                            \
	{"fragment", "part of a datagram for this box, taken in"},                                                     \
		{"fragment_bad", "fragment whose length or place is impossible"},                                      \
		{"fragment_overlap", "fragments that overlap, and what follows of their datagram"},                    \
		{"fragment_room", "fragment of a datagram larger than a packet buffer"},                               \
		{"fragment_lost", "datagram whose other fragments did not come in time, or were too many"}

void gather_init(struct gather *g);
/* A fragment, checked; it stays the caller's, to be dropped. at: of a GATHER_BAD one, the byte at fault; 0: not to be told. */
enum gather_fate gather_add(struct tr_node *node, struct gather *g, const struct rte_mbuf *m, const struct ip_view *v,
	uint16_t reason, struct rte_mbuf **whole, uint32_t *at);
/* Gives up what has waited too long, under the drop reason. tell(): with the first part, where it was seen. */
void gather_expire(struct tr_node *node, struct gather *g, uint64_t now, uint16_t reason,
	void (*tell)(void *arg, const struct rte_mbuf *first), void *arg);
/* Gives up everything, silently. */
void gather_clear(struct tr_node *node, struct gather *g, uint16_t reason);
