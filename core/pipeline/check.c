/* SPDX-License-Identifier: BSD-3-Clause */
/* What can only be seen when all instances and links are there: gates, ports, metadata, trust. */
#include "builder.h"

#include <stdlib.h>

static const struct tr_option *
flagged(const struct tr_class *c, enum tr_option_flag flag)
{
	for (const struct tr_option *o = c->options; o != NULL && o->key != NULL; o++)
		if (o->flags & (uint32_t)flag && o->type == TR_OPT_UINT)
			return o;
	return NULL;
}

uint64_t
plan_flagged(const struct plan_instance *i, enum tr_option_flag flag)
{
	const struct tr_option *o = i->class_ != NULL ? flagged(i->class_, flag) : NULL;
	uint64_t v = 0;
	if (o != NULL && i->options != NULL)
		memcpy(&v, (const uint8_t *)i->options + o->offset, sizeof(v));
	return v;
}

const struct cfg_node *
plan_flagged_node(const struct plan_instance *i, enum tr_option_flag flag)
{
	const struct tr_option *o = i->class_ != NULL ? flagged(i->class_, flag) : NULL;
	const struct cfg_node *n = o != NULL ? cfg_get(i->options_node, o->key) : NULL;
	return n != NULL ? n : i->where;
}

static void
check_unlinked(struct builder *b, const struct plan_instance *i)
{
	for (unsigned g = 0; g < i->n_out; g++)
		if (i->out[g].to < 0 && i->out[g].where == NULL && !(i->out[g].flags & (TR_GATE_OPTIONAL | TR_GATE_INTERNAL)))
			diag_at(b->d, DIAG_ERROR, i->where, "out gate `%s.%s` is not linked (`%s.%s -> drop` if it is not needed)",
				i->name, i->out[g].name, i->name, i->out[g].name);
}

/* The port of an interface, or of the kernel: option `port`, or the instance's own name. */
static void
check_port(struct builder *b, const struct plan_instance *i)
{
	const char *names[APPLIANCE_MAX_PORTS + 1], *port = i->name;
	const struct cfg_node *where = i->where;
	const bool host = strcmp(i->class_->name, "host") == 0;
	if (b->ports == NULL || i->plugin != NULL || (!host && strcmp(i->class_->name, "interface") != 0))
		return;
	for (const struct tr_option *o = i->class_->options; o != NULL && o->key != NULL && i->options != NULL; o++) {
		const struct cfg_node *n = cfg_get(i->options_node, o->key);
		if (strcmp(o->key, "port") != 0 || o->type != TR_OPT_STRING || n == NULL || n->kind != CFG_SCALAR)
			continue;
		port = n->text;
		where = n;
	}
	for (unsigned p = 0; p < b->ports->n_ports; p++) {
		names[p] = b->ports->port[p].name;
		if (strcmp(names[p], port) != 0)
			continue;
		const char *device = b->ports->port[p].device;
		if (device != NULL && appliance_is_host(device) != host)
			diag_at(b->d, DIAG_ERROR, where, host ? "port `%.40s` (line %u of %s) is no `device = \"host\"`" :
				"port `%.40s` (line %u of %s) is the kernel's, and takes class host", port, b->ports->port[p].line, b->ports->file);
		return;
	}
	names[b->ports->n_ports] = NULL;
	const char *near = did_you_mean(port, names);
	diag_at(b->d, DIAG_ERROR, where, "no port `%.40s` in %s%s%s%s", port, b->ports->file, near ? " (did you mean `" : "",
		near ? near : "", near ? "`?)" : "");
}

static bool
matches_overlap(const struct tr_match *a, const struct tr_match *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	for (const struct tr_match *m = a; m->mask != 0; m++)
		for (const struct tr_match *n = b; n->mask != 0; n++)
			if (m->offset == n->offset && m->mask == n->mask && m->value == n->value)
				return true;
	return false;
}

/* A class whose dynamic gates give UDP dispatches on the `listen` of what they lead to, then on first bytes. */
static void
check_mux(struct builder *b, const struct plan_instance *mux)
{
	const struct tr_out_gate *dynamic = plan_dynamic(mux->class_);
	if (dynamic == NULL || dynamic->type != TR_TYPE_UDP)
		return;
	for (unsigned g = 0; g < mux->n_out; g++) {
		const struct plan_gate *p = &mux->out[g];
		if (p->to < 0 || p->type != dynamic->type)
			continue;
		const struct plan_instance *to = &b->plan->instance[p->to];
		const struct tr_match *match = to->class_->in[p->to_gate].match;
		uint64_t port = plan_flagged(to, TR_OPT_LISTEN);
		if (port == 0 && flagged(to->class_, TR_OPT_LISTEN) == NULL)
			diag_at(b->d, DIAG_ERROR, p->where, "`%s` dispatches by UDP port, and class %s has no option for one",
				mux->name, to->class_->name);
		for (unsigned h = 0; h < g && port != 0; h++) {
			const struct plan_gate *q = &mux->out[h];
			const struct plan_instance *other = q->to >= 0 && q->type == dynamic->type ? &b->plan->instance[q->to] : NULL;
			if (other == NULL || plan_flagged(other, TR_OPT_LISTEN) != port ||
				!matches_overlap(match, other->class_->in[q->to_gate].match))
				continue;
			diag_at(b->d, DIAG_ERROR, plan_flagged_node(to, TR_OPT_LISTEN),
				"`%s` and `%s` (line %u) both listen on port %llu behind `%s`, and their first bytes do not tell them apart",
				to->name, other->name, plan_flagged_node(other, TR_OPT_LISTEN)->line, (unsigned long long)port, mux->name);
		}
	}
}

/* An instance that listens, and to which no link brings datagrams. */
static void
check_listeners(struct builder *b, bool *reached)
{
	const struct plan *p = b->plan;
	for (unsigned i = 0; i < p->n_instances; i++)
		for (unsigned g = 0; g < p->instance[i].n_out; g++) {
			const struct plan_gate *out = &p->instance[i].out[g];
			if (out->to >= 0 && out->type == TR_TYPE_UDP)
				reached[out->to] = true;
		}
	for (unsigned i = 0; i < p->n_instances; i++) {
		uint64_t port = plan_flagged(&p->instance[i], TR_OPT_LISTEN);
		if (port != 0 && !reached[i])
			diag_at(b->d, DIAG_WARNING, plan_flagged_node(&p->instance[i], TR_OPT_LISTEN),
				"`%s` listens on port %llu, and no link brings it datagrams", p->instance[i].name,
				(unsigned long long)port);
	}
}

static uint32_t
type_writes(enum tr_gate_type t)
{
	return t == TR_TYPE_UDP ? TR_META_L3 | TR_META_ENDPOINT : t == TR_TYPE_ENDPOINT ? TR_META_ENDPOINT : 0;
}

static uint32_t
gate_writes(const struct plan_instance *i, unsigned g)
{
	const struct tr_out_gate *out = i->class_->out;
	for (unsigned n = 0; n < g && !(out->flags & TR_GATE_DYNAMIC); n++)
		out++;
	return out->writes | type_writes(out->type);
}

static const char *
field_names(uint32_t fields, char text[80])
{
	static const char *const names[] = {"l3", "peer", "endpoint", "next_hop", "scratch"};
	text[0] = '\0';
	for (unsigned i = 0; i < 5; i++)
		if (fields & 1u << i)
			sprintf(text + strlen(text), "%s`%s`", text[0] != '\0' ? ", " : "", names[i]);
	return text;
}

/* have[i]: fields that some node before instance i has written. */
static void
check_metadata(struct builder *b, uint32_t *have)
{
	const struct plan *p = b->plan;
	for (bool changed = true; changed;) {
		changed = false;
		for (unsigned i = 0; i < p->n_instances; i++)
			for (unsigned g = 0; g < p->instance[i].n_out; g++) {
				int32_t to = p->instance[i].out[g].to;
				uint32_t more = to >= 0 ? (have[i] | gate_writes(&p->instance[i], g)) & ~have[to] : 0;
				if (more != 0)
					have[to] |= more;
				changed |= more != 0;
			}
	}
	for (unsigned i = 0; i < p->n_instances; i++)
		for (unsigned g = 0; g < p->instance[i].n_out; g++) {
			const struct plan_gate *out = &p->instance[i].out[g];
			if (out->to < 0 || out->flags & TR_GATE_INTERNAL)
				continue;
			const struct plan_instance *to = &p->instance[out->to];
			const struct tr_in_gate *in = &to->class_->in[out->to_gate];
			uint32_t lacking = in->reads & ~(have[i] | gate_writes(&p->instance[i], g));
			char text[80];
			if (lacking != 0)
				diag_at(b->d, DIAG_ERROR, out->where, "`%s.%s` reads %s, which neither `%s.%s` nor anything before it writes",
					to->name, in->name, field_names(lacking, text), p->instance[i].name, out->name);
		}
}

/* An instance that follows another's peers. */
static void
check_follows(struct builder *b, const struct plan_instance *i)
{
	for (const struct tr_option *o = i->class_->options; o != NULL && o->key != NULL && i->options != NULL; o++) {
		const char *name;
		if (!(o->flags & TR_OPT_PEERS) || o->type != TR_OPT_STRING)
			continue;
		memcpy(&name, (const uint8_t *)i->options + o->offset, sizeof(name));
		const int32_t to = name != NULL ? plan_find(b->plan, name) : -1;
		const struct cfg_node *n = cfg_get(i->options_node, o->key);
		if (name != NULL && (to < 0 || b->plan->instance[to].class_ == NULL || !(b->plan->instance[to].class_->flags & TR_CLASS_PEERS)))
			diag_at(b->d, DIAG_ERROR, n != NULL ? n : i->where, "`%s`: `%.40s` is no instance that takes peers", o->key, name);
	}
}

/* Classes that filter what peers send say so by the service policy/N. */
static void
check_trust(struct builder *b)
{
	const struct plan_instance *first = NULL;
	for (unsigned i = 0; i < b->plan->n_instances; i++) {
		const struct plan_instance *inst = &b->plan->instance[i];
		if (inst->class_ == NULL)
			continue;
		if (first == NULL && inst->class_->flags & TR_CLASS_PEERS)
			first = inst;
		for (const char *const *s = inst->class_->provides; s != NULL && *s != NULL; s++)
			if (strncmp(*s, "policy/", 7) == 0)
				return;
	}
	if (first != NULL)
		diag_at(b->d, DIAG_WARNING, first->where, "no acl: what the peers of `%s` may reach is not filtered", first->name);
}

void
plan_check(struct builder *b)
{
	const struct plan *p = b->plan;
	bool whole = p->n_instances != 0;
	for (unsigned i = 0; i < p->n_instances; i++) {
		const struct plan_instance *inst = &p->instance[i];
		if (inst->class_ == NULL) {
			whole = false;
			continue;
		}
		check_unlinked(b, inst);
		check_port(b, inst);
		check_mux(b, inst);
		check_follows(b, inst);
	}
	plan_check_services(b);
	if (!whole) /* the rest would report what follows from a class that is not known */
		return;
	bool *reached = calloc(p->n_instances, sizeof(*reached));
	uint32_t *have = calloc(p->n_instances, sizeof(*have));
	if (reached != NULL && have != NULL) {
		check_listeners(b, reached);
		check_metadata(b, have);
	} else {
		diag_pos(b->d, DIAG_ERROR, p->file, 0, 0, "out of memory");
	}
	free(reached);
	free(have);
	plan_check_routes(b);
	check_trust(b);
}
