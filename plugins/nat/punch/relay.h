/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The peer relay: what its files share. Two clients bind to a path (VNI), and what one sends goes to the other. A path
 * belongs to the peer of ours with the lower of the two disco keys, in whose block it lies; the VNI says which peer that is, so
 * that any worker knows to whose owner a datagram goes. All state of a path is that owner's alone.
 */
#pragma once

#include "bucket.h"
#include "geneve.h"
#include "relay_message.h"

#include <stdatomic.h>
#include <tailrace/host.h>

#define RELAY_PATHS 16 /* of one owner; a VNI is its id and the number of the path */
#define RELAY_BIND (30 * SECOND)
#define RELAY_IDLE (300 * SECOND)
#define RELAY_BINDS 10 /* handshake messages of one client that are opened, per second and at once */
#define RELAY_EPOCH (120 * SECOND) /* a challenge is good for this and the next */

enum { RELAY_IN, RELAY_REQUESTS, RELAY_PATH, RELAY_PAIR };
enum { RELAY_OUT, RELAY_ANSWERS, RELAY_OUT_PATH, RELAY_OUT_PAIR };

enum relay_drop {
	RELAY_NOT_GENEVE,
	RELAY_UNKNOWN_VNI,
	RELAY_UNKNOWN_SOURCE,
	RELAY_NOT_BOUND,
	RELAY_RATE,
	RELAY_UNKNOWN_SENDER,
	RELAY_FORGED,
	RELAY_WRONG,
	RELAY_REPLAYED,
	RELAY_BINDS_RATE,
	RELAY_BAD_REQUEST,
	RELAY_NOT_ALLOWED,
	RELAY_FULL,
	RELAY_BUSY,
	RELAY_NO_ADDRESS,
	RELAY_GONE,
	RELAY_CONSUMED,
};

enum relay_count {
	RELAY_PACKETS,
	RELAY_BYTES,
	RELAY_ALLOCATED,
	RELAY_ASKED_AGAIN,
	RELAY_CHALLENGES,
	RELAY_BOUND,
	RELAY_MOVED,
	RELAY_EXPIRED,
};

struct relay_client {
	uint8_t key[DISCO_KEY], shared[DISCO_KEY];
	struct tr_endpoint at; /* where it is bound; family 0: not yet */
	uint32_t generation;   /* of the handshake that bound it */
	uint32_t peer;
	uint64_t heard;
	struct bucket binds, bytes;
};

struct relay_path {
	uint32_t vni; /* 0: free */
	bool ready;   /* its keys are made */
	uint64_t id, made;
	uint8_t challenge[32]; /* key of the challenges */
	struct relay_client client[2]; /* the lower key first */
};

/* A block per peer of ours. */
struct relay_owner {
	struct tr_timer timer;
	uint8_t public_key[DISCO_KEY]; /* whose state this is */
	uint32_t computing;
	struct relay_path path[RELAY_PATHS];
};

/* One block: the server's key, so that it stays when the instance is made anew. */
struct relay_self {
	uint8_t secret[DISCO_KEY], key[DISCO_KEY];
	uint32_t made;
	_Atomic uint32_t paths; /* in use */
	_Atomic uint64_t id;    /* given last */
};

struct relay {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct tr_blocks *owners;
	struct relay_self *self;
	_Atomic uint16_t listen;
	_Atomic uint32_t max_paths;
	_Atomic uint64_t rate; /* bytes per second of one client; 0: any */
	uint16_t n_addresses;  /* configured; live as long as the instance */
	struct tr_sockaddr address[DISCO_RELAY_ADDRESSES];
};

static inline struct relay_owner *
relay_owner(const struct relay *r, uint32_t peer)
{
	return tr_block(r->owners, peer);
}

static inline uint32_t
relay_vni_peer(uint32_t vni)
{
	return vni / RELAY_PATHS;
}

/* ---- relay_allocate.c: requests, and how long a path lives ---- */
tr_process relay_requests, relay_pairs;
/* The path of that number; NULL: none, or not ready. Its owner's worker. */
struct relay_path *relay_find(struct tr_node *node, uint32_t vni);
void relay_tick(struct tr_node *node, struct tr_timer *timer);
void relay_forget(struct tr_node *node, uint32_t peer); /* all paths of that owner */

/* ---- relay_forward.c: datagrams ---- */
tr_process relay_receive, relay_forward;

/* ---- relay_bind.c: the handshake. What becomes of the packet, which is turned into the answer. ---- */
uint16_t relay_handshake(struct tr_node *node, struct relay_path *path, struct rte_mbuf *m);
