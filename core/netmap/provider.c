/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider's layer: what pipeline.yaml says. */
#include "internal.h"

#include "../control/rcu.h"

#include <stdlib.h>

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

	return x->keepalive == y->keepalive && x->n_allowed == y->n_allowed &&
	       !memcmp(x->preshared_key, y->preshared_key, 32) && !memcmp(&x->endpoint, &y->endpoint, sizeof(x->endpoint)) &&
	       !strcmp(x->name ? x->name : "", y->name ? y->name : "") &&
	       !memcmp(a->prefix, b->prefix, x->n_allowed * sizeof(struct tr_prefix));
}

/* Replaces the provider's part of an entry; true if it must be published. */
static bool
provide(struct entry *e, struct record *r)
{
	struct record *old = e->provided;

	if (old && r && same_provided(old, r)) {
		record_free(r);
		return false;
	}
	if (r && (!old || memcmp(&old->peer.endpoint, &r->peer.endpoint, sizeof(r->peer.endpoint))))
		e->endpoint_serial++;
	e->provided = r;
	if (old && old != entry_record(e))
		rcu_defer(record_free, old);
	return true;
}

/* All layers are replaced first and published after: a prefix that moves between two peers is never without one. */
void
netmap_provider(const struct plan *p)
{
	struct entry **changed = malloc((p->n_peers + 1) * sizeof(struct entry *));
	uint32_t n = 0;

	nm.problem[0] = '\0';
	if (!changed) {
		snprintf(nm.problem, sizeof(nm.problem), "out of memory: the netmap of %s was not taken over", p->file);
		return;
	}
	nm.generation++;
	for (unsigned i = 0; i < p->n_peers; i++) {
		const struct plan_peer *peer = &p->peer[i];
		struct netmap_table *t = netmap_table(p->instance[peer->interface].name);
		struct entry *e = t ? entry_get(t, peer->public_key.b) : NULL;
		struct record *r = e ? from_plan(t, e, peer) : NULL;
		if (!e) {
			snprintf(nm.problem, sizeof(nm.problem), "no room for peer %s", peer->name ? peer->name : "");
			continue;
		}
		e->mark = nm.generation;
		if (r && provide(e, r))
			changed[n++] = e;
	}
	/* Gone ones first: they give back ids; then the rest. An update frees entries that no layer knows, never others. */
	for (struct netmap_table *t = nm.tables; t; t = t->next) {
		for (struct entry *e = t->entries, *next; e; e = next) {
			next = e->next;
			if (e->provided && e->mark != nm.generation)
				provide(e, NULL);
		}
	}
	for (struct netmap_table *t = nm.tables; t; t = t->next) {
		for (struct entry *e = t->entries, *next; e; e = next) {
			next = e->next;
			if (!e->provided && e->mark && e->mark != nm.generation) {
				e->mark = 0;
				entry_update(e);
			}
		}
	}
	names_provider(p);
	if (nm.generation == 1) { /* the operator's own, as loaded at start */
		for (struct netmap_table *t = nm.tables; t; t = t->next) {
			for (struct entry *e = t->entries; e; e = e->next) {
				if (!e->provided && e->overlay)
					entry_update(e);
			}
		}
	}
	for (uint32_t i = 0; i < n; i++)
		entry_update(changed[i]);
	free(changed);
}
