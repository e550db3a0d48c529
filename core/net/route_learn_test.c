/* SPDX-License-Identifier: BSD-3-Clause */
/* What is read out of rtnetlink's messages. */
#include "config/test.h"
#include "net/route_learn.h"

#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>

static uint64_t space[64];

struct said {
	uint16_t type;
	uint8_t family, len, protocol, kind;
	const char *prefix, *gateway;
	uint32_t device, table;
	bool multipath;
};

static void
put(struct nlmsghdr *n, uint16_t type, const char *address)
{
	struct tr_addr a;
	assert_true(parse_addr(address, &a));
	mnl_attr_put(n, type, a.family == 4 ? 4 : 16, a.ip);
}

static const struct nlmsghdr *
message(const struct said *s)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(space);
	n->nlmsg_type = s->type;
	struct rtmsg *r = mnl_nlmsg_put_extra_header(n, sizeof(*r));
	*r = (struct rtmsg){.rtm_family = s->family,
	        .rtm_dst_len = s->len,
	        .rtm_protocol = s->protocol,
	        .rtm_type = s->kind,
	        .rtm_table = 254};
	if (s->prefix != NULL)
		put(n, RTA_DST, s->prefix);
	if (s->table != 0)
		mnl_attr_put_u32(n, RTA_TABLE, s->table);
	if (s->multipath) {
		struct nlattr *nest = mnl_attr_nest_start(n, RTA_MULTIPATH);
		struct rtnexthop h = {.rtnh_len = sizeof(h) + 8, .rtnh_ifindex = (int)s->device};
		memcpy((char *)n + n->nlmsg_len, &h, sizeof(h));
		n->nlmsg_len += (uint32_t)sizeof(h);
		put(n, RTA_GATEWAY, s->gateway);
		mnl_attr_nest_end(n, nest);
	} else {
		mnl_attr_put_u32(n, RTA_OIF, s->device);
		if (s->gateway != NULL)
			put(n, RTA_GATEWAY, s->gateway);
	}
	return n;
}

static void
routes(void **state)
{
	static const struct said row[] = {
	        {RTM_NEWROUTE, AF_INET, 16, RTPROT_BIRD, RTN_UNICAST, "10.77.0.0", "192.0.2.1", 7, 0, false},
	        {RTM_DELROUTE, AF_INET, 0, RTPROT_BGP, RTN_UNICAST, NULL, "192.0.2.1", 7, 1000, false},
	        {RTM_NEWROUTE, AF_INET6, 48, RTPROT_BIRD, RTN_UNICAST, "2001:db8:77::", "2001:db8::1", 9, 0, false},
	        {RTM_NEWROUTE, AF_INET, 24, RTPROT_OSPF, RTN_UNICAST, "10.1.2.0", "192.0.2.3", 8, 0, true},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct said *s = &row[i];
		const struct nlmsghdr *n = message(s);
		struct kernel_route k;
		struct tr_addr a;
		assert_true(route_learn_parse(n, n->nlmsg_len, &k));
		assert_true(parse_addr(s->gateway, &a) && tr_addr_eq(&a, &k.gateway));
		assert_int_equal(k.prefix.len, s->len);
		assert_true(s->prefix == NULL || (parse_addr(s->prefix, &a) && tr_addr_eq(&a, &k.prefix.addr)));
		assert_int_equal(k.device, s->device);
		assert_int_equal(k.table, s->table != 0 ? s->table : 254);
		assert_int_equal(k.protocol, s->protocol);
		assert_int_equal(k.gone, s->type == RTM_DELROUTE);
		for (uint32_t len = 0; len < n->nlmsg_len; len++) { /* cut short: none, and nothing is read beyond */
			struct nlmsghdr *part = malloc(len != 0 ? len : 1);
			memcpy(part, n, len);
			assert_false(route_learn_parse(part, len, &k));
			if (len >= sizeof(*part)) {
				part->nlmsg_len = len;
				route_learn_parse(part, len, &k);
			}
			free(part);
		}
	}
}

static void
no_routes(void **state)
{
	static const struct said row[] = {
	        {RTM_NEWLINK, AF_INET, 16, RTPROT_BIRD, RTN_UNICAST, "10.77.0.0", "192.0.2.1", 7, 0, false},
	        {RTM_NEWROUTE, AF_MPLS, 16, RTPROT_BIRD, RTN_UNICAST, "10.77.0.0", "192.0.2.1", 7, 0, false},
	        {RTM_NEWROUTE, AF_INET, 33, RTPROT_BIRD, RTN_UNICAST, "10.77.0.0", "192.0.2.1", 7, 0, false},
	        {RTM_NEWROUTE, AF_INET, 16, RTPROT_BIRD, RTN_BLACKHOLE, "10.77.0.0", "192.0.2.1", 7, 0, false},
	        {RTM_NEWROUTE, AF_INET, 16, RTPROT_BIRD, RTN_UNICAST, "10.77.0.0", NULL, 7, 0, false},
	        {RTM_NEWROUTE, AF_INET, 16, RTPROT_BIRD, RTN_UNICAST, NULL, "192.0.2.1", 7, 0, false},
	        {RTM_NEWROUTE, AF_INET6, 48, RTPROT_BIRD, RTN_UNICAST, "10.77.0.0", "2001:db8::1", 7, 0, false},
	};
	struct kernel_route k;
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const struct nlmsghdr *n = message(&row[i]);
		assert_false(route_learn_parse(n, n->nlmsg_len, &k));
	}
}

static void
protocols(void **state)
{
	static const char *const good[] = {"bird", "bgp", "99"}, *const bad[] = {"", "-1", "256", "brid", "12x"};
	uint64_t set[4];
	char why[200];
	assert_true(route_learn_protocols(&(struct tr_list){3, good}, set, why, sizeof(why)));
	assert_int_equal(set[0], 1u << RTPROT_BIRD);
	assert_int_equal(set[1], UINT64_C(1) << (99 - 64));
	assert_int_equal(set[RTPROT_BGP / 64], UINT64_C(1) << RTPROT_BGP % 64);
	for (unsigned i = 0; i < 5; i++)
		assert_false(route_learn_protocols(&(struct tr_list){1, &bad[i]}, set, why, sizeof(why)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(routes), cmocka_unit_test(no_routes), cmocka_unit_test(protocols)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
