/* SPDX-License-Identifier: BSD-3-Clause */
#include "port/guard.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "port/device.h"

static FILE *
file(const char *text)
{
	return fmemopen((void *)(uintptr_t)text, strlen(text), "r");
}

static const char route4[] = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
                             "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n"
                             "eth1\t0000000A\t00000000\t0001\t0\t0\t0\t000000FF\t0\t0\t0\n"
                             "eth2\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n";

static void
default_route_of_ipv4(void **state)
{
	static const struct {
		const char *iface;
		bool holds;
	} row[] = {{"eth0", true}, {"eth1", false}, {"eth2", false}, {"eth", false}};
	for (unsigned i = 0; i < 4; i++) {
		FILE *f = file(route4);
		assert_int_equal(guard_default4(f, row[i].iface), row[i].holds);
		fclose(f);
	}
}

static const char route6[] = "20010db8000000000000000000000000 40 00000000000000000000000000000000 00 "
                             "00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth1\n"
                             "00000000000000000000000000000000 00 00000000000000000000000000000000 00 "
                             "fe800000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n"
                             "00000000000000000000000000000001 80 00000000000000000000000000000000 00 "
                             "00000000000000000000000000000000 00000000 00000003 00000000 80200001       lo\n";

static void
default_route_of_ipv6(void **state)
{
	static const struct {
		const char *iface;
		bool holds;
	} row[] = {{"eth0", true}, {"eth1", false}, {"lo", false}};
	for (unsigned i = 0; i < 3; i++) {
		FILE *f = file(route6);
		assert_int_equal(guard_default6(f, row[i].iface), row[i].holds);
		fclose(f);
	}
}

static const char head[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n";

static void
sessions_are_established_connections_to_port_22(void **state)
{
	char text[600];
	struct tr_addr a[4];
	snprintf(text, sizeof(text), "%s%s%s%s", head,
	        "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000\n",
	        "   1: 0702000A:0016 0101A8C0:D431 01 00000000:00000000 02:000A7D5E\n",
	        "   2: 0702000A:01BB 0101A8C0:D432 01 00000000:00000000 02:000A7D5E\n");
	FILE *f = file(text);
	assert_int_equal(guard_sessions(f, 8, a, 4), 1);
	fclose(f);
	assert_int_equal(a[0].family, 4);
	assert_memory_equal(a[0].ip, ((uint8_t[]){10, 0, 2, 7}), 4);
}

static void
sessions_over_ipv6_and_mapped_ipv4(void **state)
{
	char text[700];
	struct tr_addr a[4];
	snprintf(text, sizeof(text), "%s%s%s", head,
	        "   0: B80D0120000000000000000001000000:0016 B80D0120000000000000000002000000:D431 01 "
	        "00000000:00000000\n",
	        "   1: 0000000000000000FFFF00000702000A:0016 0000000000000000FFFF00000101A8C0:D431 01 "
	        "00000000:00000000\n");
	FILE *f = file(text);
	assert_int_equal(guard_sessions(f, 32, a, 4), 2);
	fclose(f);
	assert_int_equal(a[0].family, 6);
	assert_memory_equal(a[0].ip, ((uint8_t[16]){0x20, 0x01, 0x0d, 0xb8, [15] = 1}), 16);
	assert_int_equal(a[1].family, 4);
	assert_memory_equal(a[1].ip, ((uint8_t[]){10, 0, 2, 7}), 4);
}

static void
interface_below_a_device(void **state)
{
	char name[17];
	assert_true(guard_iface("net_af_packet0,iface=eth1,qpairs=2", name, sizeof(name)));
	assert_string_equal(name, "eth1");
	assert_true(guard_iface("net_pcap0,rx_iface=a,iface=eth2", name, sizeof(name)));
	assert_string_equal(name, "eth2");
	assert_false(guard_iface("net_tap0,iface=tap7", name, sizeof(name)));
	assert_false(guard_iface("net_memif0,role=server", name, sizeof(name)));
	assert_false(guard_iface("ffff:ff:1f.7", name, sizeof(name)));
}

static void
device_arguments(void **state)
{
	char v[8];
	assert_true(device_arg("net_x0,a=1,bc=22", "bc", v, sizeof(v)));
	assert_string_equal(v, "22");
	assert_false(device_arg("net_x0,a=1,bc=22", "b", v, sizeof(v)));
	assert_false(device_arg("net_x0", "a", v, sizeof(v)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(default_route_of_ipv4),
	        cmocka_unit_test(default_route_of_ipv6),
	        cmocka_unit_test(sessions_are_established_connections_to_port_22),
	        cmocka_unit_test(sessions_over_ipv6_and_mapped_ipv4),
	        cmocka_unit_test(interface_below_a_device),
	        cmocka_unit_test(device_arguments),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
