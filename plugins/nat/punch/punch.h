/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the files of this plugin share. A peer's state is its owner worker's alone; it lies in a block of the core and is
 * found by the peer's id.
 */
#pragma once

#include "bucket.h"
#include "message.h"

#include <stdatomic.h>
#include <tailrace/host.h>

#define HEARTBEAT (3 * SECOND)
#define TRUST (6500 * MS)          /* of a path after a pong: two heartbeats and a little */
#define ACTIVE (45 * SECOND)       /* after the transport's last packet to the peer */
#define PING_GAP (5 * SECOND)      /* between two pings to one address, heartbeats aside */
#define PING_TIMEOUT (5 * SECOND)
/* Without a pong for so long, and for two round trips, the path in use is not trusted any more. Stock waits until TRUST has passed, and
 * loses what is sent until then; here it costs a copy by DERP. */
#define OVERDUE (300 * MS)
/* Of a trusted path something is sent over, and from which nothing is heard, before it is pinged; twice as long after each such
 * ping that was answered, up to HEARTBEAT. */
#define QUIET (300 * MS)
/* Between two calls. Each makes a stock peer ping at once, and one that has just pinged does not call us: more than its
 * gap of 5 s, or it never would. */
#define CALL_GAP (6 * SECOND)
#define NEWS_GAP (1 * SECOND)      /* the same, when our addresses have changed since the last one */
#define UPGRADE (60 * SECOND)      /* how often all addresses are tried while a trusted one is in use */
#define GOOD_ENOUGH_US 5000        /* latency: nothing better is looked for */
#define AGAIN_AFTER (250 * MS)     /* a call: by then the peer's pings have opened its NAT for ours */
#define AGAIN_MAX 16               /* addresses: more are guesses */
#define LEARNED (45 * SECOND)      /* an address that a ping came from, after the last one */

#define TARGETS 128 /* of one peer: what a call-me-maybe may hold, and what is known beside it */
#define TOLD_MAX 8  /* addresses of a call-me-maybe that are shown as paths before they answer */

enum { IN_UDP, IN_RELAYED, IN_GENEVE, IN_WRAP, IN_ANSWERS, IN_PEER, IN_SEAL, IN_ALLOCATED, IN_CHALLENGE };
enum { OUT, OUT_WIREGUARD, OUT_REQUESTS, OUT_PEER, OUT_SEAL, OUT_ALLOCATED, OUT_CHALLENGE };

enum drop {
	DROP_NOT_DISCO,
	DROP_UNKNOWN,
	DROP_FORGED,
	DROP_SHORT,
	DROP_OTHER,
	DROP_REPLAYED,
	DROP_RATE,
	DROP_BY_UDP,
	DROP_WRONG_NODE,
	DROP_BUSY,
	DROP_PEER_GONE,
	DROP_NO_TARGET,
	DROP_NO_ROOM,
	DROP_NOT_GENEVE,
	DROP_NO_HANDSHAKE,
	DROP_NOT_ASKED,
	DROP_NOT_OURS,
	DROP_NO_RELAY,
	DROP_CONSUMED,
};

enum count {
	COUNT_PINGS_SENT,
	COUNT_PINGS,
	COUNT_PONGS_SENT,
	COUNT_PONGS,
	COUNT_CALLS_SENT,
	COUNT_CALLS,
	COUNT_TIMEOUTS,
	COUNT_DOUBTS,
	COUNT_DIRECT,
	COUNT_SEARCHES,
	COUNT_SEARCH_HITS,
	COUNT_PREDICTIONS,
	COUNT_PROBES_SENT,
	COUNT_KEYS,
	COUNT_NO_PACKET,
	COUNT_ASKED,
	COUNT_VIA_CALLS_SENT,
	COUNT_VIA_CALLS,
	COUNT_BINDS_SENT,
	COUNT_BOUND,
	COUNT_VIA_FOUND,
	COUNT_WRAPPED,
	COUNT_UNWRAPPED,
	COUNT_SEEN,
};

/* Our own disco key: in a block, so that it stays when the instance is made anew. Written by control in create(). */
struct self {
	uint8_t secret[DISCO_KEY], key[DISCO_KEY];
	uint8_t node[DISCO_KEY]; /* the transport's public key, for pings */
	uint32_t epoch;          /* grows with every new key; 0: none yet */
};

enum target_source {
	FROM_NETMAP = 1u << 0, /* a path that the core knows of */
	FROM_CALL = 1u << 1,   /* the peer's last call-me-maybe lists it */
	FROM_PING = 1u << 2,   /* a ping came from it */
};

struct attempt {
	uint8_t txid[DISCO_TXID];
	uint32_t open; /* awaits its pong */
	uint64_t sent;
};

/* An address to try: told apart by remote address and port, and by the port of ours. */
struct target {
	uint8_t ip[16];
	uint16_t port, local_port; /* local_port 0: the transport's */
	uint8_t family, from;      /* from: enum target_source; 0: free */
	bool told;                 /* the core knows it */
	uint8_t rtt;               /* of pings, slow_of() */
	uint64_t pinged;           /* by us; 0: not yet, or to be pinged anew */
	uint64_t heard;            /* its last ping */
	uint64_t answered;         /* our last pong */
	uint8_t heard_txid[DISCO_TXID];
	struct attempt attempt[2]; /* heartbeats come faster than pings time out */
};

/* The search for a way through a hard NAT of ours (search.c). */
struct search {
	uint64_t due, again; /* the next step; 0: none is going on. again: not before */
	uint16_t opened;     /* ports of ours that have sent */
	uint16_t rounds;     /* calls with guesses */
	uint16_t failures;
	uint32_t guess, step; /* the next guess, and how far the one after it lies */
	struct tr_sockaddr hit; /* what the port that was hit is called outside; family 0: none */
};

struct peer {
	struct tr_timer timer;
	uint8_t public_key[DISCO_KEY]; /* whose state this is */
	uint8_t disco_key[DISCO_KEY], shared[DISCO_KEY];
	uint32_t epoch;     /* of our key when `shared` was made; 0: not yet */
	uint32_t computing; /* jobs out */
	bool active, wanted;
	bool asked;         /* the path in use, out of turn, since the last heartbeat */
	bool hard;          /* the peer's calls look like those of somebody behind a hard NAT */
	uint16_t quiet;     /* ms: instead of QUIET; 0: that */
	uint16_t told;      /* mark of the addresses of ours that the last call named */
	uint64_t heartbeat; /* the next; 0: none */
	uint64_t full;      /* when all were pinged last */
	uint64_t called;    /* when we have called last */
	uint64_t again;     /* when those that have not answered are pinged once more; 0: no more */
	struct bucket pings, calls;
	struct search search;
	uint16_t n;
	struct target target[TARGETS];
};

/* What the direct path in use carries (probe.c). A block of its own. */
struct probe {
	uint8_t ip[16]; /* the address that all this is about */
	uint16_t port;
	uint8_t family; /* of a peer relay: VIA_RELAY more */
	bool open;      /* answers are waited for */
	bool missed;    /* the last round found less than `mtu` */
	uint16_t mtu;   /* IP packets; 0: not known */
	uint16_t best;  /* of this round */
	uint8_t txid[DISCO_TXID];
	uint64_t sent;  /* 0: never */
};

#define SEEN_PLACES 64

extern const struct tr_class relay_class; /* relay.c: the server of peer relays */

struct disco_bind; /* relay_message.h */
struct relays;     /* via.h */
struct reports;    /* report.h */

struct punch {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct tr_blocks *peers, *probes, *vias, *via_names;
	struct self *self;
	struct relays *relays;
	struct reports *reports;
	struct {
		_Atomic uint64_t last, told[SEEN_PLACES]; /* told: an address's hash, and below it the second */
		_Atomic bool busy;                        /* `address` is on its way to control */
		struct tr_sockaddr address;
	} seen; /* seen.c */
	_Atomic uint16_t listen, probe_ports; /* probe_ports: the first of SEARCH_PORTS; 0: none */
};

/* Round trips in 1/64 s, up to 4 s: the slowest of late, each counts for half of the one after it. */
static inline uint8_t
slow_of(uint8_t before, uint64_t latency)
{
	const uint64_t now = latency / (SECOND / 64) + 1;
	const uint8_t faded = before / 2;
	return now < faded ? faded : now < UINT8_MAX ? (uint8_t)now : UINT8_MAX;
}

/* How long a pong may take. */
static inline uint64_t
patience(uint8_t rtt)
{
	const uint64_t two = 2 * rtt * (SECOND / 64);
	return two > OVERDUE ? two : OVERDUE;
}

static inline struct peer *
peer_of(const struct punch *p, uint32_t id)
{
	return tr_block(p->peers, id);
}

/* ---- peer.c: addresses and what is done when. All: the peer's owner. ---- */
/* The state of a peer that is in the netmap; begun anew if the id was another's. NULL: not there, or without a disco key. */
struct peer *peer_get(struct tr_node *node, uint32_t id, const struct tr_peer **record);
void peer_forget(struct tr_node *node, uint32_t id);
void peer_wanted(struct tr_node *node, uint32_t id);  /* the transport has sent to it */
void peer_tick(struct tr_node *node, struct tr_timer *timer);
void peer_key_ready(struct tr_node *node, uint32_t id); /* what has waited for the key is done now */
/* Tries all addresses that are not being tried. `call`: and has the peer do the same. */
void peer_try_all(struct tr_node *node, uint32_t id, struct peer *p, bool call);
struct target *peer_target(struct peer *p, const struct tr_endpoint *e, enum target_source from); /* NULL: full */
void peer_untarget(struct tr_node *node, uint32_t id, struct target *t);
void peer_ping(struct tr_node *node, uint32_t id, struct peer *p, struct target *t);
bool peer_direct(struct tr_node *node, uint32_t id, struct tr_path *best); /* a trusted direct path is in use */
/* Something has just been sent over `path`, the one in use: is it to be pinged, although no heartbeat is due (1), and are others
 * to be tried (2)? */
enum doubt { DOUBT_PING = 1u << 0, DOUBT_LOST = 1u << 1 };
void peer_lively(struct peer *p, const struct tr_path *path, uint64_t answered); /* a heartbeat is due: does data come all the time? */
unsigned peer_doubt(struct peer *p, const struct tr_path *path, uint64_t pinged, uint64_t answered, uint8_t rtt, uint64_t now);
struct tr_endpoint peer_endpoint(const struct punch *punch, const struct target *t);
void peer_schedule(struct tr_node *node, uint32_t id, struct peer *p);

bool peer_usable(const struct tr_sockaddr *a); /* an address that something may be sent to because a peer says so */

/* ---- receive.c ---- */
void receive_udp(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void receive_relayed(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void receive_peer(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);

/* ---- seen.c: a pong from the transport's port shows us there ---- */
void seen_at(struct tr_node *node, const struct tr_sockaddr *a);

/* ---- send.c ---- */
/* Has the key shared with the peer made by a job, after which `m` (may be NULL; taken over) goes to `gate`. False: too busy. */
bool send_key(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_peer *record, struct rte_mbuf *m, uint16_t gate);
bool send_ready(const struct punch *punch, const struct peer *p, const struct tr_peer *record); /* the key is there */
void send_ping(struct tr_node *node, struct peer *p, const struct tr_endpoint *to, uint8_t txid[DISCO_TXID]);
void send_pong(struct tr_node *node, struct peer *p, const struct tr_endpoint *to, const uint8_t txid[DISCO_TXID]);
/* Payloads of known peers, at the peer's owner: sealed, and sent by DERP. */
tr_process send_sealed;
/* A new packet for a payload, of which `room` bytes are used. NULL: none is free. Then to the peer by its DERP relay; false: there is none. */
struct rte_mbuf *send_begin(struct tr_node *node, size_t room, uint8_t **data);
bool send_by_derp(struct tr_node *node, uint32_t id, struct peer *p, struct rte_mbuf *m, uint8_t *data, size_t payload);
/* A message of a handshake with a relay at the UDP endpoint `to`, under the key that is shared with it. */
void send_bind(struct tr_node *node, const struct tr_endpoint *to, enum disco_type type, const struct disco_bind *b,
	const uint8_t shared[DISCO_KEY]);
bool send_news(struct tr_node *node, const struct peer *p); /* our addresses are others than the last call's */
bool send_call(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_sockaddr *guess, unsigned n_guesses);

/* A ping in a datagram of `size` bytes, never split. False: not sent. *room: the largest that a packet holds. */
bool send_probe(struct tr_node *node, struct peer *p, const struct tr_endpoint *to, const uint8_t txid[DISCO_TXID], uint16_t size,
	uint16_t *room);

/* ---- wrap.c: what goes and comes by peer relays ---- */
tr_process wrap_in, wrap_out, wrap_answers;
struct tr_endpoint wrap_endpoint(const struct tr_endpoint *udp, uint32_t vni); /* by the relay there */
uint32_t wrap_vni(const struct tr_endpoint *e);
/* Puts the header before the data, and makes the endpoint the relay's own. False: no room. */
bool wrap(struct rte_mbuf *m, struct tr_endpoint *e, uint16_t protocol, bool control);

/* ---- probe.c: path MTU ---- */
void probe_beat(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_endpoint *path); /* the trusted one in use */
bool probe_answered(struct tr_node *node, uint32_t id, const uint8_t txid[DISCO_TXID]); /* false: no probe of ours */
/* What the path carries in UDP, or behind a relay's header; 0: not known. */
uint16_t probe_payload(const struct tr_node *node, uint32_t id, const struct tr_endpoint *path);
void probe_forget(struct tr_node *node, uint32_t id);

/* ---- search.c: hard NATs ---- */
#define SEARCH_PORTS TR_LISTEN_ALSO_PORTS
void search_consider(struct tr_node *node, uint32_t id, struct peer *p); /* after a call that did not help */
void search_step(struct tr_node *node, uint32_t id, struct peer *p);
void search_end(struct peer *p, bool found, uint64_t now);
/*
 * The ports that a NAT which gives them in order, or by a constant step, gives next: told by what the STUN servers have seen, in the
 * order in which they were asked (`own` as own_endpoints() lists it). 0: it gives them otherwise.
 */
unsigned search_predict(const struct tr_own_endpoint *own, unsigned n, struct tr_sockaddr *guess, unsigned max);
double search_chance(unsigned ports, unsigned opened, unsigned guesses); /* that one of so many guesses hits */
