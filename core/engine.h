/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: instances, generations, workers. Control thread unless said otherwise. What plugins see of it is the
 * struct tr_host that it fills.
 */
#pragma once

#include "config/appliance.h"
#include "graph/graph.h"
#include "pipeline/plan.h"

#include <tailrace/show.h>

struct engine;
struct netmap_table;
struct plan_ref;

/* An instance: one object of one build of a class with one set of options. Carried over by generations that change none
 * of these. What must outlive it (counters, blocks, timers, held packets) belongs to its slot, found by name. */
struct slot;
struct instance_worker;
struct tr_instance {
	const char *name; /* the head is struct tr_instance_view */
	const struct tr_class *class_;
	const struct loaded_plugin *plugin; /* NULL: the core's */
	struct engine *engine;
	struct slot *slot;
	void *self, *options;
	/* During create() of a core class: its plan, so that it can see what its gates lead to. An instance with dynamic
	 * gates is recreated whenever they, or the listen or mtu of their targets, change. NULL afterwards. */
	const struct plan *plan;
	const struct plan_instance *plan_instance;
	struct netmap_table *table; /* TR_CLASS_PEERS */
	/* The engine's own. */
	struct plan_ref *options_plan; /* keeps the arena that `options` points into */
	struct instance_worker *w;     /* per worker, then one for the service loop */
	uint32_t jobs;                 /* outstanding; atomic */
	uint64_t activity;             /* jobs and posts so far; atomic */
	bool started;
	bool live; /* published to the threads once; before, only control has it */
	char failure[256];             /* last host->fail() */
};

/* The node of an instance on a worker, for callbacks and VLAN siblings: its out gates can be sent to, it has no process().
 * Worker's own thread; NULL when the instance is not in this worker's graph. */
struct tr_node *instance_node(struct tr_instance *i, uint16_t worker);

/* The effective option value of an instance, operator's layer included; 0 when it has none with this flag. */
uint64_t plan_option_flag(const struct plan_instance *i, enum tr_option_flag flag);

/* Worker, the peers' owner: a transport's packets leave, each by the endpoint in its metadata. Whoever probes the paths of
 * their peers is told (TR_PEER_WANTED). */
void engine_sent(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n);

struct engine_config {
	const struct appliance *appliance; /* poll mode, job and service threads, limits, directories */
	struct rte_mempool *pool;
	struct loop *control;
	struct catalogue catalogue; /* the engine takes it, if it comes to be */
	uint16_t workers;
	const uint16_t *cpu; /* per worker; NULL: not pinned */
	const char *aead;    /* engine's name; NULL: the best for this CPU */
	void (*thread_start)(void); /* called by every worker and service thread first (EAL registration); NULL */
};
struct engine *engine_new(const struct engine_config *c); /* threads run, graphs are empty */
/* Retires all instances; then done. The netmap and what is saved of it stay. -EBUSY: an apply is under way. */
int engine_close(struct engine *e, void (*done)(void *arg), void *arg);
void engine_free(struct engine *e); /* after engine_close(), or when nothing was ever applied: ends the threads */
/* Scans the plugin directories and reads a pipeline with what they hold now. NULL after diagnostics. The catalogue is the
 * caller's to free, after the plan. Plugins once loaded stay mapped. */
struct plan *pipeline_load(const struct appliance *a, const char *path, struct catalogue *c, struct diags *d);
void engine_set_catalogue(struct engine *e, struct catalogue *c); /* takes over what a plan to come was loaded with */
/* Starts or applies. 0: accepted, owns the plan, and `done` is called once on the control thread: with NULL when the old
 * generation is retired, or with an error text (nothing has changed then). -EBUSY: another apply is under way.
 * diff: plan_diff(engine_plan(), p), which is taken over, from who has made it elsewhere; NULL: it is made here, which takes
 * as long as there are peers. */
int engine_apply(struct engine *e, struct plan *p, struct plan_diff *diff, void (*done)(void *arg, const char *error), void *arg);
const struct plan *engine_plan(const struct engine *e); /* the running one; NULL before the first */
/* The running plan, kept so that it can be applied again whatever becomes of its file. NULL: none runs. */
struct plan_ref *engine_hold(struct engine *e);
const struct plan *engine_held(const struct plan_ref *held);
/* As engine_apply(), of a plan that was held; the hold stays the caller's. */
int engine_apply_held(struct engine *e, struct plan_ref *held, struct plan_diff *diff, void (*done)(void *arg, const char *error),
	void *arg);
void engine_release(struct plan_ref *held); /* NULL: nothing */
/* ns since the worker last began a loop, as far as `seen` tells, which holds what an earlier call saw (zeroed: none). */
struct engine_stall {
	uint64_t loops, since;
};
uint64_t engine_stalled(struct engine *e, unsigned worker, struct engine_stall *seen);
unsigned engine_workers(const struct engine *e);
const struct catalogue *engine_catalogue(const struct engine *e);
uint64_t engine_generation(const struct engine *e); /* counts applies */

/* What others see of this box may have changed: an address of ours has, or a path that worked is dead. True once after that. */
bool engine_stirred(struct engine *e);
void engine_stir(struct engine *e); /* any thread */
struct tr_instance *engine_instance(struct engine *e, const char *name);
unsigned engine_each(struct engine *e, void (*fn)(void *arg, struct tr_instance *), void *arg);
void engine_totals(struct engine *e, struct graph_totals *out);
/* Per instance: counters; per node: packets in, per drop reason. For stats, drops, OpenMetrics. */
void engine_show_stats(struct engine *e, struct tr_show *out);
void engine_show_threads(struct engine *e, struct tr_show *out); /* what each has of the totals */
void engine_show_drops(struct engine *e, struct tr_show *out);
void engine_show_workers(struct engine *e, struct tr_show *out); /* busy share, loops, sleeping, generation */
/* Packets of one peer that one thread dropped for one reason. Peers that lost packets of late; returns how many more were lost. */
struct engine_peer_drop {
	unsigned thread;
	uint32_t peer;
	const char *instance, *reason;
	uint64_t packets;
};
uint64_t engine_each_peer_drop(struct engine *e, void (*fn)(void *arg, const struct engine_peer_drop *d), void *arg);
/* The same as [{peer, instance, reason, packets}…], and `others`. */
void engine_show_peer_drops(struct engine *e, struct tr_show *out);

/* A filter: classic BPF for packets that begin with their IP header, as pcap_compile() makes it for DLT_RAW. */
struct bpf_insn;
struct filter {
	const struct bpf_insn *insn; /* copied */
	unsigned n;                  /* 0: everything */
};
/* The next n packets that enter at `instance` (NULL: any source) and match are followed; results by engine_trace_take().
 * -ENOENT: no such instance. -EINVAL: no valid program. */
int engine_trace_start(struct engine *e, const char *instance, unsigned n, struct filter f);
unsigned engine_trace_take(struct engine *e, struct tr_show *out); /* packets shown: [{at, node, text, verdict}…] */

/* Copies of what enters one in gate, into a bounded ring; when it is full they are counted as lost, and packets go on. */
#define CAPTURE_BYTES 1600
struct captured {
	uint64_t at; /* ns since 1970 */
	uint32_t len;
	uint32_t captured;
	struct tr_endpoint endpoint; /* of gates of type endpoint */
	uint8_t data[CAPTURE_BYTES];
};
/* -ENOENT: no such instance or gate; -EINVAL: no valid program, or one for a gate whose packets have no IP header; -EBUSY:
 * another capture is under way. `type` is what the gate takes. */
int engine_capture_start(struct engine *e, const char *instance, const char *gate, struct filter f, enum tr_gate_type *type);
unsigned engine_capture_take(struct engine *e, void (*fn)(void *arg, const struct captured *c), void *arg, unsigned max);
uint64_t engine_capture_lost(struct engine *e);
void engine_capture_stop(struct engine *e);

/* What becomes of a packet, asked of the nodes that would decide: it walks the graph of worker 0, traced, through the nodes
 * that only decide (route, mux, drop) and is dropped where another would have it. */
struct question {
	const char *instance, *gate; /* the in gate that it enters */
	struct tr_meta meta;
	uint16_t len;
	uint8_t data[256];
};
/* -ENOENT: no such in gate on a worker. -EBUSY: a trace or another question is under way. */
int engine_explain_start(struct engine *e, const struct question *q);
bool engine_explain_done(struct engine *e);
struct graph_probe engine_explain_packet(const struct engine *e); /* done, and not yet ended; of len 0: it did not go on */
/* Ends it, done or not; the answer is shown as engine_trace_take() does (out NULL: nobody wants it). */
void engine_explain_end(struct engine *e, struct tr_show *out);
