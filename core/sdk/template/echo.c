/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A UDP echo service (RFC 862): the smallest plugin that does something. One file, one class, one node; in this order:
 * gates and drops as enums, options, the node, the life of an instance, the tables, the descriptor.
 */
#include <stdlib.h>
#include <tailrace/host.h>
#include <tailrace/udp.h>

enum { OUT_OUT };
enum { DROP_TOO_LONG };
enum { COUNT_ECHOED };

struct options {
	uint64_t listen, max;
};

struct self {
	const struct options *options; /* the core's; valid until reconfigure() or destroy() */
};

/* Worker thread: no lock, no allocation, no log, no system call. */
static void
process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	const struct self *self = node->self;

	for (uint16_t i = 0; i < n; i++) {
		size_t len;

		tr_udp_payload(pkts[i], &len);
		if (len > self->options->max) {
			gate[i] = TR_DROP(DROP_TOO_LONG);
			continue;
		}
		tr_udp_reply(pkts[i], len);
		node->count[COUNT_ECHOED]++;
		gate[i] = OUT_OUT;
	}
}

static void *
create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct self *self = calloc(1, sizeof(*self));

	if (!self)
		host->fail(instance, "out of memory");
	else
		self->options = options;
	return self;
}

static void
reconfigure(void *p, const void *options)
{
	struct self *self = p;

	__atomic_store_n(&self->options, options, __ATOMIC_RELEASE);
}

static const struct tr_option options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .flags = TR_OPT_LISTEN, .change = TR_RECREATE, .min = 1, .max = 65535, .def = "7",
		.offset = offsetof(struct options, listen), .doc = "UDP port of the service."},
	{.key = "max", .type = TR_OPT_UINT, .unit = TR_UNIT_BYTES, .change = TR_LIVE, .min = 0, .max = 65535, .def = "1024",
		.offset = offsetof(struct options, max), .doc = "Longest payload that is answered."},
	{.key = NULL},
};

static const struct tr_in_gate in[] = {
	{.name = "in", .type = TR_TYPE_UDP, .process = process, .doc = "Requests."},
	{.name = NULL},
};
static const struct tr_out_gate out[] = {
	[OUT_OUT] = {.name = "out", .type = TR_TYPE_IP, .doc = "Answers."},
	{.name = NULL},
};
static const struct tr_drop_reason drops[] = {
	[DROP_TOO_LONG] = {"too_long", "The payload is longer than `max`."},
	{.name = NULL},
};
static const struct tr_counter counters[] = {
	[COUNT_ECHOED] = {"echoed", "Datagrams answered."},
	{.name = NULL},
};

static const struct tr_class echo = {
	.name = "echo",
	.summary = "Answers every UDP datagram with its own payload (RFC 862).",
	.options = options,
	.options_size = sizeof(struct options),
	.in = in,
	.out = out,
	.drops = drops,
	.counters = counters,
	.create = create,
	.reconfigure = reconfigure,
	.destroy = free,
};
static const struct tr_class *const classes[] = {&echo, NULL};

TR_PLUGIN(.name = "echo", .version = TR_VERSION, .summary = "UDP echo", .classes = classes);
