/* SPDX-License-Identifier: BSD-3-Clause */
/* drop: where a pipeline throws packets away on purpose. */
#include "net/classes.h"

enum { DROPPED };

static void
drop_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = TR_DROP(DROPPED);
}

static void
drop_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	trace_ip(data, len, meta, text, size);
}

static void *
drop_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	return instance; /* no state: any pointer that is not NULL */
}

static void
drop_destroy(void *self)
{
}

static const struct tr_option drop_options[] = {{0}};
static const struct tr_in_gate drop_in[] = {
	{"in", TR_TYPE_ANY, .process = drop_process, .trace = drop_trace, .doc = "everything that should go nowhere"}, {0}};
static const struct tr_out_gate drop_out[] = {{0}};
static const struct tr_drop_reason drop_drops[] = {{"drop", "linked to an instance of class drop"}, {0}};
static const struct tr_counter drop_counters[] = {{0}};

const struct tr_class class_drop = {
	.name = "drop",
	.summary = "Sink: counts and drops",
	.options = drop_options,
	.in = drop_in,
	.out = drop_out,
	.drops = drop_drops,
	.counters = drop_counters,
	.create = drop_create,
	.destroy = drop_destroy,
};
