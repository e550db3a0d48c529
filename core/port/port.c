/* SPDX-License-Identifier: BSD-3-Clause */
#include "port.h"

#include "../runtime/log.h"
#include "../runtime/rcu.h"
#include "device.h"
#include "guard.h"
#include "kernel.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <tailrace/guard.h>

#define TX_TRIES 32
#define BACKOFF_MAX 30 /* seconds between attempts to reopen */
#define DRAIN 64

struct port_worker {
	_Alignas(64) uint16_t next;  /* rx queue to begin with */
	_Atomic uint64_t tx_dropped; /* from the ring of a shared queue */
};

struct port {
	const struct appliance_port *cfg;
	struct rte_mempool *pool;
	uint16_t workers;
	struct device *_Atomic device; /* control thread writes; NULL while the device is gone */
	struct tun *tun;               /* of kind host, which has no device; else NULL */
	struct port_worker *worker;
	/* Control thread. */
	bool was_down; /* a second ago */
	bool closing; /* unpublished, not yet closed: the name is not free */
	struct device *old;
	unsigned backoff, wait; /* seconds */
	uint8_t mac[6];
	uint16_t mtu;
	struct rte_eth_stats before; /* of devices that are gone */
	char driver[32], problem[160];
	struct steer steer; /* of the present device */
};

static struct port *ports; /* control thread writes, before workers run and after they stopped */
static unsigned n_ports;
static const struct appliance_port *cfg; /* of all, also those not yet opened */
static unsigned n_cfg;

/* ---- Worker ---- */

static struct device *
device_of(const struct port *p)
{
	return atomic_load_explicit(&p->device, memory_order_acquire);
}

static uint16_t
push(const struct device *d, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	uint16_t sent = 0;
	for (unsigned try = 0; sent < n && try < TX_TRIES; try++)
		sent = (uint16_t)(sent + rte_eth_tx_burst(d->id, queue, pkts + sent, (uint16_t)(n - sent)));
	return sent;
}

/* What other workers gave us for our tx queue. */
static void
drain(struct port *p, const struct device *d, uint16_t worker)
{
	struct rte_mbuf *pkts[DRAIN];
	if (worker >= d->tx_queues)
		return;
	unsigned n = rte_ring_sc_dequeue_burst(d->shared[worker], (void **)pkts, DRAIN, NULL);
	if (n == 0)
		return;
	uint16_t sent = push(d, worker, pkts, (uint16_t)n);
	if (sent < n) {
		rte_pktmbuf_free_bulk(pkts + sent, n - sent);
		atomic_fetch_add_explicit(&p->worker[worker].tx_dropped, n - sent, memory_order_relaxed);
	}
}

uint16_t
port_rx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	const struct device *d = device_of(p);
	if (unlikely(d == NULL))
		return 0;
	if (d->shared != NULL)
		drain(p, d, worker);
	if (worker >= d->rx_queues)
		return 0;
	if (d->rx_queues <= p->workers)
		return rte_eth_rx_burst(d->id, worker, pkts, n);
	uint16_t got = 0, mine = (uint16_t)((d->rx_queues - worker - 1) / p->workers + 1),
	         first = p->worker[worker].next++;
	for (uint16_t k = 0; k < mine && got < n; k++) {
		uint16_t q = (uint16_t)(worker + (first + k) % mine * p->workers);
		got = (uint16_t)(got + rte_eth_rx_burst(d->id, q, pkts + got, (uint16_t)(n - got)));
	}
	return got;
}

uint16_t
port_tx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n)
{
	const struct device *d = device_of(p);
	if (unlikely(d == NULL))
		return 0;
#ifdef TR_ASAN
	for (uint16_t i = 0; i < n; i++)
		tr_guard_lift(pkts[i]);
#endif
	if (d->shared == NULL || worker < d->tx_queues)
		return push(d, worker, pkts, n);
	return (uint16_t)rte_ring_enqueue_burst(d->shared[worker % d->tx_queues], (void **)pkts, n, NULL);
}

struct tun *
port_tun(const struct port *p)
{
	return p->tun;
}

bool
port_csum_offload(const struct port *p)
{
	const struct device *d = device_of(p);
	return d != NULL && d->csum_offload;
}

/* ---- Control thread ---- */

struct port *
port_find(const char *name)
{
	for (unsigned i = 0; i < n_ports; i++)
		if (strcmp(ports[i].cfg->name, name) == 0)
			return &ports[i];
	return NULL;
}

const struct port *
port_of_device(unsigned ifindex)
{
	for (unsigned i = 0; i < n_ports; i++)
		if (ports[i].tun != NULL && ports[i].tun->ifindex == ifindex)
			return &ports[i];
	return NULL;
}

unsigned
port_each(void (*fn)(void *arg, struct port *p), void *arg)
{
	for (unsigned i = 0; i < n_ports; i++)
		fn(arg, &ports[i]);
	return n_ports;
}

static void
add_stats(struct rte_eth_stats *to, const struct rte_eth_stats *s)
{
	to->ipackets += s->ipackets;
	to->opackets += s->opackets;
	to->ibytes += s->ibytes;
	to->obytes += s->obytes;
	to->imissed += s->imissed + s->rx_nombuf + s->ierrors;
	to->oerrors += s->oerrors;
}

static uint64_t
seen(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void
show_tun(const struct port *p, struct port_info *out)
{
	const struct tun *t = p->tun;
	*out = (struct port_info){.name = p->cfg->name, .device = p->cfg->device, .driver = "tun", .queues = 1, .up = true,
		.rx = seen(&t->rx), .rx_bytes = seen(&t->rx_bytes), .tx = seen(&t->tx), .tx_bytes = seen(&t->tx_bytes),
		.tx_dropped = seen(&t->tx_dropped)};
}

void
port_show(const struct port *p, struct port_info *out)
{
	if (p->tun != NULL) {
		show_tun(p, out);
		return;
	}
	const struct device *d = device_of(p);
	struct rte_eth_stats s = p->before, now;
	if (d != NULL && rte_eth_stats_get(d->id, &now) == 0)
		add_stats(&s, &now);
	*out = (struct port_info){.name = p->cfg->name,
	        .device = p->cfg->device,
	        .driver = p->driver,
	        .mtu = p->mtu,
	        .queues = d != NULL ? d->rx_queues : 0,
	        .up = d != NULL && device_link(d),
	        .problem = p->problem[0] != 0 ? p->problem : NULL,
	        .rx = s.ipackets,
	        .tx = s.opackets,
	        .rx_dropped = s.imissed,
	        .tx_dropped = s.oerrors,
	        .rx_bytes = s.ibytes,
	        .tx_bytes = s.obytes};
	memcpy(out->mac, p->mac, 6);
	for (uint16_t w = 0; w < p->workers; w++)
		out->tx_dropped += atomic_load_explicit(&p->worker[w].tx_dropped, memory_order_relaxed);
}

static void
steer(struct port *p)
{
	const struct device *d = device_of(p);
	if (d != NULL && d->rx_queues > 1)
		steer_device(&p->steer, d->id, p->cfg->name);
}

void
port_steer(const struct steer_rule *r, unsigned n, bool wanted)
{
	for (unsigned k = 0; k < n; k++)
		steer_want(&r[k], wanted);
	for (unsigned i = 0; i < n_ports; i++)
		steer(&ports[i]);
}

bool
port_steered(const struct port *p, unsigned i, struct steer_seen *out)
{
	const struct device *d = device_of(p);
	return d != NULL && d->rx_queues > 1 && steer_see(&p->steer, i, out);
}

static void
publish(struct port *p, struct device *d)
{
	memcpy(p->mac, d->mac, 6);
	p->mtu = d->mtu;
	snprintf(p->driver, sizeof(p->driver), "%s", d->driver);
	p->problem[0] = 0;
	p->backoff = 0;
	atomic_store_explicit(&p->device, d, memory_order_release);
	memset(&p->steer, 0, sizeof(p->steer)); /* rules of the device before went with it */
	steer(p);
}

static bool
open_tun(struct port *p, const struct appliance *a, struct diags *d)
{
	char why[160], name[64];
	if (!device_arg(p->cfg->device, "iface", name, sizeof(name)))
		snprintf(name, sizeof(name), "%s", p->cfg->name);
	p->tun = tun_open(name, why, sizeof(why));
	if (p->tun == NULL)
		diag_pos(d, DIAG_ERROR, a->file, p->cfg->line, 0, "port `%s`: %s", p->cfg->name, why);
	return p->tun != NULL;
}

/* The kernel has our addresses, where it has a port. */
static bool
hush(const struct device *d)
{
	bool host = false;
	for (unsigned i = 0; i < n_cfg; i++)
		host |= appliance_is_host(cfg[i].device);
	return !host || d->iface[0] == '\0' || kernel_hush(d->iface);
}

static bool
open_port(struct port *p, const struct appliance *a, struct diags *d)
{
	char why[160];
	if (appliance_is_host(p->cfg->device))
		return open_tun(p, a, d);
	if (!guard_check(a, p->cfg, d))
		return false;
	struct device *dev = device_open(p->cfg, p->pool, p->workers, NULL, why, sizeof(why));
	if (dev == NULL) {
		diag_pos(d, DIAG_ERROR, a->file, p->cfg->line, 0, "port `%s`: %s", p->cfg->name, why);
		return false;
	}
	if (!hush(dev))
		diag_pos(d, DIAG_WARNING, a->file, p->cfg->line, 0,
		        "port `%s`: the kernel answers on %s, too, for it has the addresses of the host port: set "
		        "net.ipv4.conf.%s.rp_filter=1, arp_ignore=8 and net.ipv6.conf.%s.disable_ipv6=1",
		        p->cfg->name, dev->iface, dev->iface, dev->iface);
	if (dev->rx_queues < p->cfg->queues)
		diag_pos(d, DIAG_WARNING, a->file, p->cfg->line, 0, "port `%s`: %u queues wanted, %s has %u",
		        p->cfg->name, (unsigned)p->cfg->queues, dev->driver, dev->rx_queues);
	publish(p, dev);
	return true;
}

bool
ports_open(const struct appliance *a, struct rte_mempool *pool, uint16_t workers, struct diags *d)
{
	bool ok = true;
	ports = calloc(a->n_ports + 1, sizeof(*ports));
	cfg = a->port;
	n_cfg = a->n_ports;
	for (unsigned i = 0; ports != NULL && i < a->n_ports; i++) {
		struct port *p = &ports[i];
		*p = (struct port){.cfg = &a->port[i], .pool = pool, .workers = workers};
		p->worker = aligned_alloc(64, sizeof(*p->worker) * workers);
		if (p->worker == NULL)
			break;
		for (uint16_t w = 0; w < workers; w++)
			p->worker[w] = (struct port_worker){0};
		n_ports++;
		ok &= open_port(p, a, d);
	}
	if (n_ports < a->n_ports) {
		diag_pos(d, DIAG_ERROR, a->file, 0, 0, "out of memory for ports");
		ok = false;
	}
	if (!ok)
		ports_close();
	return ok;
}

/* Workers have stopped, and what was deferred has run. */
void
ports_close(void)
{
	for (unsigned i = 0; i < n_ports; i++) {
		struct device *d = device_of(&ports[i]);
		if (d != NULL)
			device_close(d);
		if (ports[i].tun != NULL)
			tun_close(ports[i].tun);
		free(ports[i].worker);
	}
	free(ports);
	ports = NULL;
	n_ports = 0;
}

static void
close_old(void *port)
{
	struct port *p = port;
	struct rte_eth_stats s;
	if (rte_eth_stats_get(p->old->id, &s) == 0)
		add_stats(&p->before, &s);
	device_close(p->old);
	p->closing = false;
}

static void
lose(struct port *p, struct device *d)
{
	atomic_store_explicit(&p->device, NULL, memory_order_release);
	p->old = d;
	p->closing = true;
	p->backoff = p->wait = 1;
	snprintf(p->problem, sizeof(p->problem), "gone, reopening in 1 s");
	log_error("port", "%s: its device is gone", p->cfg->name);
	rcu_defer(close_old, p);
}

static void
reopen(struct port *p)
{
	char why[120];
	if (p->closing || (p->wait > 0 && --p->wait > 0))
		return;
	struct device *d = device_open(p->cfg, p->pool, p->workers, p->mac, why, sizeof(why));
	if (d != NULL) {
		hush(d);
		publish(p, d);
		log_info("port", "%s: its device is back", p->cfg->name);
		return;
	}
	p->backoff = RTE_MIN(p->backoff * 2, (unsigned)BACKOFF_MAX);
	p->wait = p->backoff;
	snprintf(p->problem, sizeof(p->problem), "%s, reopening in %u s", why, p->wait);
}

bool
ports_tick(void)
{
	bool came = false;
	for (unsigned i = 0; i < n_ports; i++) {
		struct device *d = device_of(&ports[i]);
		if (d == NULL && ports[i].tun == NULL)
			reopen(&ports[i]);
		else if (d != NULL && device_gone(d))
			lose(&ports[i], d);
		d = device_of(&ports[i]);
		const bool link = d != NULL && device_link(d); /* of what is there now */
		came |= link && ports[i].was_down;
		ports[i].was_down = !link;
	}
	return came;
}
