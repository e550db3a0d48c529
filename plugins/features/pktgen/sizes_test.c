/* SPDX-License-Identifier: BSD-3-Clause */
#include "sizes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void
mixes(void **state)
{
	struct sizes s = {0};
	char why[128];
	unsigned seen[2000] = {0}, longest = 0, row = 0;

	assert_true(sizes_set(&s, "512", 46, 1500, why, sizeof(why)));
	for (int i = 0; i < 5; i++)
		assert_int_equal(sizes_next(&s), 512);
	assert_true(sizes_set(&s, "28x64,16x570,4x1518", 46, 1518, why, sizeof(why)));
	assert_int_equal(sizes_mean(&s), (28 * 64 + 16 * 570 + 4 * 1518) / 48);
	for (int i = 0; i < 480; i++) {
		uint16_t size = sizes_next(&s);
		seen[size]++;
		row = size == 64 ? row + 1 : 0;
		longest = row > longest ? row : longest;
	}
	assert_int_equal(seen[64], 280);
	assert_int_equal(seen[570], 160);
	assert_int_equal(seen[1518], 40);
	assert_in_range(longest, 1, 3);
	assert_true(sizes_set(&s, "9,46", 9, 46, why, sizeof(why)));
	assert_int_equal(sizes_next(&s) + sizes_next(&s), 55);
}

static void
mistakes(void **state)
{
	static const char *const form[] = {"", ",", "x", "64x", "x64", "64,", "64,,64", "0x64", "64 ", "-1", "257x64", "128x64,129x65",
		"1x1x1", "64k", "1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1"};
	char why[128];

	for (size_t i = 0; i < sizeof(form) / sizeof(*form); i++) {
		assert_false(sizes_set(NULL, form[i], 1, 1500, why, sizeof(why)));
		assert_non_null(strstr(why, "a number, or a mix"));
	}
	assert_false(sizes_set(NULL, "64,45", 46, 1500, why, sizeof(why)));
	assert_non_null(strstr(why, "size 45"));
	assert_false(sizes_set(NULL, "99999999999999999999", 46, 1500, why, sizeof(why)));
	assert_true(sizes_set(NULL, "64,46", 46, 1500, why, sizeof(why)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(mixes), cmocka_unit_test(mistakes)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
