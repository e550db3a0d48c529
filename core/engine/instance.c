/* SPDX-License-Identifier: BSD-3-Clause */
/* Instances, and the slots that outlive them. Control thread. */
#include "private.h"

#include <stdlib.h>

/* ---- Slots ---- */

struct slot *
slot_get(struct engine *e, const char *name)
{
	struct slot *s = NULL;
	unsigned empty = MAX_SLOTS;
	for (unsigned i = 0; i < MAX_SLOTS; i++) {
		if (e->slot[i] && strcmp(e->slot[i]->name, name) == 0)
			return e->slot[i];
		if (!e->slot[i] && empty == MAX_SLOTS)
			empty = i;
	}
	if (empty == MAX_SLOTS || !(s = calloc(1, sizeof(*s))))
		return NULL;
	snprintf(s->name, sizeof(s->name), "%s", name);
	s->id = (uint16_t)empty;
	s->engine = e;
	s->wheel = calloc(e->workers, sizeof(*s->wheel));
	if (!s->wheel) {
		free(s);
		return NULL;
	}
	for (unsigned w = 0; w < e->workers; w++)
		wheel_init(&s->wheel[w], clock_ns());
	e->slot[empty] = s;
	return s;
}

void
slot_release(struct slot *s)
{
	s->engine->slot[s->id] = NULL;
	blocks_free(s);
	index_table_free(s->indexes);
	for (unsigned i = 0; i < s->n_gates; i++)
		free(s->gate[i]);
	for (unsigned i = 0; i < s->n_past; i++)
		free(s->past[i].name);
	free(s->past);
	free(s->wheel);
	free(s);
}

unsigned
slot_gate(struct slot *s, const char *in_gate)
{
	for (unsigned i = 0; i < s->n_gates; i++)
		if (strcmp(s->gate[i], in_gate) == 0)
			return i;
	if (s->n_gates == MAX_GATES)
		return 0; /* the loader bounds in gates per class; MAX_GATES different names need many odd builds */
	s->gate[s->n_gates] = strdup(in_gate);
	return s->n_gates++;
}

static void
remember(struct slot *s, const char *kind, const char *name, uint64_t value)
{
	char full[96];
	snprintf(full, sizeof(full), "%s%s", kind, name);
	if (!value)
		return;
	for (unsigned i = 0; i < s->n_past; i++) {
		if (strcmp(s->past[i].name, full) == 0) {
			s->past[i].value += value;
			return;
		}
	}
	struct past *p = realloc(s->past, (s->n_past + 1) * sizeof(*p));
	if (!p)
		return;
	s->past = p;
	s->past[s->n_past++] = (struct past){strdup(full), value};
}

/* ---- Options ---- */

static void
free_plan(void *plan)
{
	plan_free(plan);
}

/* A plan of many peers is large, and is wiped: on another thread. */
void
plan_unref(struct plan_ref *r)
{
	if (!r || --r->refs)
		return;
	if (loop_work(r->control, free_plan, NULL, r->plan) != 0)
		plan_free(r->plan);
	free(r);
}

struct overlay {
	const struct tr_class *class_;
	struct arena *arena;
	void *options;
};

static void
lay_over(void *arg, const char *key, const char *value)
{
	struct overlay *o = arg;
	char why[128];
	for (const struct tr_option *t = o->class_->options; t && t->key; t++)
		if (strcmp(t->key, key) == 0)
			option_parse_text(o->arena, t, value, (char *)o->options + t->offset, why, sizeof(why));
}

void *
instance_options(struct tr_instance *i, const struct plan_instance *p)
{
	size_t size = p->class_->options_size;
	void *options = malloc(size ? size : 1);
	if (!options)
		return NULL;
	memcpy(options, p->options, size);
	struct overlay o = {p->class_, i->options_plan->plan->arena, options};
	netmap_option_each(p->name, lay_over, &o);
	return options;
}

uint64_t
plan_option_flag(const struct plan_instance *i, enum tr_option_flag flag)
{
	for (const struct tr_option *t = i->class_->options; t && t->key; t++) {
		if (!(t->flags & flag))
			continue;
		uint64_t value = *(const uint64_t *)((const char *)i->options + t->offset);
		const char *text = netmap_option(i->name, t->key);
		char why[128];
		if (text)
			option_parse_text(NULL, t, text, &value, why, sizeof(why));
		return value;
	}
	return 0;
}

/* ---- Instances ---- */

bool
instance_dynamic(const struct tr_class *c)
{
	for (const struct tr_out_gate *g = c->out; g && g->name; g++)
		if (g->flags & TR_GATE_DYNAMIC)
			return true;
	return false;
}

static unsigned
count_named(const void *table, size_t stride)
{
	unsigned n = 0;
	if (table)
		while (*(const char *const *)((const char *)table + n * stride))
			n++;
	return n;
}

static unsigned
n_in(const struct tr_class *c)
{
	return count_named(c->in, sizeof(*c->in));
}

static unsigned
n_drops(const struct tr_class *c)
{
	return count_named(c->drops, sizeof(*c->drops));
}

static unsigned
n_counters(const struct tr_class *c)
{
	return count_named(c->counters, sizeof(*c->counters));
}

static uint64_t *
counters(unsigned n)
{
	size_t size = RTE_ALIGN((n + 1) * sizeof(uint64_t), RTE_CACHE_LINE_SIZE);
	uint64_t *v = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (v)
		memset(v, 0, size);
	return v;
}

static bool
alloc_workers(struct tr_instance *i)
{
	const struct tr_class *c = i->class_;
	i->w = calloc(i->engine->workers + 1u, sizeof(*i->w));
	for (unsigned w = 0; i->w && w <= i->engine->workers; w++) {
		i->w[w].count = counters(n_counters(c));
		i->w[w].drops = counters(n_drops(c) + GRAPH_DROPS);
		i->w[w].packets = counters(n_in(c));
		if (!i->w[w].count || !i->w[w].drops || !i->w[w].packets)
			return false;
	}
	return i->w != NULL;
}

static bool
init_workers(struct tr_instance *i)
{
	for (uint16_t w = 0; w < i->engine->workers; w++) {
		if (i->class_->worker_init && !(i->w[w].local = i->class_->worker_init(i->self, w))) {
			if (!i->failure[0])
				snprintf(i->failure, sizeof(i->failure), "worker_init failed");
			return false;
		}
		i->w[w].inited = true;
	}
	return true;
}

static bool
bring_up(struct tr_instance *i)
{
	i->self = i->class_->create(i, &i->engine->host, i->options);
	if (!i->self)
		return false;
	if (!init_workers(i))
		return false;
	if (i->class_->start && i->class_->start(i->self) != 0)
		return false;
	i->started = true;
	return true;
}

/* A prober: its peers are those of the instance that its options name. */
static void
follow(struct tr_instance *i)
{
	struct engine *e = i->engine;
	for (const struct tr_option *o = i->class_->options; o && o->key; o++) {
		const char *name;
		if (!(o->flags & TR_OPT_PEERS))
			continue;
		memcpy(&name, (const char *)i->options + o->offset, sizeof(name));
		i->table = name ? netmap_table(name) : NULL;
	}
	if (i->table && !atomic_load_explicit(&e->sent, memory_order_relaxed))
		atomic_store_explicit(&e->sent, calloc((size_t)e->max_peers + 1, sizeof(struct sent)), memory_order_release);
}

struct tr_instance *
instance_create(struct engine *e, struct generation *g, unsigned index, char *why, size_t size)
{
	const struct plan_instance *p = &g->plan->plan->instance[index];
	struct tr_instance *i = calloc(1, sizeof(*i));
	snprintf(why, size, "out of memory");
	if (!i)
		return NULL;
	i->name = strdup(p->name);
	i->class_ = p->class_;
	i->plugin = p->plugin;
	i->engine = e;
	i->slot = slot_get(e, p->name);
	i->options_plan = g->plan;
	g->plan->refs++;
	if (p->class_->flags & TR_CLASS_PEERS) {
		i->table = netmap_table(p->name);
		if (i->slot && !i->slot->indexes) /* previous, current, next and a handshake of each peer */
			i->slot->indexes = index_table_new(e->max_peers * 4u + 1024u, e->workers);
	}
	i->options = instance_options(i, p);
	if (i->options && (p->class_->flags & TR_CLASS_PROBES))
		follow(i);
	if (!i->name || !i->slot || !i->options || !alloc_workers(i) ||
		((p->class_->flags & TR_CLASS_PEERS) && !i->slot->indexes)) {
		instance_destroy(i);
		return NULL;
	}
	for (const struct tr_in_gate *in = p->class_->in; in && in->name; in++)
		slot_gate(i->slot, in->name);
	i->plan = g->plan->plan;
	i->plan_instance = p;
	bool up = bring_up(i);
	i->plan = NULL;
	i->plan_instance = NULL;
	if (up)
		return i;
	snprintf(why, size, "%s", i->failure[0] ? i->failure : "create failed without a reason");
	instance_stop(i);
	instance_destroy(i);
	return NULL;
}

void
instance_stop(struct tr_instance *i)
{
	if (i->started && i->class_->stop)
		i->class_->stop(i->self);
	i->started = false;
}

static void
fini_workers(struct tr_instance *i)
{
	for (uint16_t w = 0; i->w && w < i->engine->workers; w++) {
		if (!i->w[w].inited || !i->class_->worker_fini)
			continue;
		struct graph_node bare = {.pub = {.self = i->self, .local = i->w[w].local, .host = &i->engine->host, .instance = i,
			.count = i->w[w].count, .now = &i->engine->graveyard.now, .worker = w},
			.n_reasons = (uint16_t)n_drops(i->class_), .drops = i->w[w].drops};
		struct graph graph = {.thread = &i->engine->graveyard};
		bare.graph = &graph;
		i->class_->worker_fini(&bare.pub);
	}
}

static void
bury(struct tr_instance *i)
{
	const struct tr_class *c = i->class_;
	for (unsigned w = 0; i->w && i->slot && w <= i->engine->workers; w++) {
		for (unsigned k = 0; k < n_counters(c); k++)
			remember(i->slot, "", c->counters[k].name, i->w[w].count[k]);
		for (unsigned k = 0; k < n_drops(c) + GRAPH_DROPS; k++)
			remember(i->slot, "drop ", k < n_drops(c) ? c->drops[k].name : graph_drops[k - n_drops(c)].name, i->w[w].drops[k]);
		for (unsigned k = 0; k < n_in(c); k++)
			remember(i->slot, "in ", c->in[k].name, i->w[w].packets[k]);
	}
}

void
instance_destroy(struct tr_instance *i)
{
	if (i->self) {
		fini_workers(i);
		i->class_->destroy(i->self);
		bury(i);
	}
	for (unsigned w = 0; i->w && w <= i->engine->workers; w++) {
		free(i->w[w].count);
		free(i->w[w].drops);
		free(i->w[w].packets);
	}
	free(i->w);
	if (i->options)
		explicit_bzero(i->options, i->class_->options_size);
	free(i->options);
	plan_unref(i->options_plan);
	free((void *)(uintptr_t)i->name);
	free(i);
}

void
instance_reconfigure(struct tr_instance *i, struct plan_ref *plan, unsigned index)
{
	void *old = i->options;
	struct plan_ref *old_plan = i->options_plan;
	i->options_plan = plan;
	plan->refs++;
	void *options = instance_options(i, &plan->plan->instance[index]);
	if (!options) {
		i->options_plan = old_plan;
		plan_unref(plan);
		return;
	}
	if (i->class_->reconfigure)
		i->class_->reconfigure(i->self, options);
	i->options = options;
	explicit_bzero(old, i->class_->options_size);
	free(old);
	plan_unref(old_plan);
}

struct tr_node *
instance_node(struct tr_instance *i, uint16_t worker)
{
	return i->w[worker].own ? &i->w[worker].own->pub : NULL;
}
