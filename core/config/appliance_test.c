/* SPDX-License-Identifier: BSD-3-Clause */
#include "appliance.h"
#include "config/paths.h"
#include "test.h"

#include <unistd.h>

static void
defaults(void **state)
{
	struct fixture f = begin();
	struct appliance a;
	assert_true(appliance_parse(f.arena, "/etc/tailrace/appliance.cfg", "", &a, &f.d));
	assert_int_equal(a.n_ports, 0);
	assert_int_equal(a.n_lcores, 1);
	assert_false(a.busy);
	assert_true(a.hugepages);
	assert_int_equal(a.packets, 16384);
	assert_int_equal(a.packet_size, 2176);
	assert_int_equal(a.max_peers, 100000);
	assert_int_equal(a.log_level, 2);
	assert_string_equal(a.pipeline, "/etc/tailrace/pipeline.yaml");
	assert_string_equal(a.state_dir, "/var/lib/tailrace");
	assert_string_equal(a.run_dir, "/run/tailrace");
	assert_null(a.eal);
	assert_int_equal(a.plugin_dirs.n, 1);
	end(&f, "");
}

static void
values(void **state)
{
	struct fixture f = begin();
	struct appliance a;
	assert_true(appliance_parse(f.arena, "dir/a.cfg",
		"ports = { wan = { device = \"net_null0\"; queues = 2; take = true; };\n lan = { device = \"net_null1\"; }; };\n"
		"workers = { lcores = [2, 3]; poll = \"busy\"; };\nplugins = { directories = [\"p\", \"/q\"]; };\n"
		"log = { level = \"debug\"; };\nlimits = { peers = 1000; };\n", &a, &f.d));
	assert_int_equal(a.n_ports, 2);
	assert_string_equal(a.port[0].name, "wan");
	assert_int_equal(a.port[0].queues, 2);
	assert_true(a.port[0].take);
	assert_int_equal(a.port[1].line, 2);
	assert_int_equal(a.n_lcores, 2);
	assert_int_equal(a.lcore[1], 3);
	assert_true(a.busy);
	assert_string_equal(((const char *const *)a.plugin_dirs.items)[0], "dir/p");
	assert_string_equal(((const char *const *)a.plugin_dirs.items)[1], "/q");
	assert_int_equal(a.log_level, 3);
	assert_int_equal(a.max_peers, 1000);
	end(&f, "");
}

static const struct {
	const char *text, *expected;
} bad[] = {
	{"worker = { };", "a:1: error: unknown key `worker` in appliance.cfg (did you mean `workers`?)\n"},
	{"\nworkers = { lcore = [1]; };", "a:2: error: unknown key `lcore` in section workers (did you mean `lcores`?)\n"},
	{"\ninstances = { };", "a:2: error: `instances` in appliance.cfg: this key belongs in pipeline.yaml\n"},
	{"ports = { wan = { device = \"x\"; address = \"10.0.0.1/8\"; }; };",
		"a:1: error: `address` in port wan: this key belongs in pipeline.yaml\n"},
	{"ports = { wan = { }; };", "a:1: error: port wan: missing key `device` (PCI address, virtual device of DPDK, or `host`)\n"},
	{"ports = { wan = { device = 5; queues = 0; }; };", "a:1: error: `queues`: `0` is below the minimum of 1\n"},
	{"ports = { wan = { device = \"x\"; };\n lan = { device = \"x\"; }; };",
		"a:2: error: port lan: device `x` is that of port wan (line 1) already\n"},
	{"ports = { wan = { device = \"net_memif0,zero-copy=yes\"; };\n lan = { device = \"net_memif1,zero-copy=yes\"; }; };",
		"a:2: error: port lan: one memif of a process can have `zero-copy=yes`, and port wan (line 1) has it\n"},
	{"ports = { W = { device = \"x\"; }; };", "a:1: error: port name `W`: expected a lower-case letter, then letters, "
						   "digits, `_` or `-`, at most 31\n"},
	{"ports = 5;", "a:1: error: `ports`: expected a map of `NAME = { device = …; };`\n"},
	{"workers = { poll = \"bussy\"; };", "a:1: error: `poll`: expected one of `adaptive`, `busy`, not `bussy` (did you "
					      "mean `busy`?)\n"},
	{"workers = { lcores = [1, 1]; };", "a:1: error: `lcores`: CPU 1 is there twice\n"},
	{"workers = { lcores = [5000]; };", "a:1: error: `lcores`: `5000` is above the maximum of 1023\n"},
	{"workers = 5;", "a:1: error: section workers: expected a map of options\n"},
	{"memory = { packets = 16777217; };", "a:1: error: `packets`: `16777217` is above the maximum of 16777216\n"},
	{"memory = { packets = \"x\"; };", "a:1: error: `packets`: expected a number from 1024 to 16777216, not the text `x`\n"},
	{"memory = { hugepages = 1; };", "a:1: error: `hugepages`: expected `true` or `false`, not `1`\n"},
	{"state = \"a\";\nstate = \"b\";", "a:2: error: duplicate key `state`\n"},
};

static void
mistakes(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fixture f = begin();
		struct appliance a;
		assert_false(appliance_parse(f.arena, "a", bad[i].text, &a, &f.d));
		end(&f, bad[i].expected);
	}
}

static void
example(void **state)
{
	struct fixture f = begin();
	struct appliance a, b;
	assert_true(appliance_load(f.arena, TAILRACE_SOURCE_CONFIGS "/appliance.cfg", &a, &f.d));
	assert_true(appliance_parse(f.arena, "x", "", &b, &f.d));
	assert_int_equal(a.n_ports, 2);
	assert_int_equal(a.memory_mb, b.memory_mb);
	assert_int_equal(a.packets, b.packets);
	assert_int_equal(a.max_routes, b.max_routes);
	assert_int_equal(a.job_threads, b.job_threads);
	assert_int_equal(a.log_level, b.log_level);
	assert_string_equal(a.uapi_dir, b.uapi_dir);
	assert_string_equal(a.group, b.group);
	end(&f, "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(values),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(example),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
