/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/rig.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/icmp.h"
#include "sdk/pool.h"

struct port {
	struct rte_mbuf *rx[64];
	uint16_t n;
};

/* Not cmocka's: fuzz targets use the rig too. cmocka reports the signal. */
#define must(c)                                                                                                        \
	do {                                                                                                           \
		if (!(c)) {                                                                                            \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #c);                                       \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

static struct rig *rig;
static struct rte_mempool *pool;
static struct port the_port;
static uint8_t *block_memory;
static uint64_t icmp_since;
static struct tr_blocks the_blocks;
static const uint8_t port_mac[6] = {0x02, 0, 0, 0, 0, 1};

static void run(struct tr_node *node, unsigned in, struct rte_mbuf **pkts, uint16_t n);

/* ---- The port ---- */

struct port *
port_find(const char *name)
{
	return strcmp(name, "none") == 0 ? NULL : &the_port;
}

const struct port *
port_of_device(unsigned ifindex)
{
	return NULL;
}

void
port_show(const struct port *p, struct port_info *out)
{
	*out = (struct port_info){.name = "p", .device = "test", .driver = "test", .mtu = 1500, .queues = 1, .up = true};
	memcpy(out->mac, port_mac, 6);
}

uint16_t
port_rx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t got = p->n < n ? p->n : n;
	memcpy(pkts, p->rx, got * sizeof(*pkts));
	memmove(p->rx, p->rx + got, (size_t)(p->n - got) * sizeof(*pkts));
	p->n = (uint16_t)(p->n - got);
	return got;
}

static struct rig_out *
record(struct rte_mbuf *m, uint16_t verdict)
{
	must(rig->n_out < RIG_OUT);
	struct rig_out *o = &rig->out[rig->n_out++];
	must(m->data_len <= sizeof(o->data));
	o->verdict = verdict;
	o->len = m->data_len;
	memcpy(o->data, rte_pktmbuf_mtod(m, void *), m->data_len);
	o->meta = *tr_meta(m);
	rte_pktmbuf_free(m);
	return o;
}

uint16_t
port_tx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t take = n < rig->port_takes ? n : rig->port_takes;
	for (uint16_t i = 0; i < take; i++)
		record(pkts[i], RIG_SENT);
	return take;
}

struct tun *
port_tun(const struct port *p)
{
	return NULL;
}

bool
port_csum_offload(const struct port *p)
{
	return false;
}

void
engine_stir(struct engine *e)
{
	(void)e;
}

void
engine_sent(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n)
{
	(void)node;
	(void)pkts;
	(void)n;
}

uint64_t
plan_option_flag(const struct plan_instance *i, enum tr_option_flag flag)
{
	for (const struct tr_option *o = i->class_->options; o->key != NULL; o++)
		if ((o->flags & flag) != 0)
			return *(const uint64_t *)((const char *)i->options + o->offset);
	return 0;
}

/* ---- The runner ---- */

static void
settle(struct tr_node *node, struct rte_mbuf *m, uint16_t verdict)
{
	const struct tr_class *c = rig->instance.class_;
	if (verdict == TR_SENT)
		return;
	if (verdict == TR_HELD) {
		rig->held++;
		return;
	}
	if ((verdict & 0x8000u) != 0) {
		rig->drops++;
		record(m, verdict);
		return;
	}
	unsigned g = 0;
	while (c->out[g].name != NULL && g < verdict)
		g++;
	if (c->out[g].name == NULL || (c->out[g].flags & TR_GATE_INTERNAL) == 0) {
		rig->gates++;
		record(m, verdict);
		return;
	}
	for (unsigned in = 0; c->in[in].name != NULL; in++)
		if (strcmp(c->in[in].name, c->out[g].name) == 0) {
			run(node, in, &m, 1);
			return;
		}
	must(!"an internal gate without its other side");
}

static void
run(struct tr_node *node, unsigned in, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t gate[TR_BURST];
	for (uint16_t i = 0; i < n; i++)
		pool_guard(pkts[i]);
	rig->instance.class_->in[in].process(node, pkts, n, gate);
	for (uint16_t i = 0; i < n; i++)
		settle(node, pkts[i], gate[i]);
}

void
graph_receive(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	rig->rx += n;
	for (uint16_t i = 0; i < n; i++)
		settle(node, pkts[i], gate[i]);
}

void
graph_sent(struct tr_node *node, uint16_t n)
{
	rig->tx += n;
}

bool
graph_linked(struct tr_node *node, uint16_t gate)
{
	return gate < 8 && rig->linked[gate];
}

unsigned
graph_room(struct tr_node *node, uint16_t gate)
{
	return RIG_OUT;
}

bool
graph_crowded(struct tr_node *node, uint16_t gate)
{
	return false;
}

/* ---- The host ---- */

static void
host_fail(struct tr_instance *i, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(rig->failure, sizeof(rig->failure), format, ap);
	va_end(ap);
}

static void
host_log(struct tr_instance *i, enum tr_log_level level, const char *format, ...)
{
}

static struct rte_mbuf *
host_packet_new(struct tr_node *node)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	if (m == NULL)
		return NULL;
	memset(tr_meta(m), 0, sizeof(struct tr_meta));
	pool_guard(m);
	rig->created++;
	rig->held++;
	return m;
}

static void
host_packet_drop(struct tr_node *node, struct rte_mbuf *m, uint16_t reason)
{
	rig->held--;
	settle(node, m, TR_DROP(reason));
}

static void
host_emit(struct tr_node *node, uint16_t gate, struct rte_mbuf *const *pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		rig->held--;
		settle(node, pkts[i], gate);
	}
}

static enum tr_icmp_fate
host_icmp_error(struct tr_node *node, uint16_t gate, const struct rte_mbuf *pkt, enum tr_icmp why, uint32_t arg)
{
	return icmp_send(node, gate, pkt, why, arg, &icmp_since);
}

static const struct tr_blocks *
host_blocks(struct tr_instance *i, const char *type, uint32_t layout, size_t size, bool per_peer)
{
	if (block_memory == NULL)
		block_memory = calloc(1, size);
	the_blocks = (struct tr_blocks){.base = block_memory, .stride = size, .count = 1};
	return &the_blocks;
}

static void
host_defer(struct tr_instance *i, void (*fn)(void *), void *ptr)
{
	fn(ptr);
}

static uint64_t
host_now(struct tr_instance *i)
{
	return rig->now;
}

static void
fixed_random(void *p, size_t n)
{
	memset(p, 0x5a, n);
}

static const struct tr_crypto crypto = {.random = fixed_random};
static const struct tr_host host = {.size = sizeof(host), .workers = 1, .fail = host_fail, .log = host_log,
	.packet_new = host_packet_new, .packet_drop = host_packet_drop, .emit = host_emit, .blocks = host_blocks,
	.defer = host_defer, .now = host_now, .icmp_error = host_icmp_error,
	.crypto = &crypto};

/* ---- The test's side ---- */

bool
rig_open(struct rig *r, const struct tr_class *c, const char *name, void *options, void (*plan)(struct rig *))
{
	memset(r, 0, sizeof(*r));
	rig = r;
	pool = pool_new("rig", 4096, 2176);
	icmp_since = 0;
	r->port_takes = TR_BURST;
	r->now = 1000000000;
	r->plan.instance = r->pi;
	r->plan.n_instances = 8;
	r->pi[0] = (struct plan_instance){.name = name, .class_ = c, .options = options, .out = r->gate};
	if (plan != NULL)
		plan(r);
	r->instance = (struct tr_instance){.name = name, .class_ = c, .options = options, .plan = &r->plan,
		.plan_instance = &r->pi[0]};
	r->self = c->create(&r->instance, &host, options);
	if (r->self == NULL) {
		pool_free(pool);
		return false;
	}
	r->node[0] = (struct tr_node){.self = r->self, .host = &host, .instance = &r->instance, .count = r->count,
		.now = &r->now};
	r->node[0].local = c->worker_init != NULL ? c->worker_init(r->self, 0) : NULL;
	return true;
}

void
rig_close(struct rig *r)
{
	const struct tr_class *c = r->instance.class_;
	if (c->worker_fini != NULL)
		c->worker_fini(&r->node[0]);
	c->destroy(r->self);
	must(r->held == 0);
	must(r->rx + r->created == r->tx + r->drops + r->gates);
	must(pool_in_use(pool) == 0);
	pool_free(pool);
	free(block_memory);
	block_memory = NULL;
}

struct rte_mbuf *
rig_packet(struct rig *r, const void *data, size_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	memset(tr_meta(m), 0, sizeof(struct tr_meta));
	memcpy(rte_pktmbuf_append(m, (uint16_t)len), data, len);
	return m;
}

static unsigned
in_gate(const struct tr_class *c, const char *name)
{
	unsigned g = 0;
	while (strcmp(c->in[g].name, name) != 0)
		g++;
	return g;
}

void
rig_send(struct rig *r, const char *in, const void *data, size_t len, const struct tr_meta *meta)
{
	const struct tr_class *c = r->instance.class_;
	struct rte_mbuf *m = rig_packet(r, data, len);
	char text[256];
	if (meta != NULL)
		*tr_meta(m) = *meta;
	c->in[in_gate(c, in)].trace(data, (uint32_t)len, tr_meta(m), text, sizeof(text));
	rig_burst(r, in, &m, 1);
}

void
rig_burst(struct rig *r, const char *in, struct rte_mbuf **pkts, uint16_t n)
{
	r->rx += n;
	run(&r->node[0], in_gate(r->instance.class_, in), pkts, n);
}

void
rig_receive(struct rig *r, const void *data, size_t len)
{
	the_port.rx[the_port.n++] = rig_packet(r, data, len);
	rig_poll(r);
}

void
rig_poll(struct rig *r)
{
	r->instance.class_->poll(&r->node[0]);
}

const struct rig_out *
rig_next(struct rig *r)
{
	return r->taken < r->n_out ? &r->out[r->taken++] : NULL;
}

const char *
rig_verdict(const struct rig *r, const struct rig_out *o)
{
	static char text[64];
	const struct tr_class *c = r->instance.class_;
	if (o == NULL)
		return "nothing";
	if (o->verdict == RIG_SENT)
		return "sent";
	if ((o->verdict & 0x8000u) != 0)
		snprintf(text, sizeof(text), "drop %s", c->drops[o->verdict & 0x7fffu].name);
	else
		snprintf(text, sizeof(text), "gate %u", o->verdict);
	return text;
}

void
rig_mac(uint8_t mac[6])
{
	memcpy(mac, port_mac, 6);
}

size_t
rig_hex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;
	for (; *hex != 0; hex++) {
		if (isspace((unsigned char)*hex))
			continue;
		unsigned byte;
		must(sscanf(hex, "%2x", &byte) == 1);
		must(n < size);
		out[n++] = (uint8_t)byte;
		hex++;
	}
	return n;
}
