/* SPDX-License-Identifier: BSD-3-Clause */
#include "pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <tailrace/packet.h>

#include <cmocka.h>

static struct rte_mempool *pool;

static int
setup(void **state)
{
	pool = pool_new("test", 8, 2176);
	return pool == NULL;
}

static int
teardown(void **state)
{
	pool_free(pool);
	return 0;
}

static void
test_fresh_packet(void **state)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	assert_non_null(m);
	assert_int_equal(rte_pktmbuf_headroom(m), TR_HEADROOM);
	assert_int_equal(rte_pktmbuf_tailroom(m), 2176 - TR_HEADROOM);
	assert_int_equal(m->priv_size, TR_PRIV_SIZE);
	assert_ptr_equal(m->buf_addr, (char *)tr_meta(m) + sizeof(struct tr_meta));
	assert_int_equal((uintptr_t)rte_pktmbuf_mtod(m, char *) % 64, 0);
	assert_int_equal(pool_in_use(pool), 1);
	rte_pktmbuf_free(m);
	assert_int_equal(pool_in_use(pool), 0);
}

static void
test_bound(void **state)
{
	struct rte_mbuf *m[9];

	assert_int_not_equal(rte_pktmbuf_alloc_bulk(pool, m, 9), 0);
	assert_int_equal(pool_in_use(pool), 0);
	assert_int_equal(rte_pktmbuf_alloc_bulk(pool, m, 8), 0);
	assert_null(rte_pktmbuf_alloc(pool));
	assert_int_equal(rte_mempool_avail_count(pool), 0);
	rte_pktmbuf_free_bulk(m, 8);
	assert_int_equal(rte_mempool_avail_count(pool), 8);
}

static void
test_guard_follows_the_packet_api(void **state)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	pool_guard(m);
	memset(rte_pktmbuf_append(m, 100), 1, 100);
	memset(rte_pktmbuf_prepend(m, 20), 2, 20);
	assert_non_null(rte_pktmbuf_adj(m, 20));
	assert_int_equal(rte_pktmbuf_trim(m, 50), 0);
	memset(rte_pktmbuf_mtod(m, void *), 3, 50);
	memset(rte_pktmbuf_append(m, 1), 1, 1);
#ifdef TR_ASAN
	char *data = rte_pktmbuf_mtod(m, char *);

	assert_false(__asan_address_is_poisoned(data));
	assert_false(__asan_address_is_poisoned(data + 50));
	assert_true(__asan_address_is_poisoned(data + 51));
	assert_true(__asan_address_is_poisoned(data - 1));
	assert_true(__asan_address_is_poisoned((char *)m->buf_addr + m->buf_len));
	pool_unguard(m);
	assert_false(__asan_address_is_poisoned(data + 51));
	rte_pktmbuf_free(m);
	assert_true(__asan_address_is_poisoned(data));
#else
	pool_unguard(m);
	rte_pktmbuf_free(m);
#endif
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fresh_packet, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_guard_follows_the_packet_api, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
