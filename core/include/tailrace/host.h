/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host: every service that a plugin gets from the core. A call names the thread that may make it:
 *   [W] worker (a callback with a node; on a service loop the same node calls work)   [C] control thread
 *   [S] the instance's service loop   [J] job   [*] any of these
 * Functions that take a node are only for callbacks of that node.
 */
#pragma once

#include <tailrace/crypto.h>
#include <tailrace/netmap.h>
#include <tailrace/plugin.h>

/* State that outlives code: an array of zeroed blocks, indexed by peer id (or 0 for a single one). */
struct tr_blocks {
	uint8_t *base;
	size_t stride;  /* size rounded up to a cache line */
	uint32_t count; /* valid indexes are below it */
};

static inline void *
tr_block(const struct tr_blocks *b, uint32_t index)
{
	return b->base + (size_t)index * b->stride;
}

/* Lies in a block; zeroed = idle. Fires once. Belongs to the worker that armed it until it fires or is cancelled. */
struct tr_timer {
	struct tr_timer *next, **prev;
	uint64_t at; /* ns of node->now */
};

#define TR_JOB_DATA 1000

/* Bounded CPU work on copies. `data` is the caller's; it is wiped after done(). */
struct tr_job {
	void *reserved[2];
	void (*run)(struct tr_job *job, void *self, const struct tr_host *host); /* job thread */
	void (*done)(struct tr_node *node, struct tr_job *job);                  /* the worker that submitted it */
	uint8_t data[TR_JOB_DATA];
};

struct tr_watch; /* a watched descriptor or a timer on a loop */

enum tr_log_level { TR_LOG_ERROR, TR_LOG_WARNING, TR_LOG_INFO, TR_LOG_DEBUG };

enum tr_thread { TR_THREAD_CONTROL, TR_THREAD_SERVICE };

enum { TR_WATCH_READ = 1, TR_WATCH_WRITE = 2 };

/* Why a packet goes no further, as its sender is told (IPv4 · IPv6). */
enum tr_icmp {
	TR_ICMP_NO_ROUTE,   /* network unreachable · no route */
	TR_ICMP_HOST,       /* host unreachable · address unreachable */
	TR_ICMP_SCOPE,      /* (IPv4: host unreachable) · beyond the scope of the source address */
	TR_ICMP_PROHIBITED, /* communication administratively prohibited */
	TR_ICMP_PORT,       /* port unreachable */
	TR_ICMP_PROTOCOL,   /* protocol unreachable · unrecognized next header; arg: where it lies (IPv6) */
	TR_ICMP_TOO_BIG,    /* fragmentation needed · packet too big; arg: the MTU */
	TR_ICMP_TTL,        /* time exceeded in transit */
	TR_ICMP_REASSEMBLY, /* time exceeded while fragments were gathered */
	TR_ICMP_PARAMETER,  /* parameter problem; arg: the byte at fault */
	TR_ICMP_OPTION,     /* parameter problem · unrecognized option; arg: the byte at fault */
};

enum tr_icmp_fate {
	TR_ICMP_SENT,
	TR_ICMP_NOT_DUE, /* none may be sent about this packet, or the gate is not linked */
	TR_ICMP_LIMITED, /* too many were sent */
};

struct tr_host {
	uint32_t size;    /* sizeof(struct tr_host) of the core: a member beyond it is absent */
	uint16_t workers; /* number of workers, fixed at start */
	const struct tr_crypto *crypto;

	/* ---- Errors and the log ---- */
	/* [C] Why create() or start() fails; shown to the user with the instance's file:line. */
	void (*fail)(struct tr_instance *, const char *format, ...) __attribute__((format(printf, 2, 3)));
	/* [C S J] Rate-limited; never on a worker. */
	void (*log)(struct tr_instance *, enum tr_log_level, const char *format, ...) __attribute__((format(printf, 3, 4)));

	/* ---- Packets ---- */
	/* [W] A new packet, empty, headroom TR_HEADROOM, metadata zeroed, counted as created and held. NULL: pool empty. */
	struct rte_mbuf *(*packet_new)(struct tr_node *);
	/* [W] Gives up a held or new packet under a drop reason of the class. */
	void (*packet_drop)(struct tr_node *, struct rte_mbuf *, uint16_t reason);
	/* [W] Sends held or new packets out of a gate; they are processed in this walk or the next. Takes ownership. */
	void (*emit)(struct tr_node *, uint16_t gate, struct rte_mbuf *const *, uint16_t n);
	/* [W] Tells the sender of `pkt`, whose data is at its IP header, why it goes no further. The error leaves by out gate
	 * `gate` (type ip; towards a route or an interface); what the RFCs forbid or the rate does not allow is not sent. The
	 * packet stays the caller's, to be dropped. */
	enum tr_icmp_fate (*icmp_error)(struct tr_node *, uint16_t gate, const struct rte_mbuf *pkt, enum tr_icmp why, uint32_t arg);

	/* ---- Burst services: one call per burst ---- */
	/* [W] Allowed IPs of this instance: the peer that each packet's destination / source address belongs to, or
	 * TR_NO_PEER. Data is at an IP header whose version and length the caller has checked. */
	void (*peers_by_destination)(struct tr_node *, struct rte_mbuf *const *, uint16_t n, uint32_t *peer);
	void (*peers_by_source)(struct tr_node *, struct rte_mbuf *const *, uint16_t n, uint32_t *peer);
	/* [W] Receiver indexes: value (never 0) given to index_new(), or 0. A reader never sees another index's value. */
	void (*indexes)(struct tr_node *, const uint32_t *index, uint16_t n, uint64_t *value);
	/* [W] Bulk AEAD by the engine chosen at start. */
	void (*aead_seal)(struct tr_node *, struct tr_aead *, uint16_t n);
	void (*aead_open)(struct tr_node *, struct tr_aead *, uint16_t n);
	/*
	 * [W] Ordered spread: aead_seal() or aead_open() with the help of workers that have room, when this one has too little.
	 * TR_SPREAD_HERE: nothing was done, and no packet given before is still out; the caller runs the AEAD itself, now. Else
	 * the verdict for all n packets: TR_HELD, or a drop when too many wait. Packets that are held come in by the internal
	 * gate `gate` on this worker, in the order in which they were given; opened ones with TR_META_AUTHENTIC when the tag is
	 * right, else with unspecified data. Keys are copied. `p` may be changed by the caller afterwards, the packets not.
	 */
	uint16_t (*spread)(struct tr_node *, bool open, uint16_t gate, struct rte_mbuf *const *, const struct tr_aead *p, uint16_t n);

	/* ---- Peers, one at a time ---- */
	/* [W J C] NULL when there is none, or its owner has been told that it is removed. */
	const struct tr_peer *(*peer)(struct tr_instance *, uint32_t id);
	uint32_t (*peer_by_key)(struct tr_instance *, const uint8_t public_key[32]); /* [W J C] */
	uint32_t (*peer_by_disco)(struct tr_instance *, const uint8_t disco_key[32]); /* [W J C] */
	/* [W, owner] A fresh random index that finds `value` (not 0) until index_free(). 0: table full. */
	uint32_t (*index_new)(struct tr_node *, uint64_t value);
	void (*index_free)(struct tr_node *, uint32_t index);

	/* ---- Paths (netmap.h) ---- */
	/* [W] Endpoints in use, copied; family 0: none known. Their flags are for `path` and path_learn(): a transport leaves
	 * them in, and compares the whole with what a packet came from. out NULL: only fetched into the cache, for a
	 * later call. */
	void (*paths)(struct tr_node *, const uint32_t *peer, uint16_t n, struct tr_endpoint *out);
	/* [W, owner] The peer was heard, authenticated, from here, and the endpoint in use differs (if only in its flags).
	 * Becomes the endpoint in use if the rules of netmap.h say so; saved within a second. */
	void (*path_learn)(struct tr_node *, uint32_t peer, const struct tr_endpoint *from);
	/* [W, owner] A session began now (saved: after a restart the peer gets TR_PEER_RESUME). */
	void (*path_session)(struct tr_node *, uint32_t peer);
	/* [C] The endpoint in use and when the last session began (Unix ns; 0: never). */
	void (*path_show)(struct tr_instance *, uint32_t peer, struct tr_endpoint *, uint64_t *session);
	/* What a prober, or whoever learns of a path to a peer, has to say about one: UNTRIED adds a candidate, if it is new;
	 * TRIED, ALIVE (with latency, MTU and trust) and DEAD are results; GONE forgets it. Candidates are told apart by gate,
	 * family, remote address and port (and key). */
	void (*path_tell)(struct tr_node *, uint32_t peer, const struct tr_path *); /* [W, owner] */
	int (*path_post)(struct tr_instance *, uint32_t peer, const struct tr_path *); /* [C S J] -EAGAIN: no room */
	/* [*] Candidates, copied; the one in use first. Returns how many there are, up to max. */
	uint16_t (*path_list)(struct tr_instance *, uint32_t peer, struct tr_path *out, uint16_t max);
	/* [W, owner; TR_CLASS_PROBES] When the transport last sent to the peer: ns of node->now, to 17 ms; 0: never. */
	uint64_t (*path_sent)(struct tr_node *, uint32_t peer);
	/* [C S] What a UDP port of this box is called outside, instead of what the instance has said of that port before. What is
	 * no longer so is taken back (n = 0), at the latest by the loop's worker_fini(). TR_OWN_SEEN: those who find out look anew. */
	void (*own_endpoints_tell)(struct tr_instance *, uint16_t port, const struct tr_own_endpoint *, uint16_t n);
	/* [W C S] What all have said of that port: mappings first, then what servers see, then local addresses. */
	uint16_t (*own_endpoints)(struct tr_instance *, uint16_t port, struct tr_own_endpoint *out, uint16_t max);

	/* ---- Netmap ---- */
	/* [W] Addresses of both families, for n <= TR_BURST names. */
	void (*names_find)(struct tr_node *, struct tr_name_find *, uint16_t n);
	/* [W] PTR: name and its length. */
	enum tr_name_status (*name_reverse)(struct tr_node *, const struct tr_addr *, const char **name, size_t *len);
	/* [C] All peers of this instance, in no order. Records stay valid during the call. */
	void (*peer_each)(struct tr_instance *, void (*)(void *arg, const struct tr_peer *), void *arg);
	/* [C] The DERP map. Valid during the call-back. */
	const struct tr_derp_map *(*derp_map)(struct tr_instance *);
	/* [C] Changes the operator's layer, durable when it returns 0. -EINVAL, -ENOSPC, or why it can't be kept. */
	int (*peer_set)(struct tr_instance *, const struct tr_peer_change *);
	/* [C] Operator's value of a live option, in text form (secrets: base64); NULL: back to the pipeline's. Durable.
	 * reconfigure() has run when it returns 0. -EINVAL, -EADDRINUSE (a listen port that another instance has), -EIO. */
	int (*option_set)(struct tr_instance *, const char *key, const char *value);

	/* ---- State ---- */
	/* [C, in create] The live blocks of (instance name, type), or new zeroed ones. `layout` is the type's version and
	 * `size` its size: when live blocks differ in either, NULL after fail() (the apply is refused). per_peer: one block
	 * per possible peer, else one. Memory is touched only when used. */
	const struct tr_blocks *(*blocks)(struct tr_instance *, const char *type, uint32_t layout, size_t size, bool per_peer);
	/* [C W] Runs fn(ptr) on the control thread when no worker or job can still see ptr. */
	void (*defer)(struct tr_instance *, void (*fn)(void *), void *ptr);

	/* ---- Time ---- */
	uint64_t (*now)(struct tr_instance *);  /* [*] ns, monotonic; workers use node->now */
	uint64_t (*wall)(struct tr_instance *); /* [*] ns since 1970 */
	/* [W] Resolution 4 ms, never early. Arming an armed timer moves it. at <= now: fires in the next loop. */
	void (*timer_arm)(struct tr_node *, struct tr_timer *, uint64_t at);
	void (*timer_cancel)(struct tr_node *, struct tr_timer *);

	/* ---- Work on other threads ---- */
	/* [W] A job to fill in, or NULL when all are in use. Must be submitted or given back (run = NULL). */
	struct tr_job *(*job_new)(struct tr_node *);
	void (*job_submit)(struct tr_node *, struct tr_job *);
	/* [W] Jobs in use, in 1/256 of the capacity. */
	uint32_t (*job_backlog)(struct tr_node *);
	/* [C S J] fn runs on the worker that owns the peer. -EAGAIN when its inbox is full. */
	int (*post_peer)(struct tr_instance *, uint32_t peer, void (*fn)(struct tr_node *, uint32_t peer, uint64_t arg), uint64_t arg);
	/* [*] fn(self, arg) on the control thread or the service loop. -EAGAIN when its inbox is full. */
	int (*post)(struct tr_instance *, enum tr_thread, void (*fn)(void *self, void *arg), void *arg);
	/* [C S] Descriptor events and timers on the calling thread's loop. The callback runs on that loop. watch_close() from it too. */
	struct tr_watch *(*watch_fd)(struct tr_instance *, int fd, int events, void (*fn)(void *arg, int events), void *arg);
	void (*watch_events)(struct tr_watch *, int events);
	struct tr_watch *(*watch_timer)(struct tr_instance *, uint64_t after_ms, uint64_t repeat_ms, void (*fn)(void *arg), void *arg);
	void (*watch_close)(struct tr_watch *);
	/* [S] The node of this instance on its service loop in the running generation: for packet_new(), emit() and
	 * packet_drop() in callbacks of the loop that are given no node (watches, timers, posts). Not to be kept: valid
	 * during the callback. NULL once the loop's worker_fini() has run. */
	struct tr_node *(*service_node)(struct tr_instance *);
	/* [C S] A socket or file in the run directory's place for operators: /run/wireguard/NAME.sock made and bound. */
	int (*listen_unix)(struct tr_instance *, const char *path);
};

#define TR_SPREAD_HERE ((uint16_t)0)

/* The name of an instance in pipeline.yaml. [*] */
#define TR_INSTANCE_NAME_MAX 32
struct tr_instance_view { /* the head of struct tr_instance */
	const char *name;
	const struct tr_class *class_;
};
static inline const char *
tr_instance_name(const struct tr_instance *i)
{
	return ((const struct tr_instance_view *)i)->name;
}
