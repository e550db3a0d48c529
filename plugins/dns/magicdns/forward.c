/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A query that must wait keeps its packet; the answer is written into it. Queries for one thing that is already being
 * asked wait together.
 */
#include "forward.h"

#include "cache.h"
#include "exchange.h"
#include "stream.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/show.h>
#include <tailrace/udp.h>

#define QUERIES 256           /* outstanding questions */
#define WAITERS 1024          /* packets that wait for them */
#define WAITERS_PER_SOURCE 64 /* so that one client can't have them all */
#define FAILURES 3            /* in a row: more than a name that nobody can resolve */
#define LATELY_NS (60 * UINT64_C(1000000000))

struct waiter {
	struct waiter *next;
	struct rte_mbuf *m;
};

struct query {
	struct exchange exchange; /* first: done() is given it */
	struct forward *forward;
	struct waiter *waiters; /* NULL: the slot is free */
	struct wire_key key;
	unsigned first, attempt, upstream; /* attempt k asks upstream first + k */
};

/* How an upstream does: written by the service loop, read by status. */
struct health {
	_Atomic uint64_t good, bad; /* ns: when it answered last, and when it did not; 0: never */
	_Atomic uint32_t in_a_row;  /* questions since the last good answer */
	_Atomic bool silent;        /* the last of these: no answer, else an error */
};

struct forward {
	struct magicdns *dns;
	struct cache *cache;
	uint8_t secret[32];
	/* Written by the service loop, read by show(). */
	_Atomic uint32_t good; /* the upstream that answered last */
	_Atomic uint32_t outstanding, cached;
	struct health health[UPSTREAMS_MAX];
	struct waiter *free_waiters;
	struct query query[QUERIES];
	struct waiter waiter[WAITERS];
	uint8_t stream[UINT16_MAX]; /* an answer on its way to a client over TCP */
};

static uint64_t
keyed_hash(void *arg, const struct wire_key *k)
{
	struct forward *f = arg;
	uint64_t hash;
	f->dns->host->crypto->blake2s((uint8_t *)&hash, sizeof(hash), f->secret, sizeof(f->secret),
		(const void *const[]){k->bytes}, (const size_t[]){k->len}, 1);
	return hash;
}

static bool
same_client(const struct tr_endpoint *a, const struct tr_endpoint *b)
{
	return a->family == b->family && memcmp(a->remote, b->remote, 16) == 0;
}

/* Does this very query wait already (a client that asks again), or do too many of this client? */
static int
refuse(struct forward *f, struct rte_mbuf *m)
{
	const struct tr_endpoint *from = &tr_meta(m)->endpoint;
	size_t len;
	unsigned n = 0;
	const uint8_t *msg = tr_udp_payload(m, &len);
	for (unsigned i = 0; i < QUERIES; i++) {
		for (struct waiter *w = f->query[i].waiters; w != NULL; w = w->next) {
			const struct tr_endpoint *other = &tr_meta(w->m)->endpoint;
			if (!same_client(from, other))
				continue;
			if (++n >= WAITERS_PER_SOURCE)
				return DROP_TOO_MANY;
			size_t other_len;
			const uint8_t *other_msg = tr_udp_payload(w->m, &other_len);
			if (from->remote_port == other->remote_port && len == other_len && memcmp(msg, other_msg, len) == 0)
				return DROP_DUPLICATE;
		}
	}
	return f->free_waiters == NULL ? DROP_TOO_MANY : -1;
}

static void
join(struct query *q, struct rte_mbuf *m)
{
	struct waiter *w = q->forward->free_waiters;
	q->forward->free_waiters = w->next;
	*w = (struct waiter){q->waiters, m};
	q->waiters = w;
}

/* Takes a waiter's packet off the query. */
static struct rte_mbuf *
leave(struct query *q)
{
	struct forward *f = q->forward;
	struct waiter *w = q->waiters;
	q->waiters = w->next;
	w->next = f->free_waiters;
	f->free_waiters = w;
	if (q->waiters == NULL)
		atomic_fetch_sub_explicit(&f->outstanding, 1, memory_order_relaxed);
	return w->m;
}

/* To a client over TCP, whole. */
static uint16_t
answer_stream(struct forward *f, const struct rte_mbuf *m, const uint8_t *msg, size_t len, struct question *q, const struct stored *stored,
	uint32_t age, enum dns_rcode error)
{
	uint8_t *whole = f->stream;
	memcpy(whole, msg, len);
	q->room = UINT16_MAX;
	size_t size = stored ? answer_stored(whole, UINT16_MAX, q, stored, age) : answer_error(whole, UINT16_MAX, q, error);
	streams_answer(f->dns->streams, tr_meta((struct rte_mbuf *)(uintptr_t)m)->mark, whole, size);
	return TR_DROP(DROP_STREAM);
}

/* The answer into the packet: a stored one, or an error without. OUT, or a drop. */
static uint16_t
write_answer(struct forward *f, struct rte_mbuf *m, const struct stored *stored, uint32_t age, enum dns_rcode error)
{
	struct question q;
	size_t len;
	uint8_t *msg = tr_udp_payload(m, &len);
	if (question_parse(&q, msg, len) != DNS_NOERROR)
		return TR_DROP(DROP_NO_ROOM);
	if (tr_meta(m)->mark != 0)
		return answer_stream(f, m, msg, len, &q, stored, age, error);
	size_t size = stored ? answer_stored(msg, tr_udp_room(m), &q, stored, age)
			     : answer_error(msg, tr_udp_room(m), &q, error);
	if (size > 0)
		tr_udp_reply(m, size);
	return size > 0 ? OUT : TR_DROP(DROP_NO_ROOM);
}

/* Answers everyone who waits. */
static void
release(struct query *q, struct tr_node *node, const struct stored *stored)
{
	while (q->waiters != NULL) {
		struct rte_mbuf *m = leave(q);
		const uint16_t verdict = write_answer(q->forward, m, stored, 0, DNS_SERVFAIL);
		node->count[SERVFAIL] += stored == NULL;
		if (verdict != OUT)
			node->host->packet_drop(node, m, verdict & 0x7fffu);
		else
			node->host->emit(node, OUT, &m, 1);
	}
}

static void
failed(struct forward *f, unsigned upstream, bool silent)
{
	struct health *h = &f->health[upstream];
	atomic_store_explicit(&h->bad, f->dns->host->now(f->dns->instance), memory_order_relaxed);
	atomic_store_explicit(&h->silent, silent, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->in_a_row, 1, memory_order_relaxed);
}

static void
succeeded(struct forward *f, unsigned upstream)
{
	struct health *h = &f->health[upstream];
	atomic_store_explicit(&h->good, f->dns->host->now(f->dns->instance), memory_order_relaxed);
	atomic_store_explicit(&h->in_a_row, 0, memory_order_relaxed);
}

/* The next upstream that can be asked at all; each once, and the first a second time. False: none is left. */
static bool
ask_next(struct query *q, struct tr_node *node)
{
	struct settings s;
	magicdns_settings(q->forward->dns, &s);
	while (s.n_upstreams > 0 && q->attempt <= s.n_upstreams) {
		q->upstream = (q->first + q->attempt++) % s.n_upstreams;
		node->count[UPSTREAM_QUERIES]++;
		if (exchange_start(&q->exchange, &q->key, &s.upstream[q->upstream], s.timeout_ms) == 0)
			return true;
		node->count[UPSTREAM_SILENT]++;
		failed(q->forward, q->upstream, true);
	}
	return false;
}

static void
on_good(struct query *q, struct tr_node *node, const uint8_t *msg, const struct wire_answer *a)
{
	struct forward *f = q->forward;
	struct settings s;
	magicdns_settings(f->dns, &s);
	atomic_store_explicit(&f->good, q->upstream, memory_order_relaxed);
	succeeded(f, q->upstream);
	cache_put(f->cache, &q->key, msg, a, f->dns->host->now(f->dns->instance), s.cache);
	atomic_store_explicit(&f->cached, cache_count(f->cache), memory_order_relaxed);
	release(q, node, &(struct stored){.wire = msg, .len = a->len, .n_ttl = a->n_ttl, .ttl_at = a->ttl_at});
}

static void
on_done(struct exchange *x, enum exchange_result result, const uint8_t *msg, const struct wire_answer *answer)
{
	struct query *q = (struct query *)x;
	struct forward *f = q->forward;
	struct tr_node *node = f->dns->host->service_node(f->dns->instance);
	node->count[UPSTREAM_FOREIGN] += x->foreign;
	node->count[UPSTREAM_TCP] += x->tcp;
	x->foreign = 0;
	if (result == EXCHANGE_GOOD) {
		on_good(q, node, msg, answer);
		return;
	}
	node->count[result == EXCHANGE_SILENT ? UPSTREAM_SILENT : UPSTREAM_REFUSED]++;
	failed(f, q->upstream, result == EXCHANGE_SILENT);
	/* New questions go elsewhere at once, unless one of them has found that out already. */
	if (result == EXCHANGE_SILENT && atomic_load_explicit(&f->good, memory_order_relaxed) == q->upstream)
		atomic_store_explicit(&f->good, q->upstream + 1, memory_order_relaxed);
	if (!ask_next(q, node))
		release(q, node, NULL);
}

static struct query *
find(struct forward *f, const struct wire_key *k, struct query **free_slot)
{
	*free_slot = NULL;
	for (unsigned i = 0; i < QUERIES; i++) {
		struct query *q = &f->query[i];
		if (q->waiters == NULL)
			*free_slot = q;
		else if (q->key.len == k->len && memcmp(q->key.bytes, k->bytes, k->len) == 0)
			return q;
	}
	return NULL;
}

/* A question that nobody has asked yet. */
static uint16_t
begin(struct forward *f, struct tr_node *node, struct query *q, const struct wire_key *k, struct rte_mbuf *m)
{
	exchange_init(&q->exchange, f->dns->instance, f->dns->host);
	q->exchange.done = on_done;
	q->forward = f;
	q->key = *k;
	q->attempt = 0;
	q->first = atomic_load_explicit(&f->good, memory_order_relaxed);
	if (!ask_next(q, node)) {
		node->count[SERVFAIL]++;
		return write_answer(f, m, NULL, 0, DNS_SERVFAIL);
	}
	atomic_fetch_add_explicit(&f->outstanding, 1, memory_order_relaxed);
	join(q, m);
	return TR_HELD;
}

/* Names that must not leak to the public DNS (RFC 7686). */
static bool
is_onion(const struct question *q)
{
	return q->text_len >= 5 && memcmp(q->text + q->text_len - 5, "onion", 5) == 0 &&
	       (q->text_len == 5 || q->text[q->text_len - 6] == '.');
}

static uint16_t
forward_packet(struct forward *f, struct tr_node *node, struct rte_mbuf *m)
{
	struct question question;
	struct wire_key k;
	struct query *q, *free_slot;
	size_t len;
	uint32_t age;
	const uint8_t *msg = tr_udp_payload(m, &len);

	if (question_parse(&question, msg, len) != DNS_NOERROR) /* the worker has sent on nothing else */
		return TR_DROP(DROP_SHORT);
	if (is_onion(&question))
		return write_answer(f, m, NULL, 0, DNS_NXDOMAIN);
	wire_key(&k, &question, msg);
	const struct stored *stored = cache_find(f->cache, &k, f->dns->host->now(f->dns->instance), &age);
	if (stored != NULL) {
		node->count[CACHED]++;
		return write_answer(f, m, stored, age, 0);
	}
	const int drop = refuse(f, m);
	if (drop >= 0)
		return TR_DROP(drop);
	q = find(f, &k, &free_slot);
	if (q == NULL)
		return free_slot ? begin(f, node, free_slot, &k, m) : TR_DROP(DROP_TOO_MANY);
	node->count[COALESCED]++;
	join(q, m);
	return TR_HELD;
}

void
forward_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct magicdns *d = node->self;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = forward_packet(d->forward, node, pkts[i]);
}

void
forward_fini(struct tr_node *node)
{
	struct forward *f = ((struct magicdns *)node->self)->forward;
	for (unsigned i = 0; i < QUERIES; i++) {
		struct query *q = &f->query[i];
		if (q->waiters != NULL)
			exchange_stop(&q->exchange);
		while (q->waiters != NULL)
			node->host->packet_drop(node, leave(q), DROP_STOPPED);
	}
}

struct forward *
forward_new(struct magicdns *d)
{
	struct forward *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->dns = d;
	d->host->crypto->random(f->secret, sizeof(f->secret));
	for (unsigned i = 0; i < WAITERS; i++)
		f->waiter[i].next = i + 1 < WAITERS ? &f->waiter[i + 1] : NULL;
	f->free_waiters = f->waiter;
	f->cache = cache_new(keyed_hash, f);
	if (f->cache == NULL) {
		free(f);
		return NULL;
	}
	return f;
}

void
forward_free(struct forward *f)
{
	if (f == NULL)
		return;
	cache_free(f->cache);
	free(f);
}

void
forward_changed(struct forward *f)
{
	for (unsigned i = 0; i < UPSTREAMS_MAX; i++) {
		atomic_store_explicit(&f->health[i].in_a_row, 0, memory_order_relaxed);
		atomic_store_explicit(&f->health[i].good, 0, memory_order_relaxed);
		atomic_store_explicit(&f->health[i].bad, 0, memory_order_relaxed);
	}
}

static const char *
upstream_text(const struct tr_sockaddr *u, char text[64])
{
	char address[INET6_ADDRSTRLEN];
	inet_ntop(u->addr.family == 6 ? AF_INET6 : AF_INET, u->addr.ip, address, sizeof(address));
	snprintf(text, 64, u->addr.family == 6 ? "[%s]:%u" : "%s:%u", address, u->port);
	return text;
}

/* Of late, and often enough to say so? */
static bool
fails(const struct forward *f, unsigned upstream)
{
	const struct health *h = &f->health[upstream];
	const uint64_t bad = atomic_load_explicit(&h->bad, memory_order_relaxed), now = f->dns->host->now(f->dns->instance);
	return atomic_load_explicit(&h->in_a_row, memory_order_relaxed) >= FAILURES && (now < bad || now - bad < LATELY_NS);
}

void
forward_status(struct forward *f, struct tr_show *out)
{
	struct settings s;
	char text[400] = "", name[64];
	unsigned n = 0, good;
	magicdns_settings(f->dns, &s);
	if (s.n_upstreams == 0) {
		out->text(out, "state", "no upstreams: other names are refused");
		return;
	}
	for (uint32_t i = 0, at = 0; i < s.n_upstreams && at < sizeof(text); i++) {
		if (!fails(f, i))
			continue;
		at += (uint32_t)snprintf(text + at, sizeof(text) - at, "%s%s %s", n++ > 0 ? ", " : "", upstream_text(&s.upstream[i], name),
			atomic_load_explicit(&f->health[i].silent, memory_order_relaxed) ? "does not answer" : "answers with errors");
	}
	good = atomic_load_explicit(&f->good, memory_order_relaxed) % s.n_upstreams;
	const bool answered = atomic_load_explicit(&f->health[good].good, memory_order_relaxed) != 0;
	char state[128];
	snprintf(state, sizeof(state), "%u upstream%s%s%s", s.n_upstreams, s.n_upstreams == 1 ? "" : "s",
		answered ? ", the last answer by " : "", answered ? upstream_text(&s.upstream[good], name) : "");
	out->text(out, "state", state);
	if (n > 0) {
		char note[520];
		snprintf(note, sizeof(note), "%s: %s", n == s.n_upstreams ? "names outside the mesh are not resolved" : "some upstreams fail", text);
		out->text(out, "note", note);
	}
}

void
forward_show(struct forward *f, struct tr_show *out)
{
	struct settings s;
	magicdns_settings(f->dns, &s);
	const uint32_t good = atomic_load_explicit(&f->good, memory_order_relaxed);
	out->list(out, "upstreams");
	for (uint32_t i = 0; i < s.n_upstreams; i++) {
		out->begin(out, NULL);
		out->addr(out, "address", &s.upstream[i].addr);
		out->uint(out, "port", s.upstream[i].port);
		out->flag(out, "in_use", good % s.n_upstreams == i);
		out->end(out);
	}
	out->end(out);
	out->uint(out, "outstanding", atomic_load_explicit(&f->outstanding, memory_order_relaxed));
	out->uint(out, "cached", atomic_load_explicit(&f->cached, memory_order_relaxed));
	out->uint(out, "cache_limit", s.cache);
}
