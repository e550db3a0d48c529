/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader.h"

#include "../config/config.h"

#include <libgen.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[256]; /* of the plugins */

static const char *
path_of(const char *fault)
{
	static char path[320];

	snprintf(path, sizeof(path), "%s/plugin_%s.so", dir, fault);
	return path;
}

static void
copy_file(const char *from, const char *to)
{
	char command[1200];

	snprintf(command, sizeof(command), "cp %s %s", from, to); /* over it, in place: what kills a mapped file */
	assert_int_equal(system(command), 0);
}

static void
test_loads_once(void **state)
{
	char why[1024] = "";
	const struct loaded_plugin *p = plugin_open(path_of("good"), why, sizeof(why));

	assert_string_equal(why, "");
	assert_non_null(p);
	assert_string_equal(p->desc->name, "pass");
	assert_int_equal(strlen(p->build_id), 40);
	assert_ptr_equal(plugin_open(path_of("good"), why, sizeof(why)), p);
	plugin_symbols(p, why, sizeof(why));
	assert_non_null(strstr(why, "plugin_good.so -o 0x"));
}

/* What the operator does to the file changes nothing of what is loaded, and the next open sees the new code. */
static void
test_replaced_files(void **state)
{
	char path[] = "/tmp/tailrace-loader-XXXXXX", why[1024];
	const struct loaded_plugin *old, *new;

	assert_true(mkstemp(path) >= 0);
	copy_file(path_of("good"), path);
	old = plugin_open(path, why, sizeof(why));
	assert_non_null(old);
	copy_file(path_of("newer"), path);
	new = plugin_open(path, why, sizeof(why));
	assert_non_null(new);
	assert_ptr_not_equal(old, new);
	assert_string_not_equal(old->build_id, new->build_id);
	assert_string_equal(old->desc->classes[0]->name, "pass");
	assert_string_equal(new->desc->classes[0]->name, "pass-newer");
	assert_int_equal(truncate(path, 100), 0);
	assert_string_equal(new->desc->classes[0]->name, "pass-newer");
	assert_null(plugin_open(path, why, sizeof(why)));
	unlink(path);
}

static void
assert_refused(const char *fault, const char *expected)
{
	char why[1024] = "", text[1536];

	assert_null(plugin_open(path_of(fault), why, sizeof(why)));
	snprintf(text, sizeof(text), "%s: %s", path_of(fault), expected);
	assert_string_equal(why, text);
}

static void
test_refusals(void **state)
{
	char sizes[200];

	assert_refused("major", "built for plugin ABI 2.1, this tailrace has 1.1");
	assert_refused("minor", "built for plugin ABI 1.7, this tailrace has 1.1");
	assert_refused("dpdk", "built with DPDK ABI 24, this tailrace with 23");
	assert_refused("mbuf", "layout of struct rte_mbuf differs: 192 bytes in the plugin, 128 in this tailrace");
	snprintf(sizes, sizeof(sizes), "descriptor of 8 bytes, this tailrace's has %zu", sizeof(struct tr_plugin));
	assert_refused("size", sizes);
	assert_refused("missing_symbol", "undefined symbol: tailrace_symbol_that_nobody_has");
	assert_refused("no_descriptor", "no symbol tr_plugin: not a plugin (it comes from TR_PLUGIN())");
	assert_refused("no_process", "class pass: in gate in has no process()");
	assert_refused("no_process", "class pass: in gate in has no process()"); /* remembered, not loaded again */
	assert_refused("absent", "No such file or directory");
}

static void
test_catalogue(void **state)
{
	struct catalogue c = {0};
	const char *dirs[] = {dir, "/nonexistent/plugins"};

	catalogue_scan(&c, dirs, 2);
	assert_non_null(catalogue_find(&c, "pass"));
	assert_non_null(catalogue_find(&c, "pass-newer"));
	assert_null(catalogue_find(&c, "pas"));
	assert_string_equal(c.refused[c.n_refused - 1].path, "/nonexistent/plugins");
	for (unsigned i = 0; i < c.n_refused; i++)
		if (strstr(c.refused[i].path, "plugin_good.so"))
			assert_non_null(strstr(c.refused[i].why, ": class pass is already in "));
	catalogue_free(&c);
}

static void
preflight(const char *fault, const char *options, const char *expected)
{
	char spec[1024], why[1024] = "", text[1536];
	bool ok;

	snprintf(spec, sizeof(spec), "plugin: %s\nfile: %s\nclass: pass\nname: door\noptions: %s\n", path_of(fault), path_of(fault),
		options);
	ok = plugin_preflight(spec, why, sizeof(why));
	if (expected) {
		snprintf(text, sizeof(text), "%s: preflight of door: %s", path_of(fault), expected);
		assert_string_equal(why, text);
	} else {
		assert_string_equal(why, "");
	}
	assert_int_equal(ok, expected == NULL);
}

static void
test_preflight(void **state)
{
	preflight("good", "{depth: 3}", NULL);
	preflight("good", "{deep: 3}", "load fails: options:1:1: unknown key `deep` in options (it has depth, note)");
	preflight("create_fails", "{depth: 3, note: 'a: \"b\"'}", "create() fails: depth 3 is too deep: a: \"b\"");
	preflight("create_crashes", "{}", "create() crashes: SIGSEGV (Segmentation fault)");
	preflight("create_hangs", "{}", "create() hangs (5 s)");
	preflight("start_exits", "{}", "start() ends the process with status 3");
	preflight("destroy_crashes", "{}", "destroy() crashes: SIGABRT (Aborted)");
	preflight("leaks", "{}", "destroy() fails: class pass leaves a watch open (timer)");
	preflight("mbuf", "{}",
		"load fails: layout of struct rte_mbuf differs: 192 bytes in the plugin, 128 in this tailrace");
	preflight("absent", "{}", "cannot run: No such file or directory");
}

/* The specification carries options as they were written, whatever is in them. */
static void
test_preflight_spec(void **state)
{
	static const char text[] = "{class: pass, depth: 3, note: \"1: 'x', \\\"y\\\" # \\n z\"}";
	struct arena *a = arena_new(1u << 20);
	struct diags d = {0};
	char why[1024] = "";
	const struct loaded_plugin *p = plugin_open(path_of("create_fails"), why, sizeof(why));
	struct cfg_node *options = yaml_parse(a, "test", text, strlen(text), &d);
	char *spec;

	assert_non_null(options);
	spec = plugin_preflight_spec(p, "pass", "door", options);
	assert_false(plugin_preflight(spec, why, sizeof(why)));
	assert_non_null(strstr(why, "preflight of door: create() fails: depth 3 is too deep: 1: 'x', \"y\" #   z"));
	free(spec);
	arena_free(a);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loads_once),
		cmocka_unit_test(test_replaced_files),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_catalogue),
		cmocka_unit_test(test_preflight),
		cmocka_unit_test(test_preflight_spec),
	};
	char self[200] = "";

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	snprintf(dir, sizeof(dir), "%s/plugin", dirname(self));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
