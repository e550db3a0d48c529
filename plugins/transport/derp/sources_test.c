/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sources.h"

#include <sodium.h>

#define SECOND 1000000000ull

static const struct tr_addr alice = {.family = 4, .ip = {192, 0, 2, 1}}, bob = {.family = 4, .ip = {192, 0, 2, 2}};

static enum source_verdict
enter(struct sources *t, const struct tr_addr *from, uint32_t max, uint32_t rate, uint64_t now)
{
	struct source *unused;
	return sources_enter(t, from, max, rate, now, &unused);
}

static void
as_many_as_allowed_of_each_address(void **state)
{
	struct sources t;
	struct source *s;
	(void)state;
	sources_init(&t);
	assert_int_equal(sources_enter(&t, &alice, 2, 0, 0, &s), SOURCE_GOOD);
	assert_int_equal(enter(&t, &alice, 2, 0, 0), SOURCE_GOOD);
	assert_int_equal(enter(&t, &alice, 2, 0, 0), SOURCE_MANY);
	assert_int_equal(enter(&t, &bob, 2, 0, 0), SOURCE_GOOD);
	sources_leave(&t, s, 0);
	assert_int_equal(enter(&t, &alice, 2, 0, 0), SOURCE_GOOD);
	assert_int_equal(enter(&t, &alice, 2, 0, 0), SOURCE_MANY);
	assert_int_equal(enter(&t, &alice, 0, 0, 0), SOURCE_GOOD); /* no limit any more */
	sources_fini(&t);
}

static void
no_faster_than_allowed(void **state)
{
	struct sources t;
	uint64_t now = 5 * SECOND;
	(void)state;
	sources_init(&t);
	for (unsigned i = 0; i < 3 * SOURCES_BURST; i++)
		assert_int_equal(enter(&t, &alice, 0, 3, now), SOURCE_GOOD);
	assert_int_equal(enter(&t, &alice, 0, 3, now), SOURCE_FAST);
	assert_int_equal(enter(&t, &bob, 0, 3, now), SOURCE_GOOD);
	for (unsigned second = 0; second < 20; second++) {
		now += SECOND;
		for (unsigned i = 0; i < 3; i++)
			assert_int_equal(enter(&t, &alice, 0, 3, now), SOURCE_GOOD);
		assert_int_equal(enter(&t, &alice, 0, 3, now), SOURCE_FAST);
	}
	sources_fini(&t);
}

static void
a_network_of_64_bits_is_one_address(void **state)
{
	struct sources t;
	struct tr_addr a = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [7] = 1, [15] = 1}}, b = a, other = a;
	(void)state;
	b.ip[15] = 2;
	other.ip[7] = 2;
	sources_init(&t);
	assert_int_equal(enter(&t, &a, 1, 0, 0), SOURCE_GOOD);
	assert_int_equal(enter(&t, &b, 1, 0, 0), SOURCE_MANY);
	assert_int_equal(enter(&t, &other, 1, 0, 0), SOURCE_GOOD);
	sources_fini(&t);
}

/* Who comes and goes has its rate used up all the same, and is forgotten once it is there again. */
static void
who_has_left_is_remembered_no_longer_than_it_matters(void **state)
{
	struct sources t;
	struct source *s;
	(void)state;
	sources_init(&t);
	assert_int_equal(sources_enter(&t, &bob, 0, 0, 0, &s), SOURCE_GOOD);
	sources_leave(&t, s, 0);
	assert_int_equal(HASH_COUNT(t.table), 0);
	for (unsigned i = 0; i < SOURCES_BURST; i++) {
		assert_int_equal(sources_enter(&t, &alice, 0, 1, 0, &s), SOURCE_GOOD);
		sources_leave(&t, s, 0);
	}
	assert_int_equal(enter(&t, &alice, 0, 1, 0), SOURCE_FAST);
	sources_second(&t, SOURCES_BURST * SECOND - 1);
	assert_int_equal(HASH_COUNT(t.table), 1);
	sources_second(&t, SOURCES_BURST * SECOND);
	assert_int_equal(HASH_COUNT(t.table), 0);
	sources_leave(&t, NULL, 0);
	sources_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_as_allowed_of_each_address),
		cmocka_unit_test(no_faster_than_allowed),
		cmocka_unit_test(a_network_of_64_bits_is_one_address),
		cmocka_unit_test(who_has_left_is_remembered_no_longer_than_it_matters),
	};
	if (sodium_init() < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
