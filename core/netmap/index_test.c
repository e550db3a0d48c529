/* SPDX-License-Identifier: BSD-3-Clause */
#include "index.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t
find1(const struct index_table *t, uint32_t index)
{
	uint64_t value = 4711;
	index_table_find(t, &index, 1, &value);
	return value;
}

static void
fills_and_empties(void **state)
{
	struct index_table *t = index_table_new(1000, 3); /* 1024 slots, 341 for each worker */
	static uint32_t index[3][341];
	uint32_t batch[341];
	uint64_t value[341];

	assert_int_equal(find1(t, 0), 0);
	for (uint16_t w = 0; w < 3; w++) {
		for (unsigned i = 0; i < 341; i++) {
			index[w][i] = index_table_add(t, w, w * 1000 + i + 1);
			assert_int_not_equal(index[w][i], 0);
		}
		assert_int_equal(index_table_add(t, w, 1), 0);
	}
	for (uint16_t w = 0; w < 3; w++) {
		for (unsigned i = 0; i < 341; i++)
			batch[i] = index[w][i];
		index_table_find(t, batch, 341, value);
		for (unsigned i = 0; i < 341; i++)
			assert_int_equal(value[i], w * 1000 + i + 1);
	}
	index_table_del(t, 1, index[0][5]); /* not this worker's: ignored */
	assert_int_equal(find1(t, index[0][5]), 6);
	index_table_del(t, 0, index[0][5]);
	assert_int_equal(find1(t, index[0][5]), 0);
	index_table_del(t, 0, index[0][5]); /* twice: ignored */
	uint32_t again = index_table_add(t, 0, 9);
	assert_int_not_equal(again, index[0][5]);
	assert_int_equal(find1(t, again), 9);
	assert_int_equal(find1(t, index[0][5]), 0);
	assert_int_equal(index_table_add(t, 0, 9), 0);
	index_table_free(t);
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

/* A slot gives out different numbers for as long as its generation has bits, and none of them is guessable by +1. */
static void
numbers_do_not_repeat(void **state)
{
	struct index_table *t = index_table_new(64, 1);
	static uint32_t index[100000];
	unsigned near = 0;

	for (unsigned i = 0; i < 100000; i++) {
		index[i] = index_table_add(t, 0, i + 1);
		assert_int_equal(find1(t, index[i]), i + 1);
		index_table_del(t, 0, index[i]);
		near += i && index[i] - index[i - 1] + 16 < 32;
	}
	assert_true(near < 50);
	qsort(index, 100000, sizeof(index[0]), compare);
	for (unsigned i = 1; i < 100000; i++)
		assert_int_not_equal(index[i - 1], index[i]);
	index_table_free(t);
}

/* One worker adds and removes, another looks up what it has heard of: the right value or none, never another's. */
static _Atomic uint64_t published[16]; /* value << 32 | index */
static atomic_bool stop;
static atomic_uint wrong, found, gone;

static void *
reader(void *arg)
{
	const struct index_table *t = arg;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		uint32_t index[16];
		uint64_t p[16], value[16];
		for (int i = 0; i < 16; i++) {
			p[i] = atomic_load_explicit(&published[i], memory_order_relaxed);
			index[i] = (uint32_t)p[i];
		}
		index_table_find(t, index, 16, value);
		for (int i = 0; i < 16; i++) {
			if (value[i] == 0)
				atomic_fetch_add(&gone, 1);
			else
				atomic_fetch_add(value[i] == p[i] >> 32 ? &found : &wrong, 1);
		}
	}
	return NULL;
}

static void
stale_numbers_find_nothing(void **state)
{
	struct index_table *t = index_table_new(64, 4); /* 16 slots for this worker: reused at once */
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, reader, t), 0);
	for (uint32_t i = 1; i < 1000000 || (!atomic_load(&found) && i < 100000000); i++) {
		_Atomic uint64_t *p = &published[i % 16];
		index_table_del(t, 2, (uint32_t)atomic_load_explicit(p, memory_order_relaxed));
		uint32_t index = index_table_add(t, 2, i);
		atomic_store_explicit(p, (uint64_t)i << 32 | index, memory_order_relaxed);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	assert_int_equal(atomic_load(&wrong), 0);
	print_message("found %u, gone %u\n", atomic_load(&found), atomic_load(&gone));
	index_table_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fills_and_empties),
		cmocka_unit_test(numbers_do_not_repeat),
		cmocka_unit_test(stale_numbers_find_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
