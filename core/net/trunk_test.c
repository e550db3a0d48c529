/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/trunk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "net/ip.h"
#include "sdk/pool.h"

struct port {
	struct rte_mbuf *rx[512];
	uint16_t n;
};
static struct port port;
static struct rte_mempool *pool;

uint16_t
port_rx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = p->n < n ? p->n : n;
	memcpy(pkts, p->rx, got * sizeof(*pkts));
	memmove(p->rx, p->rx + got, (size_t)(p->n - got) * sizeof(*pkts));
	p->n = (uint16_t)(p->n - got);
	return got;
}

static void
arrive(uint16_t tag, uint8_t mark)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, 60);
	memset(p, 0, 60);
	put_be16(p + 12, tag != 0 ? 0x8100 : 0x0800);
	put_be16(p + 14, tag | 0x2000);
	p[20] = mark;
	port.rx[port.n++] = m;
}

/* Takes a burst and returns how many were of the tag; frees it. */
static unsigned
take(struct trunk *t, unsigned slot, uint64_t now, uint16_t tag, unsigned *others)
{
	struct rte_mbuf *pkts[TR_BURST];
	uint16_t n = trunk_rx(t, 0, slot, now, pkts, TR_BURST);
	unsigned mine = 0;
	for (uint16_t i = 0; i < n; i++)
		mine += trunk_tag(pkts[i]) == tag;
	*others += n - mine;
	rte_pktmbuf_free_bulk(pkts, n);
	return mine;
}

static void
siblings_get_their_own_frames_in_order(void **state)
{
	unsigned a, b, others = 0;
	struct trunk *t = trunk_join(&port, 1, 0, &a);
	assert_ptr_equal(trunk_join(&port, 1, 7, &b), t);
	take(t, a, 100, 0, &others);
	take(t, b, 100, 7, &others);
	for (uint8_t i = 0; i < 30; i++)
		arrive(i % 3 == 0 ? 7 : 0, i);
	assert_int_equal(take(t, a, 200, 0, &others), 20);
	struct rte_mbuf *pkts[TR_BURST];
	assert_int_equal(trunk_rx(t, 0, b, 200, pkts, TR_BURST), 10);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(rte_pktmbuf_mtod(pkts[i], uint8_t *)[20], i * 3);
	rte_pktmbuf_free_bulk(pkts, 10);
	arrive(9, 0); /* nobody's: to whoever polls, who drops it */
	take(t, b, 300, 7, &others);
	assert_int_equal(others, 1);
	trunk_leave(t, a);
	trunk_leave(t, b);
	assert_int_equal(pool_in_use(pool), 0);
}

/* A flood for one VLAN: nothing is lost or misdelivered while both poll, and both queues stay bounded. */
static void
flood_of_one_sibling_loses_nothing(void **state)
{
	unsigned a, b, c, others = 0, got = 0;
	struct trunk *t = trunk_join(&port, 1, 1, &a);
	trunk_join(&port, 1, 2, &b);
	trunk_join(&port, 1, 3, &c);
	for (unsigned i = 0; i < 500; i++)
		arrive(1, 0);
	for (uint64_t now = 100; now < 160; now++) {
		got += take(t, a, now, 1, &others);
		take(t, b, now, 2, &others);
		take(t, c, now, 3, &others);
	}
	assert_int_equal(others, 0);
	assert_int_equal(got, 500);
	trunk_leave(t, a);
	trunk_leave(t, b);
	trunk_leave(t, c);
}

/* An interface that is there but does not poll on this worker (yet, or any more) must not stop the others. */
static void
silent_sibling_does_not_block(void **state)
{
	unsigned a, b, others = 0;
	struct trunk *t = trunk_join(&port, 1, 1, &a);
	trunk_join(&port, 1, 2, &b);
	take(t, b, 1, 2, &others);
	for (unsigned i = 0; i < 200; i++)
		arrive(2, 0);
	for (uint64_t now = 100000000; port.n > 0 && now < 100000100; now++)
		take(t, a, now, 1, &others);
	assert_int_equal(port.n, 0);
	assert_int_equal(others, 200);
	trunk_leave(t, b); /* frees what waits */
	trunk_leave(t, a);
	assert_int_equal(pool_in_use(pool), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siblings_get_their_own_frames_in_order),
		cmocka_unit_test(flood_of_one_sibling_loses_nothing),
		cmocka_unit_test(silent_sibling_does_not_block),
	};
	pool = pool_new("trunk", 1024, 2176);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	pool_free(pool);
	return failed;
}
