/* SPDX-License-Identifier: BSD-3-Clause */
/* Class derp: carries packets to peers, and from them, by the relays of the DERP map. */
#include "client.h"

#include "tls.h"

#include <errno.h>
#include <rte_mbuf.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/show.h>

#define MS 1000000ull
#define MAP_POLL_MS 200
#define MEASURE (3000 * MS)          /* regions have so long to answer */
#define MEASURE_EVERY (300000 * MS)
#define HOMELESS (10000 * MS)        /* a home that is gone for so long is looked for anew */
#define HOME_GAIN_US 10000           /* a new home is better by this at least, and by a third */

struct client_options {
	struct tr_secret private_key;
	uint64_t home;
};

/* ---- Packets ---- */

static struct region *
region_of(const struct client *c, uint16_t id)
{
	for (unsigned i = 0; i < c->n_regions; i++)
		if (c->region[i]->id == id)
			return c->region[i];
	return NULL;
}

/* The peer's home if we are connected to it; where the peer was heard; else the home again, which is dialled. */
static struct region *
region_for(const struct client *c, const struct tr_endpoint *e)
{
	uint8_t key[32];
	struct region *home = region_of(c, e->remote_port), *heard;
	if (home != NULL && region_open(home))
		return home;
	memcpy(key, e->remote, 16);
	memcpy(key + 16, e->local, 16);
	heard = region_of(c, route_find(&c->routes, key));
	return heard != NULL && region_open(heard) ? heard : home;
}

static void
flush_all(struct client *c)
{
	for (unsigned i = 0; i < c->n_regions; i++)
		region_flush(c->region[i]);
}

static void
client_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct client *c = node->self;
	for (uint16_t i = 0; i < n; i++) {
		const struct tr_endpoint *e = &tr_meta(pkts[i])->endpoint;
		struct region *r = e->family == TR_FAMILY_KEY && !c->closed ? region_for(c, e) : NULL;
		gate[i] = TR_DROP(CLIENT_NO_REGION);
		if (r != NULL)
			region_send(r, pkts[i], &gate[i]);
	}
	flush_all(c);
}

void
client_received(struct region *r, const uint8_t source[32], const uint8_t *packet, uint32_t len)
{
	struct client *c = r->client;
	struct tr_node *node = c->host->service_node(c->instance);
	struct rte_mbuf *m = node ? c->host->packet_new(node) : NULL;
	if (m == NULL)
		return;
	c->count[CLIENT_RECEIVED]++;
	c->count[CLIENT_RECEIVED_BYTES] += len;
	void *p = len <= UINT16_MAX && len + TR_TAILROOM <= rte_pktmbuf_tailroom(m) ? rte_pktmbuf_append(m, (uint16_t)len) : NULL;
	if (p == NULL) {
		c->host->packet_drop(node, m, CLIENT_TOO_BIG);
		return;
	}
	memcpy(p, packet, len);
	tr_meta(m)->endpoint = tr_endpoint_derp(r->id, source);
	route_learn(&c->routes, source, r->id);
	c->host->emit(node, frame_is_disco(packet, len) ? CLIENT_DISCO : CLIENT_WIREGUARD, &m, 1);
}

/* ---- The home region ---- */

static void
set_home(struct client *c, struct region *r)
{
	struct region *old = c->home;
	if (old == r)
		return;
	c->home = r;
	if (old != NULL) {
		region_prefer(old);
		region_report(old);
	}
	if (r == NULL)
		return;
	region_prefer(r);
	region_start(r);
	region_report(r);
}

static void
measure(struct client *c)
{
	const uint64_t now = c->host->now(c->instance);
	c->measure_until = now + MEASURE;
	c->measured = now;
	for (unsigned i = 0; i < c->n_regions; i++) {
		struct region *r = c->region[i];
		r->wanted = true;
		r->report.latency_us = 0;
		region_start(r);
		region_ping(r);
	}
	flush_all(c);
}

/* The fastest; the old one unless that is clearly better. Nobody answers: the old one, or any. */
static void
compare(struct client *c)
{
	struct region *best = NULL, *old = c->home;
	uint32_t any;
	c->measure_until = 0;
	for (unsigned i = 0; i < c->n_regions; i++) {
		struct region *r = c->region[i];
		r->wanted = false;
		if (region_open(r) && r->report.latency_us != 0 && (best == NULL || r->report.latency_us < best->report.latency_us))
			best = r;
	}
	if (c->home_option != 0 || c->n_regions == 0)
		return;
	if (best == NULL && old == NULL) {
		c->host->crypto->random(&any, sizeof(any));
		best = c->region[any % c->n_regions];
	}
	if (best == NULL)
		return;
	if (old != NULL && region_open(old) && old->report.latency_us != 0) {
		const uint64_t o = old->report.latency_us, b = best->report.latency_us;
		if (o < b + HOME_GAIN_US || 3 * b > 2 * o)
			return;
	}
	set_home(c, best);
}

static void
each_second(void *arg)
{
	struct client *c = arg;
	const uint64_t now = c->host->now(c->instance);
	for (unsigned i = 0; i < c->n_regions; i++)
		region_second(c->region[i], now);
	if (c->measure_until != 0 && now >= c->measure_until)
		compare(c);
	const bool lost = c->home == NULL || (!region_open(c->home) && now - c->home->report.since > HOMELESS);
	const uint64_t every = lost ? 2 * HOMELESS : MEASURE_EVERY;
	if (c->home_option == 0 && c->n_regions > 0 && c->measure_until == 0 && now - c->measured > every)
		measure(c);
}

/* ---- The DERP map ---- */

static void
forget_missing(struct client *c)
{
	for (unsigned i = 0; i < c->n_regions;) {
		struct region *r = c->region[i];
		bool there = false;
		for (uint32_t k = 0; k < c->map->n; k++)
			there = there || c->map->node[k].region == r->id;
		if (there) {
			i++;
			continue;
		}
		if (c->home == r)
			c->home = NULL;
		region_free(r);
		c->region[i] = c->region[--c->n_regions];
	}
}

static const struct node *
next_of(const struct map *m, uint16_t region, uint32_t *at)
{
	while (m != NULL && *at < m->n)
		if (m->node[(*at)++].region == region)
			return &m->node[*at - 1];
	return NULL;
}

static bool
same_nodes(const struct map *a, const struct map *b, uint16_t region)
{
	uint32_t i = 0, j = 0;
	for (;;) {
		const struct node *x = next_of(a, region, &i), *y = next_of(b, region, &j);
		if (x == NULL || y == NULL)
			return x == y;
		if (memcmp(x, y, sizeof(*x)) != 0)
			return false;
	}
}

static void
report_all(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	c->n_shown = 0;
	pthread_mutex_unlock(&c->lock);
	for (unsigned i = 0; i < c->n_regions; i++)
		region_report(c->region[i]);
}

static void
take_map(void *self, void *unused)
{
	struct client *c = self;
	(void)unused;
	struct map *m = c->closed || c->count == NULL ? NULL : atomic_exchange(&c->coming, NULL);
	if (m == NULL)
		return; /* service_init() takes what came before it */
	for (unsigned i = 0; i < c->n_regions; i++)
		if (!same_nodes(c->map, m, c->region[i]->id))
			region_stop(c->region[i]); /* the home is dialled again within a second */
	free(c->map);
	c->map = m;
	forget_missing(c);
	for (uint32_t i = 0; i < m->n; i++) {
		struct region *r = region_of(c, m->node[i].region);
		if (r == NULL && c->n_regions < REGIONS_MAX && (r = region_new(c, m->node[i].region)) != NULL)
			c->region[c->n_regions++] = r;
	}
	report_all(c);
	if (c->home_option != 0)
		set_home(c, region_of(c, (uint16_t)c->home_option));
	else if (c->n_regions > 0)
		measure(c);
}

static struct map *
map_copy(const struct tr_derp_map *from)
{
	struct map *m = calloc(1, sizeof(*m) + from->n * sizeof(m->node[0]));
	for (uint32_t i = 0; m != NULL && i < from->n; i++) {
		const struct tr_derp_node *v = &from->node[i];
		struct node *n = &m->node[m->n++];
		snprintf(n->name, sizeof(n->name), "%s", v->name);
		snprintf(n->host, sizeof(n->host), "%s", v->host);
		snprintf(n->certificate, sizeof(n->certificate), "%s", v->certificate ? v->certificate : "");
		n->region = (uint16_t)v->region;
		n->port = (uint16_t)v->port;
		n->n_addresses = (uint8_t)(v->address.n < ADDRESSES_MAX ? v->address.n : ADDRESSES_MAX);
		if (n->n_addresses > 0)
			memcpy(n->address, v->address.items, n->n_addresses * sizeof(n->address[0]));
	}
	return m;
}

/* Control: a new map is handed to the loop. */
static void
look_at_map(void *arg)
{
	struct client *c = arg;
	const struct tr_derp_map *now = c->host->derp_map(c->instance);
	struct map *m;
	if (now == NULL || now->serial == c->serial || (m = map_copy(now)) == NULL)
		return;
	free(atomic_exchange(&c->coming, m));
	if (c->host->post(c->instance, TR_THREAD_SERVICE, take_map, NULL) == 0)
		c->serial = now->serial;
}

/* ---- Life ---- */

static void
client_close(struct client *c)
{
	if (c->second != NULL)
		c->host->watch_close(c->second);
	c->second = NULL;
	c->closed = true;
	c->home = NULL;
	while (c->n_regions > 0)
		region_free(c->region[--c->n_regions]);
	route_forget_region(&c->routes, 0);
	free(c->map);
	c->map = NULL;
}

static void
client_service_init(struct tr_node *node)
{
	struct client *c = node->self;
	c->count = node->count;
	c->second = c->host->watch_timer(c->instance, 1000, 1000, each_second, c);
	take_map(c, NULL); /* what came before the loop knew us */
}

static void
close_on_loop(void *self, void *unused)
{
	(void)unused;
	client_close(self);
}

static int
client_start(void *self)
{
	struct client *c = self;
	c->watch_map = c->host->watch_timer(c->instance, 1, MAP_POLL_MS, look_at_map, c);
	if (c->watch_map != NULL)
		return 0;
	c->host->fail(c->instance, "out of memory");
	return -ENOMEM;
}

static void
client_stop(void *self)
{
	struct client *c = self;
	if (c->watch_map != NULL)
		c->host->watch_close(c->watch_map);
	c->watch_map = NULL;
	c->host->post(c->instance, TR_THREAD_SERVICE, close_on_loop, NULL); /* or worker_fini() does it */
}

static void
client_worker_fini(struct tr_node *node)
{
	if (node->worker == TR_NO_WORKER)
		client_close(node->self);
}

static void
client_destroy(void *self)
{
	struct client *c = self;
	if (c->watch_map != NULL)
		c->host->watch_close(c->watch_map);
	free(atomic_exchange(&c->coming, NULL));
	chunk_pool_fini(&c->chunks);
	wire_fini(&c->wire);
	SSL_CTX_free(c->tls);
	pthread_mutex_destroy(&c->lock);
	sodium_memzero(&c->self, sizeof(c->self));
	free(c);
}

static void *
client_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct client_options *o = options;
	struct client *c = calloc(1, sizeof(*c));
	if (c == NULL) {
		host->fail(instance, "out of memory");
		return NULL;
	}
	c->instance = instance;
	c->host = host;
	c->home_option = o->home;
	pthread_mutex_init(&c->lock, NULL);
	c->self.can_ack_pings = true;
	memcpy(c->self.secret, o->private_key.b, 32);
	host->crypto->public_key(c->self.public_key, c->self.secret);
	c->tls = tls_client();
	if (c->tls != NULL && wire_init(&c->wire))
		return c;
	host->fail(instance, "TLS: out of memory");
	client_destroy(c);
	return NULL;
}

/* ---- What the operator sees ---- */

static void
measure_on_loop(void *self, void *unused)
{
	struct client *c = self;
	(void)unused;
	if (!c->closed && c->count != NULL)
		measure(c);
}

/* `start` asks for new figures, which are there after 3 s. */
static int
netcheck_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct client *c = self;
	if (argc == 1 && strcmp(argv[0], "start") == 0)
		return c->host->post(c->instance, TR_THREAD_SERVICE, measure_on_loop, NULL);
	if (argc != 0) {
		out->error(out, "expected: netcheck [start]");
		return -EINVAL;
	}
	report_regions(c, out);
	return 0;
}

/* ---- Tables ---- */

#define AT(member) .offset = offsetof(struct client_options, member)
static const struct tr_option client_options[] = {
	{.key = "private_key", .type = TR_OPT_SECRET, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, AT(private_key),
		.doc = "That of the WireGuard interface whose packets are carried: relays know us by its public key."},
	{.key = "home", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 0, .max = UINT16_MAX, .def = "0", AT(home),
		.doc = "Region that we stay connected to, for peers to reach us; 0: the one that answers fastest."},
	{0},
};

static const struct tr_in_gate client_in[] = {
	[CLIENT_IN] = {.name = "in", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_SERVICE, .reads = TR_META_ENDPOINT,
		.process = client_process, .doc = "Packets for peers, by DERP endpoint; from `path.derp`."},
	{0},
};

static const struct tr_out_gate client_out[] = {
	[CLIENT_WIREGUARD] = {.name = "wireguard", .type = TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT,
		.doc = "What peers sent, and who by which region; to `relay` of a WireGuard interface."},
	[CLIENT_DISCO] = {.name = "disco", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_OPTIONAL, .writes = TR_META_ENDPOINT,
		.doc = "Of this, path discovery."},
	{0},
};

static const struct tr_drop_reason client_drops[] = {
	[CLIENT_SENT] = {"sent", "Given to a relay: here the packet ends."},
	[CLIENT_NO_REGION] = {"no_region", "For a region that the DERP map does not have, or no DERP endpoint."},
	[CLIENT_NO_CONNECTION] = {"no_connection", "Waited for a connection, and none of the region's nodes could be reached."},
	[CLIENT_WAITED] = {"waited", "Waited for a connection behind which 32 newer packets wait."},
	[CLIENT_RATE] = {"rate_limited", "More than the relay lets us send."},
	[CLIENT_FULL] = {"queue_full", "The connection takes less than there is to send."},
	[CLIENT_TOO_BIG] = {"too_big", "Received a packet larger than a packet buffer."},
	{0},
};

static const struct tr_counter client_counters[] = {
	[CLIENT_OUT] = {"packets_out", "Packets given to relays."},
	[CLIENT_OUT_BYTES] = {"bytes_out", "Their bytes."},
	[CLIENT_RECEIVED] = {"packets_in", "Packets received from relays."},
	[CLIENT_RECEIVED_BYTES] = {"bytes_in", "Their bytes."},
	[CLIENT_CONNECTED] = {"connected", "Connections made."},
	[CLIENT_FAILED] = {"failed", "Times that no node of a region could be reached."},
	[CLIENT_GONE] = {"peer_gone", "PeerGone frames: a peer has left a region."},
	[CLIENT_PINGS] = {"pings", "Pings of relays that were answered."},
	{0},
};

static const struct tr_command client_commands[] = {
	{.name = "netcheck", .args = "[start]", .doc = "Regions and their latencies; `start` measures them anew.", .run = netcheck_command},
	{.name = "status", .args = "", .doc = "The home region, connections, and what is wrong with them.", .run = report_status},
	{0},
};

const struct tr_class client_class = {
	.name = "derp",
	.summary = "DERP client: a way to peers that no direct path leads to",
	.flags = TR_CLASS_SERVICE,
	.options = client_options,
	.options_size = sizeof(struct client_options),
	.in = client_in,
	.out = client_out,
	.drops = client_drops,
	.counters = client_counters,
	.commands = client_commands,
	.create = client_create,
	.start = client_start,
	.stop = client_stop,
	.worker_fini = client_worker_fini,
	.destroy = client_destroy,
	.show = report_show,
	.service_init = client_service_init,
};
