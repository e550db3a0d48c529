/* SPDX-License-Identifier: BSD-3-Clause */
/* Making and ending an engine: its threads and the rings between them. Control thread. */
#include "../net/classes.h"
#include "../runtime/log.h"
#include "../runtime/rcu.h"
#include "private.h"

#include <errno.h>
#include <stdlib.h>

static struct graph_thread
thread_proto(uint16_t worker, uint16_t id)
{
	return (struct graph_thread){.worker = worker, .id = id, .now = clock_ns(), .push = thread_push, .room = thread_room,
		.crowded = thread_crowded, .trace_id = trace_id, .trace = trace_entry, .trace_match = trace_match, .capture = capture_packets,
		.peer_drops = calloc(1, sizeof(struct graph_peer_drops))}; /* NULL: not counted */
}

static unsigned
ring_size(const struct engine *e, unsigned to, unsigned from)
{
	unsigned size = to >= e->workers && from < e->workers ? SERVICE_RING_SIZE : RING_SIZE;
	while (size > RING_SIZE && size > e->config.appliance->packets / 4)
		size /= 2;
	return size;
}

static bool
make_rings(struct engine *e)
{
	for (unsigned to = 0; to < e->threads; to++) {
		struct rte_ring **in = engine_thread(e, to)->in;
		for (unsigned from = 0; from < e->threads; from++)
			if (from != to && !(in[from] = ring_new(sizeof(struct ring_entry), ring_size(e, to, from), RING_F_SP_ENQ | RING_F_SC_DEQ)))
				return false;
	}
	return true;
}

static bool
start_threads(struct engine *e)
{
	for (uint16_t w = 0; w < e->workers; w++) {
		e->worker[w].t.gt = thread_proto(w, w);
		e->worker[w].t.engine = e;
		e->worker[w].cpu = e->config.cpu ? e->config.cpu[w] : -1;
	}
	for (uint16_t s = 0; s < e->services; s++) {
		e->service[s].t.gt = thread_proto(TR_NO_WORKER, e->workers + s);
		e->service[s].t.engine = e;
	}
	e->graveyard = (struct graph_thread){.worker = TR_NO_WORKER, .id = e->threads, .now = clock_ns(), .push = thread_push};
	e->traces = ring_new(sizeof(struct graph_trace), TRACE_RING, RING_FROM_MANY);
	if (!e->traces || !make_rings(e) || !(e->jobs = jobs_new(e, (unsigned)e->config.appliance->job_threads)))
		return false;
	for (unsigned s = 0; s < e->services; s++)
		if (service_start(&e->service[s], s) != 0)
			return false;
	for (unsigned w = 0; w < e->workers; w++)
		if (worker_start(&e->worker[w]) != 0)
			return false;
	return true;
}

/* An apply, which waits for a grace period, polls by itself; nothing else is in a hurry. */
static void
tick(void *arg)
{
	struct engine *e = arg;
	rcu_poll();
	if (e->n_backlog)
		backlog_flush(e);
}

struct engine *
engine_new(const struct engine_config *c)
{
	struct engine *e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->config = *c;
	e->control = c->control;
	e->pool = c->pool;
	e->workers = c->workers;
	e->services = (uint16_t)RTE_MAX(1u, (unsigned)c->appliance->service_threads);
	e->threads = e->workers + e->services;
	e->max_peers = (uint32_t)c->appliance->max_peers;
	if (c->appliance->max_routes != 0)
		route_limit = (uint32_t)c->appliance->max_routes;
	e->busy_poll = c->appliance->busy;
	e->aead = aead_choose(c->aead);
	e->worker = aligned_alloc(64, sizeof(*e->worker) * e->workers);
	e->service = calloc(e->services, sizeof(*e->service));
	if (!e->aead || !e->worker || !e->service || e->workers > MAX_WORKERS || e->services > MAX_SERVICES) {
		free(e->worker);
		free(e->service);
		free(e);
		return NULL;
	}
	memset(e->worker, 0, sizeof(*e->worker) * e->workers);
	host_init(e);
	netmap_subscribe(&(struct netmap_events){.event = engine_peer_event, .arg = e, .retired = engine_peer_retired});
	if (!start_threads(e)) {
		engine_free(e);
		return NULL;
	}
	e->catalogue = c->catalogue;
	e->tick = loop_timer(e->control, 10, 10, tick, e);
	return e;
}

static void
free_rings(struct engine *e)
{
	for (unsigned to = 0; to < e->threads; to++) {
		struct rte_ring **in = engine_thread(e, to)->in;
		for (unsigned from = 0; from < e->threads; from++) {
			struct ring_entry entry;
			while (in[from] && rte_ring_sc_dequeue_elem(in[from], &entry, sizeof(entry)) == 0)
				rte_pktmbuf_free(entry.pkt);
			ring_free(in[from]);
		}
	}
}

static void
inbox_end(struct worker *w)
{
	struct inbox_entry m;
	while (w->inbox && ring_take(w->inbox, &m, sizeof(m), 1) == 1)
		if (m.kind == INBOX_PATH)
			free((void *)(uintptr_t)m.arg);
	ring_free(w->inbox);
}

struct closing {
	void (*done)(void *arg);
	void *arg;
};

static void
closed(void *arg, const char *error)
{
	struct closing c = *(struct closing *)arg;
	free(arg);
	if (error)
		log_error("engine", "closing: %s", error);
	c.done(c.arg);
}

int
engine_close(struct engine *e, void (*done)(void *arg), void *arg)
{
	if (e->apply)
		return -EBUSY;
	struct arena *arena = arena_new(4096); /* a plan lives in its arena */
	struct plan *nothing = arena_alloc(arena, sizeof(*nothing));
	nothing->arena = arena;
	struct closing *c = malloc(sizeof(*c));
	*c = (struct closing){done, arg};
	e->closing = true;
	return engine_apply(e, nothing, NULL, closed, c);
}

void
engine_free(struct engine *e)
{
	if (e->tick)
		loop_watch_close(e->tick);
	__atomic_store_n(&e->stop, true, __ATOMIC_RELAXED);
	for (unsigned w = 0; w < e->workers; w++)
		worker_join(&e->worker[w]);
	for (unsigned s = 0; s < e->services; s++)
		service_stop(&e->service[s]);
	jobs_free(e->jobs);
	engine_drop_generation(e);
	free(atomic_load(&e->sent));
	free_rings(e);
	for (unsigned w = 0; w < e->workers; w++) {
		inbox_end(&e->worker[w]);
		ring_free(e->worker[w].jobs_done);
		free(e->worker[w].job_free);
		spread_fini(&e->worker[w]);
		if (e->worker[w].aead)
			e->aead->worker_free(e->worker[w].aead);
	}
	for (unsigned t = 0; t < e->threads; t++)
		free(t < e->workers ? e->worker[t].t.gt.peer_drops : e->service[t - e->workers].t.gt.peer_drops);
	ring_free(e->traces);
	free(e->trace_kept);
	capture_free(e);
	free(e->backlog);
	catalogue_free(&e->catalogue);
	free(e->worker);
	free(e->service);
	free(e);
}
