/* SPDX-License-Identifier: BSD-3-Clause */
/* The class stun-client: the client's options, gates and life. It shares the port of the transport that it asks for. */
#include "stun_client.h"

#include "client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/reader.h>

struct options {
	uint64_t listen, probe_ports;
	struct tr_list servers; /* struct tr_sockaddr */
};

struct stun_client {
	struct tr_instance *instance;
	const struct tr_host *host;
	struct client client;
	pthread_mutex_t lock; /* settings: control writes, the service loop reads */
	struct client_settings settings;
};

/* Service loop. */
static void
take_settings(void *self, void *unused)
{
	struct stun_client *s = self;
	struct client_settings settings;
	(void)unused;
	pthread_mutex_lock(&s->lock);
	settings = s->settings;
	pthread_mutex_unlock(&s->lock);
	client_settings(&s->client, &settings);
}

/* Service loop. */
static void
probe(void *self, void *unused)
{
	(void)unused;
	client_probe(&((struct stun_client *)self)->client);
}

static void
keep_settings(struct stun_client *s, const struct options *o)
{
	struct client_settings settings = {.listen = (uint16_t)o->listen, .probe_ports = (uint16_t)o->probe_ports, .n = o->servers.n};
	memcpy(settings.server, o->servers.items, o->servers.n * sizeof(settings.server[0]));
	pthread_mutex_lock(&s->lock);
	s->settings = settings;
	pthread_mutex_unlock(&s->lock);
}

static void
client_reconfigure(void *self, const void *options)
{
	struct stun_client *s = self;
	keep_settings(s, options);
	if (s->host->post(s->instance, TR_THREAD_SERVICE, take_settings, NULL) != 0)
		s->host->log(s->instance, TR_LOG_ERROR, "new options are not taken: the service loop is too busy");
}

static bool
client_check(const void *options, char *text, size_t size)
{
	const struct options *o = options;
	const struct tr_sockaddr *server = o->servers.items;
	if (o->probe_ports != 0 && o->listen >= o->probe_ports && o->listen < o->probe_ports + TR_LISTEN_ALSO_PORTS) {
		snprintf(text, size, "`listen` is one of the %u ports from `probe_ports` on", TR_LISTEN_ALSO_PORTS);
		return false;
	}
	for (uint32_t i = 0; i < o->servers.n; i++)
		for (uint32_t k = 0; k < i; k++)
			if (tr_addr_eq(&server[i].addr, &server[k].addr) && server[i].port == server[k].port) {
				snprintf(text, size, "number %u of `servers` stands there twice", i + 1);
				return false;
			}
	return true;
}

static void *
client_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct stun_client *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		host->fail(instance, "out of memory");
		return NULL;
	}
	s->instance = instance;
	s->host = host;
	pthread_mutex_init(&s->lock, NULL);
	client_init(&s->client, instance, host);
	keep_settings(s, options);
	return s;
}

static int
client_start(void *self)
{
	struct stun_client *s = self;
	int rc = s->host->post(s->instance, TR_THREAD_SERVICE, take_settings, NULL);
	if (rc != 0)
		s->host->fail(s->instance, "the service loop is too busy");
	return rc;
}

static void
client_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct stun_client *s = node->self;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = client_answer(&s->client, node, pkts[i]);
}

static void
client_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct tr_reader in = tr_reader(data, len);
	tr_take(&in, meta->l3_len + 8u);
	snprintf(text, size, "type 0x%04x", tr_be16(&in));
}

static void
client_worker_fini(struct tr_node *node)
{
	if (node->worker == TR_NO_WORKER)
		client_fini(&((struct stun_client *)node->self)->client);
}

static void
client_destroy(void *self)
{
	struct stun_client *s = self;
	pthread_mutex_destroy(&s->lock);
	pthread_mutex_destroy(&s->client.lock);
	free(s);
}

static void
show(void *self, struct tr_show *out)
{
	client_show(&((struct stun_client *)self)->client, out);
}

static int
run_probe(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct stun_client *s = self;
	(void)argv;
	if (argc != 0 || s->host->post(s->instance, TR_THREAD_SERVICE, probe, NULL) != 0) {
		out->error(out, argc != 0 ? "probe takes no arguments" : "the service loop is too busy");
		return argc != 0 ? -EINVAL : -EAGAIN;
	}
	return 0;
}

static int
run_netcheck(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct stun_client *s = self;
	if (argc == 1 && strcmp(argv[0], "start") == 0)
		return s->host->post(s->instance, TR_THREAD_SERVICE, probe, NULL);
	if (argc != 0) {
		out->error(out, "expected: netcheck [start]");
		return -EINVAL;
	}
	client_show(&s->client, out);
	return 0;
}

static const struct tr_command client_commands[] = {
	{"netcheck", "[start]", "What `show` says; `start` asks all servers now.", run_netcheck},
	{"probe", "", "Asks all servers now: after a change of the network.", run_probe},
	{0},
};

static const struct tr_option client_options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_LISTEN | TR_OPT_REQUIRED, .min = 1, .max = 65535,
		.offset = offsetof(struct options, listen), .doc = "UDP port that is asked for and from: that of the transport."},
	{.key = "servers", .type = TR_OPT_SOCKADDR, .change = TR_LIVE, .flags = TR_OPT_REQUIRED | TR_OPT_LIST, .min = 1,
		.max = SERVERS_MAX, .def = ":3478", .offset = offsetof(struct options, servers),
		.doc = "Servers that are asked, best in different networks; without a port 3478."},
	{.key = "probe_ports", .type = TR_OPT_UINT, .change = TR_RECREATE, .flags = TR_OPT_LISTEN_ALSO, .min = 1024, .max = 65280,
		.offset = offsetof(struct options, probe_ports),
		.doc = "The first of 256 UDP ports to find out the NATs' filtering from (they may be those of `punch`); without: not."},
	{0},
};

/* Answers with the cookie, and requests: one of our own comes back where a NAT turns packets round. */
static const struct tr_match client_match[] = {
	{.offset = 0, .min_len = 20, .mask = 0xffef0003ffffffff, .value = 0x010100002112a442},
	{.offset = 0, .min_len = 20, .mask = 0xffff0003ffffffff, .value = 0x000100002112a442},
	{0},
};

static const struct tr_in_gate client_in[] = {
	{.name = "in", .type = TR_TYPE_UDP, .flags = TR_GATE_SERVICE, .process = client_process, .trace = client_trace,
		.match = client_match, .doc = "The servers' answers."},
	{0},
};

static const struct tr_out_gate client_out[] = {
	[CLIENT_OUT] = {.name = "out", .type = TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT, .doc = "Requests."},
	{0},
};

static const struct tr_drop_reason client_drops[] = {
	[CLIENT_DROP_FOREIGN] = {"foreign", "Not from a server that is asked."},
	[CLIENT_DROP_MALFORMED] = {"malformed", "Not an answer, or a damaged one, or one that must not be understood in part."},
	[CLIENT_DROP_UNEXPECTED] = {"unexpected", "An answer to nothing that was asked in this round, or a second one."},
	[CLIENT_DROP_CONSUMED] = {"consumed", "Answers that were taken in."},
	{0},
};

static const struct tr_counter client_counters[] = {
	[CLIENT_REQUESTS] = {"requests", "Requests sent."},
	[CLIENT_ANSWERS] = {"answers", "Answers of servers."},
	[CLIENT_ERRORS] = {"errors", "Of these, errors."},
	[CLIENT_ROUNDS] = {"rounds", "Times that all servers were asked."},
	[CLIENT_MOVED] = {"moved", "Times that an outside or inside address had changed."},
	[CLIENT_NO_PACKET] = {"no_packet", "Requests not sent: no packet was free."},
	{0},
};

const struct tr_class stun_client_class = {
	.name = "stun-client",
	.summary = "STUN client: what a port of this box is called outside, and how the NATs in between behave",
	.options = client_options,
	.options_size = sizeof(struct options),
	.in = client_in,
	.out = client_out,
	.drops = client_drops,
	.counters = client_counters,
	.commands = client_commands,
	.create = client_create,
	.start = client_start,
	.reconfigure = client_reconfigure,
	.worker_fini = client_worker_fini,
	.destroy = client_destroy,
	.check = client_check,
	.show = show,
};
