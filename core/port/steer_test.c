/* SPDX-License-Identifier: BSD-3-Clause */
/* Which rules a NIC is asked for, and when they are taken back. The NIC is this file: rte_flow's functions are its own. */
#include "port/steer.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "net/host.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <rte_flow.h>

static struct nic {
	char rule[8][160]; /* "" : no rule */
	unsigned created, destroyed;
	uint16_t refused_port; /* host order; as a NIC without room would */
	bool no_rules;
} nic;

/* The rule in words. */
static void
read_rule(const struct rte_flow_item *item, const struct rte_flow_action *action, char *out, size_t size)
{
	const struct rte_flow_action_queue *queue = action[0].conf;
	char to[INET6_ADDRSTRLEN] = "";
	uint8_t protocol = 0;
	assert_int_equal(item[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	assert_null(item[0].spec);
	if (item[1].type == RTE_FLOW_ITEM_TYPE_IPV4) {
		const struct rte_flow_item_ipv4 *spec = item[1].spec, *mask = item[1].mask;
		assert_int_equal(mask->hdr.dst_addr, UINT32_MAX);
		assert_int_equal(mask->hdr.src_addr, 0);
		assert_int_equal(mask->hdr.next_proto_id, UINT8_MAX);
		protocol = spec->hdr.next_proto_id;
		inet_ntop(AF_INET, &spec->hdr.dst_addr, to, sizeof(to));
	} else {
		assert_int_equal(item[1].type, RTE_FLOW_ITEM_TYPE_IPV6);
		const struct rte_flow_item_ipv6 *spec = item[1].spec, *mask = item[1].mask;
		for (unsigned i = 0; i < 16; i++)
			assert_int_equal(mask->hdr.dst_addr[i], 0xff);
		assert_int_equal(mask->hdr.proto, UINT8_MAX);
		protocol = spec->hdr.proto;
		inet_ntop(AF_INET6, spec->hdr.dst_addr, to, sizeof(to));
	}
	size_t at = (size_t)snprintf(out, size, "%s %u", to, protocol);
	if (item[2].type != RTE_FLOW_ITEM_TYPE_END) {
		const struct rte_flow_item_tcp *spec = item[2].spec, *last = item[2].last, *mask = item[2].mask;
		assert_int_equal(item[2].type, protocol == IPPROTO_TCP ? RTE_FLOW_ITEM_TYPE_TCP : RTE_FLOW_ITEM_TYPE_UDP);
		assert_int_equal(mask->hdr.dst_port, UINT16_MAX);
		assert_int_equal(mask->hdr.src_port, 0);
		at += (size_t)snprintf(out + at, size - at, " %u", ntohs(spec->hdr.dst_port));
		if (last != NULL)
			at += (size_t)snprintf(out + at, size - at, "-%u", ntohs(last->hdr.dst_port));
		assert_int_equal(item[3].type, RTE_FLOW_ITEM_TYPE_END);
	}
	assert_int_equal(action[0].type, RTE_FLOW_ACTION_TYPE_QUEUE);
	assert_int_equal(action[1].type, RTE_FLOW_ACTION_TYPE_END);
	snprintf(out + at, size - at, " queue %u", queue->index);
}

int
rte_flow_validate(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	const struct rte_flow_item_tcp *ports = pattern[2].type != RTE_FLOW_ITEM_TYPE_END ? pattern[2].spec : NULL;
	assert_int_equal(attr->ingress, 1);
	assert_int_equal(attr->egress, 0);
	if (nic.no_rules)
		return -ENOSYS;
	if (ports == NULL || nic.refused_port == 0 || ntohs(ports->hdr.dst_port) != nic.refused_port)
		return 0;
	error->message = "no room";
	return -ENOSPC;
}

struct rte_flow *
rte_flow_create(uint16_t port, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
	const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	unsigned i = 0;
	while (i < 8 && nic.rule[i][0] != '\0')
		i++;
	assert_true(i < 8);
	read_rule(pattern, actions, nic.rule[i], sizeof(nic.rule[i]));
	nic.created++;
	return (struct rte_flow *)nic.rule[i];
}

int
rte_flow_destroy(uint16_t port, struct rte_flow *flow, struct rte_flow_error *error)
{
	char *rule = (char *)flow;
	assert_true(rule[0] != '\0');
	rule[0] = '\0';
	nic.destroyed++;
	return 0;
}

static bool
has(const char *rule)
{
	for (unsigned i = 0; i < 8; i++)
		if (strcmp(nic.rule[i], rule) == 0)
			return true;
	return false;
}

static struct tr_prefix own[] = {{.addr = {.family = 4, .ip = {198, 51, 100, 7}}, .len = 24},
	{.addr = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 7}}, .len = 64}};
static const struct tr_list addresses = {.items = own, .n = 2};

static void
want(struct steer *s, const struct tr_list *accept, bool wanted)
{
	struct steer_rule r[STEER_RULES];
	const unsigned n = host_rules_steer(accept, &addresses, r, STEER_RULES);
	for (unsigned i = 0; i < n; i++)
		steer_want(&r[i], wanted);
	steer_device(s, 0, "wan");
}

static void
asks_for_what_the_kernel_accepts(void **state)
{
	static const char *const text[] = {"tcp/22", "udp/5000-5010", "udp", "icmp", "89"};
	const struct tr_list accept = {.items = text, .n = 5};
	struct steer s = {0};
	nic = (struct nic){0};
	want(&s, &accept, true);
	assert_int_equal(nic.created, 6); /* neither all of UDP nor ICMP */
	assert_true(has("198.51.100.7 6 22 queue 0"));
	assert_true(has("2001:db8::7 6 22 queue 0"));
	assert_true(has("198.51.100.7 17 5000-5010 queue 0"));
	assert_true(has("2001:db8::7 17 5000-5010 queue 0"));
	assert_true(has("198.51.100.7 89 queue 0"));
	want(&s, &accept, false);
	assert_int_equal(nic.destroyed, 6);
}

/* As an apply does it: the new ones first. */
static void
an_apply_changes_only_what_differs(void **state)
{
	static const char *const before[] = {"tcp/22"}, *const after[] = {"tcp/22", "tcp/179"}, *const third[] = {"tcp/179"};
	const struct tr_list a = {.items = before, .n = 1}, b = {.items = after, .n = 2}, c = {.items = third, .n = 1};
	struct steer s = {0};
	nic = (struct nic){0};
	want(&s, &a, true);
	want(&s, &b, true);
	want(&s, &a, false);
	assert_int_equal(nic.created, 4);
	assert_int_equal(nic.destroyed, 0);
	want(&s, &c, true);
	want(&s, &b, false);
	assert_int_equal(nic.created, 4);
	assert_int_equal(nic.destroyed, 2);
	assert_true(has("198.51.100.7 6 179 queue 0") && !has("198.51.100.7 6 22 queue 0"));
	want(&s, &c, false);
	assert_int_equal(nic.destroyed, 4);
}

static void
a_refusal_is_told_and_costs_nothing_else(void **state)
{
	static const char *const text[] = {"tcp/22", "tcp/179"};
	const struct tr_list accept = {.items = text, .n = 2};
	struct steer s = {0}, other = {0};
	struct steer_seen seen;
	nic = (struct nic){.refused_port = 179};
	want(&s, &accept, true);
	assert_true(steer_see(&s, 0, &seen) && seen.in_nic);
	assert_string_equal(seen.rule, "tcp/22 to 198.51.100.7");
	assert_true(steer_see(&s, 2, &seen) && !seen.in_nic);
	assert_string_equal(seen.rule, "tcp/179 to 198.51.100.7");
	assert_string_equal(seen.why, "no room");
	assert_false(steer_see(&s, 4, &seen));
	steer_device(&s, 0, "wan"); /* not asked again and again */
	assert_int_equal(nic.created, 2);
	nic.no_rules = true; /* a device that comes later, and takes none */
	steer_device(&other, 1, "lan");
	assert_true(steer_see(&other, 0, &seen) && !seen.in_nic);
	assert_string_equal(seen.why, "the driver takes no rules");
	want(&s, &accept, false);
	assert_int_equal(nic.destroyed, 2);
	assert_false(steer_see(&s, 0, &seen));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_what_the_kernel_accepts),
		cmocka_unit_test(an_apply_changes_only_what_differs),
		cmocka_unit_test(a_refusal_is_told_and_costs_nothing_else),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
