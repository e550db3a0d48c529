/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the engine counts, for the operator. Counters are plain 64-bit words, each written by one thread; they are read
 * here as they are: a value may be a burst old, never torn.
 */
#include "private.h"

#include <stdlib.h>

__attribute__((no_sanitize("thread"))) static uint64_t
peek(const uint64_t *v)
{
	return *(const volatile uint64_t *)v;
}

static uint64_t
past(const struct slot *s, const char *kind, const char *name)
{
	size_t k = strlen(kind);
	for (unsigned i = 0; i < s->n_past; i++)
		if (strncmp(s->past[i].name, kind, k) == 0 && strcmp(s->past[i].name + k, name) == 0)
			return s->past[i].value;
	return 0;
}

enum share { COUNT, DROPS, PACKETS };

static uint64_t
sum_own(const struct tr_instance *i, enum share which, unsigned k)
{
	uint64_t total = 0;
	for (unsigned w = 0; w <= i->engine->workers; w++) {
		const struct instance_worker *x = &i->w[w];
		total += peek(which == COUNT ? &x->count[k] : which == DROPS ? &x->drops[k] : &x->packets[k]);
	}
	return total;
}

/* Where a build of a class has the counter; -1: nowhere. */
static int
position(const struct tr_class *c, enum share which, const char *name)
{
	unsigned n = 0;
	switch (which) {
	case COUNT:
		for (; c->counters && c->counters[n].name; n++)
			if (strcmp(c->counters[n].name, name) == 0)
				return (int)n;
		return -1;
	case DROPS:
		for (; c->drops && c->drops[n].name; n++)
			if (strcmp(c->drops[n].name, name) == 0)
				return (int)n;
		for (unsigned k = 0; k < GRAPH_DROPS; k++)
			if (strcmp(graph_drops[k].name, name) == 0)
				return (int)(n + k);
		return -1;
	case PACKETS:
		for (; c->in && c->in[n].name; n++)
			if (strcmp(c->in[n].name, name) == 0)
				return (int)n;
		return -1;
	}
	return -1;
}

/* One counter of an instance, over its threads and the instances that were there before it under its name. */
static uint64_t
sum(const struct tr_instance *i, enum share which, unsigned k, const char *name)
{
	static const char *const kind[] = {[COUNT] = "", [DROPS] = "drop ", [PACKETS] = "in "};
	uint64_t total = past(i->slot, kind[which], name) + sum_own(i, which, k);
	unsigned n;
	struct tr_instance *const *gone = engine_gone(i->engine, &n);
	for (unsigned g = 0; g < n; g++) {
		int at = gone[g]->slot == i->slot ? position(gone[g]->class_, which, name) : -1;
		if (at >= 0)
			total += sum_own(gone[g], which, (unsigned)at);
	}
	return total;
}

void
engine_totals(struct engine *e, struct graph_totals *out)
{
	memset(out, 0, sizeof(*out));
	for (unsigned t = 0; t <= e->threads; t++) {
		const struct graph_thread *g = t == e->threads ? &e->graveyard : &engine_thread(e, t)->gt;
		out->rx += peek(&g->totals.rx);
		out->created += peek(&g->totals.created);
		out->tx += peek(&g->totals.tx);
		out->drops += peek(&g->totals.drops);
		out->held += peek(&g->totals.held);
	}
}

uint64_t
engine_packets_in(const struct tr_instance *i)
{
	uint64_t total = 0;
	for (unsigned k = 0; i->class_->in && i->class_->in[k].name; k++)
		total += sum_own(i, PACKETS, k);
	return total;
}

bool
engine_stirred(struct engine *e)
{
	return atomic_exchange_explicit(&e->stirred, false, memory_order_relaxed);
}

void
engine_stir(struct engine *e)
{
	atomic_store_explicit(&e->stirred, true, memory_order_relaxed);
}

struct tr_instance *
engine_instance(struct engine *e, const char *name)
{
	for (unsigned s = 0; s < MAX_SLOTS; s++)
		if (e->slot[s] && strcmp(e->slot[s]->name, name) == 0)
			return e->slot[s]->current;
	return NULL;
}

unsigned
engine_each(struct engine *e, void (*fn)(void *arg, struct tr_instance *), void *arg)
{
	unsigned n = e->current ? e->current->n_instances : 0;
	for (unsigned k = 0; k < n; k++)
		fn(arg, e->current->instance[k]);
	return n;
}

static void
show_instance_stats(void *arg, struct tr_instance *i)
{
	struct tr_show *out = arg;
	const struct tr_class *c = i->class_;
	out->begin(out, i->name);
	out->text(out, "class", c->name);
	out->begin(out, "in");
	for (unsigned k = 0; c->in && c->in[k].name; k++)
		out->uint(out, c->in[k].name, sum(i, PACKETS, k, c->in[k].name));
	out->end(out);
	out->begin(out, "counters");
	for (unsigned k = 0; c->counters && c->counters[k].name; k++)
		out->uint(out, c->counters[k].name, sum(i, COUNT, k, c->counters[k].name));
	out->end(out);
	out->end(out);
}

void
engine_show_stats(struct engine *e, struct tr_show *out)
{
	struct graph_totals t;
	engine_totals(e, &t);
	out->begin(out, "totals");
	out->uint(out, "rx", t.rx);
	out->uint(out, "created", t.created);
	out->uint(out, "tx", t.tx);
	out->uint(out, "drops", t.drops);
	out->uint(out, "held", t.held);
	out->end(out);
	out->begin(out, "instances");
	engine_each(e, show_instance_stats, out);
	out->end(out);
}

void
engine_show_threads(struct engine *e, struct tr_show *out)
{
	char name[24];
	out->list(out, "threads");
	for (unsigned t = 0; t <= e->threads; t++) {
		const struct graph_thread *g = t == e->threads ? &e->graveyard : &engine_thread(e, t)->gt;
		const bool worker = t < e->workers;
		snprintf(name, sizeof(name), "%s %u", worker ? "worker" : "service", worker ? t : t - e->workers);
		out->begin(out, NULL);
		out->text(out, "thread", t == e->threads ? "(removed)" : name);
		out->uint(out, "rx", peek(&g->totals.rx));
		out->uint(out, "created", peek(&g->totals.created));
		out->uint(out, "tx", peek(&g->totals.tx));
		out->uint(out, "drops", peek(&g->totals.drops));
		out->real(out, "held", (double)(int64_t)peek(&g->totals.held)); /* below zero: others counted them as held */
		out->end(out);
	}
	out->end(out);
}

static void
show_drop_line(struct tr_show *out, const char *instance, const struct tr_drop_reason *r, uint64_t n)
{
	if (!n)
		return;
	out->begin(out, NULL);
	out->text(out, "instance", instance);
	out->text(out, "reason", r->name);
	out->uint(out, "packets", n);
	out->text(out, "meaning", r->doc);
	out->end(out);
}

static void
show_instance_drops(void *arg, struct tr_instance *i)
{
	const struct tr_drop_reason *r = i->class_->drops;
	unsigned n = 0;
	for (; r && r[n].name; n++)
		show_drop_line(arg, i->name, &r[n], sum(i, DROPS, n, r[n].name));
	for (unsigned k = 0; k < GRAPH_DROPS; k++)
		show_drop_line(arg, i->name, &graph_drops[k], sum(i, DROPS, n + k, graph_drops[k].name));
}

/* What a thread dropped because nobody was left to get it. */
static void
show_gone(struct engine *e, struct tr_show *out)
{
	static const struct tr_drop_reason gone = {"gone", "the instance that another thread sent it to was removed"};
	uint64_t n = 0;
	for (unsigned t = 0; t < e->threads; t++)
		n += peek(&engine_thread(e, t)->gone);
	show_drop_line(out, "(removed)", &gone, n);
}

void
engine_show_drops(struct engine *e, struct tr_show *out)
{
	out->list(out, "drops");
	engine_each(e, show_instance_drops, out);
	show_gone(e, out);
	out->end(out);
}

/* The names of a drop that the runner counted under slot and reason; NULL: its instance has gone. */
static const struct tr_instance *
find_drop(const struct engine *e, uint64_t key, const char **reason)
{
	const struct slot *s = e->slot[(key >> 16 & 0xffff) % MAX_SLOTS];
	unsigned r = key & 0xffff, n = 0;
	if (!s || !s->current)
		return NULL;
	const struct tr_drop_reason *d = s->current->class_->drops;
	while (d && d[n].name)
		n++;
	*reason = r < n ? d[r].name : r - n < GRAPH_DROPS ? graph_drops[r - n].name : "?";
	return s->current;
}

/* A peer's packets are mostly dropped by one thread, its owner's: lists of several threads are not merged. */
uint64_t
engine_each_peer_drop(struct engine *e, void (*fn)(void *arg, const struct engine_peer_drop *d), void *arg)
{
	uint64_t others = 0;
	for (unsigned t = 0; t < e->threads; t++) {
		const struct graph_peer_drops *d = t < e->workers ? e->worker[t].t.gt.peer_drops : e->service[t - e->workers].t.gt.peer_drops;
		for (unsigned k = 0; d && k < GRAPH_PEER_DROPS; k++) {
			const char *reason;
			uint64_t key = peek(&d->entry[k].key);
			const struct tr_instance *i = key ? find_drop(e, key, &reason) : NULL;
			if (i)
				fn(arg, &(const struct engine_peer_drop){t, (uint32_t)(key >> 32), i->name, reason, peek(&d->entry[k].packets)});
		}
		others += d ? peek(&d->others) : 0;
	}
	return others;
}

static void
show_peer_drop(void *arg, const struct engine_peer_drop *d)
{
	struct tr_show *out = arg;
	out->begin(out, NULL);
	out->uint(out, "peer", d->peer);
	out->text(out, "instance", d->instance);
	out->text(out, "reason", d->reason);
	out->uint(out, "packets", d->packets);
	out->end(out);
}

void
engine_show_peer_drops(struct engine *e, struct tr_show *out)
{
	out->list(out, "by_peer");
	uint64_t others = engine_each_peer_drop(e, show_peer_drop, out);
	out->end(out);
	out->uint(out, "others", others);
}

void
engine_show_workers(struct engine *e, struct tr_show *out)
{
	out->list(out, "workers");
	for (unsigned w = 0; w < e->workers; w++) {
		const struct worker *x = &e->worker[w];
		out->begin(out, NULL);
		out->uint(out, "worker", w);
		out->uint(out, "cpu", (uint64_t)(x->cpu < 0 ? 0 : x->cpu));
		out->flag(out, "pinned", x->cpu >= 0 && !__atomic_load_n(&x->unpinned, __ATOMIC_RELAXED));
		out->uint(out, "loops", peek(&x->loops));
		out->uint(out, "busy_ns", peek(&x->busy_ns));
		out->uint(out, "longest_loop_ns", peek(&x->longest_ns));
		out->uint(out, "sleeps", peek(&x->sleeps));
		out->flag(out, "pressed", __atomic_load_n(&x->spread.pressed, __ATOMIC_RELAXED));
		out->uint(out, "bursts_spread", peek(&x->spread.given));
		out->uint(out, "bursts_helped", peek(&x->spread.helped));
		out->uint(out, "generation", __atomic_load_n(&x->t.switched, __ATOMIC_RELAXED));
		out->end(out);
	}
	out->end(out);
}

unsigned
engine_workers(const struct engine *e)
{
	return e->workers;
}

uint64_t
engine_stalled(struct engine *e, unsigned worker, struct engine_stall *seen)
{
	uint64_t loops = peek(&e->worker[worker].loops), now = clock_ns();
	if (loops != seen->loops || !seen->since)
		*seen = (struct engine_stall){loops, now};
	return now - seen->since;
}
