/* SPDX-License-Identifier: BSD-3-Clause */
/* The instance, and what the files of this plugin call of each other. */
#pragma once

#include "peer.h"

enum in_gate { IN_CIPHER, IN_RELAY, IN_PLAIN, IN_OPEN, IN_OPENED, IN_HANDSHAKE, IN_SEAL, IN_SEALED };
enum out_gate { OUT_CIPHER, OUT_PLAIN, OUT_ICMP, OUT_OPEN, OUT_OPENED, OUT_HANDSHAKE, OUT_SEAL, OUT_SEALED };

enum drop {
	DROP_MALFORMED,
	DROP_NO_PRIVATE_KEY,
	DROP_BAD_MAC1,
	DROP_RATE_LIMITED,
	DROP_BUSY,
	DROP_UNKNOWN_INDEX,
	DROP_UNKNOWN_PEER,
	DROP_BAD_HANDSHAKE,
	DROP_STALE_TIMESTAMP,
	DROP_INITIATION_FLOOD,
	DROP_UNEXPECTED_RESPONSE,
	DROP_BAD_COOKIE,
	DROP_INDEXES_FULL,
	DROP_EXPIRED,
	DROP_FORGED,
	DROP_REPLAYED,
	DROP_BAD_ECN,
	DROP_BAD_INNER,
	DROP_WRONG_SOURCE,
	DROP_TAKEN_IN,
	DROP_KEEPALIVE,
	DROP_BAD_IP,
	DROP_NO_PEER,
	DROP_NO_ENDPOINT,
	DROP_STAGED_FULL,
	DROP_NO_ANSWER,
	DROP_NO_ROOM,
	DROP_PEER_GONE,
	DROP_TOO_BIG,
};

enum counter {
	COUNT_INITIATIONS_SENT,
	COUNT_INITIATIONS_TAKEN,
	COUNT_RESPONSES_SENT,
	COUNT_RESPONSES_TAKEN,
	COUNT_COOKIES_SENT,
	COUNT_COOKIES_TAKEN,
	COUNT_SESSIONS,
	COUNT_KEEPALIVES_SENT,
	COUNT_HANDSHAKES_GIVEN_UP,
	COUNT_JOBS_DEFERRED,
	COUNT_UNANSWERED,
};

struct wg_options {
	uint64_t listen, mtu, fwmark;
	struct tr_secret private_key;
};

/* Our static key and a number that tells it from those before. Immutable; replaced as a whole by control. */
struct identity {
	struct noise_identity noise;
	uint32_t epoch;
};

struct shared { /* a block of the instance, written by control: how many objects (generations) use its blocks */
	uint32_t users;
	uint32_t epoch;
	int uapi_fd; /* + 1: the listening socket of wireguard's UAPI, handed on from object to object; 0: none */
};

struct uapi;

struct wg {
	const struct tr_host *host;
	const struct tr_crypto *crypto;
	struct tr_instance *instance;

	/* Read by workers, each with one atomic load; written by control. */
	struct identity *identity; /* NULL: no private key */
	uint32_t mtu;
	uint16_t listen;

	const struct tr_blocks *hot, *pairs, *peers, *workers;
	struct shared *shared;

	/* Control thread only. */
	uint32_t fwmark;
	uint32_t expire_next; /* the next peer to be told of a new private key; 0: all are */
	struct tr_watch *expire_timer;
	struct uapi *uapi;
};

static inline struct hot *
hot_of(const struct wg *wg, uint32_t id)
{
	return tr_block(wg->hot, id);
}

static inline struct peer *
peer_of(const struct wg *wg, uint32_t id)
{
	return tr_block(wg->peers, id);
}

static inline struct pair *
pair_of(const struct wg *wg, uint32_t id, unsigned slot)
{
	return &((struct pairs *)tr_block(wg->pairs, id))->slot[slot - 1];
}

static inline struct worker *
worker_of(const struct tr_node *node)
{
	const struct wg *wg = node->self;
	return (struct worker *)tr_block(wg->workers, 0) + node->worker;
}

static inline const struct identity *
identity_of(const struct wg *wg)
{
	return __atomic_load_n(&wg->identity, __ATOMIC_ACQUIRE);
}

/* Messages over UDP leave from the port that peers know; other gates' endpoints are theirs to define. */
static inline void
set_source_port(uint16_t listen, struct tr_endpoint *e)
{
	if (e->gate == 0 && !(e->flags & TR_ENDPOINT_BOUND))
		e->local_port = listen;
}

static inline uint16_t
be16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof(v));
	return __builtin_bswap16(v);
}

/* Length of the IP packet at the start of `len` bytes; 0: there is none. */
static inline uint32_t
inner_length(const uint8_t *p, uint32_t len)
{
	uint32_t total = 0, least = 20;
	if (len >= 20 && p[0] >> 4 == 4) {
		total = be16(p + 2);
	} else if (len >= 40 && p[0] >> 4 == 6) {
		least = 40;
		total = 40u + be16(p + 4);
	}
	return total >= least && total <= len ? total : 0;
}

/* Counts what control reads while it changes. */
static inline void
add_bytes(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

/* ---- timers.c: deadlines are checked when the one timer of a peer fires; it may fire in vain, never late ---- */

/* There is a new deadline. */
static inline void
timers_wake(struct tr_node *node, uint32_t id, uint64_t due)
{
	const struct wg *wg = node->self;
	struct traffic *t = &hot_of(wg, id)->t;
	if (t->wake && t->wake <= due)
		return;
	t->wake = due;
	node->host->timer_arm(node, &peer_of(wg, id)->timer, due);
}

uint64_t timers_jitter(struct tr_node *node); /* 0..333 ms */
void timers_update(struct tr_node *node, uint32_t id);
/* Any authenticated message, with data or without. */
static inline void
timers_sent(struct traffic *t, uint64_t now)
{
	t->keepalive_due = 0;
	t->last = now;
}

static inline void
timers_received(struct traffic *t, uint64_t now)
{
	t->handshake_due = 0;
	t->last = now;
}
void timers_fire(struct tr_node *node, struct tr_timer *timer);
void timers_peer(struct tr_node *node, enum tr_peer_event event, uint32_t id);

/* ---- handshake.c ---- */

/* Asks for a new session, unless one is on its way, was asked for within 5 s, or can't be had. */
void handshake_start(struct tr_node *node, uint32_t id, bool retry);
/* Type 1 or 2 on the worker that received it: cheap checks first. The verdict. */
uint16_t handshake_arrived(struct tr_node *node, struct rte_mbuf *m, enum message_type type);
tr_process handshake_process; /* on the owner */

/* ---- send.c ---- */
tr_process plain_process, seal_process, sealed_process;
void send_keepalive(struct tr_node *node, uint32_t id);
/* Staged packets, if there is a session; else asks for one. */
void send_staged(struct tr_node *node, uint32_t id);
/* A handshake message of ours, already laid into the packet, to the peer's endpoint. False: none is known, m remains. */
bool send_message(struct tr_node *node, uint32_t id, struct rte_mbuf *m, bool forget_source);
/* Writes the metadata of a handshake message that goes where meta->endpoint says. */
void send_prepare(struct tr_node *node, struct rte_mbuf *m);

/* ---- receive.c ---- */
tr_process cipher_process, relay_process, open_process, opened_process;

/* ---- uapi.c: control thread ---- */
struct uapi *uapi_new(struct wg *wg); /* NULL after host->fail() */
void uapi_free(struct uapi *u);       /* the last user of the state blocks removes the socket */
