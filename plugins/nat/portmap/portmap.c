/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Port mapping: asks the router in front of this box to send UDP ports through to it (PCP, NAT-PMP, UPnP). All of it runs on
 * the service loop; the requests leave, and the answers come, as packets of the box, because a router maps the address that
 * asks. Only UPnP, which is HTTP, goes by the kernel's sockets, on a thread of its own (upnp.h).
 */
#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/reader.h>

struct options {
	struct tr_addr router;
	struct tr_list ports; /* uint64_t */
	uint64_t listen;
	uint64_t lifetime; /* ms */
};

struct portmap {
	struct tr_instance *instance;
	const struct tr_host *host;
	struct client client;
	pthread_mutex_t lock; /* settings: control writes, the service loop reads */
	struct settings settings;
};

/* Service loop. */
static void
take_settings(void *self, void *unused)
{
	struct portmap *p = self;
	struct settings s;
	(void)unused;
	pthread_mutex_lock(&p->lock);
	s = p->settings;
	pthread_mutex_unlock(&p->lock);
	client_settings(&p->client, &s);
}

static void
keep_settings(struct portmap *p, const struct options *o)
{
	struct settings s = {.router = o->router, .listen = (uint16_t)o->listen, .lifetime = (uint32_t)(o->lifetime / 1000)};
	const uint64_t *port = o->ports.items;
	for (; s.n_ports < o->ports.n; s.n_ports++)
		s.port[s.n_ports] = (uint16_t)port[s.n_ports];
	pthread_mutex_lock(&p->lock);
	p->settings = s;
	pthread_mutex_unlock(&p->lock);
}

static void
portmap_reconfigure(void *self, const void *options)
{
	struct portmap *p = self;
	keep_settings(p, options);
	if (p->host->post(p->instance, TR_THREAD_SERVICE, take_settings, NULL) != 0)
		p->host->log(p->instance, TR_LOG_ERROR, "new options are not taken: the service loop is too busy");
}

static bool
portmap_check(const void *options, char *text, size_t size)
{
	const struct options *o = options;
	const uint64_t *port = o->ports.items;
	for (uint32_t i = 0; i < o->ports.n; i++) {
		bool again = false;
		for (uint32_t k = 0; k < i; k++)
			again = again || port[k] == port[i];
		if (port[i] == 0 || port[i] > UINT16_MAX || again) {
			snprintf(text, size, again ? "port %llu stands twice in `ports`" : "%llu in `ports` is no port: expected 1 to 65535",
				(unsigned long long)port[i]);
			return false;
		}
	}
	return true;
}

static void *
portmap_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct tr_blocks *blocks = host->blocks(instance, "mappings", 1, PORTS_MAX * sizeof(struct saved), false);
	struct portmap *p = blocks ? calloc(1, sizeof(*p)) : NULL;
	if (p == NULL) {
		if (blocks != NULL)
			host->fail(instance, "out of memory");
		return NULL;
	}
	p->instance = instance;
	p->host = host;
	pthread_mutex_init(&p->lock, NULL);
	client_init(&p->client, instance, host, tr_block(blocks, 0));
	keep_settings(p, options);
	return p;
}

static int
portmap_start(void *self)
{
	struct portmap *p = self;
	int rc = p->host->post(p->instance, TR_THREAD_SERVICE, take_settings, NULL);
	if (rc != 0)
		p->host->fail(p->instance, "the service loop is too busy");
	return rc;
}

static void
portmap_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct portmap *p = node->self;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = client_answer(&p->client, node, pkts[i]);
}

static void
portmap_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct tr_reader in = tr_reader(data, len);
	tr_take(&in, meta->l3_len + 8u);
	uint8_t version = tr_u8(&in), opcode = tr_u8(&in);
	snprintf(text, size, "version %u, opcode %u%s", version, opcode & 0x7f, opcode & 0x80 ? ", an answer" : "");
}

static void
portmap_fini(struct tr_node *node)
{
	if (node->worker == TR_NO_WORKER)
		client_fini(&((struct portmap *)node->self)->client);
}

static void
portmap_destroy(void *self)
{
	struct portmap *p = self;
	pthread_mutex_destroy(&p->lock);
	pthread_mutex_destroy(&p->client.lock);
	free(p);
}

static void
portmap_show(void *self, struct tr_show *out)
{
	client_show(&((struct portmap *)self)->client, out);
}

/* Service loop. */
static void
probe(void *self, void *unused)
{
	(void)unused;
	client_probe(&((struct portmap *)self)->client);
}

static int
run_netcheck(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct portmap *p = self;
	if (argc == 1 && strcmp(argv[0], "start") == 0)
		return p->host->post(p->instance, TR_THREAD_SERVICE, probe, NULL);
	if (argc != 0) {
		out->error(out, "expected: netcheck [start]");
		return -EINVAL;
	}
	client_show(&p->client, out);
	return 0;
}

static const struct tr_command portmap_commands[] = {
	{.name = "netcheck", .args = "[start]", .doc = "What the router maps; `start` looks anew.", .run = run_netcheck},
	{0},
};

static const struct tr_option portmap_options[] = {
	{.key = "router", .type = TR_OPT_ADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED,
		.offset = offsetof(struct options, router), .doc = "The router that maps: an interface's gateway."},
	{.key = "ports", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_REQUIRED | TR_OPT_LIST, .min = 1, .max = PORTS_MAX,
		.offset = offsetof(struct options, ports), .doc = "UDP ports of this box that are to be reached from outside."},
	{.key = "listen", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_LISTEN, .min = 1, .max = 65535, .def = "5350",
		.offset = offsetof(struct options, listen), .doc = "UDP port that requests are sent from."},
	{.key = "lifetime", .type = TR_OPT_UINT, .unit = TR_UNIT_MS, .change = TR_LIVE, .min = 120000, .max = 86400000, .def = "2h",
		.offset = offsetof(struct options, lifetime),
		.doc = "How long a mapping is asked for; it is renewed at half of what the router grants."},
	{0},
};

static const struct tr_in_gate portmap_in[] = {
	{.name = "in", .type = TR_TYPE_UDP, .flags = TR_GATE_SERVICE, .process = portmap_process, .trace = portmap_trace,
		.doc = "The router's answers."},
	{0},
};

static const struct tr_out_gate portmap_out[] = {
	[OUT] = {.name = "out", .type = TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT, .doc = "Requests."},
	{0},
};

static const struct tr_drop_reason portmap_drops[] = {
	[DROP_FOREIGN] = {"foreign", "Not from the router's port 5351."},
	[DROP_MALFORMED] = {"malformed", "Not an answer of NAT-PMP or PCP."},
	[DROP_UNEXPECTED] = {"unexpected", "An answer about a mapping that nobody asked for."},
	[DROP_CONSUMED] = {"consumed", "Answers that were taken in."},
	{0},
};

static const struct tr_counter portmap_counters[] = {
	[REQUESTS] = {"requests", "Requests sent."},
	[ANSWERS] = {"answers", "Answers of the router."},
	[REFUSALS] = {"refusals", "Of these, errors."},
	[STATE_LOST] = {"state_lost", "Times that the router's clock showed that it had lost its mappings."},
	[NO_PACKET] = {"no_packet", "Requests not sent: no packet was free."},
	{0},
};

static const struct tr_class portmap_class = {
	.name = "portmap",
	.summary = "Has a router in front of this box send UDP ports through to it: PCP, NAT-PMP, UPnP",
	.options = portmap_options,
	.options_size = sizeof(struct options),
	.in = portmap_in,
	.out = portmap_out,
	.drops = portmap_drops,
	.counters = portmap_counters,
	.commands = portmap_commands,
	.create = portmap_create,
	.start = portmap_start,
	.reconfigure = portmap_reconfigure,
	.worker_fini = portmap_fini,
	.destroy = portmap_destroy,
	.check = portmap_check,
	.show = portmap_show,
};

static const struct tr_class *const classes[] = {&portmap_class, NULL};

TR_PLUGIN(.name = "portmap", .version = TR_VERSION, .summary = "Port mapping client (PCP, NAT-PMP, UPnP-IGD)", .classes = classes);
