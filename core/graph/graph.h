/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The graph runner: one graph per thread and generation. Nodes are in gates of instances; frames are fixed arrays of
 * packets; a walk runs pending nodes in reverse post-order until none is pending. Drops, held packets and conservation
 * are counted here. No EAL: tests run it on a hand-made pool.
 *
 * Every function here is for the thread that runs the graph, except graph_new(), graph_edge_*(), graph_finish() and
 * graph_free(): those are the control thread's, before the graph runs and after it was retired.
 */
#pragma once

#include <tailrace/host.h>

#define GRAPH_FRAME 256 /* packets that can wait for one node; more are dropped as frame_full */

/* Verdict of core nodes only: the packet has left the box (given to a port); the node calls graph_sent(). */
#define TR_SENT ((uint16_t)0xfffeu)

/* Drop reasons of the runner itself, counted under the node that sent the packet. */
enum graph_drop { GRAPH_LOOP, GRAPH_FRAME_FULL, GRAPH_EDGE_FULL, GRAPH_UNLINKED, GRAPH_SPREAD_FULL, GRAPH_EXPLAINED,
		  GRAPH_DROPS };
extern const struct tr_drop_reason graph_drops[GRAPH_DROPS + 1];

/* rx + created = tx + drops + held, always (between walks, summed over threads). */
struct graph_totals {
	uint64_t rx, created, tx, drops;
	uint64_t held; /* kept by nodes, or in rings; a thread's share may wrap below zero, the sum does not */
};

struct graph;
struct graph_node;
struct graph_thread;

/* What a traced packet met. A copy; read by the control thread. */
#define GRAPH_TRACE_BYTES 160
struct graph_trace {
	uint8_t id;
	uint16_t verdict; /* as written by process() */
	uint16_t gate;    /* in gate */
	uint16_t len, captured;
	struct tr_instance *instance;
	uint64_t at; /* ns */
	struct tr_meta meta;
	uint8_t data[GRAPH_TRACE_BYTES];
};

/* Who lost packets: the peers, instances and reasons of late, on one thread. Its own to write; control reads it as it is. A
 * bounded table: what does not fit any more takes the place of the rarest of its neighbours, which go to `others`. */
#define GRAPH_PEER_DROPS 512
struct graph_peer_drops {
	struct {
		uint64_t key; /* graph_peer_drop_key(); 0: free */
		uint64_t packets;
	} entry[GRAPH_PEER_DROPS];
	uint64_t others;
};

static inline uint64_t
graph_peer_drop_key(uint32_t peer, uint16_t slot, uint16_t reason)
{
	return (uint64_t)peer << 32 | (uint32_t)slot << 16 | reason;
}

/* The packet of a question, as it was where it would have gone on. */
struct graph_probe {
	uint16_t len;
	uint8_t data[64];
};

/* A thread that runs graphs: a worker or a service loop. Outlives graphs; owned by the engine. */
struct graph_thread {
	uint16_t worker; /* TR_NO_WORKER on a service loop */
	uint16_t id;     /* 0..threads-1, workers first */
	uint64_t now;    /* ns, set by the thread once per loop */
	struct graph_totals totals;
	uint64_t icmp_since; /* allowance of ICMP errors: net/icmp.h */
	/* A packet leaves for another thread: takes ownership or returns false (edge_full). */
	bool (*push)(struct graph_thread *t, uint16_t to, struct rte_mbuf *pkt, uint32_t target);
	unsigned (*room)(struct graph_thread *t, uint16_t to); /* packets that push() would take */
	bool (*crowded)(struct graph_thread *t, uint16_t by);  /* do many wait behind thread `by` for other service loops? */
	/* Tracing: ids still to give out (0: off), and where entries go. */
	uint32_t trace_left;
	bool tracing; /* some packet may carry a trace id */
	uint8_t (*trace_id)(struct graph_thread *t); /* 0: none left */
	void (*trace)(struct graph_thread *t, const struct graph_trace *entry);
	const struct tr_instance *trace_at; /* only packets that enter here; NULL: anywhere */
	/* Benchmarks: time is accounted for by node, each gets what went by since the stamp. */
	bool clocked;
	uint64_t stamp; /* TSC */
	bool (*trace_match)(struct graph_thread *t, const struct rte_mbuf *m); /* only these; NULL: any */
	/* Capturing, while `tracing`: sees every burst before its node does. NULL: off. */
	void (*capture)(struct graph_thread *t, const struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n);
	struct graph_peer_drops *peer_drops; /* NULL: not counted */
	/* What is walked is a question: only nodes without side effects run, and where it would go on it is dropped. */
	struct graph_probe *probe; /* NULL: no question */
};

enum edge_kind {
	EDGE_UNLINKED,
	EDGE_NODE,    /* a node of the same graph */
	EDGE_BY_PEER, /* the same node, on the worker that owns meta->peer */
	EDGE_THREAD,  /* a node of another thread: `thread`, `target` */
};

struct graph_edge {
	enum edge_kind kind;
	uint16_t thread;         /* EDGE_THREAD */
	uint32_t target;         /* EDGE_THREAD, EDGE_BY_PEER: what push() is told; see graph_enter() */
	struct graph_node *node; /* EDGE_NODE, EDGE_BY_PEER */
};

struct graph_node {
	struct tr_node pub; /* first: a struct tr_node * is a struct graph_node * */
	struct graph *graph;
	tr_process *process; /* NULL: a node that only sends (an instance's own, for callbacks) */
	uint16_t order;      /* reverse post-order */
	uint16_t n_frame;
	uint16_t n_edges;
	uint16_t n_reasons; /* of the class; the runner's follow them */
	bool pure;          /* process() only decides: the same again for the same packet, and nothing is changed by it */
	uint16_t slot;      /* number of what outlives the instance, for graph_peer_drops */
	struct graph_edge *edge;
	uint64_t *drops;   /* n_reasons + GRAPH_DROPS */
	uint64_t *packets; /* in */
	uint64_t clocks;   /* spent here while the thread was clocked */
	struct rte_mbuf **frame; /* GRAPH_FRAME */
};

#define GRAPH_AT_REST (-1)

struct graph {
	struct graph_thread *thread;
	uint16_t workers; /* for EDGE_BY_PEER: owner = peer % workers */
	unsigned n, max;
	struct graph_node **node;  /* in order of addition until graph_finish(), then by `order` */
	uint64_t *pending;         /* bit per order */
	int32_t at;                /* order of the node that runs, or GRAPH_AT_REST */
	struct rte_mbuf **spare;   /* a frame that no node has: it goes round */
};

/* max: number of nodes to come. NULL: out of memory. */
struct graph *graph_new(struct graph_thread *t, unsigned max, uint16_t workers);
/* Adds a node; pub, process, drops, packets, n_reasons are copied from `proto`; edges start unlinked. */
struct graph_node *graph_add(struct graph *g, const struct graph_node *proto, unsigned n_edges);
void graph_finish(struct graph *g); /* orders the nodes */
void graph_free(struct graph *g);   /* frames must be empty */

/* Core nodes: gives received packets to the graph as if `node` had processed them (counted as rx); same verdicts. */
void graph_receive(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
/* Core nodes: n packets were handed to a port. */
void graph_sent(struct tr_node *node, uint16_t n);
bool graph_linked(struct tr_node *node, uint16_t gate); /* does this out gate lead anywhere? */
/* How many packets an out gate would take now; of those that stay on this thread, a frame. */
unsigned graph_room(struct tr_node *node, uint16_t gate);
/* Do so many wait, behind an out gate and there for service loops other than this, that more may be lost? */
bool graph_crowded(struct tr_node *node, uint16_t gate);

/* Packets that came from another thread (counted as held there and then). */
void graph_enter(struct graph_node *node, struct rte_mbuf **pkts, uint16_t n);
void graph_emit(struct graph_node *node, uint16_t gate, struct rte_mbuf *const *pkts, uint16_t n);
void graph_drop(struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint16_t reason);
void graph_walk(struct graph *g); /* until nothing is pending */
void graph_clock(struct graph_node *node); /* while clocked: what went by since the stamp was this node's */

static inline struct graph_node *
graph_node(struct tr_node *node)
{
	return (struct graph_node *)node;
}
