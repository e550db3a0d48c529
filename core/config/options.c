/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables: a map of the tree -> a struct of the class's own. */
#include "value.h"

#include <stdlib.h>

#define KEYS_MAX 256 /* options of one table */

static const struct tr_option *
find(const struct tr_option *table, const char *key)
{
	for (; table->key != NULL; table++)
		if (strcmp(table->key, key) == 0)
			return table;
	return NULL;
}

static const char *
kind_name(const struct cfg_node *n)
{
	return n->kind == CFG_LIST ? "a list" : n->kind == CFG_MAP ? "a map" : n->text[0] == '\0' ? "nothing" : NULL;
}

static bool
wrong(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n)
{
	char expected[300];
	const char *kind = kind_name(n);
	value_expected(o, expected, sizeof(expected));
	if (kind != NULL)
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: expected %s, not %s", o->key, expected, kind);
	else
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: expected %s, not %s`%.60s`", o->key, expected,
			n->quoted && o->type <= TR_OPT_UINT ? "the text " : "", n->text);
	return false;
}

static bool
no_memory(const struct opt_context *c, const struct cfg_node *n)
{
	diag_at(c->diags, DIAG_ERROR, n, "the configuration is too large");
	return false;
}

static bool
parse_one(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, void *out)
{
	char why[300];
	if (o->type == TR_OPT_SECRET)
		return secret_read(c, o, n, out);
	if (n->kind != CFG_SCALAR)
		return wrong(c, o, n);
	switch (value_parse(o, n->text, n->quoted, out, why, sizeof(why))) {
	case VALUE_OK:
		return true;
	case VALUE_TYPE:
		return wrong(c, o, n);
	default:
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: %s", o->key, why);
		return false;
	}
}

/* A list of one may be written as the element itself. */
static bool
parse_list(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, struct tr_list *out)
{
	const struct tr_option element = value_element(o);
	bool single = n->kind != CFG_LIST, ok = true;
	unsigned count = single ? 1 : n->n;
	size_t size = value_size(o->type);
	uint8_t *items = arena_alloc(c->arena, count * size);
	if (items == NULL)
		return no_memory(c, n);
	for (unsigned i = 0; i < count; i++)
		ok &= parse_one(c, &element, single ? n : n->child[i], items + i * size);
	if (count < o->min || (o->max != 0 && count > o->max)) {
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: %u elements, expected %s %llu", o->key, count,
			count < o->min ? "at least" : "at most", (unsigned long long)(count < o->min ? o->min : o->max));
		ok = false;
	}
	*out = (struct tr_list){.n = count, .items = items};
	return ok;
}

/* "INSTANCE.GATE" or "INSTANCE.GATE via ADDRESS" */
static bool
parse_route(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, struct tr_route_option *r)
{
	char target[128], word[8], via[64], rest;
	if (n->kind != CFG_SCALAR)
		return wrong(c, o, n);
	int words = sscanf(n->text, "%127s %7s %63s %c", target, word, via, &rest);
	if ((words != 1 && words != 3) || (words == 1 && strlen(target) != strlen(n->text)) ||
		(words == 3 && strcmp(word, "via") != 0))
		return wrong(c, o, n);
	if (words == 3 && !parse_addr(via, &r->via)) {
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: expected an address behind `via`, not `%s`", o->key, via);
		return false;
	}
	if (words == 3 && r->via.family != r->prefix.addr.family) {
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: the next hop %s is not of the prefix's address family", o->key, via);
		return false;
	}
	r->gate = c->gate != NULL ? c->gate(c->arg, n, target) : 0;
	return r->gate != UINT32_MAX;
}

struct route_key {
	struct tr_prefix prefix;
	const struct cfg_node *key;
};

static int
by_prefix(const void *pa, const void *pb)
{
	const struct route_key *a = pa, *b = pb;
	int c = memcmp(&a->prefix, &b->prefix, sizeof(a->prefix));
	if (c != 0)
		return c;
	return a->key->line != b->key->line ? (int)(a->key->line - b->key->line) : (int)(a->key->col - b->key->col);
}

/* Keys that differ as text and are one prefix all the same. */
static bool
routes_differ(const struct opt_context *c, const struct tr_option *o, struct route_key *k, unsigned n)
{
	bool ok = true;
	qsort(k, n, sizeof(*k), by_prefix);
	for (unsigned i = 1; i < n; i++) {
		const struct cfg_node *first = k[i - 1].key, *second = k[i].key;
		if (memcmp(&k[i - 1].prefix, &k[i].prefix, sizeof(k->prefix)) != 0 || strcmp(first->text, second->text) == 0)
			continue;
		diag_at(c->diags, DIAG_ERROR, second, "`%s`: the same prefix as on line %u", o->key, first->line);
		ok = false;
	}
	return ok;
}

static bool
parse_routes(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, struct tr_list *out)
{
	char why[300];
	bool ok = true;
	unsigned keys = 0;
	if (n->kind != CFG_MAP)
		return wrong(c, o, n);
	struct tr_route_option *r = arena_alloc(c->arena, n->n * sizeof(*r));
	struct route_key *k = arena_alloc(c->arena, n->n * sizeof(*k));
	if (r == NULL || k == NULL)
		return no_memory(c, n);
	for (unsigned i = 0; i < n->n; i++) {
		if (!value_prefix(n->key[i]->text, &r[i].prefix, false, why, sizeof(why))) {
			if (why[0] == '\0')
				snprintf(why, sizeof(why), "expected a prefix such as 10.0.0.0/8, not `%.60s`", n->key[i]->text);
			diag_at(c->diags, DIAG_ERROR, n->key[i], "`%s`: %s", o->key, why);
			ok = false;
			continue;
		}
		k[keys++] = (struct route_key){r[i].prefix, n->key[i]};
		ok &= parse_route(c, o, n->child[i], &r[i]);
	}
	*out = (struct tr_list){.n = n->n, .items = r};
	return routes_differ(c, o, k, keys) && ok;
}

static bool
parse_name(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *key, const char **out)
{
	char name[254];
	if (!value_dns_name(key->text, name)) {
		diag_at(c->diags, DIAG_ERROR, key,
			"`%s`: `%.60s` is not a name: expected labels of letters, digits and `-`, at most 63 characters each", o->key,
			key->text);
		return false;
	}
	*out = arena_str(c->arena, name, strlen(name));
	return *out != NULL || no_memory(c, key);
}

static bool
parse_names(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, struct tr_list *out)
{
	const struct tr_option addr = {.key = o->key, .type = TR_OPT_ADDR};
	unsigned count = 0, k = 0;
	bool ok = true;
	if (n->kind != CFG_MAP)
		return wrong(c, o, n);
	for (unsigned i = 0; i < n->n; i++)
		count += n->child[i]->kind == CFG_LIST ? n->child[i]->n : 1;
	struct tr_name_option *v = arena_alloc(c->arena, count * sizeof(*v));
	if (v == NULL)
		return no_memory(c, n);
	for (unsigned i = 0; i < n->n; i++) {
		const struct cfg_node *child = n->child[i];
		const char *name = NULL;
		ok &= parse_name(c, o, n->key[i], &name);
		for (unsigned j = 0; j < (child->kind == CFG_LIST ? child->n : 1); j++) {
			v[k].name = name;
			ok &= parse_one(c, &addr, child->kind == CFG_LIST ? child->child[j] : child, &v[k++].addr);
		}
	}
	*out = (struct tr_list){.n = count, .items = v};
	return ok;
}

static bool
parse_option(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, uint8_t *out)
{
	void *p = out + o->offset;
	if (o->type == TR_OPT_ROUTES)
		return parse_routes(c, o, n, p);
	if (o->type == TR_OPT_NAMES)
		return parse_names(c, o, n, p);
	return o->flags & TR_OPT_LIST ? parse_list(c, o, n, p) : parse_one(c, o, n, p);
}

static bool
among(const char *const *names, const char *key)
{
	for (; names != NULL && *names != NULL; names++)
		if (strcmp(*names, key) == 0)
			return true;
	return false;
}

static void
unknown_key(const struct opt_context *c, const char *what, const struct tr_option *table, const char *const *ignore,
	const struct cfg_node *key)
{
	const char *names[KEYS_MAX + 1];
	unsigned n = 0;
	char all[300] = "";
	for (const struct tr_option *o = table; o->key != NULL && n < KEYS_MAX; o++)
		names[n++] = o->key;
	for (; ignore != NULL && *ignore != NULL && n < KEYS_MAX; ignore++)
		names[n++] = *ignore;
	names[n] = NULL;
	if (among(c->foreign, key->text)) {
		diag_at(c->diags, DIAG_ERROR, key, "`%s` in %s: this key belongs in %s", key->text, what, c->foreign_file);
		return;
	}
	const char *near = did_you_mean(key->text, names);
	if (near != NULL) {
		diag_at(c->diags, DIAG_ERROR, key, "unknown key `%.60s` in %s (did you mean `%s`?)", key->text, what, near);
		return;
	}
	for (unsigned i = 0, at = 0; i < n && at < sizeof(all); i++)
		at += (unsigned)snprintf(all + at, sizeof(all) - at, "%s%s", i != 0 ? ", " : "", names[i]);
	diag_at(c->diags, DIAG_ERROR, key, "unknown key `%.60s` in %s (it has %s)", key->text, what, n != 0 ? all : "none");
}

static void
set_default(const struct opt_context *c, const struct tr_option *o, uint8_t *out)
{
	char why[200];
	bool port_only = o->type == TR_OPT_SOCKADDR && o->def[0] == ':';
	if (!port_only && !option_parse_text(c->arena, o, o->def, out + o->offset, why, sizeof(why)))
		diag_pos(c->diags, DIAG_ERROR, NULL, 0, 0, "default of `%s`: %s", o->key, why);
}

bool
options_parse(const struct opt_context *c, const char *what, const struct tr_option *table, const struct cfg_node *node,
	const char *const *ignore, const struct cfg_node *where, void *out)
{
	unsigned before = c->diags->errors;
	if (node != NULL && node->kind != CFG_MAP) {
		diag_at(c->diags, DIAG_ERROR, node, "%s: expected a map of options", what);
		return false;
	}
	for (unsigned i = 0; node != NULL && i < node->n; i++)
		if (find(table, node->key[i]->text) == NULL && !among(ignore, node->key[i]->text))
			unknown_key(c, what, table, ignore, node->key[i]);
	for (const struct tr_option *o = table; o->key != NULL; o++) {
		const struct cfg_node *n = cfg_get(node, o->key);
		if (n != NULL)
			parse_option(c, o, n, out);
		else if (o->flags & TR_OPT_REQUIRED)
			diag_at(c->diags, DIAG_ERROR, where != NULL ? where : node, "%s: missing key `%s` (%s)", what, o->key,
				o->doc != NULL ? o->doc : "required");
		else if (o->def != NULL)
			set_default(c, o, out);
	}
	return c->diags->errors == before;
}

/* Splits a copy of the text at commas. */
static bool
list_from_text(struct arena *a, const struct tr_option *o, const char *text, struct tr_list *out, char *why, size_t size)
{
	unsigned count = text[strspn(text, " ")] != '\0', i = 0;
	for (const char *p = text; *p != '\0'; p++)
		count += *p == ',';
	if ((count < o->min || (o->max != 0 && count > o->max))) {
		snprintf(why, size, "%u elements, expected %llu to %llu", count, (unsigned long long)o->min,
			(unsigned long long)o->max);
		return false;
	}
	const struct tr_option element = value_element(o);
	uint8_t *items = arena_alloc(a, count * value_size(o->type));
	char *copy = arena_str(a, text, strlen(text)), *save = NULL;
	if (items == NULL || copy == NULL) {
		snprintf(why, size, "out of memory");
		return false;
	}
	for (char *t = strtok_r(copy, ", ", &save); t != NULL && i < count; t = strtok_r(NULL, ", ", &save), i++)
		if (!option_parse_text(a, &element, t, items + i * value_size(o->type), why, size))
			return false;
	*out = (struct tr_list){.n = i, .items = items};
	return true;
}

bool
option_parse_text(struct arena *a, const struct tr_option *o, const char *text, void *out, char *why, size_t size)
{
	char expected[300];
	if (o->flags & TR_OPT_LIST)
		return list_from_text(a, o, text, out, why, size);
	const char *copy = o->type == TR_OPT_STRING ? arena_str(a, text, strlen(text)) : text;
	if (copy == NULL) {
		snprintf(why, size, "out of memory");
		return false;
	}
	enum value_result r = value_parse(o, copy, o->type == TR_OPT_STRING, out, why, size);
	if (r != VALUE_TYPE)
		return r == VALUE_OK;
	value_expected(o, expected, sizeof(expected));
	if (o->type == TR_OPT_SECRET)
		snprintf(why, size, "expected base64 of 32 bytes (44 characters)");
	else
		snprintf(why, size, "expected %s, not `%.60s`", expected, text);
	return false;
}
