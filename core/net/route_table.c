/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/route.h"

#include "net/ip.h"
#include "runtime/rcu.h"

#include <errno.h>
#include <stdlib.h>

#define BUCKETS 4096

/* Beside each next hop, for the control thread. */
struct hop_use {
	uint32_t refs; /* prefixes that lead there */
	uint32_t next; /* of its bucket, or of the free ones; + 1 */
	uint64_t token; /* free: usable when this grace period has passed */
	bool added; /* for routes that are not the pipeline's */
};

/* What the pipeline wants of one prefix. */
struct wish {
	struct tr_prefix prefix;
	bool local;
	uint32_t gate;
	struct tr_addr via;
};

struct route_table {
	struct lpm *lpm;
	const struct route_gate *gates;
	struct next_hop *hop;
	struct hop_use *use;
	uint32_t n_hops; /* ever used */
	uint32_t in_use;
	uint32_t bucket[BUCKETS];        /* + 1 */
	uint32_t free_first, free_last; /* + 1; oldest first */
	uint32_t added;
	struct wish *wish; /* as configured last, sorted */
	uint32_t n_wishes;
};

/* ---- Next hops ---- */

static unsigned
bucket_of(uint32_t gate, const struct tr_addr *via, bool added)
{
	return (unsigned)ip_hash(via->ip, (uint64_t)gate << 8 | via->family | (uint64_t)added << 63) % BUCKETS;
}

/* The place of a next hop, found or made; UINT32_MAX: none left. */
static uint32_t
hop_get(struct route_table *t, uint32_t gate, const struct tr_addr *via, bool added)
{
	unsigned b = bucket_of(gate, via, added);
	for (uint32_t k = t->bucket[b]; k != 0; k = t->use[k - 1].next)
		if (t->hop[k - 1].gate == gate && t->use[k - 1].added == added && tr_addr_eq(&t->hop[k - 1].via, via))
			return k - 1;
	uint32_t k;
	if (t->free_first != 0 && rcu_passed(t->use[t->free_first - 1].token)) {
		k = t->free_first - 1;
		t->free_first = t->use[k].next;
	} else if (t->n_hops < ROUTE_HOPS) {
		k = t->n_hops++;
	} else {
		return UINT32_MAX;
	}
	const struct route_gate *g = &t->gates[gate];
	t->hop[k] = (struct next_hop){.gate = (uint16_t)gate, .mtu = g->mtu, .fills_source = g->fills_source, .via = *via};
	t->use[k] = (struct hop_use){.next = t->bucket[b], .added = added};
	t->bucket[b] = k + 1;
	t->in_use++;
	return k;
}

/* One prefix less leads there; a next hop that nobody needs waits for a grace period. */
static void
hop_put(struct route_table *t, uint32_t k)
{
	struct hop_use *u = &t->use[k];
	if (u->refs > 0 && --u->refs > 0)
		return;
	uint32_t *at = &t->bucket[bucket_of(t->hop[k].gate, &t->hop[k].via, u->added)];
	while (*at != k + 1)
		at = &t->use[*at - 1].next;
	*at = u->next;
	*u = (struct hop_use){.token = rcu_start()};
	if (t->free_first == 0)
		t->free_first = k + 1;
	else
		t->use[t->free_last - 1].next = k + 1;
	t->free_last = k + 1;
	t->in_use--;
}

/* ---- Prefixes ---- */

static bool
is_added(const struct route_table *t, uint32_t value)
{
	return value >= ROUTE_HOP && t->use[value - ROUTE_HOP].added;
}

/* Gives the prefix a value (0: none), and the next hops their due. */
static int
put(struct route_table *t, const struct tr_prefix *p, uint32_t value)
{
	uint32_t old = lpm_exact(t->lpm, p);
	if (old == value)
		return 0;
	int rc = value != 0 ? lpm_set(t->lpm, p, value) : lpm_del(t->lpm, p);
	if (rc != 0)
		return rc;
	t->added += is_added(t, value);
	if (value >= ROUTE_HOP)
		t->use[value - ROUTE_HOP].refs++;
	t->added -= is_added(t, old);
	if (old >= ROUTE_HOP)
		hop_put(t, old - ROUTE_HOP);
	return 0;
}

static int
put_hop(struct route_table *t, const struct tr_prefix *p, uint32_t gate, const struct tr_addr *via, bool added)
{
	uint32_t k = hop_get(t, gate, via, added);
	if (k == UINT32_MAX)
		return -ENOSPC;
	int rc = put(t, p, k + ROUTE_HOP);
	if (t->use[k].refs == 0)
		hop_put(t, k);
	return rc;
}

int
route_table_add(struct route_table *t, const struct tr_prefix *p, uint32_t gate, const struct tr_addr *via)
{
	uint32_t old = lpm_exact(t->lpm, p);
	if (old != 0 && !is_added(t, old))
		return -EEXIST;
	return put_hop(t, p, gate, via, true);
}

int
route_table_del(struct route_table *t, const struct tr_prefix *p)
{
	uint32_t old = lpm_exact(t->lpm, p);
	if (old == 0)
		return -ENOENT;
	return is_added(t, old) ? put(t, p, 0) : -EEXIST;
}

const struct next_hop *
route_table_find(const struct route_table *t, const struct tr_addr *a, bool *local, bool *added)
{
	const uint8_t *ip = a->ip;
	uint32_t value;
	if (a->family == 4)
		lpm_find4(t->lpm, &ip, 1, &value);
	else
		lpm_find6(t->lpm, &ip, 1, &value);
	*local = value == ROUTE_LOCAL;
	*added = is_added(t, value);
	return value < ROUTE_HOP ? NULL : &t->hop[value - ROUTE_HOP];
}

/* ---- The pipeline's routes ---- */

static int
compare(const void *pa, const void *pb)
{
	const struct wish *a = pa, *b = pb;
	int c = a->prefix.addr.family - b->prefix.addr.family;
	if (c == 0)
		c = memcmp(a->prefix.addr.ip, b->prefix.addr.ip, sizeof(a->prefix.addr.ip));
	if (c == 0)
		c = a->prefix.len - b->prefix.len;
	return c;
}

/* Own addresses come first: they win over a route of the same prefix. */
static int
compare_whole(const void *pa, const void *pb)
{
	int c = compare(pa, pb);
	return c != 0 ? c : ((const struct wish *)pb)->local - ((const struct wish *)pa)->local;
}

static struct wish *
wishes_of(const struct route_options *o, uint32_t *n)
{
	const struct tr_route_option *r = o->routes.items;
	const struct tr_addr *own = o->address.items;
	struct wish *w = calloc(o->routes.n + o->address.n + 1, sizeof(*w));
	*n = 0;
	if (w == NULL)
		return NULL;
	for (uint32_t k = 0; k < o->address.n; k++)
		w[(*n)++] = (struct wish){.prefix = {own[k], own[k].family == 4 ? 32 : 128}, .local = true};
	for (uint32_t k = 0; k < o->routes.n; k++)
		w[(*n)++] = (struct wish){.prefix = r[k].prefix, .gate = r[k].gate, .via = r[k].via};
	qsort(w, *n, sizeof(*w), compare_whole);
	uint32_t kept = 0;
	for (uint32_t k = 0; k < *n; k++)
		if (kept == 0 || compare(&w[kept - 1], &w[k]) != 0)
			w[kept++] = w[k];
	*n = kept;
	return w;
}

static bool
same(const struct wish *a, const struct wish *b)
{
	return a->local == b->local && (a->local || (a->gate == b->gate && tr_addr_eq(&a->via, &b->via)));
}

int
route_table_configure(struct route_table *t, const struct route_options *o)
{
	uint32_t n, i = 0, j = 0;
	struct wish *now = wishes_of(o, &n), *was = t->wish;
	int rc = now == NULL ? -ENOMEM : 0;
	if (now == NULL)
		return rc;
	while (i < t->n_wishes || j < n) {
		int c = i == t->n_wishes ? 1 : j == n ? -1 : compare(&was[i], &now[j]);
		int r = 0;
		if (c < 0)
			r = put(t, &was[i].prefix, 0);
		else if (c > 0 || !same(&was[i], &now[j]))
			r = now[j].local ? put(t, &now[j].prefix, ROUTE_LOCAL)
					 : put_hop(t, &now[j].prefix, now[j].gate, &now[j].via, false);
		if (r != 0)
			rc = r;
		i += c <= 0;
		j += c >= 0;
	}
	free(was);
	t->wish = now;
	t->n_wishes = n;
	return rc;
}

struct fib *
fib_new(const struct route_table *t, const struct route_options *o)
{
	const struct tr_addr *own = o->address.items;
	struct fib *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	*f = (struct fib){.lpm = t->lpm, .hop = t->hop, .clamp_mss = o->clamp_mss};
	for (uint32_t k = o->address.n; k-- > 0;)
		*(own[k].family == 4 ? &f->own4 : &f->own6) = own[k];
	return f;
}

struct route_counts
route_table_counts(const struct route_table *t)
{
	return (struct route_counts){.pipeline = lpm_count(t->lpm) - t->added, .added = t->added, .hops = t->in_use,
		.memory = lpm_memory(t->lpm) + sizeof(*t) + t->n_hops * (sizeof(*t->hop) + sizeof(*t->use)) +
			  t->n_wishes * sizeof(*t->wish)};
}

void
route_table_free(struct route_table *t)
{
	if (t == NULL)
		return;
	if (t->lpm != NULL)
		lpm_free(t->lpm);
	free(t->hop);
	free(t->use);
	free(t->wish);
	free(t);
}

struct route_table *
route_table_new(uint32_t max, const struct route_gate *gates)
{
	struct route_table *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->gates = gates;
	t->lpm = lpm_new(max);
	t->hop = calloc(ROUTE_HOPS, sizeof(*t->hop));
	t->use = calloc(ROUTE_HOPS, sizeof(*t->use));
	if (t->lpm != NULL && t->hop != NULL && t->use != NULL)
		return t;
	route_table_free(t);
	return NULL;
}
