/* SPDX-License-Identifier: BSD-3-Clause */
#include "commands_private.h"

#include "../netmap/store.h"
#include "../port/port.h"
#include "../runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t
commands_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

json_t *
commands_shown(void (*fill)(struct engine *e, struct tr_show *out), struct engine *e)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	if (!s)
		return json_object();
	fill(e, s);
	char why[256];
	json_t *v = json_show_end(j, why, sizeof(why));
	return v ? v : json_object();
}

/* ---- Sampling ---- */

static void
sample_port(void *arg, struct port *p)
{
	struct series *s = arg;
	struct port_info i;
	char name[96];
	port_show(p, &i);
	const struct {
		const char *name;
		uint64_t value;
	} v[] = {{"rx", i.rx}, {"tx", i.tx}, {"rx_bytes", i.rx_bytes}, {"tx_bytes", i.tx_bytes},
		{"rx_dropped", i.rx_dropped}, {"tx_dropped", i.tx_dropped}};
	for (size_t k = 0; k < sizeof(v) / sizeof(*v); k++) {
		snprintf(name, sizeof(name), "ports/%s/%s", i.name, v[k].name);
		series_sample(s, name, v[k].value);
	}
}

static const char *
peer_drop_name(const struct engine_peer_drop *d, char name[160])
{
	snprintf(name, 160, "peer_drops/%u/%u/%s/%s", d->thread, d->peer, d->instance, d->reason);
	return name;
}

static void
sample_peer_drop(void *arg, const struct engine_peer_drop *d)
{
	char name[160];
	series_sample(arg, peer_drop_name(d, name), d->packets);
}

uint64_t
commands_peer_drops_minute(const struct commands *c, const struct engine_peer_drop *d)
{
	char name[160];
	return series_minute(c->series, peer_drop_name(d, name));
}

static void
sample(void *arg)
{
	struct commands *c = arg;
	series_begin(c->series, commands_now());
	engine_show_stats(c->on.engine, series_show(c->series, ""));
	engine_show_drops(c->on.engine, series_show(c->series, ""));
	engine_each_peer_drop(c->on.engine, sample_peer_drop, c->series);
	engine_show_workers(c->on.engine, series_show(c->series, ""));
	port_each(sample_port, c->series);
	series_end(c->series);
	health_look(c->health, c->on.engine);
}

/* ---- stats, drops ---- */

json_t *
commands_rates(const struct commands *c, const char *path, json_t *counters)
{
	json_t *rates = json_object();
	const char *key;
	json_t *v;
	char name[256];
	json_object_foreach(counters, key, v)
	{
		if (!json_is_integer(v))
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, key);
		json_object_set_new(rates, key, json_real(series_rate(c->series, name)));
	}
	return rates;
}

static void
command_stats(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	json_t *stats = commands_shown(engine_show_stats, c->on.engine), *totals = json_object_get(stats, "totals");
	json_object_set_new(stats, "totals_per_second", commands_rates(c, "totals", totals));
	json_t *instances = json_object_get(stats, "instances"), *i;
	const char *name;
	if (argc > 0 && !json_object_get(instances, argv[0])) {
		json_decref(stats);
		management_error(r, "no instance named %s", argv[0]);
		return;
	}
	void *next;
	json_object_foreach_safe(instances, next, name, i)
	{
		static const char *const groups[] = {"in", "counters"};
		if (argc > 0 && strcmp(name, argv[0]) != 0) {
			json_object_del(instances, name);
			continue;
		}
		for (size_t g = 0; g < 2; g++) {
			char path[160], key[32];
			snprintf(path, sizeof(path), "instances/%s/%s", name, groups[g]);
			snprintf(key, sizeof(key), "%s_per_second", groups[g]);
			json_object_set_new(i, key, commands_rates(c, path, json_object_get(i, groups[g])));
		}
	}
	json_t *threads = commands_shown(engine_show_threads, c->on.engine);
	json_object_update(stats, threads);
	json_decref(threads);
	management_reply(r, stats);
}

static int
by_recency(const void *a, const void *b)
{
	json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	json_int_t m = json_integer_value(json_object_get(x, "last_minute"));
	json_int_t n = json_integer_value(json_object_get(y, "last_minute"));
	if (m == n) {
		m = json_integer_value(json_object_get(x, "packets"));
		n = json_integer_value(json_object_get(y, "packets"));
	}
	return m < n ? 1 : m > n ? -1 : 0;
}

json_t *
commands_drops(struct commands *c, bool recent_only)
{
	json_t *shown = commands_shown(engine_show_drops, c->on.engine), *list = json_object_get(shown, "drops"), *d;
	size_t n = json_array_size(list), kept = 0, i;
	json_t **sorted = calloc(n + 1, sizeof(*sorted)), *out = json_array();
	json_array_foreach(list, i, d)
	{
		char name[160];
		snprintf(name, sizeof(name), "drops/%s/%s/packets", json_string_value(json_object_get(d, "instance")),
			json_string_value(json_object_get(d, "reason")));
		uint64_t minute = series_minute(c->series, name);
		json_object_set_new(d, "last_minute", json_integer((json_int_t)minute));
		json_object_set_new(d, "per_second", json_real(series_rate(c->series, name)));
		if (sorted && (minute || !recent_only))
			sorted[kept++] = d;
	}
	if (kept)
		qsort(sorted, kept, sizeof(*sorted), by_recency);
	for (i = 0; i < kept; i++)
		json_array_append(out, sorted[i]);
	free(sorted);
	json_decref(shown);
	return out;
}

struct find_peer {
	uint32_t id;
	const struct tr_peer *found;
};

static void
find_peer(void *arg, struct tr_instance *i)
{
	struct find_peer *f = arg;
	if (!f->found && i->table)
		f->found = netmap_peer(i->table, f->id);
}

const struct tr_peer *
commands_peer(const struct commands *c, uint32_t id)
{
	struct find_peer f = {.id = id};
	engine_each(c->on.engine, find_peer, &f);
	return f.found;
}

/* Peers by name and key; a peer that has gone keeps its number. */
static json_t *
drops_by_peer(struct commands *c)
{
	json_t *shown = commands_shown(engine_show_peer_drops, c->on.engine), *d;
	size_t i;
	json_array_foreach(json_object_get(shown, "by_peer"), i, d)
	{
		const struct tr_peer *p = commands_peer(c, (uint32_t)json_integer_value(json_object_get(d, "peer")));
		char key[45];
		if (!p)
			continue;
		format_base64_32(p->public_key, key);
		if (p->name)
			json_object_set_new(d, "name", json_string(p->name));
		json_object_set_new(d, "public_key", json_string(key));
	}
	return shown;
}

static void
command_drops(void *arg, struct request *r, int argc, char *const *argv)
{
	json_t *v = json_pack("{s:o}", "drops", commands_drops(arg, false)), *by_peer = drops_by_peer(arg);
	json_object_update(v, by_peer);
	json_decref(by_peer);
	management_reply(r, v);
}

/* ---- Instances ---- */

struct names {
	const char *name[257];
	unsigned n;
};

static void
collect_name(void *arg, struct tr_instance *i)
{
	struct names *n = arg;
	if (n->n < 256)
		n->name[n->n++] = i->name;
}

/* NULL after the request has been refused. */
static struct tr_instance *
find_instance(struct commands *c, struct request *r, const char *name)
{
	struct tr_instance *i = engine_instance(c->on.engine, name);
	if (i)
		return i;
	struct names n = {.n = 0};
	engine_each(c->on.engine, collect_name, &n);
	const char *near = did_you_mean(name, n.name);
	management_error(r, "no command or instance named %s%s%s%s", name, near ? " (did you mean " : "",
		near ? near : "", near ? "?)" : "");
	return NULL;
}

static json_t *
describe_commands(const struct tr_class *k)
{
	json_t *list = json_array();
	for (const struct tr_command *o = k->commands; o && o->name; o++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "command", o->name, "args",
						    o->args ? o->args : "", "does", o->doc ? o->doc : ""));
	return list;
}

static json_t *
describe_links(const struct plan *p, const char *instance)
{
	json_t *list = json_array();
	for (unsigned k = 0; p && k < p->n_instances; k++) {
		const struct plan_instance *i = &p->instance[k];
		for (unsigned g = 0; g < i->n_out; g++) {
			if (i->out[g].to < 0 || !i->out[g].where) /* not linked, or within the instance */
				continue;
			const struct plan_instance *to = &p->instance[i->out[g].to];
			if (strcmp(i->name, instance) != 0 && strcmp(to->name, instance) != 0)
				continue;
			char text[160];
			snprintf(text, sizeof(text), "%s.%s -> %s.%s", i->name, i->out[g].name, to->name,
				to->class_->in[i->out[g].to_gate].name);
			json_array_append_new(list, json_string(text));
		}
	}
	return list;
}

static json_t *
describe_options(const struct tr_instance *i)
{
	json_t *o = json_object();
	for (const struct tr_option *t = i->class_->options; t && t->key; t++) {
		char *text = option_text(t, i->options);
		json_object_set_new(o, t->key, text && *text ? json_string(text) : json_null());
		free(text);
	}
	return o;
}

/* What the class itself shows. */
static json_t *
describe_state(const struct tr_instance *i)
{
	struct json_show *j;
	struct tr_show *s = i->class_->show ? json_show_begin(&j) : NULL;
	if (!s)
		return json_object();
	char why[512];
	i->class_->show(i->self, s);
	json_t *v = json_show_end(j, why, sizeof(why));
	return v ? v : json_pack("{s:s}", "error", why);
}

static void
command_show(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	if (argc != 1) {
		management_error(r, "show needs an instance");
		return;
	}
	struct tr_instance *i = find_instance(c, r, argv[0]);
	if (!i)
		return;
	json_t *v = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "name", i->name, "class", i->class_->name,
		"plugin", i->plugin ? i->plugin->desc->name : "core", "options", describe_options(i), "state",
		describe_state(i), "links", describe_links(engine_plan(c->on.engine), i->name), "commands",
		describe_commands(i->class_));
	management_reply(r, v);
}

/* INSTANCE COMMAND …: whatever no other command takes. */
static void
command_instance(void *arg, struct request *r, int argc, char *const *argv)
{
	struct tr_instance *i = find_instance(arg, r, argv[0]);
	if (!i)
		return;
	if (argc == 1) {
		management_reply(r, describe_commands(i->class_));
		return;
	}
	struct names n = {.n = 0};
	const struct tr_command *o = i->class_->commands;
	for (; o && o->name && strcmp(o->name, argv[1]) != 0; o++)
		if (n.n < 256)
			n.name[n.n++] = o->name;
	if (!o || !o->name) {
		const char *near = did_you_mean(argv[1], n.name);
		management_error(r, "%s (%s) has no command %s%s%s%s", i->name, i->class_->name, argv[1],
			near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
		return;
	}
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	if (!s) {
		management_error(r, "no memory");
		return;
	}
	char why[512];
	int rc = o->run(i->self, argc - 2, argv + 2, s);
	json_t *v = json_show_end(j, why, sizeof(why));
	if (v && rc < 0)
		snprintf(why, sizeof(why), "%s %s: %s", i->name, o->name, strerror(-rc));
	if (v && rc >= 0) {
		management_reply(r, v);
		return;
	}
	json_decref(v);
	management_error(r, "%s", why);
}

/* ---- netmap, names ---- */

static void
command_persist(void *arg, struct request *r, int argc, char *const *argv)
{
	char *yaml = netmap_persist();
	management_reply(r, json_pack("{s:s}", "yaml", yaml ? yaml : ""));
	free(yaml);
}

static void
command_netmap(void *arg, struct request *r, int argc, char *const *argv)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	if (!s) {
		management_error(r, "no memory");
		return;
	}
	char why[256];
	netmap_show(s);
	json_t *v = json_show_end(j, why, sizeof(why));
	if (v)
		management_reply(r, v);
	else
		management_error(r, "%s", why);
}

#define PEER_NAMES 1000

static void
add_peer_name(void *arg, const struct tr_peer *p)
{
	if (p->name && json_array_size(arg) < PEER_NAMES)
		json_array_append_new(arg, json_string(p->name));
}

struct all_names {
	json_t *instances, *peers;
};

static void
add_names(void *arg, struct tr_instance *i)
{
	struct all_names *n = arg;
	json_array_append_new(n->instances, json_string(i->name));
	if (i->table)
		netmap_each(i->table, add_peer_name, n->peers);
}

/* For completion. */
static void
command_names(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	struct all_names n = {json_array(), json_array()};
	engine_each(c->on.engine, add_names, &n);
	management_reply(r, json_pack("{s:o, s:o}", "instances", n.instances, "peers", n.peers));
}

/* ---- Life ---- */

static void
start_exporter(struct commands *c)
{
	const struct appliance *a = c->on.appliance;
	char why[256];
	if (!a->metrics)
		return;
	c->exporter = exporter_new(c->on.loop, a->metrics, a->group, metrics_render, c, why, sizeof(why));
	if (!c->exporter)
		log_warning("metrics", "%s", why);
}

struct commands *
commands_new(const struct commands_config *config)
{
	struct commands *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	c->on = *config;
	c->started = commands_now();
	c->series = series_new();
	c->health = health_new(c->on.engine);
	c->tick = loop_timer(c->on.loop, 0, 1000, sample, c);
	if (!c->series || !c->health || !c->tick) {
		commands_free(c);
		return NULL;
	}
	const struct management_command commands[] = {
		{"status", command_status, c},
		{"peers", command_peers, c},
		{"ping", command_ping, c},
		{"netcheck", command_netcheck, c},
		{"stats", command_stats, c},
		{"drops", command_drops, c},
		{"trace", command_trace, c},
		{"capture", command_capture, c},
		{"top", command_top, c},
		{"explain", command_explain, c},
		{"apply", command_apply, c},
		{"reload", command_reload, c},
		{"confirm", command_confirm, c},
		{"persist", command_persist, c},
		{"netmap", command_netmap, c},
		{"show", command_show, c},
		{"names", command_names, c},
		{NULL, command_instance, c},
	};
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		management_add(c->on.management, &commands[i]);
	start_exporter(c);
	return c;
}

uint64_t
commands_stalled(const struct commands *c)
{
	return health_stalled(c->health);
}

void
commands_free(struct commands *c)
{
	if (!c)
		return;
	trace_free(c);
	capture_command_free(c);
	explain_free(c);
	apply_free(c);
	trial_free(c);
	peer_walks_free(c);
	pings_free(c);
	top_free(c);
	exporter_free(c->exporter);
	if (c->tick)
		loop_watch_close(c->tick);
	series_free(c->series);
	health_free(c->health);
	free(c->apply_error);
	free(c);
}
