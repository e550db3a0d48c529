/* SPDX-License-Identifier: BSD-3-Clause */
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <rte_pause.h>

#define MS UINT64_C(1000000)

/* Two readings make the rate: 2.5 counts a nanosecond. */
static struct clock
known(void)
{
	struct clock c = {.steady = true};
	assert_int_equal(clock_adjust(&c, 1000, 5 * MS), 5 * MS);
	assert_int_equal(clock_adjust(&c, 1000 + 1000, 5 * MS + 400), 5 * MS + 400); /* too close to the first */
	assert_int_equal(c.scale, 0);
	assert_int_equal(clock_adjust(&c, 1000 + 5 * MS, 7 * MS), 7 * MS);
	assert_int_equal(c.scale, (UINT64_C(1) << 32) * 2 / 5);
	assert_int_equal(c.span, CLOCK_SPAN);
	return c;
}

static void
rate_is_found(void **state)
{
	(void)state;
	known();
}

/* The longest that the counter could have told so far is not undercut, and what follows is right again. */
static void
never_back(void **state)
{
	(void)state;
	struct clock c = known();
	const uint64_t told = c.ns + (CLOCK_SPAN * c.scale >> 32);
	assert_int_equal(clock_adjust(&c, c.count + CLOCK_SPAN, told - 500), told);
	assert_int_equal(clock_adjust(&c, c.count + CLOCK_SPAN, told + 900000), told + 900000);
}

/* Sleep of the machine, a counter that starts again, a rate that changes: the clock is read until the rate is known. */
static void
jumps(void **state)
{
	(void)state;
	const struct {
		uint64_t count, ns;
	} jump[] = {{5 * MS, 3000 * MS}, {5 * MS, UINT64_C(3600000) * MS}, {-(uint64_t)(4 * MS), 2 * MS}, {50 * MS, 2 * MS}};
	for (unsigned i = 0; i < sizeof(jump) / sizeof(*jump); i++) {
		struct clock c = known();
		const uint64_t count = c.count + jump[i].count, ns = c.ns + jump[i].ns;
		assert_int_equal(clock_adjust(&c, count, ns), ns);
		assert_int_equal(c.span, 0);
		assert_int_equal(clock_adjust(&c, count + 100, ns + 100), ns + 100);
		assert_int_equal(clock_adjust(&c, count + 10 * MS, ns + 2 * MS), ns + 2 * MS);
		assert_int_equal(c.scale, (UINT64_C(1) << 32) / 5);
	}
}

/* The real ones, at random intervals: never back, never beyond a clock read just after, never far behind one just before. */
static void
agrees(void **state)
{
	(void)state;
	struct clock c = {.steady = clock_steady()};
	uint64_t last = 0, end = clock_ns() + 100 * MS, before;
	do {
		before = clock_ns();
		const uint64_t now = clock_now(&c), after = clock_ns();
		assert_true(now >= last);
		assert_true(now + 20000 >= before && now <= after + 20000);
		last = now;
		for (int spin = rand() % 3000; spin > 0; spin--)
			rte_pause();
	} while (before < end);
}

/* Without a steady counter. */
static void
unsteady(void **state)
{
	(void)state;
	struct clock c = {0};
	for (int i = 0; i < 1000; i++) {
		const uint64_t before = clock_ns(), now = clock_now(&c);
		assert_true(now >= before && now <= clock_ns());
	}
	assert_int_equal(c.span, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_is_found),
		cmocka_unit_test(never_back),
		cmocka_unit_test(jumps),
		cmocka_unit_test(agrees),
		cmocka_unit_test(unsteady),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
