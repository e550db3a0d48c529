/* SPDX-License-Identifier: BSD-3-Clause */
/* Two layers -> what readers see. */
#include "internal.h"

#include "../runtime/rcu.h"

#include <sodium.h>
#include <stdlib.h>

#define MAX_ALLOWED UINT16_MAX

enum claim { CLAIM_NONE, CLAIM_PROVIDER, CLAIM_OPERATOR };

struct record *
entry_record(const struct entry *e)
{
	return atomic_load_explicit(&e->record, memory_order_relaxed);
}

struct record *
record_new(struct netmap_table *t, struct entry *e, uint32_t n_prefixes, const char *name)
{
	size_t length = name ? strlen(name) + 1 : 0;
	struct record *r = calloc(1, sizeof(*r) + n_prefixes * sizeof(struct tr_prefix) + length);

	if (!r)
		return NULL;
	r->table = t;
	r->entry = e;
	r->peer.n_allowed = (uint16_t)n_prefixes;
	r->peer.allowed = r->prefix;
	memcpy(r->peer.public_key, e->key, 32);
	if (name)
		r->peer.name = memcpy(r->prefix + n_prefixes, name, length);
	return r;
}

void
record_free(void *record)
{
	struct record *r = record;

	if (r)
		sodium_memzero(r->peer.preshared_key, 32);
	free(r);
}

void
overlay_free(struct overlay *o)
{
	if (!o)
		return;
	free(o->add);
	free(o->remove);
	json_decref(o->other);
	sodium_memzero(o, sizeof(*o));
	free(o);
}

struct entry *
entry_find(const struct netmap_table *t, const uint8_t key[32])
{
	return hash_find(&t->keys, key, 32);
}

struct entry *
entry_get(struct netmap_table *t, const uint8_t key[32])
{
	struct entry *e = entry_find(t, key);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	memcpy(e->key, key, 32);
	e->table = t;
	if (!hash_add(&t->keys, e, key, 32)) {
		free(e);
		return NULL;
	}
	e->next = t->entries;
	e->prev = &t->entries;
	if (e->next)
		e->next->prev = &e->next;
	t->entries = e;
	return e;
}

static bool
wanted(const struct entry *e)
{
	const struct overlay *o = e->overlay;
	return o && o->absent ? false : e->provided || (o && o->created);
}

/* Which layer gives this prefix to the peer. */
static enum claim
claim(const struct entry *e, const struct tr_prefix *p)
{
	const struct overlay *o = e->overlay;

	if (!wanted(e))
		return CLAIM_NONE;
	if (o && prefix_has(o->add, o->n_add, p))
		return CLAIM_OPERATOR;
	if (!e->provided || (o && (o->set & TR_PEER_REPLACE_ALLOWED)) || (o && prefix_has(o->remove, o->n_remove, p)))
		return CLAIM_NONE;
	const struct tr_peer *peer = &e->provided->peer;
	return prefix_has(peer->allowed, peer->n_allowed, p) ? CLAIM_PROVIDER : CLAIM_NONE;
}

static struct entry *
holder(const struct netmap_table *t, const struct tr_prefix *p)
{
	uint32_t id = lpm_exact(t->allowed, p);
	const struct record *r = id ? atomic_load_explicit(&nm.peer[id], memory_order_relaxed) : NULL;
	return r ? r->entry : NULL;
}

static void
contest(const struct tr_prefix *p, struct entry *loser)
{
	struct contested *c = realloc(nm.contested, (nm.n_contested + 1) * sizeof(*c));

	if (!c)
		return;
	nm.contested = c;
	c[nm.n_contested++] = (struct contested){.p = *p, .loser = loser};
}

static void
uncontest(const struct entry *e)
{
	unsigned kept = 0;
	for (unsigned i = 0; i < nm.n_contested; i++) {
		if (nm.contested[i].loser != e)
			nm.contested[kept++] = nm.contested[i];
	}
	nm.n_contested = kept;
}

static struct entry *
contender(const struct netmap_table *t, const struct tr_prefix *p)
{
	for (unsigned i = 0; i < nm.n_contested; i++) {
		if (nm.contested[i].loser->table == t && !prefix_compare(&nm.contested[i].p, p))
			return nm.contested[i].loser;
	}
	return NULL;
}

/* The merged record; prefixes that a stronger or equal claim holds are left out. NULL: out of memory. */
static struct record *
merge(struct entry *e)
{
	const struct overlay *o = e->overlay;
	const struct tr_peer *p = e->provided ? &e->provided->peer : NULL;
	uint32_t n = (o ? o->n_add : 0) + (p ? p->n_allowed : 0), kept = 0;
	struct tr_prefix *set = malloc((n + 1) * sizeof(*set));

	if (!set)
		return NULL;
	if (o && o->n_add)
		memcpy(set, o->add, o->n_add * sizeof(*set));
	if (p && p->n_allowed)
		memcpy(set + (o ? o->n_add : 0), p->allowed, p->n_allowed * sizeof(*set));
	n = prefix_sort(set, n);
	for (uint32_t i = 0; i < n; i++) {
		enum claim mine = claim(e, &set[i]);
		struct entry *other = holder(e->table, &set[i]);
		if (mine == CLAIM_NONE || kept == MAX_ALLOWED)
			continue;
		if (other && other != e && claim(other, &set[i]) >= mine)
			contest(&set[i], e);
		else
			set[kept++] = set[i];
	}
	struct record *r;
	if (!o && p && !p->id && kept == p->n_allowed) {
		free(set);
		return e->provided; /* one layer only: one block */
	}
	r = record_new(e->table, e, kept, p ? p->name : NULL);
	if (r) {
		memcpy(r->prefix, set, kept * sizeof(*set));
		r->peer.endpoint = o && (o->set & TR_PEER_ENDPOINT) ? o->endpoint : p ? p->endpoint : r->peer.endpoint;
		r->peer.derp = p ? p->derp : 0;
		r->peer.relay = p && p->relay;
		r->peer.relay_client = p && p->relay_client;
		if (p)
			memcpy(r->peer.disco_key, p->disco_key, 32);
		r->peer.keepalive = o && (o->set & TR_PEER_KEEPALIVE) ? o->keepalive : p ? p->keepalive : 0;
		if (o && (o->set & TR_PEER_PSK))
			memcpy(r->peer.preshared_key, o->preshared_key, 32);
		else if (p)
			memcpy(r->peer.preshared_key, p->preshared_key, 32);
		r->peer.origin = !o ? p->origin : p ? "pipeline.yaml, operator" : "operator";
	}
	free(set);
	return r;
}

/* Prefixes that the record has gained; the peers they were taken from publish without them. */
static void
gain(struct entry *e, const struct record *r)
{
	for (uint32_t i = 0; i < r->peer.n_allowed; i++) {
		struct entry *other = holder(e->table, &r->prefix[i]);
		if (other == e)
			continue;
		if (lpm_set(e->table->allowed, &r->prefix[i], r->peer.id))
			snprintf(nm.problem, sizeof(nm.problem), "interface %s: no room for all allowed IPs", e->table->name);
		if (other && claim(other, &r->prefix[i]) != CLAIM_NONE)
			entry_update(other);
	}
}

/* Prefixes of `old` that `now` (may be NULL) lacks, given to whoever else wants them. */
static void
lose(const struct record *old, const struct record *now)
{
	struct netmap_table *t = old->table;

	for (uint32_t i = 0; i < old->peer.n_allowed; i++) {
		const struct tr_prefix *p = &old->prefix[i];
		if ((now && prefix_has(now->prefix, now->peer.n_allowed, p)) || lpm_exact(t->allowed, p) != old->peer.id)
			continue;
		struct entry *next = contender(t, p);
		if (next)
			entry_update(next); /* takes it over in one step */
		if (lpm_exact(t->allowed, p) == old->peer.id)
			lpm_del(t->allowed, p);
	}
}

static void
retire(struct entry *e, struct record *old)
{
	if (old && old != e->provided)
		rcu_defer(record_free, old);
}

static bool
same_record(const struct record *a, const struct record *b)
{
	const struct tr_peer *x = &a->peer, *y = &b->peer;

	return a->endpoint_serial == b->endpoint_serial && x->derp == y->derp && x->relay == y->relay &&
	       x->relay_client == y->relay_client && !memcmp(x->disco_key, y->disco_key, 32) &&
	       x->keepalive == y->keepalive && x->n_allowed == y->n_allowed &&
	       !memcmp(x->preshared_key, y->preshared_key, 32) && !memcmp(&x->endpoint, &y->endpoint, sizeof(x->endpoint)) &&
	       !strcmp(x->name ? x->name : "", y->name ? y->name : "") && !strcmp(x->origin, y->origin) &&
	       !memcmp(a->prefix, b->prefix, x->n_allowed * sizeof(struct tr_prefix));
}

/* The table's disco keys follow the record; NULL: gone. Of two peers with one key the first is found. */
static void
update_disco(struct entry *e, const struct record *r)
{
	static const uint8_t none[32];
	const uint8_t *key = r ? r->peer.disco_key : none;
	if (e->disco && !memcmp(e->disco->key, key, 32) && e->disco->peer == r->peer.id)
		return;
	if (e->disco) {
		hash_del(&e->table->disco, e->disco, e->disco->key, 32);
		rcu_defer(free, e->disco);
		e->disco = NULL;
	}
	if (!memcmp(key, none, 32) || hash_find(&e->table->disco, key, 32))
		return;
	struct disco *d = malloc(sizeof(*d));
	if (!d)
		return;
	memcpy(d->key, key, 32);
	d->peer = r->peer.id;
	if (hash_add(&e->table->disco, d, key, 32))
		e->disco = d;
	else
		free(d);
}

static void
remove_peer(struct entry *e, struct record *old)
{
	update_disco(e, NULL);
	lose(old, NULL);
	atomic_store_explicit(&e->record, NULL, memory_order_release);
	names_peer(old, NULL);
	/* The record stays reachable by its id until netmap_released(); the provider's layer must not share it. */
	if (e->provided == old) {
		struct record *copy = record_new(e->table, e, old->peer.n_allowed, old->peer.name);
		if (copy) {
			struct tr_peer to = old->peer;
			to.id = 0;
			to.allowed = copy->prefix;
			to.name = copy->peer.name;
			copy->peer = to;
			memcpy(copy->prefix, old->prefix, old->peer.n_allowed * sizeof(struct tr_prefix));
		}
		e->provided = copy;
	}
	netmap_emit(e->table, TR_PEER_REMOVED, old->peer.id);
}

static void
entry_drop(struct entry *e)
{
	e->dropped = true;
	hash_del(&e->table->keys, e, e->key, 32);
	*e->prev = e->next;
	if (e->next)
		e->next->prev = e->prev;
	rcu_defer(free, e);
}

static void
publish(struct entry *e, struct record *old, struct record *r)
{
	r->peer.id = old ? old->peer.id : id_take();
	if (!old)
		path_begin(e->table, r);
	atomic_store_explicit(&nm.peer[r->peer.id], r, memory_order_release);
	atomic_store_explicit(&e->record, r, memory_order_release);
	gain(e, r);
	if (old)
		lose(old, r);
	names_peer(old, r);
	update_disco(e, r);
	netmap_emit(e->table, old ? TR_PEER_CHANGED : TR_PEER_ADDED, r->peer.id);
	retire(e, old);
}

void
entry_update(struct entry *e)
{
	struct record *old = entry_record(e), *r = NULL;

	if (e->dropped)
		return;
	if (nm.n_contested)
		uncontest(e);
	if (wanted(e)) {
		if (!old && !nm.n_free && nm.next_id > nm.max_peers) {
			snprintf(nm.problem, sizeof(nm.problem), "limits.peers (%u) reached: peers were left out", nm.max_peers);
			return;
		}
		r = merge(e);
		if (!r) {
			snprintf(nm.problem, sizeof(nm.problem), "out of memory: peers were left out");
			return;
		}
		r->endpoint_serial = e->endpoint_serial;
		if (old && same_record(old, r)) {
			if (r != e->provided)
				record_free(r);
			return;
		}
		publish(e, old, r);
	} else if (old) {
		remove_peer(e, old);
	}
	if (!e->provided && !e->overlay && !entry_record(e))
		entry_drop(e);
}
