/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding between two copying memif ports: the gateway's daemon against `dpdk-testpmd` in io mode, which looks at no
 * packet. Each of the two runs on the last CPU while the other is stopped. A ring full of packets lies ready before it goes
 * on, and the ring behind it has room for all of them: the clocks between the first and the last that come out are
 * its own.
 *
 * Needs two CPUs. Exit code 77: not possible here.
 */
#include "bench.h"

#include <rte_arp.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define PACKETS 4032 /* at once; rings hold 4096 */
#define BURST 32u
#define RING "12"
#define DUT_MAC "02:00:00:00:00:0a"
#define IN 0  /* the ports of a device under test */
#define OUT 1

struct dut {
	const char *name;
	pid_t pid;
	int stdin_fd;
	uint16_t port[2];
	uint16_t size; /* of IP packets; set for each figure */
};

static char dir[] = "/tmp/tailrace-l3-XXXXXX";
static struct dut testpmd = {.name = "testpmd io"}, gateway = {.name = "gateway"};
static struct rte_mempool *pool;
static struct rte_mbuf *packet[PACKETS];

static void
clean(void)
{
	struct dut *all[] = {&testpmd, &gateway};
	char command[64];

	for (int i = 0; i < 2; i++) {
		if (all[i]->pid <= 0)
			continue;
		kill(all[i]->pid, SIGKILL);
		waitpid(all[i]->pid, NULL, 0);
	}
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	if (system(command) != 0)
		fprintf(stderr, "%s remains\n", dir);
}

static _Noreturn void
give_up(int code, const char *why)
{
	fprintf(stderr, "%s\n", why);
	exit(code);
}

/* ---- The two devices under test ---- */

static int
last_cpu(void)
{
	cpu_set_t set;
	int last = 0;

	sched_getaffinity(0, sizeof(set), &set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &set))
			last = i;
	return last;
}

static void
start(struct dut *d, char *const argv[])
{
	int in[2];

	if (pipe(in) != 0 || (d->pid = fork()) < 0)
		give_up(1, "cannot start a process");
	if (d->pid > 0) {
		close(in[0]);
		d->stdin_fd = in[1];
		return;
	}
	char log[64];
	snprintf(log, sizeof(log), "%s/%.7s.log", dir, d->name);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}); /* threads of one device share a CPU */
	dup2(in[0], 0);
	close(in[1]);
	if (!freopen(log, "w", stdout) || dup2(1, 2) < 0)
		_exit(126);
	execvp(argv[0], argv);
	_exit(127);
}

static void
start_testpmd(int cpu)
{
	char lcores[32], prefix[32], vdev[2][128];

	snprintf(lcores, sizeof(lcores), "0@%d,1@%d", cpu, cpu);
	snprintf(prefix, sizeof(prefix), "tailrace-l3-%d", getpid());
	for (int i = 0; i < 2; i++)
		snprintf(vdev[i], sizeof(vdev[i]), "net_memif%d,role=client,id=%d,socket=%s/testpmd,socket-abstract=no,rsize=" RING, i, i,
			dir);
	char *const argv[] = {"dpdk-testpmd", "--lcores", lcores, "--no-huge", "-m", "256", "--no-pci", "--file-prefix", prefix, "--vdev",
		vdev[0], "--vdev", vdev[1], "--", "--forward-mode=io", "--auto-start", "--total-num-mbufs=16384", NULL};
	start(&testpmd, argv);
}

static void
start_gateway(const char *build, int cpu)
{
	char path[64], daemon[256];

	snprintf(path, sizeof(path), "%s/pipeline.yaml", dir);
	FILE *f = fopen(path, "w");
	if (!f)
		give_up(1, "cannot write a file");
	fputs("instances:\n"
	      "  in: {class: interface, address: 10.20.0.1/16}\n"
	      "  out: {class: interface, address: 198.51.100.7/24, gateway: 198.51.100.1}\n"
	      "  router: {class: route, routes: {0.0.0.0/0: out.ip, 10.20.0.0/16: in.ip}}\n"
	      "  none: {class: drop}\n"
	      "links:\n"
	      "  - in.ip -> router.in\n"
	      "  - out.ip -> router.in\n"
	      "  - in.udp -> none.in\n"
	      "  - out.udp -> none.in\n"
	      "  - router.udp -> none.in\n",
		f);
	fclose(f);
	snprintf(path, sizeof(path), "%s/appliance.cfg", dir);
	if (!(f = fopen(path, "w")))
		give_up(1, "cannot write a file");
	fputs("ports = {", f);
	for (int i = 0; i < 2; i++)
		fprintf(f, "%s = { device = \"net_memif%d,role=client,id=%d,socket=%s/gateway,socket-abstract=no,rsize=" RING
			   ",mac=" DUT_MAC "\"; };\n", i == IN ? "in" : "out", i, i, dir);
	fprintf(f, "};\nworkers = { lcores = [%d]; poll = \"busy\"; };\nmemory = { hugepages = false; mb = 256; };\n", cpu);
	fprintf(f, "sockets = { run = \"%s/run\"; uapi = \"%s/uapi\"; group = \"root\"; };\n", dir, dir);
	fprintf(f, "state = \"%s/state\";\npipeline = \"pipeline.yaml\";\n", dir);
	fclose(f);
	snprintf(daemon, sizeof(daemon), "%s/core/daemon/tailraced", build);
	char *const argv[] = {daemon, "-c", path, NULL};
	start(&gateway, argv);
}

/* ---- Our side ---- */

static uint16_t
open_port(const char *socket, int id)
{
	char name[32], args[160];
	struct rte_eth_conf conf = {0};
	uint16_t port;

	snprintf(name, sizeof(name), "net_memif_%s%d", socket, id);
	snprintf(args, sizeof(args), "role=server,id=%d,socket=%s/%s,socket-abstract=no,rsize=" RING, id, dir, socket);
	if (rte_eal_hotplug_add("vdev", name, args) != 0 || rte_eth_dev_get_port_by_name(name, &port) != 0 ||
		rte_eth_dev_configure(port, 1, 1, &conf) != 0 || rte_eth_rx_queue_setup(port, 0, 4096, SOCKET_ID_ANY, NULL, pool) != 0 ||
		rte_eth_tx_queue_setup(port, 0, 4096, SOCKET_ID_ANY, NULL) != 0 || rte_eth_dev_start(port) != 0)
		give_up(77, "memif does not work here");
	return port;
}

static void
make_packets(void)
{
	for (uint32_t i = 0; i < PACKETS; i++)
		if (!(packet[i] = rte_pktmbuf_alloc(pool)))
			give_up(1, "out of memory");
}

/* From 4,032 hosts behind IN to as many beyond OUT. */
static void
write_packets(uint16_t size)
{
	for (uint32_t i = 0; i < PACKETS; i++) {
		struct rte_mbuf *m = packet[i];
		rte_pktmbuf_reset(m);
		uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(14 + size));
		memset(p, 0, 14u + size);
		memcpy(p, "\x02\0\0\0\0\x0a\x02\0\0\0\0\x0b\x08", 13);
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF, .total_length = rte_cpu_to_be_16(size), .time_to_live = 64,
			.next_proto_id = IPPROTO_UDP, .src_addr = rte_cpu_to_be_32(RTE_IPV4(10, 20, 1, 0) + i),
			.dst_addr = rte_cpu_to_be_32(RTE_IPV4(203, 0, 0, 1) + i)};
		ip.hdr_checksum = rte_ipv4_cksum(&ip);
		memcpy(p + 14, &ip, sizeof(ip));
	}
}

/* The gateway asks for its next hop. */
static void
answer(uint16_t port, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);
	uint32_t asked = arp->arp_data.arp_tip;

	if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP) || asked == arp->arp_data.arp_sip) {
		rte_pktmbuf_free(m);
		return;
	}
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sip = asked;
	memcpy(arp->arp_data.arp_tha.addr_bytes, "\x02\0\0\0\0\x0a", 6);
	memcpy(arp->arp_data.arp_sha.addr_bytes, "\x02\0\0\0\0\x0b", 6);
	memcpy(eth->dst_addr.addr_bytes, "\x02\0\0\0\0\x0a", 6);
	memcpy(eth->src_addr.addr_bytes, "\x02\0\0\0\0\x0b", 6);
	if (rte_eth_tx_burst(port, 0, &m, 1) == 0)
		rte_pktmbuf_free(m);
}

static uint32_t
send_all(const struct dut *d, uint32_t n)
{
	uint32_t sent = 0;

	for (uint32_t i = 0; i < n; i++)
		rte_mbuf_refcnt_set(packet[i], 2); /* sending only counts down */
	while (sent < n) {
		uint16_t got = rte_eth_tx_burst(d->port[IN], 0, packet + sent, (uint16_t)RTE_MIN(BURST, n - sent));
		if (got == 0)
			break;
		sent += got;
	}
	return sent;
}

/* Those of ours among what comes out of a port in one burst. */
static uint32_t
receive(const struct dut *d, int side)
{
	struct rte_mbuf *got[BURST];
	uint16_t n = rte_eth_rx_burst(d->port[side], 0, got, BURST);
	uint32_t ours = 0;

	for (uint16_t i = 0; i < n; i++) {
		if (side == OUT && got[i]->data_len == 14 + d->size) {
			ours++;
			rte_pktmbuf_free(got[i]);
		} else {
			answer(d->port[side], got[i]);
		}
	}
	return ours;
}

static uint64_t
forward(void *arg, uint64_t ops)
{
	const struct dut *d = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= PACKETS) {
		uint32_t n = 0, before = 0;
		uint64_t first = 0, last = 0, give_up_at;
		if (send_all(d, PACKETS) != PACKETS)
			give_up(1, "a ring is not as empty as it should be");
		kill(d->pid, SIGCONT);
		give_up_at = bench_clock() + (uint64_t)(bench_ghz() * 5e9);
		while (n < PACKETS) {
			uint32_t more = receive(d, OUT);
			if (more > 0) {
				last = bench_clock();
				n += more;
				if (first == 0) {
					first = last;
					before = n;
				}
			} else if (bench_clock() > give_up_at) {
				fprintf(stderr, "%s: %u of %u packets came out\n", d->name, n, PACKETS);
				exit(1);
			}
			receive(d, IN);
		}
		kill(d->pid, SIGSTOP);
		clocks += (last - first) * PACKETS / (PACKETS - before);
	}
	return clocks;
}

/* Until a packet comes through; then the rest of what was sent meanwhile. */
static void
wait_for(struct dut *d)
{
	uint64_t end = bench_clock() + (uint64_t)(bench_ghz() * 20e9);
	uint32_t through = 0;

	while (through == 0) {
		int status;
		if (bench_clock() > end || waitpid(d->pid, &status, WNOHANG) == d->pid) {
			d->pid = bench_clock() > end ? d->pid : 0;
			fprintf(stderr, "%s does not forward\n", d->name);
			exit(77);
		}
		send_all(d, 1);
		for (int i = 0; i < 1000; i++) {
			through += receive(d, OUT);
			receive(d, IN);
			usleep(10);
		}
	}
	for (int i = 0; i < 10000; i++) {
		receive(d, OUT);
		receive(d, IN);
	}
	kill(d->pid, SIGSTOP);
}

int
main(int argc, char **argv)
{
	static const uint16_t sizes[] = {64, 1420};
	int cpu = last_cpu();
	char prefix[48];

	if (cpu == 0)
		give_up(77, "needs two CPUs");
	if (!mkdtemp(dir))
		give_up(1, "cannot make a temporary directory");
	atexit(clean);
	snprintf(prefix, sizeof(prefix), "--file-prefix=tailrace-l3b-%d", getpid());
	char *eal[] = {"l3", "--lcores=0@0", "--no-huge", "-m", "512", "--no-pci", "--no-telemetry", "--log-level=1", prefix, NULL};
	if (rte_eal_init(9, eal) < 0 || !(pool = rte_pktmbuf_pool_create("l3", 16384, 256, 0, 2048 + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY)))
		give_up(77, "no EAL here");
	make_packets();
	for (int i = 0; i < 2; i++) {
		testpmd.port[i] = open_port("testpmd", i);
		gateway.port[i] = open_port("gateway", i);
	}
	char *args[16] = {argv[0], "--cpu", "0"};
	int n = 3;
	for (int i = 1; i < argc && n < 15; i++)
		args[n++] = argv[i];
	bench_init("l3", n, args);
	for (size_t s = 0; s < sizeof(sizes) / sizeof(*sizes); s++) {
		char figure[64];
		write_packets(sizes[s]);
		testpmd.size = gateway.size = sizes[s];
		if (s == 0) { /* one after the other: both would poll the same CPU */
			start_testpmd(cpu);
			wait_for(&testpmd);
			start_gateway(BUILD, cpu);
			wait_for(&gateway);
		}
		snprintf(figure, sizeof(figure), "forward %u B between copying memifs", sizes[s]);
		bench_pair(&(struct bench_pair){.figure = figure, .goal = "ratio <= 2", .step = PACKETS,
			.ours = {gateway.name, forward, &gateway}, .reference = {testpmd.name, forward, &testpmd}});
	}
	return bench_end();
}
