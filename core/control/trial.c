/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * apply --confirm: what ran before is held as it was read, and applied again when the time is over. The daemon keeps the time,
 * so that neither a lost connection nor a file that was edited meanwhile matters.
 */
#include "commands_private.h"

#include "../runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct trial {
	struct commands *c; /* NULL: the commands have gone */
	char *file;
	struct plan_ref *held; /* what ran before */
	struct loop_watch *timer;
	uint64_t until; /* ns */
	enum { TRIAL_RUNS, TRIAL_COMPARING, TRIAL_COMPARED, TRIAL_ROLLING } state;
	/* Made by compare(), on a thread of the pool. */
	const struct plan *now;
	struct plan_diff diff;
	bool comparing; /* atomic */
};

static void
trial_end(struct trial *t)
{
	if (t->c)
		t->c->trial = NULL;
	if (t->timer)
		loop_watch_close(t->timer);
	engine_release(t->held);
	plan_diff_free(&t->diff);
	free(t->file);
	free(t);
}

static void
on_rolled_back(void *arg, const char *error)
{
	struct trial *t = arg;
	char text[512];
	if (t->c) {
		if (error)
			snprintf(text, sizeof(text), "%s was not confirmed, and can't be rolled back: %s", t->file, error);
		else
			snprintf(text, sizeof(text), "%s was not confirmed and is rolled back", t->file);
		log_warning("apply", "%s; generation %u runs", text, (unsigned)engine_generation(t->c->on.engine));
		apply_remember(t->c, text);
	}
	trial_end(t);
}

/* What grows with the number of peers. */
static void
compare(void *arg)
{
	struct trial *t = arg;
	plan_diff(t->now, engine_held(t->held), &t->diff);
	__atomic_store_n(&t->comparing, false, __ATOMIC_RELEASE);
}

static void
compared(void *arg)
{
	struct trial *t = arg;
	t->state = TRIAL_COMPARED;
	if (!t->c)
		trial_end(t);
}

/* Fires again and again: comparing takes a while, and the engine may have an apply of its own under way. */
static void
roll_back(void *arg)
{
	struct trial *t = arg;
	struct engine *e = t->c->on.engine;
	if (t->state == TRIAL_RUNS) {
		t->now = engine_plan(e);
		t->comparing = true;
		t->state = TRIAL_COMPARING;
		if (loop_work(t->c->on.loop, compare, compared, t) != 0)
			t->state = TRIAL_RUNS;
	} else if (t->state == TRIAL_COMPARED) {
		t->state = TRIAL_ROLLING;
		if (engine_apply_held(e, t->held, &t->diff, on_rolled_back, t) != 0) /* else t may be gone by now */
			t->state = TRIAL_COMPARED;
	}
}

void
trial_begin(struct commands *c, const char *file, struct plan_ref *held, unsigned seconds)
{
	struct trial *t = calloc(1, sizeof(*t));
	char *copy = strdup(file);
	struct loop_watch *w = t && copy ? loop_timer(c->on.loop, seconds * 1000ull, 20, roll_back, t) : NULL;
	if (!w) { /* applied, and nothing will undo it: as little of a lie as is left */
		log_error("apply", "no memory: %s is not on trial, it stays", file);
		engine_release(held);
		free(copy);
		free(t);
		return;
	}
	*t = (struct trial){.c = c, .file = copy, .held = held, .timer = w, .until = commands_now() + seconds * 1000000000ull};
	c->trial = t;
}

const char *
trial_file(const struct commands *c)
{
	return c->trial ? c->trial->file : NULL;
}

json_t *
trial_describe(const struct commands *c)
{
	const struct trial *t = c->trial;
	uint64_t now = commands_now();
	if (!t)
		return json_null();
	return json_pack("{s:s, s:f}", "file", t->file, "seconds_left", t->until > now ? (double)(t->until - now) / 1e9 : 0.0);
}

void
command_confirm(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	struct trial *t = c->trial;
	bool no = argc == 1 && strcmp(argv[0], "no") == 0;
	if (argc > 0 && !no) {
		management_error(r, "confirm takes nothing, or `no`");
	} else if (!t) {
		management_error(r, "nothing waits to be confirmed");
	} else if (t->state != TRIAL_RUNS) {
		management_error(r, "too late: %s is being rolled back", t->file);
	} else {
		log_info("apply", "%s: %s by uid %u", t->file, no ? "undone" : "confirmed", management_uid(r));
		management_reply(r, json_pack("{s:s, s:b}", "file", t->file, "confirmed", !no));
		loop_watch_close(t->timer);
		t->timer = no ? loop_timer(c->on.loop, 0, 20, roll_back, t) : NULL;
		if (!t->timer)
			trial_end(t);
	}
}

void
trial_free(struct commands *c)
{
	struct trial *t = c->trial;
	if (!t)
		return;
	c->trial = NULL;
	t->c = NULL;
	loop_watch_close(t->timer);
	t->timer = NULL;
	while (__atomic_load_n(&t->comparing, __ATOMIC_ACQUIRE)) /* the plan that it compares with is about to go */
		usleep(1000);
	if (t->state == TRIAL_RUNS || t->state == TRIAL_COMPARED)
		trial_end(t); /* else compared() or on_rolled_back() does */
}
