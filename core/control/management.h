/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The management socket: a UNIX stream socket, one JSON object a line each way ({"command": "status", "args": […]} ->
 * {"ok": true, "result": …} or {"ok": false, "error": "…"}), before it any number of {"progress": …}. A client's
 * requests are answered one after the other. Control thread; never blocks: a slow client is cut off.
 */
#pragma once

#include "../runtime/loop.h"

#include <jansson.h>

#define MANAGEMENT_LINE 65536 /* longest request */
#define MANAGEMENT_CLIENTS 64
#define MANAGEMENT_PATIENCE 5 /* s without progress in sending: the client is cut off, */
#define MANAGEMENT_GLANCE 100 /* ms, when another wants its place */

struct management;

/* A command's answer may come later (apply): keep `r` and finish it once with management_reply() or _error(). */
struct request;
typedef void command_fn(void *arg, struct request *r, int argc, char *const *argv);
struct management_command {
	const char *name;
	command_fn *run;
	void *arg;
};
/* Mode 0660, of `group` (NULL: the process's). Refused while another daemon answers at `path`. */
struct management *management_new(struct loop *l, const char *path, const char *group, char *why, size_t size);
/* A command without a name gets whatever no other takes; then argv[0] is the command's name. */
void management_add(struct management *m, const struct management_command *c); /* *c is copied */
struct management_counts {
	unsigned clients;    /* now */
	uint64_t idle, slow; /* closed so far: asked nothing while others wanted their place; did not read their answers */
	uint64_t refused;    /* times that nobody could be accepted, for want of descriptors or memory */
};
struct management_counts management_counts(const struct management *m);
/* Requests that are still open stay valid until they are answered. */
void management_free(struct management *m);

void management_reply(struct request *r, json_t *result); /* takes the reference */
void management_error(struct request *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* As management_error(); `details` (reference taken) comes beside the text. */
void management_error_details(struct request *r, json_t *details, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A line before the answer. */
void management_progress(struct request *r, json_t *progress);
/* The client has gone: nobody waits for the answer, which must be given all the same. */
bool management_gone(const struct request *r);
/* The client has not taken all progress yet: whoever has much to say waits. */
bool management_waiting(const struct request *r);
uint32_t management_uid(const struct request *r);

/* The parser of a request. */
struct management_call {
	json_t *root;
	int argc;    /* command and arguments */
	char **argv; /* point into root; NULL at the end */
};
bool management_parse(const char *line, size_t len, struct management_call *out, char *why, size_t size);
void management_call_free(struct management_call *c);
