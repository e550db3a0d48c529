/* SPDX-License-Identifier: BSD-3-Clause */
/* trace: follows the next packets and answers when they have left the graph, or the time is over. */
#include "commands_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_MS 50
#define MAX_PACKETS 255
#define MAX_SECONDS 600

struct trace_request {
	struct commands *c;
	struct request *r;
	struct loop_watch *timer;
	unsigned wanted, seen;
	uint64_t until; /* ns */
};

static void
finish(struct trace_request *q)
{
	struct engine *e = q->c->on.engine;
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	char why[256] = "no memory";
	json_t *v = NULL;
	if (s) {
		engine_trace_take(e, s);
		v = json_show_end(j, why, sizeof(why));
	}
	engine_trace_start(e, NULL, 0, (struct filter){0});
	if (v)
		management_reply(q->r, v);
	else
		management_error(q->r, "%s", why);
	loop_watch_close(q->timer);
	q->c->trace = NULL;
	free(q);
}

static void
poll_trace(void *arg)
{
	struct trace_request *q = arg;
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	char why[256];
	if (!s)
		return;
	unsigned n = engine_trace_take(q->c->on.engine, s);
	json_decref(json_show_end(j, why, sizeof(why)));
	/* All of them entered a poll ago: they have left the graph, or are held for longer than anybody watches. */
	bool all = q->seen >= q->wanted;
	q->seen = n;
	if (all || commands_now() >= q->until || management_gone(q->r))
		finish(q);
}

bool
parse_number(const char *s, unsigned min, unsigned max, unsigned *out)
{
	char *end;
	unsigned long v = strtoul(s, &end, 10);
	*out = (unsigned)v;
	return *s >= '0' && *s <= '9' && !*end && v >= min && v <= max;
}

/* trace N SECONDS [INSTANCE [FILTER]]; an empty INSTANCE is any. */
void
command_trace(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	unsigned n, seconds;
	struct filter f = {0};
	if (argc < 2 || argc > 4 || !parse_number(argv[0], 1, MAX_PACKETS, &n) ||
		!parse_number(argv[1], 1, MAX_SECONDS, &seconds)) {
		management_error(r, "trace takes 1 to %d packets and 1 to %d seconds", MAX_PACKETS, MAX_SECONDS);
		return;
	}
	if (c->trace) {
		management_error(r, "another trace is under way");
		return;
	}
	if (argc == 4 && !filter_parse(argv[3], &f)) {
		management_error(r, "no filter: %.40s", argv[3]);
		return;
	}
	const char *instance = argc > 2 && *argv[2] ? argv[2] : NULL;
	struct trace_request *q = calloc(1, sizeof(*q));
	struct loop_watch *w = q ? loop_timer(c->on.loop, POLL_MS, POLL_MS, poll_trace, q) : NULL;
	int rc = w ? engine_trace_start(c->on.engine, instance, n, f) : -ENOMEM;
	free((void *)(uintptr_t)f.insn);
	if (rc != 0) {
		if (rc == -ENOENT)
			management_error(r, "no instance named %s", instance);
		else
			management_error(r, "%s", rc == -EINVAL ? "the filter is no valid program" : "no memory");
		if (w)
			loop_watch_close(w);
		free(q);
		return;
	}
	*q = (struct trace_request){
		.c = c, .r = r, .timer = w, .wanted = n, .until = commands_now() + seconds * 1000000000ull};
	c->trace = q;
}

void
trace_free(struct commands *c)
{
	if (c->trace)
		finish(c->trace);
}
