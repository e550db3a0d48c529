/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine's parts, for core/engine and core/worker only. */
#pragma once

#include "../crypto/aead.h"
#include "../engine.h"
#include "../netmap/index.h"
#include "../netmap/store.h"
#include "../runtime/clock.h"
#include "../runtime/loop.h"
#include "../worker/spread.h"
#include "../worker/wheel.h"

#include <pthread.h>
#include <rte_ring.h>
#include <stdatomic.h>
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define RING_TSAN
void AnnotateIgnoreReadsBegin(const char *file, int line); /* of TSan's run-time */
void AnnotateIgnoreReadsEnd(const char *file, int line);
#endif
#endif

#define MAX_SLOTS 256
#define MAX_GATES 32   /* in gates that one slot has ever had */
#define MAX_WORKERS 64
#define MAX_SERVICES 16
#define MAX_THREADS (MAX_WORKERS + MAX_SERVICES)
#define RING_SIZE 1024  /* packets between two threads */
#define SERVICE_RING_SIZE 4096 /* from a worker to a service loop, which shares a CPU with others; a quarter of the pool at most */
#define INBOX_SIZE 4096 /* posts to a worker */
#define TRACE_RING 1024

/* ---- What outlives instances ---- */
struct blocks_entry {
	struct blocks_entry *next;
	char *type;
	uint32_t layout;
	size_t size;
	bool per_peer;
	struct tr_blocks blocks;
};

struct past { /* totals of instances that are gone, by name */
	char *name;
	uint64_t value;
};

struct slot {
	char name[TR_INSTANCE_NAME_MAX];
	uint16_t id;
	struct engine *engine;
	struct tr_instance *current; /* control thread; NULL: being removed */
	struct blocks_entry *blocks;
	struct index_table *indexes; /* made on first use */
	struct wheel *wheel;         /* [workers] */
	char *gate[MAX_GATES];       /* in gate names; a position here is what travels through rings */
	unsigned n_gates;
	struct past *past;
	unsigned n_past;
};

/* ---- One thread's share of a generation ---- */
struct lane {
	struct graph *graph;
	/* The same thread's lane of the generation before, while anything of that one may still run; control, atomic. */
	struct lane *before;
	struct graph_node *node[MAX_SLOTS][MAX_GATES]; /* by slot and slot's gate number */
	struct graph_node *own[MAX_SLOTS];             /* for callbacks */
	struct {
		uint32_t (*fn)(struct tr_node *);
		struct tr_node *node;
	} *poll;
	unsigned n_poll;
	struct lane_timed {
		struct wheel *wheel;
		void (*fn)(struct tr_node *, struct tr_timer *);
		struct tr_node *node;
	} *timed;
	unsigned n_timed;
};

struct instance_worker { /* one thread's share of an instance */
	void *local;
	uint64_t *count, *drops, *packets; /* class counters; drop reasons and the runner's; per in gate */
	struct graph_node *own;            /* in the graph that the thread runs, or ran last; set by the thread itself */
	bool inited;
};

struct plan_ref {
	struct plan *plan;
	unsigned refs;
	struct loop *control;
};

struct generation {
	uint64_t number;
	struct plan_ref *plan;
	struct tr_instance **instance; /* by plan index */
	unsigned n_instances;
	struct lane *lane[MAX_THREADS];
};

/* ---- Threads ---- */
struct inbox_entry { /* 32 bytes */
	enum { INBOX_POST, INBOX_PEER, INBOX_FENCE, INBOX_PATH, INBOX_FOLLOW, INBOX_WANTED, TO_CONTROL, TO_SERVICE /* in the backlog only: posts to loops */ } kind;
	uint32_t peer;
	struct tr_instance *instance;
	union {
		void (*fn)(struct tr_node *, uint32_t peer, uint64_t arg);
		loop_fn *call;
	};
	uint64_t arg; /* INBOX_PEER: event; INBOX_FENCE: pointer to the counter; INBOX_PATH: to a malloc()ed tr_path */
};

struct ring_entry { /* 16 bytes */
	struct rte_mbuf *pkt;
	uint64_t target;
};

struct thread {
	struct graph_thread gt; /* first */
	struct engine *engine;
	struct lane *lane;      /* the thread's */
	struct lane *next;      /* control's, before it publishes the generation */
	uint64_t switched;      /* number of the generation it runs; thread -> control; atomic */
	uint64_t gone;          /* packets dropped because what they were sent to is gone; thread writes, control reads */
	struct rte_ring *in[MAX_THREADS]; /* from each other thread */
	struct rte_ring *captures; /* to control */
	uint64_t captures_lost;    /* thread writes, control reads */
};

struct worker {
	struct thread t; /* first */
	pthread_t thread;
	bool running;
	int cpu;
	bool unpinned; /* atomic: it may not run on that CPU, or there is none */
	int reader; /* rcu */
	struct rte_ring *inbox;
	struct rte_ring *jobs_done;
	struct tr_job **job_free;
	uint32_t n_job_free;
	void *aead;
	struct clock clock;
	struct spread spread;
	bool wake_jobs, wake_control;
	bool wake_service[MAX_SERVICES];
	/* Worker writes, control reads. */
	uint64_t loops, busy_ns, longest_ns, sleeps, worked_at;
} __attribute__((aligned(64)));

struct service {
	struct thread t; /* first */
	struct loop *loop;
	uint32_t drain_posted; /* atomic: a drain is on its way through the loop's inbox */
	void *aead;
};

struct jobs;

struct apply; /* engine.c */
struct program; /* capture.c */
struct capture;
struct probe; /* explain.c */

/* When a transport last sent to a peer, and when its prober was last told of it: ticks of 17 ms, 0: never. The owner's. */
struct sent {
	_Atomic uint32_t at, told;
};

struct engine {
	struct engine_config config;
	struct tr_host host;
	struct loop *control;
	struct rte_mempool *pool;
	uint16_t workers, services, threads;
	uint32_t max_peers;
	bool busy_poll;
	const struct aead_engine *aead;
	struct worker *worker;   /* [workers] */
	struct service *service; /* [services] */
	struct jobs *jobs;
	bool stop;               /* atomic */
	uint64_t published;      /* atomic: the generation whose lanes the threads are to run */
	uint16_t pressed;        /* workers that are; atomic */
	struct slot *slot[MAX_SLOTS];
	struct generation *current;
	uint64_t generation;
	struct apply *apply;
	struct apply *waiting; /* until a rewiring under way is over */
	struct catalogue catalogue;
	struct graph_thread graveyard; /* counts what retired nodes drop */
	struct inbox_entry *backlog; /* posts that wait for room, or for their instance's first generation */
	unsigned n_backlog, backlog_size, backlog_head;
	bool building; /* the backlog waits: it may hold posts of instances that no thread knows yet */
	struct loop_watch *tick;
	/* Tracing. */
	struct rte_ring *traces;
	uint32_t trace_next;   /* atomic: the last id given out */
	uint32_t trace_wanted;
	struct graph_trace *trace_kept;
	unsigned n_trace_kept;
	bool following;               /* packets are, or were until their trace was taken */
	struct program *trace_filter; /* atomic; NULL: any packet. Freed after a grace period */
	struct capture *capture;      /* atomic, likewise; NULL: off */
	struct probe *probe;          /* a question under way */
	uint64_t captures_lost;       /* by captures before this one */
	bool closing; /* the last apply: nothing is left */
	_Atomic(struct sent *) sent; /* by peer id; NULL until there is a prober */
	_Atomic bool stirred; /* our addresses may be others by now: engine_stirred() */
	bool rewire; /* an operator's listen port changed: apply the same plan again */
};

/* instance.c */
struct slot *slot_get(struct engine *e, const char *name);
void slot_release(struct slot *s); /* no instance, no packets, no timers left */
unsigned slot_gate(struct slot *s, const char *in_gate);
struct tr_instance *instance_create(struct engine *e, struct generation *g, unsigned index, char *why, size_t size);
void instance_stop(struct tr_instance *i);
void instance_destroy(struct tr_instance *i);
void instance_reconfigure(struct tr_instance *i, struct plan_ref *plan, unsigned index);
void *instance_options(struct tr_instance *i, const struct plan_instance *p); /* plan's, the operator's laid over; malloc()ed */
void plan_unref(struct plan_ref *r);
bool instance_dynamic(const struct tr_class *c);

/* blocks.c */
const struct tr_blocks *blocks_get(struct tr_instance *i, const char *type, uint32_t layout, size_t size, bool per_peer);
void blocks_zero_peer(struct slot *s, uint32_t peer);
void blocks_free(struct slot *s);

/* lane.c */
struct lane *lane_new(struct engine *e, const struct generation *g, unsigned thread);
void lane_free(struct lane *l);

/* host.c */
void host_init(struct engine *e);

/* backlog.c */
void engine_peer_event(void *arg, struct netmap_table *t, enum tr_peer_event ev, uint32_t peer);
void engine_peer_retired(void *arg, uint32_t peer); /* its id is free now: blocks are zeroed */
int backlog_add(struct engine *e, const struct inbox_entry *entry);
void backlog_forget(struct engine *e, const struct tr_instance *i); /* it never ran */
unsigned backlog_flush(struct engine *e); /* returns how many still wait */

/* quiet.c: finds out that nothing of some instances runs, or is on its way to run, on any thread. */
struct quiet {
	struct engine *e;
	struct tr_instance *const *gone;
	unsigned n_gone;
	unsigned rounds;         /* begun in a row without a sign of life */
	uint64_t activity;       /* when the first of them began */
	uint32_t fences, posted; /* fences that came back (atomic), and all that were posted */
	uint32_t *seen;          /* [threads * threads] ends of the rings when the round began; a worker's own: of its spread */
};
void quiet_begin(struct quiet *q);
bool quiet_step(struct quiet *q); /* now and then, until it is true */
bool quiet_fence(struct quiet *q); /* a single round, begun by the first call; true when it is over */
void quiet_fini(struct quiet *q);

/* engine.c */
struct tr_instance *engine_of_table(struct engine *e, const struct netmap_table *t); /* whose peers these are */
void engine_rewire(struct engine *e);
struct tr_instance *const *engine_gone(const struct engine *e, unsigned *n); /* being retired: they still count */
void engine_drop_generation(struct engine *e); /* after the threads have ended */

/* stats.c */
uint64_t engine_packets_in(const struct tr_instance *i); /* by all its in gates on all threads */

/* trace.c */
uint8_t trace_id(struct graph_thread *t);
void trace_entry(struct graph_thread *t, const struct graph_trace *entry);
void trace_flag(struct engine *e); /* tells the threads whether anything is followed or captured */
void trace_begin_question(struct engine *e); /* one packet, which brings its id */
void trace_end_question(struct engine *e);
static inline struct engine *
thread_engine(struct graph_thread *t)
{
	return ((struct thread *)t)->engine;
}

/* capture.c */
bool trace_match(struct graph_thread *t, const struct rte_mbuf *m);
void capture_packets(struct graph_thread *t, const struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n);
int program_new(struct filter f, struct program **out); /* *out NULL: everything. -EINVAL, -ENOMEM */
void program_free(void *program);
void capture_free(struct engine *e); /* at the end: the threads have ended */

/* worker.c */
int worker_start(struct worker *w);
void worker_join(struct worker *w);
/* One loop at the time gt.now, without a rest. Worker's thread; a benchmark that has parked it makes turns itself. */
unsigned worker_turn(struct worker *w);
uint64_t engine_sent_at(const struct engine *e, uint32_t peer, uint64_t now); /* ns; 0: never */
int worker_post(struct worker *w, const struct inbox_entry *entry); /* any thread; -EAGAIN */
/* Many producers, or many consumers, take turns (HTS): in the other modes a producer only waits, without ordering, for
 * the ones before it, and who then reads its entries may see theirs half written. */
#define RING_FROM_MANY (RING_F_MP_HTS_ENQ | RING_F_SC_DEQ)
#define RING_AMONG_MANY (RING_F_MP_HTS_ENQ | RING_F_MC_HTS_DEQ)
struct rte_ring *ring_new(size_t element, unsigned count, unsigned flags);
void ring_free(struct rte_ring *r);
/* Rings with many producers order these by loads of head and tail as one word and stores of the tail alone, which TSan
 * takes for different objects: it is told. */
static inline int
ring_put(struct rte_ring *r, const void *element, unsigned size)
{
#ifdef RING_TSAN
	__tsan_release(r);
#endif
	return rte_ring_enqueue_elem(r, (void *)(uintptr_t)element, size);
}
static inline unsigned
ring_take(struct rte_ring *r, void *elements, unsigned size, unsigned n)
{
#ifdef RING_TSAN
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
#endif
	n = rte_ring_dequeue_burst_elem(r, elements, size, n, NULL);
#ifdef RING_TSAN
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
	__tsan_acquire(r);
#endif
	return n;
}
static inline bool
ring_idle(const struct rte_ring *r)
{
	return __atomic_load_n(&r->prod.tail, __ATOMIC_ACQUIRE) == __atomic_load_n(&r->cons.tail, __ATOMIC_RELAXED);
}
static inline struct thread *
engine_thread(struct engine *e, unsigned id)
{
	return id < e->workers ? &e->worker[id].t : &e->service[id - e->workers].t;
}
bool thread_push(struct graph_thread *t, uint16_t to, struct rte_mbuf *pkt, uint32_t target);
unsigned thread_room(struct graph_thread *t, uint16_t to);
bool thread_crowded(struct graph_thread *t, uint16_t by);
unsigned thread_drain(struct thread *t);
void thread_take_lane(struct thread *t); /* between walks */
/* Packets that were held, into the node that `target` names now; to be walked. */
void thread_enter(struct thread *t, uint64_t target, struct rte_mbuf **pkts, uint16_t n);

/* service.c */
int service_start(struct service *s, unsigned n);
void service_stop(struct service *s);
void service_kick(struct service *s); /* any thread: packets wait in its rings, or a lane */
static inline struct service *
instance_service(const struct tr_instance *i)
{
	return &i->engine->service[i->slot->id % i->engine->services];
}

/* jobs.c */
#define JOBS_MAX 4096
struct jobs *jobs_new(struct engine *e, unsigned threads);
void jobs_free(struct jobs *j); /* threads joined; nothing outstanding */
void jobs_share(struct jobs *j, struct worker *w); /* its part of the job structs */
struct tr_job *jobs_take(struct worker *w, struct tr_instance *i);
void jobs_submit(struct worker *w, struct tr_job *job);
void jobs_give_back(struct worker *w, struct tr_job *job);
unsigned jobs_finish(struct worker *w); /* runs done() of what came back */
void jobs_wake(struct jobs *j);
