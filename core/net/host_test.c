/* SPDX-License-Identifier: BSD-3-Clause */
/* What may ask the kernel for something. */
#include "config/test.h"
#include "net/host.h"
#include "net/testpacket.h"

static struct host_rules *
rules(const char *a, const char *b)
{
	const char *const text[] = {a, b};
	const struct tr_list l = {a == NULL ? 0 : b == NULL ? 1 : 2, text};
	char why[200] = "";
	return host_rules_new(&l, why, sizeof(why));
}

static bool
allows(const struct host_rules *r, uint8_t l4, uint16_t port, uint8_t flags)
{
	uint8_t p[40] = {0x45};
	const struct tr_meta meta = {.l3_len = 20, .l4 = l4};
	p[22] = (uint8_t)(port >> 8);
	p[23] = (uint8_t)port;
	p[33] = flags;
	return host_rules_allow(r, p, sizeof(p), &meta);
}

static void
by_port(void **state)
{
	struct host_rules *r = rules("tcp/22", "udp/5000-5010");
	assert_non_null(r);
	assert_true(allows(r, 6, 22, 2));
	assert_false(allows(r, 6, 23, 2));
	assert_true(allows(r, 6, 23, 0x12)); /* it is the kernel that began */
	assert_true(allows(r, 6, 23, 0x10));
	assert_true(allows(r, 17, 5000, 0) && allows(r, 17, 5010, 0) && allows(r, 17, 40000, 0));
	assert_false(allows(r, 17, 4999, 0) || allows(r, 17, 5011, 0) || allows(r, 17, 53, 0));
	assert_true(allows(r, 1, 0, 0) && allows(r, 58, 0, 0));
	assert_false(allows(r, 89, 0, 0));
	uint8_t shorter[24] = {0x45, [22] = 0, 22};
	const struct tr_meta tcp = {.l3_len = 20, .l4 = 6};
	assert_false(host_rules_allow(r, shorter, sizeof(shorter), &tcp));
	free(r);
}

static void
by_protocol(void **state)
{
	struct host_rules *r = rules("tcp", "89");
	assert_true(allows(r, 6, 23, 2) && allows(r, 89, 0, 0));
	assert_false(allows(r, 17, 53, 0) || allows(r, 88, 0, 0));
	free(r);
	r = rules(NULL, NULL); /* nothing is said: everything */
	assert_true(allows(r, 6, 23, 2) && allows(r, 89, 0, 0) && allows(r, 17, 53, 0));
	free(r);
}

static void
refused(void **state)
{
	static const char *const bad[] = {"", "tcp/", "tcp/x", "tcp/65536", "tcp/5-4", "tcp/5-", "icmp/3", "256", "-1",
	        "sctp", "tcp/22 ", "tcpp/2"};
	for (unsigned i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_null(rules(bad[i], NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(by_port), cmocka_unit_test(by_protocol), cmocka_unit_test(refused)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
