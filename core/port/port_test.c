/* SPDX-License-Identifier: BSD-3-Clause */
/* Ports on real drivers, with EAL but without hugepages: rings and memif; as root also a veth that comes and goes. */
#include "port/interrupt.h"
#include "port/port.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "runtime/rcu.h"

#include <rte_eal.h>
#include <rte_mbuf.h>
#include <sched.h>
#include <stdlib.h>
#include <tailrace/packet.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN
#endif
#endif
#include <unistd.h>

static struct rte_mempool *pool;
static char dir[] = "/tmp/tailrace-port-XXXXXX";

static struct appliance
appliance(const char *name, const char *device)
{
	return (struct appliance){
	        .file = "test.cfg", .n_ports = 1, .port = {{.name = name, .device = device, .queues = 1, .line = 3}}};
}

static void
add(struct appliance *a, const char *name, const char *device)
{
	a->port[a->n_ports++] = (struct appliance_port){.name = name, .device = device, .queues = 1, .line = 4};
}

static void
open_all(const struct appliance *a, uint16_t workers)
{
	struct diags d = {0};
	bool ok = ports_open(a, pool, workers, &d);
	if (!ok)
		diags_print(&d, stderr);
	diags_free(&d);
	assert_true(ok);
}

static struct rte_mbuf *
packet(uint8_t mark)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	memset(rte_pktmbuf_append(m, 60), mark, 60);
	return m;
}

/* Polls for up to two seconds. */
static unsigned
receive(struct port *p, uint16_t worker, struct rte_mbuf **pkts, unsigned want)
{
	unsigned n = 0;
	for (unsigned i = 0; i < 2000 && n < want; i++) {
		n += port_rx(p, worker, pkts + n, (uint16_t)(want - n));
		if (n < want)
			usleep(1000);
	}
	return n;
}

static void
ring_loops_back(void **state)
{
	struct appliance a = appliance("loop", "net_ring_loop");
	struct rte_mbuf *tx[4], *rx[4];
	struct port_info info;
	open_all(&a, 1);
	struct port *p = port_find("loop");
	assert_non_null(p);
	assert_null(port_find("other"));
	for (uint8_t i = 0; i < 4; i++)
		tx[i] = packet(i);
	assert_int_equal(port_tx(p, 0, tx, 4), 4);
	assert_int_equal(receive(p, 0, rx, 4), 4);
	for (uint8_t i = 0; i < 4; i++)
		assert_int_equal(*rte_pktmbuf_mtod(rx[i], uint8_t *), i);
	rte_pktmbuf_free_bulk(rx, 4);
	port_show(p, &info);
	assert_string_equal(info.name, "loop");
	assert_true(info.up);
	assert_null(info.problem);
	assert_int_equal(info.tx, 4);
	ports_close();
}

/* Two ends of a memif, connected: one packet has gone from `c` to `s`. */
static void
open_memifs(struct port **s, struct port **c)
{
	static char server[128], client[128]; /* ports refer to what they were opened with */
	static struct appliance a;
	snprintf(server, sizeof(server), "net_memif_s,role=server,id=3,socket=%s/m,socket-abstract=no", dir);
	snprintf(client, sizeof(client), "net_memif_c,role=client,id=3,socket=%s/m,socket-abstract=no", dir);
	struct rte_mbuf *m = packet(7), *rx[4];
	a = appliance("s", server);
	add(&a, "c", client);
	open_all(&a, 2);
	*s = port_find("s");
	*c = port_find("c");
	for (unsigned i = 0; i < 10000 && port_tx(*c, 0, &m, 1) == 0; i++) {
		port_rx(*c, 0, rx, 4);
		port_rx(*s, 0, rx, 4);
		usleep(1000);
	}
	assert_int_equal(receive(*s, 0, rx, 1), 1);
	rte_pktmbuf_free(rx[0]);
}

static void
workers_share_a_tx_queue(void **state)
{
	struct port *s, *c;
	struct rte_mbuf *m, *rx[4];
	open_memifs(&s, &c);
	/* memif has one ring here, worker 0's: what worker 1 sends goes out when worker 0 polls. */
	m = packet(9);
	assert_int_equal(port_tx(c, 1, &m, 1), 1);
	assert_int_equal(port_rx(s, 0, rx, 4), 0);
	assert_int_equal(port_rx(c, 0, rx, 4), 0);
	assert_int_equal(receive(s, 0, rx, 1), 1);
	assert_int_equal(*rte_pktmbuf_mtod(rx[0], uint8_t *), 9);
	rte_pktmbuf_free(rx[0]);
	assert_int_equal(port_rx(s, 1, rx, 4), 0); /* one rx queue: worker 0's */
	ports_close();
}

/* The client hears that the server leaves while it is closed itself. */
static void
both_sides_of_a_memif_leave_at_once(void **state)
{
	struct port *s, *c;
	for (unsigned i = 0; i < 20; i++) {
		open_memifs(&s, &c);
		ports_close();
	}
}

/* Larger packets would need several of a memif's buffers. */
static void
a_memifs_buffers_bound_its_mtu(void **state)
{
	char server[128];
	struct port_info info;
	for (unsigned size = 1000; size <= 1500; size += 500) {
		snprintf(server, sizeof(server), "net_memif_b%u,role=server,id=4,socket=%s/b,socket-abstract=no,bsize=%u", size, dir, size);
		struct appliance a = appliance("b", server);
		open_all(&a, 1);
		port_show(port_find("b"), &info);
		assert_int_equal(info.mtu, size - 18);
		ports_close();
	}
}

static void
unknown_device_is_named_with_its_line(void **state)
{
	struct appliance a = appliance("x", "net_nosuch0");
	struct diags d = {0};
	assert_false(ports_open(&a, pool, 1, &d));
	assert_int_equal(d.n, 1);
	assert_int_equal(d.v[0].line, 3);
	assert_non_null(strstr(d.v[0].text, "port `x`: net_nosuch0"));
	diags_free(&d);
}

static int
run(const char *command)
{
	return system(command);
}

static void
quiet_tick(void)
{
	ports_tick();
	for (unsigned i = 0; i < 10; i++)
		rcu_poll();
}

static void
vanished_interface_is_reopened(void **state)
{
	struct appliance a = appliance("wan", "net_af_packet_t,iface=trpt0");
	struct port_info info;
	struct rte_mbuf *rx[4];
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0 ||
	        run("ip link add trpt0 type veth peer name trpt1 && ip link set trpt0 up") != 0)
		skip();
	open_all(&a, 1);
	struct port *p = port_find("wan");
	assert_int_equal(run("ip link del trpt0"), 0);
	quiet_tick();
	port_show(p, &info);
	assert_false(info.up);
	assert_non_null(strstr(info.problem, "reopening"));
	assert_int_equal(port_rx(p, 0, rx, 4), 0);
	struct rte_mbuf *m = packet(1);
	assert_int_equal(port_tx(p, 0, &m, 1), 0);
	rte_pktmbuf_free(m);
	quiet_tick(); /* not there yet: waits longer */
	quiet_tick();
	port_show(p, &info);
	assert_non_null(strstr(info.problem, "no such interface"));
	assert_int_equal(
	        run("ip link add trpt0 type veth peer name trpt1 && ip link set trpt0 up && ip link set trpt1 up"), 0);
	for (unsigned i = 0; i < 40; i++) {
		quiet_tick();
		port_show(p, &info);
		if (info.problem == NULL)
			break;
	}
	assert_null(info.problem);
	assert_int_equal(run("ip link set trpt1 up && ip link set trpt0 up"), 0);
	m = packet(1);
	assert_int_equal(port_tx(p, 0, &m, 1), 1);
	ports_close();
}

static void
default_route_is_not_taken(void **state)
{
	struct appliance a = appliance("wan", "net_af_packet_d,iface=trpt2");
	struct diags d = {0};
	if (geteuid() != 0 || unshare(CLONE_NEWNET) != 0 ||
	        run("ip link add trpt2 type veth peer name trpt3 && ip link set trpt2 up && "
	            "ip link set trpt3 up && ip addr add 192.0.2.2/24 dev trpt2 && ip route add default via 192.0.2.1 "
	            "dev trpt2") != 0)
		skip();
	assert_false(ports_open(&a, pool, 1, &d));
	assert_non_null(strstr(d.v[0].text, "trpt2 is not taken, because the default route leaves by it"));
	diags_free(&d);
	d = (struct diags){0};
	a.port[0].take = true;
	assert_true(ports_open(&a, pool, 1, &d));
	assert_int_equal(d.errors, 0);
	assert_non_null(strstr(d.v[0].text, "the kernel has address 192.0.2.2 on trpt2"));
	diags_free(&d);
	ports_close();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(ring_loops_back),
	        cmocka_unit_test(workers_share_a_tx_queue), cmocka_unit_test(both_sides_of_a_memif_leave_at_once),
	        cmocka_unit_test(a_memifs_buffers_bound_its_mtu),
	        cmocka_unit_test(unknown_device_is_named_with_its_line),
	        cmocka_unit_test(vanished_interface_is_reopened),
	        cmocka_unit_test(default_route_is_not_taken),
	};
	char prefix[64];
#ifdef TSAN
	puts("skipped: the EAL's own threads are not built for TSan, which then sees races among them");
	return 77;
#endif
	if (mkdtemp(dir) == NULL)
		return 1;
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s", strrchr(dir, '/') + 1);
	char *argv[] = {"test", "--no-huge", "--no-pci", "-m", "128", "--no-telemetry", "--no-shconf",
	        "--log-level=*:critical", prefix};
	if (rte_eal_init(9, argv) < 0 || rcu_init() != 0)
		return 77; /* skipped: no EAL here */
	pool = rte_pktmbuf_pool_create("port-test", 4095, 0, TR_PRIV_SIZE, 2176, SOCKET_ID_ANY);
	int r = pool == NULL ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
	rcu_fini();
	interrupt_park();
	rte_eal_cleanup();
	char socket[64];
	snprintf(socket, sizeof(socket), "%s/m", dir);
	unlink(socket);
	rmdir(dir);
	return r;
}
