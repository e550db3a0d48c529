/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as the kernel sends them, made with libmnl, and what is no message. */
#include "underlay.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char buffer[512];

static struct nlmsghdr *
address(unsigned index, uint8_t family, const char *text, uint8_t len, uint8_t scope, uint32_t flags)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	uint8_t ip[16];
	n->nlmsg_type = RTM_NEWADDR;
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(n, sizeof(*m));
	*m = (struct ifaddrmsg){.ifa_family = family, .ifa_prefixlen = len, .ifa_scope = scope, .ifa_index = index,
		.ifa_flags = (uint8_t)flags};
	assert_int_equal(inet_pton(family, text, ip), 1);
	mnl_attr_put(n, family == AF_INET ? IFA_LOCAL : IFA_ADDRESS, family == AF_INET ? 4 : 16, ip);
	mnl_attr_put_u32(n, IFA_FLAGS, flags);
	return n;
}

static struct nlmsghdr *
route(unsigned index, uint8_t family, uint8_t protocol, uint8_t len, const char *gateway)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	uint8_t ip[16];
	n->nlmsg_type = RTM_NEWROUTE;
	struct rtmsg *m = mnl_nlmsg_put_extra_header(n, sizeof(*m));
	*m = (struct rtmsg){.rtm_family = family, .rtm_dst_len = len, .rtm_protocol = protocol};
	mnl_attr_put_u32(n, RTA_OIF, index);
	assert_int_equal(inet_pton(family, gateway, ip), 1);
	mnl_attr_put(n, RTA_GATEWAY, family == AF_INET ? 4 : 16, ip);
	return n;
}

static struct underlay
after(const struct nlmsghdr *n)
{
	struct underlay u = {.index = 7};
	/* Behind it nothing may be read: a block of its own. */
	void *copy = malloc(n->nlmsg_len);
	assert_non_null(copy);
	memcpy(copy, n, n->nlmsg_len);
	underlay_message(&u, copy, n->nlmsg_len);
	free(copy);
	return u;
}

static void
tells_who_told(void **state)
{
	struct underlay u = after(address(7, AF_INET, "192.0.2.5", 24, RT_SCOPE_UNIVERSE, 0));
	assert_true(u.dhcp && !u.ra);
	assert_string_equal(u.address, "192.0.2.5/24");
	u = after(address(7, AF_INET6, "2001:db8::5", 64, RT_SCOPE_UNIVERSE, IFA_F_MANAGETEMPADDR));
	assert_true(u.ra && !u.dhcp);
	assert_string_equal(u.address, "2001:db8::5/64");
	u = after(route(7, AF_INET, 16, 0, "192.0.2.1"));
	assert_true(u.dhcp && !u.ra);
	assert_string_equal(u.gateway, "192.0.2.1");
	u = after(route(7, AF_INET6, RTPROT_RA, 0, "fe80::1"));
	assert_true(u.ra);
	assert_string_equal(u.gateway, "fe80::1");
	u = after(route(7, AF_INET6, RTPROT_RA, 48, "fe80::1")); /* no default route */
	assert_true(u.ra);
	assert_string_equal(u.gateway, "");
}

static void
is_silent_of_the_rest(void **state)
{
	const struct underlay u[] = {
		after(address(7, AF_INET, "192.0.2.5", 24, RT_SCOPE_UNIVERSE, IFA_F_PERMANENT)),
		after(address(7, AF_INET6, "fe80::5", 64, RT_SCOPE_LINK, 0)),
		after(address(8, AF_INET, "192.0.2.5", 24, RT_SCOPE_UNIVERSE, 0)),
		after(route(7, AF_INET, RTPROT_STATIC, 0, "192.0.2.1")),
		after(route(7, AF_INET, RTPROT_KERNEL, 24, "192.0.2.1")),
		after(route(8, AF_INET, 16, 0, "192.0.2.1")),
	};
	for (size_t i = 0; i < sizeof(u) / sizeof(*u); i++)
		assert_false(u[i].dhcp || u[i].ra || u[i].address[0] || u[i].gateway[0]);
}

/* Cut off anywhere, and with every length that an attribute could say. */
static void
reads_nothing_behind_the_end(void **state)
{
	const uint32_t full = address(7, AF_INET, "192.0.2.5", 24, RT_SCOPE_UNIVERSE, 0)->nlmsg_len;
	char whole[512];
	memcpy(whole, buffer, full);
	for (uint32_t len = 0; len <= full; len++) {
		struct underlay u = {.index = 7};
		char *copy = malloc(len + !len);
		assert_non_null(copy);
		memcpy(copy, whole, len);
		if (len >= sizeof(uint32_t))
			memcpy(copy, &len, sizeof(len));
		underlay_message(&u, copy, len);
		free(copy);
	}
	for (uint32_t said = 0; said < 65536; said += 3) {
		struct nlmsghdr *n = address(7, AF_INET, "192.0.2.5", 24, RT_SCOPE_UNIVERSE, 0);
		const uint16_t length = (uint16_t)said;
		memcpy(buffer + MNL_NLMSG_HDRLEN + sizeof(struct ifaddrmsg), &length, sizeof(length));
		after(n);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_who_told),
		cmocka_unit_test(is_silent_of_the_rest),
		cmocka_unit_test(reads_nothing_behind_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
