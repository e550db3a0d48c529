/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake host against a class that uses every kind of service once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <tailrace/fakehost.h>
#include <tailrace/show.h>

#include <cmocka.h>

#undef fail /* cmocka's, in the way of host->fail() */

enum { OUT_PEERS, OUT_OUT };
enum { IN_IN, IN_PEERS };
enum { DROP_TINY, DROP_NO_PEER };

struct options {
	uint64_t limit, depth;
};

struct state {
	struct tr_timer timer;
	struct rte_mbuf *held;
	uint64_t fired;
};

struct self {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct options *options;
	const struct tr_blocks *blocks, *peers;
	struct tr_watch *watch;
	unsigned ticks, added, removed, deferred;
	uint64_t from_job;
};

static void
process_in(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct self *self = node->self;
	uint32_t peer;

	for (uint16_t i = 0; i < n; i++) {
		node->count[0]++;
		gate[i] = TR_DROP(DROP_TINY);
		if (pkts[i]->data_len < self->options->limit)
			continue;
		node->host->peers_by_destination(node, &pkts[i], 1, &peer);
		tr_meta(pkts[i])->peer = peer;
		gate[i] = peer == TR_NO_PEER ? TR_DROP(DROP_NO_PEER) : OUT_PEERS;
	}
}

static void
process_peers(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct self *self = node->self;
	struct state *s = tr_block(self->blocks, 0);

	for (uint16_t i = 0; i < n; i++) {
		assert_int_equal(node->worker, tr_meta(pkts[i])->peer % node->host->workers);
		gate[i] = OUT_OUT;
		if (s->held || pkts[i]->data_len < 100)
			continue;
		s->held = pkts[i];
		gate[i] = TR_HELD;
		node->host->timer_arm(node, &s->timer, *node->now + 10000000);
	}
}

static void
run_job(struct tr_job *job, void *self, const struct tr_host *host)
{
	job->data[1] = (uint8_t)(job->data[0] * 2);
}

static void
job_done(struct tr_node *node, struct tr_job *job)
{
	((struct self *)node->self)->from_job = job->data[1];
}

static void
free_deferred(void *ptr)
{
	((struct self *)ptr)->deferred++;
}

static void
on_timer(struct tr_node *node, struct tr_timer *timer)
{
	struct self *self = node->self;
	struct state *s = tr_block(self->blocks, 0);
	struct tr_job *job = node->host->job_new(node);

	assert_ptr_equal(timer, &s->timer);
	assert_true(timer->at <= *node->now);
	s->fired++;
	node->host->emit(node, OUT_OUT, &s->held, 1);
	s->held = NULL;
	node->host->defer(node->instance, free_deferred, self);
	if (!job)
		return;
	job->data[0] = 21;
	job->run = run_job;
	job->done = job_done;
	node->host->job_submit(node, job);
}

static void
on_peer(struct tr_node *node, enum tr_peer_event event, uint32_t peer)
{
	struct self *self = node->self;

	assert_int_equal(node->worker, peer % node->host->workers);
	assert_non_null(node->host->peer(node->instance, peer));
	self->added += event == TR_PEER_ADDED;
	self->removed += event == TR_PEER_REMOVED;
	*(uint32_t *)tr_block(self->peers, peer) += 1;
}

static void
tick(void *arg)
{
	((struct self *)arg)->ticks++;
}

static void *
create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct self *self = calloc(1, sizeof(*self));

	self->instance = instance;
	self->host = host;
	self->options = options;
	self->blocks = host->blocks(instance, "state", 1, sizeof(struct state), false);
	self->peers = host->blocks(instance, "peer", 1, sizeof(uint32_t), true);
	if (self->options->depth == 13) {
		host->fail(instance, "depth %u is unlucky", 13);
		free(self);
		return NULL;
	}
	return self;
}

static int
start(void *p)
{
	struct self *self = p;

	self->watch = self->host->watch_timer(self->instance, 1000, 1000, tick, self);
	return 0;
}

static void
stop(void *p)
{
	struct self *self = p;

	self->host->watch_close(self->watch);
}

static void
reconfigure(void *self, const void *options)
{
	((struct self *)self)->options = options;
}

static void
show(void *p, struct tr_show *out)
{
	struct self *self = p;

	out->uint(out, "added", self->added);
	out->text(out, "instance", tr_instance_name(self->instance));
}

static const struct tr_option options[] = {
	{.key = "limit", .type = TR_OPT_UINT, .max = 1500, .def = "20", .offset = offsetof(struct options, limit), .doc = "x"},
	{.key = "depth", .type = TR_OPT_UINT, .max = 15, .change = TR_RECREATE, .offset = offsetof(struct options, depth)},
	{.key = NULL},
};
static const struct tr_in_gate in[] = {
	[IN_IN] = {.name = "in", .type = TR_TYPE_IP, .process = process_in},
	[IN_PEERS] = {.name = "peers", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = process_peers},
	{.name = NULL},
};
static const struct tr_out_gate out[] = {
	[OUT_PEERS] = {.name = "peers", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER},
	[OUT_OUT] = {.name = "out", .type = TR_TYPE_IP},
	{.name = NULL},
};
static const struct tr_drop_reason drops[] = {{"tiny", "x"}, {"no_peer", "x"}, {.name = NULL}};
static const struct tr_counter counters[] = {{"seen", "x"}, {.name = NULL}};
static const struct tr_class class = {.name = "probe",
	.flags = TR_CLASS_PEERS,
	.options = options,
	.options_size = sizeof(struct options),
	.in = in,
	.out = out,
	.drops = drops,
	.counters = counters,
	.create = create,
	.start = start,
	.stop = stop,
	.destroy = free,
	.reconfigure = reconfigure,
	.peer = on_peer,
	.timer = on_timer,
	.show = show};
static const struct tr_class *const classes[] = {&class, NULL};
static const struct tr_plugin plugin = {.name = "probe", .classes = classes};

#define NETMAP                                                                                                         \
	"peers: {anna: {public_key: D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=, allowed_ips: [10.0.0.1/32]},"        \
	"        bert: {public_key: E6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=, allowed_ips: [10.0.0.0/24]}}"
#define TO_ANNA "45000014 00000000 40110000 0a000009 0a000001"
#define TO_BERT "45000014 00000000 40110000 0a000009 0a000002"
#define TO_NONE "45000014 00000000 40110000 0a000009 0b000002"

static struct fh *
fresh(void)
{
	return fh_new(&(struct fh_config){.plugin = &plugin, .netmap = NETMAP, .workers = 2});
}

static void
test_packets(void **state)
{
	struct fh *h = fresh();

	fh_send(h, "in", FH_BYTES(TO_ANNA));
	fh_send(h, "in", FH_BYTES(TO_BERT));
	fh_send(h, "in", FH_BYTES(TO_NONE));
	fh_send(h, "in", FH_BYTES("45"));
	fh_expect(h, "out", FH_BYTES(TO_ANNA));
	fh_expect(h, "out", FH_BYTES(TO_BERT));
	fh_expect_drop(h, "no_peer");
	fh_expect_drop(h, "tiny");
	fh_expect_nothing(h);
	assert_int_equal(fh_drops(h, "tiny"), 1);
	assert_int_equal(fh_counter(h, "seen"), 4);
	char *json = fh_show_json(h);
	assert_string_equal(json, "{\"added\":2,\"instance\":\"probe\"}");
	free(json);
	fh_free(h);
}

/* A packet held and a timer armed by one generation are the next one's. */
static void
test_generations_share_state(void **state)
{
	struct fh *h = fresh(), *next;
	uint8_t big[200] = {0x45, [16] = 10, [19] = 1};

	fh_send(h, "in", big, sizeof(big));
	assert_int_equal(fh_held(h), 1);
	next = fh_new(&(struct fh_config){.plugin = &plugin, .blocks_of = h});
	fh_free(h);
	fh_advance(next, 9000000);
	fh_expect_nothing(next);
	fh_advance(next, 3000000);
	fh_expect(next, "out", big, sizeof(big));
	assert_int_equal(fh_held(next), 0);
	fh_advance(next, 4000000);
	assert_int_equal(((struct self *)fh_self(next))->from_job, 42);
	assert_int_equal(((struct self *)fh_self(next))->deferred, 1);
	fh_advance(next, 10 * UINT64_C(1000000000));
	assert_int_equal(((struct self *)fh_self(next))->ticks, 10);
	fh_free(next);
}

static void
test_peers_come_and_go(void **state)
{
	struct fh *h = fresh();
	struct self *self = fh_self(h);
	uint32_t id = fh_peer_add(h, "{public_key: F6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=, allowed_ips: [10.0.0.1/32]}");

	assert_int_equal(id, 3);
	assert_int_equal(self->added, 3);
	fh_send(h, "in", FH_BYTES(TO_ANNA));
	assert_int_equal(fh_next(h)->meta.peer, 3); /* took the address over from anna */
	fh_peer_remove(h, 3);
	assert_int_equal(self->removed, 1);
	assert_int_equal(*(uint32_t *)tr_block(self->peers, 3), 2);
	fh_advance(h, 1);
	assert_int_equal(*(uint32_t *)tr_block(self->peers, 3), 0);
	fh_free(h);
}

static void
test_options(void **state)
{
	struct fh *h = fresh();
	struct self *self = fh_self(h);

	assert_int_equal(fh_reconfigure(h, "limit: 7"), 0);
	assert_int_equal(self->options->limit, 7);
	assert_int_equal(self->host->option_set(self->instance, "limit", "9"), 0);
	assert_int_equal(self->options->limit, 9);
	assert_int_equal(self->host->option_set(self->instance, "limit", NULL), 0);
	assert_int_equal(self->options->limit, 7);
	assert_int_not_equal(self->host->option_set(self->instance, "limit", "9999"), 0);
	assert_int_not_equal(fh_reconfigure(h, "depth: 1"), 0);
	assert_string_equal(fh_failure(), "option depth is not live");
	fh_free(h);
	assert_null(fh_new(&(struct fh_config){.plugin = &plugin, .options = "depth: 13"}));
	assert_string_equal(fh_failure(), "depth 13 is unlucky");
	assert_null(fh_new(&(struct fh_config){.plugin = &plugin, .options = "dept: 1"}));
	assert_non_null(strstr(fh_failure(), "options:1:1: unknown key `dept`"));
}

static char complaint[512];

static void
complain(const char *text)
{
	snprintf(complaint, sizeof(complaint), "%s", text);
}

static void
test_mistakes_are_found(void **state)
{
	struct fh *h = fresh();
	struct self *self = fh_self(h);
	struct tr_watch *leak;

	fh_on_failure(complain);
	self->host->packet_new(fh_node(h, 0, "in"));
	assert_string_equal(complaint, "class probe calls packet_new() on the control thread");
	leak = self->host->watch_timer(self->instance, 1, 0, tick, self);
	fh_expect(h, "out", FH_BYTES("00"));
	assert_string_equal(complaint, "expected a packet out of out, but nothing came");
	fh_advance(h, 4000000);
	assert_non_null(leak);
	complaint[0] = 0;
	fh_on_failure(NULL);
	self->host->watch_close(leak);
	fh_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_generations_share_state),
		cmocka_unit_test(test_peers_come_and_go),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_mistakes_are_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
