/* SPDX-License-Identifier: BSD-3-Clause */
/* Services: what a class needs must be provided by the core or by an instance, without a cycle. */
#include "builder.h"

#include <stdlib.h>

static const char *const core_services[] = {"netmap/1", "path/1", "route/1", NULL};

static bool
among(const char *const *names, const char *s)
{
	for (; names != NULL && *names != NULL; names++)
		if (strcmp(*names, s) == 0)
			return true;
	return false;
}

/* A provider of the same service in another version: "snat/1" for "snat/2". */
static const char *
other_version(const char *const *names, const char *s)
{
	size_t stem = strcspn(s, "/");
	for (; names != NULL && *names != NULL; names++)
		if (strncmp(*names, s, stem) == 0 && (*names)[stem] == '/')
			return *names;
	return NULL;
}

static void
unmet(struct builder *b, const struct plan_instance *i, const char *service)
{
	const char *other = other_version(core_services, service), *class_name = NULL;
	for (unsigned j = 0; j < b->plan->n_instances && other == NULL; j++)
		if (b->plan->instance[j].class_ != NULL)
			other = other_version(b->plan->instance[j].class_->provides, service);
	for (unsigned j = 0; j < b->catalogue->n && class_name == NULL; j++)
		if (among(b->catalogue->v[j].class_->provides, service))
			class_name = b->catalogue->v[j].class_->name;
	if (class_name != NULL)
		diag_at(b->d, DIAG_ERROR, i->where, "`%s` needs the service %s: add an instance of class %s", i->name, service,
			class_name);
	else if (other != NULL)
		diag_at(b->d, DIAG_ERROR, i->where, "`%s` needs the service %s, and only %s is provided", i->name, service, other);
	else
		diag_at(b->d, DIAG_ERROR, i->where, "`%s` needs the service %s, which no class provides", i->name, service);
}

struct walk {
	struct builder *b;
	uint8_t *state;   /* per instance: 0 new, 1 on the path, 2 done */
	uint32_t *path;   /* instances from the first to the current one */
	const char **why; /* the service that led from each to the next */
};

static void
report_cycle(struct walk *w, unsigned depth, uint32_t again)
{
	const struct plan_instance *v = w->b->plan->instance;
	char text[400];
	size_t at = 0;
	unsigned from = depth;
	while (w->path[from] != again)
		from--;
	for (unsigned i = from; i <= depth && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "`%s` needs %s of ", v[w->path[i]].name, w->why[i]);
	diag_at(w->b->d, DIAG_ERROR, v[again].where, "service cycle: %s`%s`", text, v[again].name);
}

static void
visit(struct walk *w, uint32_t i, unsigned depth)
{
	const struct plan *p = w->b->plan;
	w->state[i] = 1;
	w->path[depth] = i;
	const struct tr_class *c = p->instance[i].class_;
	for (const char *const *s = c != NULL ? c->requires : NULL; s != NULL && *s != NULL; s++) {
		w->why[depth] = *s;
		for (uint32_t j = 0; j < p->n_instances; j++) {
			if (p->instance[j].class_ == NULL || !among(p->instance[j].class_->provides, *s))
				continue;
			if (w->state[j] == 0)
				visit(w, j, depth + 1);
			else if (w->state[j] == 1)
				report_cycle(w, depth, j);
		}
	}
	w->state[i] = 2;
}

static bool
provided(const struct plan *p, const char *service)
{
	bool found = among(core_services, service);
	for (unsigned i = 0; i < p->n_instances && !found; i++)
		found = p->instance[i].class_ != NULL && among(p->instance[i].class_->provides, service);
	return found;
}

void
plan_check_services(struct builder *b)
{
	const struct plan *p = b->plan;
	struct walk w = {.b = b, .state = calloc(p->n_instances + 1, 1), .path = calloc(p->n_instances + 1, sizeof(uint32_t)),
		.why = calloc(p->n_instances + 1, sizeof(char *))};
	for (uint32_t i = 0; i < p->n_instances && w.state != NULL && w.path != NULL && w.why != NULL; i++) {
		const struct tr_class *c = p->instance[i].class_;
		for (const char *const *s = c != NULL ? c->requires : NULL; s != NULL && *s != NULL; s++)
			if (!provided(p, *s))
				unmet(b, &p->instance[i], *s);
		if (w.state[i] == 0)
			visit(&w, i, 0);
	}
	free(w.state);
	free(w.path);
	free(w.why);
}
