/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * configs/bad: one mistake in each file, and beside it exactly what is said about it. With TAILRACE_RECORD set, what is
 * said now is written there instead, to be read before it is committed.
 */
#include "test.h"

#include "config/paths.h"

#include <dirent.h>
#include <unistd.h>

static char *
read_text(const char *name, const char *suffix)
{
	char path[600], *text = NULL;
	size_t size, n;
	snprintf(path, sizeof(path), "%s%s", name, suffix);
	FILE *f = fopen(path, "r"), *m = open_memstream(&text, &size);
	char buf[4096];
	while (f != NULL && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		fwrite(buf, 1, n, m);
	fclose(m);
	if (f != NULL)
		fclose(f);
	return text;
}

static char *
said_about(const char *file)
{
	char *text = read_text(file, "");
	struct diags d = {0};
	if (strstr(file, ".cfg") != NULL) {
		struct arena *a = arena_new(16u << 20);
		struct appliance appliance;
		assert_false(appliance_parse(a, file, text, &appliance, &d));
		arena_free(a);
	} else {
		struct catalogue_entry entries[TEST_CLASSES];
		struct catalogue c = test_catalogue(entries);
		struct plan *p = plan_parse(file, text, strlen(text), &c, NULL, false, &d);
		if (p != NULL)
			print_error("%s is accepted\n", file);
		assert_null(p);
	}
	char *said = printed(&d);
	diags_free(&d);
	free(text);
	return said;
}

static void
every_case(void **state)
{
	assert_int_equal(chdir(TAILRACE_SOURCE_CONFIGS "/bad"), 0);
	DIR *dir = opendir(".");
	unsigned cases = 0, wrong = 0;
	for (struct dirent *e; (e = readdir(dir)) != NULL;) {
		char stem[256];
		snprintf(stem, sizeof(stem), "%s", e->d_name);
		char *dot = strrchr(stem, '.');
		if (dot == NULL || (strcmp(dot, ".yaml") != 0 && strcmp(dot, ".cfg") != 0))
			continue;
		char *said = said_about(e->d_name);
		if (getenv("TAILRACE_RECORD") != NULL) {
			char path[300];
			snprintf(path, sizeof(path), "%s.expect", e->d_name);
			FILE *f = fopen(path, "w");
			fputs(said, f);
			fclose(f);
		}
		char *expected = read_text(e->d_name, ".expect");
		if (strcmp(said, expected) != 0) {
			print_error("%s\nexpected: %ssaid:     %s", e->d_name, expected, said);
			wrong++;
		}
		cases++;
		free(expected);
		free(said);
	}
	closedir(dir);
	assert_int_equal(wrong, 0);
	assert_true(cases > 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(every_case)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
