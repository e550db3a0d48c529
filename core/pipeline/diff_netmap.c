/* SPDX-License-Identifier: BSD-3-Clause */
/* The netmap's part of a diff: peers are matched by interface and public key, so that a new name is a change only. */
#include "builder.h"

#include <sodium.h>
#include <stdlib.h>

struct ref {
	const struct plan *plan;
	int32_t index;
	uint64_t head; /* of the key: decides without a look at the peer */
};

static const struct plan_peer *
peer_of(const struct ref *r)
{
	return &r->plan->peer[r->index];
}

static int
by_key(const void *pa, const void *pb)
{
	const struct ref *a = pa, *b = pb;
	if (a->head != b->head)
		return a->head < b->head ? -1 : 1;
	const struct plan_peer *x = peer_of(a), *y = peer_of(b);
	int c = memcmp(x->public_key.b, y->public_key.b, sizeof(x->public_key.b));
	return c != 0 ? c : strcmp(a->plan->instance[x->interface].name, b->plan->instance[y->interface].name);
}

static struct ref *
sorted(const struct plan *p, unsigned n)
{
	struct ref *v = malloc((n + 1) * sizeof(*v));
	for (unsigned i = 0; v != NULL && i < n; i++) {
		v[i] = (struct ref){p, (int32_t)i, 0};
		memcpy(&v[i].head, p->peer[i].public_key.b, sizeof(v[i].head));
	}
	if (v != NULL && n != 0)
		qsort(v, n, sizeof(*v), by_key);
	return v;
}

static bool
psk_differs(const struct plan_peer *a, const struct plan_peer *b)
{
	const char *x = a->preshared_key_file, *y = b->preshared_key_file;
	if ((x == NULL) != (y == NULL) || sodium_memcmp(&a->preshared_key, &b->preshared_key, sizeof(a->preshared_key)) != 0)
		return true;
	return x != NULL && strcmp(x, y) != 0;
}

static void
print_allowed(const struct tr_list *l, const struct tr_list *other, char sign, FILE *f)
{
	const struct tr_prefix *p = l->items, *q = other->items;
	char text[50];
	for (uint32_t i = 0; i < l->n; i++) {
		uint32_t j = 0;
		while (j < other->n && memcmp(&p[i], &q[j], sizeof(*p)) != 0)
			j++;
		if (j < other->n)
			continue;
		format_prefix(&p[i], text);
		fprintf(f, ", %c%s", sign, text);
	}
}

static const char *
name_of(const struct plan_peer *p)
{
	return p->name != NULL ? p->name : "";
}

static bool
same(const struct plan_peer *a, const struct plan_peer *b)
{
	return strcmp(name_of(a), name_of(b)) == 0 && !psk_differs(a, b) && a->endpoint.port == b->endpoint.port &&
	       tr_addr_eq(&a->endpoint.addr, &b->endpoint.addr) && a->keepalive == b->keepalive &&
	       a->derp == b->derp && a->relay == b->relay && a->relay_client == b->relay_client &&
	       memcmp(&a->disco_key, &b->disco_key, sizeof(a->disco_key)) == 0 && a->allowed.n == b->allowed.n &&
	       (a->allowed.n == 0 || memcmp(a->allowed.items, b->allowed.items, a->allowed.n * sizeof(struct tr_prefix)) == 0);
}

/* ", endpoint, +10.0.0.0/8": what differs, each with a comma before it. malloc()ed; NULL: nothing. */
static char *
changes(const struct plan_peer *a, const struct plan_peer *b)
{
	char *text = NULL;
	size_t size;
	if (same(a, b))
		return NULL;
	FILE *f = open_memstream(&text, &size);
	if (f == NULL)
		return NULL;
	if (strcmp(name_of(a), name_of(b)) != 0)
		fprintf(f, ", name %s -> %s", name_of(a), name_of(b));
	if (psk_differs(a, b))
		fputs(", preshared_key", f);
	if (a->endpoint.port != b->endpoint.port || !tr_addr_eq(&a->endpoint.addr, &b->endpoint.addr))
		fputs(", endpoint", f);
	if (a->keepalive != b->keepalive)
		fprintf(f, ", persistent_keepalive %us -> %us", (unsigned)a->keepalive, (unsigned)b->keepalive);
	if (memcmp(&a->disco_key, &b->disco_key, sizeof(a->disco_key)) != 0)
		fputs(", disco_key", f);
	if (a->derp != b->derp)
		fprintf(f, ", derp %u -> %u", (unsigned)a->derp, (unsigned)b->derp);
	if (a->relay != b->relay)
		fprintf(f, ", relay %s", b->relay ? "on" : "off");
	if (a->relay_client != b->relay_client)
		fprintf(f, ", relay_client %s", b->relay_client ? "on" : "off");
	print_allowed(&a->allowed, &b->allowed, '-', f);
	print_allowed(&b->allowed, &a->allowed, '+', f);
	fclose(f);
	return text;
}

static void
diff_peers(const struct plan *from, const struct plan *to, struct plan_diff *out, plan_act *act)
{
	unsigned na = from != NULL ? from->n_peers : 0, nb = to->n_peers;
	struct ref *a = sorted(from, na), *b = sorted(to, nb);
	for (unsigned i = 0, j = 0; a != NULL && b != NULL && (i < na || j < nb);) {
		int c = i == na ? 1 : j == nb ? -1 : by_key(&a[i], &b[j]);
		if (c < 0) {
			act(out, PLAN_PEER_REMOVE, a[i].index, -1, "remove peer %s", name_of(peer_of(&a[i])));
		} else if (c > 0) {
			act(out, PLAN_PEER_ADD, -1, b[j].index, "add peer %s", name_of(peer_of(&b[j])));
		} else {
			char *text = changes(peer_of(&a[i]), peer_of(&b[j]));
			if (text != NULL && *text != '\0')
				act(out, PLAN_PEER_CHANGE, a[i].index, b[j].index, "change peer %s: %s", name_of(peer_of(&b[j])),
					text + 2);
			free(text);
		}
		i += c <= 0;
		j += c >= 0;
	}
	free(a);
	free(b);
}

static void
diff_names(const struct plan *from, const struct plan *to, struct plan_diff *out, plan_act *act)
{
	static const struct tr_list none = {0};
	const struct tr_list *a = from != NULL ? &from->names : &none, *b = &to->names;
	const char *old = from != NULL && from->domain ? from->domain : "none", *new = to->domain ? to->domain : "none";
	const struct tr_name_option *x = a->items, *y = b->items;
	bool differ = a->n != b->n;
	for (uint32_t i = 0; !differ && i < a->n; i++)
		differ = strcmp(x[i].name, y[i].name) != 0 || !tr_addr_eq(&x[i].addr, &y[i].addr);
	if (strcmp(old, new) != 0)
		act(out, PLAN_NAMES, -1, -1, "change domain: %s -> %s", old, new);
	if (differ)
		act(out, PLAN_NAMES, -1, -1, "change names: %u -> %u", a->n, b->n);
}

static void
diff_derp(const struct plan *from, const struct plan *to, struct plan_diff *out, plan_act *act)
{
	const unsigned n = from != NULL ? from->n_derp : 0;
	bool differ = n != to->n_derp;
	for (unsigned i = 0; !differ && i < n; i++)
		differ = !plan_derp_same(&from->derp[i], &to->derp[i]);
	if (differ)
		act(out, PLAN_NAMES, -1, -1, "change derp: %u -> %u nodes", n, to->n_derp);
}

void
plan_diff_netmap(const struct plan *from, const struct plan *to, struct plan_diff *out, plan_act *act)
{
	diff_peers(from, to, out, act);
	diff_names(from, to, out, act);
	diff_derp(from, to, out, act);
}
