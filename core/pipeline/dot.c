/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan as a picture: instances are boxes with their gates, a link has the colour of its type. */
#include "builder.h"

#include <stdlib.h>

static const char *const colours[] = {"#1f6feb", "#1a7f37", "#bc4c00", "#6e7781"}; /* enum tr_gate_type */

static bool
reached(const struct plan *p, int32_t index, uint32_t gate)
{
	for (unsigned i = 0; i < p->n_instances; i++)
		for (unsigned g = 0; g < p->instance[i].n_out; g++)
			if (p->instance[i].out[g].to == index && p->instance[i].out[g].to_gate == gate)
				return true;
	return false;
}

static void
in_gates(const struct plan *p, int32_t index, FILE *f)
{
	fputs("<td><table border=\"0\" cellspacing=\"2\">", f);
	bool any = false;
	for (const struct tr_in_gate *g = p->instance[index].class_->in; g != NULL && g->name != NULL; g++) {
		uint32_t number = (uint32_t)(g - p->instance[index].class_->in);
		if (g->flags & TR_GATE_INTERNAL || !reached(p, index, number))
			continue;
		fprintf(f, "<tr><td port=\"i%u\" align=\"left\"><font color=\"%s\">%s</font></td></tr>", number, colours[g->type],
			g->name);
		any = true;
	}
	fputs(any ? "</table></td>" : "<tr><td> </td></tr></table></td>", f);
}

static void
out_gates(const struct plan_instance *i, FILE *f)
{
	fputs("<td><table border=\"0\" cellspacing=\"2\">", f);
	bool any = false;
	for (unsigned g = 0; g < i->n_out; g++) {
		if (i->out[g].flags & TR_GATE_INTERNAL)
			continue;
		fprintf(f, "<tr><td port=\"o%u\" align=\"right\"><font color=\"%s\">%s</font></td></tr>", g,
			colours[i->out[g].type], i->out[g].name);
		any = true;
	}
	fputs(any ? "</table></td>" : "<tr><td> </td></tr></table></td>", f);
}

/* What tells this instance from others: its port and its addresses. */
static void
subtitle(const struct plan_instance *i, FILE *f)
{
	uint64_t port = plan_flagged(i, TR_OPT_LISTEN);
	fprintf(f, "<br/><font point-size=\"9\" color=\"#57606a\">%s", i->class_->name);
	if (port != 0)
		fprintf(f, " :%llu", (unsigned long long)port);
	for (const struct tr_option *o = i->class_->options; o != NULL && o->key != NULL; o++) {
		if (o->type != TR_OPT_IFADDR || i->options == NULL)
			continue;
		char *text = option_text(o, i->options);
		if (text != NULL && *text != '\0')
			fprintf(f, "<br/>%s", text);
		free(text);
	}
	fputs("</font>", f);
}

static void
node(const struct plan *p, int32_t index, FILE *f)
{
	const struct plan_instance *i = &p->instance[index];
	fprintf(f, "  \"%s\" [label=<<table border=\"1\" cellborder=\"0\" cellspacing=\"0\" color=\"#8c959f\"><tr>", i->name);
	in_gates(p, index, f);
	fprintf(f, "<td cellpadding=\"6\"><b>%s</b>", i->name);
	subtitle(i, f);
	fputs("</td>", f);
	out_gates(i, f);
	fputs("</tr></table>>];\n", f);
}

/* A sink is drawn once per link, lest all arrows cross the picture to reach it. */
static void
sink(const struct plan *p, unsigned i, unsigned g, FILE *f)
{
	const struct plan_gate *out = &p->instance[i].out[g];
	fprintf(f, "  \"%s.%s!\" [label=\"%s\", shape=plain, fontcolor=\"#6e7781\"];\n", p->instance[i].name, out->name,
		p->instance[out->to].name);
	fprintf(f, "  \"%s\":o%u:e -> \"%s.%s!\" [color=\"#6e7781\", style=dashed];\n", p->instance[i].name, g,
		p->instance[i].name, out->name);
}

static bool
is_sink(const struct plan_instance *i)
{
	return i->n_out == 0 && i->class_->in != NULL && i->class_->in[0].name != NULL && i->class_->in[0].type == TR_TYPE_ANY;
}

char *
plan_dot(const struct plan *p)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	if (f == NULL)
		return NULL;
	fputs("digraph pipeline {\n  rankdir=LR;\n  nodesep=0.4;\n  ranksep=0.9;\n"
	      "  node [shape=plain, fontname=\"Helvetica\", fontsize=11];\n  edge [arrowsize=0.7, penwidth=1.3];\n", f);
	for (unsigned i = 0; i < p->n_instances; i++)
		if (!is_sink(&p->instance[i]))
			node(p, (int32_t)i, f);
	for (unsigned i = 0; i < p->n_instances; i++)
		for (unsigned g = 0; g < p->instance[i].n_out; g++) {
			const struct plan_gate *out = &p->instance[i].out[g];
			if (out->to < 0 || out->flags & TR_GATE_INTERNAL)
				continue;
			if (is_sink(&p->instance[out->to]))
				sink(p, i, g, f);
			else
				fprintf(f, "  \"%s\":o%u:e -> \"%s\":i%u:w [color=\"%s\"];\n", p->instance[i].name, g,
					p->instance[out->to].name, out->to_gate, colours[out->type]);
		}
	fprintf(f, "  label=<<font color=\"%s\">ip</font>  <font color=\"%s\">udp</font>  <font color=\"%s\">endpoint</font>>;\n}\n",
		colours[TR_TYPE_IP], colours[TR_TYPE_UDP], colours[TR_TYPE_ENDPOINT]);
	return fclose(f) == 0 ? text : NULL;
}
