/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The management socket: a UNIX stream socket, one JSON object a line each way ({"command": "status", "args": […]} ->
 * {"ok": true, "result": …} or {"ok": false, "error": "…"}). Control thread; never blocks: a slow client is cut off.
 */
#pragma once

#include "loop.h"

#include <jansson.h>
#include <tailrace/show.h>

struct management;

/* A command's answer may come later (apply): keep `r` and finish it once with management_reply(). */
struct request;
typedef void command_fn(void *arg, struct request *r, int argc, char *const *argv);
struct management_command {
	const char *name;
	command_fn *run;
	void *arg;
};
struct management *management_new(struct loop *l, const char *path, const char *group, char *why, size_t size);
void management_add(struct management *m, const struct management_command *c);
void management_free(struct management *m);
void management_reply(struct request *r, json_t *result); /* takes the reference */
void management_error(struct request *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* struct tr_show that builds a json_t object; json_show_end() returns it (new reference). */
struct json_show;
struct tr_show *json_show_begin(struct json_show **out);
json_t *json_show_end(struct json_show *j, char *error, size_t size);
