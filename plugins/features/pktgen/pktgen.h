/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The test peer: many WireGuard identities in one instance, a sender that follows the clock, and a receiver that keeps
 * books. All of it is worker 0's; packets that arrive on other workers are passed to it. Control reads atomics, and
 * asks for a run by writing one.
 */
#pragma once

#include "handshake.h"
#include "meter.h"
#include "probe.h"

#include <tailrace/host.h>

enum in_gate { IN_CIPHER, IN_PLAIN, IN_OWN_CIPHER, IN_OWN_PLAIN };
enum out_gate { OUT_CIPHER, OUT_PLAIN, OUT_OWN_CIPHER, OUT_OWN_PLAIN };
enum drop { DROP_RECEIVED, DROP_MALFORMED, DROP_UNKNOWN, DROP_FORGED, DROP_REPLAY, DROP_BUSY, DROP_NO_ROOM };
enum counter { INITIATIONS, RESPONSES, COOKIES, SESSIONS, KEEPALIVES, OTHER, STALE, FOREIGN, NO_PACKET, NO_SESSION };

#define SECOND 1000000000ull
#define REKEY_AFTER (120 * SECOND)
#define REJECT_AFTER (180 * SECOND)
#define REKEY_TIMEOUT (5 * SECOND)
#define KEEPALIVE_TIMEOUT (10 * SECOND)
#define COOKIE_LIFE (120 * SECOND)

#define DATA_HEADER 16
#define DATA_MIN 32

enum mode { MODE_UP, MODE_DOWN, MODE_BOTH, MODE_THROUGH };

struct options {
	struct tr_sockaddr target;
	struct tr_key public_key;
	struct tr_secret preshared_key;
	uint64_t port, sessions, seed, open_rate, rate, size, mtu;
	struct tr_addr inside, sink;
	uint32_t direction; /* enum mode */
	bool initiate, autostart;
};

struct keypair {
	bool valid, initiator;
	uint32_t local, remote; /* indexes */
	uint64_t created, counter;
	struct session_keys keys;
	struct window window; /* counters received under this index */
};

struct flow {
	uint32_t run; /* seq and arrived are of this run */
	uint64_t seq;
	struct window arrived;
};

enum slot { CURRENT, NEXT, PREVIOUS, SLOTS };

struct session {
	struct identity id;
	bool derived, busy; /* its keys are there; a job of it is under way */
	bool up, down_next; /* direction both: which way the next packet goes */
	uint8_t generation;
	struct keypair slot[SLOTS];
	struct handshake pending; /* our initiation, while pending_index is not 0 */
	uint32_t pending_index;
	uint8_t mac1[16], cookie[16];
	uint8_t timestamp[12]; /* the greatest that the gateway sent */
	uint64_t cookie_at, handshake_at, retry_at;
	uint64_t sent_at;         /* last authenticated packet sent */
	uint64_t unanswered_from; /* data sent, nothing heard since; 0: none */
	uint64_t heard_from;      /* data received, nothing sent since; 0: none */
	struct flow flow[DIRECTIONS];
};

struct pktgen {
	const struct tr_host *host;
	struct tr_instance *instance;
	struct options o; /* what isn't live */
	struct tr_endpoint gateway;
	struct session *session;
	/* Control -> worker. */
	_Atomic uint32_t wanted_run; /* 0: stop */
	_Atomic uint64_t rate, size, stop_after;
	_Atomic uint32_t mode;
	uint32_t runs; /* control's own */
	/* Worker 0's own. */
	uint32_t run, scan, next;
	uint64_t scanned_at, next_open;
	uint64_t begin;                     /* of the run */
	uint64_t due_from, fired, interval; /* packets since then; interval in 2^-16 ns */
	uint64_t next_tick;                 /* nothing is sent before */
	uint64_t jitter;
	uint64_t looked_at, watched; /* the last loop, and the time of all loops: a loop counts no more than LOOP_MAX */
	/* Worker -> control. */
	_Atomic uint64_t up, running, late_max, counter_twice, counter_old, run_ns;
	struct meter meter[DIRECTIONS];
};

/* Longer loops mean that this thread was kept from its CPU: while it sends, it works once a tick. */
#define LOOP_MAX UINT64_C(200000)

/* session.c: handshakes and timers. Worker 0 but where said. */
void sessions_tick(struct tr_node *node, struct pktgen *g, uint64_t now);
uint16_t handshake_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf *m, const uint8_t *msg, size_t len);
struct session *session_by_index(struct pktgen *g, uint32_t index);
struct keypair *keypair_by_index(struct session *s, uint32_t index);
/* The first authenticated packet on the next keypair makes it current. */
void session_confirm(struct session *s);
bool session_alive(const struct session *s, uint64_t now);
void session_secret(const struct tr_crypto *c, uint64_t seed, uint32_t n, uint8_t secret[32]); /* any thread */

/* traffic.c: data packets, both ways. */
void traffic_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void plain_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void traffic_watch(struct pktgen *g, uint64_t now);
uint32_t traffic_out(struct tr_node *node, struct pktgen *g, uint64_t now); /* packets sent */
void keepalive_out(struct tr_node *node, struct pktgen *g, struct session *s, uint64_t now);
/* A message to the gateway from the session's port. */
void send_message(struct tr_node *node, struct pktgen *g, const struct session *s, const void *msg, uint16_t len);
void endpoint_of(const struct pktgen *g, const struct session *s, struct tr_meta *meta);
