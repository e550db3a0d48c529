/* SPDX-License-Identifier: BSD-3-Clause */
/* What applying one plan over another does. */
#include "builder.h"

#include <stdarg.h>
#include <stdlib.h>

static void
act(struct plan_diff *d, enum plan_verb verb, int32_t from, int32_t to, const char *format, ...)
	__attribute__((format(printf, 5, 6)));

static void
act(struct plan_diff *d, enum plan_verb verb, int32_t from, int32_t to, const char *format, ...)
{
	char *text = NULL;
	va_list ap;
	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if ((d->n & (d->n - 1)) == 0) { /* grows at powers of two */
		struct plan_action *v = realloc(d->v, (d->n != 0 ? d->n * 2 : 1) * sizeof(*v));
		if (v == NULL) {
			free(text);
			return;
		}
		d->v = v;
	}
	d->v[d->n++] = (struct plan_action){verb, from, to, text};
	d->restart |= verb == PLAN_RESTART;
}

/* ---- Instances ---- */

static bool
same_routes(const struct plan_instance *x, const struct plan_instance *y, const struct tr_route_option *a,
	const struct tr_route_option *b)
{
	return memcmp(&a->prefix, &b->prefix, sizeof(a->prefix)) == 0 && tr_addr_eq(&a->via, &b->via) &&
	       strcmp(x->out[a->gate].name, y->out[b->gate].name) == 0;
}

static void
print_route(const struct plan_instance *i, const struct tr_route_option *r, FILE *f)
{
	char text[50];
	format_prefix(&r->prefix, text);
	fprintf(f, "%s to %s", text, i->out[r->gate].name);
	format_addr(&r->via, text);
	if (r->via.family != 0)
		fprintf(f, " via %s", text);
}

static int
by_prefix(const void *pa, const void *pb)
{
	const struct tr_route_option *const *a = pa, *const *b = pb;
	return memcmp(&(*a)->prefix, &(*b)->prefix, sizeof((*a)->prefix));
}

static const struct tr_route_option **
sorted_routes(const struct tr_list *l)
{
	const struct tr_route_option *r = l->items, **v = malloc((l->n + 1) * sizeof(*v));
	for (uint32_t i = 0; v != NULL && i < l->n; i++)
		v[i] = &r[i];
	if (v != NULL && l->n != 0)
		qsort(v, l->n, sizeof(*v), by_prefix);
	return v;
}

/* Prints "+PREFIX to GATE, -PREFIX to GATE"; false: nothing differs. */
static bool
routes_differ(const struct plan_instance *x, const struct plan_instance *y, const struct tr_option *o, FILE *f)
{
	const struct tr_list *a = (const void *)((const uint8_t *)x->options + o->offset);
	const struct tr_list *b = (const void *)((const uint8_t *)y->options + o->offset);
	const struct tr_route_option **ra = sorted_routes(a), **rb = sorted_routes(b);
	uint32_t i = 0, j = 0;
	bool differ = false;
	while (ra != NULL && rb != NULL && (i < a->n || j < b->n)) {
		int c = i == a->n ? 1 : j == b->n ? -1 : by_prefix(&ra[i], &rb[j]);
		if (c == 0 && same_routes(x, y, ra[i], rb[j])) {
			i++;
			j++;
			continue;
		}
		if (c <= 0) {
			fprintf(f, "%s-", differ ? ", " : "");
			print_route(x, ra[i++], f);
			differ = true;
		}
		if (c >= 0) {
			fprintf(f, "%s+", differ ? ", " : "");
			print_route(y, rb[j++], f);
			differ = true;
		}
	}
	free(ra);
	free(rb);
	return differ;
}

/* Secrets that were not read (check, diff) are compared by their references. */
static bool
secrets_differ(const struct plan_instance *x, const struct plan_instance *y, const struct tr_option *o)
{
	const struct cfg_node *a = cfg_get(x->options_node, o->key), *b = cfg_get(y->options_node, o->key);
	if (!option_equal(o, x->options, y->options) || (a == NULL) != (b == NULL))
		return true;
	return a != NULL && strcmp(a->text, b->text) != 0;
}

static bool
option_differs(const struct plan_instance *x, const struct plan_instance *y, const struct tr_option *o, FILE *f)
{
	if (o->type == TR_OPT_ROUTES) {
		fprintf(f, "%s ", o->key);
		return routes_differ(x, y, o, f);
	}
	if (o->type == TR_OPT_SECRET) {
		fprintf(f, "%s changed", o->key);
		return secrets_differ(x, y, o);
	}
	if (option_equal(o, x->options, y->options))
		return false;
	char *old = option_text(o, x->options), *new = option_text(o, y->options);
	fprintf(f, "%s %s -> %s", o->key, old != NULL && *old ? old : "none", new != NULL && *new ? new : "none");
	free(old);
	free(new);
	return true;
}

/* The change that a difference costs; the worst of all goes to *cost. Text: "mtu 1420 -> 1380 (live), …". */
static char *
options_text(const struct plan_instance *x, const struct plan_instance *y, int *cost)
{
	static const char *const costs[] = {"live", "recreate", "restart"};
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	*cost = -1;
	for (const struct tr_option *o = y->class_->options; f != NULL && o != NULL && o->key != NULL; o++) {
		char *one = NULL;
		size_t one_size;
		FILE *g = open_memstream(&one, &one_size);
		bool differs = g != NULL && option_differs(x, y, o, g);
		if (g != NULL)
			fclose(g);
		int c = o->change == TR_LIVE && y->class_->reconfigure == NULL ? TR_RECREATE : (int)o->change;
		if (differs)
			fprintf(f, "%s%s (%s)", *cost >= 0 ? ", " : "", one, costs[c]);
		if (differs && c > *cost)
			*cost = c;
		free(one);
	}
	if (f != NULL)
		fclose(f);
	return text;
}

/* An instance with dynamic gates knows what they lead to. */
static const char *
gates_differ(const struct plan *from, const struct plan_instance *x, const struct plan *to, const struct plan_instance *y)
{
	if (plan_dynamic(y->class_) == NULL)
		return NULL;
	if (x->n_out != y->n_out)
		return "its gates change";
	for (unsigned g = 0; g < x->n_out; g++) {
		const struct plan_gate *a = &x->out[g], *b = &y->out[g];
		if (strcmp(a->name, b->name) != 0 || (a->to < 0) != (b->to < 0))
			return "its gates change";
		if (a->to < 0)
			continue;
		const struct plan_instance *s = &from->instance[a->to], *t = &to->instance[b->to];
		if (strcmp(s->name, t->name) != 0 || a->to_gate != b->to_gate)
			return "its gates lead elsewhere";
		if (plan_flagged(s, TR_OPT_LISTEN) != plan_flagged(t, TR_OPT_LISTEN) ||
			plan_flagged(s, TR_OPT_LISTEN_ALSO) != plan_flagged(t, TR_OPT_LISTEN_ALSO) ||
			plan_flagged(s, TR_OPT_MTU) != plan_flagged(t, TR_OPT_MTU))
			return "the port or MTU of what its gates lead to changes";
	}
	return NULL;
}

static const char *
build_of(const struct plan_instance *i)
{
	return i->plugin != NULL ? i->plugin->build_id : "core";
}

static void
diff_instance(struct plan_diff *d, const struct plan *from, int32_t a, const struct plan *to, int32_t b)
{
	const struct plan_instance *x = &from->instance[a], *y = &to->instance[b];
	const char *gates;
	int cost;
	if (strcmp(x->class_->name, y->class_->name) != 0) {
		act(d, PLAN_RECREATE, a, b, "recreate %s: class %s -> %s", y->name, x->class_->name, y->class_->name);
		return;
	}
	if (strcmp(build_of(x), build_of(y)) != 0) {
		act(d, PLAN_RECREATE, a, b, "recreate %s: build %.12s -> %.12s of class %s", y->name, build_of(x), build_of(y),
			y->class_->name);
		return;
	}
	char *text = options_text(x, y, &cost);
	if (cost == TR_RESTART)
		act(d, PLAN_RESTART, a, b, "restart needed for %s: %s", y->name, text);
	else if (cost == TR_RECREATE)
		act(d, PLAN_RECREATE, a, b, "recreate %s: %s", y->name, text);
	else if ((gates = gates_differ(from, x, to, y)) != NULL)
		act(d, PLAN_RECREATE, a, b, "recreate %s: %s%s%s", y->name, gates, cost >= 0 ? "; " : "", cost >= 0 ? text : "");
	else if (cost == TR_LIVE)
		act(d, PLAN_RECONFIGURE, a, b, "reconfigure %s: %s", y->name, text);
	else
		act(d, PLAN_KEEP, a, b, "keep %s", y->name);
	free(text);
}

/* ---- Links ---- */

/* Gates that routes made are told with the option that made them. */
static bool
is_link(const struct plan_instance *i, unsigned g)
{
	const struct plan_gate *p = &i->out[g];
	return p->to >= 0 && !(p->flags & TR_GATE_INTERNAL) && !(p->flags & TR_GATE_DYNAMIC && plan_has_routes(i->class_));
}

static char *
link_text(const struct plan *p, const struct plan_instance *i, unsigned g)
{
	const struct plan_instance *to = &p->instance[i->out[g].to];
	const struct tr_in_gate *in = &to->class_->in[i->out[g].to_gate];
	char *text;
	bool sink = in->type == TR_TYPE_ANY;
	if (asprintf(&text, "%s.%s -> %s%s%s", i->name, i->out[g].name, to->name, sink ? "" : ".", sink ? "" : in->name) < 0)
		return NULL;
	return text;
}

/* The same link in the other plan? */
static bool
has_link(const struct plan *p, const char *instance, const char *gate, const char *text)
{
	int32_t i = p != NULL ? plan_find(p, instance) : -1;
	for (unsigned g = 0; i >= 0 && g < p->instance[i].n_out; g++) {
		if (!is_link(&p->instance[i], g) || strcmp(p->instance[i].out[g].name, gate) != 0)
			continue;
		char *other = link_text(p, &p->instance[i], g);
		bool same = other != NULL && text != NULL && strcmp(other, text) == 0;
		free(other);
		return same;
	}
	return false;
}

static void
diff_links(struct plan_diff *d, const struct plan *of, const struct plan *other, enum plan_verb verb)
{
	for (unsigned i = 0; of != NULL && i < of->n_instances; i++)
		for (unsigned g = 0; g < of->instance[i].n_out; g++) {
			if (!is_link(&of->instance[i], g))
				continue;
			char *text = link_text(of, &of->instance[i], g);
			if (!has_link(other, of->instance[i].name, of->instance[i].out[g].name, text))
				act(d, verb, verb == PLAN_UNLINK ? (int32_t)i : -1, verb == PLAN_LINK ? (int32_t)i : -1, "%s %s",
					verb == PLAN_LINK ? "link" : "unlink", text != NULL ? text : "");
			free(text);
		}
}

void
plan_diff_instances(const struct plan *from, const struct plan *to, struct plan_diff *out)
{
	*out = (struct plan_diff){0};
	for (unsigned i = 0; i < to->n_instances; i++) {
		int32_t old = from != NULL ? plan_find(from, to->instance[i].name) : -1;
		if (old < 0)
			act(out, PLAN_CREATE, -1, (int32_t)i, "create %s: class %s", to->instance[i].name,
				to->instance[i].class_->name);
		else
			diff_instance(out, from, old, to, (int32_t)i);
	}
	for (unsigned i = 0; from != NULL && i < from->n_instances; i++)
		if (plan_find(to, from->instance[i].name) < 0)
			act(out, PLAN_REMOVE, (int32_t)i, -1, "remove %s: class %s", from->instance[i].name,
				from->instance[i].class_->name);
}

void
plan_diff(const struct plan *from, const struct plan *to, struct plan_diff *out)
{
	plan_diff_instances(from, to, out);
	diff_links(out, from, to, PLAN_UNLINK);
	diff_links(out, to, from, PLAN_LINK);
	plan_diff_netmap(from, to, out, act);
}

void
plan_diff_peers(const struct plan *from, const struct plan *to, struct plan_diff *out)
{
	*out = (struct plan_diff){0};
	plan_diff_netmap(from, to, out, act);
}

void
plan_diff_free(struct plan_diff *d)
{
	for (unsigned i = 0; i < d->n; i++)
		free(d->v[i].text);
	free(d->v);
	*d = (struct plan_diff){0};
}
