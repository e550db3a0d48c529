/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine: instances, generations, workers. Control thread unless said otherwise. What plugins see of it is the
 * struct tr_host that it fills.
 */
#pragma once

#include "config/appliance.h"
#include "graph/graph.h"
#include "pipeline/plan.h"

#include <tailrace/show.h>

struct engine;
struct netmap_table;

/* An instance: one object of one build of a class with one set of options. Carried over by generations that change none
 * of these. What must outlive it (counters, blocks, timers, held packets) belongs to its slot, found by name. */
struct slot;
struct tr_instance {
	const char *name;              /* the head is struct tr_instance_view */
	const struct tr_class *class_;
	const struct loaded_plugin *plugin;
	struct engine *engine;
	struct slot *slot;
	void *self, *options;
	/* During create() of a core class with dynamic gates: its plan, so that it can see what its gates lead to. An
	 * instance with dynamic gates is recreated whenever they, or the listen/mtu of their targets, change. */
	const struct plan *plan;
	const struct plan_instance *plan_instance;
	struct netmap_table *table; /* TR_CLASS_PEERS */
};

/* The effective option value of an instance, operator's layer included; 0 when it has none with this flag. */
uint64_t plan_option_flag(const struct plan_instance *i, enum tr_option_flag flag);

struct engine_config {
	const struct appliance *appliance;
	struct catalogue *catalogue;
	struct rte_mempool *pool;
	uint16_t workers;
};
struct engine *engine_new(const struct engine_config *c);
void engine_free(struct engine *e);
/* Starts or applies. `done` is called on the control thread when the old generation is retired, or at once with an error
 * text. On error nothing has changed. Only one apply at a time (-EBUSY). Takes ownership of the plan when 0. */
int engine_apply(struct engine *e, struct plan *p, void (*done)(void *arg, const char *error), void *arg, struct diags *d);
const struct plan *engine_plan(const struct engine *e);

struct tr_instance *engine_instance(struct engine *e, const char *name);
unsigned engine_each(struct engine *e, void (*fn)(void *arg, struct tr_instance *), void *arg);
void engine_totals(struct engine *e, struct graph_totals *out);
/* Per instance: counters; per node: packets in, per drop reason. For stats, drops, OpenMetrics. */
void engine_show_stats(struct engine *e, struct tr_show *out);
void engine_show_drops(struct engine *e, struct tr_show *out);
void engine_show_workers(struct engine *e, struct tr_show *out); /* busy share, loops, sleeping, generation */
/* The next n packets that enter at `instance` (NULL: any source) are followed; results by engine_trace_take(). */
int engine_trace_start(struct engine *e, const char *instance, unsigned n);
unsigned engine_trace_take(struct engine *e, struct tr_show *out); /* packets shown: [{at, node, text, verdict}…] */
