/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/route.h"

#include "net/classes.h"
#include "net/icmp.h"
#include "net/testpacket.h"
#include "runtime/rcu.h"

#include "net/expect.h" /* after headers whose functions have an `r` of their own */

/* Gates: 0 udp (unlinked), 1 wide (mtu 1500), 2 narrow (mtu 1400), 3 an interface (mtu 1500, fills sources). */
static uint8_t buf[4096];
static uint64_t mtu[3] = {1500, 1400, 1500};
static struct tr_addr own[2];
static struct tr_route_option routes[8];
static struct route_options options;
static bool udp_linked, host_linked;

static const struct tr_option mtu_option[] = {{"mtu", TR_OPT_UINT, .flags = TR_OPT_MTU}, {0}};
static const struct tr_class target = {.name = "target", .options = mtu_option};
static struct {
	uint64_t pad[16];
} interface_like; /* offset of mtu in its options does not matter: not read below */

static void
plan(struct rig *g)
{
	for (unsigned k = 0; k < 2; k++)
		g->pi[k + 1] = (struct plan_instance){.name = "t", .class_ = &target, .options = &mtu[k]};
	g->pi[3] = (struct plan_instance){.name = "lan", .class_ = &class_interface, .options = &interface_like};
	g->gate[0] = (struct plan_gate){.name = "udp", .to = udp_linked ? 1 : -1};
	g->gate[1] = (struct plan_gate){.name = "host", .to = host_linked ? 1 : -1};
	for (int k = 1; k < 4; k++)
		g->gate[k + 1] = (struct plan_gate){.name = "x", .to = k};
	g->pi[0].n_out = 5;
}

static void
route(unsigned k, const char *prefix, uint32_t gate, const char *via)
{
	routes[k] = (struct tr_route_option){.gate = gate};
	assert_true(parse_prefix(prefix, &routes[k].prefix, false));
	if (via != NULL)
		assert_true(parse_addr(via, &routes[k].via));
	options.routes = (struct tr_list){k + 1, routes};
}

static int
open_router(void **state)
{
	options = (struct route_options){.address = {2, own}, .clamp_mss = true};
	assert_true(parse_addr("100.64.0.1", &own[0]));
	assert_true(parse_addr("fd00::1", &own[1]));
	route(0, "10.0.0.0/8", 2, NULL);
	route(1, "10.1.0.0/16", 3, NULL);
	route(2, "0.0.0.0/0", 4, "192.0.2.254");
	route(3, "fd01::/64", 2, NULL);
	route(4, "fd02::/64", 3, "fd01::9");
	assert_true(rig_open(&r, &class_route, "router", &options, plan));
	return 0;
}

static int
open_router_with_udp(void **state)
{
	udp_linked = true;
	int failed = open_router(state);
	udp_linked = false;
	return failed;
}

static int
done(void **state)
{
	rig_close(&r);
	return 0;
}

static void
longest_prefix_wins(void **state)
{
	static const struct {
		const char *src, *dst, *verdict, *via;
	} row[] = {
		{"10.0.0.1", "10.2.0.1", "gate 2", NULL}, {"10.0.0.1", "10.1.0.1", "gate 3", NULL},
		{"10.0.0.1", "203.0.113.1", "gate 4", "192.0.2.254"}, {"fd01::1", "fd01::2", "gate 2", NULL},
		{"fd01::1", "fd02::2", "gate 3", "fd01::9"}, {"fd04::1", "fd03::2", "drop no_route", NULL},
		{"10.0.0.1", "224.0.0.1", "drop multicast", NULL}, {"10.0.0.1", "255.255.255.255", "drop multicast", NULL},
		{"fd01::1", "ff02::1", "drop multicast", NULL}, {"fe80::1", "fd01::2", "drop ip_source", NULL},
		{"::", "fd01::2", "drop ip_source", NULL}, {"fd01::1", "fe80::2", "drop ip_destination", NULL},
		{"127.0.0.1", "10.2.0.1", "drop ip_source", NULL},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		struct tr_addr via;
		size_t n = tp_udp(buf, row[i].src, 1, row[i].dst, 2, 30);
		rig_send(&r, "in", buf, n, NULL);
		const struct rig_out *o = rig_next(&r);
		if (strcmp(rig_verdict(&r, o), row[i].verdict) != 0)
			fail_msg("row %u: %s, not %s", i, rig_verdict(&r, o), row[i].verdict);
		assert_int_equal((o->meta.flags & TR_META_VIA) != 0, row[i].via != NULL);
		if (row[i].via == NULL)
			continue;
		assert_true(parse_addr(row[i].via, &via));
		assert_true(tr_addr_eq(&via, &o->meta.next_hop));
	}
}

static void
hops_are_counted(void **state)
{
	size_t n = tp_udp(buf, "10.0.0.1", 1, "10.2.0.1", 2, 30);
	rig_send(&r, "in", buf, n, NULL);
	const struct rig_out *o = expect("gate 2");
	assert_int_equal(o->data[8], 63);
	assert_true(tp_good(o->data, n));
	rig_send(&r, "in", buf, n, &(struct tr_meta){.flags = TR_META_OWN});
	assert_int_equal(expect("gate 2")->data[8], 64);
	n = tp_udp(buf, "fd01::1", 1, "fd02::1", 2, 30);
	rig_send(&r, "in", buf, n, NULL);
	assert_int_equal(expect("gate 3")->data[7], 63);
}

static void
time_exceeded(void **state)
{
	static const char *const pair[2][2] = {{"10.1.0.1", "10.2.0.1"}, {"fd02::1", "fd01::2"}};
	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t n = tp_udp(buf, pair[v6][0], 1, pair[v6][1], 2, 40), l3 = v6 ? 40 : 20;
		buf[v6 ? 7 : 8] = 1;
		if (!v6) {
			memset(buf + 10, 0, 2);
			uint16_t sum = rte_ipv4_cksum((void *)buf);
			memcpy(buf + 10, &sum, 2);
		}
		rig_send(&r, "in", buf, n, NULL);
		const struct rig_out *o = expect("gate 3"); /* back to the sender */
		assert_int_equal(o->len, l3 + 8 + n);
		assert_true(tp_good(o->data, o->len));
		assert_int_equal(o->data[l3], v6 ? 3 : 11);
		assert_int_equal(o->data[l3 + 1], 0);
		assert_memory_equal(o->data + l3 + 8, buf, n);
		assert_memory_equal(o->data + (v6 ? 8 : 12), own[v6].ip, v6 ? 16 : 4);
		assert_memory_equal(o->data + (v6 ? 24 : 16), buf + (v6 ? 8 : 12), v6 ? 16 : 4);
		assert_true((o->meta.flags & TR_META_OWN) != 0);
		expect("drop ttl");
	}
}

static size_t
big(unsigned v6, uint8_t df, size_t len)
{
	size_t n = tp_udp(buf, v6 ? "fd01::1" : "10.2.0.1", 1, v6 ? "fd02::2" : "10.1.0.1", 2, len);
	if (!v6) {
		buf[6] = df;
		memset(buf + 10, 0, 2);
		uint16_t sum = rte_ipv4_cksum((void *)buf);
		memcpy(buf + 10, &sum, 2);
	}
	return n;
}

static void
too_big_is_reported(void **state)
{
	for (unsigned v6 = 0; v6 < 2; v6++) {
		size_t l3 = v6 ? 40 : 20, n = big(v6, 0x40, 1400 - l3 - 8);
		rig_send(&r, "in", buf, n, NULL);
		expect("gate 3"); /* exactly the MTU */
		n = big(v6, 0x40, 1401 - l3 - 8);
		rig_send(&r, "in", buf, n, NULL);
		const struct rig_out *o = expect("gate 2");
		assert_int_equal(o->len, v6 ? 1280 : 576);
		assert_true(tp_good(o->data, o->len));
		assert_int_equal(o->data[l3], v6 ? 2 : 3);
		assert_int_equal(o->data[l3 + 1], v6 ? 0 : 4);
		assert_int_equal(o->data[l3 + 6] << 8 | o->data[l3 + 7], 1400);
		expect("drop too_big");
	}
	rig_send(&r, "in", buf, big(0, 0, 1400), NULL); /* RFC 791: may be split */
	assert_int_equal(expect("gate 3")->len, 1396);
	assert_int_equal(expect("gate 3")->len, 1428 - 1396 + 20);
	assert_null(rig_next(&r));
}

/* RFC 1812 §5.2.7.1, RFC 4443 §3.1 and §3.4. */
static void
unreachable(void **state)
{
	static const struct {
		const char *src, *dst, *verdict, *drop;
		uint8_t proto, type, code;
	} row[] = {
		{"fd01::1", "fd09::1", "gate 2", "drop no_route", 17, 1, 0}, {"fd01::1", "fd00::1", "gate 2", "drop no_port", 17, 1, 4},
		{"fd01::1", "fd00::1", "gate 2", "drop protocol", 6, 4, 1},
		{"10.1.0.1", "100.64.0.1", "gate 3", "drop no_port", 17, 3, 3}, {"10.1.0.1", "100.64.0.1", "gate 3", "drop protocol", 6, 3, 2},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const bool v6 = strchr(row[i].src, ':') != NULL;
		const size_t l3 = v6 ? 40 : 20;
		size_t n = row[i].proto == 17 ? tp_udp(buf, row[i].src, 1, row[i].dst, 2, 30) : tp_syn(buf, row[i].src, row[i].dst, 2, NULL, 0);
		rig_send(&r, "in", buf, n, NULL);
		const struct rig_out *o = expect(row[i].verdict);
		assert_int_equal(o->data[l3], row[i].type);
		assert_int_equal(o->data[l3 + 1], row[i].code);
		assert_true(tp_good(o->data, o->len));
		assert_memory_equal(o->data + (v6 ? 8 : 12), own[v6].ip, v6 ? 16 : 4);
		expect(row[i].drop);
	}
}

/* Errors of other instances come here without a source: ours, or one that the interface chooses. */
static void
source_is_filled(void **state)
{
	static const struct {
		const char *src, *dst, *verdict;
		bool ours;
	} row[] = {{"0.0.0.0", "10.1.0.1", "gate 3", true}, {"::", "fd01::1", "gate 2", true}, {"0.0.0.0", "203.0.113.1", "gate 4", false}};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		const bool v6 = strchr(row[i].src, ':') != NULL;
		size_t n = tp_icmp(buf, row[i].src, row[i].dst, v6 ? 1 : 3, 64, 40);
		const struct tr_meta meta = {.flags = TR_META_OWN, .l3_len = v6 ? 40 : 20, .l4 = v6 ? 58 : 1};
		rig_send(&r, "in", buf, n, &meta);
		const struct rig_out *o = expect(row[i].verdict);
		assert_true(tp_good(o->data, o->len));
		static const uint8_t none[16];
		assert_memory_equal(o->data + (v6 ? 8 : 12), row[i].ours ? own[v6].ip : none, v6 ? 16 : 4);
		rig_send(&r, "in", buf, n, NULL); /* from elsewhere it is no source */
		expect("drop ip_source");
	}
}

static void
no_error_about(void **state)
{
	size_t n = tp_icmp(buf, "10.2.0.1", "10.2.0.9", 3, 1, 30); /* an error */
	rig_send(&r, "in", buf, n, NULL);
	expect("drop ttl");
	n = tp_icmp(buf, "fd01::1", "fd02::9", 1, 1, 30);
	rig_send(&r, "in", buf, n, NULL);
	expect("drop ttl");
	n = big(0, 0x40, 1400); /* our own */
	rig_send(&r, "in", buf, n, &(struct tr_meta){.flags = TR_META_OWN});
	expect("drop too_big");
	n = tp_udp(buf, "fd03::1", 1, "fd02::2", 2, 1400); /* nobody knows the way back */
	rig_send(&r, "in", buf, n, NULL);
	expect("drop too_big");
	big(0, 0x40, 1400);
	buf[7] = 9; /* a later fragment */
	memset(buf + 10, 0, 2);
	uint16_t sum = rte_ipv4_cksum((void *)buf);
	memcpy(buf + 10, &sum, 2);
	rig_send(&r, "in", buf, 1428, NULL);
	expect("drop too_big");
	assert_null(rig_next(&r));
	n = tp_icmp(buf, "10.2.0.1", "10.2.0.9", 8, 1, 30); /* but about an echo request */
	rig_send(&r, "in", buf, n, NULL);
	expect("gate 2");
	expect("drop ttl");
}

static void
errors_are_limited(void **state)
{
	uint64_t rate = 0;
	unsigned n = 0;
	for (unsigned i = 0; i < 1000; i++)
		n += icmp_rate_take(&rate, 5000000000);
	assert_int_equal(n, ICMP_BURST);
	for (unsigned ms = 1; ms <= 1000; ms++)
		for (unsigned i = 0; i < 10; i++)
			n += icmp_rate_take(&rate, 5000000000 + ms * UINT64_C(1000000));
	assert_in_range(n, ICMP_BURST + ICMP_PER_SECOND - 1, ICMP_BURST + ICMP_PER_SECOND + 1);
}

static void
mss_is_clamped_in_both_directions(void **state)
{
	static const struct {
		const char *src, *dst;
		uint8_t flags, options[8];
		size_t len, at;
		uint16_t mss; /* after */
	} row[] = {
		{"10.2.0.1", "10.1.0.1", 2, {2, 4, 0x05, 0xb4}, 4, 2, 1360},
		{"10.1.0.1", "10.2.0.1", 0x12, {2, 4, 0x05, 0xb4}, 4, 2, 1360}, /* by the way back */
		{"10.2.0.1", "10.1.0.1", 2, {1, 2, 4, 0x05, 0xb4, 0, 0, 0}, 8, 3, 1360}, /* across two words */
		{"10.2.0.1", "10.1.0.1", 2, {2, 4, 0x02, 0x00}, 4, 2, 512}, /* never raised */
		{"10.2.0.1", "10.1.0.1", 0x10, {2, 4, 0x05, 0xb4}, 4, 2, 1460}, /* no SYN */
		{"10.2.0.1", "10.3.0.1", 2, {2, 4, 0x05, 0xb4}, 4, 2, 1460},
		{"10.2.0.1", "10.1.0.1", 2, {3, 0, 2, 4}, 4, 2, 0x0204}, /* option of length 0 */
		{"fd01::1", "fd02::1", 2, {1, 1, 2, 4, 0x05, 0xa0, 0, 0}, 8, 4, 1340},
		{"fd02::1", "fd01::1", 2, {1, 1, 1, 2, 4, 0x05, 0xa0, 0}, 8, 5, 1340},
	};
	for (unsigned i = 0; i < sizeof(row) / sizeof(*row); i++) {
		size_t n = tp_syn(buf, row[i].src, row[i].dst, row[i].flags, row[i].options, row[i].len);
		rig_send(&r, "in", buf, n, NULL);
		const struct rig_out *o = rig_next(&r);
		const uint8_t *mss = o->data + n - row[i].len + row[i].at;
		assert_true(o->verdict < 4);
		if ((mss[0] << 8 | mss[1]) != row[i].mss)
			fail_msg("row %u: %u, not %u", i, mss[0] << 8 | mss[1], row[i].mss);
		assert_true(tp_good(o->data, n));
	}
	options.clamp_mss = false;
	class_route.reconfigure(r.self, &options);
	rig_send(&r, "in", buf, tp_syn(buf, "10.2.0.1", "10.1.0.1", 2, row[0].options, 4), NULL);
	assert_memory_equal(expect("gate 3")->data + 42, ((uint8_t[]){0x05, 0xb4}), 2);
}

static void
own_addresses_answer(void **state)
{
	size_t n = tp_icmp(buf, "10.1.0.5", "100.64.0.1", 8, 1, 30); /* not forwarded: no hop counted */
	rig_send(&r, "in", buf, n, NULL);
	const struct rig_out *o = expect("gate 3");
	assert_true(tp_good(o->data, n));
	assert_int_equal(o->data[20], 0);
	assert_int_equal(o->data[8], 64);
	n = tp_icmp(buf, "fd01::5", "fd00::1", 128, 9, 30);
	rig_send(&r, "in", buf, n, NULL);
	assert_int_equal(expect("gate 2")->data[40], 129);
	n = tp_udp(buf, "fd01::5", 1000, "fd00::1", 53, 30);
	rig_send(&r, "in", buf, n, NULL);
	o = expect("gate 0");
	assert_int_equal(o->meta.endpoint.local_port, 53);
	assert_int_equal(o->meta.endpoint.remote_port, 1000);
	buf[n - 1] ^= 1;
	rig_send(&r, "in", buf, n, NULL);
	expect("drop udp_checksum");
	n = tp_syn(buf, "10.1.0.5", "100.64.0.1", 2, NULL, 0);
	rig_send(&r, "in", buf, n, NULL);
	expect("gate 3");
	expect("drop protocol");
}

static int
open_router_with_host(void **state)
{
	host_linked = true;
	return open_router(state);
}

static int
done_with_host(void **state)
{
	host_linked = false;
	return done(state);
}

/* What is for our addresses, and no echo request, is the kernel's; so are errors about what it sent from them. */
static void
the_kernel_gets_the_rest(void **state)
{
	const struct tr_meta meta = {.flags = TR_META_OWN | TR_META_HOST};
	for (unsigned v6 = 0; v6 < 2; v6++) {
		const char *us = v6 ? "fd00::1" : "100.64.0.1", *peer = v6 ? "fd02::2" : "10.1.0.5";
		rig_send(&r, "in", buf, tp_syn(buf, peer, us, 2, NULL, 0), NULL);
		expect("gate 1");
		rig_send(&r, "in", buf, tp_udp(buf, peer, 1, us, 2, 30), NULL);
		expect("gate 1");
		rig_send(&r, "in", buf, tp_icmp(buf, peer, us, v6 ? 1 : 3, 64, 40), NULL);
		expect("gate 1");
		rig_send(&r, "in", buf, tp_icmp(buf, peer, us, v6 ? 128 : 8, 64, 40), NULL);
		expect("gate 3");
		size_t n = tp_udp(buf, us, 1, peer, 2, 1500);
		if (!v6) {
			buf[6] = 0x40;
			memset(buf + 10, 0, 2);
			const uint16_t sum = rte_ipv4_cksum((void *)buf);
			memcpy(buf + 10, &sum, 2);
		}
		rig_send(&r, "in", buf, n, &meta);
		const struct rig_out *o = expect("gate 1");
		assert_true(tp_good(o->data, o->len));
		assert_int_equal(o->data[v6 ? 40 : 20], v6 ? 2 : 3);
		assert_memory_equal(o->data + (v6 ? 8 : 12), own[v6].ip, v6 ? 16 : 4);
		expect("drop too_big");
		n = tp_udp(buf, us, 1, peer, 2, 30);
		buf[v6 ? 7 : 8] = 1; /* BGP to a neighbour */
		if (!v6) {
			memset(buf + 10, 0, 2);
			const uint16_t sum = rte_ipv4_cksum((void *)buf);
			memcpy(buf + 10, &sum, 2);
		}
		rig_send(&r, "in", buf, n, &meta);
		assert_int_equal(expect("gate 3")->data[v6 ? 7 : 8], 1);
	}
}

static void
routes_change_while_running(void **state)
{
	size_t n = tp_udp(buf, "10.0.0.1", 1, "10.1.0.1", 2, 30);
	for (unsigned i = 0; i < 20; i++) {
		struct route_options other = options;
		other.routes.n = i & 1 ? 5 : 1; /* without 10.1.0.0/16, or with */
		class_route.reconfigure(r.self, &other);
		rig_send(&r, "in", buf, n, NULL);
		expect(i & 1 ? "gate 3" : "gate 2");
		class_route.reconfigure(r.self, &options);
	}
}

#define ROUTER(f) cmocka_unit_test_setup_teardown(f, open_router, done)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		ROUTER(longest_prefix_wins),
		ROUTER(hops_are_counted),
		ROUTER(time_exceeded),
		ROUTER(too_big_is_reported),
		ROUTER(unreachable),
		ROUTER(source_is_filled),
		ROUTER(no_error_about),
		cmocka_unit_test(errors_are_limited),
		ROUTER(mss_is_clamped_in_both_directions),
		cmocka_unit_test_setup_teardown(own_addresses_answer, open_router_with_udp, done),
		cmocka_unit_test_setup_teardown(the_kernel_gets_the_rest, open_router_with_host, done_with_host),
		ROUTER(routes_change_while_running),
	};
	if (rcu_init() != 0)
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	rcu_fini();
	return failed;
}
