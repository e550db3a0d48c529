/* SPDX-License-Identifier: BSD-3-Clause */
/* mux: hands datagrams to the instance that listens on their port; where several do, first bytes decide. */
#include "engine.h"
#include "net/classes.h"
#include "net/ip.h"

#include <stdlib.h>

enum { MUX_DROP_NO_PORT, MUX_DROP_NO_MATCH, MUX_DROP_SHORT };
enum { MUX_ICMP, MUX_HOST, MUX_SERVICES }; /* out gates; those of the services begin at the last */
enum { MUX_GATES_MAX = 255, NONE = 0 };

struct mux {
	bool host; /* gate host is linked */
	uint8_t first[65536]; /* port -> gate + 1, the head of a chain; NONE */
	uint32_t bound, n_bound;      /* ports that stand for another one; n_bound 0: none */
	struct {
		const struct tr_match *match; /* NULL: takes everything; last of its chain */
		uint8_t next;                 /* gate + 1, or NONE */
	} gate[MUX_GATES_MAX];
};

static bool
matches(const struct tr_match *match, const uint8_t *data, uint32_t len)
{
	if (match == NULL)
		return true;
	for (; match->mask != 0; match++) {
		uint64_t v = 0;
		if (len < match->min_len || len < match->offset)
			continue;
		uint32_t n = len - match->offset;
		memcpy(&v, data + match->offset, n < 8 ? n : 8);
		if ((__builtin_bswap64(v) & match->mask) == match->value)
			return true;
	}
	return false;
}

static uint16_t
dispatch(const struct mux *mux, struct rte_mbuf *m)
{
	struct tr_meta *meta = tr_meta(m);
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t head = meta->l3_len + (uint32_t)UDP_LEN;
	if (m->data_len < head)
		return TR_DROP(MUX_DROP_SHORT);
	unsigned g = mux->first[meta->endpoint.local_port];
	if (g == NONE)
		return mux->host ? MUX_HOST : TR_DROP(MUX_DROP_NO_PORT);
	if (unlikely(meta->endpoint.local_port - mux->bound < mux->n_bound))
		meta->endpoint.flags |= TR_ENDPOINT_BOUND;
	do {
		if (matches(mux->gate[g - 1].match, data + head, m->data_len - head))
			return (uint16_t)(g - 1);
		g = mux->gate[g - 1].next;
	} while (g != NONE);
	return TR_DROP(MUX_DROP_NO_MATCH);
}

static void
mux_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	const struct mux *mux = node->self;
	for (uint16_t i = 0; i < n; i++) {
		gate[i] = dispatch(mux, pkts[i]);
		if (unlikely(gate[i] == TR_DROP(MUX_DROP_NO_PORT)))
			node->host->icmp_error(node, MUX_ICMP, pkts[i], TR_ICMP_PORT, 0);
	}
}

/* Appends to the port's chain; those that take everything come last, and there may be one. */
static bool
mux_add(struct mux *mux, uint16_t port, uint8_t gate, const struct tr_match *match)
{
	uint8_t *at = &mux->first[port];
	while (*at != NONE && mux->gate[*at - 1].match != NULL)
		at = &mux->gate[*at - 1].next;
	if (*at != NONE && match == NULL)
		return false;
	mux->gate[gate].match = match;
	mux->gate[gate].next = *at;
	*at = (uint8_t)(gate + 1);
	return true;
}

/* On a port of its own an instance gets everything: what it can't use it drops under reasons of its own. */
static void
mux_unshare(struct mux *mux)
{
	for (unsigned port = 0; port < 65536; port++) {
		const unsigned g = mux->first[port];
		if (g != NONE && mux->gate[g - 1].next == NONE)
			mux->gate[g - 1].match = NULL;
	}
}

/* More ports for those that share `port`. */
static bool
mux_bind(struct mux *mux, uint64_t first, uint16_t port)
{
	if (first + TR_LISTEN_ALSO_PORTS > 65536)
		return false;
	if (mux->n_bound != 0) /* another one that shares the port has asked for the same */
		return mux->bound == first && mux->first[first] == mux->first[port];
	mux->bound = (uint32_t)first;
	mux->n_bound = TR_LISTEN_ALSO_PORTS;
	for (unsigned i = 0; i < TR_LISTEN_ALSO_PORTS; i++) {
		if (mux->first[first + i] != NONE)
			return false;
		mux->first[first + i] = mux->first[port];
	}
	return true;
}

/* Once all chains are complete. */
static bool
mux_bind_all(struct mux *mux, struct tr_instance *instance, const struct tr_host *host)
{
	const struct plan_instance *me = instance->plan_instance;
	for (unsigned g = MUX_SERVICES; g < me->n_out; g++) {
		const struct plan_instance *to = &instance->plan->instance[me->out[g].to];
		const uint64_t also = plan_option_flag(to, TR_OPT_LISTEN_ALSO);
		if (also == 0 || mux_bind(mux, also, (uint16_t)plan_option_flag(to, TR_OPT_LISTEN)))
			continue;
		host->fail(instance, "`%s`: not all of the %u ports from %u on are free", to->name, TR_LISTEN_ALSO_PORTS, (unsigned)also);
		return false;
	}
	return true;
}

static void *
mux_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct plan_instance *me = instance->plan_instance;
	struct mux *mux = calloc(1, sizeof(*mux));
	if (mux == NULL || me->n_out > MUX_GATES_MAX) {
		host->fail(instance, mux == NULL ? "out of memory" : "more than 255 gates");
		free(mux);
		return NULL;
	}
	mux->host = me->out[MUX_HOST].to >= 0;
	for (unsigned g = MUX_SERVICES; g < me->n_out; g++) {
		const struct plan_instance *to = &instance->plan->instance[me->out[g].to];
		uint64_t port = plan_option_flag(to, TR_OPT_LISTEN);
		if (port == 0 || port > UINT16_MAX) {
			host->fail(instance, "gate `%s` leads to `%s`, which has no port to listen on", me->out[g].name, to->name);
			free(mux);
			return NULL;
		}
		if (!mux_add(mux, (uint16_t)port, (uint8_t)g, to->class_->in[me->out[g].to_gate].match)) {
			host->fail(instance, "`%s`: another instance already takes all of port %u", to->name, (unsigned)port);
			free(mux);
			return NULL;
		}
	}
	mux_unshare(mux);
	if (!mux_bind_all(mux, instance, host)) {
		free(mux);
		return NULL;
	}
	return mux;
}

static void
mux_destroy(void *self)
{
	free(self);
}

static const struct tr_option mux_options[] = {{0}};
static const struct tr_in_gate mux_in[] = {
	{"in", TR_TYPE_UDP, .process = mux_process, .trace = trace_ip, .doc = "datagrams for this box"}, {0}};
static const struct tr_out_gate mux_out[] = {
	[MUX_ICMP] = {"icmp", TR_TYPE_IP, TR_GATE_OPTIONAL, TR_META_L3, "port unreachable, for datagrams that nobody listens for"},
	[MUX_HOST] = {"host", TR_TYPE_IP, TR_GATE_OPTIONAL, TR_META_L3,
		"datagrams that nobody listens for: for the kernel of this box (class host)"},
	{"*", TR_TYPE_UDP, TR_GATE_DYNAMIC, .doc = "an instance with a port to listen on"},
	{0},
};
static const struct tr_drop_reason mux_drops[] = {
	[MUX_DROP_NO_PORT] = {"no_port", "nobody listens on the destination port"},
	[MUX_DROP_NO_MATCH] = {"no_match", "none of those that share the port knows the first bytes"},
	[MUX_DROP_SHORT] = {"short", "shorter than its UDP header"},
	{0},
};
static const struct tr_counter mux_counters[] = {{0}};

const struct tr_class class_mux = {
	.name = "mux",
	.summary = "Dispatches datagrams by destination port, then by first bytes",
	.options = mux_options,
	.in = mux_in,
	.out = mux_out,
	.drops = mux_drops,
	.counters = mux_counters,
	.create = mux_create,
	.destroy = mux_destroy,
};
