/* SPDX-License-Identifier: BSD-3-Clause */
/* pipeline.yaml -> plan: its top level and its instances. */
#include "builder.h"
#include "config/tree.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <tailrace/host.h>

#define TREE_MEMORY (UINT64_C(3) << 30) /* while it is read: a million peers take 0.9 GiB */
#define PLAN_MEMORY (UINT64_C(1) << 30) /* of what is kept: a million peers take 0.3 GiB */

void
plan_error(struct builder *b, const struct word *w, const char *format, ...)
{
	char text[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	unsigned col = w->node->col + (w->node->quoted ? 0 : w->offset);
	diag_pos(b->d, DIAG_ERROR, w->node->file, w->node->line, col, "%s", text);
}

bool
plan_good_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789_-");
	return islower((unsigned char)s[0]) && s[n] == '\0' && n < TR_INSTANCE_NAME_MAX;
}

int32_t
plan_find(const struct plan *p, const char *name)
{
	for (unsigned i = 0; i < p->n_instances; i++)
		if (strcmp(p->instance[i].name, name) == 0)
			return (int32_t)i;
	return -1;
}

int32_t
plan_find_or_error(struct builder *b, const struct word *w)
{
	const char *names[PLAN_MAX_INSTANCES + 2];
	int32_t i = plan_find(b->plan, w->text);
	if (i >= 0)
		return i;
	unsigned n = 0;
	for (; n < b->plan->n_instances; n++)
		names[n] = b->plan->instance[n].name;
	names[n] = NULL;
	const char *near = did_you_mean(w->text, names);
	if (near != NULL)
		plan_error(b, w, "no instance `%.40s` (did you mean `%s`?)", w->text, near);
	else
		plan_error(b, w, "no instance `%.40s`", w->text);
	return -1;
}

/* A plugin file that bears the class's name and was refused is the likelier cause than a misspelling. */
static const char *
why_refused(const struct catalogue *c, const char *class_name)
{
	size_t len = strlen(class_name);
	for (unsigned i = 0; i < c->n_refused; i++) {
		const char *slash = strrchr(c->refused[i].path, '/'), *base = slash ? slash + 1 : c->refused[i].path;
		if (strncmp(base, class_name, len) == 0 && strcmp(base + len, ".so") == 0)
			return c->refused[i].why;
	}
	return NULL;
}

static const struct catalogue_entry *
find_class(struct builder *b, const struct cfg_node *n, const struct cfg_node *instance)
{
	const struct catalogue *c = b->catalogue;
	const char *names[256];
	unsigned i;
	if (n == NULL || n->kind != CFG_SCALAR) {
		diag_at(b->d, DIAG_ERROR, n != NULL ? n : instance, n != NULL ? "`class`: expected the name of a class" :
			"instance `%.40s`: missing key `class`", instance->text);
		return NULL;
	}
	for (i = 0; i < c->n; i++)
		if (strcmp(c->v[i].class_->name, n->text) == 0)
			return &c->v[i];
	for (i = 0; i < c->n && i < 255; i++)
		names[i] = c->v[i].class_->name;
	names[i] = NULL;
	const char *near = did_you_mean(n->text, names), *why = why_refused(c, n->text);
	if (why != NULL)
		diag_at(b->d, DIAG_ERROR, n, "unknown class `%.40s`: its plugin was refused: %.300s", n->text, why);
	else if (near != NULL)
		diag_at(b->d, DIAG_ERROR, n, "unknown class `%.40s` (did you mean `%s`?)", n->text, near);
	else
		diag_at(b->d, DIAG_ERROR, n, "unknown class `%.40s` (`tailrace plugins` lists them)", n->text);
	return NULL;
}

void
plan_instance_init(struct builder *b, int32_t index, const struct catalogue_entry *e)
{
	struct plan_instance *i = &b->plan->instance[index];
	i->class_ = e->class_;
	i->plugin = e->plugin;
	i->service = e->class_->flags & TR_CLASS_SERVICE;
	for (const struct tr_in_gate *g = e->class_->in; g != NULL && g->name != NULL; g++)
		i->service |= (g->flags & TR_GATE_SERVICE) != 0;
	i->options = arena_alloc(b->plan->arena, e->class_->options_size);
	if (i->options == NULL)
		diag_at(b->d, DIAG_ERROR, i->where, "the configuration is too large");
	plan_gates(b, index);
}

/* Names and classes first: links and routes of one instance name others. */
static void
name_instances(struct builder *b, const struct cfg_node *map)
{
	struct plan *p = b->plan;
	for (unsigned i = 0; i < map->n && i < PLAN_MAX_INSTANCES; i++) {
		const struct cfg_node *key = map->key[i], *value = map->child[i];
		if (plan_find(p, key->text) >= 0)
			continue; /* reported as a duplicate key */
		if (!plan_good_name(key->text))
			diag_at(b->d, DIAG_ERROR, key,
				"instance name `%.40s`: expected a lower-case letter, then letters, digits, `_` or `-`, at most 31",
				key->text);
		struct plan_instance *inst = &p->instance[p->n_instances++];
		*inst = (struct plan_instance){.name = key->text, .where = key, .options_node = value};
		if (value->kind != CFG_MAP) {
			diag_at(b->d, DIAG_ERROR, value, "instance `%.40s`: expected a map such as {class: interface, …}", key->text);
			continue;
		}
		const struct catalogue_entry *e = find_class(b, cfg_get(value, "class"), key);
		if (e != NULL)
			plan_instance_init(b, (int32_t)(inst - p->instance), e);
	}
	if (map->n > PLAN_MAX_INSTANCES)
		diag_at(b->d, DIAG_ERROR, map, "%u instances, expected at most %u", map->n, PLAN_MAX_INSTANCES);
}

static void
parse_options(struct builder *b, struct plan_instance *i)
{
	static const char *const ignore[] = {"class", NULL};
	static const struct tr_option none[] = {{0}};
	const struct tr_class *c = i->class_;
	char what[80], text[300] = "";
	if (c == NULL || i->options == NULL)
		return;
	b->current = i;
	snprintf(what, sizeof(what), "class %.60s", c->name);
	bool ok = options_parse(&b->context, what, c->options != NULL ? c->options : none, i->options_node, ignore, i->where,
		i->options);
	if (ok && c->check != NULL && !c->check(i->options, text, sizeof(text)))
		diag_at(b->d, DIAG_ERROR, i->where, "instance `%s`: %s", i->name, text);
}

static void
parse_instances(struct builder *b, const struct cfg_node *root)
{
	const struct cfg_node *map = cfg_get(root, "instances");
	if (map == NULL || map->kind != CFG_MAP || map->n == 0) {
		diag_at(b->d, DIAG_ERROR, map != NULL ? map : root,
			map != NULL ? "`instances`: expected a map of `NAME: {class: CLASS, …}`" : "missing key `instances`");
		return;
	}
	/* One more: `-> drop` makes an instance that is not written down. */
	b->plan->instance = arena_alloc(b->plan->arena,
		((map->n < PLAN_MAX_INSTANCES ? map->n : PLAN_MAX_INSTANCES) + 1) * sizeof(struct plan_instance));
	if (b->plan->instance == NULL) {
		diag_at(b->d, DIAG_ERROR, map, "the configuration is too large");
		return;
	}
	name_instances(b, map);
	unsigned i = 0;
	while (i < b->plan->n_instances)
		parse_options(b, &b->plan->instance[i++]);
	plan_links(b, cfg_get(root, "links"));
	while (i < b->plan->n_instances)
		parse_options(b, &b->plan->instance[i++]);
	plan_adopt(b);
}

static void
build(struct builder *b, const struct cfg_node *root, const struct cfg_node *peers)
{
	static const char *const keys[] = {"instances", "links", "netmap", NULL};
	static const struct tr_option none[] = {{0}};
	b->context = (struct opt_context){.arena = b->plan->arena, .diags = b->d, .secrets = b->context.secrets,
		.gate = plan_route_gate, .arg = b, .foreign = appliance_keys, .foreign_file = "appliance.cfg"};
	if (root->kind != CFG_MAP) {
		diag_at(b->d, DIAG_ERROR, root, "expected a map with `instances`, `links` and `netmap`");
		return;
	}
	options_parse(&b->context, "pipeline.yaml", none, root, keys, root, NULL);
	parse_instances(b, root);
	plan_netmap(b, cfg_get(root, "netmap"), peers);
	plan_check(b);
}

/* The plan keeps positions, so it gets a copy of the tree; but not of the peers, which may be a million. */
static void
build_from(struct builder *b, struct cfg_node *tree)
{
	const struct cfg_node *peers = cfg_get(cfg_get(tree, "netmap"), "peers");
	const struct cfg_node *root = tree_copy(b->plan->arena, b->plan->file, tree, peers);
	if (root == NULL)
		diag_at(b->d, DIAG_ERROR, tree, "the configuration is too large");
	else
		build(b, root, peers);
}

static struct plan *
make(const char *name, const char *text, size_t len, const struct catalogue *c, const struct appliance *ports,
	bool secrets, struct diags *d)
{
	unsigned before = d->errors;
	struct arena *a = arena_new(PLAN_MEMORY), *tree = arena_new(TREE_MEMORY);
	struct builder *b = calloc(1, sizeof(*b));
	struct plan *p = a != NULL ? arena_alloc(a, sizeof(*p)) : NULL;
	if (p == NULL || b == NULL || tree == NULL) {
		diag_pos(d, DIAG_ERROR, name, 0, 0, "out of memory");
	} else {
		struct cfg_node *root = text != NULL ? yaml_parse(tree, name, text, len, d) : yaml_read(tree, name, d);
		*b = (struct builder){.plan = p, .catalogue = c, .ports = ports, .d = d, .context.secrets = secrets};
		p->arena = a;
		p->file = arena_str(a, name, strlen(name));
		if (root != NULL)
			build_from(b, root);
		for (unsigned i = 0; i < p->n_peers; i++)
			p->peer[i].where = NULL;
	}
	arena_free(tree);
	free(b);
	if (p != NULL && d->errors == before)
		return p;
	arena_free(a);
	return NULL;
}

struct plan *
plan_load(const char *path, const struct catalogue *c, const struct appliance *ports, bool secrets, struct diags *d)
{
	return make(path, NULL, 0, c, ports, secrets, d);
}

struct plan *
plan_parse(const char *name, const char *text, size_t len, const struct catalogue *c, const struct appliance *ports,
	bool secrets, struct diags *d)
{
	return make(name, text, len, c, ports, secrets, d);
}

void
plan_free(struct plan *p)
{
	if (p != NULL)
		arena_free(p->arena);
}
