/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "limit.h"

#define SECOND 1000000000ull

static struct limit *limit;

static int
set_up(void **state)
{
	(void)state;
	limit = calloc(1, sizeof(*limit));
	limit->secret[0] = 0x0123456789abcdef;
	limit->secret[1] = 0xfedcba9876543211;
	return limit ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	free(limit);
	return 0;
}

static unsigned
passes(uint64_t source, uint64_t now, unsigned tries)
{
	unsigned n = 0;
	for (unsigned i = 0; i < tries; i++)
		n += limit_pass(limit, source, now, SECOND / 10);
	return n;
}

static void
one_source(void **state)
{
	(void)state;
	const uint64_t t = 5 * SECOND;
	assert_int_equal(passes(77, t, 100), 10);
	assert_int_equal(passes(77, t + SECOND / 2, 100), 5);
	assert_int_equal(passes(77, t + 10 * SECOND, 100), 10);
	assert_int_equal(passes(78, t, 100), 10); /* another source has its own */
}

static void
who_is_a_source(void **state)
{
	(void)state;
	struct tr_endpoint a = {.family = 4, .remote = {192, 0, 2, 1}, .remote_port = 1}, b = a;
	b.remote_port = 2;
	assert_int_equal(limit_source(limit, &a), limit_source(limit, &b));
	b.remote[3] = 2;
	assert_int_not_equal(limit_source(limit, &a), limit_source(limit, &b));
	a = b = (struct tr_endpoint){.family = 6, .remote = {0x20, 1, 0xd, 0xb8, 0, 0, 0, 1, [15] = 1}};
	b.remote[15] = 9;
	assert_int_equal(limit_source(limit, &a), limit_source(limit, &b));
	b.remote[7] = 2;
	assert_int_not_equal(limit_source(limit, &a), limit_source(limit, &b));
}

/* Ten times as many sources as there is memory for: each is let in, and one that asks all the time stays limited. */
static void
flood_of_sources(void **state)
{
	(void)state;
	const uint64_t t = 5 * SECOND, noisy = 1;
	assert_int_equal(passes(noisy, t, 100), 10);
	for (uint64_t i = 0; i < 10 * LIMIT_SETS * LIMIT_WAYS; i++)
		assert_int_equal(passes((i + 2) * 0x9e3779b97f4a7c15, t, 1), 1);
	assert_int_equal(passes(noisy, t, 100), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(one_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(who_is_a_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(flood_of_sources, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
