/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <tailrace/udp.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define FIRST_RETRY (100 * MS)
#define ROUND (3 * SECOND)      /* what has not answered by then does not */
#define INTERVAL (20 * SECOND)  /* NATs that forget after 30 s are held open */
#define INTERVAL_SPREAD (6 * SECOND)
#define LOST_INTERVAL (5 * SECOND) /* after a round without any answer */
#define HAIRPIN_WAIT SECOND
#define FILTER_RETRY (200 * MS)
#define FILTER_WAIT SECOND
#define NEVER UINT64_MAX

static void on_timer(void *arg);

static uint64_t
now(const struct client *c)
{
	return c->host->now(c->instance);
}

static bool
same(const struct tr_sockaddr *a, const struct tr_sockaddr *b)
{
	return tr_addr_eq(&a->addr, &b->addr) && a->port == b->port;
}

/* ---- Requests ---- */

/* `port`: 0: that of the transport. change: 0, or where the answer is to come from. */
static void
send_from(struct client *c, uint16_t port, const struct tr_sockaddr *to, const uint8_t txid[BINDING_TXID], uint32_t change)
{
	struct tr_node *node = c->host->service_node(c->instance);
	struct rte_mbuf *m = node ? c->host->packet_new(node) : NULL;
	if (m == NULL) {
		if (node != NULL)
			node->count[CLIENT_NO_PACKET]++;
		return;
	}
	if (change != 0)
		binding_change_request((uint8_t *)rte_pktmbuf_append(m, BINDING_CHANGE_SIZE), &c->crc, txid, change);
	else
		binding_request((uint8_t *)rte_pktmbuf_append(m, BINDING_SIZE), &c->crc, txid);
	struct tr_meta *meta = tr_meta(m);
	meta->endpoint = (struct tr_endpoint){.family = to->addr.family, .remote_port = to->port,
		.local_port = port ? port : c->settings.listen, .flags = port ? TR_ENDPOINT_BOUND : 0};
	memcpy(meta->endpoint.remote, to->addr.ip, sizeof(meta->endpoint.remote));
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN;
	node->count[CLIENT_REQUESTS]++;
	c->host->emit(node, CLIENT_OUT, &m, 1);
}

static void
send_request(struct client *c, const struct tr_sockaddr *to, const uint8_t txid[BINDING_TXID])
{
	send_from(c, 0, to, txid, 0);
}

/* Each try has an id of its own, so that an answer tells which one it answers and how long that took. */
static void
ask(struct client *c, struct target *t, uint64_t at)
{
	c->host->crypto->random(t->txid[t->tries], BINDING_TXID);
	t->sent[t->tries] = at;
	send_request(c, &t->address, t->txid[t->tries]);
	t->tries++;
	const uint64_t patience = t->latency ? t->latency * 6 / 5 : FIRST_RETRY;
	t->due = t->tries < CLIENT_TRIES ? at + (patience > FIRST_RETRY ? patience : FIRST_RETRY) * t->tries : NEVER;
}

static void
set_timer(struct client *c)
{
	uint64_t next = c->probing ? c->started + ROUND : c->next_round, at = now(c);
	for (uint32_t i = 0; c->probing && i < c->n; i++)
		if (!c->target[i].answered)
			next = RTE_MIN(next, c->target[i].due);
	if (c->asked_hairpin != 0)
		next = RTE_MIN(next, c->asked_hairpin + HAIRPIN_WAIT);
	if (c->filter.due != 0)
		next = RTE_MIN(next, c->filter.due);
	if (c->timer != NULL)
		c->host->watch_close(c->timer);
	c->timer = c->host->watch_timer(c->instance, next > at ? (next - at) / MS + 1 : 1, 0, on_timer, c);
}

static void
begin_round(struct client *c)
{
	struct tr_node *node = c->host->service_node(c->instance);
	c->probing = true;
	c->started = now(c);
	for (uint32_t i = 0; i < c->n; i++) {
		c->target[i].answered = false;
		c->target[i].tries = 0;
		c->target[i].due = c->started;
	}
	if (node != NULL)
		node->count[CLIENT_ROUNDS]++;
}

/* ---- Conclusions ---- */

static const struct target *
answered_as(const struct client *c, enum target_kind kind)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->target[i].kind == kind && c->target[i].answered && c->target[i].mapped.addr.family == 4)
			return &c->target[i];
	return NULL;
}

/* The server of the options that has this address beside the target's: the one that test I asked. */
static const struct target *
first_of(const struct client *c, const struct target *other)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->target[i].kind == TARGET_SERVER && c->target[i].answered && c->target[i].address.addr.family == 4 &&
			c->target[i].address.port == other->address.port && !tr_addr_eq(&c->target[i].address.addr, &other->address.addr))
			return &c->target[i];
	return NULL;
}

/*
 * Servers of different addresses agree or they don't; two answers of one server would prove nothing. If they don't, a
 * server with a second address and port tells whether the address alone makes the difference (RFC 5780 section 4.3).
 */
static enum mapping
conclude(const struct client *c)
{
	const struct target *one = NULL, *two = answered_as(c, TARGET_OTHER_ADDRESS), *three = answered_as(c, TARGET_OTHER_BOTH);
	bool compared = false, differ = false;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct target *t = &c->target[i];
		if (!t->answered || t->mapped.addr.family != 4 || t->kind == TARGET_OTHER_BOTH)
			continue;
		if (one == NULL) {
			one = t;
			continue;
		}
		if (tr_addr_eq(&one->address.addr, &t->address.addr))
			continue;
		compared = true;
		differ = differ || !same(&one->mapped, &t->mapped);
	}
	if (one != NULL && same(&one->mapped, &one->local))
		return MAPPING_NONE;
	if (!compared)
		return MAPPING_UNKNOWN;
	if (!differ)
		return MAPPING_ENDPOINT;
	if (two == NULL || three == NULL || first_of(c, two) == NULL)
		return MAPPING_VARIES;
	return same(&two->mapped, &three->mapped) ? MAPPING_ADDRESS : MAPPING_PORT;
}

static const char *
mapping_name(enum mapping m)
{
	static const char *const names[] = {"unknown", "none", "endpoint-independent", "address-dependent",
		"address-and-port-dependent", "address-dependent or stricter"};
	return names[m];
}

/* What comes back from our own outside address has been turned round by a NAT. */
static void
ask_hairpin(struct client *c)
{
	c->hairpin = HAIRPIN_UNKNOWN;
	if (c->mapped4.addr.family == 0 || c->mapping == MAPPING_NONE)
		return;
	c->host->crypto->random(c->hairpin_txid, BINDING_TXID);
	c->asked_hairpin = now(c);
	send_request(c, &c->mapped4, c->hairpin_txid);
}

static struct tr_sockaddr
first_mapped(const struct client *c, uint8_t family, struct tr_sockaddr *local)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (c->target[i].answered && c->target[i].mapped.addr.family == family) {
			*local = c->target[i].local;
			return c->target[i].mapped;
		}
	*local = (struct tr_sockaddr){0};
	return (struct tr_sockaddr){0};
}

/* ---- Filtering ---- */

static void
filter_begin(struct client *c)
{
	struct filter_test *f = &c->filter;
	f->found = FILTERING_UNKNOWN;
	f->due = 0;
	if (c->settings.probe_ports == 0 || f->server.addr.family == 0)
		return;
	f->port = (uint16_t)(c->settings.probe_ports + f->turn++);
	f->tries = 0;
	f->due = now(c);
	for (unsigned i = 0; i < FILTER_TESTS; i++) {
		f->answered[i] = false;
		c->host->crypto->random(f->txid[i], BINDING_TXID);
	}
}

/* All at once: the hole that they open is the same. */
static void
filter_step(struct client *c)
{
	static const uint32_t change[FILTER_TESTS] = {0, BINDING_CHANGE_ADDRESS | BINDING_CHANGE_PORT, BINDING_CHANGE_PORT};
	struct filter_test *f = &c->filter;
	if (f->tries < CLIENT_TRIES) {
		for (unsigned i = 0; i < FILTER_TESTS; i++)
			if (!f->answered[i])
				send_from(c, f->port, &f->server, f->txid[i], change[i]);
		f->tries++;
		f->due = now(c) + (f->tries < CLIENT_TRIES ? FILTER_RETRY : FILTER_WAIT);
		return;
	}
	f->due = 0;
	if (f->answered[FILTER_PLAIN])
		f->found = f->answered[FILTER_BOTH] ? FILTERING_ENDPOINT : f->answered[FILTER_OTHER_PORT] ? FILTERING_ADDRESS : FILTERING_PORT;
}

/* Is this an answer to one of the tests, from where it was to come? */
static bool
filter_answer(struct client *c, const struct tr_endpoint *from, const uint8_t *msg, size_t len)
{
	struct filter_test *f = &c->filter;
	const struct tr_sockaddr *where[FILTER_TESTS] = {&f->server, &f->other, &(struct tr_sockaddr){f->server.addr, f->other.port}};
	struct binding b;
	if (f->due == 0 || from->local_port != f->port || !binding_parse(&b, &c->crc, msg, len) || b.error != 0)
		return false;
	for (unsigned i = 0; i < FILTER_TESTS; i++) {
		const struct tr_sockaddr *w = where[i];
		if (f->answered[i] || memcmp(b.txid, f->txid[i], BINDING_TXID) != 0 || from->family != w->addr.family ||
			from->remote_port != w->port || memcmp(from->remote, w->addr.ip, sizeof(from->remote)) != 0)
			continue;
		f->answered[i] = true;
		if (f->answered[FILTER_PLAIN] && f->answered[FILTER_BOTH]) { /* nothing more to learn */
			f->tries = CLIENT_TRIES;
			filter_step(c);
		}
		return true;
	}
	return false;
}

static const char *
filtering_name(enum filtering f)
{
	static const char *const names[] = {"unknown", "endpoint-independent", "address-dependent", "address-and-port-dependent"};
	return names[f];
}

/* What peers may be told: each address that some server sees, and our own. */
static void
tell(struct client *c)
{
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	const bool varies = conclude(c) >= MAPPING_ADDRESS;
	uint16_t n = 0;
	for (uint32_t i = 0; i < c->n; i++) {
		const struct target *t = &c->target[i];
		if (!t->answered || t->mapped.addr.family == 0 || n + 2 > TR_OWN_ENDPOINTS)
			continue;
		own[n++] = (struct tr_own_endpoint){t->mapped, TR_OWN_STUN, varies && t->mapped.addr.family == 4};
		if (!same(&t->mapped, &t->local))
			own[n++] = (struct tr_own_endpoint){t->local, TR_OWN_LOCAL, false};
	}
	c->host->own_endpoints_tell(c->instance, c->settings.listen, own, n);
}

static void
end_round(struct client *c)
{
	uint32_t wait;
	struct tr_sockaddr local6, local4;
	const struct tr_sockaddr mapped4 = first_mapped(c, 4, &local4), mapped6 = first_mapped(c, 6, &local6);
	const enum mapping mapping = conclude(c);
	const bool moved = !same(&mapped4, &c->mapped4) || !same(&mapped6, &c->mapped6) || !same(&local4, &c->local4);
	const bool lost = mapped4.addr.family == 0 && mapped6.addr.family == 0;
	struct tr_node *node = c->host->service_node(c->instance);
	if (mapping != c->mapping)
		c->host->log(c->instance, TR_LOG_INFO, "mapping of the NATs in between: %s", mapping_name(mapping));
	if (moved && node != NULL)
		node->count[CLIENT_MOVED]++;
	c->mapped4 = mapped4;
	c->mapped6 = mapped6;
	c->local4 = local4;
	if (moved || mapping != c->mapping) {
		c->mapping = mapping;
		ask_hairpin(c);
		filter_begin(c);
	}
	tell(c);
	c->host->crypto->random(&wait, sizeof(wait));
	c->probing = false;
	c->next_round = now(c) + (lost ? LOST_INTERVAL : INTERVAL + wait % INTERVAL_SPREAD);
}

static bool
all_answered(const struct client *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		if (!c->target[i].answered)
			return false;
	return true;
}

static void
on_timer(void *arg)
{
	struct client *c = arg;
	pthread_mutex_lock(&c->lock);
	const uint64_t at = now(c);
	if (c->asked_hairpin != 0 && at >= c->asked_hairpin + HAIRPIN_WAIT) {
		c->asked_hairpin = 0;
		c->hairpin = HAIRPIN_NO;
	}
	if (c->filter.due != 0 && at >= c->filter.due)
		filter_step(c);
	if (!c->probing && at >= c->next_round)
		begin_round(c);
	for (uint32_t i = 0; c->probing && i < c->n; i++)
		if (!c->target[i].answered && at >= c->target[i].due)
			ask(c, &c->target[i], at);
	if (c->probing && (at >= c->started + ROUND || all_answered(c)))
		end_round(c);
	set_timer(c);
	pthread_mutex_unlock(&c->lock);
}

/* ---- Answers ---- */

static struct target *
find(struct client *c, const struct tr_endpoint *from)
{
	for (uint32_t i = 0; i < c->n; i++) {
		const struct tr_sockaddr *a = &c->target[i].address;
		if (a->addr.family == from->family && a->port == from->remote_port &&
			memcmp(a->addr.ip, from->remote, sizeof(from->remote)) == 0)
			return &c->target[i];
	}
	return NULL;
}

/* The first server that has other addresses lends them for the tests II and III. */
static void
take_other(struct client *c, const struct target *t, const struct tr_sockaddr *other)
{
	const struct tr_endpoint at = {.family = 4, .remote_port = t->address.port};
	struct tr_endpoint known = at;
	memcpy(known.remote, other->addr.ip, sizeof(known.remote));
	if (t->kind != TARGET_SERVER || t->mapped.addr.family != 4 || other->addr.family != 4 || other->port == t->address.port ||
		tr_addr_eq(&other->addr, &t->address.addr))
		return;
	if (c->filter.server.addr.family == 0) {
		c->filter.server = t->address;
		c->filter.other = *other;
	}
	if (c->n + 2 > TARGETS_MAX)
		return;
	for (uint32_t i = 0; i < c->n; i++)
		if (c->target[i].kind != TARGET_SERVER)
			return;
	struct target *have = find(c, &known);
	if (have != NULL) /* the options name it, too */
		have->kind = TARGET_OTHER_ADDRESS;
	else
		c->target[c->n++] = (struct target){.address = {other->addr, t->address.port}, .kind = TARGET_OTHER_ADDRESS};
	c->target[c->n++] = (struct target){.address = *other, .kind = TARGET_OTHER_BOTH};
}

static uint16_t
take(struct client *c, struct tr_node *node, const struct tr_meta *meta, struct target *t, const struct binding *b)
{
	unsigned try = 0;
	while (try < t->tries && memcmp(t->txid[try], b->txid, BINDING_TXID) != 0)
		try++;
	if (try == t->tries || t->answered)
		return CLIENT_DROP_UNEXPECTED;
	node->count[CLIENT_ANSWERS]++;
	t->answered = true;
	t->answered_at = now(c);
	t->error = b->error;
	t->mapped = b->mapped;
	t->local = (struct tr_sockaddr){.addr.family = meta->endpoint.family, .port = meta->endpoint.local_port};
	memcpy(t->local.addr.ip, meta->endpoint.local, sizeof(t->local.addr.ip));
	t->latency = meta->time > t->sent[try] ? meta->time - t->sent[try] : 1;
	node->count[CLIENT_ERRORS] += b->error != 0;
	take_other(c, t, &b->other);
	if (all_answered(c))
		end_round(c);
	else
		tell(c);
	set_timer(c);
	return CLIENT_DROP_CONSUMED;
}

uint16_t
client_answer(struct client *c, struct tr_node *node, struct rte_mbuf *m)
{
	const struct tr_meta *meta = tr_meta(m);
	struct binding b;
	size_t len;
	const uint8_t *msg = tr_udp_payload(m, &len);

	pthread_mutex_lock(&c->lock);
	uint16_t drop = CLIENT_DROP_FOREIGN;
	struct target *t = find(c, &meta->endpoint);
	if (c->asked_hairpin != 0 && binding_is_request(msg, len, c->hairpin_txid)) {
		c->asked_hairpin = 0;
		c->hairpin = HAIRPIN_YES;
		drop = CLIENT_DROP_CONSUMED;
	} else if (filter_answer(c, &meta->endpoint, msg, len)) {
		set_timer(c);
		drop = CLIENT_DROP_CONSUMED;
	} else if (t != NULL) {
		drop = binding_parse(&b, &c->crc, msg, len) ? take(c, node, meta, t, &b) : CLIENT_DROP_MALFORMED;
	}
	pthread_mutex_unlock(&c->lock);
	return TR_DROP(drop);
}

/* ---- What is asked for ---- */

void
client_probe(struct client *c)
{
	pthread_mutex_lock(&c->lock);
	begin_round(c);
	set_timer(c);
	pthread_mutex_unlock(&c->lock);
}

void
client_settings(struct client *c, const struct client_settings *s)
{
	pthread_mutex_lock(&c->lock);
	if (c->settings.listen != s->listen)
		c->host->own_endpoints_tell(c->instance, c->settings.listen, NULL, 0);
	c->settings = *s;
	c->filter = (struct filter_test){.turn = c->filter.turn};
	c->mapping = MAPPING_UNKNOWN;
	c->n = 0;
	for (uint32_t i = 0; i < s->n; i++)
		c->target[c->n++] = (struct target){.address = s->server[i]};
	pthread_mutex_unlock(&c->lock);
	client_probe(c);
}

void
client_init(struct client *c, struct tr_instance *instance, const struct tr_host *host)
{
	*c = (struct client){.instance = instance, .host = host};
	crc32_init(&c->crc);
	pthread_mutex_init(&c->lock, NULL);
}

void
client_fini(struct client *c)
{
	if (c->timer != NULL)
		c->host->watch_close(c->timer);
	c->timer = NULL;
	c->host->own_endpoints_tell(c->instance, c->settings.listen, NULL, 0);
}

/* ---- What the operator sees ---- */

static void
show_sockaddr(struct tr_show *out, const char *key, const struct tr_sockaddr *a)
{
	if (a->addr.family == 0)
		return;
	out->begin(out, key);
	out->addr(out, "address", &a->addr);
	out->uint(out, "port", a->port);
	out->end(out);
}

static void
show_target(const struct client *c, const struct target *t, struct tr_show *out)
{
	out->begin(out, NULL);
	out->addr(out, "address", &t->address.addr);
	out->uint(out, "port", t->address.port);
	if (t->answered_at == 0) {
		out->text(out, "problem", "has never answered");
	} else {
		out->uint(out, "seconds_ago", (now(c) - t->answered_at) / SECOND);
		out->real(out, "latency_ms", (double)t->latency / (double)MS);
		show_sockaddr(out, "mapped", &t->mapped);
	}
	if (t->error != 0)
		out->uint(out, "error", t->error);
	out->end(out);
}

void
client_show(struct client *c, struct tr_show *out)
{
	static const char *const hairpin[] = {"unknown", "no", "yes"};
	pthread_mutex_lock(&c->lock);
	out->uint(out, "port", c->settings.listen);
	out->text(out, "mapping", mapping_name(c->mapping));
	out->text(out, "filtering", filtering_name(c->filter.found));
	out->text(out, "hairpin", hairpin[c->hairpin]);
	show_sockaddr(out, "ipv4", &c->mapped4);
	show_sockaddr(out, "ipv6", &c->mapped6);
	out->list(out, "servers");
	for (uint32_t i = 0; i < c->n; i++)
		show_target(c, &c->target[i], out);
	out->end(out);
	pthread_mutex_unlock(&c->lock);
}
