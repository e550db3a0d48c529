/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ordered spread by real threads: four workers, on whatever cores there are, seal and open the packets of a few heavy peers
 * for each other, with the real AEAD, while one of them is held up at random, packets are lost, forged and doubled on the
 * "wire" between, heavy peers come and go, and generations follow each other. Per peer, what comes out is in the order in
 * which it went in; no counter is sealed or accepted twice; every packet is accounted for.
 */
#include "../engine/private.h"
#include "../runtime/rcu.h"
#include "../sdk/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#define WORKERS 4
#define PEERS 16 /* 1..15; their owners: id % WORKERS */
#define COUNTERS (1u << 22)
#define APPLIES 40
#define OWNED(worker) (0x1111u << (worker)) /* the peers' bits */

static struct rte_mempool *pool;
static const struct aead_engine *real;
static struct engine *engine;
static struct loop *control;
static struct { /* atomic */
	uint64_t wrong, lost, forged, doubled, replayed, late, ended;
	uint32_t heavy; /* bit per peer that gets packets */
	uint32_t most;  /* packets that may be under way, for each peer */
	uint32_t stall_us, stall_next_us; /* worker 3 in a burst: at random up to; once */
	uint32_t dice;
} it;

static uint32_t
load32(const uint32_t *v)
{
	return __atomic_load_n(v, __ATOMIC_RELAXED);
}

static uint64_t
load64(const uint64_t *v)
{
	return __atomic_load_n(v, __ATOMIC_RELAXED);
}

static void
expect(bool ok)
{
	if (!ok)
		__atomic_add_fetch(&it.wrong, 1, __ATOMIC_RELAXED);
}

static uint32_t
dice(uint32_t sides)
{
	uint32_t x = __atomic_add_fetch(&it.dice, 0x9e3779b9u, __ATOMIC_RELAXED);
	x = (x ^ x >> 16) * 0x85ebca6bu;
	x = (x ^ x >> 13) * 0xc2b2ae35u;
	return (x ^ x >> 16) % sides;
}

static void
rest_us(uint32_t us)
{
	nanosleep(&(struct timespec){0, (long)us * 1000}, NULL);
}

/* ---- An AEAD engine that holds worker 3 up, with a burst in its hands ---- */

static void
stall(const void *w)
{
	if (w != engine->worker[3].aead)
		return;
	uint32_t once = __atomic_exchange_n(&it.stall_next_us, 0, __ATOMIC_RELAXED), most = load32(&it.stall_us);
	if (once)
		rest_us(once);
	else if (most && dice(4) == 0)
		rest_us(dice(most));
}

static void
slow_seal(void *w, struct tr_aead *p, uint16_t n)
{
	stall(w);
	real->seal(w, p, n);
}

static void
slow_open(void *w, struct tr_aead *p, uint16_t n)
{
	stall(w);
	real->open(w, p, n);
}
static struct aead_engine slow;

/* ---- A tunnel whose other end it is itself ---- */

enum { IN_SEAL, IN_SEALED, IN_OPEN, IN_OPENED };
enum { OUT_SEAL, OUT_SEALED, OUT_OPEN, OUT_OPENED, OUT_END };
enum { DROP_LOST, DROP_FORGED, DROP_REPLAYED };

struct per_peer {
	uint64_t sequence; /* the next; written where packets are made */
	uint64_t under_way; /* atomic */
	/* The owner's. */
	uint64_t counter, sealed, opened, ended; /* the next; greatest seen so far */
	uint8_t key[32], *seen; /* bit per counter that was accepted */
	struct rte_mbuf *copy; /* of a sealed packet, to come in after it */
} __attribute__((aligned(64)));

static uint8_t seen_bits[PEERS][COUNTERS / 8];

struct message {
	uint64_t counter;
	uint64_t sequence;
	uint8_t rest[]; /* with the tag */
};

struct tunnel {
	const struct tr_host *host;
	const struct tr_blocks *peers;
};

static struct per_peer *
peer_of(const struct tr_node *node, struct rte_mbuf *m)
{
	return tr_block(((struct tunnel *)node->self)->peers, tr_meta(m)->peer);
}

static void
gone(const struct tr_node *node, struct rte_mbuf *m)
{
	__atomic_sub_fetch(&peer_of(node, m)->under_way, 1, __ATOMIC_RELAXED);
}

static struct message *
message(struct rte_mbuf *m)
{
	return rte_pktmbuf_mtod(m, struct message *);
}

static void *
tunnel_create(struct tr_instance *i, const struct tr_host *h, const void *options)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	(void)options;
	*t = (struct tunnel){h, h->blocks(i, "peers", 1, sizeof(struct per_peer), true)};
	assert_non_null(t->peers);
	for (uint32_t id = 1; id < PEERS; id++) {
		struct per_peer *p = tr_block(t->peers, id);
		if (!p->seen) {
			p->seen = memset(seen_bits[id], 0, sizeof(seen_bits[id]));
			memset(p->key, (int)id, sizeof(p->key));
		}
	}
	return t;
}

/* A burst for each heavy peer whose packets this worker makes, its own or another's. */
static uint32_t
tunnel_poll(struct tr_node *node)
{
	struct tunnel *t = node->self;
	uint32_t made = 0;

	for (uint32_t id = 1; id < PEERS; id++) {
		struct per_peer *p = tr_block(t->peers, id);
		struct rte_mbuf *m[SPREAD_BATCH];
		uint16_t n = 0;
		if (id % WORKERS == node->worker && p->copy) {
			node->host->emit(node, OUT_OPEN, &p->copy, 1);
			p->copy = NULL;
			made++;
		}
		if ((id + (id / WORKERS & 1)) % WORKERS != node->worker || !(load32(&it.heavy) >> id & 1))
			continue;
		for (; n < SPREAD_BATCH && load64(&p->under_way) < load32(&it.most) && (m[n] = node->host->packet_new(node)); n++) {
			uint16_t len = (uint16_t)(200 + dice(1100));
			rte_pktmbuf_append(m[n], len);
			message(m[n])->sequence = ++p->sequence;
			tr_meta(m[n])->peer = id;
			__atomic_add_fetch(&p->under_way, 1, __ATOMIC_RELAXED);
		}
		if (n)
			node->host->emit(node, OUT_SEAL, m, n);
		made += n;
	}
	return made;
}

/* Runs the AEAD here or lets it be run; one verdict, or `here`. */
static void
crypt_all(struct tr_node *node, bool open, uint16_t gate, struct rte_mbuf **pkts, uint16_t n, uint16_t *verdict)
{
	struct tr_aead a[TR_BURST] = {{0}};

	for (uint16_t i = 0; i < n; i++) {
		struct message *h = message(pkts[i]);
		uint8_t *data = (uint8_t *)&h->sequence;
		uint32_t len = pkts[i]->data_len - (uint32_t)offsetof(struct message, sequence) - TR_AEAD_TAG;
		expect(tr_meta(pkts[i])->peer % WORKERS == node->worker);
		a[i] = (struct tr_aead){.key = peer_of(node, pkts[i])->key, .counter = h->counter, .data = data, .len = len};
	}
	uint16_t v = node->host->spread(node, open, gate, pkts, a, n);
	if (v == TR_SPREAD_HERE) {
		if (open)
			node->host->aead_open(node, a, n);
		else
			node->host->aead_seal(node, a, n);
	}
	for (uint16_t i = 0; i < n; i++) {
		verdict[i] = v == TR_SPREAD_HERE ? gate : v;
		if (v == TR_SPREAD_HERE)
			tr_meta(pkts[i])->flags = !open || a[i].ok ? TR_META_AUTHENTIC : 0;
		else if (v != TR_HELD)
			gone(node, pkts[i]);
	}
}

static void
seal(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		message(pkts[i])->counter = ++peer_of(node, pkts[i])->counter;
	crypt_all(node, false, OUT_SEALED, pkts, n, gate);
}

static void
make_copy(struct tr_node *node, struct rte_mbuf *m)
{
	struct per_peer *p = peer_of(node, m);
	if (p->copy || !(p->copy = node->host->packet_new(node)))
		return;
	memcpy(rte_pktmbuf_append(p->copy, m->data_len), message(m), m->data_len);
	tr_meta(p->copy)->peer = tr_meta(m)->peer;
	tr_meta(p->copy)->mark = 1;
	__atomic_add_fetch(&p->under_way, 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&it.doubled, 1, __ATOMIC_RELAXED);
}

static void
sealed(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		struct per_peer *p = peer_of(node, pkts[i]);
		uint32_t fate = dice(200);
		expect(message(pkts[i])->counter > p->sealed);
		p->sealed = message(pkts[i])->counter;
		gate[i] = fate == 0 ? TR_DROP(DROP_LOST) : OUT_OPEN;
		if (fate == 0) {
			gone(node, pkts[i]);
			__atomic_add_fetch(&it.lost, 1, __ATOMIC_RELAXED);
		} else if (fate == 1) {
			message(pkts[i])->rest[dice(180)] ^= 1;
			__atomic_add_fetch(&it.forged, 1, __ATOMIC_RELAXED);
		} else if (fate == 2) {
			make_copy(node, pkts[i]);
		}
	}
}

static void
open_(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	crypt_all(node, true, OUT_OPENED, pkts, n, gate);
}

static uint16_t
accept(struct tr_node *node, struct rte_mbuf *m)
{
	struct per_peer *p = peer_of(node, m);
	uint64_t c = message(m)->counter;

	expect(tr_meta(m)->peer % WORKERS == node->worker && c < COUNTERS);
	if (!(tr_meta(m)->flags & TR_META_AUTHENTIC))
		return TR_DROP(DROP_FORGED);
	if (p->seen[c / 8] >> c % 8 & 1) {
		__atomic_add_fetch(&it.replayed, 1, __ATOMIC_RELAXED);
		return TR_DROP(DROP_REPLAYED);
	}
	p->seen[c / 8] |= (uint8_t)(1 << c % 8);
	if (tr_meta(m)->mark) { /* a copy whose original was dropped: it is late */
		__atomic_add_fetch(&it.late, 1, __ATOMIC_RELAXED);
		return OUT_END;
	}
	expect(c > p->opened);
	p->opened = c;
	expect(message(m)->sequence > p->ended);
	p->ended = message(m)->sequence;
	return OUT_END;
}

static void
opened(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		gone(node, pkts[i]);
		gate[i] = accept(node, pkts[i]);
	}
}

static void
peer_event(struct tr_node *node, enum tr_peer_event event, uint32_t id)
{
	(void)node, (void)event, (void)id;
}

static const struct tr_option no_options[] = {{0}};
#define INTERNAL(n) {.name = n, .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL}
static const struct tr_in_gate tunnel_in[] = {
	[IN_SEAL] = {.name = "seal", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = seal},
	[IN_SEALED] = {.name = "sealed", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = sealed},
	[IN_OPEN] = {.name = "open", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = open_},
	[IN_OPENED] = {.name = "opened", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = opened},
	{0},
};
static const struct tr_out_gate tunnel_out[] = {
	[OUT_SEAL] = {.name = "seal", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER},
	[OUT_SEALED] = INTERNAL("sealed"),
	[OUT_OPEN] = INTERNAL("open"),
	[OUT_OPENED] = INTERNAL("opened"),
	[OUT_END] = {.name = "end", .type = TR_TYPE_IP},
	{0},
};
static const struct tr_drop_reason tunnel_drops[] = {{"lost", ""}, {"forged", ""}, {"replayed", ""}, {0}};
#define TUNNEL                                                                                                         \
	{                                                                                                              \
		.name = "tunnel", .flags = TR_CLASS_PEERS, .options = no_options, .in = tunnel_in, .out = tunnel_out,  \
		.drops = tunnel_drops, .create = tunnel_create, .destroy = free, .poll = tunnel_poll, .peer = peer_event \
	}
static const struct tr_class tunnel_class[2] = {TUNNEL, TUNNEL};

static void
end(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = TR_SENT;
	__atomic_add_fetch(&it.ended, n, __ATOMIC_RELAXED);
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

/* ---- Generations ---- */

static struct loaded_plugin builds[2] = {{.build_id = "0"}, {.build_id = "1"}};
static unsigned applies;
static void (*next_step)(void *arg);

static struct plan *
make_plan(void)
{
	static const char yaml[] = "instances: {t: {class: tunnel}, end: {class: end}}\nlinks: [t.end -> end.in]\n";
	struct catalogue c = {0};
	struct diags d = {0};
	catalogue_add(&c, &tunnel_class[applies % 2], &builds[applies % 2]);
	catalogue_add(&c, &end_class, NULL);
	struct plan *p = plan_parse("test.yaml", yaml, sizeof(yaml) - 1, &c, NULL, true, &d);
	if (!p)
		diags_print(&d, stderr);
	assert_non_null(p);
	diags_free(&d);
	catalogue_free(&c);
	return p;
}

static void
applied(void *arg, const char *error)
{
	(void)arg;
	assert_null(error);
	applies++;
	loop_timer(control, 25, 0, next_step, NULL);
}

static void
apply(void)
{
	assert_int_equal(engine_apply(engine, make_plan(), NULL, applied, NULL), 0);
}

static void
closed(void *arg)
{
	(void)arg;
	loop_stop(control);
}

static void
close_when_quiet(void *arg)
{
	static uint64_t before = UINT64_MAX;
	struct graph_totals t;
	(void)arg;
	engine_totals(engine, &t);
	if (t.tx + t.drops != before || t.held) {
		before = t.tx + t.drops;
		return;
	}
	before = UINT64_MAX - 1;
	engine_close(engine, closed, NULL);
}

static void
cease(void)
{
	__atomic_store_n(&it.heavy, 0, __ATOMIC_RELAXED);
	loop_timer(control, 50, 50, close_when_quiet, NULL);
}

static void
begin(void (*step)(void *arg))
{
	static struct appliance a;
	a = (struct appliance){.job_threads = 1, .service_threads = 1, .max_peers = PEERS, .uapi_dir = "/nonexistent"};
	memset(&it, 0, sizeof(it));
	applies = 0;
	next_step = step;
	control = loop_new("control", 65536);
	engine = engine_new(&(struct engine_config){.appliance = &a, .pool = pool, .control = control, .workers = WORKERS});
	assert_non_null(engine);
	real = engine->aead;
	slow = (struct aead_engine){real->name, real->usable, real->worker_new, real->worker_free, slow_seal, slow_open};
	engine->aead = &slow; /* no worker has anything to seal yet */
	it.most = 100;
	it.stall_us = 2000;
	loop_post(control, (loop_fn *)(void *)step, NULL, NULL);
	loop_run(control);
}

static uint64_t given, helped[WORKERS], full;

static uint64_t
dropped_as_too_many(void)
{
	struct graph_totals t;
	engine_totals(engine, &t);
	return t.drops - load64(&it.lost) - load64(&it.forged) - load64(&it.replayed);
}

static void
finish(void)
{
	struct graph_totals t;
	engine_totals(engine, &t);
	assert_int_equal(it.wrong, 0);
	assert_int_equal(t.rx + t.created, t.tx + t.drops + t.held);
	assert_int_equal(t.held, 0);
	assert_int_equal(t.tx, it.ended);
	full = dropped_as_too_many();
	given = 0;
	for (unsigned w = 0; w < WORKERS; w++) {
		given += engine->worker[w].spread.given;
		helped[w] = engine->worker[w].spread.helped;
	}
	printf("%u applies, %lu packets: %lu arrived, %lu lost, %lu forged, %lu doubled, %lu too many; %lu bursts spread, "
	       "helped with by %lu %lu %lu %lu\n", applies, (unsigned long)t.created, (unsigned long)it.ended, (unsigned long)it.lost,
		(unsigned long)it.forged, (unsigned long)it.doubled, (unsigned long)full, (unsigned long)given,
		(unsigned long)helped[0], (unsigned long)helped[1], (unsigned long)helped[2], (unsigned long)helped[3]);
	engine_free(engine);
	loop_free(control);
	assert_int_equal(pool_in_use(pool), 0);
}

/* ---- The tests ---- */

static void
change(void *arg)
{
	static const uint32_t heavy[] = {OWNED(0), OWNED(1), OWNED(0) | OWNED(2), 0xffff, OWNED(2), OWNED(3)};
	(void)arg;
	if (applies == APPLIES) {
		cease();
		return;
	}
	__atomic_store_n(&it.heavy, heavy[applies / 2 % 6], __ATOMIC_RELAXED);
	apply();
}

static void
test_order_is_kept(void **state)
{
	(void)state;
	begin(change);
	finish();
	assert_true(given > 0 && helped[0] + helped[1] + helped[2] + helped[3] > 0);
	assert_true(it.lost && it.forged && it.doubled);
	assert_int_equal(full, 0);
	assert_int_equal(it.late, 0);
	assert_int_equal(it.replayed, it.doubled);
}

/* One heavy peer, whose packets are made on its owner, until worker 3 has kept a burst for so long that the queue was full. */
static void
hold_up(void *arg)
{
	(void)arg;
	__atomic_store_n(&it.heavy, 1u << 8, __ATOMIC_RELAXED);
	__atomic_store_n(&it.most, 9000, __ATOMIC_RELAXED);
	if ((int64_t)dropped_as_too_many() > 1000) {
		__atomic_store_n(&it.stall_next_us, 0, __ATOMIC_RELAXED);
		cease();
		return;
	}
	__atomic_store_n(&it.stall_next_us, 150000, __ATOMIC_RELAXED);
	apply();
}

static void
test_a_held_up_worker_costs_packets_in_bounds(void **state)
{
	(void)state;
	begin(hold_up);
	finish();
	assert_true(helped[3] > 0 && full > 0);
	assert_true(it.replayed + it.late <= it.doubled);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_is_kept),
		cmocka_unit_test(test_a_held_up_worker_costs_packets_in_bounds),
	};
	char why[128];
	if (rcu_init() != 0 || crypto_init() != 0 || netmap_init(PEERS, NULL, why, sizeof(why)) != 0)
		return EXIT_FAILURE;
	pool = pool_new("spread-test", 16384, 2048);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_fini();
	netmap_fini();
	pool_free(pool);
	return failed;
}
