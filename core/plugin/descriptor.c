/* SPDX-License-Identifier: BSD-3-Clause */
#include "descriptor.h"

#include "../config/value.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#define TABLE_MAX 256 /* entries; a table that is longer has no end */

struct complaint {
	const struct tr_class *class_;
	char *why;
	size_t size;
};

static bool __attribute__((format(printf, 2, 3)))
wrong(const struct complaint *c, const char *format, ...)
{
	int n = snprintf(c->why, c->size, "class %s: ", c->class_->name);
	va_list args;

	va_start(args, format);
	if (n >= 0 && (size_t)n < c->size)
		vsnprintf(c->why + n, c->size - (size_t)n, format, args);
	va_end(args);
	return false;
}

/* ---- The head ---- */

/* Minors append. */
static bool
abi_fits(uint16_t major, uint16_t minor)
{
	return major == TR_ABI_MAJOR && minor <= TR_ABI_MINOR;
}

bool
descriptor_check_head(const void *head, size_t head_size, char *why, size_t size)
{
	static const struct tr_layout here = TR_LAYOUT;
	static const char *const member[] = {"struct rte_mbuf", "struct tr_meta", "struct tr_endpoint", "struct tr_option",
		"struct tr_in_gate", "struct tr_out_gate", "struct tr_command", "struct tr_class"};
	const uint16_t *ours = &here.mbuf, *theirs;
	struct tr_plugin p;

	if (head_size < offsetof(struct tr_plugin, name)) {
		snprintf(why, size, "descriptor of %zu bytes: too short to be one", head_size);
		return false;
	}
	memcpy(&p, head, offsetof(struct tr_plugin, name));
	if (!abi_fits(p.abi_major, p.abi_minor)) {
		snprintf(why, size, "built for plugin ABI %u.%u, this tailrace has %u.%u", p.abi_major, p.abi_minor, TR_ABI_MAJOR,
			TR_ABI_MINOR);
		return false;
	}
	if (p.layout.dpdk != here.dpdk) {
		snprintf(why, size, "built with DPDK ABI %u, this tailrace with %u", p.layout.dpdk, here.dpdk);
		return false;
	}
	theirs = &p.layout.mbuf;
	for (unsigned i = 0; i < sizeof(member) / sizeof(member[0]); i++)
		if (ours[i] != theirs[i]) {
			snprintf(why, size, "layout of %s differs: %u bytes in the plugin, %u in this tailrace", member[i], theirs[i],
				ours[i]);
			return false;
		}
	if (p.size != sizeof(p)) {
		snprintf(why, size, "descriptor of %u bytes, this tailrace's has %zu", p.size, sizeof(p));
		return false;
	}
	return true;
}
_Static_assert(sizeof(struct tr_layout) == 9 * sizeof(uint16_t), "member[] names every size of the layout");

/* ---- Tables ---- */

/* Words of lower-case letters and digits, joined by `joint`. */
static bool
well_named(const char *name, char joint)
{
	if (!name || !islower((unsigned char)name[0]) || strlen(name) > 32)
		return false;
	for (const char *p = name; *p; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && (*p != joint || p[1] == joint || !p[1]))
			return false;
	return true;
}

/* Names of a table whose entries are `stride` bytes and begin with the name. */
static bool
check_names(const struct complaint *c, const char *what, const void *table, size_t stride, char joint, unsigned *count)
{
	const char *seen[TABLE_MAX];
	unsigned n = 0;

	for (const uint8_t *p = table; p; p += stride) {
		const char *name;

		memcpy(&name, p, sizeof(name));
		if (!name)
			break;
		if (n == TABLE_MAX)
			return wrong(c, "more than %u %ss, or a table without an end", TABLE_MAX, what);
		if (!well_named(name, joint))
			return wrong(c, "%s `%.40s`: a name is lower-case words joined by `%c`", what, name, joint);
		for (unsigned i = 0; i < n; i++)
			if (strcmp(seen[i], name) == 0)
				return wrong(c, "two %ss named %s", what, name);
		seen[n++] = name;
	}
	*count = n;
	return true;
}

static size_t
option_size(const struct tr_option *o)
{
	bool list = o->flags & TR_OPT_LIST || o->type == TR_OPT_ROUTES || o->type == TR_OPT_NAMES;

	return list ? sizeof(struct tr_list) : value_size(o->type);
}

static bool
check_option(const struct complaint *c, const struct tr_option *o)
{
	char why[200] = "";
	bool good = true;

	if ((unsigned)o->type > TR_OPT_NAMES || (unsigned)o->unit > TR_UNIT_PER_SEC || (unsigned)o->change > TR_RESTART)
		return wrong(c, "option %s: type %d, unit %d or change %d is unknown", o->key, o->type, o->unit, o->change);
	if (o->type == TR_OPT_ENUM && (!o->names || !o->names[0]))
		return wrong(c, "option %s: an enum without names", o->key);
	if (o->min > o->max && o->max)
		return wrong(c, "option %s: min %llu above max %llu", o->key, (unsigned long long)o->min, (unsigned long long)o->max);
	if (o->offset + option_size(o) > c->class_->options_size)
		return wrong(c, "option %s: offset %u and %zu bytes lie beyond options_size %u", o->key, o->offset, option_size(o),
			c->class_->options_size);
	if (o->change == TR_LIVE && !c->class_->reconfigure)
		return wrong(c, "option %s is live, and there is no reconfigure()", o->key);
	if (o->def && o->type != TR_OPT_SOCKADDR) {
		struct arena *a = arena_new(1u << 16);
		void *value = arena_alloc(a, option_size(o));

		good = value && option_parse_text(a, o, o->def, value, why, sizeof(why));
		arena_free(a);
	}
	return good || wrong(c, "option %s: default `%s`: %s", o->key, o->def, why);
}

static bool
check_options(const struct complaint *c)
{
	const struct tr_option *o = c->class_->options;
	unsigned n;

	if (!check_names(c, "option", o, sizeof(*o), '_', &n))
		return false;
	for (unsigned i = 0; i < n; i++)
		if (!check_option(c, &o[i]))
			return false;
	return true;
}

static const struct tr_out_gate *
out_gate(const struct tr_class *c, const char *name)
{
	for (const struct tr_out_gate *g = c->out; g && g->name; g++)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static const struct tr_in_gate *
in_gate(const struct tr_class *c, const char *name)
{
	for (const struct tr_in_gate *g = c->in; g && g->name; g++)
		if (strcmp(g->name, name) == 0)
			return g;
	return NULL;
}

static bool
check_in(const struct complaint *c, const struct tr_in_gate *g)
{
	const struct tr_out_gate *out = out_gate(c->class_, g->name);

	if ((unsigned)g->type > TR_TYPE_ANY)
		return wrong(c, "in gate %s: type %d is unknown", g->name, g->type);
	if (!g->process)
		return wrong(c, "in gate %s has no process()", g->name);
	if (g->flags & TR_GATE_INTERNAL && (!out || !(out->flags & TR_GATE_INTERNAL)))
		return wrong(c, "internal in gate %s has no internal out gate of its name", g->name);
	return true;
}

static bool
check_out(const struct complaint *c, const struct tr_out_gate *g)
{
	const struct tr_in_gate *in = in_gate(c->class_, g->name);

	if ((unsigned)g->type >= TR_TYPE_ANY)
		return wrong(c, "out gate %s: type %d is not one of an out gate", g->name, g->type);
	if (g->flags & TR_GATE_INTERNAL && (!in || !(in->flags & TR_GATE_INTERNAL)))
		return wrong(c, "internal out gate %s has no internal in gate of its name", g->name);
	if (g->flags & TR_GATE_BY_PEER && !(g->flags & TR_GATE_INTERNAL))
		return wrong(c, "out gate %s: only an internal gate leads to a peer's owner", g->name);
	if (g->flags & TR_GATE_DYNAMIC && g[1].name)
		return wrong(c, "dynamic out gate %s is not the last", g->name);
	return true;
}

static bool
check_gates(const struct complaint *c)
{
	unsigned n_in, n_out;

	if (!check_names(c, "in gate", c->class_->in, sizeof(struct tr_in_gate), '_', &n_in) ||
		!check_names(c, "out gate", c->class_->out, sizeof(struct tr_out_gate), '_', &n_out))
		return false;
	for (unsigned i = 0; i < n_in; i++)
		if (!check_in(c, &c->class_->in[i]))
			return false;
	for (unsigned i = 0; i < n_out; i++)
		if (!check_out(c, &c->class_->out[i]))
			return false;
	return true;
}

/* "netmap/1": a word and a version. */
static bool
check_services(const struct complaint *c, const char *what, const char *const *v)
{
	for (unsigned i = 0; v && v[i]; i++) {
		const char *slash = strchr(v[i], '/');
		char name[64];

		if (i == TABLE_MAX)
			return wrong(c, "%s has no end", what);
		snprintf(name, sizeof(name), "%.*s", slash ? (int)(slash - v[i]) : 0, v[i]);
		if (!slash || !well_named(name, '-') || strspn(slash + 1, "0123456789") != strlen(slash + 1) || !slash[1])
			return wrong(c, "%s `%.40s`: a service is NAME/VERSION", what, v[i]);
	}
	return true;
}

bool
descriptor_check_class(const struct tr_class *class_, char *why, size_t size)
{
	struct complaint c = {class_, why, size};
	unsigned n;

	if (!well_named(class_->name, '-')) {
		snprintf(why, size, "a class is named `%.40s`: a name is lower-case words joined by `-`",
			class_->name ? class_->name : "");
		return false;
	}
	if (!class_->create || !class_->destroy)
		return wrong(&c, "create() or destroy() is missing");
	if (class_->flags & TR_CLASS_PEERS && !class_->peer)
		return wrong(&c, "it has peers, and no peer()");
	return check_options(&c) && check_gates(&c) &&
	       check_names(&c, "drop reason", class_->drops, sizeof(struct tr_drop_reason), '_', &n) &&
	       check_names(&c, "counter", class_->counters, sizeof(struct tr_counter), '_', &n) &&
	       check_names(&c, "command", class_->commands, sizeof(struct tr_command), '-', &n) &&
	       check_services(&c, "requires", class_->requires) && check_services(&c, "provides", class_->provides);
}

bool
descriptor_check(const struct tr_plugin *p, char *why, size_t size)
{
	if (!well_named(p->name, '-') || !p->version || !p->summary || !p->classes || !p->classes[0]) {
		snprintf(why, size, "its descriptor lacks a name (lower-case words joined by `-`), version, summary or classes");
		return false;
	}
	for (unsigned i = 0; p->classes[i]; i++) {
		if (i == TABLE_MAX) {
			snprintf(why, size, "its list of classes has no end");
			return false;
		}
		if (!descriptor_check_class(p->classes[i], why, size))
			return false;
		for (unsigned k = 0; k < i; k++)
			if (strcmp(p->classes[k]->name, p->classes[i]->name) == 0) {
				snprintf(why, size, "two classes named %s", p->classes[i]->name);
				return false;
			}
	}
	return true;
}
