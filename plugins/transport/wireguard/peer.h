/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the plugin keeps about a peer, in state blocks of the core, so that a session outlives reloads and new builds.
 * All of it is written by the peer's owner worker alone; what other threads read is marked [read by …] and accessed with
 * __atomic. Zeroed memory is a valid idle peer, and a peer that never had a session touches none of it.
 *
 *   "hot"     128 bytes   what a data packet touches: a line to seal, a line of accounting and deadlines
 *   "pairs"   3 x 1,088   keys and replay windows to receive with
 *   "peer"    cold        handshake, cookie, timer, staged packets
 */
#pragma once

#include "cookie.h"
#include "replay.h"

#include <tailrace/host.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

#define REKEY_AFTER_MESSAGES (1ull << 60)
#define REKEY_AFTER_TIME (120 * SECOND)
#define REJECT_AFTER_TIME (180 * SECOND)
#define REKEY_TIMEOUT (5 * SECOND)
#define KEEPALIVE_TIMEOUT (10 * SECOND)
#define ERASE_AFTER_TIME (3 * REJECT_AFTER_TIME)
#define MAX_RETRIES 18     /* and the first two: 20 initiations in all */
#define INITIATION_GAP (20 * MILLISECOND)
#define STAGED_PER_PEER 128
#define STAGED_PER_WORKER 4096

/* Sealing with the current session. */
struct sending {
	uint8_t key[32];
	uint64_t counter;   /* the next to be used */
	uint64_t rekey_at;  /* ns; UINT64_MAX: the other end's duty */
	uint64_t reject_at; /* ns; 0: there is no session. [read by control] */
	uint32_t remote;    /* receiver index at the other end */
	uint32_t pad;
};
_Static_assert(sizeof(struct sending) == 64, "one cache line");

enum { SLOTS = 3, SLOT_NONE = 0 }; /* slots are numbered from 1 */

struct traffic {
	uint64_t rx_bytes, tx_bytes; /* WireGuard messages, without IP and UDP. [read by control] */
	uint64_t keepalive_due;      /* ns; 0: not pending. Data came in, nothing went out since */
	uint64_t handshake_due;      /* ns; 0: not pending. Data went out, nothing came in since */
	uint64_t last;               /* ns of the last authenticated packet, either way */
	uint64_t wake;               /* ns that the timer is armed for; 0: not armed */
	uint32_t index[SLOTS];       /* our receiver index of each slot; 0: empty */
	uint8_t current, next, previous; /* slots */
	uint8_t another_keepalive;   /* data came in while keepalive_due was pending */
};
_Static_assert(sizeof(struct traffic) == 64, "one cache line");

struct hot {
	struct sending send;
	struct traffic t;
};

/* Opening with one session; the newest word of the window shares the key's line. */
struct pair {
	uint8_t key[32];
	uint64_t reject_at;      /* ns */
	uint64_t last_minute_at; /* ns; UINT64_MAX: done, or not the initiator */
	struct replay replay;
};
_Static_assert(offsetof(struct pair, replay.bits) == 64, "key, greatest counter and its word share a line");

struct pairs {
	struct pair slot[SLOTS];
};

enum handshake_state { HANDSHAKE_NONE, HANDSHAKE_CREATING, HANDSHAKE_SENT };

struct peer {
	struct tr_timer timer;
	uint64_t retransmit_due, start_due, erase_due; /* ns; 0: not pending */
	uint64_t handshake_sent; /* ns of our last handshake message of either kind; 0: never */
	uint64_t initiated;      /* ns of the last initiation taken in; 0: never */
	uint64_t stamp_seen;     /* greatest timestamp, packed. [read by jobs, as a hint] */
	uint8_t stamp[NOISE_STAMP]; /* greatest timestamp, exactly */
	uint8_t stamp_sent[NOISE_STAMP];
	uint16_t keepalive; /* seconds; 0: off */
	uint8_t retries;
	uint8_t state; /* enum handshake_state. [read by control] */
	uint32_t active_next, active_prev; /* list of peers that hold anything; ids, 0: end */
	bool active;
	bool finishing; /* a job looks at an answer to our initiation */

	/* Packets that wait for a session, oldest first, linked through their metadata. */
	uint32_t staged_n;
	struct rte_mbuf *staged_first, *staged_last;

	/* Our initiation on its way. */
	uint32_t index, epoch;
	uint64_t serial;
	struct noise_handshake handshake;
	struct cookie_held cookie;

	/* To seal with once the initiator has confirmed slot `next`. */
	uint8_t next_key[32];
	uint32_t next_remote;
};

/* One per worker, in a block of the instance. Its owner alone uses it. */
struct worker {
	uint64_t load_until; /* ns: handshakes need a cookie until then */
	uint64_t serial;     /* of the jobs that it gave out */
	uint64_t noise;      /* state of the jitter's generator; 0: not seeded */
	uint32_t active;     /* first of the list; 0: empty */
	uint32_t staged;     /* packets, all peers */
	struct cookie_issuer cookies;
	struct limiter limiter;
} __attribute__((aligned(64)));

struct wg;

/* ---- Keys ---- */

/* The slot whose receiver index this is, or SLOT_NONE. */
static inline unsigned
pair_slot(const struct traffic *t, uint32_t index)
{
	return t->index[0] == index ? 1 : t->index[1] == index ? 2 : t->index[2] == index ? 3 : SLOT_NONE;
}

/* A session begins, as initiator: at once current. As responder: next, until confirmed. Both take over `index`. */
void peer_begin_initiator(struct tr_node *node, uint32_t id, const struct noise_keys *keys, uint32_t index, uint32_t remote);
void peer_begin_responder(struct tr_node *node, uint32_t id, const struct noise_keys *keys, uint32_t index, uint32_t remote);
/* The first packet under `next` has come: it becomes current. */
void peer_confirm(struct tr_node *node, uint32_t id);
void peer_clear_handshake(struct tr_node *node, uint32_t id);
/* All keys, the handshake, the cookie. */
void peer_erase(struct tr_node *node, uint32_t id);

/* ---- Staged packets ---- */

/* Keeps a packet for the session to come: TR_HELD, after dropping the oldest when there are too many, or a drop. */
uint16_t peer_stage(struct tr_node *node, uint32_t id, struct rte_mbuf *m);
uint16_t peer_unstage(struct tr_node *node, uint32_t id, struct rte_mbuf **out, uint16_t max);
void peer_drop_staged(struct tr_node *node, uint32_t id, uint16_t reason);

/* ---- The list of peers that hold anything ---- */
void peer_activate(struct tr_node *node, uint32_t id);
void peer_deactivate(struct tr_node *node, uint32_t id);
