/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "replay.h"

/* The cases follow the numbered table in replay.h. */
static const struct {
	const char *what;
	uint64_t counter;
	bool accept;
} steps[] = {
	{"1 the first counter is 0", 0, true},
	{"3 0 again", 0, false},
	{"1 next", 1, true},
	{"1 a jump within a word", 9, true},
	{"2 late", 8, true},
	{"3 late again", 8, false},
	{"1 a jump over a word", 130, true},
	{"2 late, in a word that was skipped over", 65, true},
	{"1 the whole window further", 130 + REPLAY_WINDOW, true},
	{"2 the oldest that the window holds", 131, true},
	{"3 the oldest again", 131, false},
	{"3 seen at the edge", 130 + REPLAY_WINDOW, false},
	{"3 the one at distance 8128 was seen", 130, false},
	{"4 older than the window", 129, false},
	{"1 many windows further", 1000000, true},
	{"2 all before it is fresh again", 1000000 - REPLAY_WINDOW + 1, true},
	{"2 exactly 8128 behind", 1000000 - REPLAY_WINDOW, true},
	{"4 older", 1000000 - REPLAY_WINDOW - 1, false},
	{"1 the last valid one", REJECT_AFTER_MESSAGES - 1, true},
	{"3 the last valid one again", REJECT_AFTER_MESSAGES - 1, false},
	{"2 just below it", REJECT_AFTER_MESSAGES - 2, true},
	{"5 the limit", REJECT_AFTER_MESSAGES, false},
	{"5 the last number", UINT64_MAX, false},
	{"4 zero", 0, false},
};

static void
test_table(void **state)
{
	struct replay r = {0};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		if (replay_accept(&r, steps[i].counter) != steps[i].accept)
			fail_msg("step %zu: %s", i, steps[i].what);
}

/* Against a window that simply remembers everything. */
static void
test_model(void **state)
{
	enum { LAST = 60000 };
	static uint8_t seen[LAST];
	struct replay r = {0};
	uint64_t next = 0, centre = 0;

	memset(seen, 0, sizeof(seen));
	srandom(7);
	for (int i = 0; i < 200000; i++) {
		centre += random() % 3 == 0 ? (uint64_t)(random() % 4) : 0;
		if (random() % 5000 == 0)
			centre += (uint64_t)(random() % 9000);
		uint64_t back = (uint64_t)(random() % 9000), c = centre > back && random() % 2 ? centre - back : centre;
		if (c >= LAST)
			break;
		bool want = !(c + REPLAY_WINDOW + 1 < next) && !seen[c];
		assert_int_equal(replay_accept(&r, c), want);
		if (want) {
			seen[c] = 1;
			next = c + 1 > next ? c + 1 : next;
		}
	}
	assert_true(next > 30000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_model)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
