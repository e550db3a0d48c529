/* SPDX-License-Identifier: BSD-3-Clause */
/* A fake host's life: from options to create and start, and back. */
#include "fake.h"

#include "../crypto/aead.h"
#include "../telemetry/json_show.h"

#include <errno.h>
#include <stdlib.h>

/* ---- Small services ---- */

static void
host_fail(struct tr_instance *i, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fake_set_failure(format, args);
	va_end(args);
}

static void
host_log(struct tr_instance *i, enum tr_log_level level, const char *format, ...)
{
	va_list args;

	if (!fake_allow(i, BY_CONTROL | BY_SERVICE | BY_JOB, "log") || level > TR_LOG_WARNING)
		return;
	fprintf(stderr, "%s: ", i->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

static uint64_t
host_now(struct tr_instance *i)
{
	return fake_of(i)->world->now;
}

static uint64_t
host_wall(struct tr_instance *i)
{
	return fake_of(i)->world->wall_base + fake_of(i)->world->now;
}

static const struct aead_engine *
engine(void)
{
	static const struct aead_engine *chosen;

	if (!chosen && crypto_init() == 0)
		chosen = aead_choose("libsodium");
	if (!chosen)
		abort();
	return chosen;
}

void
fake_aead(struct tr_aead *p, uint16_t n, bool open)
{
	void *w = engine()->worker_new();

	(open ? engine()->open : engine()->seal)(w, p, n);
	engine()->worker_free(w);
}

static void
host_aead_seal(struct tr_node *node, struct tr_aead *p, uint16_t n)
{
	if (fake_allow(node->instance, BY_WORKER | BY_SERVICE, "aead_seal"))
		fake_aead(p, n, false);
}

static void
host_aead_open(struct tr_node *node, struct tr_aead *p, uint16_t n)
{
	if (fake_allow(node->instance, BY_WORKER | BY_SERVICE, "aead_open"))
		fake_aead(p, n, true);
}

/* NULL: the class has no service loop. */
struct tr_node *
fake_service_node(struct fh *h)
{
	struct tr_node *row = &h->nodes[(size_t)h->world->workers * (h->n_in + 1u)];

	for (uint16_t g = 0; g < h->n_in; g++)
		if (h->instance.class_->in[g].flags & TR_GATE_SERVICE)
			return &row[g];
	return h->instance.class_->flags & TR_CLASS_SERVICE ? &row[h->n_in] : NULL;
}

static struct tr_node *
host_service_node(struct tr_instance *i)
{
	struct fh *h = fake_newest(fake_of(i)->world);

	return fake_allow(i, BY_SERVICE, "service_node") && !h->service_over ? fake_service_node(h) : NULL;
}

static void
make_host(struct tr_host *host, uint16_t workers)
{
	engine();
	*host = (struct tr_host){.size = sizeof(*host), .workers = workers, .fail = host_fail, .log = host_log,
		.now = host_now, .wall = host_wall, .aead_seal = host_aead_seal, .aead_open = host_aead_open,
		.service_node = host_service_node, .option_set = fake_option_set, .crypto = &core_crypto};
	fake_packets_host(host);
	fake_spread_host(host);
	fake_state_host(host);
	fake_netmap_host(host);
	fake_time_host(host);
}

/* ---- Life ---- */

void (*fake_stage)(const char *what);

static void
stage(const char *what)
{
	if (fake_stage)
		fake_stage(what);
}

static void
make_nodes(struct fh *h)
{
	const struct tr_class *c = h->instance.class_;
	uint16_t rows = h->world->workers + 1;

	while (c->in && c->in[h->n_in].name)
		h->n_in++;
	while (c->drops && c->drops[h->n_drops].name)
		h->n_drops++;
	while (c->counters && c->counters[h->n_counters].name)
		h->n_counters++;
	h->nodes = calloc((size_t)rows * (h->n_in + 1u), sizeof(*h->nodes));
	h->counters = calloc((size_t)rows * h->n_counters + 1, sizeof(*h->counters));
	h->drop_count = calloc(h->n_drops + 8u, sizeof(*h->drop_count));
	h->local = calloc(rows, sizeof(*h->local));
	if (!h->nodes || !h->counters || !h->drop_count || !h->local)
		abort();
	for (uint16_t row = 0; row < rows; row++)
		for (uint16_t g = 0; g <= h->n_in; g++)
			h->nodes[(size_t)row * (h->n_in + 1u) + g] = (struct tr_node){
				.host = &h->host,
				.instance = &h->instance,
				.count = h->counters + (size_t)row * h->n_counters,
				.now = &h->world->now,
				.worker = row == h->world->workers ? TR_NO_WORKER : row,
				.gate = g == h->n_in ? 0 : g,
			};
}

static void
point_nodes(struct fh *h)
{
	uint16_t columns = h->n_in + 1;

	for (size_t k = 0; k < (size_t)(h->world->workers + 1) * columns; k++) {
		h->nodes[k].self = h->instance.self;
		h->nodes[k].local = h->local[k / columns];
	}
}

static const struct tr_class *
find_class(const struct fh_config *c)
{
	const struct tr_class *const *v = c->plugin->classes;

	while (*v && c->class_ && strcmp((*v)->name, c->class_) != 0)
		v++;
	return *v;
}

/* Class, options and gates: from the test's text, or from an instance of a plan. */
static bool
configure(struct fh *h, const struct fh_config *c)
{
	const struct plan_instance *p = NULL;
	const char **dynamic;
	unsigned n = 0, fixed = 0;

	for (unsigned i = 0; c->plan && i < c->plan->n_instances; i++)
		if (strcmp(c->plan->instance[i].name, c->name) == 0)
			p = &c->plan->instance[i];
	h->instance.class_ = p ? p->class_ : find_class(c);
	if (!h->instance.class_) {
		host_fail(&h->instance, "no class %s in this plugin", c->class_);
		return false;
	}
	h->instance.name = c->name ? c->name : h->instance.class_->name;
	h->instance.plan = c->plan;
	h->instance.plan_instance = p;
	if (!p) {
		while (c->gates && c->gates[n])
			n++;
		fake_gates(h, c->gates, n);
		return fake_options(h, c->options, &h->instance.options, &h->arena);
	}
	dynamic = calloc(p->n_out + 1u, sizeof(*dynamic));
	if (!dynamic)
		abort();
	while (p->class_->out && p->class_->out[fixed].name && !(p->class_->out[fixed].flags & TR_GATE_DYNAMIC))
		fixed++;
	for (unsigned i = fixed; i < p->n_out; i++)
		dynamic[n++] = p->out[i].name;
	fake_gates(h, dynamic, n);
	free(dynamic);
	h->instance.options = p->options;
	return true;
}

/* create() until start(); false after host->fail(). */
static bool
bring_up(struct fh *h)
{
	const struct tr_class *c = h->instance.class_;

	stage("create()");
	h->instance.self = c->create(&h->instance, &h->host, h->instance.options);
	if (!h->instance.self)
		return false;
	stage("worker_init()");
	for (uint16_t w = 0; w < h->world->workers && c->worker_init; w++) {
		h->local[w] = c->worker_init(h->instance.self, w);
		if (!h->local[w]) {
			host_fail(&h->instance, "worker_init() of worker %u failed", w);
			return false;
		}
		h->n_workers_up = (uint16_t)(w + 1);
	}
	if (!c->worker_init)
		h->n_workers_up = h->world->workers;
	point_nodes(h);
	stage("start()");
	if (c->start && c->start(h->instance.self) != 0)
		return false;
	h->started = true;
	return true;
}

/* stop(), the grace period, worker_fini(), destroy(): from any depth of bring_up(). */
static void
bring_down(struct fh *h)
{
	const struct tr_class *c = h->instance.class_;

	if (!h->instance.self)
		return;
	stage("stop()");
	if (h->started && c->stop)
		c->stop(h->instance.self);
	h->stopping = true;
	fake_drain(h->world, h);
	stage("worker_fini()");
	for (uint16_t w = 0; w < h->n_workers_up && c->worker_fini; w++) {
		fake_enter(h->world, BY_WORKER, w);
		c->worker_fini(fake_node(h, w));
	}
	if (fake_service_node(h) && c->worker_fini) {
		fake_enter(h->world, BY_SERVICE, 0);
		c->worker_fini(fake_service_node(h));
	}
	h->service_over = true;
	fake_enter(h->world, BY_CONTROL, 0);
	stage("destroy()");
	c->destroy(h->instance.self);
	fake_drain(h->world, h);
	fake_time_leaks(h->world, h);
}

static void
release(struct fh *h)
{
	struct world *w = h->world;
	unsigned i = 0;

	while (i < w->n_live && w->live[i] != h)
		i++;
	if (i < w->n_live)
		memmove(&w->live[i], &w->live[i + 1], (--w->n_live - i) * sizeof(w->live[0]));
	while (fh_next(h))
		;
	if (!w->n_live)
		fake_world_free(w);
	arena_free(h->arena);
	diags_free(&h->diags);
	free(h->gate);
	free(h->local);
	free(h->nodes);
	free(h->counters);
	free(h->drop_count);
	free(h);
}

struct fh *
fh_new(const struct fh_config *c)
{
	struct fh *h = calloc(1, sizeof(*h));
	struct world *w = c->blocks_of ? c->blocks_of->world : fake_world_new(c);

	if (!h)
		abort();
	h->world = w;
	STAILQ_INIT(&h->queue);
	STAILQ_INIT(&h->outs);
	make_host(&h->host, w->workers);
	if (!configure(h, c) || w->n_live == FAKE_LIVE)
		goto fail;
	make_nodes(h);
	w->live[w->n_live++] = h;
	if (!c->blocks_of && c->netmap && !fake_netmap_load(w, h, c->netmap))
		goto fail;
	if (!bring_up(h))
		goto fail;
	fake_netmap_added(h);
	return h;
fail:
	if (!fake_stage)
		fprintf(stderr, "fake host: %s\n", fh_failure());
	bring_down(h);
	release(h);
	return NULL;
}

void
fh_free(struct fh *h)
{
	if (!h)
		return;
	bring_down(h);
	release(h);
}

/* ---- What the test asks ---- */

void *
fh_self(struct fh *h)
{
	return h->instance.self;
}

struct tr_node *
fh_node(struct fh *h, uint16_t worker, const char *in_gate)
{
	int gate = in_gate ? fake_in_gate(h, in_gate) : h->n_in;

	if (gate < 0 || worker >= h->world->workers) {
		fake_failed("class %s: no in gate %s on worker %u", h->instance.class_->name, in_gate, worker);
		return NULL;
	}
	return &h->nodes[(size_t)worker * (h->n_in + 1u) + (unsigned)gate];
}

uint64_t
fh_counter(struct fh *h, const char *name)
{
	uint64_t sum = 0;

	for (uint16_t i = 0; i < h->n_counters; i++) {
		if (strcmp(h->instance.class_->counters[i].name, name) != 0)
			continue;
		for (uint16_t row = 0; row <= h->world->workers; row++)
			sum += h->counters[(size_t)row * h->n_counters + i];
		return sum;
	}
	fake_failed("class %s has no counter %s", h->instance.class_->name, name);
	return 0;
}

const char *
fh_unix_dir(struct fh *h)
{
	return h->world->unix_dir[0] ? h->world->unix_dir : NULL;
}

static char *
json_text(json_t *v)
{
	char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);

	json_decref(v);
	return text;
}

char *
fh_show_json(struct fh *h)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	char error[256] = "";

	if (h->instance.class_->show)
		h->instance.class_->show(h->instance.self, s);
	json_t *v = json_show_end(j, error, sizeof(error));
	if (error[0])
		fake_failed("class %s: show(): %s", h->instance.class_->name, error);
	return v ? json_text(v) : NULL;
}

int
fh_command(struct fh *h, const char *name, int argc, char *const *argv, char **json)
{
	const struct tr_command *c = h->instance.class_->commands;
	struct json_show *j;
	char error[256] = "";
	int r;

	while (c && c->name && strcmp(c->name, name) != 0)
		c++;
	if (!c || !c->name) {
		fake_failed("class %s has no command %s", h->instance.class_->name, name);
		return -ENOENT;
	}
	r = c->run(h->instance.self, argc, argv, json_show_begin(&j));
	json_t *v = json_show_end(j, error, sizeof(error));
	if (error[0]) {
		json_decref(v);
		v = json_pack("{s:s}", "error", error);
	}
	fake_run(h);
	if (json)
		*json = v ? json_text(v) : NULL;
	else
		json_decref(v);
	return r;
}
