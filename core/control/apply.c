/* SPDX-License-Identifier: BSD-3-Clause */
/* apply FILE and reload: read, say what it means, hand it to the engine, wait. */
#include "commands_private.h"

#include "log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct apply_request {
	struct commands *c;
	struct request *r; /* NULL: SIGHUP's */
	char *file;
	uint64_t began; /* ns */
	unsigned actions;
};

static json_t *
diagnostics(const struct diags *d)
{
	char *text = NULL;
	size_t size = 0;
	json_t *lines = json_array();
	FILE *f = open_memstream(&text, &size);
	if (!f)
		return lines;
	diags_print(d, f);
	fclose(f);
	for (char *save, *line = text ? strtok_r(text, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save)) {
		json_t *s = json_string(line);
		json_array_append_new(lines, s ? s : json_string("(not UTF-8)"));
	}
	free(text);
	return lines;
}

static void
progress(struct apply_request *q, const char *key, json_t *list)
{
	if (q->r && json_array_size(list))
		management_progress(q->r, json_pack("{s:o}", key, list));
	else
		json_decref(list);
}

/* Only these change something; what is kept is not worth a line. */
static json_t *
action_list(const struct plan_diff *d)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < d->n; i++)
		if (d->v[i].verb != PLAN_KEEP)
			json_array_append_new(list, json_string(d->v[i].text));
	return list;
}

static void
remember(struct commands *c, const char *error)
{
	free(c->apply_error);
	c->apply_error = error ? strdup(error) : NULL;
}

static void
finish(struct apply_request *q, const char *error)
{
	struct commands *c = q->c;
	unsigned generation = (unsigned)engine_generation(c->on.engine);
	double took = (double)(commands_now() - q->began) / 1e9;
	remember(c, error);
	c->apply = NULL;
	if (error)
		log_error("apply", "%s: %s; generation %u goes on", q->file, error, generation);
	else
		log_info("apply", "%s: generation %u runs, %u actions, %.3f s", q->file, generation, q->actions, took);
	if (q->r && error)
		management_error(q->r, "%s: %s (nothing has changed)", q->file, error);
	else if (q->r)
		management_reply(q->r, json_pack("{s:i, s:i, s:f, s:s, s:b}", "generation", (int)generation, "actions",
					       (int)q->actions, "seconds", took, "file", q->file, "lasting",
					       strcmp(q->file, c->on.appliance->pipeline) == 0));
	free(q->file);
	free(q);
}

static void
on_applied(void *arg, const char *error)
{
	struct apply_request *q = arg;
	if (q->c)
		finish(q, error);
	else
		free(q); /* the commands have gone */
}

static void
refuse(struct apply_request *q, struct diags *d)
{
	json_t *lines = diagnostics(d), *line;
	size_t i;
	json_array_foreach(lines, i, line) if (!q->r) log_error("apply", "%s", json_string_value(line));
	char text[64];
	snprintf(text, sizeof(text), "%u error%s in the configuration", d->errors, d->errors == 1 ? "" : "s");
	remember(q->c, text);
	log_error("apply", "%s: %s; nothing has changed", q->file, text);
	if (q->r)
		management_error_details(q->r, lines, "%s: %s; nothing has changed", q->file, text);
	else
		json_decref(lines);
	q->c->apply = NULL;
	free(q->file);
	free(q);
}

static void
apply(struct commands *c, struct request *r, const char *file)
{
	struct apply_request *q = calloc(1, sizeof(*q));
	char *copy = strdup(file);
	if (!q || !copy || c->apply) {
		if (r)
			management_error(r, c->apply ? "another apply is under way" : "no memory");
		free(copy);
		free(q);
		return;
	}
	*q = (struct apply_request){.c = c, .r = r, .file = copy, .began = commands_now()};
	c->apply = q;
	struct diags d = {0};
	struct plan *p = engine_load(c->on.engine, file, &d);
	if (!p) {
		refuse(q, &d);
		diags_free(&d);
		return;
	}
	progress(q, "warnings", diagnostics(&d));
	diags_free(&d);
	struct plan_diff diff;
	plan_diff(engine_plan(c->on.engine), p, &diff);
	json_t *actions = action_list(&diff);
	q->actions = (unsigned)json_array_size(actions);
	progress(q, "actions", actions);
	plan_diff_free(&diff);
	int rc = engine_apply(c->on.engine, p, on_applied, q);
	if (rc == 0)
		return;
	plan_free(p);
	finish(q, rc == -EBUSY ? "another apply is under way" : strerror(-rc));
}

void
command_apply(void *arg, struct request *r, int argc, char *const *argv)
{
	if (argc != 1 || argv[0][0] != '/') {
		management_error(r, "apply needs the absolute path of a file");
		return;
	}
	log_info("apply", "%s, asked for by uid %u", argv[0], management_uid(r));
	apply(arg, r, argv[0]);
}

void
command_reload(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	log_info("apply", "reload, asked for by uid %u", management_uid(r));
	apply(c, r, c->on.appliance->pipeline);
}

void
commands_reload(struct commands *c)
{
	apply(c, NULL, c->on.appliance->pipeline);
}

void
apply_free(struct commands *c)
{
	struct apply_request *q = c->apply;
	if (!q)
		return;
	if (q->r)
		management_error(q->r, "the daemon ends");
	free(q->file);
	q->c = NULL; /* on_applied() frees it */
}
