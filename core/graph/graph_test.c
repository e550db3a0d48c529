/* SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>


#include "../sdk/pool.h"

static struct rte_mempool *pool;
static struct graph_thread thread;
static uint64_t drops[8][GRAPH_DROPS + 2], packets[8];

static uint16_t verdict_of[8]; /* per node: what its process() answers */
static unsigned order_seen[64], n_seen;

static void
answer(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	unsigned id = (unsigned)(uintptr_t)node->self;
	if (n_seen < 64)
		order_seen[n_seen++] = id;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = verdict_of[id];
	if (verdict_of[id] == TR_SENT) {
		graph_sent(node, n);
		rte_pktmbuf_free_bulk(pkts, n);
	}
}

/* Odd packets to gate 0, even ones to gate 1. */
static void
split(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	(void)node;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = tr_meta(pkts[i])->mark & 1 ? 0 : 1;
}

static struct graph_node *
node(struct graph *g, unsigned id, tr_process *process, unsigned edges)
{
	struct graph_node proto = {.pub = {.self = (void *)(uintptr_t)id, .now = &thread.now}, .process = process, .n_reasons = 2,
		.drops = drops[id], .packets = &packets[id]};
	return graph_add(g, &proto, edges);
}

static void
link_to(struct graph_node *from, unsigned gate, struct graph_node *to)
{
	from->edge[gate] = (struct graph_edge){.kind = EDGE_NODE, .node = to};
}

static void
receive(struct graph_node *n, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint16_t gate = 0;
		assert_non_null(m);
		*tr_meta(m) = (struct tr_meta){.mark = i};
		graph_receive(&n->pub, &m, 1, &gate);
	}
}

static void
conserved(uint64_t held)
{
	const struct graph_totals *t = &thread.totals;
	assert_int_equal(t->held, held);
	assert_int_equal(t->rx + t->created, t->tx + t->drops + t->held);
}

static int
setup(void **state)
{
	(void)state;
	memset(drops, 0, sizeof(drops));
	memset(packets, 0, sizeof(packets));
	thread = (struct graph_thread){0};
	n_seen = 0;
	return 0;
}

/* A diamond runs each node once a walk, in an order in which all of a node's inputs come before it. */
static void
test_order(void **state)
{
	(void)state;
	struct graph *g = graph_new(&thread, 8, 1);
	struct graph_node *d = node(g, 3, answer, 0), *c = node(g, 2, answer, 1), *b = node(g, 1, answer, 1),
			  *a = node(g, 0, split, 2), *src = node(g, 4, NULL, 1);
	link_to(src, 0, a);
	link_to(a, 0, b);
	link_to(a, 1, c);
	link_to(b, 0, d);
	link_to(c, 0, d);
	verdict_of[3] = TR_SENT;
	graph_finish(g);
	receive(src, 20);
	graph_walk(g);
	assert_int_equal(n_seen, 3); /* b, c in some order; d last, once */
	assert_int_equal(order_seen[2], 3);
	assert_int_equal(packets[3], 20);
	assert_int_equal(thread.totals.tx, 0 + 20);
	graph_free(g);
}

/* A cycle without end costs each packet TR_MAX_PASSES passes and a named drop. */
static void
test_loop(void **state)
{
	(void)state;
	struct graph *g = graph_new(&thread, 8, 1);
	struct graph_node *a = node(g, 0, answer, 1), *b = node(g, 1, answer, 1), *src = node(g, 2, NULL, 1);
	link_to(src, 0, a);
	link_to(a, 0, b);
	link_to(b, 0, a);
	verdict_of[0] = verdict_of[1] = 0;
	graph_finish(g);
	receive(src, 5);
	graph_walk(g);
	assert_int_equal(drops[1][2 + GRAPH_LOOP] + drops[0][2 + GRAPH_LOOP], 5);
	assert_int_equal(packets[0], 5 * (TR_MAX_PASSES + 1));
	conserved(0);
	graph_free(g);
}

/* More packets than a frame holds are dropped by name; nothing is lost from the books. */
static void
test_frame_full(void **state)
{
	(void)state;
	struct graph *g = graph_new(&thread, 8, 1);
	struct graph_node *a = node(g, 0, answer, 1), *src = node(g, 1, NULL, 1);
	link_to(src, 0, a);
	verdict_of[0] = TR_DROP(1);
	graph_finish(g);
	receive(src, GRAPH_FRAME + 10);
	graph_walk(g);
	assert_int_equal(drops[1][2 + GRAPH_FRAME_FULL], 10);
	assert_int_equal(drops[0][1], GRAPH_FRAME);
	conserved(0);
	graph_free(g);
}

static void
test_unlinked(void **state)
{
	(void)state;
	struct graph *g = graph_new(&thread, 8, 1);
	struct graph_node *src = node(g, 0, NULL, 1);
	graph_finish(g);
	receive(src, 3);
	graph_walk(g);
	assert_int_equal(drops[0][2 + GRAPH_UNLINKED], 3);
	conserved(0);
	graph_free(g);
}

static struct rte_mbuf *kept[4];
static void
keep(struct tr_node *n, struct rte_mbuf **pkts, uint16_t count, uint16_t *gate)
{
	(void)n;
	for (uint16_t i = 0; i < count; i++) {
		kept[i] = pkts[i];
		gate[i] = TR_HELD;
	}
}

/* A kept packet counts as held until it is emitted or dropped. */
static void
test_held(void **state)
{
	(void)state;
	struct graph *g = graph_new(&thread, 8, 1);
	struct graph_node *a = node(g, 0, keep, 1), *b = node(g, 1, answer, 1), *src = node(g, 2, NULL, 1);
	link_to(src, 0, a);
	link_to(a, 0, b);
	verdict_of[1] = TR_SENT;
	graph_finish(g);
	receive(src, 2);
	graph_walk(g);
	conserved(2);
	graph_emit(a, 0, &kept[0], 1);
	graph_walk(g);
	conserved(1);
	thread.totals.held--;
	graph_drop(a, &kept[1], 1, 0);
	conserved(0);
	graph_free(g);
}

static unsigned pushed;
static bool
push(struct graph_thread *t, uint16_t to, struct rte_mbuf *pkt, uint32_t target)
{
	(void)t;
	assert_int_equal(to, 1);
	assert_int_equal(target, 0x0305);
	if (pushed == 3)
		return false;
	pushed++;
	rte_pktmbuf_free(pkt);
	return true;
}

/* Peers of another owner leave through a ring; a full ring drops by name; the others stay in order. */
static void
test_by_peer(void **state)
{
	(void)state;
	struct graph *g = graph_new(&thread, 8, 2);
	struct graph_node *a = node(g, 0, answer, 1), *src = node(g, 1, NULL, 1);
	thread.push = push;
	pushed = 0;
	src->edge[0] = (struct graph_edge){.kind = EDGE_BY_PEER, .node = a, .target = 0x0305};
	verdict_of[0] = TR_DROP(0);
	graph_finish(g);
	for (uint32_t peer = 1; peer <= 10; peer++) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint16_t gate = 0;
		*tr_meta(m) = (struct tr_meta){.peer = peer};
		graph_receive(&src->pub, &m, 1, &gate);
	}
	graph_walk(g);
	assert_int_equal(packets[0], 5);
	assert_int_equal(pushed, 3);
	assert_int_equal(drops[1][2 + GRAPH_EDGE_FULL], 2);
	conserved(3);
	graph_free(g);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_order, setup),
		cmocka_unit_test_setup(test_loop, setup),
		cmocka_unit_test_setup(test_frame_full, setup),
		cmocka_unit_test_setup(test_unlinked, setup),
		cmocka_unit_test_setup(test_held, setup),
		cmocka_unit_test_setup(test_by_peer, setup),
	};
	pool = pool_new("graph-test", 4096, 2048);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
