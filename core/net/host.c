/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * host: the kernel of this box, by the device of a port of kind host. Workers decide what it gets; writing to the
 * device, and reading what the kernel sends, are system calls that take as long as its TCP does, so both are done on a
 * service loop.
 */
#include "net/host.h"

#include "graph/graph.h"
#include "net/classes.h"
#include "net/ip.h"
#include "net/offload.h"
#include "port/kernel.h"
#include "port/port.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <tailrace/show.h>
#include <unistd.h>

enum { HOST_IP, HOST_KERNEL }; /* out gates */
enum { HOST_REFUSED, HOST_FULL, HOST_MULTICAST, HOST_MALFORMED, HOST_NO_ROOM };
enum { HOST_READ, HOST_WRITTEN, HOST_JOINED };

#define READS 32 /* of the device, before others on the loop have their turn */
#define ROOM 128 /* packets that the way on must take, more than 64 kB mostly are; else the rest waits in the kernel */
#define CROWDED 64 /* packets at a time while others wait for another loop: not none, or a flood could silence the kernel */
#define WAIT_MS 1
#define FLOWS 8 /* that are joined at once */

struct host_options {
	const char *port; /* NULL: as the instance */
	struct tr_list address, routes, accept;
	uint64_t mtu;
};

struct host {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct host_options *options;
	struct host_rules *_Atomic rules;
	struct tun *tun;
	bool configured;
	/* Service loop. */
	struct tr_watch *device, *wait;
	struct join join[FLOWS];
	uint8_t buffer[TUN_READ];
};

/* ---- To the kernel: worker ---- */

static void
host_admit(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct host *h = node->self;
	const struct host_rules *r = atomic_load_explicit(&h->rules, memory_order_acquire);
	for (uint16_t i = 0; i < n; i++) {
		const bool may = host_rules_allow(
		        r, rte_pktmbuf_mtod(pkts[i], const uint8_t *), pkts[i]->data_len, tr_meta(pkts[i]));
		gate[i] = may ? HOST_KERNEL : TR_DROP(HOST_REFUSED);
	}
}

/* ---- To the kernel: service loop ---- */

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static bool
give(struct host *h, const struct iovec *iov, int parts, uint16_t packets, uint32_t bytes)
{
	const bool taken = writev(h->tun->fd, iov, parts) >= 0;
	count(taken ? &h->tun->tx : &h->tun->tx_dropped, packets);
	if (taken)
		count(&h->tun->tx_bytes, bytes);
	return taken;
}

/* What becomes of a burst. Packets that were joined share their fate. */
struct delivery {
	struct tr_node *node;
	uint16_t *gate;
	uint16_t at[FLOWS][JOIN_PARTS]; /* which packets are parts */
};

static void
flush(struct delivery *d, unsigned k)
{
	struct host *h = d->node->self;
	struct join *j = &h->join[k];
	struct iovec iov[JOIN_PARTS + 2];
	if (j->n == 0)
		return;
	const uint16_t n = j->n;
	const bool taken = give(h, iov, join_end(j, iov), n, j->len);
	for (uint16_t i = 0; i < n; i++)
		d->gate[d->at[k][i]] = taken ? TR_SENT : TR_DROP(HOST_FULL);
	d->node->count[HOST_WRITTEN]++;
	d->node->count[HOST_JOINED] += n - 1u;
	j->n = 0;
	j->ended = false;
}

/* To the flow's open place, or one of its own. false: it can't be joined, and what was of its flow has gone before it. */
static bool
join(struct delivery *d, const uint8_t *p, uint32_t len, uint16_t which)
{
	struct host *h = d->node->self;
	unsigned free_one = FLOWS;
	for (unsigned k = 0; k < FLOWS; k++) {
		struct join *j = &h->join[k];
		if (j->n == 0) {
			free_one = k;
			continue;
		}
		enum join_fate fate = join_add(j, p, len);
		if (fate == JOIN_CANT) {
			flush(d, k);
			return false;
		}
		if (fate == JOIN_AFTER) {
			flush(d, k);
			fate = join_add(j, p, len);
		}
		if (fate == JOIN_TAKEN) {
			d->at[k][j->n - 1] = which;
			return true;
		}
	}
	if (free_one == FLOWS)
		flush(d, free_one = which % FLOWS);
	if (join_add(&h->join[free_one], p, len) != JOIN_TAKEN)
		return false;
	d->at[free_one][0] = which;
	return true;
}

static void
host_write(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	static const struct virtio_net_hdr plain;
	struct delivery d = {.node = node, .gate = gate};
	struct rte_mbuf *sent[TR_BURST];
	uint16_t n_sent = 0;
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		const uint32_t len = pkts[i]->data_len;
		if (join(&d, p, len, i))
			continue;
		const struct iovec iov[2] = {{(void *)(uintptr_t)&plain, sizeof(plain)}, {(void *)(uintptr_t)p, len}};
		gate[i] = give(node->self, iov, 2, 1, len) ? TR_SENT : TR_DROP(HOST_FULL);
		node->count[HOST_WRITTEN]++;
	}
	for (unsigned k = 0; k < FLOWS; k++)
		flush(&d, k);
	for (uint16_t i = 0; i < n; i++) {
		sent[n_sent] = pkts[i];
		n_sent = (uint16_t)(n_sent + (gate[i] == TR_SENT));
	}
	rte_pktmbuf_free_bulk(sent, n_sent);
	graph_sent(node, n_sent);
}

/* ---- From the kernel: service loop ---- */

static struct rte_mbuf *
segment(struct tr_node *node, struct cut *c, const struct host *h)
{
	struct rte_mbuf *m = node->host->packet_new(node);
	if (m == NULL)
		return NULL;
	const uint16_t tailroom = rte_pktmbuf_tailroom(m),
	               room = tailroom > TR_TAILROOM ? (uint16_t)(tailroom - TR_TAILROOM) : 0;
	const uint32_t len = cut_next(c, rte_pktmbuf_mtod(m, uint8_t *), room);
	if (len == 0) {
		node->host->packet_drop(node, m, HOST_NO_ROOM);
		return NULL;
	}
	rte_pktmbuf_append(m, (uint16_t)len);
	tr_meta(m)->flags = TR_META_OWN | TR_META_HOST;
	tr_meta(m)->tos = ip_tos(rte_pktmbuf_mtod(m, const uint8_t *));
	count(&h->tun->rx, 1);
	count(&h->tun->rx_bytes, len);
	return m;
}

/* One packet of the kernel's: as many as it stands for, which it returns. */
static unsigned
take(struct tr_node *node, struct host *h, uint32_t len)
{
	struct virtio_net_hdr vnet;
	struct rte_mbuf *out[TR_BURST];
	struct ip_view v;
	struct cut c;
	uint8_t *p = h->buffer + sizeof(vnet);
	memcpy(&vnet, h->buffer, sizeof(vnet));
	node->count[HOST_READ]++;
	uint16_t why = HOST_MALFORMED, n = 0;
	unsigned all = 0;
	if (len >= sizeof(vnet) + IPV4_LEN && cut_begin(&c, &vnet, p, len - (uint32_t)sizeof(vnet)) &&
	        ip_check(p, c.len, &v) == IP_OK)
		why = ip_dst_is_multicast(p) ? HOST_MULTICAST : UINT16_MAX;
	if (why != UINT16_MAX) {
		struct rte_mbuf *m = node->host->packet_new(node);
		if (m != NULL) /* counted where drops are */
			node->host->packet_drop(node, m, why);
		return 0;
	}
	for (struct rte_mbuf *m = NULL; c.at < c.len && (m = segment(node, &c, h)) != NULL;) {
		tr_meta(m)->l3_len = v.l3_len;
		tr_meta(m)->l4 = v.l4;
		out[n++] = m;
		all++;
		if (n < TR_BURST)
			continue;
		node->host->emit(node, HOST_IP, out, n);
		n = 0;
	}
	if (n > 0)
		node->host->emit(node, HOST_IP, out, n);
	return all;
}

static void host_readable(void *self, int events);

/* The way on is full: what the kernel has meanwhile waits in its queue. */
static void
host_go_on(void *self)
{
	struct host *h = self;
	h->host->watch_close(h->wait);
	h->wait = NULL;
	h->host->watch_events(h->device, TR_WATCH_READ);
}

static bool
way_full(struct tr_node *node, unsigned packets)
{
	return graph_room(node, HOST_IP) < ROOM || (packets >= CROWDED && graph_crowded(node, HOST_IP));
}

static void
host_readable(void *self, int events)
{
	struct host *h = self;
	struct tr_node *node = h->host->service_node(h->instance);
	unsigned packets = 0;
	for (unsigned k = 0; node != NULL && k < READS; k++) {
		if (way_full(node, packets) &&
		        (h->wait = h->host->watch_timer(h->instance, WAIT_MS, 0, host_go_on, h)) != NULL) {
			h->host->watch_events(h->device, 0);
			return;
		}
		ssize_t got = read(h->tun->fd, h->buffer, sizeof(h->buffer));
		if (got < 0)
			return;
		packets += take(node, h, (uint32_t)got);
	}
}

static void
host_service_init(struct tr_node *node)
{
	struct host *h = node->self;
	h->device = h->host->watch_fd(h->instance, h->tun->fd, TR_WATCH_READ, host_readable, h);
	if (h->device == NULL)
		h->host->log(h->instance, TR_LOG_ERROR, "can't watch device %s", h->tun->name);
}

static void
host_worker_fini(struct tr_node *node)
{
	struct host *h = node->self;
	if (node->worker != TR_NO_WORKER)
		return;
	if (h->device != NULL)
		h->host->watch_close(h->device);
	if (h->wait != NULL)
		h->host->watch_close(h->wait);
	h->device = h->wait = NULL;
}

/* ---- Its life: control thread ---- */

static struct kernel_device
device_of(const struct host_options *o)
{
	return (struct kernel_device){.address = o->address, .routes = o->routes, .mtu = (uint16_t)o->mtu};
}

static void
steer(const struct host_options *o, bool wanted)
{
	struct steer_rule rule[STEER_RULES];
	port_steer(rule, host_rules_steer(&o->accept, &o->address, rule, STEER_RULES), wanted);
}

static int
host_start(void *self)
{
	struct host *h = self;
	const struct kernel_device now = device_of(h->options);
	char why[200];
	h->configured = true;
	steer(h->options, true);
	if (kernel_configure(h->tun->ifindex, NULL, &now, why, sizeof(why)))
		return 0;
	h->host->fail(h->instance, "device %s: %s", h->tun->name, why);
	return -EINVAL;
}

static void
host_reconfigure(void *self, const void *options)
{
	struct host *h = self;
	const struct kernel_device was = device_of(h->options), now = device_of(options);
	char why[200];
	steer(options, true); /* first, so that what stays is not asked for anew */
	steer(h->options, false);
	h->options = options;
	struct host_rules *rules = host_rules_new(&h->options->accept, why, sizeof(why));
	if (rules == NULL)
		h->host->log(h->instance, TR_LOG_ERROR, "%s: `accept` stays as it was", why);
	else
		h->host->defer(h->instance, free, atomic_exchange_explicit(&h->rules, rules, memory_order_acq_rel));
	if (!kernel_configure(h->tun->ifindex, &was, &now, why, sizeof(why)))
		h->host->log(h->instance, TR_LOG_ERROR, "device %s: %s", h->tun->name, why);
}

static void
host_destroy(void *self)
{
	struct host *h = self;
	const struct kernel_device was = device_of(h->options);
	if (h->configured) {
		steer(h->options, false);
		kernel_withdraw(h->tun->ifindex, &was);
	}
	if (h->tun != NULL && h->tun->claimed == h)
		h->tun->claimed = NULL;
	free(atomic_load(&h->rules));
	free(h);
}

static void *
host_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct host_options *o = options;
	struct host *h = calloc(1, sizeof(*h));
	if (h == NULL)
		return host->fail(instance, "out of memory"), NULL;
	char why[200];
	h->instance = instance;
	h->host = host;
	h->options = o;
	const char *name = o->port != NULL ? o->port : tr_instance_name(instance);
	struct port *port = port_find(name);
	struct tun *tun = port != NULL ? port_tun(port) : NULL;
	struct host_rules *rules = host_rules_new(&o->accept, why, sizeof(why));
	atomic_store(&h->rules, rules);
	if (rules == NULL)
		host->fail(instance, "%s", why);
	else if (tun == NULL)
		host->fail(instance,
		        port == NULL ? "appliance.cfg has no port `%s`"
		                     : "port `%s` is none of kind host (`device = \"host\"`)",
		        name);
	else if (tun->claimed != NULL)
		host->fail(instance, "port `%s` is another instance's", name);
	else {
		h->tun = tun;
		tun->claimed = h;
		return h;
	}
	host_destroy(h);
	return NULL;
}

static bool
host_check(const void *options, char *text, size_t size)
{
	struct host_rules *r = host_rules_new(&((const struct host_options *)options)->accept, text, size);
	free(r);
	return r != NULL;
}

static void
host_show(void *self, struct tr_show *out)
{
	const struct host *h = self;
	const struct tr_prefix *address = h->options->address.items;
	out->text(out, "device", h->tun->name);
	out->uint(out, "mtu", h->options->mtu);
	out->list(out, "addresses");
	for (uint32_t k = 0; k < h->options->address.n; k++)
		out->addr(out, NULL, &address[k].addr);
	out->end(out);
}

#define O(member) .offset = offsetof(struct host_options, member)
static const struct tr_option host_class_options[] = {
        {"port", TR_OPT_STRING, .change = TR_RECREATE, O(port),
                .doc = "port of appliance.cfg, of kind host; default: the instance's name"},
        {"address", TR_OPT_IFADDR, .change = TR_LIVE, .flags = TR_OPT_LIST | TR_OPT_ADOPT, O(address),
                .doc = "the device's addresses; default: those of the interfaces and routes that link to this "
                       "instance"},
        {"routes", TR_OPT_PREFIX, .change = TR_LIVE, .flags = TR_OPT_LIST, O(routes),
                .doc = "what the kernel sends by the device, besides the networks of its addresses; a route to the "
                       "same that it has already stays"},
        {"accept", TR_OPT_STRING, .change = TR_LIVE, .flags = TR_OPT_LIST, .max = 256, O(accept),
                .doc = "what others may ask of the kernel: `tcp/22`, `udp/5000-5010`, `tcp`, `udp`, or the number of a "
                       "protocol; absent: everything. "
                       "ICMP, answers to TCP connections that the kernel opened and UDP to ports from 32768 on come in "
                       "always"},
        {"mtu", TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_MTU, .min = 1280, .max = 9600, .def = "1500", O(mtu),
                .doc = "largest IP packet of the device"},
        {0},
};
static const struct tr_in_gate host_in[] = {
        {"ip", TR_TYPE_IP, .reads = TR_META_L3, .process = host_admit, .trace = trace_ip,
                .doc = "packets for the kernel"},
        {"kernel", TR_TYPE_IP, TR_GATE_INTERNAL | TR_GATE_SERVICE, .process = host_write, .trace = trace_ip,
                .doc = "packets that the kernel gets"},
        {0},
};
static const struct tr_out_gate host_out[] = {
        [HOST_IP] = {"ip", TR_TYPE_IP, .writes = TR_META_L3,
                .doc = "packets of the kernel's: to a route, or to an interface"},
        [HOST_KERNEL] = {"kernel", TR_TYPE_IP, TR_GATE_INTERNAL, .doc = "packets that the kernel gets"},
        {0},
};
static const struct tr_drop_reason host_drops[] = {
        [HOST_REFUSED] = {"refused", "for the kernel, and not in `accept`"},
        [HOST_FULL] = {"full", "the kernel took no more"},
        [HOST_MULTICAST] = {"multicast", "multicast of the kernel's: not sent on"},
        [HOST_MALFORMED] = {"malformed", "of the kernel's, and no IP packet that could be sent on"},
        [HOST_NO_ROOM] = {"no_room", "of the kernel's, and larger than a packet buffer"},
        {0},
};
static const struct tr_counter host_counters[] = {
        [HOST_READ] = {"read", "packets of the kernel's, large ones counted once"},
        [HOST_WRITTEN] = {"written", "packets for the kernel, large ones counted once"},
        [HOST_JOINED] = {"joined", "segments that went to the kernel as part of another's packet"},
        {0},
};

const struct tr_class class_host = {
        .name = "host",
        .summary = "The kernel of this box: its sockets use the gateway's ports",
        .flags = TR_CLASS_SERVICE,
        .options = host_class_options,
        .options_size = sizeof(struct host_options),
        .in = host_in,
        .out = host_out,
        .drops = host_drops,
        .counters = host_counters,
        .create = host_create,
        .start = host_start,
        .reconfigure = host_reconfigure,
        .worker_fini = host_worker_fini,
        .destroy = host_destroy,
        .check = host_check,
        .show = host_show,
        .service_init = host_service_init,
};
