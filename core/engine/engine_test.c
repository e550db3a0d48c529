/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The engine without EAL: four workers, sources that never stop, and a generation after the other under them: a stage
 * inserted and removed, a new build of a plugin, options changed. Nothing is lost, doubled or reordered.
 */
#include "../runtime/rcu.h"
#include "../sdk/pool.h"
#include "../telemetry/json_show.h"
#include "private.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define WORKERS 4
#define PEERS 8 /* per worker that makes packets */
#define APPLIES 60

static struct rte_mempool *pool;
static bool quiet; /* atomic: sources rest */
static uint64_t errors, delivered; /* atomic */

/* ---- A source: numbered packets for peers of its own, from every worker ---- */

struct source {
	uint32_t next[WORKERS][PEERS];
};

static void *
source_create(struct tr_instance *i, const struct tr_host *h, const void *options)
{
	(void)i, (void)h, (void)options;
	return calloc(1, sizeof(struct source));
}

static uint32_t
source_poll(struct tr_node *node)
{
	struct source *s = node->self;
	uint32_t made = 0;
	if (__atomic_load_n(&quiet, __ATOMIC_RELAXED) || pool_in_use(pool) > RING_SIZE - 100) /* a worker that stalls must not overflow a ring */
		return 0;
	for (unsigned k = 0; k < PEERS; k++) {
		struct rte_mbuf *m = node->host->packet_new(node);
		if (!m)
			return made;
		memcpy(rte_pktmbuf_append(m, 4), &s->next[node->worker][k], 4);
		s->next[node->worker][k]++;
		tr_meta(m)->peer = 1 + node->worker * PEERS + k;
		node->host->emit(node, 0, &m, 1);
		made++;
	}
	return made;
}

static void
plain_destroy(void *self)
{
	free(self);
}

static const struct tr_out_gate out_ip[] = {{.name = "out", .type = TR_TYPE_IP, .writes = TR_META_PEER}, {0}};
static const struct tr_in_gate no_in[] = {{0}};
static const struct tr_option no_options[] = {{0}};
static const struct tr_class source_class = {.name = "source", .options = no_options, .in = no_in, .out = out_ip,
	.create = source_create, .poll = source_poll, .destroy = plain_destroy};

/* ---- A stage with state per peer that must never fork, and one packet held back per peer ---- */

struct stage {
	const struct tr_blocks *blocks;
	uint64_t label;
};

struct stage_block {
	uint32_t expected;
	struct rte_mbuf *held;
};

struct stage_options {
	uint64_t label;
};

static const struct tr_option stage_options[] = {
	{.key = "label", .type = TR_OPT_UINT, .change = TR_LIVE, .offset = offsetof(struct stage_options, label), .doc = "any"},
	{0},
};

static void *
stage_create(struct tr_instance *i, const struct tr_host *h, const void *options)
{
	struct stage *s = calloc(1, sizeof(*s));
	s->label = ((const struct stage_options *)options)->label;
	s->blocks = h->blocks(i, "stage", 1, sizeof(struct stage_block), true);
	if (!s->blocks) {
		free(s);
		return NULL;
	}
	return s;
}

static void *
stage_create_other_layout(struct tr_instance *i, const struct tr_host *h, const void *options)
{
	(void)options;
	return (void *)(uintptr_t)h->blocks(i, "stage", 2, 200, true);
}

static void
stage_reconfigure(void *self, const void *options)
{
	((struct stage *)self)->label = ((const struct stage_options *)options)->label;
}

static void
stage_in(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	(void)node, (void)pkts;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = 1; /* own */
}

static void
stage_own(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct stage *s = node->self;
	for (uint16_t i = 0; i < n; i++) {
		struct stage_block *b = tr_block(s->blocks, tr_meta(pkts[i])->peer);
		uint32_t number;
		memcpy(&number, rte_pktmbuf_mtod(pkts[i], void *), 4);
		if (number != b->expected++ || tr_meta(pkts[i])->peer % WORKERS != node->worker)
			__atomic_add_fetch(&errors, 1, __ATOMIC_RELAXED);
		gate[i] = TR_HELD;
		if (b->held)
			node->host->emit(node, 0, &b->held, 1);
		b->held = pkts[i];
		node->count[0]++;
	}
}

static const struct tr_in_gate stage_gates[] = {
	{.name = "in", .type = TR_TYPE_IP, .process = stage_in},
	{.name = "own", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = stage_own},
	{0},
};
static const struct tr_out_gate stage_out[] = {
	{.name = "out", .type = TR_TYPE_IP},
	{.name = "own", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER},
	{0},
};
static const struct tr_counter stage_counters[] = {{"packets", "seen"}, {0}};
#define STAGE(create_fn)                                                                                               \
	{                                                                                                              \
		.name = "stage", .options = stage_options, .options_size = sizeof(struct stage_options),               \
		.in = stage_gates, .out = stage_out, .counters = stage_counters, .create = create_fn,                  \
		.reconfigure = stage_reconfigure, .destroy = plain_destroy                                             \
	}
static const struct tr_class stage_class = STAGE(stage_create), stage_newer = STAGE(stage_create),
			     stage_other = STAGE(stage_create_other_layout);

/* ---- A stage without state, and the end ---- */

static void
pass(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	(void)node, (void)pkts;
	memset(gate, 0, n * sizeof(*gate));
}
static const struct tr_in_gate pass_in[] = {{.name = "in", .type = TR_TYPE_IP, .process = pass}, {0}};
static const struct tr_class pass_class = {.name = "pass", .options = no_options, .in = pass_in, .out = out_ip,
	.create = source_create, .destroy = plain_destroy};

static void
end(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = TR_SENT;
	rte_pktmbuf_free_bulk(pkts, n);
	graph_sent(node, n);
	__atomic_add_fetch(&delivered, n, __ATOMIC_RELAXED);
}
static const struct tr_in_gate end_in[] = {{.name = "in", .type = TR_TYPE_IP, .process = end}, {0}};
static const struct tr_out_gate no_out[] = {{0}};
static const struct tr_class end_class = {.name = "end", .options = no_options, .in = end_in, .out = no_out,
	.create = source_create, .destroy = plain_destroy};

/* ---- Plans ---- */

#define INSTANCES "  src: {class: source}\n  st: {class: stage, label: %u}\n  end: {class: end}\n"
static const char direct[] = "instances:\n" INSTANCES "links: [src.out -> st.in, st.out -> end.in]\n";
static const char inserted[] = "instances:\n" INSTANCES "  extra: {class: pass}\n"
			       "links: [src.out -> extra.in, extra.out -> st.in, st.out -> end.in]\n";

static struct loaded_plugin builds[3] = {{.build_id = "0"}, {.build_id = "1"}, {.build_id = "2"}};

static struct plan *
make_plan(const char *text, unsigned label, unsigned build)
{
	const struct tr_class *const stages[] = {&stage_class, &stage_newer, &stage_other};
	struct catalogue c = {0};
	struct diags d = {0};
	char yaml[1024];
	catalogue_add(&c, &source_class, NULL);
	catalogue_add(&c, stages[build], &builds[build]);
	catalogue_add(&c, &pass_class, NULL);
	catalogue_add(&c, &end_class, NULL);
	int n = snprintf(yaml, sizeof(yaml), text, label);
	struct plan *p = plan_parse("test.yaml", yaml, (size_t)n, &c, NULL, true, &d);
	diags_print(&d, stderr);
	assert_non_null(p);
	diags_free(&d);
	catalogue_free(&c);
	return p;
}

/* ---- Tests ---- */

static struct loop *control;
static struct engine *engine;
static unsigned applies, refused;

static void apply_next(void *arg);

static void
applied(void *arg, const char *error)
{
	(void)arg;
	if (error) {
		assert_non_null(strstr(error, "state block `stage` is live with layout 1"));
		refused++;
	}
	applies++;
	loop_timer(control, 3, 0, apply_next, NULL);
}

static uint64_t settled;
static struct loop_watch *settling;
static void
settle(void *arg)
{
	struct graph_totals t;
	(void)arg;
	engine_totals(engine, &t);
	if (t.tx + t.held == settled) { /* two looks alike: at rest */
		loop_watch_close(settling);
		loop_stop(control);
	}
	settled = t.tx + t.held;
}

static void
apply_next(void *arg)
{
	(void)arg;
	if (applies == APPLIES) {
		__atomic_store_n(&quiet, true, __ATOMIC_RELAXED);
		settling = loop_timer(control, 50, 50, settle, NULL);
		return;
	}
	/* Stage inserted or not, builds 0 and 1 in turn, and each tenth one that changes a block's layout. */
	unsigned build = applies % 10 == 9 ? 2 : applies / 2 % 2;
	if (applies % 3 == 0)
		engine_rewire(engine); /* what an operator asks for waits until its wires are laid again */
	assert_int_equal(engine_apply(engine, make_plan(applies % 2 ? inserted : direct, applies, build), NULL, applied, NULL), 0);
}

static void
test_swaps_lose_nothing(void **state)
{
	(void)state;
	struct appliance a = {.job_threads = 1, .service_threads = 1, .max_peers = 1000, .uapi_dir = "/nonexistent"};
	struct engine_config c = {.appliance = &a, .pool = pool, .workers = WORKERS};
	struct graph_totals t;

	control = c.control = loop_new("control", 4096);
	engine = engine_new(&c);
	assert_non_null(engine);
	loop_post(control, (loop_fn *)(void *)apply_next, NULL, NULL);
	loop_run(control);

	engine_totals(engine, &t);
	assert_int_equal(__atomic_load_n(&errors, __ATOMIC_ACQUIRE), 0);
	assert_int_equal(applies, APPLIES);
	assert_int_equal(refused, APPLIES / 10);
	assert_int_equal(t.drops, 0);
	assert_int_equal(t.rx + t.created, t.tx + t.drops + t.held);
	assert_int_equal(t.tx, __atomic_load_n(&delivered, __ATOMIC_ACQUIRE));
	assert_int_equal(t.held, WORKERS * PEERS);
	assert_int_equal(pool_in_use(pool), t.held);
	assert_true(t.tx > 10000);
	printf("%lu packets through %u applies, %u refused\n", (unsigned long)t.tx, applies, refused);
}

/* ---- A packet for what no generation has ---- */

static void
send_astray(struct tr_node *node, uint32_t peer, uint64_t slot)
{
	struct rte_mbuf *m = node->host->packet_new(node);
	(void)peer;
	assert_true(thread_push(graph_node(node)->graph->thread, 1, m, (uint32_t)slot << 8));
}

static void
look_astray(void *arg)
{
	struct graph_totals t;
	(void)arg;
	engine_totals(engine, &t);
	if (!t.drops)
		return;
	loop_watch_close(settling);
	loop_stop(control);
}

static void
begin_astray(void *a, void *b)
{
	struct tr_instance *st = engine_instance(engine, "st");
	(void)a, (void)b;
	st->engine->host.post_peer(st, WORKERS, send_astray, MAX_SLOTS - 1);
	settling = loop_timer(control, 1, 1, look_astray, NULL);
}

static void
test_gone_is_counted(void **state)
{
	struct graph_totals t;
	struct json_show *out;
	(void)state;
	loop_post(control, begin_astray, NULL, NULL);
	loop_run(control);
	engine_totals(engine, &t);
	assert_int_equal(t.drops, 1);
	assert_int_equal(t.rx + t.created, t.tx + t.drops + t.held);
	engine_show_drops(engine, json_show_begin(&out));
	json_t *shown = json_show_end(out, NULL, 0), *d = json_array_get(json_object_get(shown, "drops"), 0);
	assert_string_equal(json_string_value(json_object_get(d, "instance")), "(removed)");
	assert_string_equal(json_string_value(json_object_get(d, "reason")), "gone");
	assert_int_equal(json_integer_value(json_object_get(d, "packets")), 1);
	json_decref(shown);
}

static void
stop_control(void *arg)
{
	(void)arg;
	loop_stop(control);
}

static void
begin_close(void *a, void *b)
{
	(void)a, (void)b;
	assert_int_equal(engine_close(engine, stop_control, NULL), 0);
}

static void
test_close(void **state)
{
	(void)state;
	/* What the blocks still hold is the test's: the stage has no peer events to drop it by. */
	const struct tr_blocks *b = ((struct stage *)engine_instance(engine, "st")->self)->blocks;
	for (uint32_t peer = 1; peer <= WORKERS * PEERS; peer++)
		rte_pktmbuf_free(((struct stage_block *)tr_block(b, peer))->held);
	loop_post(control, begin_close, NULL, NULL);
	loop_run(control);
	engine_free(engine);
	loop_free(control);
	assert_int_equal(pool_in_use(pool), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_swaps_lose_nothing),
		cmocka_unit_test(test_gone_is_counted),
		cmocka_unit_test(test_close),
	};
	char why[128];
	if (rcu_init() != 0 || crypto_init() != 0 || netmap_init(1000, NULL, why, sizeof(why)) != 0)
		return EXIT_FAILURE;
	pool = pool_new("engine-test", 8192, 2048);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	netmap_fini();
	rcu_fini();
	pool_free(pool);
	return failed;
}
