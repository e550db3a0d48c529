/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and addresses, forward and reverse, from the provider's `names` and from the peers' own. */
#include "internal.h"

#include "../runtime/rcu.h"

#include <ctype.h>
#include <rte_prefetch.h>
#include <stdalign.h>
#include <stdlib.h>

#define MORE_NAMES 65536
#define MAX_ADDRS 64
#define MAX_FQDN 253

struct answer {
	uint16_t n;
	struct tr_addr addr[];
};

struct name { /* lives as long as it has an address */
	struct name *next, **prev;
	struct name *next_fixed; /* among those that have an address from `names`, or are about to */
	struct tr_addr *fixed, *coming; /* from `names`: now, and in the plan being taken over */
	uint32_t *peer;
	uint16_t n_fixed, n_coming;
	uint32_t n_peers;
	/* What readers touch, in one cache line if the name is short. */
	_Alignas(64) _Atomic(struct answer *) answer;
	uint16_t len;
	char fqdn[];
};

struct reverse {
	struct tr_addr addr;
	_Atomic(const struct name *) name;
	struct name **claim;
	unsigned n;
};

struct domain {
	size_t len;
	char text[];
};

static struct hash forward, backward;
static struct name *names, *fixed_names;
static _Atomic(struct domain *) domain;

static bool
same_name(const void *item, const void *key, size_t len)
{
	const struct name *x = item;
	return x->len == len && memcmp(x->fqdn, key, len) == 0;
}

static bool
same_addr(const void *item, const void *key, size_t len)
{
	return memcmp(&((const struct reverse *)item)->addr, key, len) == 0;
}

bool
names_init(void)
{
	return hash_init(&forward, (size_t)nm.max_peers + MORE_NAMES, same_name) &&
	       hash_init(&backward, 2 * ((size_t)nm.max_peers + MORE_NAMES), same_addr);
}

/* ---- Reverse ---- */

static bool
has_addr(const struct tr_addr *a, unsigned n, const struct tr_addr *x)
{
	for (unsigned i = 0; i < n; i++) {
		if (tr_addr_eq(&a[i], x))
			return true;
	}
	return false;
}

/* Of several names of an address, one from `names` answers, else the oldest. */
static void
reverse_choose(struct reverse *r)
{
	const struct name *best = r->claim[0];
	for (unsigned i = r->n; i-- > 0;) {
		if (has_addr(r->claim[i]->fixed, r->claim[i]->n_fixed, &r->addr))
			best = r->claim[i];
	}
	atomic_store_explicit(&r->name, best, memory_order_release);
}

static void
reverse_free(void *ptr)
{
	struct reverse *r = ptr;
	free(r->claim);
	free(r);
}

static void
reverse_add(const struct tr_addr *a, struct name *x)
{
	struct reverse *r = hash_find(&backward, a, sizeof(*a));
	bool fresh = !r;

	if (!r)
		r = calloc(1, sizeof(*r));
	struct name **claim = r ? realloc(r->claim, (r->n + 1) * sizeof(struct name *)) : NULL;
	if (!claim) {
		if (fresh)
			free(r);
		return;
	}
	r->claim = claim;
	r->claim[r->n++] = x;
	r->addr = *a;
	reverse_choose(r);
	if (fresh && !hash_add(&backward, r, a, sizeof(*a)))
		reverse_free(r);
}

static void
reverse_del(const struct tr_addr *a, const struct name *x)
{
	struct reverse *r = hash_find(&backward, a, sizeof(*a));
	unsigned i = 0;

	while (r && i < r->n && r->claim[i] != x)
		i++;
	if (!r || i == r->n)
		return;
	memmove(r->claim + i, r->claim + i + 1, (--r->n - i) * sizeof(struct name *));
	if (r->n) {
		reverse_choose(r);
	} else {
		hash_del(&backward, r, a, sizeof(*a));
		rcu_defer(reverse_free, r);
	}
}

/* ---- Forward ---- */

static void
name_free(void *ptr)
{
	struct name *x = ptr;
	free(atomic_load(&x->answer));
	free(x->fixed);
	free(x->coming);
	free(x->peer);
	free(x);
}

static struct name *
name_get(const char *label)
{
	const struct domain *d = atomic_load_explicit(&domain, memory_order_relaxed);
	char fqdn[MAX_FQDN + 1];
	int len = snprintf(fqdn, sizeof(fqdn), "%s%s%s", label, d ? "." : "", d ? d->text : "");

	if (len <= 0 || len > MAX_FQDN)
		return NULL;
	for (char *c = fqdn; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	struct name *x = hash_find(&forward, fqdn, (size_t)len);
	if (x)
		return x;
	const size_t size = RTE_ALIGN_CEIL(sizeof(*x) + (size_t)len + 1, alignof(struct name));
	x = aligned_alloc(alignof(struct name), size);
	if (!x)
		return NULL;
	memset(x, 0, size);
	memcpy(x->fqdn, fqdn, (size_t)len + 1);
	x->len = (uint16_t)len;
	if (!hash_add(&forward, x, fqdn, (size_t)len)) {
		free(x);
		return NULL;
	}
	x->next = names;
	x->prev = &names;
	if (x->next)
		x->next->prev = &x->next;
	names = x;
	return x;
}

static void
name_drop(struct name *x)
{
	hash_del(&forward, x, x->fqdn, x->len);
	*x->prev = x->next;
	if (x->next)
		x->next->prev = x->prev;
	rcu_defer(name_free, x);
}

static struct answer *
name_answer(const struct name *x)
{
	struct tr_addr addr[MAX_ADDRS];
	uint16_t n = 0;

	for (unsigned i = 0; i < x->n_fixed && n < MAX_ADDRS; i++)
		addr[n++] = x->fixed[i];
	for (unsigned k = 0; k < x->n_peers; k++) {
		const struct record *r = atomic_load_explicit(&nm.peer[x->peer[k]], memory_order_relaxed);
		for (unsigned i = 0; r && i < r->peer.n_allowed && n < MAX_ADDRS; i++) {
			const struct tr_prefix *p = &r->prefix[i];
			if (p->len == (p->addr.family == 4 ? 32 : 128) && !has_addr(addr, n, &p->addr))
				addr[n++] = p->addr;
		}
	}
	struct answer *a = malloc(sizeof(*a) + n * sizeof(addr[0]));
	if (a) {
		a->n = n;
		memcpy(a->addr, addr, n * sizeof(addr[0]));
	}
	return a;
}

static void
name_publish(struct name *x)
{
	struct answer *old = atomic_load_explicit(&x->answer, memory_order_relaxed), *now = name_answer(x);

	if (!now)
		return;
	atomic_store_explicit(&x->answer, now, memory_order_release);
	for (unsigned i = 0; i < now->n; i++) {
		if (!old || !has_addr(old->addr, old->n, &now->addr[i]))
			reverse_add(&now->addr[i], x);
	}
	for (unsigned i = 0; old && i < old->n; i++) {
		if (!has_addr(now->addr, now->n, &old->addr[i]))
			reverse_del(&old->addr[i], x);
	}
	if (old)
		rcu_defer(free, old);
	if (!x->n_fixed && !x->n_peers)
		name_drop(x);
}

static void
peer_add(const struct record *r)
{
	struct name *x = name_get(r->peer.name);

	for (unsigned i = 0; x && i < x->n_peers; i++) {
		if (x->peer[i] == r->peer.id) {
			name_publish(x);
			return;
		}
	}
	uint32_t *peer = x ? realloc(x->peer, (x->n_peers + 1) * sizeof(*peer)) : NULL;
	if (!peer)
		return;
	x->peer = peer;
	x->peer[x->n_peers++] = r->peer.id;
	name_publish(x);
}

static void
peer_del(const struct record *r)
{
	struct name *x = name_get(r->peer.name);
	unsigned i = 0;

	while (x && i < x->n_peers && x->peer[i] != r->peer.id)
		i++;
	if (!x)
		return;
	if (i < x->n_peers)
		x->peer[i] = x->peer[--x->n_peers];
	name_publish(x);
}

void
names_peer(const struct record *old, const struct record *now)
{
	const char *was = old ? old->peer.name : NULL, *is = now ? now->peer.name : NULL;

	if (was && (!is || strcmp(was, is)))
		peer_del(old);
	if (is && (!was || strcmp(was, is) || old->peer.n_allowed != now->peer.n_allowed ||
			  memcmp(old->prefix, now->prefix, now->peer.n_allowed * sizeof(struct tr_prefix))))
		peer_add(now);
}

static void
forget(struct name *x)
{
	free(x->fixed);
	x->fixed = NULL;
	x->n_fixed = 0;
	x->n_peers = 0;
	name_publish(x);
}

static void
set_domain(const char *text)
{
	struct domain *old = atomic_load_explicit(&domain, memory_order_relaxed), *now = NULL;

	if (old && text ? !strcasecmp(old->text, text) : !old && !text)
		return;
	fixed_names = NULL;
	for (struct name *x = names, *next; x; x = next) {
		next = x->next;
		forget(x);
	}
	if (text) {
		now = malloc(sizeof(*now) + strlen(text) + 1);
		if (now) {
			now->len = strlen(text);
			for (size_t i = 0; i <= now->len; i++)
				now->text[i] = (char)tolower((unsigned char)text[i]);
		}
	}
	atomic_store_explicit(&domain, now, memory_order_release);
	if (old)
		rcu_defer(free, old);
	for (const struct netmap_table *t = nm.tables; t; t = t->next) {
		for (const struct entry *e = t->entries; e; e = e->next) {
			if (entry_record(e))
				names_peer(NULL, entry_record(e));
		}
	}
}

void
names_provider(const struct plan *p)
{
	const struct tr_name_option *option = p->names.items;

	set_domain(p->domain);
	for (uint32_t i = 0; i < p->names.n; i++) {
		struct name *x = name_get(option[i].name);
		struct tr_addr *coming = x ? realloc(x->coming, (x->n_coming + 1u) * sizeof(*coming)) : NULL;
		if (!coming || x->n_coming == MAX_ADDRS)
			continue;
		if (!x->coming && !x->fixed) {
			x->next_fixed = fixed_names;
			fixed_names = x;
		}
		x->coming = coming;
		if (!has_addr(coming, x->n_coming, &option[i].addr))
			x->coming[x->n_coming++] = option[i].addr;
	}
	struct name **kept = &fixed_names;
	for (struct name *x = fixed_names, *next; x; x = next) {
		next = x->next_fixed;
		bool same = x->n_coming == x->n_fixed &&
			    (!x->n_fixed || !memcmp(x->coming, x->fixed, x->n_fixed * sizeof(struct tr_addr)));
		struct tr_addr *old = x->fixed;
		x->fixed = x->coming;
		x->n_fixed = x->n_coming;
		x->coming = NULL;
		x->n_coming = 0;
		free(old);
		if (x->fixed) {
			*kept = x;
			kept = &x->next_fixed;
		}
		if (!same)
			name_publish(x);
	}
	*kept = NULL;
}

void
names_fini(void)
{
	for (struct name *x = names, *next; x; x = next) {
		next = x->next;
		if (forward.slot)
			forget(x);
	}
	fixed_names = NULL;
	free(atomic_exchange(&domain, NULL));
	while (rcu_poll())
		;
	hash_fini(&forward);
	hash_fini(&backward);
}

/* ---- Readers ---- */

static bool
below(const struct domain *d, const char *name, size_t len)
{
	return d && len >= d->len && !memcmp(name + len - d->len, d->text, d->len) &&
	       (len == d->len || name[len - d->len - 1] == '.');
}

/* Each step fetches what the next one reads: slots, names, answers. */
void
netmap_names(struct tr_name_find *find, uint16_t n)
{
	const struct domain *d = atomic_load_explicit(&domain, memory_order_acquire);
	const struct answer *answer[TR_BURST];
	size_t at[TR_BURST];

	for (uint16_t i = 0; i < n; i++)
		at[i] = hash_start(&forward, find[i].name, find[i].len);
	for (uint16_t i = 0; i < n; i++) {
		const struct name *x = hash_peek(&forward, at[i]);
		if (x)
			rte_prefetch0(&x->answer);
	}
	for (uint16_t i = 0; i < n; i++) {
		const struct name *x = hash_find_from(&forward, at[i], find[i].name, find[i].len);
		answer[i] = x ? atomic_load_explicit(&x->answer, memory_order_acquire) : NULL;
		rte_prefetch0(answer[i]);
	}
	for (uint16_t i = 0; i < n; i++) {
		struct tr_name_find *f = &find[i];
		f->status = answer[i] ? TR_NAME_FOUND : below(d, f->name, f->len) ? TR_NAME_NONE : TR_NAME_FOREIGN;
		if (answer[i])
			f->found = (struct tr_name){.n = answer[i]->n, .addr = answer[i]->addr};
	}
}

/* The ranges that tailnets number their nodes from; and every address that a peer holds alone. */
static bool
ours(const struct tr_addr *a)
{
	static const uint8_t ula[] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};
	struct tr_prefix host = {.addr = *a, .len = a->family == 4 ? 32 : 128};
	const uint8_t *ip = a->ip;

	if (a->family == 4 ? ip[0] == 100 && (ip[1] & 0xc0) == 64 : !memcmp(ip, ula, sizeof(ula)))
		return true;
	for (const struct netmap_table *t = nm.tables; t; t = t->next) {
		uint32_t peer;
		(a->family == 4 ? lpm_find4 : lpm_find6)(t->allowed, &ip, 1, &peer);
		const struct tr_peer *p = netmap_peer(t, peer);
		if (p && prefix_has(p->allowed, p->n_allowed, &host))
			return true;
	}
	return false;
}

enum tr_name_status
netmap_reverse(const struct tr_addr *a, const char **name, size_t *len)
{
	const struct reverse *r = hash_find(&backward, a, sizeof(*a));
	const struct name *x = r ? atomic_load_explicit(&r->name, memory_order_acquire) : NULL;

	if (!x)
		return ours(a) ? TR_NAME_NONE : TR_NAME_FOREIGN;
	*name = x->fqdn;
	*len = x->len;
	return TR_NAME_FOUND;
}
