/* SPDX-License-Identifier: BSD-3-Clause */
#include "plot.h"
#include "report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static json_t *
file_of(double clocks, double spread, double ndr, const char *size, double trial)
{
	return json_pack("{s:s, s:i, s:s, s:b, s:{s:s}, s:{s:s, s:f}, s:[s], s:[{s:s, s:s, s:i, s:{s:f, s:f, s:[{s:s, s:f}]}, s:{s:f, s:f},"
			 "s:{s:f, s:f}}]}",
		"kind", "tailrace-bench", "version", 1, "made", "today", "complete", 1, "machine", "cpu", "A <CPU> & \"more\"\n 'than `one`", "method", "ports",
		"rings", "trial_seconds", trial, "warnings", "CPU 1 < CPU 2", "figures", "scenario", "encrypt", "size", size, "peers", 1000, "cost",
		"clocks", clocks, "spread", spread, "nodes", "node", "wg0.plain", "clocks", clocks, "mrr", "pps", ndr, "spread", 0.0, "ndr", "pps",
		ndr, "upper_pps", ndr * 1.01);
}

static char *
compared(json_t *a, json_t *b, unsigned *differ)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	*differ = compare_print(a, b, f);
	fclose(f);
	json_decref(b);
	return text;
}

static void
differences(void **state)
{
	json_t *a = file_of(400, 0.01, 3e6, "64", 0.1);
	unsigned n;
	char *text = compared(a, file_of(410, 0.01, 3.05e6, "64", 0.1), &n);

	assert_int_equal(n, 1); /* the MRR alone, which has no spread: its 1.7 % are a difference, those of the NDR lie in its bounds */
	assert_non_null(strstr(text, "no difference"));
	free(text);
	text = compared(a, file_of(500, 0.01, 2.4e6, "64", 0.1), &n);
	assert_int_equal(n, 3);
	assert_non_null(strstr(text, "slower"));
	assert_null(strstr(text, "faster"));
	free(text);
	text = compared(a, file_of(300, 0.5, 4e6, "64", 0.1), &n);
	assert_non_null(strstr(text, "clocks          400.000    300.000   0.750 102.0%  no difference"));
	free(text);
	json_decref(a);
}

static void
refusals(void **state)
{
	json_t *a = file_of(400, 0.01, 3e6, "64", 0.1), *b = file_of(400, 0.01, 3e6, "1420", 0.1), *c = file_of(400, 0.01, 3e6, "64", 0.01);
	char why[200];

	assert_null(compare_refuses(a, a, why));
	assert_non_null(strstr(compare_refuses(a, b, why), "no scenario, size and number of peers in common"));
	assert_non_null(strstr(compare_refuses(a, c, why), "trial_seconds is 0.1 in the one, 0.01 in the other"));
	json_decref(a);
	json_decref(b);
	json_decref(c);
}

static void
values(void **state)
{
	assert_int_equal(compare_values(100, 100.9, 0, 0), COMPARE_SAME);
	assert_int_equal(compare_values(100, 103, 0, 0), COMPARE_MORE);
	assert_int_equal(compare_values(100, 97, 0, 0), COMPARE_LESS);
	assert_int_equal(compare_values(100, 97, 0.02, 0.02), COMPARE_SAME);
	assert_int_equal(compare_values(0, 97, 0, 0), COMPARE_SAME);
}

static void
escapes(void **state)
{
	json_t *a = file_of(400, 0.01, 3e6, "64", 0.1);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	plot_script(a, f);
	fclose(f);
	assert_non_null(strstr(text, "set label 'A <CPU> & \"more\" ''than `one`, TSC")); /* the quote doubled, the line's end left out */
	assert_non_null(strstr(text, "title 'wg0.plain'"));
	assert_non_null(strstr(text, "\n0 400 0.73 1.27\n"));
	free(text);
	json_decref(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differences),
		cmocka_unit_test(refusals),
		cmocka_unit_test(values),
		cmocka_unit_test(escapes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
