/* SPDX-License-Identifier: BSD-3-Clause */
#include "descriptor.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void
process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
}

static void *
create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	return NULL;
}

static void
destroy(void *self)
{
}

static void
reconfigure(void *self, const void *options)
{
}

/* A sound class with room for one change in each table. */
static struct tr_option options[3];
static struct tr_in_gate in[3];
static struct tr_out_gate out[3];
static struct tr_drop_reason drops[3];
static const char *requires[2];
static struct tr_class c;

static int
setup(void **state)
{
	memset(options, 0, sizeof(options));
	memset(in, 0, sizeof(in));
	memset(out, 0, sizeof(out));
	memset(drops, 0, sizeof(drops));
	memset(requires, 0, sizeof(requires));
	options[0] = (struct tr_option){.key = "listen", .type = TR_OPT_UINT, .max = 65535, .def = "3478"};
	options[1] = (struct tr_option){.key = "servers", .type = TR_OPT_ADDR, .flags = TR_OPT_LIST, .offset = 8};
	in[0] = (struct tr_in_gate){.name = "in", .type = TR_TYPE_UDP, .process = process};
	in[1] = (struct tr_in_gate){.name = "peers", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = process};
	out[0] = (struct tr_out_gate){.name = "peers", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER};
	out[1] = (struct tr_out_gate){.name = "out", .type = TR_TYPE_IP};
	drops[0] = (struct tr_drop_reason){.name = "too_short"};
	drops[1] = (struct tr_drop_reason){.name = "bad_cookie"};
	c = (struct tr_class){.name = "test-class", .options = options, .options_size = 24, .in = in, .out = out, .drops = drops,
		.requires = requires, .create = create, .destroy = destroy, .reconfigure = reconfigure};
	return 0;
}

static void
assert_wrong(const char *expected)
{
	char why[512] = "";

	assert_false(descriptor_check_class(&c, why, sizeof(why)));
	assert_string_equal(why, expected);
	setup(NULL);
	assert_true(descriptor_check_class(&c, why, sizeof(why)));
}

static void
test_names(void **state)
{
	drops[1].name = "too_short";
	assert_wrong("class test-class: two drop reasons named too_short");
	drops[0].name = "too-short";
	assert_wrong("class test-class: drop reason `too-short`: a name is lower-case words joined by `_`");
	drops[0].name = "Short";
	assert_wrong("class test-class: drop reason `Short`: a name is lower-case words joined by `_`");
	drops[0].name = "short_";
	assert_wrong("class test-class: drop reason `short_`: a name is lower-case words joined by `_`");
	c.name = "test_class";
	assert_wrong("a class is named `test_class`: a name is lower-case words joined by `-`");
	requires[0] = "netmap";
	assert_wrong("class test-class: requires `netmap`: a service is NAME/VERSION");
	requires[0] = "netmap/x";
	assert_wrong("class test-class: requires `netmap/x`: a service is NAME/VERSION");
}

static void
test_options(void **state)
{
	options[1].offset = 16;
	assert_wrong("class test-class: option servers: offset 16 and 16 bytes lie beyond options_size 24");
	options[0].def = "70000";
	assert_wrong("class test-class: option listen: default `70000`: `70000` is above the maximum of 65535");
	options[0].type = 77;
	assert_wrong("class test-class: option listen: type 77, unit 0 or change 0 is unknown");
	options[0].type = TR_OPT_ENUM;
	assert_wrong("class test-class: option listen: an enum without names");
	c.reconfigure = NULL;
	assert_wrong("class test-class: option listen is live, and there is no reconfigure()");
}

static void
test_gates(void **state)
{
	in[1].process = NULL;
	assert_wrong("class test-class: in gate peers has no process()");
	in[1].name = "peer";
	assert_wrong("class test-class: internal in gate peer has no internal out gate of its name");
	in[1].name = NULL;
	assert_wrong("class test-class: internal out gate peers has no internal in gate of its name");
	out[1].flags = TR_GATE_BY_PEER;
	assert_wrong("class test-class: out gate out: only an internal gate leads to a peer's owner");
	out[1].type = TR_TYPE_ANY;
	assert_wrong("class test-class: out gate out: type 3 is not one of an out gate");
	out[0].flags |= TR_GATE_DYNAMIC;
	assert_wrong("class test-class: dynamic out gate peers is not the last");
}

static void
test_functions(void **state)
{
	c.create = NULL;
	assert_wrong("class test-class: create() or destroy() is missing");
	c.flags = TR_CLASS_PEERS;
	assert_wrong("class test-class: it has peers, and no peer()");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_names, setup),
		cmocka_unit_test_setup(test_options, setup),
		cmocka_unit_test_setup(test_gates, setup),
		cmocka_unit_test_setup(test_functions, setup),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
