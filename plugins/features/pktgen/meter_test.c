/* SPDX-License-Identifier: BSD-3-Clause */
#include "meter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Against a table of all numbers ever seen. */
static void
window(void **state)
{
	enum { ALL = 100000 };
	static uint8_t seen[ALL];
	struct window w = {0};
	struct window_rest rest;
	uint64_t end = 0, at = 0;
	uint32_t r = 1;

	memset(&rest, 0xff, sizeof(rest));
	for (int i = 0; i < 1000000; i++) {
		r = r * 1664525 + 1013904223;
		uint32_t kind = r >> 28;
		uint64_t n = kind < 12 ? at++ : kind < 15 ? at - (r >> 8) % (at < 3000 ? at + 1 : 3000) : at + (r >> 8) % 3000;
		if (n >= ALL)
			break;
		if (kind == 15)
			at = n + 1;
		enum seen want = n >= end ? SEEN_NEWEST : end - n > WINDOW ? SEEN_TOO_OLD : seen[n] ? SEEN_TWICE : SEEN_LATE;
		assert_int_equal(window_see(&w, &rest, n), want);
		seen[n] = 1;
		end = n >= end ? n + 1 : end;
	}
	assert_int_equal(window_see(&w, &rest, UINT64_MAX - 1), SEEN_NEWEST);
	assert_int_equal(window_see(&w, &rest, UINT64_MAX - 1), SEEN_TWICE);
	assert_int_equal(window_see(&w, &rest, 5), SEEN_TOO_OLD);
}

static void
books(void **state)
{
	struct meter *m = calloc(1, sizeof(*m));
	struct window flow = {0};
	struct window_rest rest;
	static const uint64_t order[] = {0, 1, 3, 2, 2, 5, 5, 6};

	meter_add(&m->sent, 8); /* 4 and 7 get lost */
	for (unsigned i = 0; i < 8; i++)
		meter_arrival(m, &flow, &rest, order[i], 1000 * i, 1000 * i + 100 * (i + 1));
	assert_int_equal(m->received, 6);
	assert_int_equal(meter_lost(m), 2);
	assert_int_equal(m->duplicates, 2);
	assert_int_equal(m->reordered, 1);
	assert_int_equal(m->longest_gap, 1100);
	assert_int_equal(m->latency_max, 800);
	assert_int_equal(meter_latency(m, 1), 800);
	meter_clear(m);
	assert_int_equal(meter_lost(m), 0);
	assert_int_equal(meter_latency(m, 0.99), 0);
	free(m);
}

static void
percentiles(void **state)
{
	struct meter *m = calloc(1, sizeof(*m));
	struct window flow = {0};
	struct window_rest rest;

	for (uint64_t i = 0; i < 100000; i++)
		meter_arrival(m, &flow, &rest, i, 0, i * 10);
	for (int p = 1; p < 100; p++) {
		uint64_t exact = (uint64_t)p * 10000, got = meter_latency(m, p / 100.0);
		assert_true(got >= exact - 10 && got <= exact + exact / 15);
	}
	for (uint64_t ns = 1; ns < 1ull << 50; ns = ns * 9 / 8 + 1) {
		meter_clear(m);
		memset(&flow, 0, sizeof(flow));
		meter_arrival(m, &flow, &rest, 0, 1, 1 + ns);
		assert_int_equal(meter_latency(m, 0.5), ns < 1ull << 43 ? ns : meter_latency(m, 0.5));
	}
	free(m);
}

/* What a receiver that does not run can't see is none of the gateway's doing. */
static void
watched(void **state)
{
	struct meter *m = calloc(1, sizeof(*m));

	meter_watched(m, 100);
	assert_int_equal(meter_get(&m->longest_watched), 0);
	meter_watched(m, 100);
	meter_watched(m, 350);
	meter_watched(m, 400);
	assert_int_equal(meter_get(&m->longest_watched), 250);
	meter_clear(m);
	meter_watched(m, 9000);
	assert_int_equal(meter_get(&m->longest_watched), 0);
	free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(window),
		cmocka_unit_test(books),
		cmocka_unit_test(percentiles),
		cmocka_unit_test(watched),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
