/* SPDX-License-Identifier: BSD-3-Clause */
/* Warns of allowed IPs that no route leads to: the peer could send, and never be answered. */
#include "builder.h"

#include <stdlib.h>

struct route_set { /* prefixes that lead to one instance, sorted */
	struct tr_prefix *v;
	uint32_t n, capacity;
};

static int
compare(const void *pa, const void *pb)
{
	const struct tr_prefix *a = pa, *b = pb;
	int c = a->addr.family - b->addr.family;
	if (c == 0)
		c = memcmp(a->addr.ip, b->addr.ip, sizeof(a->addr.ip));
	return c != 0 ? c : a->len - b->len;
}

static struct tr_prefix
shortened(const struct tr_prefix *p, unsigned len)
{
	struct tr_prefix s = *p;
	for (unsigned bit = len; bit < 128; bit++)
		s.addr.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
	s.len = (uint8_t)len;
	return s;
}

/* Does a route contain the prefix, or lie within it? */
static bool
covered(const struct route_set *r, const struct tr_prefix *p)
{
	for (unsigned len = 0; len <= p->len; len++) {
		struct tr_prefix key = shortened(p, len);
		if (r->n != 0 && bsearch(&key, r->v, r->n, sizeof(*r->v), compare) != NULL)
			return true;
	}
	uint32_t low = 0, high = r->n;
	while (low < high) {
		uint32_t mid = (low + high) / 2;
		if (compare(&r->v[mid], p) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == r->n || r->v[low].addr.family != p->addr.family || r->v[low].len < p->len)
		return false;
	struct tr_prefix within = shortened(&r->v[low], p->len);
	return compare(&within, p) == 0;
}

/* Can what goes into `from` come to `to`? Not through another router: it decides anew. */
static bool
leads_to(const struct plan *p, int32_t from, int32_t to, bool *seen)
{
	if (from == to)
		return true;
	if (from < 0 || seen[from] || plan_has_routes(p->instance[from].class_))
		return false;
	seen[from] = true;
	for (unsigned g = 0; g < p->instance[from].n_out; g++)
		if (leads_to(p, p->instance[from].out[g].to, to, seen))
			return true;
	return false;
}

static bool
add(struct route_set *set, const struct tr_prefix *prefix)
{
	if (set->n == set->capacity) {
		uint32_t capacity = set->capacity != 0 ? set->capacity * 2 : 16;
		struct tr_prefix *v = realloc(set->v, capacity * sizeof(*v));
		if (v == NULL)
			return false;
		set->v = v;
		set->capacity = capacity;
	}
	set->v[set->n++] = *prefix;
	return true;
}

/* Which gates of this router lead there, then each route over one of them. */
static bool
collect(const struct plan *p, const struct plan_instance *router, int32_t to, struct route_set *set)
{
	bool leads[PLAN_MAX_GATES] = {false};
	bool *seen = malloc(p->n_instances);
	for (unsigned g = 0; g < router->n_out && seen != NULL; g++) {
		memset(seen, 0, p->n_instances);
		leads[g] = leads_to(p, router->out[g].to, to, seen);
	}
	bool ok = seen != NULL;
	free(seen);
	for (const struct tr_option *o = router->class_->options; o->key != NULL; o++) {
		const struct tr_list *l = (const void *)((const uint8_t *)router->options + o->offset);
		const struct tr_route_option *r = o->type == TR_OPT_ROUTES ? l->items : NULL;
		for (uint32_t i = 0; r != NULL && ok && i < l->n; i++)
			if (r[i].gate < router->n_out && leads[r[i].gate])
				ok = add(set, &r[i].prefix);
	}
	return ok;
}

static void
check_interface(struct builder *b, int32_t interface, const struct route_set *set)
{
	char text[50];
	for (unsigned i = 0; i < b->plan->n_peers; i++) {
		const struct plan_peer *peer = &b->plan->peer[i];
		const struct tr_prefix *allowed = peer->allowed.items;
		const struct cfg_node *list = cfg_get(peer->where, "allowed_ips");
		for (uint32_t j = 0; peer->interface == interface && j < peer->allowed.n; j++) {
			if (covered(set, &allowed[j]))
				continue;
			format_prefix(&allowed[j], text);
			diag_at(b->d, DIAG_WARNING, list != NULL && list->kind == CFG_LIST && j < list->n ? list->child[j] : list,
				"no route leads to %s of peer `%s` (`routes: {%s: %s.…}`)", text, peer->name, text,
				b->plan->instance[interface].name);
		}
	}
}

void
plan_check_routes(struct builder *b)
{
	const struct plan *p = b->plan;
	bool any = false;
	for (unsigned i = 0; i < p->n_instances; i++)
		any |= plan_has_routes(p->instance[i].class_);
	for (unsigned i = 0; any && i < p->n_instances; i++) {
		struct route_set set = {0};
		bool ok = true;
		if (!(p->instance[i].class_->flags & TR_CLASS_PEERS))
			continue;
		for (unsigned r = 0; r < p->n_instances && ok; r++)
			if (plan_has_routes(p->instance[r].class_) && p->instance[r].options != NULL)
				ok = collect(p, &p->instance[r], (int32_t)i, &set);
		if (set.n != 0)
			qsort(set.v, set.n, sizeof(*set.v), compare);
		if (ok)
			check_interface(b, (int32_t)i, &set);
		free(set.v);
	}
}
