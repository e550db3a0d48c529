/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Inside of the fake host. Two hosts that stand for two generations of one instance share a world: the clock, state
 * blocks, timers, netmap and packets are the world's, code and options the host's. One thread; `calling` says which
 * thread the callback that runs now would be on, so that a host call from the wrong one fails the test.
 */
#pragma once

#include "../config/config.h"
#include "../engine.h"
#include "../netmap/candidate.h"
#include "pool.h"

#include <sys/queue.h>
#include <tailrace/fakehost.h>

#define TICK 4000000u /* ns: timer resolution */
#define FD_TICK (25 * TICK) /* descriptors of which none is ready are looked at when anything happens, and so often */
#define FAKE_JOBS 64
#define FAKE_INBOX 1024
#define FAKE_LIVE 8
#define FAKE_PACKETS 65536

enum calling { BY_CONTROL = 1, BY_WORKER = 2, BY_SERVICE = 4, BY_JOB = 8, BY_ANY = 15 };

struct fake_blocks {
	struct tr_blocks blocks;
	LIST_ENTRY(fake_blocks) link;
	char *instance, *type;
	uint32_t layout;
	size_t size;
	bool per_peer;
};

struct fake_peer {
	enum { PEER_FREE, PEER_LIVE, PEER_DYING } state;
	struct tr_peer *record; /* malloc()ed, with its allowed IPs and name behind it */
	struct tr_endpoint path; /* as long as it is the only one known */
	struct candidates *ways; /* then NULL */
	uint64_t session, sent;
};

struct fake_index {
	uint32_t index;
	uint16_t worker;
	uint64_t value;
};

struct fake_call { /* posted work and deferred frees, in order */
	STAILQ_ENTRY(fake_call) link;
	struct fh *h;
	enum { CALL_PEER, CALL_CONTROL, CALL_SERVICE, CALL_DEFER } kind;
	void (*peer_fn)(struct tr_node *, uint32_t, uint64_t);
	void (*fn)(void *, void *);
	void (*defer_fn)(void *);
	void *arg;
	uint32_t peer;
	uint64_t value;
};

struct fake_job {
	struct tr_job job; /* first */
	struct fh *h;
	uint16_t worker;
	enum { JOB_FREE, JOB_TAKEN, JOB_QUEUED } state;
	uint64_t order;
};

struct tr_watch {
	LIST_ENTRY(tr_watch) link;
	struct fh *h;
	enum calling thread;
	bool closed;
	int fd, events; /* fd < 0: a timer */
	uint64_t at, repeat;
	void (*fd_fn)(void *, int);
	void (*timer_fn)(void *);
	void *arg;
};

struct world {
	struct fh *live[FAKE_LIVE]; /* the newest last: timers, peer events and results of jobs go to it */
	unsigned n_live;
	uint16_t workers;
	enum calling calling;
	uint16_t calling_worker;
	uint64_t now, wall_base;
	bool fd_was_ready; /* when they were last looked at */
	struct rte_mempool *pool;
	uint32_t held, loose; /* loose: made by fh_packet(), not yet sent */
	struct tr_timer **timers; /* per worker */
	LIST_HEAD(, fake_blocks) blocks;
	uint32_t max_peers;
	struct fake_peer *peers; /* by id */
	struct fake_index *indexes;
	unsigned n_indexes;
	uint64_t random;
	STAILQ_HEAD(, fake_call) calls;
	STAILQ_HEAD(, fake_spread) spread;
	bool room_elsewhere;
	unsigned n_calls;
	struct fake_job *jobs;
	uint64_t job_order;
	bool jobs_full;
	uint64_t icmp_since;
	uint32_t backlog;
	LIST_HEAD(, tr_watch) watches;
	struct arena *arena; /* of the names */
	const char *domain;
	struct tr_list names;
	struct tr_derp_map derp;
	char unix_dir[64];
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	uint16_t n_own;
	void **garbage; /* old peer records: freed between steps */
	unsigned n_garbage;
};

struct fake_packet {
	STAILQ_ENTRY(fake_packet) link;
	struct rte_mbuf *m;
	uint16_t worker, gate; /* TR_NO_WORKER: the service loop */
};

struct fake_out {
	STAILQ_ENTRY(fake_out) link;
	struct fh_out out;
	uint8_t data[];
};

struct fh {
	struct tr_instance instance; /* first */
	struct tr_host host;
	struct world *world;
	struct arena *arena; /* of the options */
	struct diags diags;
	const void *pipeline_options; /* without what option_set() laid over them */
	uint16_t n_in, n_out, n_drops, n_counters, n_workers_up;
	const char **gate; /* names of the out gates, dynamic ones included */
	void **local;
	struct tr_node *nodes; /* per worker, then the service loop: n_in + 1 each; the last is of callbacks without a gate */
	uint64_t *counters; /* per worker, then the service loop */
	uint64_t *drop_count; /* class's reasons, then graph_drops */
	bool started, stopping, service_begun, service_over;
	STAILQ_HEAD(, fake_packet) queue;
	STAILQ_HEAD(, fake_out) outs;
	struct fake_out *taken;
};

/* fake_options.c. A failure goes to fh_on_failure()'s handler, or is printed and ends the process. */
void fake_failed(const char *format, ...) __attribute__((format(printf, 1, 2)));
bool fake_allow(struct tr_instance *i, enum calling who, const char *call);
void fake_set_failure(const char *format, va_list args);

/* fakehost.c. Told before each callback of the lifecycle, when set: "create()", "start()", … */
extern void (*fake_stage)(const char *what);
void fake_aead(struct tr_aead *p, uint16_t n, bool open);

static inline struct fh *
fake_of(struct tr_instance *i)
{
	return (struct fh *)i;
}

/* Node of a callback that has no gate of its own. */
static inline struct tr_node *
fake_node(struct fh *h, uint16_t worker)
{
	uint16_t row = worker == TR_NO_WORKER ? h->world->workers : worker;
	return &h->nodes[(size_t)row * (h->n_in + 1u) + h->n_in];
}

static inline struct fh *
fake_newest(struct world *w)
{
	return w->live[w->n_live - 1];
}

static inline uint16_t
fake_owner(const struct world *w, uint32_t peer)
{
	return (uint16_t)(peer % w->workers);
}

/* fake_state.c */
void fake_state_host(struct tr_host *host);
void fake_blocks_zero(struct world *w, uint32_t peer);
bool fake_in_blocks(const struct world *w, const void *p);
struct world *fake_world_new(const struct fh_config *c);
void fake_world_free(struct world *w); /* reports what has leaked */
void fake_enter(struct world *w, enum calling who, uint16_t worker);

/* fake_packets.c */
void fake_packets_host(struct tr_host *host);
void fake_run(struct fh *h); /* processes what is queued, then checks the books */
void fake_gates(struct fh *h, const char *const *dynamic, unsigned n);
int fake_in_gate(struct fh *h, const char *name);

void fake_enqueue(struct fh *h, uint16_t worker, uint16_t gate, struct rte_mbuf *m);

/* fake_spread.c */
void fake_spread_host(struct tr_host *host);
unsigned fake_spread_back(struct world *w);

/* fake_time.c */
void fake_time_host(struct tr_host *host);
void fake_step(struct world *w); /* one loop of every thread at the present time */
void fake_drain(struct world *w, struct fh *h); /* runs h's jobs and posts until there are none */
struct tr_node *fake_service_node(struct fh *h);
void fake_time_leaks(struct world *w, struct fh *h);

/* fake_netmap.c */
void fake_netmap_host(struct tr_host *host);
bool fake_netmap_load(struct world *w, struct fh *h, const char *yaml);
void fake_netmap_added(struct fh *h); /* TR_PEER_ADDED for every peer */
void fake_netmap_settle(struct world *w); /* grace period over: garbage freed, removed peers' blocks zeroed */
void fake_netmap_free(struct world *w);

/* fake_options.c, on */
bool fake_options(struct fh *h, const char *yaml, void **out, struct arena **arena);
bool fake_map(const char *what, const char *yaml, const struct tr_option *table, const char *const *ignore,
	struct opt_context *c, void *out, struct cfg_node **root);
bool fake_diags(struct diags *d);
int fake_option_set(struct tr_instance *i, const char *key, const char *value);
