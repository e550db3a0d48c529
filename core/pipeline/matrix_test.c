/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Is configs/bad complete? Each type of option that either file can have, times each mistake that can be made with one,
 * derived from the option tables: a case that says so, or a reason by name why there is none. bad_test.c runs the cases.
 */
#include "test.h"

#include "config/sections.h"
#include "config/paths.h"

#include <unistd.h>

enum mistake { UNKNOWN, DUPLICATE, WRONG_TYPE, BELOW, ABOVE, MISSING, MISTAKES };

/* What a case is called, and one of what its message says. */
static const struct {
	const char *name, *says[4];
} mistakes[MISTAKES] = {
	[UNKNOWN] = {"unknown", {"unknown key"}},
	[DUPLICATE] = {"duplicate", {"duplicate key"}},
	[WRONG_TYPE] = {"wrong-type", {"`: expected "}},
	[BELOW] = {"below", {"is below the minimum", "expected at least", "`: expected "}},
	[ABOVE] = {"above", {"is above the maximum", "expected at most", "`: expected ", "prefix length"}},
	[MISSING] = {"missing", {"missing key"}},
};

#define BIT(mistake) (1u << (mistake))
#define BOUNDS (BIT(BELOW) | BIT(ABOVE))

/* Cells without a case, and why. */
static const struct exempt {
	const char *stem;
	unsigned mistakes;
	const char *why;
} exempt[] = {
	{"option-flag", BOUNDS, "true and false have no order"},
	{"option-text", BOUNDS, "text has no bounds: where a length matters the class checks it"},
	{"option-choice", BOUNDS, "a choice is one of its names, or of the wrong type"},
	{"option-addr", BOUNDS, "an address has no bounds: 256.0.0.1 is of the wrong type"},
	{"option-prefix", BIT(BELOW), "a negative length is of the wrong type"},
	{"option-ifaddr", BIT(BELOW), "a negative length is of the wrong type"},
	{"option-secret", BOUNDS, "the size of a key is its file's mistake, not the pipeline's"},
	{"option-names", BOUNDS, "any number of names, of any number of addresses"},
	{"option-routes", BOUNDS, "any number of routes"},
	{"option-routes", BIT(MISSING), "only `route` has them, and may have none: it then drops everything"},
	{"bool", BOUNDS, "true and false have no order"},
	{"text", BOUNDS, "text has no bounds"},
	{"choice", BOUNDS, "a choice is one of its names, or of the wrong type"},
	{"bool", BIT(MISSING), "no such option is required"},
	{"number", BIT(MISSING), "no such option is required"},
	{"choice", BIT(MISSING), "no such option is required"},
	{"list", BIT(MISSING), "no such option is required"},
};
static bool used[sizeof(exempt) / sizeof(*exempt)];

static bool
is_exempt(const char *stem, enum mistake m)
{
	for (size_t i = 0; i < sizeof(exempt) / sizeof(*exempt); i++) {
		if (strcmp(exempt[i].stem, stem) == 0 && exempt[i].mistakes & BIT(m)) {
			used[i] = true;
			return true;
		}
	}
	return false;
}

/* Does the case's message name the mistake (and the key, which a misspelt one doesn't)? */
static bool
says(const char *path, const char *key, enum mistake m)
{
	char line[600], quoted[80];
	bool said = false;
	FILE *f = fopen(path, "r");
	snprintf(quoted, sizeof(quoted), "`%s`", key);
	while (f != NULL && !said && fgets(line, sizeof(line), f) != NULL)
		for (int i = 0; i < 4 && mistakes[m].says[i] != NULL; i++)
			said |= strstr(line, "error: ") != NULL && strstr(line, mistakes[m].says[i]) != NULL &&
				(key == NULL || m == UNKNOWN || strstr(line, quoted) != NULL);
	if (f != NULL)
		fclose(f);
	return said;
}

/* The cells of one type; `key` NULL: the cases use any option of the type. The number that are wrong. */
static unsigned
cells(const char *stem, const char *suffix, const char *key)
{
	unsigned wrong = 0;
	for (int m = 0; m < MISTAKES; m++) {
		char path[200];
		snprintf(path, sizeof(path), "%s-%s%s.expect", stem, mistakes[m].name, suffix);
		const bool there = access(path, R_OK) == 0, none = is_exempt(stem, (enum mistake)m);
		if (there && none)
			print_error("%s is there, and listed as impossible\n", path);
		else if (!there && !none)
			print_error("%s is missing\n", path);
		else if (there && !says(path, key, (enum mistake)m))
			print_error("%s does not say `%s` of `%s`\n", path, mistakes[m].says[0], key ? key : stem);
		else
			continue;
		wrong++;
	}
	return wrong;
}

static const struct tr_class *
class_of(const char *name)
{
	struct catalogue_entry entries[TEST_CLASSES];
	const struct catalogue c = test_catalogue(entries);
	for (unsigned i = 0; i < c.n; i++)
		if (strcmp(c.v[i].class_->name, name) == 0)
			return c.v[i].class_;
	fail_msg("no class %s", name);
	return NULL;
}

/* Every type, with every unit and as a list, is an option of `sample`, which the cases are about; `route` has its own. */
static void
pipeline_yaml(void **state)
{
	static const char *const classes[] = {"sample", "route"};
	unsigned wrong = 0, types = 0, units = 0, lists = 0;
	for (unsigned i = 0; i < 2; i++) {
		for (const struct tr_option *o = class_of(classes[i])->options; o->key != NULL; o++) {
			char stem[80];
			if (strcmp(classes[i], "route") == 0 && o->type != TR_OPT_ROUTES)
				continue;
			types |= 1u << o->type;
			units |= 1u << o->unit;
			lists += (o->flags & TR_OPT_LIST) != 0;
			snprintf(stem, sizeof(stem), "option-%s", o->key);
			wrong += cells(stem, ".yaml", o->key);
		}
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(types, (2u << TR_OPT_NAMES) - 1);
	assert_int_equal(units, (2u << TR_UNIT_PER_SEC) - 1);
	assert_true(lists > 0);
}

static const char *
stem_of(const struct tr_option *o)
{
	static const char *const names[] = {[TR_OPT_BOOL] = "bool", [TR_OPT_UINT] = "number", [TR_OPT_STRING] = "text",
		[TR_OPT_ENUM] = "choice"};
	if (o->flags & TR_OPT_LIST)
		return "list";
	return o->type < sizeof(names) / sizeof(*names) ? names[o->type] : NULL;
}

static void
appliance_cfg(void **state)
{
	const char *seen[8];
	unsigned wrong = 0, n = 0;
	const struct tr_option *o;
	for (unsigned i = 0; (o = appliance_table(i)) != NULL; i++) {
		for (; o->key != NULL; o++) {
			const char *stem = stem_of(o);
			unsigned k = 0;
			if (stem == NULL)
				fail_msg("`%s`: a type that appliance.cfg did not have", o->key);
			while (k < n && strcmp(seen[k], stem) != 0)
				k++;
			if (k < n)
				continue;
			seen[n++] = stem;
			wrong += cells(stem, ".cfg", NULL);
		}
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(n, 5);
}

static void
no_idle_exemption(void **state)
{
	for (size_t i = 0; i < sizeof(exempt) / sizeof(*exempt); i++)
		if (!used[i])
			fail_msg("%s: no cell needs the exemption \"%s\"", exempt[i].stem, exempt[i].why);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pipeline_yaml),
		cmocka_unit_test(appliance_cfg),
		cmocka_unit_test(no_idle_exemption),
	};
	assert_int_equal(chdir(TAILRACE_SOURCE_CONFIGS "/bad"), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
