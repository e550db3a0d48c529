/* SPDX-License-Identifier: BSD-3-Clause */
/* The daemon, as the command sees it: one request, one answer. */
#pragma once

#include "cli.h"

struct client_call {
	const char *command;
	int argc;
	char *const *argv;
	void (*progress)(void *arg, json_t *p);
	void *arg;
	unsigned patience; /* s without a line from the daemon; 0: 15 */
	int exit;          /* of the failure: enum cli_exit */
};
/* New reference, or NULL after the error has been printed. */
json_t *client_call(const struct cli *c, struct client_call *call);
/* As client_call(), for commands that only ask. */
json_t *client_ask(const struct cli *c, const char *command, int argc, char *const *argv);
/* Silent, for completion: NULL on any error. */
json_t *client_try(const struct cli *c, const char *command);

/* Members of an answer; "" and 0 when absent. */
static inline const char *
get_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));
	return s ? s : "";
}

static inline double
get_number(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static inline bool
get_flag(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}
