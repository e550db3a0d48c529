/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A worker: one thread that polls sources, other threads' rings, its inbox, finished jobs and its timer wheels, and walks
 * its graph after each. Its only syscalls are its own sleep when idle and the wake-up of a thread that sleeps, both
 * outside process().
 */
#include "../engine/private.h"
#include "../runtime/rcu.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <time.h>

/*
 * Adaptive idle: a worker that finds no work sleeps, in steps that double up to the longest. It spins only as long as a
 * burst takes to gather where packets come by the million: at lower rates packets are cheaper taken a few at a time than
 * awaited one by one, and at higher ones a sleep would let the port's queue fill.
 */
#define SPIN_NS UINT64_C(3000)
#define SLEEP_MIN_NS UINT64_C(50000)
#define SLEEP_MAX_NS UINT64_C(1000000)

struct rte_ring *
ring_new(size_t element, unsigned count, unsigned flags)
{
	ssize_t size = rte_ring_get_memsize_elem((unsigned)element, count);
	struct rte_ring *r = size > 0 ? aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN((size_t)size, RTE_CACHE_LINE_SIZE)) : NULL;
	if (r && rte_ring_init(r, "tailrace", count, flags) != 0) {
		free(r);
		return NULL;
	}
	return r;
}

void
ring_free(struct rte_ring *r)
{
	free(r);
}

bool
thread_push(struct graph_thread *t, uint16_t to, struct rte_mbuf *pkt, uint32_t target)
{
	struct engine *e = ((struct thread *)t)->engine;
	struct ring_entry entry = {pkt, target};

	if (rte_ring_sp_enqueue_elem(engine_thread(e, to)->in[t->id], &entry, sizeof(entry)) != 0)
		return false;
	if (to >= e->workers) {
		if (t->worker == TR_NO_WORKER)
			service_kick(&e->service[to - e->workers]);
		else
			((struct worker *)t)->wake_service[to - e->workers] = true;
	}
	return true;
}

/* For its writer: at least so many find a place. For others it is about right. */
static unsigned
ring_room(const struct rte_ring *r)
{
	const uint32_t taken = __atomic_load_n(&r->cons.tail, __ATOMIC_ACQUIRE);
	return r->capacity - ((__atomic_load_n(&r->prod.tail, __ATOMIC_RELAXED) - taken) & r->mask);
}

unsigned
thread_room(struct graph_thread *t, uint16_t to)
{
	struct engine *e = ((struct thread *)t)->engine;
	return ring_room(engine_thread(e, to)->in[t->id]);
}

bool
thread_crowded(struct graph_thread *t, uint16_t by)
{
	struct engine *e = ((struct thread *)t)->engine;
	const struct rte_ring *mine = engine_thread(e, by)->in[t->id];
	const unsigned waiting = mine->capacity - ring_room(mine);
	for (unsigned s = 0; s < e->services; s++) {
		const struct rte_ring *r = e->service[s].t.in[by];
		if (&e->service[s].t.gt != t && ring_room(r) < r->capacity / 2 + waiting)
			return true;
	}
	return false;
}

/* An instance's node of this lane; one that had none on this service loop begins here. */
static void
take_on(struct thread *t, struct graph_node *own)
{
	struct tr_instance *i = own->pub.instance;
	struct instance_worker *w = &i->w[t->gt.worker == TR_NO_WORKER ? t->engine->workers : t->gt.worker];
	bool first = !w->own;
	w->own = own;
	if (first && t->gt.worker == TR_NO_WORKER && i->class_->service_init) {
		i->class_->service_init(&own->pub);
		graph_walk(own->graph);
	}
}

/* All threads' lanes of a generation are in place before its number is published. Who has taken something from another
 * thread comes here before acting on it: then its lane is as new as that of the thread it came from. */
void
thread_take_lane(struct thread *t)
{
	uint64_t number = __atomic_load_n(&t->engine->published, __ATOMIC_ACQUIRE);
	if (likely(number == t->switched))
		return;
	if (t->lane)
		graph_walk(t->lane->graph);
	t->lane = t->next;
	for (unsigned i = 0; i < MAX_SLOTS; i++)
		if (t->lane->own[i])
			take_on(t, t->lane->own[i]);
	__atomic_store_n(&t->switched, number, __ATOMIC_RELEASE);
}

/* In the thread's lane, else in the one before: an instance that goes away serves what was sent to it. */
static struct graph_node *
target_node(const struct thread *t, uint64_t target)
{
	unsigned slot = (target >> 8) % MAX_SLOTS, gate = target % MAX_GATES;
	struct graph_node *node = t->lane->node[slot][gate];
	if (likely(node))
		return node;
	const struct lane *before = __atomic_load_n(&t->lane->before, __ATOMIC_RELAXED);
	node = before ? before->node[slot][gate] : NULL;
	if (node && t->gt.worker == TR_NO_WORKER && !node->pub.instance->w[t->engine->workers].own)
		return NULL; /* its last callback here has run */
	return node;
}

void
thread_enter(struct thread *t, uint64_t target, struct rte_mbuf **pkts, uint16_t n)
{
	struct graph_node *node = target_node(t, target);
	if (unlikely(!node)) {
		t->gone += n;
		t->gt.totals.held -= n;
		t->gt.totals.drops += n;
		rte_pktmbuf_free_bulk(pkts, n);
		return;
	}
	graph_enter(node, pkts, n);
	if (unlikely(node->graph != t->lane->graph))
		graph_walk(node->graph);
}

/* Takes up to a burst from each other thread's ring. */
unsigned
thread_drain(struct thread *t)
{
	unsigned total = 0;
	for (unsigned from = 0; from < t->engine->threads; from++) {
		struct ring_entry entry[TR_BURST];
		if (!t->in[from] || ring_idle(t->in[from]))
			continue;
		unsigned n = rte_ring_sc_dequeue_burst_elem(t->in[from], entry, sizeof(entry[0]), TR_BURST, NULL);
		thread_take_lane(t);
		for (unsigned i = 0; i < n;) {
			uint64_t target = entry[i].target;
			struct rte_mbuf *run[TR_BURST];
			uint16_t m = 0;
			while (i < n && entry[i].target == target)
				run[m++] = entry[i++].pkt;
			thread_enter(t, target, run, m);
		}
		total += n;
	}
	if (total)
		graph_walk(t->lane->graph);
	return total;
}

int
worker_post(struct worker *w, const struct inbox_entry *entry)
{
	return ring_put(w->inbox, entry, sizeof(*entry)) == 0 ? 0 : -EAGAIN;
}

static void
released(void *a, void *b)
{
	netmap_released((uint32_t)(uintptr_t)b);
	(void)a;
}

static void
deliver_peer(struct worker *w, const struct inbox_entry *m, struct graph_node *own)
{
	const struct tr_class *c = m->instance->class_;
	if (m->arg == TR_PEER_CHANGED)
		path_adopt(m->peer, w->t.gt.now); /* an endpoint that the operator set; only the owner writes the one in use */
	if (c->peer && own) {
		c->peer(&own->pub, (enum tr_peer_event)m->arg, m->peer);
		graph_walk(own->graph);
	}
	if (m->arg == TR_PEER_REMOVED) {
		netmap_removed(m->peer);
		/* Control drains its inbox within a loop; losing this would leak the id. */
		while (loop_post_quiet(w->t.engine->control, released, NULL, (void *)(uintptr_t)m->peer) != 0)
			rte_pause();
		w->wake_control = true;
	}
}

static void
forgotten(void *a, void *b)
{
	free(b);
	(void)a;
}

static void
deliver_path(struct worker *w, const struct inbox_entry *m)
{
	struct tr_path *news = (struct tr_path *)(uintptr_t)m->arg;
	if (path_tell(m->peer, news, w->t.gt.now))
		engine_stir(w->t.engine);
	while (loop_post_quiet(w->t.engine->control, forgotten, NULL, news) != 0)
		rte_pause();
	w->wake_control = true;
}

/* The prober is looked for here, in the lane that runs: whoever sent the packet does not know it. */
static void
deliver_wanted(struct worker *w, uint32_t peer)
{
	const struct netmap_table *t = netmap_table_of(peer);
	for (unsigned k = 0; k < MAX_SLOTS && t; k++) {
		struct graph_node *own = w->t.lane->own[k];
		if (!own || own->pub.instance->table != t || !(own->pub.instance->class_->flags & TR_CLASS_PROBES))
			continue;
		own->pub.instance->class_->peer(&own->pub, TR_PEER_WANTED, peer);
		graph_walk(own->graph);
	}
}

#define TICK 24 /* bits of ns */

/* By a direct path that is trusted, or otherwise. `ask`: one that is trusted, on which nothing has been heard for a moment. */
static void
sent(struct engine *e, struct sent *s, uint64_t time, uint32_t peer, bool trusted, bool ask)
{
	const uint32_t now = (uint32_t)(time >> TICK) | 1, second = 60;
	const uint32_t at = atomic_load_explicit(&s->at, memory_order_relaxed);
	if (likely(at == now))
		return;
	atomic_store_explicit(&s->at, now, memory_order_relaxed);
	const bool quiet = ask && path_quiet(peer, time);
	const uint32_t told = atomic_load_explicit(&s->told, memory_order_relaxed);
	if ((trusted && !quiet && at && now - at < second) || (told && now - told < (quiet ? second / 3 : second)))
		return;
	const struct inbox_entry entry = {.kind = INBOX_WANTED, .peer = peer};
	if (worker_post(&e->worker[peer % e->workers], &entry) == 0)
		atomic_store_explicit(&s->told, now, memory_order_relaxed);
}

void
engine_sent(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n)
{
	struct engine *e = node->instance->engine;
	struct sent *all = atomic_load_explicit(&e->sent, memory_order_acquire);
	if (likely(!all)) /* nobody probes */
		return;
	for (uint16_t i = 0; i < n; i++) {
		const struct tr_meta *meta = tr_meta(pkts[i]);
		const uint8_t flags = meta->endpoint.flags & (TR_ENDPOINT_TWICE | TR_ENDPOINT_ASK);
		const bool trusted = meta->endpoint.gate == TR_KIND_UDP && !(flags & TR_ENDPOINT_TWICE);
		if (meta->peer != TR_NO_PEER)
			sent(e, &all[meta->peer], *node->now, meta->peer, trusted, flags == TR_ENDPOINT_ASK);
	}
}

uint64_t
engine_sent_at(const struct engine *e, uint32_t peer, uint64_t now)
{
	const struct sent *all = atomic_load_explicit(&e->sent, memory_order_acquire);
	const uint32_t at = all ? atomic_load_explicit(&all[peer].at, memory_order_relaxed) : 0;
	const uint64_t ago = (uint64_t)((uint32_t)(now >> TICK) - (at & ~1u)) << TICK;
	return at ? now - (ago < now ? ago : now) : 0;
}

static unsigned
read_inbox(struct worker *w)
{
	struct inbox_entry m[32];
	if (ring_idle(w->inbox))
		return 0;
	unsigned n = ring_take(w->inbox, m, sizeof(m[0]), 32);
	thread_take_lane(&w->t);
	for (unsigned i = 0; i < n; i++) {
		struct graph_node *own = m[i].instance ? m[i].instance->w[w->t.gt.worker].own : NULL;
		switch (m[i].kind) {
		case INBOX_POST:
			if (own) {
				m[i].fn(&own->pub, m[i].peer, m[i].arg);
				graph_walk(own->graph);
			}
			break;
		case INBOX_PEER:
			deliver_peer(w, &m[i], own);
			break;
		case INBOX_PATH:
			deliver_path(w, &m[i]);
			break;
		case INBOX_FOLLOW:
			if (own) {
				m[i].instance->class_->peer(&own->pub, (enum tr_peer_event)m[i].arg, m[i].peer);
				graph_walk(own->graph);
			}
			break;
		case INBOX_WANTED:
			deliver_wanted(w, m[i].peer);
			break;
		case TO_CONTROL:
		case TO_SERVICE:
			break; /* never gets here */
		case INBOX_FENCE:
			__atomic_add_fetch((uint32_t *)(uintptr_t)m[i].arg, 1, __ATOMIC_RELEASE);
			break;
		}
	}
	return n;
}

static void
timer_due(void *arg, struct tr_timer *t)
{
	struct lane_timed *timed = arg;
	timed->fn(timed->node, t);
}

static unsigned
turn(struct worker *w)
{
	const struct lane *l = w->t.lane;
	unsigned work = 0;

	if (!spread_idle(&w->spread))
		spread_fetch(w);
	for (unsigned i = 0; i < l->n_poll; i++) {
		work += l->poll[i].fn(l->poll[i].node);
		if (unlikely(w->t.gt.clocked))
			graph_clock(graph_node(l->poll[i].node));
		graph_walk(l->graph); /* also what a poll that received nothing has emitted */
	}
	if (w->t.engine->threads > 1)
		work += thread_drain(&w->t);
	work += read_inbox(w);
	if (!ring_idle(w->jobs_done))
		work += jobs_finish(w);
	l = w->t.lane;
	for (unsigned i = 0; i < l->n_timed; i++) {
		unsigned n = wheel_advance(l->timed[i].wheel, w->t.gt.now, 256, timer_due, &l->timed[i]);
		if (n)
			graph_walk(l->graph);
		work += n;
	}
	if (!spread_idle(&w->spread))
		work += spread_turn(w, work > 0);
	return work;
}

static void
wake_others(struct worker *w)
{
	if (unlikely(w->wake_jobs)) {
		w->wake_jobs = false;
		jobs_wake(w->t.engine->jobs);
	}
	if (unlikely(w->wake_control)) {
		w->wake_control = false;
		loop_wake(w->t.engine->control);
	}
	for (unsigned i = 0; i < w->t.engine->services; i++) {
		if (unlikely(w->wake_service[i])) {
			w->wake_service[i] = false;
			service_kick(&w->t.engine->service[i]);
		}
	}
}

unsigned
worker_turn(struct worker *w)
{
	thread_take_lane(&w->t);
	unsigned work = w->t.lane ? turn(w) : read_inbox(w);
	wake_others(w);
	w->loops++;
	rcu_quiescent(w->reader);
	return work;
}

static void
rest(struct worker *w, uint64_t *sleep_ns)
{
	if (w->t.engine->busy_poll || w->t.gt.now - w->worked_at < SPIN_NS || !spread_idle(&w->spread)) {
		rte_pause();
		return;
	}
	struct timespec t = {0, (long)*sleep_ns};
	rcu_offline(w->reader);
	nanosleep(&t, NULL);
	rcu_online(w->reader);
	w->sleeps++;
	*sleep_ns = RTE_MIN(*sleep_ns * 2, SLEEP_MAX_NS);
}

static void *
worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t sleep_ns = SLEEP_MIN_NS;
	bool worked = false, own = false; /* did the last loop, and for packets of this worker */
	char name[16];

	snprintf(name, sizeof(name), "tr-worker%u", w->t.gt.worker);
	pthread_setname_np(pthread_self(), name);
	prctl(PR_SET_TIMERSLACK, 1); /* the default makes the shortest sleep four times as long */
	if (w->cpu >= 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(w->cpu, &set);
		if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
			__atomic_store_n(&w->unpinned, true, __ATOMIC_RELAXED);
	}
	if (w->t.engine->config.thread_start)
		w->t.engine->config.thread_start();
	w->reader = rcu_register();
	rcu_online(w->reader);
	while (!__atomic_load_n(&w->t.engine->stop, __ATOMIC_RELAXED)) {
		uint64_t before = w->t.gt.now;
		w->t.gt.now = clock_now(&w->clock);
		if (worked)
			w->busy_ns += w->t.gt.now - before;
		if ((worked || w->t.engine->busy_poll) && w->loops && w->t.gt.now - before > w->longest_ns)
			w->longest_ns = w->t.gt.now - before;
		spread_load(w, own ? w->t.gt.now - before : 0);
		own = worker_turn(w) > 0;
		worked = own || spread_help(w);
		if (worked) {
			sleep_ns = SLEEP_MIN_NS;
			w->worked_at = w->t.gt.now;
		} else {
			rest(w, &sleep_ns);
		}
	}
	rcu_offline(w->reader);
	rcu_unregister(w->reader);
	return NULL;
}

int
worker_start(struct worker *w)
{
	struct engine *e = w->t.engine;
	w->inbox = ring_new(sizeof(struct inbox_entry), INBOX_SIZE, RING_FROM_MANY);
	w->jobs_done = ring_new(sizeof(void *), JOBS_MAX * 2, RING_FROM_MANY);
	w->job_free = calloc(JOBS_MAX / e->workers + 1, sizeof(*w->job_free));
	w->aead = e->aead->worker_new();
	w->clock.steady = clock_steady();
	if (!w->inbox || !w->jobs_done || !w->job_free || !w->aead || spread_init(w) != 0)
		return -ENOMEM;
	jobs_share(e->jobs, w);
	int r = pthread_create(&w->thread, NULL, worker_main, w);
	w->running = r == 0;
	return -r;
}

void
worker_join(struct worker *w)
{
	if (w->running)
		pthread_join(w->thread, NULL);
	w->running = false;
}
