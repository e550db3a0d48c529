/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Applying a plan: build the new generation beside the old, swap per worker, retire the old after a grace period. Any
 * error before the swap leaves everything as it was. Control thread; nothing here waits: steps are taken from a timer.
 */
#include "../runtime/log.h"
#include "../runtime/rcu.h"
#include "private.h"

#include <errno.h>
#include <stdlib.h>

#define SLICE_NS 700000 /* of the control thread at a time */

enum fate { FATE_KEEP, FATE_RECONFIGURE, FATE_CREATE };

struct apply {
	struct engine *e;
	struct generation *next, *old;
	enum fate *fate;
	struct plan_diff diff;
	struct netmap_take take;
	enum { PREFLIGHT, FIRST_NETMAP, SWAP, NETMAP, QUIET, LAST_CALLS, QUIET_AGAIN, FORGOTTEN, GRACE } step;
	struct loop_watch *timer;
	char **spec; /* what preflight runs */
	unsigned n_specs;
	char error[512];
	struct tr_instance **gone; /* retired instances */
	unsigned n_gone;
	struct quiet quiet;
	bool grace;
	void (*done)(void *arg, const char *error);
	void *arg;
};

static void
generation_free(struct engine *e, struct generation *g)
{
	if (!g)
		return;
	for (unsigned t = 0; t < e->threads; t++)
		lane_free(g->lane[t]);
	free(g->instance);
	plan_unref(g->plan);
	free(g);
}

static void
apply_free(struct apply *a)
{
	if (a->timer)
		loop_watch_close(a->timer);
	for (unsigned i = 0; i < a->n_specs; i++)
		free(a->spec[i]);
	free(a->spec);
	plan_diff_free(&a->diff);
	free(a->fate);
	free(a->gone);
	quiet_fini(&a->quiet);
	free(a);
}

static void begin(struct apply *a);

static void
finish(struct apply *a, const char *error)
{
	struct engine *e = a->e;
	void (*done)(void *, const char *) = a->done;
	void *arg = a->arg;
	char text[512];
	if (error)
		snprintf(text, sizeof(text), "%s", error);
	e->apply = NULL;
	apply_free(a);
	if (done)
		done(arg, error ? text : NULL);
	if (!e->apply && e->waiting) {
		a = e->waiting;
		e->waiting = NULL;
		begin(a);
	}
	if (e->rewire && !e->apply)
		engine_rewire(e);
}

static bool
takes_peers(const struct tr_instance *i, const struct netmap_table *t)
{
	return i && i->table == t && (i->class_->flags & TR_CLASS_PEERS);
}

struct tr_instance *
engine_of_table(struct engine *e, const struct netmap_table *t)
{
	for (unsigned k = 0; e->apply && k < e->apply->n_gone; k++)
		if (takes_peers(e->apply->gone[k], t) && !e->apply->gone[k]->slot->current)
			return e->apply->gone[k];
	for (unsigned k = 0; k < MAX_SLOTS; k++)
		if (e->slot[k] && takes_peers(e->slot[k]->current, t))
			return e->slot[k]->current;
	return NULL;
}

/* ---- What becomes of each instance ---- */

/* The plans' difference decides, and it alone; a listen port or MTU of the operator's makes dynamic gates anew. */
static void
decide(struct apply *a, const struct plan *to)
{
	for (unsigned i = 0; i < a->diff.n; i++) {
		const struct plan_action *v = &a->diff.v[i];
		if (v->verb == PLAN_RESTART)
			snprintf(a->error, sizeof(a->error), "%s", v->text);
		if (v->to < 0 || v->verb > PLAN_RESTART)
			continue;
		a->fate[v->to] = v->verb == PLAN_KEEP ? FATE_KEEP : v->verb == PLAN_RECONFIGURE ? FATE_RECONFIGURE : FATE_CREATE;
		if (a->e->rewire && instance_dynamic(to->instance[v->to].class_))
			a->fate[v->to] = FATE_CREATE;
	}
	a->e->rewire = false;
}

/* ---- Building ---- */

static bool
build(struct apply *a)
{
	struct engine *e = a->e;
	struct generation *g = a->next;
	const struct plan *p = g->plan->plan;
	char why[256];
	e->building = true;
	for (unsigned k = 0; k < p->n_instances; k++) {
		struct slot *s = slot_get(e, p->instance[k].name);
		if (a->fate[k] != FATE_CREATE) {
			g->instance[k] = s->current;
			continue;
		}
		g->instance[k] = instance_create(e, g, k, why, sizeof(why));
		if (!g->instance[k]) {
			const struct cfg_node *w = p->instance[k].where;
			snprintf(a->error, sizeof(a->error), "%s:%u:%u: error: %s: %s", w ? w->file : "", w ? w->line : 0,
				w ? w->col : 0, p->instance[k].name, why);
			return false;
		}
	}
	for (unsigned t = 0; t < e->threads; t++) {
		if (!(g->lane[t] = lane_new(e, g, t))) {
			snprintf(a->error, sizeof(a->error), "out of memory");
			return false;
		}
	}
	return true;
}

/* Undoes build(): nothing of the new generation has been seen by a worker. */
static void
unbuild(struct apply *a)
{
	struct engine *e = a->e;
	for (unsigned k = 0; k < a->next->n_instances; k++) {
		struct tr_instance *i = a->next->instance[k];
		if (a->fate[k] != FATE_CREATE || !i)
			continue;
		backlog_forget(e, i);
		instance_stop(i);
		instance_destroy(i);
	}
	for (unsigned s = 0; s < MAX_SLOTS; s++)
		if (e->slot[s] && !e->slot[s]->current)
			slot_release(e->slot[s]);
	generation_free(e, a->next);
	e->building = false;
	backlog_flush(e);
}

/* ---- Swapping and retiring ---- */

static void
list_gone(struct apply *a)
{
	struct engine *e = a->e;
	for (unsigned s = 0; s < MAX_SLOTS; s++) {
		if (!e->slot[s] || !e->slot[s]->current)
			continue;
		struct tr_instance *now = e->slot[s]->current, *next = NULL;
		for (unsigned k = 0; k < a->next->n_instances; k++)
			if (a->next->instance[k]->slot == e->slot[s])
				next = a->next->instance[k];
		if (next != now)
			a->gone[a->n_gone++] = now;
		e->slot[s]->current = next;
	}
	for (unsigned k = 0; k < a->next->n_instances; k++)
		a->next->instance[k]->slot->current = a->next->instance[k];
}

/* Every thread's lane lies ready before the number that lets the first of them take it: see thread_take_lane(). */
static void
publish(struct apply *a)
{
	struct engine *e = a->e;
	for (unsigned t = 0; t < e->threads; t++) {
		a->next->lane[t]->before = a->old ? a->old->lane[t] : NULL;
		engine_thread(e, t)->next = a->next->lane[t];
	}
	for (unsigned k = 0; k < a->next->n_instances; k++)
		a->next->instance[k]->live = true;
	__atomic_store_n(&e->published, a->next->number, __ATOMIC_RELEASE);
	a->step = SWAP;
	e->building = false;
	backlog_flush(e);
}

static void
swap(struct apply *a)
{
	struct engine *e = a->e;
	a->gone = calloc(MAX_SLOTS, sizeof(*a->gone));
	list_gone(a);
	a->old = e->current;
	e->current = a->next;
	for (unsigned k = 0; k < a->next->n_instances; k++)
		if (a->fate[k] == FATE_RECONFIGURE)
			instance_reconfigure(a->next->instance[k], a->next->plan, k);
	a->take = (struct netmap_take){.from = a->old ? a->old->plan->plan : NULL, .to = a->next->plan->plan, .diff = &a->diff};
	if (!a->old && !e->closing) /* the first packet must find names and peers */
		a->step = FIRST_NETMAP;
	else
		publish(a);
}

/* A slice of the netmap's change per step; the next one when the owner workers have room for its events. */
static bool
netmap_taken(struct apply *a)
{
	if (!a->e->building && backlog_flush(a->e) > INBOX_SIZE)
		return false;
	return a->e->closing || netmap_take(&a->take, SLICE_NS); /* peers stay known, and saved, when the daemon ends */
}

static bool
swapped(const struct apply *a)
{
	struct engine *e = a->e;
	for (unsigned s = 0; s < e->services; s++)
		service_kick(&e->service[s]);
	for (unsigned t = 0; t < e->threads; t++)
		if (__atomic_load_n(&engine_thread(e, t)->switched, __ATOMIC_ACQUIRE) != a->next->number)
			return false;
	return true;
}

static void
begin_retiring(struct apply *a)
{
	for (unsigned k = 0; k < a->n_gone; k++)
		instance_stop(a->gone[k]);
	a->quiet = (struct quiet){.e = a->e, .gone = a->gone, .n_gone = a->n_gone};
	quiet_begin(&a->quiet);
	a->step = QUIET;
}

/* On the service loop: the last callback there of an instance that has a service gate. */
static void
service_fini(void *instance, void *fences)
{
	struct tr_instance *i = instance;
	struct graph_node *own = i->w[i->engine->workers].own;
	if (own && i->class_->worker_fini) {
		struct graph_node last = *own;
		last.pub.local = NULL;
		i->class_->worker_fini(&last.pub);
	}
	i->w[i->engine->workers].own = NULL;
	__atomic_add_fetch((uint32_t *)fences, 1, __ATOMIC_RELEASE);
}

/* Posts the last callbacks, one round after the other until no inbox was full. True: all have run. */
static bool
services_done(struct apply *a)
{
	bool left = false;
	if (__atomic_load_n(&a->quiet.fences, __ATOMIC_ACQUIRE) != a->quiet.posted)
		return false;
	for (unsigned k = 0; k < a->n_gone; k++) {
		if (!a->gone[k]->w[a->e->workers].own)
			continue;
		left = true;
		a->quiet.posted += loop_post(instance_service(a->gone[k])->loop, service_fini, a->gone[k], &a->quiet.fences) == 0;
	}
	return !left;
}

/* Nobody needs the lanes before the present ones any more. */
static void
forget_before(struct apply *a)
{
	for (unsigned t = 0; t < a->e->threads; t++)
		__atomic_store_n(&a->next->lane[t]->before, NULL, __ATOMIC_RELAXED);
}

static void
grace_over(void *arg)
{
	((struct apply *)arg)->grace = true;
}

static void
retire(struct apply *a)
{
	struct engine *e = a->e;
	e->graveyard.now = clock_ns();
	for (unsigned k = 0; k < a->n_gone; k++) {
		struct slot *s = a->gone[k]->slot;
		instance_destroy(a->gone[k]);
		if (!s->current)
			slot_release(s);
	}
	generation_free(e, a->old);
	e->generation = a->next->number;
	finish(a, NULL);
}

static void
step(void *arg)
{
	struct apply *a = arg;
	switch (a->step) {
	case PREFLIGHT:
		return;
	case FIRST_NETMAP:
		if (netmap_taken(a))
			publish(a);
		return;
	case SWAP:
		if (swapped(a))
			a->step = NETMAP;
		return;
	case NETMAP:
		if (!a->old || netmap_taken(a))
			begin_retiring(a);
		return;
	case QUIET:
		if (a->n_gone && !quiet_step(&a->quiet))
			return;
		a->step = LAST_CALLS;
		return;
	case LAST_CALLS:
		if (!services_done(a))
			return;
		quiet_begin(&a->quiet);
		a->step = QUIET_AGAIN;
		return;
	case QUIET_AGAIN:
		if (a->n_gone && !quiet_step(&a->quiet))
			return;
		forget_before(a);
		quiet_begin(&a->quiet);
		a->step = FORGOTTEN;
		return;
	case FORGOTTEN:
		if (!quiet_fence(&a->quiet))
			return;
		rcu_defer(grace_over, a);
		a->step = GRACE;
		return;
	case GRACE:
		rcu_poll();
		if (a->grace)
			retire(a);
		return;
	}
}

/* ---- Preflight: a new build first runs in a child, while this process goes on ---- */

static void
proceed(void *arg)
{
	struct apply *a = arg;
	if (a->error[0] || !build(a)) {
		char error[512];
		snprintf(error, sizeof(error), "%s", a->error);
		unbuild(a);
		finish(a, error);
		return;
	}
	swap(a);
	a->timer = loop_timer(a->e->control, 1, 1, step, a);
}

static void
preflight(void *arg)
{
	struct apply *a = arg;
	for (unsigned i = 0; i < a->n_specs && !a->error[0]; i++)
		plugin_preflight(a->spec[i], a->error, sizeof(a->error));
}

static bool
seen_before(struct engine *e, const struct plan_instance *p)
{
	const struct plan *from = engine_plan(e);
	int k = from ? plan_find(from, p->name) : -1;
	return k >= 0 && from->instance[k].plugin == p->plugin;
}

static void
collect_specs(struct apply *a)
{
	const struct plan *p = a->next->plan->plan;
	a->spec = calloc(p->n_instances + 1, sizeof(*a->spec));
	for (unsigned k = 0; k < p->n_instances; k++)
		if (a->fate[k] == FATE_CREATE && p->instance[k].plugin && p->instance[k].plugin->handle && engine_plan(a->e) && !seen_before(a->e, &p->instance[k]))
			a->spec[a->n_specs++] = plugin_preflight_spec(p->instance[k].plugin, p->instance[k].class_->name,
				p->instance[k].name, p->instance[k].options_node);
}

static struct apply *
apply_new(struct engine *e, struct plan_ref *ref)
{
	struct apply *a = calloc(1, sizeof(*a));
	struct generation *g = calloc(1, sizeof(*g));
	a->e = e;
	a->next = g;
	g->plan = ref;
	g->n_instances = ref->plan->n_instances;
	g->instance = calloc(g->n_instances + 1, sizeof(*g->instance));
	a->fate = calloc(g->n_instances + 1, sizeof(*a->fate));
	return a;
}

static void
begin(struct apply *a)
{
	a->e->apply = a;
	a->next->number = a->e->generation + 1;
	decide(a, a->next->plan->plan);
	if (!a->error[0])
		collect_specs(a);
	if (!a->n_specs || loop_work(a->e->control, preflight, proceed, a) != 0)
		proceed(a);
}

static void
apply_ref(struct engine *e, struct plan_ref *ref, struct plan_diff *diff, void (*done)(void *, const char *), void *arg)
{
	struct apply *a = apply_new(e, ref);
	const struct plan *now = engine_plan(e);
	if (diff)
		a->diff = *diff;
	else if (!now || now == ref->plan || e->closing)
		plan_diff_instances(now, ref->plan, &a->diff);
	else
		plan_diff(now, ref->plan, &a->diff);
	if (diff)
		*diff = (struct plan_diff){0};
	a->done = done;
	a->arg = arg;
	if (e->apply)
		e->waiting = a;
	else
		begin(a);
}

/* Behind the same plan with other wires, which nobody has asked for, one may wait. */
static bool
busy(const struct engine *e)
{
	return e->waiting || (e->apply && e->apply->done);
}

int
engine_apply(struct engine *e, struct plan *p, struct plan_diff *diff, void (*done)(void *arg, const char *error), void *arg)
{
	if (busy(e) || (e->closing && p->n_instances))
		return -EBUSY;
	struct plan_ref *ref = calloc(1, sizeof(*ref));
	if (!ref)
		return -ENOMEM;
	*ref = (struct plan_ref){p, 1, e->control};
	apply_ref(e, ref, diff, done, arg);
	return 0;
}

struct plan_ref *
engine_hold(struct engine *e)
{
	if (!e->current)
		return NULL;
	e->current->plan->refs++;
	return e->current->plan;
}

const struct plan *
engine_held(const struct plan_ref *held)
{
	return held->plan;
}

int
engine_apply_held(struct engine *e, struct plan_ref *held, struct plan_diff *diff, void (*done)(void *arg, const char *error),
	void *arg)
{
	if (busy(e) || e->closing)
		return -EBUSY;
	held->refs++;
	apply_ref(e, held, diff, done, arg);
	return 0;
}

void
engine_release(struct plan_ref *held)
{
	plan_unref(held);
}

void
engine_rewire(struct engine *e)
{
	e->rewire = true;
	if (e->apply || !e->current)
		return;
	e->current->plan->refs++;
	apply_ref(e, e->current->plan, NULL, NULL, NULL);
}

void
engine_drop_generation(struct engine *e)
{
	generation_free(e, e->current);
	e->current = NULL;
}

struct tr_instance *const *
engine_gone(const struct engine *e, unsigned *n)
{
	*n = e->apply ? e->apply->n_gone : 0;
	return e->apply ? e->apply->gone : NULL;
}

const struct plan *
engine_plan(const struct engine *e)
{
	return e->current ? e->current->plan->plan : NULL;
}

const struct catalogue *
engine_catalogue(const struct engine *e)
{
	return &e->catalogue;
}

uint64_t
engine_generation(const struct engine *e)
{
	return e->generation;
}

struct plan *
pipeline_load(const struct appliance *a, const char *path, struct catalogue *c, struct diags *d)
{
	*c = (struct catalogue){0};
	for (unsigned i = 0; core_classes[i]; i++)
		catalogue_add(c, core_classes[i], NULL);
	catalogue_scan(c, a->plugin_dirs.items, a->plugin_dirs.n);
	for (unsigned i = 0; i < c->n_refused; i++)
		diag_pos(d, DIAG_WARNING, c->refused[i].path, 1, 0, "not loaded: %s", c->refused[i].why);
	return plan_load(path, c, a, true, d);
}

void
engine_set_catalogue(struct engine *e, struct catalogue *c)
{
	catalogue_free(&e->catalogue);
	e->catalogue = *c;
	*c = (struct catalogue){0};
}
