/* SPDX-License-Identifier: BSD-3-Clause */
#include "rcu.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static unsigned ran;

static void
count(void *ptr)
{
	ran += *(unsigned *)ptr;
}

static void
again(void *ptr)
{
	ran++;
	for (int i = 0; i < 3000; i++) /* makes the ring grow while it is being emptied */
		rcu_defer(count, ptr);
}

static void
waits_for_online_readers_only(void **state)
{
	unsigned one = 1;
	ran = 0;
	assert_int_equal(rcu_init(), 0);
	assert_int_equal(rcu_init(), 0);

	int a = rcu_register(), b = rcu_register();
	assert_int_not_equal(a, b);
	rcu_defer(count, &one);
	assert_int_equal(rcu_poll(), 0); /* registered readers start offline */
	assert_int_equal(ran, 1);

	rcu_online(a);
	rcu_online(b);
	rcu_defer(count, &one);
	assert_int_equal(rcu_poll(), 1);
	rcu_quiescent(a);
	assert_int_equal(rcu_poll(), 1);
	rcu_defer(count, &one);
	rcu_offline(b);
	assert_int_equal(rcu_poll(), 1); /* the second came after a's last quiescent state */
	assert_int_equal(ran, 2);
	rcu_quiescent(a);
	assert_int_equal(rcu_poll(), 0);
	assert_int_equal(ran, 3);

	rcu_offline(a);
	rcu_unregister(a);
	rcu_unregister(b);
	rcu_fini();
}

static void
runs_everything_at_the_end(void **state)
{
	unsigned one = 1;
	ran = 0;
	assert_int_equal(rcu_init(), 0);
	rcu_defer(again, &one);
	for (int i = 0; i < 5000; i++)
		rcu_defer(count, &one);
	rcu_fini();
	assert_int_equal(ran, 5000 + 1 + 3000);
}

static void
bounds_readers(void **state)
{
	int id[RCU_MAX_READERS];
	assert_int_equal(rcu_init(), 0);
	for (int i = 0; i < RCU_MAX_READERS; i++)
		assert_true((id[i] = rcu_register()) >= 0);
	assert_int_equal(rcu_register(), -ENOSPC);
	rcu_unregister(id[17]);
	assert_int_equal(rcu_register(), id[17]);
	for (int i = 0; i < RCU_MAX_READERS; i++)
		rcu_unregister(id[i]);
	rcu_fini();
}

/* A writer replaces a box and frees the old one; readers follow the pointer. ASan and TSan see a premature free. */
struct box {
	unsigned value, twice;
};
static struct box *_Atomic shared;
static atomic_bool stop;
static atomic_uint torn;

static void *
reader(void *arg)
{
	int id = rcu_register();
	rcu_online(id);
	for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
		struct box *b = atomic_load_explicit(&shared, memory_order_acquire);
		if (b->twice != 2 * b->value)
			atomic_fetch_add(&torn, 1);
		rcu_quiescent(id);
		if (i % 64 == 0) {
			rcu_offline(id);
			rcu_online(id);
		}
	}
	rcu_offline(id);
	rcu_unregister(id);
	return NULL;
}

static void
frees_after_the_last_reader(void **state)
{
	pthread_t t[2];
	assert_int_equal(rcu_init(), 0);
	atomic_store(&shared, calloc(1, sizeof(struct box)));
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, reader, NULL), 0);
	for (unsigned i = 1; i < 20000; i++) {
		struct box *b = malloc(sizeof(*b));
		*b = (struct box){i, 2 * i};
		rcu_defer(free, atomic_exchange_explicit(&shared, b, memory_order_acq_rel));
		rcu_poll();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	assert_int_equal(atomic_load(&torn), 0);
	free(atomic_load(&shared));
	rcu_fini();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits_for_online_readers_only),
		cmocka_unit_test(runs_everything_at_the_end),
		cmocka_unit_test(bounds_readers),
		cmocka_unit_test(frees_after_the_last_reader),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
