/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider's layer: what pipeline.yaml says. */
#include "internal.h"

#include "../runtime/rcu.h"

#include <stdlib.h>
#include <time.h>

static struct record *
from_plan(struct netmap_table *t, struct entry *e, const struct plan_peer *p)
{
	struct tr_prefix *set = malloc((p->allowed.n + 1) * sizeof(*set));
	struct record *r = NULL;

	if (!set)
		return NULL;
	if (p->allowed.n)
		memcpy(set, p->allowed.items, p->allowed.n * sizeof(*set));
	uint32_t n = prefix_sort(set, p->allowed.n);
	if (n <= UINT16_MAX)
		r = record_new(t, e, n, p->name);
	if (r) {
		memcpy(r->prefix, set, n * sizeof(*set));
		memcpy(r->peer.preshared_key, p->preshared_key.b, 32);
		r->peer.keepalive = (uint16_t)p->keepalive;
		r->peer.derp = (uint16_t)p->derp;
		r->peer.relay = p->relay;
		r->peer.relay_client = p->relay_client;
		memcpy(r->peer.disco_key, p->disco_key.b, 32);
		r->peer.endpoint.family = p->endpoint.addr.family;
		r->peer.endpoint.remote_port = p->endpoint.port;
		memcpy(r->peer.endpoint.remote, p->endpoint.addr.ip, 16);
		r->peer.origin = "pipeline.yaml";
	}
	free(set);
	return r;
}

static bool
same_provided(const struct record *a, const struct record *b)
{
	const struct tr_peer *x = &a->peer, *y = &b->peer;

	return x->keepalive == y->keepalive && x->derp == y->derp && x->relay == y->relay && x->relay_client == y->relay_client &&
	       !memcmp(x->disco_key, y->disco_key, 32) && x->n_allowed == y->n_allowed &&
	       !memcmp(x->preshared_key, y->preshared_key, 32) && !memcmp(&x->endpoint, &y->endpoint, sizeof(x->endpoint)) &&
	       !strcmp(x->name ? x->name : "", y->name ? y->name : "") &&
	       !memcmp(a->prefix, b->prefix, x->n_allowed * sizeof(struct tr_prefix));
}

/* Replaces the provider's part of an entry. */
static void
provide(struct entry *e, struct record *r)
{
	struct record *old = e->provided;

	if (old && r && same_provided(old, r)) {
		record_free(r);
		return;
	}
	if (r && (!old || memcmp(&old->peer.endpoint, &r->peer.endpoint, sizeof(r->peer.endpoint))))
		e->endpoint_serial++;
	e->provided = r;
	if (old && old != entry_record(e))
		rcu_defer(record_free, old);
}

enum { BEGIN, NAMES, LAYER, GONE, UPDATE, DONE };

/* The peer at a place of the list of changes: its index in either plan, or -1. False: no peer's. */
static bool
change(const struct netmap_take *t, int32_t *from, int32_t *to)
{
	*from = -1;
	*to = (int32_t)t->at;
	if (!t->from)
		return true;
	const struct plan_action *v = &t->diff->v[t->at];
	*from = v->from;
	*to = v->to;
	return v->verb == PLAN_PEER_ADD || v->verb == PLAN_PEER_CHANGE || v->verb == PLAN_PEER_REMOVE;
}

static struct entry *
entry_of(const struct plan *p, int32_t index, bool make)
{
	const struct plan_peer *peer = &p->peer[index];
	struct netmap_table *t = netmap_table(p->instance[peer->interface].name);
	return !t ? NULL : make ? entry_get(t, peer->public_key.b) : entry_find(t, peer->public_key.b);
}

static void
add_layer(const struct plan *p, int32_t index)
{
	const struct plan_peer *peer = &p->peer[index];
	struct entry *e = entry_of(p, index, true);
	struct record *r = e ? from_plan(e->table, e, peer) : NULL;
	if (!e)
		snprintf(nm.problem, sizeof(nm.problem), "no room for peer %s", peer->name ? peer->name : "");
	else if (r)
		provide(e, r);
}

/* What a change does in this phase. Entries are looked up each time: the operator may have removed one meanwhile. */
static void
take_one(const struct netmap_take *t)
{
	int32_t from, to;
	struct entry *e = NULL;
	if (!change(t, &from, &to))
		return;
	if (t->phase == LAYER && to >= 0)
		add_layer(t->to, to);
	else if (t->phase == LAYER && (e = entry_of(t->from, from, false)))
		provide(e, NULL);
	else if (t->phase == GONE && to < 0 && (e = entry_of(t->from, from, false)))
		entry_update(e);
	/* Before the first plan no prefix can move: peers are published as they come. */
	if (to >= 0 && (t->phase == UPDATE || (t->phase == LAYER && !t->from)) && (e = entry_of(t->to, to, false)))
		entry_update(e);
}

static void
begin(const struct netmap_take *t)
{
	nm.problem[0] = '\0';
	for (struct netmap_table *table = t->from ? NULL : nm.tables; table; table = table->next) {
		for (struct entry *e = table->entries, *next; e; e = next) { /* the operator's own, as loaded at start */
			next = e->next;
			entry_update(e);
		}
	}
}

static bool
names_differ(const struct netmap_take *t)
{
	for (unsigned i = 0; t->from && i < t->diff->n; i++)
		if (t->diff->v[i].verb == PLAN_NAMES)
			return true;
	return !t->from;
}

static void
provide_names(const struct plan *p)
{
	names_provider(p);
	derp_provider(p);
}

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/*
 * All layers are replaced first and published after: a prefix that moves between two peers is never without one. Gone
 * peers before others: they give back ids.
 */
bool
netmap_take(struct netmap_take *t, uint64_t ns)
{
	uint64_t until = now_ns() + ns;
	unsigned n = t->from ? t->diff->n : t->to->n_peers;
	for (unsigned k = 1; t->phase != DONE; k++) {
		if (k % 16 == 0 && now_ns() > until)
			return false;
		if (t->phase == BEGIN)
			begin(t);
		else if (t->phase == NAMES && names_differ(t))
			provide_names(t->to);
		if (t->phase >= LAYER && t->at < n) {
			take_one(t);
			t->at++;
			continue;
		}
		t->at = 0;
		t->phase++;
		if (!t->from && t->phase == GONE)
			t->phase = DONE;
	}
	nm.ready = true;
	return true;
}
