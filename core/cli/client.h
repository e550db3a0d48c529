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
	int exit; /* of the failure: enum cli_exit */
};
/* New reference, or NULL after the error has been printed. */
json_t *client_call(const struct cli *c, struct client_call *call);
/* As client_call(), for commands that only ask. */
json_t *client_ask(const struct cli *c, const char *command, int argc, char *const *argv);
/* Silent, for completion: NULL on any error. */
json_t *client_try(const struct cli *c, const char *command);
