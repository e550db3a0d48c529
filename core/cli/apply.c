/* SPDX-License-Identifier: BSD-3-Clause */
/* apply and reload: prints what changes, waits until it has. */
#include "client.h"
#include "commands.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct told {
	bool json;
	json_t *actions, *warnings;
};

static void
on_progress(void *arg, json_t *p)
{
	struct told *t = arg;
	json_t *actions = json_object_get(p, "actions"), *warnings = json_object_get(p, "warnings"), *line;
	size_t i;
	json_array_extend(t->actions, actions);
	json_array_extend(t->warnings, warnings);
	if (t->json)
		return;
	json_array_foreach(warnings, i, line) fprintf(stderr, "%s\n", json_string_value(line));
	json_array_foreach(actions, i, line) printf("%s\n", json_string_value(line));
	fflush(stdout);
}

static void
print_end(const json_t *v, const char *command)
{
	double n = get_number(v, "actions");
	if (n > 0)
		printf("generation %.0f runs, after %.3f s and %.0f action%s\n", get_number(v, "generation"),
			get_number(v, "seconds"), n, n == 1 ? "" : "s");
	else
		printf("no option, link or peer has changed; generation %.0f runs\n", get_number(v, "generation"));
	if (strcmp(command, "apply") == 0 && !get_flag(v, "lasting"))
		printf("until the next start or reload only: appliance.cfg names another pipeline\n");
}

static int
apply(const struct cli *c, const char *command, int argc, char *const *argv)
{
	struct told t = {c->json, json_array(), json_array()};
	struct client_call call = {
		.command = command, .argc = argc, .argv = argv, .progress = on_progress, .arg = &t, .patience = 120};
	json_t *v = client_call(c, &call);
	int rc = v ? CLI_OK : call.exit;
	if (v && c->json) {
		json_object_set(v, "actions", t.actions);
		json_object_set(v, "warnings", t.warnings);
		cli_print_json(json_incref(v));
	} else if (v) {
		print_end(v, command);
	}
	json_decref(v);
	json_decref(t.actions);
	json_decref(t.warnings);
	return rc;
}

static int
run_apply(const struct cli *c)
{
	char *path = realpath(c->argv[0], NULL);
	if (!path) {
		cli_error("%s: %s", c->argv[0], strerror(errno));
		return CLI_CONFIGURATION;
	}
	int rc = apply(c, "apply", 1, &path);
	free(path);
	return rc;
}

const struct cli_command cli_apply = {
	.name = "apply",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_FILE,
	.doc = "change the running pipeline to FILE's, without losing a packet",
	.more = "Prints each action, then waits until the old generation is retired. The daemon reads the file: its "
		"user must be\n"
		"allowed to. On any error nothing has changed; mistakes in FILE end in exit status 2.",
	.run = run_apply,
};

static int
run_reload(const struct cli *c)
{
	return apply(c, "reload", 0, NULL);
}

const struct cli_command cli_reload = {
	.name = "reload",
	.args = "",
	.doc = "apply the pipeline file that appliance.cfg names, and new builds of plugins",
	.run = run_reload,
};
