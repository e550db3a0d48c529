/* SPDX-License-Identifier: BSD-3-Clause */
/* Following single packets through the graph. Workers copy what they see into a ring; control renders it. */
#include "../runtime/rcu.h"
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define TRACE_MAX 255 /* ids are bytes; 0 is "not followed" */

/* Worker. */
uint8_t
trace_id(struct graph_thread *t)
{
	struct engine *e = ((struct thread *)t)->engine;
	uint32_t id = __atomic_add_fetch(&e->trace_next, 1, __ATOMIC_RELAXED);
	return id <= e->trace_wanted ? (uint8_t)id : 0;
}

/* Worker or service loop. A full ring loses entries: the trace is then shorter. */
void
trace_entry(struct graph_thread *t, const struct graph_trace *entry)
{
	struct engine *e = thread_engine(t);
	(void)!ring_put(e->traces, entry, sizeof(*entry));
}

static void
collect(struct engine *e)
{
	struct graph_trace entry;
	while (ring_take(e->traces, &entry, sizeof(entry), 1) == 1) {
		if (e->n_trace_kept == TRACE_RING)
			continue;
		if (!e->trace_kept)
			e->trace_kept = calloc(TRACE_RING, sizeof(*e->trace_kept));
		if (e->trace_kept)
			e->trace_kept[e->n_trace_kept++] = entry;
	}
}

void
trace_flag(struct engine *e)
{
	bool tracing = e->following || e->capture;
	for (unsigned t = 0; t < e->threads; t++) {
		struct graph_thread *g = t < e->workers ? &e->worker[t].t.gt : &e->service[t - e->workers].t.gt;
		__atomic_store_n(&g->tracing, tracing, __ATOMIC_RELAXED);
	}
}

int
engine_trace_start(struct engine *e, const char *instance, unsigned n, struct filter f)
{
	struct tr_instance *at = instance ? engine_instance(e, instance) : NULL;
	struct program *filter;
	if (instance && !at)
		return -ENOENT;
	int rc = program_new(f, &filter);
	if (rc != 0)
		return rc;
	collect(e);
	e->n_trace_kept = 0;
	e->trace_wanted = RTE_MIN(n, (unsigned)TRACE_MAX);
	e->following = n > 0;
	__atomic_store_n(&e->trace_next, 0, __ATOMIC_RELAXED);
	struct program *old = __atomic_exchange_n(&e->trace_filter, filter, __ATOMIC_ACQ_REL);
	if (old)
		rcu_defer(program_free, old);
	trace_flag(e);
	for (unsigned w = 0; w < e->workers; w++) {
		__atomic_store_n(&e->worker[w].t.gt.trace_at, at, __ATOMIC_RELAXED);
		__atomic_store_n(&e->worker[w].t.gt.trace_left, n, __ATOMIC_RELEASE);
	}
	return 0;
}

void
trace_begin_question(struct engine *e)
{
	collect(e);
	e->n_trace_kept = 0;
	e->trace_wanted = 1;
	e->following = true;
	__atomic_store_n(&e->trace_next, 1, __ATOMIC_RELAXED);
	trace_flag(e);
}

void
trace_end_question(struct engine *e)
{
	e->following = false;
	trace_flag(e);
}

static const char *
verdict_name(const struct tr_instance *i, const struct plan_instance *p, uint16_t verdict, const char **kind)
{
	*kind = "gate";
	if (verdict == TR_HELD || verdict == TR_SENT) {
		*kind = verdict == TR_HELD ? "held" : "sent";
		return "";
	}
	if (verdict < 0x8000u)
		return p && verdict < p->n_out ? p->out[verdict].name : "?";
	*kind = "drop";
	unsigned n = 0, reason = verdict & 0x7fffu;
	while (i->class_->drops && i->class_->drops[n].name)
		n++;
	return reason < n ? i->class_->drops[reason].name : reason - n < GRAPH_DROPS ? graph_drops[reason - n].name : "?";
}

static void
show_entry(struct engine *e, const struct graph_trace *t, struct tr_show *out)
{
	const struct plan *plan = engine_plan(e);
	const struct plan_instance *p = NULL;
	char text[256] = "", node[64];
	const char *kind;
	for (unsigned k = 0; plan && k < plan->n_instances; k++)
		if (e->current->instance[k] == t->instance)
			p = &plan->instance[k];
	if (!p)
		return; /* retired since */
	const struct tr_in_gate *in = &t->instance->class_->in[t->gate];
	snprintf(node, sizeof(node), "%s.%s", t->instance->name, in->name);
	if (in->trace)
		in->trace(t->data, t->captured, &t->meta, text, sizeof(text));
	const char *name = verdict_name(t->instance, p, t->verdict, &kind);
	out->begin(out, NULL);
	out->uint(out, "at_ns", t->at);
	out->text(out, "node", node);
	out->uint(out, "length", t->len);
	out->text(out, "packet", text);
	out->text(out, "verdict", kind);
	out->text(out, "to", name);
	out->end(out);
}

static void
show_packet(struct engine *e, unsigned id, struct tr_show *out)
{
	out->begin(out, NULL);
	out->uint(out, "packet", id);
	out->list(out, "path");
	for (unsigned i = 0; i < e->n_trace_kept; i++)
		if (e->trace_kept[i].id == id)
			show_entry(e, &e->trace_kept[i], out);
	out->end(out);
	out->end(out);
}

unsigned
engine_trace_take(struct engine *e, struct tr_show *out)
{
	unsigned n = RTE_MIN(__atomic_load_n(&e->trace_next, __ATOMIC_RELAXED), e->trace_wanted);
	collect(e);
	out->list(out, "packets");
	for (unsigned id = 1; id <= n; id++)
		show_packet(e, id, out);
	out->end(out);
	return n;
}
