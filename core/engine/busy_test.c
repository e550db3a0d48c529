/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What runs beside the packet path while generations follow each other: timers, jobs, posts to every kind of thread,
 * packets by way of a service loop, peers that come and go. Nothing runs for an instance that is gone, nothing is lost,
 * and each peer's events come in order to its owner.
 */
#include "../runtime/rcu.h"
#include "../sdk/pool.h"
#include "private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WORKERS 3
#define APPLIES 60
#define MAGIC 0x74726c76u

static struct rte_mempool *pool;
static bool quiet; /* atomic: nothing new begins */
static struct {
	uint64_t wrong, created, from_create, timers, jobs, jobs_out, to_control, to_service, to_owner, served, ended, added, removed;
} seen; /* atomic */

static void
count(uint64_t *v)
{
	__atomic_add_fetch(v, 1, __ATOMIC_RELAXED);
}

static void
expect(bool ok)
{
	if (!ok)
		count(&seen.wrong);
}

/* ---- The class ---- */

struct busy {
	uint32_t magic; /* 0 after destroy() */
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct tr_blocks *workers, *peers;
	uint32_t turn[WORKERS];
};

struct per_worker {
	struct tr_timer timer;
	bool armed;
} __attribute__((aligned(64)));

struct per_peer {
	uint32_t here;
};

static struct busy *
alive(void *self)
{
	struct busy *b = self;
	expect(b->magic == MAGIC);
	return b;
}

static void
on_loop(void *self, void *counter)
{
	alive(self);
	count(counter);
}

static void
on_owner(struct tr_node *node, uint32_t peer, uint64_t arg)
{
	alive(node->self);
	expect(peer % WORKERS == node->worker && arg == peer * 3u);
	count(&seen.to_owner);
}

static void
on_created(struct tr_node *node, uint32_t peer, uint64_t arg)
{
	alive(node->self);
	(void)peer, (void)arg;
	count(&seen.from_create);
}

static void *
busy_create(struct tr_instance *i, const struct tr_host *h, const void *options)
{
	struct busy *b = calloc(1, sizeof(*b));
	(void)options;
	*b = (struct busy){.magic = MAGIC, .instance = i, .host = h};
	b->workers = h->blocks(i, "workers", 1, WORKERS * sizeof(struct per_worker), false);
	b->peers = h->blocks(i, "peers", 1, sizeof(struct per_peer), true);
	assert_non_null(b->workers);
	assert_non_null(b->peers);
	/* No thread has the instance yet: these wait for its first generation. */
	for (uint32_t peer = 1; peer <= WORKERS; peer++)
		h->post_peer(i, peer, on_created, 0);
	h->post(i, TR_THREAD_SERVICE, on_loop, &seen.from_create);
	count(&seen.created);
	return b;
}

static void
busy_destroy(void *self)
{
	alive(self)->magic = 0;
	free(self);
}

static void
job_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	(void)host;
	alive(self);
	job->data[1] = (uint8_t)(job->data[0] + 1);
}

/* What a job leads to may itself be the last that an instance does. */
static void
job_done(struct tr_node *node, struct tr_job *job)
{
	struct busy *b = alive(node->self);
	expect(job->data[1] == (uint8_t)(job->data[0] + 1));
	count(&seen.jobs);
	__atomic_sub_fetch(&seen.jobs_out, 1, __ATOMIC_RELAXED);
	b->host->post(b->instance, TR_THREAD_CONTROL, on_loop, &seen.to_control);
	b->host->post(b->instance, TR_THREAD_SERVICE, on_loop, &seen.to_service);
	uint32_t peer = job->data[0] + 1u;
	b->host->post_peer(b->instance, peer, on_owner, peer * 3u);
}

static void
begin_job(struct busy *b, struct tr_node *node)
{
	struct tr_job *job = b->host->job_new(node);
	if (!job)
		return;
	job->run = job_run;
	job->done = job_done;
	job->data[0] = (uint8_t)(b->turn[node->worker] & 127);
	__atomic_add_fetch(&seen.jobs_out, 1, __ATOMIC_RELAXED);
	b->host->job_submit(node, job);
}

static uint32_t
busy_poll(struct tr_node *node)
{
	struct busy *b = alive(node->self);
	struct per_worker *w = (struct per_worker *)tr_block(b->workers, 0) + node->worker;
	if (__atomic_load_n(&quiet, __ATOMIC_RELAXED) || ++b->turn[node->worker] % 2)
		return 0;
	if (!w->armed) {
		w->armed = true;
		b->host->timer_arm(node, &w->timer, *node->now + 1000000);
	}
	begin_job(b, node);
	struct rte_mbuf *m = pool_in_use(pool) < 300 ? b->host->packet_new(node) : NULL;
	if (!m)
		return 0;
	tr_meta(m)->peer = 1 + b->turn[node->worker] % 100;
	b->host->emit(node, 1, &m, 1);
	return 1;
}

static void
busy_timer(struct tr_node *node, struct tr_timer *t)
{
	struct busy *b = alive(node->self);
	struct per_worker *w = (struct per_worker *)tr_block(b->workers, 0) + node->worker;
	expect(t == &w->timer && w->armed);
	w->armed = false;
	count(&seen.timers);
}

static void
busy_peer(struct tr_node *node, enum tr_peer_event event, uint32_t id)
{
	struct per_peer *p = tr_block(alive(node->self)->peers, id);
	expect(id % WORKERS == node->worker);
	if (event == TR_PEER_ADDED) {
		expect(!p->here);
		p->here = 1;
		count(&seen.added);
	} else if (event == TR_PEER_REMOVED) {
		expect(p->here == 1);
		count(&seen.removed);
	}
}

static void
serve(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	(void)pkts;
	alive(node->self);
	expect(node->worker == TR_NO_WORKER);
	for (uint16_t i = 0; i < n; i++) {
		gate[i] = 2;
		count(&seen.served);
	}
}

static void
own(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	alive(node->self);
	for (uint16_t i = 0; i < n; i++) {
		expect(tr_meta(pkts[i])->peer % WORKERS == node->worker);
		gate[i] = 0;
	}
}

static const struct tr_option no_options[] = {{0}};
static const struct tr_in_gate busy_in[] = {
	{.name = "serve", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_SERVICE, .process = serve},
	{.name = "own", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = own},
	{0},
};
static const struct tr_out_gate busy_out[] = {
	{.name = "out", .type = TR_TYPE_IP},
	{.name = "serve", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL},
	{.name = "own", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER},
	{0},
};
#define BUSY                                                                                                           \
	{                                                                                                              \
		.name = "busy", .flags = TR_CLASS_PEERS | TR_CLASS_SERVICE, .options = no_options, .in = busy_in,      \
		.out = busy_out, .create = busy_create, .destroy = busy_destroy, .poll = busy_poll,                    \
		.timer = busy_timer, .peer = busy_peer                                                                 \
	}
static const struct tr_class busy_class[2] = {BUSY, BUSY};

static void
end(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		gate[i] = TR_SENT;
		count(&seen.ended);
	}
	rte_pktmbuf_free_bulk(pkts, n);
	graph_sent(node, n);
}

static void *
end_create(struct tr_instance *i, const struct tr_host *h, const void *options)
{
	(void)i, (void)h, (void)options;
	return calloc(1, 1);
}
static const struct tr_in_gate end_in[] = {{.name = "in", .type = TR_TYPE_IP, .process = end}, {0}};
static const struct tr_out_gate no_out[] = {{0}};
static const struct tr_class end_class = {.name = "end", .options = no_options, .in = end_in, .out = no_out,
	.create = end_create, .destroy = free};

/* ---- Plans ---- */

static struct loaded_plugin builds[2] = {{.build_id = "0"}, {.build_id = "1"}};

static unsigned
peers_of(unsigned apply)
{
	return apply % 5 * 3;
}

static struct plan *
make_plan(unsigned apply)
{
	struct catalogue c = {0};
	struct diags d = {0};
	char yaml[4096], *at = yaml;
	catalogue_add(&c, &busy_class[apply % 2], &builds[apply % 2]);
	catalogue_add(&c, &end_class, NULL);
	at += sprintf(at, "instances: {b: {class: busy}, end: {class: end}}\nlinks: [b.out -> end.in]\nnetmap:\n  peers:%s\n",
		peers_of(apply) ? "" : " {}");
	for (unsigned k = 0; k < peers_of(apply); k++) {
		char key[44];
		memset(key, 'B' + (int)k, 42);
		memcpy(key + 42, "A", 2);
		at += sprintf(at, "    p%u: {public_key: %s=, allowed_ips: [10.0.0.%u/32]}\n", k, key, k);
	}
	struct plan *p = plan_parse("test.yaml", yaml, (size_t)(at - yaml), &c, NULL, true, &d);
	if (!p)
		diags_print(&d, stderr);
	assert_non_null(p);
	diags_free(&d);
	catalogue_free(&c);
	return p;
}

/* ---- The test ---- */

static struct loop *control;
static struct engine *engine;
static unsigned applies;

static void apply_next(void *arg);

static void
applied(void *arg, const char *error)
{
	(void)arg;
	assert_null(error);
	applies++;
	loop_timer(control, 2, 0, apply_next, NULL);
}

static void
closed(void *arg)
{
	(void)arg;
	loop_stop(control);
}

static void
settle(void *arg)
{
	static uint64_t before = UINT64_MAX;
	uint64_t now = __atomic_load_n(&seen.served, __ATOMIC_RELAXED) + __atomic_load_n(&seen.to_owner, __ATOMIC_RELAXED);
	(void)arg;
	if (now == before && !__atomic_load_n(&seen.jobs_out, __ATOMIC_RELAXED) && engine_close(engine, closed, NULL) == 0)
		before = UINT64_MAX;
	else
		before = now;
}

static void
apply_next(void *arg)
{
	(void)arg;
	if (applies < APPLIES) {
		assert_int_equal(engine_apply(engine, make_plan(applies), NULL, applied, NULL), 0);
		return;
	}
	__atomic_store_n(&quiet, true, __ATOMIC_RELAXED);
	loop_timer(control, 50, 50, settle, NULL);
}

static void
test_busy_instances_are_swapped(void **state)
{
	(void)state;
	struct appliance a = {.job_threads = 2, .service_threads = 2, .max_peers = 1000, .uapi_dir = "/nonexistent"};
	struct engine_config c = {.appliance = &a, .pool = pool, .workers = WORKERS};
	struct graph_totals t;

	control = c.control = loop_new("control", 65536);
	engine = engine_new(&c);
	assert_non_null(engine);
	loop_post(control, (loop_fn *)(void *)apply_next, NULL, NULL);
	loop_run(control);

	engine_totals(engine, &t);
	assert_int_equal(seen.wrong, 0);
	assert_int_equal(t.rx + t.created, t.tx + t.drops + t.held);
	assert_int_equal(t.drops, 0);
	assert_int_equal(t.held, 0);
	assert_int_equal(seen.ended, seen.served);
	assert_int_equal(seen.created, APPLIES);
	assert_int_equal(seen.from_create, seen.created * (WORKERS + 1));
	assert_int_equal(seen.added - seen.removed, peers_of(APPLIES - 1));
	assert_true(seen.timers && seen.jobs && seen.to_control && seen.to_service && seen.to_owner && seen.ended);
	engine_free(engine);
	loop_free(control);
	assert_int_equal(pool_in_use(pool), 0);
	printf("%u applies: %lu packets served, %lu jobs, %lu timers, %lu peers added, %lu removed\n", applies,
		(unsigned long)seen.served, (unsigned long)seen.jobs, (unsigned long)seen.timers, (unsigned long)seen.added,
		(unsigned long)seen.removed);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_busy_instances_are_swapped)};
	char why[128];
	if (rcu_init() != 0 || crypto_init() != 0 || netmap_init(1000, NULL, why, sizeof(why)) != 0)
		return EXIT_FAILURE;
	pool = pool_new("busy-test", 4096, 2048);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_fini();
	netmap_fini();
	pool_free(pool);
	return failed;
}
