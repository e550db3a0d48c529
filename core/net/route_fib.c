/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/route.h"

#include <stdlib.h>

#define SPARE_RULES 1024 /* room for what a build retires before a grace period can pass */

void
fib_free(void *fib)
{
	struct fib *f = fib;
	if (f == NULL)
		return;
	if (f->lpm != NULL)
		lpm_free(f->lpm);
	free(f->hop);
	free(f);
}

/* The value of a next hop, found or made. Routes to one target mostly follow each other, so look from the end. */
static uint32_t
hop_value(struct fib *f, const struct tr_route_option *r, const struct route_gate *g)
{
	for (uint32_t k = f->n_hops; k-- > 0;)
		if (f->hop[k].gate == r->gate && tr_addr_eq(&f->hop[k].via, &r->via))
			return k + ROUTE_HOP;
	f->hop[f->n_hops] =
		(struct next_hop){.gate = (uint16_t)r->gate, .mtu = g->mtu, .fills_source = g->fills_source, .via = r->via};
	return f->n_hops++ + ROUTE_HOP;
}

static bool
add_own(struct fib *f, const struct tr_addr *a)
{
	struct tr_addr *own = a->family == 4 ? &f->own4 : &f->own6;
	if (own->family == 0)
		*own = *a;
	return lpm_set(f->lpm, &(struct tr_prefix){*a, a->family == 4 ? 32 : 128}, ROUTE_LOCAL) == 0;
}

struct fib *
fib_new(const struct route_options *o, const struct route_gate *gates)
{
	const struct tr_route_option *r = o->routes.items;
	const struct tr_addr *own = o->address.items;
	struct fib *f = calloc(1, sizeof(*f));
	if (f == NULL)
		return NULL;
	f->clamp_mss = o->clamp_mss;
	f->hop = calloc(o->routes.n + 1, sizeof(*f->hop));
	f->lpm = lpm_new(2 * o->routes.n + o->address.n + SPARE_RULES);
	bool ok = f->hop != NULL && f->lpm != NULL;
	for (uint32_t k = 0; ok && k < o->routes.n; k++)
		ok = lpm_set(f->lpm, &r[k].prefix, hop_value(f, &r[k], &gates[r[k].gate])) == 0;
	for (uint32_t k = 0; ok && k < o->address.n; k++)
		ok = add_own(f, &own[k]);
	if (ok)
		return f;
	fib_free(f);
	return NULL;
}
