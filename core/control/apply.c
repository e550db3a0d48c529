/* SPDX-License-Identifier: BSD-3-Clause */
/* apply FILE and reload: read, say what it means, hand it to the engine, wait. */
#include "commands_private.h"

#include "../runtime/log.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define LINES_MAX 1000 /* of what is going to change: more are counted */

struct apply_request {
	struct commands *c;
	struct request *r; /* NULL: SIGHUP's */
	char *file;
	uint64_t began; /* ns */
	unsigned actions;
	unsigned trial;        /* s; 0: for good */
	struct plan_ref *held; /* what ran before; NULL: for good */
	/* Made by read_plan(), on a thread of the pool. */
	const struct appliance *appliance;
	const struct plan *now; /* the running one */
	struct catalogue catalogue;
	struct plan *plan; /* NULL: refused */
	struct plan_diff diff;
	struct diags diags;
	json_t *lines, *said; /* actions; diagnostics */
	bool reading; /* atomic */
};

#define TRIAL_MAX 86400 /* s */

static void
request_free(struct apply_request *q)
{
	engine_release(q->held);
	free(q->file);
	free(q);
}

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
action_list(const struct plan_diff *d, unsigned *n)
{
	json_t *list = json_array();
	char more[64];
	for (unsigned i = 0; i < d->n; i++)
		if (d->v[i].verb != PLAN_KEEP && ++*n <= LINES_MAX)
			json_array_append_new(list, json_string(d->v[i].text));
	if (*n > LINES_MAX) {
		snprintf(more, sizeof(more), "and %u more", *n - LINES_MAX);
		json_array_append_new(list, json_string(more));
	}
	return list;
}

void
apply_remember(struct commands *c, const char *error)
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
	apply_remember(c, error);
	c->apply = NULL;
	if (error)
		log_error("apply", "%s: %s; generation %u goes on", q->file, error, generation);
	else
		log_info("apply", "%s: generation %u runs, %u actions, %.3f s", q->file, generation, q->actions, took);
	if (!error && q->held) {
		log_info("apply", "%s: on trial for %u s", q->file, q->trial);
		trial_begin(c, q->file, q->held, q->trial);
		q->held = NULL;
	}
	if (q->r && error)
		management_error(q->r, "%s: %s (nothing has changed)", q->file, error);
	else if (q->r)
		management_reply(q->r, json_pack("{s:i, s:i, s:f, s:s, s:b, s:o}", "generation", (int)generation, "actions",
					       (int)q->actions, "seconds", took, "file", q->file, "lasting",
					       strcmp(q->file, c->on.appliance->pipeline) == 0, "trial", trial_describe(c)));
	request_free(q);
}

static void
on_applied(void *arg, const char *error)
{
	struct apply_request *q = arg;
	if (q->c)
		finish(q, error);
	else
		request_free(q); /* the commands have gone */
}

static void
refuse(struct apply_request *q)
{
	json_t *line;
	size_t i;
	json_array_foreach(q->said, i, line) if (!q->r) log_error("apply", "%s", json_string_value(line));
	char text[64];
	snprintf(text, sizeof(text), "%u error%s in the configuration", q->diags.errors, q->diags.errors == 1 ? "" : "s");
	apply_remember(q->c, text);
	log_error("apply", "%s: %s; nothing has changed", q->file, text);
	if (q->r)
		management_error_details(q->r, q->said, "%s: %s; nothing has changed", q->file, text);
	else
		json_decref(q->said);
	q->c->apply = NULL;
	diags_free(&q->diags);
	request_free(q);
}

/* Says no to an apply that can't even begin. */
static bool
may_apply(struct commands *c, struct request *r)
{
	char text[512] = "another apply is under way";
	if (trial_file(c))
		snprintf(text, sizeof(text), "%s is on trial: `tailrace confirm` first, or `tailrace confirm --no`", trial_file(c));
	if (!c->apply && !trial_file(c))
		return true;
	log_warning("apply", "refused: %s", text);
	if (r)
		management_error(r, "%s", text);
	return false;
}

/* What grows with the file: on a thread of the pool. Nobody else loads plugins or replaces the running plan meanwhile. */
static void
read_plan(void *arg)
{
	struct apply_request *q = arg;
	q->plan = pipeline_load(q->appliance, q->file, &q->catalogue, &q->diags);
	if (q->plan) {
		plan_diff(q->now, q->plan, &q->diff);
		q->lines = action_list(&q->diff, &q->actions);
	}
	q->said = diagnostics(&q->diags);
	__atomic_store_n(&q->reading, false, __ATOMIC_RELEASE);
}

static void
discard(struct apply_request *q)
{
	json_decref(q->lines);
	json_decref(q->said);
	diags_free(&q->diags);
	plan_diff_free(&q->diff);
	plan_free(q->plan);
	catalogue_free(&q->catalogue);
	request_free(q);
}

static void
hand_over(void *arg)
{
	struct apply_request *q = arg;
	if (!q->c) { /* the commands have gone */
		discard(q);
		return;
	}
	struct engine *e = q->c->on.engine;
	if (!q->plan) {
		engine_set_catalogue(e, &q->catalogue);
		refuse(q);
		return;
	}
	progress(q, "warnings", q->said);
	diags_free(&q->diags);
	progress(q, "actions", q->lines);
	engine_set_catalogue(e, &q->catalogue);
	int rc = engine_apply(e, q->plan, &q->diff, on_applied, q);
	if (rc == 0)
		return;
	plan_diff_free(&q->diff);
	plan_free(q->plan);
	finish(q, rc == -EBUSY ? "another apply is under way" : strerror(-rc));
}

static void
apply(struct commands *c, struct request *r, const char *file, unsigned trial)
{
	if (!may_apply(c, r))
		return;
	struct apply_request *q = calloc(1, sizeof(*q));
	char *copy = strdup(file);
	if (!q || !copy) {
		if (r)
			management_error(r, "no memory");
		free(copy);
		free(q);
		return;
	}
	*q = (struct apply_request){.c = c, .r = r, .file = copy, .began = commands_now(), .appliance = c->on.appliance,
		.now = engine_plan(c->on.engine), .reading = true, .trial = trial};
	q->held = trial ? engine_hold(c->on.engine) : NULL;
	c->apply = q;
	if (loop_work(c->on.loop, read_plan, hand_over, q) != 0)
		finish(q, "no memory");
}

void
command_apply(void *arg, struct request *r, int argc, char *const *argv)
{
	char *end = "";
	unsigned long trial = argc == 2 ? strtoul(argv[1], &end, 10) : 0;
	if (argc < 1 || argc > 2 || argv[0][0] != '/' || *end || (argc == 2 && (trial < 1 || trial > TRIAL_MAX))) {
		management_error(r, "apply needs the absolute path of a file, and the seconds of a trial (1 to %d) if it is one", TRIAL_MAX);
		return;
	}
	log_info("apply", "%s, asked for by uid %u", argv[0], management_uid(r));
	apply(arg, r, argv[0], (unsigned)trial);
}

void
command_reload(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	log_info("apply", "reload, asked for by uid %u", management_uid(r));
	apply(c, r, c->on.appliance->pipeline, 0);
}

void
commands_reload(struct commands *c)
{
	apply(c, NULL, c->on.appliance->pipeline, 0);
}

void
apply_free(struct commands *c)
{
	struct apply_request *q = c->apply;
	if (!q)
		return;
	if (q->r)
		management_error(q->r, "the daemon ends");
	while (__atomic_load_n(&q->reading, __ATOMIC_ACQUIRE)) /* the plan that it compares with is about to go */
		usleep(1000);
	q->c = NULL; /* hand_over() or on_applied() frees it */
}
