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
#include "run.h"
#include "sizes.h"

#include <tailrace/host.h>

enum in_gate { IN_CIPHER, IN_PLAIN, IN_OWN_CIPHER, IN_OWN_PLAIN };
enum out_gate { OUT_CIPHER, OUT_PLAIN, OUT_OWN_CIPHER, OUT_OWN_PLAIN };
enum drop { DROP_RECEIVED, DROP_MALFORMED, DROP_UNKNOWN, DROP_FORGED, DROP_REPLAY, DROP_BUSY, DROP_NO_ROOM };
enum counter {
	INITIATIONS, RESPONSES, COOKIES, SESSIONS, KEEPALIVES, OTHER, STALE, FOREIGN, NO_PACKET, NO_SESSION,
	FORGERIES, REPLAYS, SWAPS, ROAMS, FLOODED, FLOOD_COOKIES, CORRUPT
};

#define REKEY_AFTER (120 * SECOND)
#define REJECT_AFTER (180 * SECOND)
#define REKEY_TIMEOUT (5 * SECOND)
#define KEEPALIVE_TIMEOUT (10 * SECOND)
#define COOKIE_LIFE (120 * SECOND)

#define DATA_HEADER 16
#define DATA_MIN 32

enum mode { MODE_UP, MODE_DOWN, MODE_BOTH, MODE_THROUGH };
enum flood_mac1 { FLOOD_BAD, FLOOD_GOOD };

struct options {
	struct tr_sockaddr target;
	struct tr_key public_key;
	struct tr_secret preshared_key;
	uint64_t port, sessions, seed, open_rate, rate, mtu;
	uint64_t forge, replay, swap, roam, flood;
	const char *size;
	struct tr_addr inside, sink;
	struct tr_list from; /* of struct tr_addr */
	uint32_t direction; /* enum mode */
	uint32_t flood_mac1; /* enum flood_mac1 */
	bool initiate, autostart;
};

/*
 * What data packets touch of a session lies together, a cache line for each thing that happens to one: sealing takes `tally` and
 * the keypair's `sending`, opening `tally` and `receiving`, and measuring what came in clear `tally` alone.
 */
struct sending {
	uint8_t key[32];
	uint64_t counter, until; /* until: ns; 0: there is no such keypair */
	uint32_t remote;         /* index */
	uint32_t sent_at;        /* moment() of the last packet; 0: none yet */
	bool initiator;
};
struct receiving {
	uint8_t key[32];
	struct window window; /* counters received under this index */
	uint64_t until;       /* the same as above */
	uint32_t local;       /* index */
};
struct keypair {
	struct sending send __attribute__((aligned(64)));
	struct receiving receive __attribute__((aligned(64)));
};
struct tally {
	struct window arrived[DIRECTIONS];
	uint64_t seq : 40, run : 16; /* the next packet's number; it and arrived are of this run */
	uint32_t unanswered_from;    /* moment() of data sent, nothing heard since; 0: none */
	uint32_t heard_from;         /* data received, nothing sent since; 0: none */
};

enum slot { CURRENT, NEXT, PREVIOUS, SLOTS };

struct hot {
	struct tally t __attribute__((aligned(64)));
	struct keypair slot[SLOTS];
};
_Static_assert(sizeof(struct tally) == 64 && sizeof(struct keypair) == 128 && sizeof(struct hot) == 448, "cache lines");

struct session {
	struct identity id;
	bool derived, busy; /* its keys are there; a job of it is under way */
	bool up;
	uint8_t generation;
	uint32_t epoch; /* of the instance, when it last began anew */
	struct rte_mbuf *held; /* a sealed packet that the next one is to overtake */
	struct handshake pending; /* our initiation, while pending_index is not 0 */
	uint32_t pending_index;
	uint8_t mac1[16], cookie[16];
	uint8_t timestamp[12]; /* the greatest that the gateway sent */
	uint64_t cookie_at, handshake_at, retry_at;
	struct window_rest received[SLOTS], arrived[DIRECTIONS];
};

/* Time as sessions keep it, in 17 ms; never 0. */
static inline uint32_t
moment(uint64_t ns)
{
	return (uint32_t)(ns >> 24) + 1;
}

/* Whether so many ns have gone by since the moment `then`. */
static inline bool
gone(uint32_t then, uint64_t ns, uint64_t now)
{
	return moment(now) - then > ns >> 24;
}

struct pktgen {
	const struct tr_host *host;
	struct tr_instance *instance;
	struct options o; /* what isn't live */
	struct tr_endpoint gateway;
	struct session *session;
	struct hot *hot; /* of each session */
	struct pattern pattern;
	struct run run;
	/* Control's own. */
	struct options live; /* as last reconfigured */
	char *size_text;
	/* Control -> worker. */
	_Atomic uint64_t rate, forge, replay, swap, roam, flood;
	_Atomic uint32_t mode, flood_mac1, wanted_epoch;
	struct sizes sizes;
	/* Worker 0's own. */
	uint32_t scan, next, epoch, held;
	uint32_t roamer, rounds; /* whose turn it is to roam, and how often all have */
	uint64_t scanned_at, next_open, epoch_at;
	uint64_t forge_count, replay_count, swap_count; /* packets since the last */
	struct pace roam_pace, flood_pace;
	uint8_t mac1_key[32];
	uint64_t jitter;
	uint64_t looked_at, watched; /* the last loop, and the time of all loops: a loop counts no more than LOOP_MAX */
	/* Worker -> control. */
	_Atomic uint64_t up, all_up_ns, counter_twice, counter_old;
	struct meter meter[DIRECTIONS];
};

/* Indexes say whose they are: no table. The constant keeps 0, which means "none", out of use. */
#define INDEX_MIX 0x9d2c5680u
#define GENERATIONS 256u

/* May be of no session of ours. */
static inline uint32_t
session_by_index(uint32_t index)
{
	return (index ^ INDEX_MIX) / GENERATIONS;
}

static inline bool
session_alive(const struct hot *h, uint64_t now)
{
	return now < h->slot[CURRENT].send.until;
}

/* session.c: handshakes and timers. Worker 0 but where said. */
void sessions_tick(struct tr_node *node, struct pktgen *g, uint64_t now);
uint16_t handshake_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf *m, const uint8_t *msg, size_t len);
/* The first authenticated packet on the next keypair makes it current. */
void session_confirm(struct pktgen *g, uint32_t n);
/* How often it has roamed: sessions take turns. */
uint32_t session_shift(const struct pktgen *g, uint32_t n);
uint16_t session_port(const struct pktgen *g, uint32_t n);
void session_secret(const struct tr_crypto *c, uint64_t seed, uint32_t n, uint8_t secret[32]); /* any thread */

/* traffic.c: data packets, both ways. */
void traffic_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void plain_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void traffic_watch(struct pktgen *g, uint64_t now);
uint32_t traffic_out(struct tr_node *node, struct pktgen *g, uint64_t now); /* packets sent */
void keepalive_out(struct tr_node *node, struct pktgen *g, uint32_t session, uint64_t now);
/* A message to the gateway from the session's port. */
void send_message(struct tr_node *node, struct pktgen *g, uint32_t session, const void *msg, uint16_t len);
void endpoint_of(const struct pktgen *g, uint32_t session, struct tr_meta *meta);

#define FLOOD_INDEX 0x62d3aaffu /* sender of the flood's initiations: no session has it */

/* faults.c: what a peer does that is broken, hostile or on the move. */
/* Sends sealed data packets of one burst, by whom each is; some of them twice, or late. */
void faults_emit(struct tr_node *node, struct pktgen *g, struct rte_mbuf *const *sealed, const uint32_t *by, uint16_t n);
uint32_t faults_out(struct tr_node *node, struct pktgen *g, uint64_t now); /* roams and floods; packets sent */
void faults_flush(struct tr_node *node, struct pktgen *g); /* what was held back goes */
void faults_drop(struct tr_node *node, struct pktgen *g);  /* what was held back never goes */
