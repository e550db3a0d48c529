/* SPDX-License-Identifier: BSD-3-Clause */
#include "series.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND 1000000000ull

static void
rate_and_minute(void **state)
{
	struct series *s = series_new();
	uint64_t now = 5 * SECOND, value = 0;
	for (unsigned i = 0; i < 200; i++) {
		series_begin(s, now);
		series_sample(s, "a", value);
		series_end(s);
		now += SECOND;
		value += 100;
	}
	assert_true(series_rate(s, "a") == 100.0);
	assert_int_equal(series_minute(s, "a"), 6000);
	/* A round that comes late is worth its time. */
	series_begin(s, now + SECOND);
	series_sample(s, "a", value + 300);
	series_end(s);
	assert_true(series_rate(s, "a") == 200.0);
	/* Back to less: begun again from zero. */
	series_begin(s, now + 2 * SECOND);
	series_sample(s, "a", 7);
	series_end(s);
	assert_true(series_rate(s, "a") == 7.0);
	assert_true(series_rate(s, "b") == 0);
	assert_int_equal(series_minute(s, "b"), 0);
	series_free(s);
}

static void
forgets_and_grows(void **state)
{
	struct series *s = series_new();
	char name[32];
	for (unsigned round = 1; round < 4; round++) {
		series_begin(s, round * SECOND);
		for (unsigned i = 0; i < 5000; i++) {
			snprintf(name, sizeof(name), "c%u", i);
			series_sample(s, name, round * i);
		}
		series_end(s);
	}
	assert_true(series_rate(s, "c4999") == 4999.0);
	assert_int_equal(series_minute(s, "c7"), 21);
	series_begin(s, 4 * SECOND);
	series_end(s);
	assert_true(series_rate(s, "c4999") == 0);
	/* A counter that appears later counts from zero, so that a first drop is seen. */
	series_begin(s, 5 * SECOND);
	series_sample(s, "late", 3);
	series_end(s);
	assert_true(series_rate(s, "late") == 3.0);
	assert_int_equal(series_minute(s, "late"), 3);
	series_free(s);
}

static void
show_round(struct series *s, uint64_t now, uint64_t v)
{
	series_begin(s, now);
	struct tr_show *o = series_show(s, "x");
	o->uint(o, "top", v);
	o->begin(o, "instances");
	o->begin(o, "wg0");
	o->text(o, "class", "wireguard");
	o->begin(o, "in");
	o->uint(o, "cipher", 2 * v);
	o->end(o);
	o->end(o);
	o->uint(o, "after", 3 * v);
	o->end(o);
	o->list(o, "drops");
	o->begin(o, NULL);
	o->text(o, "instance", "wg0");
	o->text(o, "reason", "replay");
	o->uint(o, "packets", 4 * v);
	o->text(o, "meaning", "not a name");
	o->uint(o, "bytes", 5 * v);
	o->end(o);
	o->begin(o, NULL);
	o->text(o, "instance", "wg1");
	o->uint(o, "packets", 6 * v);
	o->end(o);
	o->end(o);
	o->list(o, "workers");
	o->begin(o, NULL);
	o->uint(o, "worker", 1);
	o->uint(o, "loops", 7 * v);
	o->end(o);
	o->uint(o, NULL, 1);
	o->end(o);
	for (unsigned i = 0; i < 100; i++)
		o->begin(o, "deep");
	o->uint(o, "lost", 1);
	for (unsigned i = 0; i < 100; i++)
		o->end(o);
	series_end(s);
}

static void
shown_trees(void **state)
{
	struct series *s = series_new();
	show_round(s, SECOND, 0);
	show_round(s, 2 * SECOND, 1);
	assert_true(series_rate(s, "x/top") == 1);
	assert_true(series_rate(s, "x/instances/wg0/in/cipher") == 2);
	assert_true(series_rate(s, "x/instances/after") == 3);
	assert_true(series_rate(s, "x/drops/wg0/replay/packets") == 4);
	assert_true(series_rate(s, "x/drops/wg0/replay/bytes") == 5);
	assert_true(series_rate(s, "x/drops/wg1/packets") == 6);
	assert_true(series_rate(s, "x/workers/1/loops") == 7);
	series_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rate_and_minute),
		cmocka_unit_test(forgets_and_grows),
		cmocka_unit_test(shown_trees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
