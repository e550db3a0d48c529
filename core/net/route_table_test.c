/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/route.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "runtime/rcu.h"

static const struct route_gate gates[4] = {{0}, {1500, true}, {1420, false}, {1280, false}};
static struct route_table *t;
static struct tr_route_option routes[8];
static struct tr_addr own[2];
static struct route_options options;

static int
open_table(void **state)
{
	t = route_table_new(1000, gates);
	options = (struct route_options){.address = {0, own}, .routes = {0, routes}};
	return t == NULL;
}

static int
close_table(void **state)
{
	route_table_free(t);
	return 0;
}

static struct tr_prefix
prefix(const char *text)
{
	struct tr_prefix p;
	assert_true(parse_prefix(text, &p, false));
	return p;
}

static int
add(const char *text, uint32_t gate, const char *via)
{
	struct tr_prefix p = prefix(text);
	struct tr_addr a = {0};
	if (via != NULL)
		assert_true(parse_addr(via, &a));
	return route_table_add(t, &p, gate, &a);
}

static int
del(const char *text)
{
	struct tr_prefix p = prefix(text);
	return route_table_del(t, &p);
}

static void
wish(unsigned k, const char *text, uint32_t gate, const char *via)
{
	routes[k] = (struct tr_route_option){.prefix = prefix(text), .gate = gate};
	if (via != NULL)
		assert_true(parse_addr(via, &routes[k].via));
	options.routes.n = k + 1;
}

/* gate 0: nowhere; 99: this box. */
static void
assert_goes(const char *address, unsigned gate, const char *via)
{
	struct tr_addr a, v = {0};
	bool local, added;
	assert_true(parse_addr(address, &a));
	if (via != NULL)
		assert_true(parse_addr(via, &v));
	const struct next_hop *h = route_table_find(t, &a, &local, &added);
	assert_int_equal(local ? 99 : h == NULL ? 0 : h->gate, gate);
	if (h == NULL)
		return;
	assert_int_equal(h->mtu, gates[gate].mtu);
	assert_true(tr_addr_eq(&h->via, &v));
}

static void
pipeline_and_added(void **state)
{
	wish(0, "10.0.0.0/8", 1, NULL);
	wish(1, "2001:db8::/32", 2, "fe80::1");
	options.address.n = 1;
	assert_true(parse_addr("10.0.0.1", &own[0]));
	assert_int_equal(route_table_configure(t, &options), 0);
	assert_goes("10.0.0.1", 99, NULL);
	assert_int_equal(add("10.0.0.0/8", 2, NULL), -EEXIST);
	assert_int_equal(add("10.0.0.1/32", 2, NULL), -EEXIST);
	assert_int_equal(del("10.0.0.0/8"), -EEXIST);
	assert_int_equal(del("10.9.0.0/16"), -ENOENT);
	assert_int_equal(add("10.9.0.0/16", 2, "192.0.2.9"), 0);
	assert_goes("10.9.0.1", 2, "192.0.2.9");
	assert_int_equal(add("10.9.0.0/16", 3, NULL), 0); /* replaced */
	assert_goes("10.9.0.1", 3, NULL);
	struct route_counts c = route_table_counts(t);
	assert_int_equal(c.pipeline, 3);
	assert_int_equal(c.added, 1);
	assert_int_equal(c.hops, 3);
	/* A changed pipeline: one route goes, one comes, one changes; what was added stays. */
	wish(0, "10.0.0.0/8", 3, NULL);
	wish(1, "172.16.0.0/12", 1, NULL);
	assert_int_equal(route_table_configure(t, &options), 0);
	assert_goes("10.1.0.1", 3, NULL);
	assert_goes("172.16.0.1", 1, NULL);
	assert_goes("2001:db8::1", 0, NULL);
	assert_goes("10.9.0.1", 3, NULL);
	assert_int_equal(del("10.9.0.0/16"), 0);
	assert_goes("10.9.0.1", 3, NULL);
	wish(2, "10.9.0.0/16", 1, NULL); /* of both: the pipeline's */
	assert_int_equal(add("10.9.0.0/16", 2, NULL), 0);
	assert_int_equal(route_table_configure(t, &options), 0);
	assert_goes("10.9.0.1", 1, NULL);
	assert_int_equal(route_table_counts(t).added, 0);
	options.address.n = options.routes.n = 0;
	assert_int_equal(route_table_configure(t, &options), 0);
	c = route_table_counts(t);
	assert_int_equal(c.pipeline + c.added + c.hops, 0);
}

static void
own_address_wins(void **state)
{
	wish(0, "10.0.0.1/32", 1, NULL);
	options.address.n = 1;
	assert_true(parse_addr("10.0.0.1", &own[0]));
	assert_int_equal(route_table_configure(t, &options), 0);
	assert_goes("10.0.0.1", 99, NULL);
	options.address.n = 0;
	assert_int_equal(route_table_configure(t, &options), 0);
	assert_goes("10.0.0.1", 1, NULL);
}

static void
limits(void **state)
{
	char text[40];
	for (unsigned k = 0; k < 1000; k++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/24", k >> 8, k & 255);
		assert_int_equal(add(text, 1, NULL), 0);
	}
	assert_int_equal(add("192.0.2.0/24", 1, NULL), -ENOSPC);
	assert_int_equal(add("10.0.0.0/24", 2, NULL), 0); /* in place */
	assert_int_equal(del("10.0.0.0/24"), 0);
	assert_int_equal(add("192.0.2.0/24", 1, NULL), 0);
	assert_int_equal(route_table_counts(t).hops, 1);
}

/* A reader that stands still: places of next hops are not used again, and run out. */
static void
places_wait_for_readers(void **state)
{
	int reader = rcu_register();
	char via[20];
	unsigned k = 0;
	rcu_online(reader);
	int rc = 0;
	while (rc == 0 && k < 2 * ROUTE_HOPS) {
		snprintf(via, sizeof(via), "10.0.%u.%u", k >> 8 & 255, k & 255);
		rc = add("192.0.2.0/24", 1 + k % 3, via);
		k += rc == 0;
	}
	assert_int_equal(rc, -ENOSPC);
	assert_int_equal(k, ROUTE_HOPS);
	snprintf(via, sizeof(via), "10.0.%u.%u", (k - 1) >> 8 & 255, (k - 1) & 255);
	assert_goes("192.0.2.1", 1 + (k - 1) % 3, via);
	rcu_quiescent(reader);
	assert_int_equal(add("192.0.2.0/24", 1, "192.0.2.9"), 0);
	assert_goes("192.0.2.1", 1, "192.0.2.9");
	assert_int_equal(route_table_counts(t).hops, 1);
	rcu_offline(reader);
	rcu_unregister(reader);
}

static int
gate_of(void *arg, const char *name)
{
	return strcmp(name, "lan.ip") == 0 ? 1 : strcmp(name, "wg0.plain") == 0 ? 2 : -1;
}

static void
files(void **state)
{
	static const struct {
		const char *text, *why;
	} row[] = {
		{"# a comment\n\n10.1.0.0/16 lan.ip\n 10.2.0.0/16\twg0.plain via 192.0.2.1 # there\r\n2001:db8::/32 lan.ip", NULL},
		{"10.3.0.0/16 lan.ip\n10.4.0.1/16 lan.ip\n", ":2: `10.4.0.1/16` is no prefix such as 10.0.0.0/8"},
		{"10.3.0.0/16\n", ":1: expected PREFIX INSTANCE.GATE [via ADDRESS]"},
		{"10.3.0.0/16 lan.ip via\n", ":1: expected PREFIX INSTANCE.GATE [via ADDRESS]"},
		{"10.3.0.0/16 lan.ip from 10.0.0.1\n", ":1: expected PREFIX INSTANCE.GATE [via ADDRESS]"},
		{"10.3.0.0/16 lan.ip via 10.0.0.1 too\n", ":1: expected PREFIX INSTANCE.GATE [via ADDRESS]"},
		{"10.3.0.0/16 lan.ip via x\n", ":1: `x` is no address"},
		{"10.3.0.0/16 lan.udp\n", ":1: no route of the pipeline leads to `lan.udp`"},
		{"10.0.0.0/8 lan.ip\n", ":1: 10.0.0.0/8 is a route of the pipeline"},
	};
	char path[] = "/tmp/routes-XXXXXX", why[300], want[300];
	int fd = mkstemp(path);
	wish(0, "10.0.0.0/8", 1, NULL);
	assert_int_equal(route_table_configure(t, &options), 0);
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, row[i].text, strlen(row[i].text), 0), strlen(row[i].text));
		bool ok = route_file_read(t, path, gate_of, NULL, why, sizeof(why));
		assert_int_equal(ok, row[i].why == NULL);
		snprintf(want, sizeof(want), "%s%s", path, row[i].why != NULL ? row[i].why : "");
		if (!ok)
			assert_string_equal(why, want);
	}
	assert_goes("10.1.0.1", 1, NULL);
	assert_goes("10.2.0.1", 2, "192.0.2.1");
	assert_goes("2001:db8::1", 1, NULL);
	close(fd);
	unlink(path);
	assert_false(route_file_read(t, path, gate_of, NULL, why, sizeof(why)));
}

#define TABLE(f) cmocka_unit_test_setup_teardown(f, open_table, close_table)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE(pipeline_and_added),
		TABLE(own_address_wins),
		TABLE(limits),
		TABLE(places_wait_for_readers),
		TABLE(files),
	};
	if (rcu_init() != 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_fini();
	return failed;
}
