/* SPDX-License-Identifier: BSD-3-Clause */
/* Asking the graph. The answer is a trace, by the code that forwards: it can't differ from what happens to a packet. */
#include "private.h"

#include <errno.h>
#include <stdlib.h>

/* Control makes it; the worker has it until `done`, after which it is control's again. One that was given up is freed by
 * the worker. */
struct probe {
	struct question q;
	uint16_t gate;
	struct graph_probe end;
	int state; /* atomic */
};
enum { PROBE_ASKED, PROBE_DONE, PROBE_GIVEN_UP };

static struct graph_node *
find_node(const struct graph *g, const struct tr_instance *i, uint16_t gate)
{
	for (unsigned k = 0; k < g->n; k++)
		if (g->node[k]->process && g->node[k]->pub.instance == i && g->node[k]->pub.gate == gate)
			return g->node[k];
	return NULL;
}

/* Worker 0, between walks. */
static void
ask(struct tr_node *own, uint32_t peer, uint64_t arg)
{
	struct probe *p = (struct probe *)(uintptr_t)arg;
	struct graph *g = graph_node(own)->graph;
	struct graph_node *at = find_node(g, own->instance, p->gate);
	struct rte_mbuf *m = at ? own->host->packet_new(own) : NULL;
	if (m) {
		memcpy(rte_pktmbuf_append(m, p->q.len), p->q.data, p->q.len);
		*tr_meta(m) = p->q.meta;
		tr_meta(m)->trace = 1;
		tr_meta(m)->flags |= TR_META_OWN; /* no ICMP error is sent about it */
		g->thread->probe = &p->end;
		graph_enter(at, &m, 1);
		graph_walk(g);
		g->thread->probe = NULL;
	}
	int asked = PROBE_ASKED;
	if (!__atomic_compare_exchange_n(&p->state, &asked, PROBE_DONE, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		free(p);
}

int
engine_explain_start(struct engine *e, const struct question *q)
{
	struct tr_instance *i = engine_instance(e, q->instance);
	int gate = -1;
	for (int g = 0; i && i->class_->in && i->class_->in[g].name; g++)
		if (strcmp(i->class_->in[g].name, q->gate) == 0 && !(i->class_->in[g].flags & TR_GATE_SERVICE))
			gate = g;
	if (gate < 0)
		return -ENOENT;
	if (e->following || e->probe)
		return -EBUSY;
	struct probe *p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct probe){.q = *q, .gate = (uint16_t)gate, .state = PROBE_ASKED};
	struct inbox_entry post = {.kind = INBOX_POST, .instance = i, .fn = ask, .arg = (uintptr_t)p};
	trace_begin_question(e);
	e->probe = p;
	__atomic_add_fetch(&i->activity, 1, __ATOMIC_RELEASE);
	if (worker_post(&e->worker[0], &post) == 0)
		return 0;
	e->probe = NULL;
	free(p);
	trace_end_question(e);
	return -EBUSY;
}

bool
engine_explain_done(struct engine *e)
{
	return __atomic_load_n(&e->probe->state, __ATOMIC_ACQUIRE) == PROBE_DONE;
}

struct graph_probe
engine_explain_packet(const struct engine *e)
{
	return e->probe->end;
}

void
engine_explain_end(struct engine *e, struct tr_show *out)
{
	int asked = PROBE_ASKED;
	if (out)
		engine_trace_take(e, out);
	if (!__atomic_compare_exchange_n(&e->probe->state, &asked, PROBE_GIVEN_UP, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		free(e->probe);
	e->probe = NULL;
	trace_end_question(e);
}
