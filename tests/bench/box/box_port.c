/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports instead of the core's: arrays, which cost nothing; or memifs of which the gateway is the zero-copy client, and this
 * same process the copying server. A server's work is never between two readings of the clock, but packets come as they
 * do from elsewhere: not fresh in the nearest cache, because it sends a ring full of them before the first is taken.
 */
#include "box_port.h"

#include "port/interrupt.h"
#include "port/port.h"
#include "runtime/rcu.h"
#include "sdk/pool.h"

#include <fcntl.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_memory.h>
#include <rte_ring.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE (2u << 20)
#define BOX_JUMBO 9000
#define RING_LOG 11
#define RING (1u << RING_LOG)
/* As many buffers go round as with the other ports: a ring each way, and few that lie idle. One ring more stands still. */
#define NEAR (3 * RING + 512)
#define FAR (BOX_PACKETS + 512)
#define AT_ONCE (RING - BOX_BURST) /* up to a burst of a ring's slots may have no buffer yet */
#define TX_TRIES 32
#define BUFFERS 16384
#define MEMORY_MB 96

struct port box_port[BOX_PORTS] = {{.name = "wan", .mac = {2, 0, 0, 0, 0, 1}}, {.name = "lan", .mac = {2, 0, 0, 0, 0, 2}}};

static struct {
	bool memif;
	const char *pages;
	struct rte_mempool *far; /* of the memifs' servers */
	uint8_t *packets;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool want_parked, parked;
	bool rings, shut;
	struct rte_ring *in[BOX_PORTS], *out[BOX_PORTS];
	uint16_t room, mtu;
	uint32_t stride; /* from a packet to the next */
} box = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .room = BOX_ROOM, .mtu = 1500};

static _Thread_local bool driver; /* the benchmark's own thread */

_Noreturn void
give_up(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

bool
box_option(int *argc, char **argv)
{
	for (int i = 1; i + 1 < *argc; i++) {
		if (strcmp(argv[i], "--port") != 0)
			continue;
		box.memif = strcmp(argv[i + 1], "memif") == 0;
		if (!box.memif && strcmp(argv[i + 1], "none") != 0)
			give_up("--port memif, or none: ports that cost nothing");
		memmove(&argv[i], &argv[i + 2], (size_t)(*argc - i - 1) * sizeof(*argv));
		*argc -= 2;
	}
	return box.memif;
}

const char *
box_port_kind(void)
{
	static char text[96];

	if (!box.memif)
		return "ports that cost nothing";
	snprintf(text, sizeof(text), "memif, zero-copy client, rings of %u, %s", RING, box.pages);
	return text;
}

void
box_jumbo(void)
{
	box.room = BOX_ROOM - 1500 + BOX_JUMBO;
	box.mtu = BOX_JUMBO;
}

uint16_t
box_mtu(void)
{
	return box.mtu;
}

/* ---- Buffers ---- */

/* The pool of the tests takes each buffer from the heap, which costs more than what is measured: here those that were given back
 * are kept, the last first, as in a worker's cache of a real one. Only the benchmark's own thread has them; others use the heap. */
static struct {
	void *kept[BUFFERS];
	unsigned n;
	int heap; /* ops */
} buffers;

static int
take_buffers(struct rte_mempool *pool, void **obj, unsigned n)
{
	const unsigned kept = driver ? RTE_MIN(n, buffers.n) : 0;

	if (n > kept && rte_mempool_get_ops(buffers.heap)->dequeue(pool, obj + kept, n - kept) != 0)
		return -ENOBUFS;
	for (unsigned i = 0; i < kept; i++)
		obj[i] = buffers.kept[--buffers.n];
	return 0;
}

static int
keep_buffers(struct rte_mempool *pool, void *const *obj, unsigned n)
{
	if (!driver)
		return rte_mempool_get_ops(buffers.heap)->enqueue(pool, obj, n);
	memcpy(buffers.kept + buffers.n, obj, n * sizeof(*obj));
	buffers.n += n;
	return 0;
}

static int
no_alloc(struct rte_mempool *pool)
{
	return 0;
}

static unsigned
count_kept(const struct rte_mempool *pool)
{
	return buffers.n;
}

static struct rte_mempool *
keeping_pool(void)
{
	static const struct rte_mempool_ops ops = {.name = "box", .alloc = no_alloc, .enqueue = keep_buffers, .dequeue = take_buffers,
		.get_count = count_kept};
	struct rte_mempool *pool = pool_new("bench", BUFFERS, (uint16_t)(box.room - 128));
	const int index = rte_mempool_register_ops(&ops);

	if (!pool || index < 0)
		give_up("out of memory");
	buffers.heap = pool->ops_index;
	pool->ops_index = index;
	return pool;
}

static void
keeping_pool_free(struct rte_mempool *pool)
{
	pool->ops_index = buffers.heap;
	rte_mempool_put_bulk(pool, buffers.kept, buffers.n);
	pool_free(pool);
}

/* ---- Rings ---- */

static struct rte_ring *
ring_new(const char *name)
{
	struct rte_ring *r = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_ALIGN((size_t)rte_ring_get_memsize(BOX_RING), RTE_CACHE_LINE_SIZE));

	if (!r || rte_ring_init(r, name, BOX_RING, RING_F_SP_ENQ | RING_F_SC_DEQ) != 0)
		give_up("out of memory");
	return r;
}

void
box_rings(bool on)
{
	for (int i = 0; on && i < BOX_PORTS && !box.in[i]; i++) {
		box.in[i] = ring_new("in");
		box.out[i] = ring_new("out");
	}
	box.rings = on;
}

uint32_t
box_offer(enum box_port port, struct rte_mbuf **pkts, uint32_t n)
{
	return rte_ring_sp_enqueue_burst(box.in[port], (void *const *)pkts, n, NULL);
}

uint32_t
box_take(enum box_port port, struct rte_mbuf **pkts, uint32_t n)
{
	return rte_ring_sc_dequeue_burst(box.out[port], (void **)pkts, n, NULL);
}

bool
box_mine(const struct rte_mbuf *m)
{
	return (const uint8_t *)m >= box.packets && (const uint8_t *)m < box.packets + (size_t)box.stride * BOX_PACKETS;
}

uint32_t
box_number(const struct rte_mbuf *m)
{
	return (uint32_t)((size_t)((const uint8_t *)m - box.packets) / box.stride);
}

bool
box_free(uint32_t i)
{
	return rte_mbuf_refcnt_read((const struct rte_mbuf *)(box.packets + (size_t)i * box.stride)) < 2;
}

/* ---- The core's calls ---- */

static void
park(void)
{
	pthread_mutex_lock(&box.lock);
	while (box.want_parked) {
		box.parked = true;
		pthread_cond_broadcast(&box.changed);
		pthread_cond_wait(&box.changed, &box.lock);
	}
	box.parked = false;
	pthread_mutex_unlock(&box.lock);
}

void
box_ports_park(bool want)
{
	pthread_mutex_lock(&box.lock);
	box.want_parked = want;
	pthread_cond_broadcast(&box.changed);
	while (want && !box.parked)
		pthread_cond_wait(&box.changed, &box.lock);
	pthread_mutex_unlock(&box.lock);
}

void
box_ports_shut(bool shut)
{
	box.shut = shut;
}

uint16_t
port_rx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	if (!driver) {
		if (worker == 0)
			park();
		return 0;
	}
	if (box.shut)
		return 0;
	if (n > BOX_BURST)
		n = BOX_BURST;
	if (box.rings)
		return (uint16_t)rte_ring_sc_dequeue_burst(box.in[p - box_port], (void **)pkts, n, NULL);
	if (box.memif) {
		n = rte_eth_rx_burst(p->near, 0, pkts, n);
		p->lying -= n;
		return n;
	}
	if (n > p->n_in)
		n = (uint16_t)p->n_in;
	memcpy(pkts, p->in, n * sizeof(*pkts));
	p->in += n;
	p->n_in -= n;
	return n;
}

uint16_t
port_tx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	if (!driver) {
		rte_pktmbuf_free_bulk(pkts, n);
		return n;
	}
	if (box.rings)
		return (uint16_t)rte_ring_sp_enqueue_burst(box.out[p - box_port], (void *const *)pkts, n, NULL);
	if (box.memif) {
		uint16_t sent = 0;
		for (unsigned try = 0; sent < n && try < TX_TRIES; try++)
			sent = (uint16_t)(sent + rte_eth_tx_burst(p->near, 0, pkts + sent, (uint16_t)(n - sent)));
		return sent;
	}
	if (p->n_out + n > BOX_LIMIT)
		give_up("a port is full");
	memcpy(p->out + p->n_out, pkts, n * sizeof(*pkts));
	p->n_out += n;
	return n;
}

struct port *
port_find(const char *name)
{
	for (int i = 0; i < BOX_PORTS; i++)
		if (strcmp(box_port[i].name, name) == 0)
			return &box_port[i];
	return NULL;
}

void
port_show(const struct port *p, struct port_info *out)
{
	*out = (struct port_info){.name = p->name, .device = "bench", .driver = "bench", .mtu = box.mtu, .queues = 1, .up = true};
	memcpy(out->mac, p->mac, 6);
}

unsigned
port_each(void (*fn)(void *arg, struct port *p), void *arg)
{
	for (int i = 0; i < BOX_PORTS; i++)
		fn(arg, &box_port[i]);
	return BOX_PORTS;
}

bool
port_csum_offload(const struct port *p)
{
	return false;
}

struct tun *
port_tun(const struct port *p)
{
	return NULL;
}

const struct port *
port_of_device(unsigned ifindex)
{
	return NULL;
}

void
port_steer(const struct steer_rule *r, unsigned n, bool wanted)
{
}

bool
port_steered(const struct port *p, unsigned i, struct steer_seen *out)
{
	return false;
}

bool
ports_open(const struct appliance *a, struct rte_mempool *pool, uint16_t workers, struct diags *d)
{
	return true;
}

void
ports_close(void)
{
}

bool
ports_tick(void)
{
	return false;
}

/* ---- memif ---- */

static bool
hugepages_free(void)
{
	unsigned long n = 0;
	FILE *f = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");

	if (f && fscanf(f, "%lu", &n) != 1)
		n = 0;
	if (f)
		fclose(f);
	return n * 2 >= MEMORY_MB;
}

/* The EAL pins the thread that starts it; the engine's threads are not to inherit that. */
static void
eal_start(void)
{
	static char prefix[48], mb[8], lcores[24];
	const bool huge = hugepages_free();
	char *argv[] = {"bench", lcores, "--no-pci", "--no-telemetry", "--log-level=1", "--single-file-segments", prefix, "-m", mb,
		huge ? "--in-memory" : "--no-huge", "--no-shconf", NULL};
	cpu_set_t set;
	int cpu = 0;

	sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	snprintf(lcores, sizeof(lcores), "--lcores=0@%d", cpu);
	snprintf(prefix, sizeof(prefix), "--file-prefix=tailrace-bench-%d", (int)getpid());
	snprintf(mb, sizeof(mb), "%d", MEMORY_MB);
	if (rte_eal_init(sizeof(argv) / sizeof(*argv) - 1, argv) < 0) {
		fprintf(stderr, "no EAL here\n");
		exit(77);
	}
	sched_setaffinity(0, sizeof(set), &set);
	box.pages = huge ? "hugepages" : "ordinary pages";
}

/*
 * A zero-copy client shares the EAL's memory by the EAL's own file descriptors, and the driver of 22.11 closes them when
 * it has connected: the next client has none. So they are kept, and put back under their numbers.
 */
static struct {
	int fd, copy;
} memory[8];
static unsigned n_memory;

static int
keep_memory(const struct rte_memseg_list *list, const struct rte_memseg *s, void *arg)
{
	const int fd = rte_memseg_get_fd(s);

	for (unsigned i = 0; i < n_memory; i++)
		if (memory[i].fd == fd)
			return 0;
	if (fd < 0 || n_memory == RTE_DIM(memory))
		return -1;
	memory[n_memory].fd = fd;
	memory[n_memory++].copy = dup(fd);
	return 0;
}

static void
restore_memory(void)
{
	for (unsigned i = 0; i < n_memory; i++)
		if (fcntl(memory[i].fd, F_GETFD) < 0 && dup2(memory[i].copy, memory[i].fd) < 0)
			give_up("cannot share memory twice");
}

static uint16_t
open_memif(const char *dir, int id, bool server, struct rte_mempool *pool)
{
	char name[32], args[160];
	struct rte_eth_conf conf = {0};
	uint16_t port;

	snprintf(name, sizeof(name), "net_memif_%s%d", server ? "far" : "near", id);
	snprintf(args, sizeof(args), "role=%s,id=%d,socket=%s/%d,socket-abstract=no,rsize=%d%s", server ? "server" : "client", id, dir,
		id, RING_LOG, server ? "" : ",zero-copy=yes");
	if (rte_eth_dev_get_port_by_name(name, &port) == 0 || rte_eal_hotplug_add("vdev", name, args) != 0 ||
		rte_eth_dev_get_port_by_name(name, &port) != 0 || rte_eth_dev_configure(port, 1, 1, &conf) != 0 ||
		rte_eth_rx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL, pool) != 0 ||
		rte_eth_tx_queue_setup(port, 0, RING, SOCKET_ID_ANY, NULL) != 0 || rte_eth_dev_start(port) != 0) {
		fprintf(stderr, "memif does not work here\n");
		exit(77);
	}
	return port;
}

static void
wait_for_link(uint16_t port)
{
	struct rte_eth_link link = {0};

	for (unsigned i = 0; i < 1000; i++) {
		if (rte_eth_link_get_nowait(port, &link) == 0 && link.link_status)
			return;
		usleep(10000);
	}
	give_up("the two ends of a memif do not find each other");
}

static struct rte_mempool *
memif_start(void)
{
	char dir[] = "/tmp/tailrace-memif-XXXXXX", path[64];

	eal_start();
	struct rte_mempool *pool = rte_pktmbuf_pool_create("near", NEAR, 256, TR_PRIV_SIZE, box.room, SOCKET_ID_ANY);
	box.far = rte_pktmbuf_pool_create("far", FAR, 256, 0, box.room, SOCKET_ID_ANY);
	if (!pool || !box.far || !mkdtemp(dir))
		give_up("no memory for packets");
	if (rte_memseg_walk(keep_memory, NULL) != 0)
		give_up("memory that cannot be shared");
	for (int i = 0; i < BOX_PORTS; i++) {
		box_port[i].far = open_memif(dir, i, true, box.far);
		box_port[i].near = open_memif(dir, i, false, pool);
		wait_for_link(box_port[i].near);
		wait_for_link(box_port[i].far);
		snprintf(path, sizeof(path), "%s/%d", dir, i);
		unlink(path);
		restore_memory();
	}
	rmdir(dir);
	return pool;
}

void
port_supply(struct port *p)
{
	if (!box.memif || p->lying > 0)
		return;
	uint32_t n = p->n_in < AT_ONCE ? p->n_in : AT_ONCE;
	while (n > 0) {
		uint16_t sent = rte_eth_tx_burst(p->far, 0, p->in, (uint16_t)RTE_MIN(n, (uint32_t)BOX_BURST));
		if (sent == 0)
			break;
		p->in += sent;
		p->n_in -= sent;
		p->lying += sent;
		n -= sent;
	}
}

void
port_collect(struct port *p)
{
	while (box.memif && p->n_out + BOX_BURST <= BOX_LIMIT) {
		uint16_t n = rte_eth_rx_burst(p->far, 0, p->out + p->n_out, BOX_BURST);
		if (n == 0)
			break;
		p->n_out += n;
	}
}

/* ---- Packets ---- */

static void
make_packets(struct rte_mempool *pool)
{
	box.stride = RTE_ALIGN((uint32_t)sizeof(struct rte_mbuf) + TR_PRIV_SIZE + box.room + 64, 64);
	box.packets = aligned_alloc(HUGE_PAGE, RTE_ALIGN((size_t)box.stride * BOX_PACKETS, HUGE_PAGE));
	if (!box.packets)
		give_up("out of memory");
	madvise(box.packets, RTE_ALIGN((size_t)box.stride * BOX_PACKETS, HUGE_PAGE), MADV_HUGEPAGE); /* as a pool of DPDK's has */
	memset(box.packets, 0, (size_t)box.stride * BOX_PACKETS);
	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		struct rte_mbuf *m = (struct rte_mbuf *)(box.packets + (size_t)i * box.stride);
		m->buf_addr = (uint8_t *)(m + 1) + TR_PRIV_SIZE;
		m->buf_len = box.room;
		m->priv_size = TR_PRIV_SIZE;
		m->pool = pool;
		m->nb_segs = 1;
	}
}

struct rte_mempool *
box_ports_start(void)
{
	driver = true;
	struct rte_mempool *pool = box.memif ? memif_start() : keeping_pool();
	if (!pool)
		give_up("out of memory");
	make_packets(pool);
	return pool;
}

void
box_ports_stop(struct rte_mempool *pool)
{
	free(box.packets);
	if (!box.memif) {
		keeping_pool_free(pool);
		return;
	}
	rmdir(rte_eal_get_runtime_dir());
	interrupt_park();
	rte_eal_cleanup();
}

struct rte_mbuf *
box_packet(uint32_t i)
{
	struct rte_mbuf *m = (struct rte_mbuf *)(box.packets + (size_t)i * box.stride);

	m->data_off = (uint16_t)(TR_HEADROOM + i % 61);
	m->data_len = 0;
	m->pkt_len = 0;
	m->ol_flags = 0;
	rte_mbuf_refcnt_set(m, 2); /* whoever frees it only counts down */
	return m;
}

const uint8_t *
box_mac(enum box_port port)
{
	return box_port[port].mac;
}

void
box_feed(enum box_port port, struct rte_mbuf **pkts, uint32_t n)
{
	struct port *p = &box_port[port];

	p->in = pkts;
	p->n_in = n;
	port_supply(p);
}

uint32_t
box_sent(enum box_port port, struct rte_mbuf ***pkts)
{
	struct port *p = &box_port[port];

	port_collect(p);
	uint32_t n = p->n_out;
	*pkts = p->out;
	p->n_out = 0;
	return n;
}

/* Through a memif come copies; what the gateway itself says there is ARP and ND. */
static bool
is_ours(const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);

	if (!box.memif)
		return box_mine(m);
	return p[12] == 0x08 ? p[13] == 0x00 : p[20] == IPPROTO_UDP;
}

uint32_t
box_release(struct rte_mbuf **pkts, uint32_t n)
{
	uint32_t ours = 0;

	for (uint32_t i = 0; i < n; i++) {
		const bool one = is_ours(pkts[i]);
		ours += one;
		if (!one || box.memif)
			rte_pktmbuf_free(pkts[i]);
	}
	return ours;
}
