/* SPDX-License-Identifier: BSD-3-Clause */
#include "wheel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

static uint64_t fired_at[4096];
static uint64_t clock_ns;
static struct tr_timer timers[4096];

static void
fire(void *arg, struct tr_timer *t)
{
	(void)arg;
	fired_at[t - timers] = clock_ns;
}

/* Every timer fires once, never early, at most one tick late; over all levels of the wheel. */
static void
test_random_spans(void **state)
{
	static struct wheel w;
	(void)state;
	static const uint64_t spans[] = {1, 3, 4, 5, 999, 1023, 1024, 1025, 60000, 262143, 262144, 262145, 540000, 7200000};
	srand(1);
	for (unsigned round = 0; round < 3; round++) {
		uint64_t start = round * 123456789 * MS + 1;
		clock_ns = start;
		wheel_init(&w, clock_ns);
		memset(timers, 0, sizeof(timers));
		memset(fired_at, 0, sizeof(fired_at));
		for (unsigned i = 0; i < 4096; i++)
			wheel_arm(&w, &timers[i], start + (spans[i % 14] + (uint64_t)(rand() % 50)) * MS + (uint64_t)rand() % MS);
		for (unsigned i = 0; i < 4096; i += 7)
			wheel_cancel(&w, &timers[i]);
		while (w.armed) {
			clock_ns += 3 * MS;
			wheel_advance(&w, clock_ns, UINT32_MAX, fire, NULL);
			assert_true(clock_ns < start + 8000000 * MS);
		}
		for (unsigned i = 0; i < 4096; i++) {
			if (i % 7 == 0) {
				assert_int_equal(fired_at[i], 0);
				continue;
			}
			assert_true(fired_at[i] >= timers[i].at);
			assert_true(fired_at[i] <= timers[i].at + WHEEL_TICK_NS + 3 * MS);
		}
	}
}

static struct wheel again;
static unsigned rounds;
static void
rearm(void *arg, struct tr_timer *t)
{
	(void)arg;
	if (++rounds < 10)
		wheel_arm(&again, t, clock_ns);
}

/* A timer armed for now from its own callback fires in the next tick, not for ever in this one. */
static void
test_rearm_now(void **state)
{
	(void)state;
	wheel_init(&again, 0);
	timers[0] = (struct tr_timer){0};
	clock_ns = 1;
	wheel_arm(&again, &timers[0], 0);
	for (unsigned i = 0; i < 20; i++) {
		clock_ns += 4 * MS;
		unsigned n = wheel_advance(&again, clock_ns, UINT32_MAX, rearm, NULL);
		assert_true(n <= 1);
	}
	assert_int_equal(rounds, 10);
	assert_int_equal(again.armed, 0);
}

/* A long jump of the clock fires all, bounded by `most` a call. */
static void
test_bounded(void **state)
{
	static struct wheel w;
	(void)state;
	memset(timers, 0, sizeof(timers));
	wheel_init(&w, 0);
	for (unsigned i = 0; i < 100; i++)
		wheel_arm(&w, &timers[i], i * 100 * MS);
	assert_int_equal(wheel_advance(&w, 3600000 * MS, 30, fire, NULL), 30);
	assert_int_equal(wheel_advance(&w, 3600000 * MS, 100, fire, NULL), 70);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_spans),
		cmocka_unit_test(test_rearm_now),
		cmocka_unit_test(test_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
