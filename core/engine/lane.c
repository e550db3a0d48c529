/* SPDX-License-Identifier: BSD-3-Clause */
/* Building one thread's share of a generation: nodes, edges, sources and timers. Control thread. */
#include "../net/classes.h"
#include "private.h"

#include <stdlib.h>

struct builder {
	struct engine *e;
	const struct generation *g;
	unsigned thread;
	bool service; /* for a service loop */
	struct lane *lane;
};

static unsigned
n_drops(const struct tr_class *c)
{
	unsigned n = 0;
	while (c->drops && c->drops[n].name)
		n++;
	return n;
}

/* The thread that runs an in gate when it is not to be this one. */
static unsigned
home_thread(const struct builder *b, const struct tr_instance *i, const struct tr_in_gate *in)
{
	if (in->flags & TR_GATE_SERVICE)
		return b->e->workers + i->slot->id % b->e->services;
	return i->slot->id % b->e->workers;
}

static bool
runs_here(const struct builder *b, const struct tr_instance *i, const struct tr_in_gate *in)
{
	if (in->flags & TR_GATE_SERVICE)
		return b->service && home_thread(b, i, in) == b->thread;
	return !b->service;
}

/* Those of the core that only choose a gate or a drop reason. */
static bool
is_pure(const struct tr_class *c)
{
	return c == &class_route || c == &class_mux || c == &class_drop || c == &class_host;
}

static struct graph_node *
add_node(struct builder *b, const struct plan_instance *p, struct tr_instance *i, int gate)
{
	struct engine *e = b->e;
	unsigned share = b->service ? e->workers : b->thread; /* index into i->w */
	struct graph_thread *t = b->lane->graph->thread;
	struct graph_node proto = {
		.pub = {.self = i->self, .local = i->w[share].local, .host = &e->host, .instance = i, .count = i->w[share].count,
			.now = &t->now, .worker = t->worker, .gate = (uint16_t)gate},
		.process = gate < 0 ? NULL : i->class_->in[gate].process,
		.n_reasons = (uint16_t)n_drops(i->class_),
		.pure = is_pure(i->class_),
		.slot = i->slot->id,
		.drops = i->w[share].drops,
		.packets = gate < 0 ? NULL : &i->w[share].packets[gate],
	};
	return graph_add(b->lane->graph, &proto, p->n_out);
}

static bool
add_nodes(struct builder *b)
{
	const struct plan *plan = b->g->plan->plan;
	for (unsigned k = 0; k < plan->n_instances; k++) {
		struct tr_instance *i = b->g->instance[k];
		bool any = !b->service;
		for (unsigned gate = 0; i->class_->in && i->class_->in[gate].name; gate++) {
			if (!runs_here(b, i, &i->class_->in[gate]))
				continue;
			struct graph_node *n = add_node(b, &plan->instance[k], i, (int)gate);
			if (!n)
				return false;
			b->lane->node[i->slot->id][slot_gate(i->slot, i->class_->in[gate].name)] = n;
			any = true;
		}
		any = any || ((i->class_->flags & TR_CLASS_SERVICE) && instance_service(i) == &b->e->service[b->thread - b->e->workers]);
		if (any && !(b->lane->own[i->slot->id] = add_node(b, &plan->instance[k], i, -1)))
			return false;
	}
	return true;
}

static struct graph_edge
make_edge(struct builder *b, const struct tr_instance *from, const struct plan_gate *out)
{
	if (out->to < 0)
		return (struct graph_edge){.kind = EDGE_UNLINKED};
	struct tr_instance *to = b->g->instance[out->to];
	const struct tr_in_gate *in = &to->class_->in[out->to_gate];
	unsigned number = slot_gate(to->slot, in->name);
	struct graph_edge e = {
		.target = (uint32_t)to->slot->id << 8 | number,
		.thread = (uint16_t)home_thread(b, to, in),
		.node = b->lane->node[to->slot->id][number],
	};
	(void)from;
	if (out->flags & TR_GATE_BY_PEER)
		e.kind = EDGE_BY_PEER;
	else
		e.kind = e.node ? EDGE_NODE : EDGE_THREAD;
	return e;
}

static void
add_edges(struct builder *b)
{
	const struct plan *plan = b->g->plan->plan;
	struct graph *g = b->lane->graph;
	for (unsigned n = 0; n < g->n; n++) {
		struct tr_instance *i = g->node[n]->pub.instance;
		unsigned k = 0;
		while (b->g->instance[k] != i)
			k++;
		for (unsigned o = 0; o < plan->instance[k].n_out; o++)
			g->node[n]->edge[o] = make_edge(b, i, &plan->instance[k].out[o]);
	}
}

static bool
add_sources(struct builder *b)
{
	struct lane *l = b->lane;
	l->poll = calloc(b->g->n_instances + 1, sizeof(*l->poll));
	l->timed = calloc(b->g->n_instances + 1, sizeof(*l->timed));
	if (!l->poll || !l->timed)
		return false;
	for (unsigned k = 0; !b->service && k < b->g->n_instances; k++) {
		struct tr_instance *i = b->g->instance[k];
		struct tr_node *own = &l->own[i->slot->id]->pub;
		if (i->class_->poll) {
			l->poll[l->n_poll].fn = i->class_->poll;
			l->poll[l->n_poll++].node = own;
		}
		if (i->class_->timer)
			l->timed[l->n_timed++] = (struct lane_timed){&i->slot->wheel[b->thread], i->class_->timer, own};
	}
	return true;
}

struct lane *
lane_new(struct engine *e, const struct generation *g, unsigned thread)
{
	struct builder b = {.e = e, .g = g, .thread = thread, .service = thread >= e->workers};
	unsigned max = 0;
	for (unsigned k = 0; k < g->n_instances; k++) {
		max++;
		for (unsigned i = 0; g->instance[k]->class_->in && g->instance[k]->class_->in[i].name; i++)
			max++;
	}
	b.lane = calloc(1, sizeof(*b.lane));
	if (!b.lane)
		return NULL;
	b.lane->graph = graph_new(&engine_thread(e, thread)->gt, max, e->workers);
	if (!b.lane->graph || !add_nodes(&b) || !add_sources(&b)) {
		lane_free(b.lane);
		return NULL;
	}
	add_edges(&b);
	graph_finish(b.lane->graph);
	return b.lane;
}

void
lane_free(struct lane *l)
{
	if (!l)
		return;
	graph_free(l->graph);
	free(l->poll);
	free(l->timed);
	free(l);
}
