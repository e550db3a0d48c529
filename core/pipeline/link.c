/* SPDX-License-Identifier: BSD-3-Clause */
/* Gates and links: `wan.udp -> mux.in`, and the gates that routes make. */
#include "builder.h"

#include <ctype.h>

static const char *const type_names[] = {"ip", "udp", "endpoint", "any"}; /* enum tr_gate_type */

#define LINK_MAX 200 /* bytes of a link's text */

const struct tr_out_gate *
plan_dynamic(const struct tr_class *c)
{
	for (const struct tr_out_gate *g = c->out; g != NULL && g->name != NULL; g++)
		if (g->flags & TR_GATE_DYNAMIC)
			return g;
	return NULL;
}

bool
plan_has_routes(const struct tr_class *c)
{
	for (const struct tr_option *o = c->options; o != NULL && o->key != NULL; o++)
		if (o->type == TR_OPT_ROUTES)
			return true;
	return false;
}

static struct plan_gate *
add_gate(struct builder *b, int32_t index, const char *name, const struct tr_out_gate *g, const struct cfg_node *where)
{
	struct plan_instance *i = &b->plan->instance[index];
	if (i->n_out == PLAN_MAX_GATES) {
		diag_at(b->d, DIAG_ERROR, where, "`%s` has more than %u out gates", i->name, PLAN_MAX_GATES);
		return NULL;
	}
	if (i->n_out == b->capacity[index]) {
		unsigned capacity = i->n_out != 0 ? i->n_out * 2 : 4;
		struct plan_gate *more = arena_alloc(b->plan->arena, capacity * sizeof(*more));
		if (more == NULL) {
			diag_at(b->d, DIAG_ERROR, where, "the configuration is too large");
			return NULL;
		}
		if (i->n_out != 0)
			memcpy(more, i->out, i->n_out * sizeof(*more));
		i->out = more;
		b->capacity[index] = capacity;
	}
	struct plan_gate *p = &i->out[i->n_out++];
	*p = (struct plan_gate){.name = name, .type = g->type, .flags = g->flags, .to = -1, .where = where};
	return p;
}

static int32_t
in_gate(const struct tr_class *c, const char *name, bool internal)
{
	for (int32_t i = 0; c->in != NULL && c->in[i].name != NULL; i++)
		if (strcmp(c->in[i].name, name) == 0 && internal == ((c->in[i].flags & TR_GATE_INTERNAL) != 0))
			return i;
	return -1;
}

void
plan_gates(struct builder *b, int32_t index)
{
	struct plan_instance *i = &b->plan->instance[index];
	for (const struct tr_out_gate *g = i->class_->out; g != NULL && g->name != NULL; g++) {
		if (g->flags & TR_GATE_DYNAMIC)
			break;
		struct plan_gate *p = add_gate(b, index, g->name, g, NULL);
		if (p == NULL || !(g->flags & TR_GATE_INTERNAL))
			continue;
		int32_t to = in_gate(i->class_, g->name, true);
		p->to = to >= 0 ? index : -1;
		p->to_gate = to >= 0 ? (uint32_t)to : 0;
		if (to < 0)
			diag_at(b->d, DIAG_ERROR, i->where, "class %s is broken: internal gate `%s` has no in gate", i->class_->name,
				g->name);
	}
}

/* "`in`, `plain`" */
static void
list_in_gates(const struct tr_class *c, char *text, size_t size)
{
	size_t at = 0;
	text[0] = '\0';
	for (const struct tr_in_gate *g = c->in; g != NULL && g->name != NULL && at < size; g++)
		if (!(g->flags & TR_GATE_INTERNAL))
			at += (size_t)snprintf(text + at, size - at, "%s`%s`", at != 0 ? ", " : "", g->name);
}

static void
list_out_gates(const struct plan_instance *i, char *text, size_t size)
{
	size_t at = 0;
	text[0] = '\0';
	for (unsigned g = 0; g < i->n_out && at < size; g++)
		if (!(i->out[g].flags & TR_GATE_INTERNAL))
			at += (size_t)snprintf(text + at, size - at, "%s`%s`", at != 0 ? ", " : "", i->out[g].name);
}

static void
no_gate(struct builder *b, const struct word *w, const struct plan_instance *i, bool out)
{
	const char *names[PLAN_MAX_GATES + 1];
	unsigned n = 0;
	char all[300];
	for (unsigned g = 0; out && g < i->n_out; g++)
		if (!(i->out[g].flags & TR_GATE_INTERNAL))
			names[n++] = i->out[g].name;
	for (const struct tr_in_gate *g = i->class_->in; !out && g != NULL && g->name != NULL && n < PLAN_MAX_GATES; g++)
		if (!(g->flags & TR_GATE_INTERNAL))
			names[n++] = g->name;
	names[n] = NULL;
	const char *near = did_you_mean(w->text, names), *side = out ? "out" : "in";
	if (out)
		list_out_gates(i, all, sizeof(all));
	else
		list_in_gates(i->class_, all, sizeof(all));
	if (near != NULL)
		plan_error(b, w, "`%s` has no %s gate `%.40s` (did you mean `%s`?)", i->name, side, w->text, near);
	else if (n != 0)
		plan_error(b, w, "`%s` has no %s gate `%.40s` (class %s has %s)", i->name, side, w->text, i->class_->name, all);
	else
		plan_error(b, w, "`%s` has no %s gates (class %s)", i->name, side, i->class_->name);
}

/* Splits INSTANCE.GATE in place; the gate may be left out (NULL). false: not of that form. */
static bool
split(char *text, unsigned offset, const struct cfg_node *n, struct word *instance, struct word *gate)
{
	char *dot = strchr(text, '.');
	*instance = (struct word){n, text, offset};
	*gate = (struct word){n, dot != NULL ? dot + 1 : NULL, offset + (dot != NULL ? (unsigned)(dot - text) + 1 : 0)};
	if (dot != NULL)
		*dot = '\0';
	return plan_good_name(text) && (dot == NULL || plan_good_name(dot + 1));
}

static int32_t
implicit_drop(struct builder *b, const struct cfg_node *where)
{
	for (unsigned i = 0; i < b->catalogue->n; i++) {
		const struct catalogue_entry *e = &b->catalogue->v[i];
		if (strcmp(e->class_->name, "drop") != 0 || b->plan->n_instances > PLAN_MAX_INSTANCES)
			continue;
		int32_t index = (int32_t)b->plan->n_instances++;
		b->plan->instance[index] = (struct plan_instance){.name = "drop", .where = where};
		plan_instance_init(b, index, e);
		return index;
	}
	return -1;
}

/* The target of a link or route: instance and in gate. false after a diagnostic. */
static bool
find_target(struct builder *b, const struct word *instance, const struct word *gate, int32_t *to, uint32_t *to_gate)
{
	char all[300];
	*to = plan_find(b->plan, instance->text);
	if (*to < 0 && strcmp(instance->text, "drop") == 0)
		*to = implicit_drop(b, instance->node);
	if (*to < 0) {
		plan_find_or_error(b, instance);
		return false;
	}
	const struct plan_instance *i = &b->plan->instance[*to];
	if (i->class_ == NULL)
		return false; /* its class was refused already */
	const struct tr_in_gate *in = i->class_->in;
	bool sink = in != NULL && in[0].name != NULL && in[1].name == NULL && in[0].type == TR_TYPE_ANY;
	if (gate->text == NULL && sink) {
		*to_gate = 0;
		return true;
	}
	if (gate->text == NULL) {
		list_in_gates(i->class_, all, sizeof(all));
		plan_error(b, instance, "`%s` needs a gate behind a dot (class %s has %s)", i->name, i->class_->name,
			all[0] != '\0' ? all : "no in gates");
		return false;
	}
	int32_t g = in_gate(i->class_, gate->text, false);
	if (g < 0)
		no_gate(b, gate, i, false);
	*to_gate = (uint32_t)g;
	return g >= 0;
}

static bool
types_agree(struct builder *b, const struct cfg_node *n, const char *from, enum tr_gate_type type, int32_t to,
	uint32_t to_gate)
{
	const struct plan_instance *i = &b->plan->instance[to];
	const struct tr_in_gate *in = &i->class_->in[to_gate];
	if (in->type == type || in->type == TR_TYPE_ANY)
		return true;
	diag_at(b->d, DIAG_ERROR, n, "`%s` gives %s, but `%s.%s` takes %s", from, type_names[type], i->name, in->name,
		type_names[in->type]);
	return false;
}

/* The out gate of that name: there already, or made by this link where the class allows. NULL after a diagnostic. */
static struct plan_gate *
out_gate(struct builder *b, int32_t index, const struct word *w)
{
	struct plan_instance *i = &b->plan->instance[index];
	const struct tr_out_gate *dynamic = plan_dynamic(i->class_);
	for (unsigned g = 0; g < i->n_out; g++)
		if (strcmp(i->out[g].name, w->text) == 0 && !(i->out[g].flags & TR_GATE_INTERNAL))
			return &i->out[g];
	if (dynamic == NULL || plan_has_routes(i->class_)) {
		no_gate(b, w, i, true);
		return NULL;
	}
	const char *name = arena_str(b->plan->arena, w->text, strlen(w->text));
	return name != NULL ? add_gate(b, index, name, dynamic, NULL) : NULL;
}

static void
connect(struct builder *b, const struct cfg_node *n, const struct word *w)
{
	int32_t from = plan_find_or_error(b, &w[0]), to;
	uint32_t to_gate;
	bool target = find_target(b, &w[2], &w[3], &to, &to_gate);
	if (from < 0 || b->plan->instance[from].class_ == NULL)
		return;
	struct plan_gate *g = out_gate(b, from, &w[1]);
	if (g == NULL)
		return;
	if (g->where != NULL) {
		plan_error(b, &w[0], "`%s.%s` is linked already (line %u): an out gate has one link", w[0].text, w[1].text,
			g->where->line);
		return;
	}
	g->where = n; /* linked, if badly: not to be reported as unlinked as well */
	char name[80];
	snprintf(name, sizeof(name), "%.31s.%.31s", w[0].text, w[1].text);
	if (target && types_agree(b, n, name, g->type, to, to_gate)) {
		g->to = to;
		g->to_gate = to_gate;
	}
}

static char *
trim(char *s, unsigned *offset)
{
	while (isspace((unsigned char)*s))
		s++, ++*offset;
	for (size_t n = strlen(s); n > 0 && isspace((unsigned char)s[n - 1]); n--)
		s[n - 1] = '\0';
	return s;
}

/* w: instance and gate on the left, instance and gate on the right; they point into text. */
static bool
parse_link(const struct cfg_node *n, char text[LINK_MAX], struct word w[4])
{
	if (n->kind != CFG_SCALAR || strlen(n->text) >= LINK_MAX)
		return false;
	strcpy(text, n->text);
	char *arrow = strstr(text, "->");
	if (arrow == NULL)
		return false;
	unsigned left = 0, right = (unsigned)(arrow - text) + 2;
	*arrow = '\0';
	char *from = trim(text, &left), *to = trim(arrow + 2, &right);
	return split(from, left, n, &w[0], &w[1]) && split(to, right, n, &w[2], &w[3]) && w[1].text != NULL;
}

static void
add_link(struct builder *b, const struct cfg_node *n)
{
	char text[LINK_MAX];
	struct word w[4];
	if (parse_link(n, text, w))
		connect(b, n, w);
	else if (n->kind == CFG_SCALAR)
		diag_at(b->d, DIAG_ERROR, n, "expected a link such as `wan.udp -> mux.in`, not `%.60s`", n->text);
	else
		diag_at(b->d, DIAG_ERROR, n, "expected a link such as `wan.udp -> mux.in`, not a %s",
			n->kind == CFG_LIST ? "list" : "map");
}

void
plan_links(struct builder *b, const struct cfg_node *links)
{
	if (links == NULL)
		return;
	if (links->kind == CFG_MAP) {
		diag_at(b->d, DIAG_ERROR, links, "`links`: expected a list of links such as `wan.udp -> mux.in`, not a map");
		return;
	}
	if (links->kind == CFG_SCALAR)
		add_link(b, links);
	for (unsigned i = 0; i < links->n; i++)
		add_link(b, links->child[i]);
}

uint32_t
plan_route_gate(void *builder, const struct cfg_node *where, const char *target)
{
	struct builder *b = builder;
	int32_t index = (int32_t)(b->current - b->plan->instance), to;
	const struct tr_out_gate *dynamic = plan_dynamic(b->current->class_);
	struct word instance, gate;
	uint32_t to_gate;
	char text[LINK_MAX], name[80];
	if (dynamic == NULL || strlen(target) >= sizeof(text))
		return UINT32_MAX;
	for (unsigned g = 0; g < b->current->n_out; g++)
		if (b->current->out[g].where != NULL && strcmp(b->current->out[g].name, target) == 0)
			return g;
	strcpy(text, target);
	if (!split(text, 0, where, &instance, &gate)) {
		diag_at(b->d, DIAG_ERROR, where, "expected a target such as `wg0.plain`, not `%.60s`", target);
		return UINT32_MAX;
	}
	if (!find_target(b, &instance, &gate, &to, &to_gate))
		return UINT32_MAX;
	snprintf(name, sizeof(name), "%.31s's route", b->current->name);
	if (!types_agree(b, where, name, dynamic->type, to, to_gate))
		return UINT32_MAX;
	const char *copy = arena_str(b->plan->arena, target, strlen(target));
	struct plan_gate *g = copy != NULL ? add_gate(b, index, copy, dynamic, where) : NULL;
	if (g == NULL)
		return UINT32_MAX;
	g->to = to;
	g->to_gate = to_gate;
	return b->current->n_out - 1;
}
