/* SPDX-License-Identifier: BSD-3-Clause */
/* One region: its nodes are tried in turn, each at its addresses; then frames go to and fro. Service loop. */
#include "client.h"

#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull
#define ATTEMPT_MS 10000 /* of a node's last address */
#define HURRY_MS 3000    /* of an address with others behind it */
#define BACKOFF_MAX_MS 5000
#define RESOLVE_POLL_MS 20
#define RESOLVE_MS 10000
#define IDLE (60000 * MS)
#define PING_EVERY (25000 * MS) /* the home; keeps a NAT's mapping of the connection, too */
#define PING_PATIENCE (10000 * MS)
#define QUEUE_MAX (256u << 10)

static void dial_now(void *arg);

static uint64_t
now_ns(const struct region *r)
{
	return r->client->host->now(r->client->instance);
}

void
region_report(struct region *r)
{
	struct client *c = r->client;
	struct report *t = &r->report;
	const bool open = region_open(r);
	if (open != t->open)
		t->since = now_ns(r);
	t->id = r->id;
	t->home = c->home == r;
	t->open = open;
	t->trying = !open && (t->home || r->wanted || r->n_waiting > 0);
	pthread_mutex_lock(&c->lock);
	for (unsigned i = 0; i < c->n_regions; i++)
		if (c->region[i] == r)
			c->shown[i] = *t;
	c->n_shown = c->n_regions;
	pthread_mutex_unlock(&c->lock);
}

/* ---- Nodes ---- */

/* The node to be tried, counted among the region's; NULL: it has none. */
static const struct node *
node_at(const struct region *r, uint32_t at)
{
	const struct map *m = r->client->map;
	uint32_t n = 0;
	for (uint32_t i = 0; m != NULL && i < m->n; i++)
		if (m->node[i].region == r->id && n++ == at)
			return &m->node[i];
	return NULL;
}

static void
set_retry(struct region *r, uint64_t ms)
{
	if (r->retry != NULL)
		r->client->host->watch_close(r->retry);
	r->retry = r->client->host->watch_timer(r->client->instance, ms ? ms : 1, 0, dial_now, r);
}

static void
drop_waiting(struct region *r)
{
	struct client *c = r->client;
	struct tr_node *node = c->host->service_node(c->instance);
	for (unsigned i = 0; i < r->n_waiting; i++)
		c->host->packet_drop(node, r->waiting[i], CLIENT_NO_CONNECTION);
	r->n_waiting = 0;
}

/* n^2 x 10 ms, at most 5 s, times 0.5 to 1.5. */
static uint64_t
backoff_ms(struct region *r)
{
	const uint64_t n = r->report.failures, ms = n * n * 10 < BACKOFF_MAX_MS ? n * n * 10 : BACKOFF_MAX_MS;
	uint16_t any;
	r->client->host->crypto->random(&any, sizeof(any));
	return ms / 2 + ms * any / 65536;
}

/* Once as long as it is for the same reason. */
static void
log_failure(struct region *r, const char *why)
{
	struct client *c = r->client;
	if (strcmp(r->logged, why) == 0)
		return;
	snprintf(r->logged, sizeof(r->logged), "%s", why);
	c->host->log(c->instance, TR_LOG_WARNING, "region %u: %s: %s", r->id, r->report.node, why);
}

/* The address did not do. The node's next, the region's next node, or later again. */
static void
next(struct region *r, const char *why)
{
	struct client *c = r->client;
	if (why != r->report.failure)
		snprintf(r->report.failure, sizeof(r->report.failure), "%s", why);
	if (++r->at_address < r->n_addresses) {
		set_retry(r, 0);
	} else if (node_at(r, ++r->at_node) != NULL) {
		r->n_addresses = r->at_address = 0;
		set_retry(r, 0);
	} else {
		r->n_addresses = r->at_address = 0;
		r->at_node = 0;
		r->report.failures++;
		log_failure(r, r->report.failure);
		c->count[CLIENT_FAILED]++;
		drop_waiting(r);
		set_retry(r, backoff_ms(r));
	}
	region_report(r);
}

static void
poll_resolver(void *arg)
{
	struct region *r = arg;
	const struct node *n = node_at(r, r->at_node);
	const int got = resolve_answer(r->resolve, r->address, ADDRESSES_MAX);
	if (got < 0 && now_ns(r) - r->report.since < RESOLVE_MS * MS)
		return;
	resolve_end(r->resolve);
	r->resolve = NULL;
	r->n_addresses = got > 0 ? got : 0;
	r->at_address = 0;
	if (got > 0) {
		set_retry(r, 0);
		return;
	}
	snprintf(r->report.failure, sizeof(r->report.failure), "the name %.80s %s", n != NULL ? n->host : "",
		got < 0 ? "is not answered for by the DNS" : "does not exist, or the DNS fails");
	r->client->host->watch_close(r->retry);
	r->retry = NULL;
	next(r, r->report.failure);
}

static void
look_up(struct region *r, const struct node *n)
{
	const struct client *c = r->client;
	r->report.since = now_ns(r);
	r->resolve = resolve_start(n->host);
	r->retry = r->resolve ? c->host->watch_timer(c->instance, RESOLVE_POLL_MS, RESOLVE_POLL_MS, poll_resolver, r) : NULL;
	if (r->retry != NULL)
		return;
	resolve_end(r->resolve);
	r->resolve = NULL;
	next(r, "out of memory");
}

static void
dial_now(void *arg)
{
	struct region *r = arg;
	struct client *c = r->client;
	if (r->retry != NULL)
		c->host->watch_close(r->retry);
	r->retry = NULL;
	const struct node *n = node_at(r, r->at_node);
	if (n == NULL || !(c->home == r || r->wanted || r->n_waiting > 0)) {
		region_report(r);
		return;
	}
	snprintf(r->report.node, sizeof(r->report.node), "%s", n->name);
	if (n->n_addresses > 0) {
		memcpy(r->address, n->address, sizeof(r->address));
		r->n_addresses = n->n_addresses;
	} else if (r->n_addresses == 0) {
		look_up(r, n);
		return;
	}
	struct dial_target to = {.addr = {.addr = r->address[r->at_address], .port = n->port}};
	const bool others = r->at_address + 1 < r->n_addresses || node_at(r, 1) != NULL;
	to.timeout_ms = others ? HURRY_MS : ATTEMPT_MS;
	memcpy(to.host, n->host, sizeof(to.host));
	memcpy(to.certificate, n->certificate, sizeof(to.certificate));
	r->good = false;
	if (!dial_start(&r->dial, &to))
		next(r, r->dial.why);
	region_report(r);
}

void
region_start(struct region *r)
{
	if (r->dial.state == DIAL_IDLE && r->retry == NULL)
		dial_now(r);
}

/* ---- Frames ---- */

void
region_prefer(struct region *r)
{
	uint8_t *p = dial_frame(&r->dial, &r->dial.control, FRAME_NOTE_PREFERRED, 1);
	if (p != NULL)
		*p = r->client->home == r;
	r->dirty = true;
}

void
region_ping(struct region *r)
{
	uint8_t *p = region_open(r) && r->pinged == 0 ? dial_frame(&r->dial, &r->dial.control, FRAME_PING, 8) : NULL;
	if (p == NULL)
		return;
	r->client->host->crypto->random(&r->ping_id, sizeof(r->ping_id));
	memcpy(p, &r->ping_id, 8);
	r->pinged = now_ns(r);
	r->dirty = true;
}

/* The relay takes so many bytes a second from us; what goes beyond it would be dropped there, or hold up all. */
static bool
may_send(struct region *r, uint32_t cost)
{
	struct bucket *b = &r->bucket;
	const struct info_server *i = &r->dial.info;
	const uint64_t now = now_ns(r);
	if (i->bytes_per_second == 0)
		return true;
	if (b->rate != i->bytes_per_second || b->burst != i->burst)
		*b = (struct bucket){.rate = i->bytes_per_second, .burst = i->burst, .tokens = i->burst, .at = now};
	const double gained = (double)(now - b->at) * (double)b->rate / 1e9 + (double)b->tokens;
	b->tokens = gained < (double)b->burst ? (uint64_t)gained : b->burst;
	b->at = now;
	if (b->tokens < cost)
		return false;
	b->tokens -= cost;
	return true;
}

static enum client_drop
write_packet(struct region *r, const struct rte_mbuf *m)
{
	const struct tr_endpoint *e = &tr_meta((struct rte_mbuf *)(uintptr_t)m)->endpoint;
	const uint32_t len = m->data_len;
	if (r->dial.packets.bytes > QUEUE_MAX)
		return CLIENT_FULL;
	if (!may_send(r, FRAME_HEADER + FRAME_KEY + len))
		return CLIENT_RATE;
	uint8_t *p = dial_frame(&r->dial, &r->dial.packets, FRAME_SEND, FRAME_KEY + len);
	if (p == NULL)
		return CLIENT_FULL;
	memcpy(p, e->remote, 16);
	memcpy(p + 16, e->local, 16);
	memcpy(p + FRAME_KEY, rte_pktmbuf_mtod(m, const void *), len);
	r->client->count[CLIENT_OUT]++;
	r->client->count[CLIENT_OUT_BYTES] += len;
	r->used = now_ns(r);
	r->dirty = true;
	return CLIENT_SENT;
}

void
region_send(struct region *r, struct rte_mbuf *m, uint16_t *verdict)
{
	struct client *c = r->client;
	if (region_open(r)) {
		*verdict = TR_DROP(write_packet(r, m));
		return;
	}
	if (r->n_waiting == WAITING_MAX) {
		struct tr_node *node = c->host->service_node(c->instance);
		c->host->packet_drop(node, r->waiting[0], CLIENT_WAITED);
		memmove(r->waiting, r->waiting + 1, --r->n_waiting * sizeof(r->waiting[0]));
	}
	r->waiting[r->n_waiting++] = m;
	*verdict = TR_HELD;
	region_start(r);
}

void
region_flush(struct region *r)
{
	if (r->dirty)
		dial_flush(&r->dial);
	r->dirty = false;
}

static void
on_opened(struct dial *d)
{
	struct region *r = d->owner;
	struct client *c = r->client;
	struct tr_node *node = c->host->service_node(c->instance);
	c->count[CLIENT_CONNECTED]++;
	r->used = now_ns(r);
	r->pinged = 0;
	region_prefer(r);
	for (unsigned i = 0; i < r->n_waiting; i++)
		c->host->packet_drop(node, r->waiting[i], write_packet(r, r->waiting[i]));
	r->n_waiting = 0;
}

static void
take_pong(struct region *r, const struct frame *f)
{
	if (r->pinged == 0 || memcmp(f->body, &r->ping_id, 8) != 0)
		return;
	const uint64_t us = (now_ns(r) - r->pinged) / 1000;
	r->report.latency_us = us > 0 ? (uint32_t)us : 1;
	r->pinged = 0;
	region_report(r);
}

static uint32_t
be32(const uint8_t *p)
{
	struct tr_reader r = tr_reader(p, 4);
	return tr_be32(&r);
}

static void
begin(struct region *r)
{
	r->good = true;
	r->restart_ms = 0;
	if (r->report.failures > 0)
		r->client->host->log(r->client->instance, TR_LOG_INFO, "region %u: connected to %s again", r->id, r->report.node);
	r->report.failures = 0;
	r->report.failure[0] = r->report.health[0] = r->logged[0] = '\0';
	region_ping(r);
	region_report(r);
}

static bool
on_frame(struct dial *d, const struct frame *f)
{
	struct region *r = d->owner;
	struct client *c = r->client;
	uint8_t *p;
	if (!r->good)
		begin(r);
	switch (f->type) {
	case FRAME_RECV:
		client_received(r, f->body, f->body + FRAME_KEY, f->len - FRAME_KEY);
		break;
	case FRAME_PEER_GONE:
		route_forget(&c->routes, f->body, r->id);
		c->count[CLIENT_GONE]++;
		break;
	case FRAME_PING:
		p = dial_frame(d, &d->control, FRAME_PONG, 8);
		if (p != NULL)
			memcpy(p, f->body, 8);
		c->count[CLIENT_PINGS]++;
		break;
	case FRAME_PONG:
		take_pong(r, f);
		break;
	case FRAME_HEALTH:
		snprintf(r->report.health, sizeof(r->report.health), "%.*s", (int)(f->len < 120 ? f->len : 120), (const char *)f->body);
		for (char *t = r->report.health; *t != '\0'; t++)
			if ((unsigned char)*t < ' ' || (unsigned char)*t > '~') /* a stranger's: it goes to a terminal, and into JSON */
				*t = '?';
		region_report(r);
		break;
	case FRAME_RESTARTING:
		r->restart_ms = be32(f->body);
		break;
	default:
		break;
	}
	return true;
}

/* A relay that is about to restart is not a failing one: all its clients come back, spread over the time it asks for. */
static void
on_closed(struct dial *d, const char *why)
{
	struct region *r = d->owner;
	struct client *c = r->client;
	uint32_t any;
	r->dirty = false;
	r->pinged = 0;
	route_forget_region(&c->routes, r->id);
	if (r->restart_ms > 0) {
		c->host->crypto->random(&any, sizeof(any));
		set_retry(r, any % (r->restart_ms < 60000 ? r->restart_ms : 60000) + 1);
		r->restart_ms = 0;
		snprintf(r->report.failure, sizeof(r->report.failure), "the relay restarts");
		region_report(r);
		return;
	}
	if (r->good) { /* it worked a moment ago: from the first node on */
		r->at_node = 0;
		r->at_address = r->n_addresses = 0;
		snprintf(r->report.failure, sizeof(r->report.failure), "%s", why);
		log_failure(r, why);
		r->report.failures = 1;
		set_retry(r, backoff_ms(r));
		region_report(r);
		return;
	}
	next(r, why);
}

/* ---- Time ---- */

void
region_second(struct region *r, uint64_t now)
{
	struct client *c = r->client;
	const bool home = c->home == r;
	if (home)
		region_start(r);
	if (!region_open(r))
		return;
	if (r->pinged != 0 && now - r->pinged > PING_PATIENCE) {
		dial_stop(&r->dial);
		on_closed(&r->dial, "no answer to a ping");
		return;
	}
	if (home && r->pinged == 0 && now - r->dial.heard > PING_EVERY)
		region_ping(r);
	if (!home && !r->wanted && now - r->used > IDLE)
		region_stop(r);
	region_flush(r);
}

void
region_stop(struct region *r)
{
	dial_stop(&r->dial);
	route_forget_region(&r->client->routes, r->id);
	if (r->retry != NULL)
		r->client->host->watch_close(r->retry);
	r->retry = NULL;
	resolve_end(r->resolve);
	r->resolve = NULL;
	r->dirty = r->wanted = false;
	r->pinged = 0;
	r->at_node = 0; /* another map may have fewer */
	r->at_address = r->n_addresses = 0;
	drop_waiting(r);
	region_report(r);
}

struct region *
region_new(struct client *c, uint16_t id)
{
	struct region *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	r->client = c;
	r->id = id;
	r->report.id = id;
	r->dial = (struct dial){.instance = c->instance, .host = c->host, .wire = &c->wire, .chunks = &c->chunks, .tls = c->tls,
		.self = &c->self, .opened = on_opened, .frame = on_frame, .closed = on_closed, .owner = r};
	return r;
}

void
region_free(struct region *r)
{
	region_stop(r);
	free(r);
}
