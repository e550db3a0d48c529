/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Paths to a peer by peer relays. Those of our peers that may relay are asked for one, by DERP; the peer is told of what they
 * give; both bind to it and ping each other through it. All: the peer's owner, unless said otherwise.
 */
#pragma once

#include "punch.h"
#include "relay_message.h"

#define VIAS 4                      /* paths of one peer, and requests that are out for it */
#define RELAYS 8                    /* peers that may relay: more are not asked */
#define VIA_GAP (30 * SECOND)       /* between two rounds of requests */
#define VIA_BETTER (60 * SECOND)    /* the same, while a relay's path is trusted */
#define VIA_ASK_AGAIN (3 * SECOND)  /* a request that was not answered, once */
#define VIA_ASK_END (10 * SECOND)
#define VIA_HANDSHAKE (30 * SECOND) /* from a relay's answer to the peer's first pong */
#define VIA_LOST (60 * SECOND)      /* without an answer: forgotten */

enum via_state { VIA_FREE, VIA_KEY, VIA_BINDING, VIA_BOUND };

struct via_ask {
	uint32_t relay, generation; /* relay: a peer's id; 0: free */
	uint64_t at;
	bool again;
};

struct via {
	uint8_t state; /* enum via_state */
	bool told;     /* the core knows it */
	uint8_t tries;
	uint8_t rtt;   /* of pings, slow_of() */
	uint32_t bind; /* generation of the handshake */
	uint64_t begun, next; /* of the handshake; its next step, 0: none */
	uint64_t pinged, answered;
	uint8_t shared[DISCO_KEY]; /* with the relay */
	struct disco_relay path;
	struct tr_endpoint at; /* once bound: kind relay */
	struct attempt attempt[2];
};

/* A block per peer. */
struct vias {
	uint64_t asked; /* when relays were asked last; 0: never */
	struct bucket messages; /* of the peer, about relays */
	struct via_ask ask[VIAS];
	struct via via[VIAS];
};

/* The same, and the relay's id, for whoever asks by which peer a path leads: written by the owner, read by control. The path's number
 * plus one above the id; 0: none. */
struct via_names {
	_Atomic uint64_t relay[VIAS];
};

#define HANDSHAKES 1024
#define HANDSHAKE_WAYS 8

/* One block, written by all owners: who may relay, and whose handshake a relay's challenge belongs to. Hints: a challenge is
 * looked at again by the owner. */
struct relays {
	_Atomic uint32_t peer[RELAYS];
	_Atomic uint64_t handshake[HANDSHAKES]; /* the peer's id, and above it a hash of relay and path */
};

uint32_t via_handshake_of(const struct punch *punch, const uint8_t server[DISCO_KEY], uint32_t vni); /* any worker; TR_NO_PEER */

void via_peer(struct tr_node *node, enum tr_peer_event event, uint32_t id); /* may it relay? */
void via_consider(struct tr_node *node, uint32_t id, struct peer *p); /* no direct path is trusted: asks, tries */
void via_tick(struct tr_node *node, uint32_t id, struct peer *p);
uint64_t via_next(const struct punch *punch, uint32_t id, uint64_t next, uint64_t now); /* when to tick: not after `next` (0: never) */
void via_wanted(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_path *in_use); /* something was sent over it */
void via_beat(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_path *in_use);
void via_forget(struct tr_node *node, uint32_t id);
bool via_pong(struct tr_node *node, uint32_t id, const uint8_t txid[DISCO_TXID]); /* false: not to a ping of ours */
void via_pinged(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_endpoint *from);
/* A path that the peer tells of (relay: TR_NO_PEER), or that a relay has given us. False: it can't be used. */
bool via_take(struct tr_node *node, uint32_t id, struct peer *p, const struct disco_relay *path, uint32_t relay);
uint32_t via_named(const struct punch *punch, uint32_t id, const struct via *via); /* which peer relays; TR_NO_PEER: none of ours */
uint32_t via_relay(const struct punch *punch, uint32_t id, uint32_t vni); /* control: which peer relays; TR_NO_PEER: not known */
uint16_t via_allocated(struct tr_node *node, struct rte_mbuf *m); /* a relay's answer, opened, at its owner: where it goes */
tr_process via_allocations, via_challenges;
