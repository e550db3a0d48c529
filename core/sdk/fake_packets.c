/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets of the fake host: into process(), along internal gates, out to the test; and the books that must balance. */
#include "fake.h"

#include "../net/icmp.h"

#include <rte_ip.h>
#include <rte_udp.h>
#include <stdlib.h>

#define NO_VERDICT 0x7ffeu

enum { DROP_LOOP, DROP_UNLINKED, HOST_DROPS }; /* counted behind the class's own reasons */
static const char *const host_drops[HOST_DROPS] = {"graph_loop", "unlinked"};

static const char *
drop_name(const struct fh *h, uint16_t reason)
{
	return reason < h->n_drops ? h->instance.class_->drops[reason].name : host_drops[reason - h->n_drops];
}

/* Keeps a copy for the test; the packet is gone then. */
static void
record(struct fh *h, const char *gate, const char *drop, struct rte_mbuf *m)
{
	struct fake_out *o = malloc(sizeof(*o) + m->data_len);

	if (!o)
		abort();
	memcpy(o->data, rte_pktmbuf_mtod(m, const void *), m->data_len);
	o->out = (struct fh_out){.gate = gate, .drop = drop, .data = o->data, .len = m->data_len, .meta = *tr_meta(m)};
	STAILQ_INSERT_TAIL(&h->outs, o, link);
	rte_pktmbuf_free(m);
}

static void
drop(struct fh *h, struct rte_mbuf *m, uint16_t reason)
{
	if (reason >= h->n_drops + HOST_DROPS) {
		fake_failed("class %s: drop reason %u, but it has %u", h->instance.class_->name, reason, h->n_drops);
		return;
	}
	h->drop_count[reason]++;
	record(h, NULL, drop_name(h, reason), m);
}

void
fake_enqueue(struct fh *h, uint16_t worker, uint16_t gate, struct rte_mbuf *m)
{
	struct fake_packet *p = malloc(sizeof(*p));

	if (!p)
		abort();
	*p = (struct fake_packet){.m = m, .worker = worker, .gate = gate};
	STAILQ_INSERT_TAIL(&h->queue, p, link);
}

int
fake_in_gate(struct fh *h, const char *name)
{
	for (uint16_t g = 0; g < h->n_in; g++)
		if (strcmp(h->instance.class_->in[g].name, name) == 0)
			return g;
	return -1;
}

static void
follow(struct fh *h, const struct tr_node *from, const struct tr_out_gate *out, struct rte_mbuf *m)
{
	struct tr_meta *meta = tr_meta(m);
	int to = fake_in_gate(h, out->name);
	uint16_t worker = from->worker;

	if (to < 0) {
		fake_failed("class %s: internal out gate %s has no in gate of its name", h->instance.class_->name, out->name);
		return;
	}
	if (to <= from->gate && ++meta->passes > TR_MAX_PASSES) {
		drop(h, m, h->n_drops + DROP_LOOP);
		return;
	}
	if (h->instance.class_->in[to].flags & TR_GATE_SERVICE)
		worker = TR_NO_WORKER;
	else if (out->flags & TR_GATE_BY_PEER)
		worker = fake_owner(h->world, meta->peer);
	else if (worker == TR_NO_WORKER)
		worker = 0;
	fake_enqueue(h, worker, (uint16_t)to, m);
}

static void
leave(struct fh *h, const struct tr_node *from, uint16_t gate, struct rte_mbuf *m)
{
	const struct tr_out_gate *out = h->instance.class_->out;

	if (m->nb_segs != 1 || m->pkt_len != m->data_len)
		fake_failed("class %s: packet with %u segments, length %u of %u", h->instance.class_->name, m->nb_segs,
			m->data_len, m->pkt_len);
	if (gate >= h->n_out)
		fake_failed("class %s: out gate %u, but it has %u", h->instance.class_->name, gate, h->n_out);
	else if (out[gate].name && out[gate].flags & TR_GATE_INTERNAL)
		follow(h, from, &out[gate], m);
	else
		record(h, h->gate[gate], NULL, m);
}

static void
run_node(struct fh *h, struct tr_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	const struct tr_in_gate *in = &h->instance.class_->in[node->gate];
	uint16_t gate[TR_BURST];

	for (uint16_t i = 0; i < n; i++) {
		gate[i] = NO_VERDICT;
		pool_guard(pkts[i]);
	}
	fake_enter(h->world, node->worker == TR_NO_WORKER ? BY_SERVICE : BY_WORKER, node->worker);
	in->process(node, pkts, n, gate);
	fake_enter(h->world, BY_CONTROL, 0);
	for (uint16_t i = 0; i < n; i++) {
		if (gate[i] == TR_HELD)
			h->world->held++;
		else if (gate[i] == NO_VERDICT)
			fake_failed("class %s: process() of %s gave no verdict for packet %u of %u", h->instance.class_->name,
				in->name, i, n);
		else if (gate[i] & 0x8000u)
			drop(h, pkts[i], gate[i] & 0x7fffu);
		else
			leave(h, node, gate[i], pkts[i]);
	}
}

/* The oldest packet's node gets it and all that wait for the same node, in order, up to a burst. */
static void
run_oldest(struct fh *h)
{
	struct fake_packet *p = STAILQ_FIRST(&h->queue), *next;
	struct rte_mbuf *pkts[TR_BURST];
	uint16_t n = 0, worker = p->worker, gate = p->gate;
	uint16_t row = worker == TR_NO_WORKER ? h->world->workers : worker;

	for (; p && n < TR_BURST; p = next) {
		next = STAILQ_NEXT(p, link);
		if (p->worker != worker || p->gate != gate)
			continue;
		pkts[n++] = p->m;
		STAILQ_REMOVE(&h->queue, p, fake_packet, link);
		free(p);
	}
	run_node(h, &h->nodes[(size_t)row * (h->n_in + 1u) + gate], pkts, n);
}

void
fake_run(struct fh *h)
{
	struct world *w = h->world;
	uint32_t in_use;

	while (!STAILQ_EMPTY(&h->queue))
		run_oldest(h);
	in_use = pool_in_use(w->pool);
	if (in_use != w->held + w->loose)
		fake_failed("class %s: %u packets in use, %u held: %s", h->instance.class_->name, in_use, w->held + w->loose,
			in_use > w->held + w->loose ? "leaked" : "freed behind the host's back");
}

/* ---- What the plugin calls ---- */

static struct rte_mbuf *
host_packet_new(struct tr_node *node)
{
	struct world *w = fake_of(node->instance)->world;
	struct rte_mbuf *m;

	if (!fake_allow(node->instance, BY_WORKER | BY_SERVICE, "packet_new"))
		return NULL;
	m = rte_pktmbuf_alloc(w->pool);
	if (!m)
		return NULL;
	memset(tr_meta(m), 0, sizeof(struct tr_meta));
	tr_meta(m)->in = TR_IN_SELF;
	tr_meta(m)->time = w->now;
	pool_guard(m);
	w->held++;
	return m;
}

static bool
unhold(struct fh *h, uint32_t n, const char *call)
{
	if (h->world->held < n) {
		fake_failed("class %s: %s() of a packet that is not held", h->instance.class_->name, call);
		return false;
	}
	h->world->held -= n;
	return true;
}

static void
host_packet_drop(struct tr_node *node, struct rte_mbuf *m, uint16_t reason)
{
	struct fh *h = fake_of(node->instance);

	if (fake_allow(node->instance, BY_WORKER | BY_SERVICE, "packet_drop") && unhold(h, 1, "packet_drop"))
		drop(h, m, reason);
}

static void
host_emit(struct tr_node *node, uint16_t gate, struct rte_mbuf *const *pkts, uint16_t n)
{
	struct fh *h = fake_of(node->instance);

	if (!fake_allow(node->instance, BY_WORKER | BY_SERVICE, "emit") || !unhold(h, n, "emit"))
		return;
	for (uint16_t i = 0; i < n; i++)
		leave(h, node, gate, pkts[i]);
}

static enum tr_icmp_fate
host_icmp_error(struct tr_node *node, uint16_t gate, const struct rte_mbuf *pkt, enum tr_icmp why, uint32_t arg)
{
	if (!fake_allow(node->instance, BY_WORKER | BY_SERVICE, "icmp_error"))
		return TR_ICMP_NOT_DUE;
	return icmp_send(node, gate, pkt, why, arg, &fake_of(node->instance)->world->icmp_since);
}

void
fake_packets_host(struct tr_host *host)
{
	host->icmp_error = host_icmp_error;
	host->packet_new = host_packet_new;
	host->packet_drop = host_packet_drop;
	host->emit = host_emit;
}

void
fake_gates(struct fh *h, const char *const *dynamic, unsigned n)
{
	const struct tr_out_gate *out = h->instance.class_->out;
	unsigned fixed = 0;

	while (out && out[fixed].name && !(out[fixed].flags & TR_GATE_DYNAMIC))
		fixed++;
	h->gate = calloc(fixed + n + 1u, sizeof(*h->gate));
	if (!h->gate)
		abort();
	for (unsigned i = 0; i < fixed; i++)
		h->gate[i] = out[i].name;
	for (unsigned i = 0; i < n; i++)
		h->gate[fixed + i] = dynamic[i];
	h->n_out = (uint16_t)(fixed + n);
}

/* ---- What the test calls ---- */

struct rte_mbuf *
fh_packet(struct fh *h, const void *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(h->world->pool);
	char *p = m && len <= UINT16_MAX ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;

	if (!p) {
		fake_failed("a packet of %zu bytes does not fit into the pool (packet_size)", len);
		return NULL;
	}
	memcpy(p, data, len);
	memset(tr_meta(m), 0, sizeof(struct tr_meta));
	tr_meta(m)->time = h->world->now;
	h->world->loose++;
	return m;
}

/* What an interface has written when a packet reaches a gate of type ip or udp. */
static void
describe(struct rte_mbuf *m, enum tr_gate_type type)
{
	const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
	struct tr_meta *meta = tr_meta(m);
	bool v6 = m->data_len >= 40 && d[0] >> 4 == 6;
	uint8_t size = v6 ? 16 : 4;
	const uint8_t *src = d + (v6 ? 8 : 12), *l4;

	if (!v6 && (m->data_len < 20 || d[0] >> 4 != 4))
		return;
	meta->l3_len = v6 ? 40 : (uint8_t)((d[0] & 15) * 4);
	meta->l4 = d[v6 ? 6 : 9];
	meta->tos = v6 ? (uint8_t)(d[0] << 4 | d[1] >> 4) : d[1];
	meta->flags = TR_META_CSUM_OK;
	if (type != TR_TYPE_UDP || m->data_len < meta->l3_len + 8)
		return;
	l4 = d + meta->l3_len;
	meta->endpoint = (struct tr_endpoint){.family = v6 ? 6 : 4, .remote_port = (uint16_t)(l4[0] << 8 | l4[1]),
		.local_port = (uint16_t)(l4[2] << 8 | l4[3])};
	memcpy(meta->endpoint.remote, src, size);
	memcpy(meta->endpoint.local, src + size, size);
}

struct rte_mbuf *
fh_udp4(struct fh *h, const uint8_t from[4], uint16_t from_port, const uint8_t to[4], uint16_t to_port, const void *payload,
	size_t len)
{
	struct {
		struct rte_ipv4_hdr ip;
		struct rte_udp_hdr udp;
		uint8_t payload[];
	} *packet = calloc(1, 28 + len);

	if (!packet)
		abort();
	packet->ip = (struct rte_ipv4_hdr){.version_ihl = 0x45, .total_length = rte_cpu_to_be_16((uint16_t)(28 + len)), .time_to_live = 64,
		.next_proto_id = IPPROTO_UDP};
	memcpy(&packet->ip.src_addr, from, 4);
	memcpy(&packet->ip.dst_addr, to, 4);
	packet->ip.hdr_checksum = rte_ipv4_cksum(&packet->ip);
	packet->udp = (struct rte_udp_hdr){.src_port = rte_cpu_to_be_16(from_port), .dst_port = rte_cpu_to_be_16(to_port),
		.dgram_len = rte_cpu_to_be_16((uint16_t)(8 + len))};
	memcpy(packet->payload, payload, len);
	struct rte_mbuf *m = fh_packet(h, packet, 28 + len);
	free(packet);
	if (m)
		describe(m, TR_TYPE_UDP);
	return m;
}

void
fh_send_mbufs(struct fh *h, uint16_t worker, const char *in_gate, struct rte_mbuf **pkts, uint16_t n)
{
	int gate = fake_in_gate(h, in_gate);

	if (gate < 0 || worker >= h->world->workers) {
		fake_failed("class %s: no in gate %s on worker %u", h->instance.class_->name, in_gate, worker);
		return;
	}
	if (h->instance.class_->in[gate].flags & TR_GATE_SERVICE)
		worker = TR_NO_WORKER;
	for (uint16_t i = 0; i < n; i++)
		fake_enqueue(h, worker, (uint16_t)gate, pkts[i]);
	h->world->loose -= n;
	fake_run(h);
}

void
fh_send(struct fh *h, const char *in_gate, const void *data, size_t len)
{
	struct rte_mbuf *m = fh_packet(h, data, len);
	int gate = fake_in_gate(h, in_gate);

	if (gate >= 0 && m && (h->instance.class_->in[gate].type == TR_TYPE_UDP || h->instance.class_->in[gate].type == TR_TYPE_IP))
		describe(m, h->instance.class_->in[gate].type);
	fh_send_mbufs(h, 0, in_gate, &m, 1);
}

const struct fh_out *
fh_next(struct fh *h)
{
	free(h->taken);
	h->taken = STAILQ_FIRST(&h->outs);
	if (!h->taken)
		return NULL;
	STAILQ_REMOVE_HEAD(&h->outs, link);
	return &h->taken->out;
}

uint32_t
fh_drops(struct fh *h, const char *reason)
{
	for (uint16_t i = 0; i < h->n_drops + HOST_DROPS; i++)
		if (strcmp(drop_name(h, i), reason) == 0)
			return (uint32_t)h->drop_count[i];
	fake_failed("class %s has no drop reason %s", h->instance.class_->name, reason);
	return 0;
}

uint32_t
fh_held(struct fh *h)
{
	return h->world->held;
}
