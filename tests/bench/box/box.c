/* SPDX-License-Identifier: BSD-3-Clause */
#include "box_port.h"
#include "measure.h"

#include "config/appliance.h"
#include "crypto/aead.h"
#include "engine/private.h"
#include "port/port.h"
#include "runtime/loop.h"
#include "runtime/rcu.h"
#include "sdk/pool.h"

#include <rte_arp.h>
#include <rte_ether.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALLOWANCE_NS 100000000 /* until the allowance of ICMP errors is whole again: net/icmp.h */

static struct {
	struct engine *engine;
	struct loop *control;
	struct arena *arena;
	struct appliance appliance;
	struct rte_mempool *pool;
	const char *error;
	uint64_t rest; /* clocks of turns that no node's are */
	uint64_t ahead; /* ns by which the gateway's clock is; never less than before */
	char dir[40];  /* of this process: its pipeline, and the sockets for `wg`, which a gateway of this box has elsewhere */
} box;

/* ---- Life ---- */

static void
applied(void *arg, const char *error)
{
	if (error)
		give_up(error);
	loop_stop(box.control);
}

static void
check(struct diags *d, const void *result)
{
	if (result)
		return;
	diags_print(d, stderr);
	exit(1);
}

static void
clean(void)
{
	rmdir(box.dir);
}

static void
make_dir(void)
{
	strcpy(box.dir, "/tmp/tailrace-bench-XXXXXX");
	if (!mkdtemp(box.dir) || atexit(clean) != 0)
		give_up("cannot make a temporary folder");
}

static struct plan *
load_pipeline(const char *text, struct catalogue *catalogue, struct diags *d)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/pipeline.yaml", box.dir);
	FILE *f = fopen(path, "we");
	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		give_up("cannot write a temporary file");
	struct plan *plan = pipeline_load(&box.appliance, path, catalogue, d);
	remove(path);
	return plan;
}

/* NULL: none is pinned. The first worker's own thread does nothing once it is parked. */
static const uint16_t *
choose_cpus(uint16_t *cpu, uint16_t workers)
{
	cpu_set_t set;
	uint16_t n = 1;

	sched_getaffinity(0, sizeof(set), &set);
	for (uint16_t i = 0; i < CPU_SETSIZE && n < workers; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	cpu[0] = cpu[1];
	return workers > 1 && n == workers ? cpu : NULL;
}

static void
start_engine(const char *plugins, const char *pipeline, uint16_t workers)
{
	struct diags d = {0};
	struct catalogue catalogue = {0};
	uint16_t cpu[MAX_WORKERS];
	char cfg[2048];

	box.arena = arena_new(1 << 20);
	char wireguard[256];
	snprintf(wireguard, sizeof(wireguard), "%s/transport/wireguard", plugins);
	int n = access(wireguard, F_OK) != 0 ? snprintf(cfg, sizeof(cfg), "plugins = { directories = [\"%s\"]; };", plugins) :
		snprintf(cfg, sizeof(cfg), "plugins = { directories = [\"%s\", \"%s/nat/stun\", \"%s/dns/magicdns\", \"%s/features/pktgen\"]; };",
			wireguard, plugins, plugins, plugins);
	if (n < 0 || (size_t)n > sizeof(cfg) - 256)
		give_up("the path of the plugins is too long");
	make_dir();
	snprintf(cfg + n, sizeof(cfg) - (size_t)n, "ports = { wan = { device = \"bench0\"; }; lan = { device = \"bench1\"; }; };"
		"limits = { peers = 200000; routes = 2000000; }; sockets = { uapi = \"%s\"; };", box.dir);
	check(&d, appliance_parse(box.arena, "bench", cfg, &box.appliance, &d) ? &box : NULL);
	struct plan *plan = load_pipeline(pipeline, &catalogue, &d);
	check(&d, plan);
	box.engine = engine_new(&(struct engine_config){.appliance = &box.appliance, .pool = box.pool,
		.control = box.control, .catalogue = catalogue, .workers = workers, .cpu = choose_cpus(cpu, workers)});
	if (!box.engine || engine_apply(box.engine, plan, NULL, applied, NULL) != 0)
		give_up("the engine does not start");
	loop_run(box.control);
}

void
box_start(const char *plugins, const char *pipeline, uint32_t max_peers, uint16_t workers)
{
	char why[256] = "";

	box.pool = box_ports_start();
	box.control = loop_new("control", 4096);
	if (crypto_init() != 0 || rcu_init() != 0 || netmap_init(max_peers, NULL, why, sizeof(why)) != 0 || !box.control)
		give_up(why[0] ? why : "out of memory");
	start_engine(plugins, pipeline, workers);
	box_ports_park(true);
	box.engine->busy_poll = workers > 1; /* not before: no thread must keep another from running, at any priority */
}

static void
closed(void *arg)
{
	loop_stop(box.control);
}

void
box_stop(void)
{
	box.engine->busy_poll = false;
	box_ports_park(false);
	if (engine_close(box.engine, closed, NULL) == 0)
		loop_run(box.control);
	engine_free(box.engine);
	loop_free(box.control);
	netmap_fini();
	rcu_fini();
	arena_free(box.arena);
	box_ports_stop(box.pool);
}

/* ---- Driving ---- */

unsigned
box_turn(void)
{
	struct worker *w = &box.engine->worker[0];

	w->t.gt.stamp = bench_clock();
	w->t.gt.now = clock_now(&w->clock) + box.ahead;
	unsigned work = worker_turn(w);
	if (w->t.gt.clocked && work > 0)
		box.rest += bench_clock() - w->t.gt.stamp;
	return work;
}

void
box_spread(bool on)
{
	spread_press(&box.engine->worker[0], on);
}

uint32_t
box_spread_out(bool not_done)
{
	const struct spread *s = &box.engine->worker[0].spread;
	uint32_t n = 0;

	for (uint32_t k = s->taken; k != s->posted; k++)
		n += !not_done || __atomic_load_n(&s->batch[k % SPREAD_BATCHES].done, __ATOMIC_ACQUIRE) != k + 1;
	return n;
}

uint32_t
box_left(enum box_port port)
{
	return box_port[port].n_out;
}

static struct slot *
slot_of(const char *instance)
{
	return engine_instance(box.engine, instance)->slot;
}

uint32_t
box_peer(const char *instance, const uint8_t public_key[32])
{
	return netmap_by_key(netmap_table(instance), public_key);
}

void *
box_block(const char *instance, const char *type, uint32_t peer)
{
	for (struct blocks_entry *b = slot_of(instance)->blocks; b; b = b->next)
		if (strcmp(b->type, type) == 0)
			return tr_block(&b->blocks, peer);
	give_up("no such state block");
}

uint32_t
box_index(const char *instance, uint32_t peer)
{
	return index_table_add(slot_of(instance)->indexes, 0, peer);
}

uint64_t
box_drops(void)
{
	struct graph_totals t;

	engine_totals(box.engine, &t);
	return t.drops;
}

/* Turns an ARP request for another address into its answer. False: it is none. */
static bool
answer_arp(const struct port *p, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_arp_hdr *arp = (struct rte_arp_hdr *)(eth + 1);

	if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_ARP) || arp->arp_opcode != rte_cpu_to_be_16(RTE_ARP_OP_REQUEST) ||
		arp->arp_data.arp_sip == arp->arp_data.arp_tip)
		return false;
	uint32_t asked = arp->arp_data.arp_tip;
	arp->arp_opcode = rte_cpu_to_be_16(RTE_ARP_OP_REPLY);
	arp->arp_data.arp_tip = arp->arp_data.arp_sip;
	arp->arp_data.arp_sip = asked;
	memcpy(arp->arp_data.arp_tha.addr_bytes, p->mac, 6);
	memcpy(arp->arp_data.arp_sha.addr_bytes, "\x02\xff\0\0\0\1", 6);
	memcpy(eth->dst_addr.addr_bytes, p->mac, 6);
	memcpy(eth->src_addr.addr_bytes, "\x02\xff\0\0\0\1", 6);
	return true;
}

/* The same for a neighbour solicitation, whose option becomes the answer's (RFC 4861 §4.3, §4.4). */
static bool
answer_nd(const struct port *p, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth = rte_pktmbuf_mtod(m, struct rte_ether_hdr *);
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)(eth + 1);
	uint8_t *icmp = (uint8_t *)(ip + 1);

	if (eth->ether_type != rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6) || m->data_len != sizeof(*eth) + sizeof(*ip) + 32 ||
		ip->proto != IPPROTO_ICMPV6 || icmp[0] != 135)
		return false;
	memcpy(ip->dst_addr, ip->src_addr, 16);
	memcpy(ip->src_addr, icmp + 8, 16);
	icmp[0] = 136;
	icmp[4] = 0x60; /* solicited, override */
	icmp[24] = 2;
	memcpy(icmp + 26, "\x02\xff\0\0\0\1", 6);
	memset(icmp + 2, 0, 2);
	uint16_t sum = tr_sum_fold(tr_sum(rte_cpu_to_be_32(IPPROTO_ICMPV6 << 16 | 32), ip->src_addr, 32 + 32));
	memcpy(icmp + 2, &sum, 2);
	memcpy(eth->dst_addr.addr_bytes, p->mac, 6);
	memcpy(eth->src_addr.addr_bytes, "\x02\xff\0\0\0\1", 6);
	return true;
}

/* Answers one question for a neighbour among what has left by a port. False: there was none. */
static bool
answer_one(struct port *p, uint32_t *scanned)
{
	static struct rte_mbuf *reply[1];

	port_collect(p);
	for (; *scanned < p->n_out; ++*scanned) {
		struct rte_mbuf *m = p->out[*scanned];
		if (!answer_arp(p, m) && !answer_nd(p, m))
			continue;
		memmove(p->out + *scanned, p->out + *scanned + 1, (--p->n_out - *scanned) * sizeof(*p->out)); /* in their order */
		reply[0] = m;
		p->in = reply;
		p->n_in = 1;
		port_supply(p);
		return true;
	}
	return false;
}

void
box_settle(void)
{
	uint32_t scanned[BOX_PORTS] = {0};

	for (unsigned idle = 0; idle < 100; idle++) {
		for (int i = 0; i < BOX_PORTS; i++)
			port_supply(&box_port[i]);
		if (box_turn() > 0 || box_spread_out(false) > 0)
			idle = 0;
		for (int i = 0; i < BOX_PORTS; i++)
			if (box_port[i].n_in == 0 && answer_one(&box_port[i], &scanned[i]))
				idle = 0;
	}
}

static unsigned
forward_alone(void)
{
	struct rte_mbuf *pkts[BOX_BURST];
	uint16_t n = 0;

	for (int i = 0; i < BOX_PORTS; i++) {
		n = port_rx(&box_port[i], 0, pkts, BOX_BURST);
		if (n > 0)
			port_tx(&box_port[!i], 0, pkts, n);
	}
	return n;
}

/* BOX_PACKETS packets, a burst a turn. */
static uint64_t
through(struct rte_mbuf **pkts, enum box_port in, enum box_port out, unsigned (*turn)(void), void (*before)(void))
{
	uint64_t clocks[BOX_PACKETS / BOX_BURST];

	box_feed(in, pkts, BOX_PACKETS);
	for (uint32_t i = 0; i < BOX_PACKETS / BOX_BURST; i++) {
		port_supply(&box_port[in]);
		if (before)
			before();
		uint64_t begin = bench_clock();
		turn();
		clocks[i] = bench_clock() - begin;
		if (box_port[in].lying == 0)
			port_collect(&box_port[out]); /* while nothing lies ready to grow cold */
	}
	return bench_median(clocks, BOX_PACKETS / BOX_BURST) * (BOX_PACKETS / BOX_BURST);
}

uint64_t
box_through(struct rte_mbuf **pkts, enum box_port in, enum box_port out)
{
	struct rte_mbuf **sent;
	uint64_t clocks = through(pkts, in, out, box_turn, NULL);

	box_settle();
	uint32_t n = box_sent(out, &sent);
	n = box_release(sent, n);
	if (n != BOX_PACKETS) {
		fprintf(stderr, "%u of %u packets came out\n", n, BOX_PACKETS);
		exit(1);
	}
	return clocks;
}

/* So much later that a burst may have its errors; what timers do about that is done before it comes. */
static void
time_goes_on(void)
{
	box.ahead += ALLOWANCE_NS;
	box_ports_shut(true);
	for (unsigned i = 0; i < 3; i++)
		box_turn();
	box_ports_shut(false);
}

uint64_t
box_refused(struct rte_mbuf **pkts, enum box_port in, bool as_they_come, uint32_t *errors)
{
	const uint64_t dropped = box_drops();
	struct rte_mbuf **sent;
	uint64_t clocks = through(pkts, in, in, box_turn, as_they_come ? NULL : time_goes_on);

	box_settle();
	const uint32_t n = box_sent(in, &sent);
	*errors = 0;
	for (uint32_t i = 0; i < n; i++)
		*errors += rte_pktmbuf_mtod(sent[i], const uint8_t *)[14 + 9] == IPPROTO_ICMP;
	box_release(sent, n);
	if (box_drops() - dropped < BOX_PACKETS)
		give_up("packets that were to be refused were not");
	return clocks;
}

uint64_t
box_port_alone(struct rte_mbuf **pkts, enum box_port in)
{
	struct rte_mbuf **sent;
	uint64_t clocks = through(pkts, in, !in, forward_alone, NULL);

	uint32_t n = box_sent(!in, &sent);
	box_release(sent, n);
	return clocks;
}

/* As a driver would have it: with room for headers before the frame. */
static void
arrive(struct rte_mbuf *m)
{
	uint8_t *at = (uint8_t *)m->buf_addr + TR_HEADROOM;

	memmove(at, rte_pktmbuf_mtod(m, uint8_t *), m->data_len);
	m->data_off = TR_HEADROOM;
}

void
box_cable(void)
{
	static struct rte_mbuf *cable[BOX_PORTS][BOX_LIMIT];

	for (int i = 0; i < BOX_PORTS; i++) {
		struct port *from = &box_port[i], *to = &box_port[!i];
		for (uint32_t k = 0; k < from->n_out; k++)
			arrive(from->out[k]);
		memmove(cable[i], to->in, to->n_in * sizeof(*cable[i])); /* what it has not taken yet lies there, too */
		memcpy(cable[i] + to->n_in, from->out, from->n_out * sizeof(*cable[i]));
		to->in = cable[i];
		to->n_in += from->n_out;
		from->n_out = 0;
	}
}

void
box_clock(bool on)
{
	const struct graph *g = box.engine->worker[0].t.lane->graph;

	for (unsigned k = 0; on && k < g->n; k++)
		g->node[k]->clocks = 0;
	g->thread->clocked = on;
}

void *
box_self(const char *instance)
{
	return engine_instance(box.engine, instance)->self;
}

uint32_t
box_jobs(void)
{
	return JOBS_MAX / box.engine->workers - box.engine->worker[0].n_job_free;
}

static void *
control_main(void *arg)
{
	loop_run(box.control);
	return NULL;
}

void
box_control(void (*during)(void *arg), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, control_main, NULL) != 0)
		give_up("no thread for control");
	during(arg);
	loop_stop(box.control);
	pthread_join(thread, NULL);
}

static double
quartile(uint64_t *clocks, unsigned runs)
{
	bench_median(clocks, runs);
	return (double)clocks[runs / 4] / BOX_PACKETS;
}

static struct box_node
node_of(const struct graph_node *n, double clocks)
{
	const struct tr_instance *i = n->pub.instance;
	struct box_node out = {.clocks = clocks};

	snprintf(out.name, sizeof(out.name), "%s.%s", i->name, n->process ? i->class_->in[n->pub.gate].name : "poll");
	return out;
}

unsigned
box_nodes(void (*prepare)(void *arg), void (*run)(void *arg), void *arg, unsigned runs, struct box_node *node)
{
	static uint64_t clocks[BOX_NODES][BOX_RUNS], rest[BOX_RUNS];
	const struct graph *g = box.engine->worker[0].t.lane->graph;
	unsigned n = 0;

	for (unsigned r = 0; r < runs; r++) {
		prepare(arg);
		for (unsigned k = 0; k < g->n; k++)
			g->node[k]->clocks = 0;
		box.rest = 0;
		g->thread->clocked = true;
		run(arg);
		g->thread->clocked = false;
		for (unsigned k = 0; k < g->n && k < BOX_NODES - 1; k++)
			clocks[k][r] = g->node[k]->clocks;
		rest[r] = box.rest;
	}
	node[n++] = (struct box_node){.name = "loop", .clocks = quartile(rest, runs)};
	for (unsigned k = 0; k < g->n && k < BOX_NODES - 1; k++) {
		double each = quartile(clocks[k], runs);
		if (each > 0)
			node[n++] = node_of(g->node[k], each);
	}
	return n;
}

unsigned
box_clocks(struct box_node *node)
{
	const struct graph *g = box.engine->worker[0].t.lane->graph;
	unsigned n = 0;

	for (; n < g->n && n < BOX_NODES; n++)
		node[n] = node_of(g->node[n], (double)g->node[n]->clocks);
	return n;
}

uint8_t *
box_udp(struct rte_mbuf *m, enum box_port port, const struct tr_addr *from, uint16_t from_port,
	const struct tr_addr *dst, uint16_t dst_port, uint16_t len)
{
	const bool four = from->family == 4;
	const uint16_t ip_len = four ? 20 : 40, total = (uint16_t)(ip_len + 8 + len);
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(14 + total)), *ip = p + 14;

	memcpy(p, box_port[port].mac, 6);
	memcpy(p + 6, "\x02\xff\0\0\0\1", 6);
	p[12] = four ? 0x08 : 0x86;
	p[13] = four ? 0x00 : 0xdd;
	if (four) {
		struct rte_ipv4_hdr h = {.version_ihl = RTE_IPV4_VHL_DEF, .total_length = rte_cpu_to_be_16(total),
			.time_to_live = 64, .next_proto_id = IPPROTO_UDP};
		memcpy(&h.src_addr, from->ip, 4);
		memcpy(&h.dst_addr, dst->ip, 4);
		h.hdr_checksum = tr_sum_fold(tr_sum(0, &h, sizeof(h)));
		memcpy(ip, &h, sizeof(h));
	} else {
		struct rte_ipv6_hdr h = {.vtc_flow = rte_cpu_to_be_32(6u << 28),
			.payload_len = rte_cpu_to_be_16((uint16_t)(total - 40)), .proto = IPPROTO_UDP, .hop_limits = 64};
		memcpy(h.src_addr, from->ip, 16);
		memcpy(h.dst_addr, dst->ip, 16);
		memcpy(ip, &h, sizeof(h));
	}
	struct rte_udp_hdr udp = {.src_port = rte_cpu_to_be_16(from_port), .dst_port = rte_cpu_to_be_16(dst_port),
		.dgram_len = rte_cpu_to_be_16((uint16_t)(8 + len))};
	memcpy(ip + ip_len, &udp, sizeof(udp));
	return ip + ip_len + 8;
}

void
box_udp6_checksum(uint8_t *payload, uint16_t len)
{
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(payload - 8);

	udp->dgram_cksum = 0;
	udp->dgram_cksum = tr_udp_checksum(udp, payload - 8 - 32, 32, (uint16_t)(8 + len));
}
