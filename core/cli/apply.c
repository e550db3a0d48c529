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
	json_t *trial = json_object_get(v, "trial");
	if (json_is_object(trial))
		printf("on trial: rolled back in %.0f s unless `tailrace confirm` comes first\n", get_number(trial, "seconds_left"));
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

/* 60s, 2m, 1h, or plain seconds. */
static bool
seconds(const char *text, char out[24])
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);
	unsigned long unit = *end == 'm' ? 60 : *end == 'h' ? 3600 : 1;
	if (*text < '0' || *text > '9' || (*end && (!strchr("smh", *end) || end[1])) || n < 1 || n > 86400 / unit)
		return false;
	snprintf(out, 24, "%lu", n * unit);
	return true;
}

static int
run_apply(const struct cli *c)
{
	char trial[24], *args[] = {realpath(c->argv[0], NULL), trial};
	if (!args[0]) {
		cli_error("%s: %s", c->argv[0], strerror(errno));
		return CLI_CONFIGURATION;
	}
	if (c->option[0] && !seconds(c->option[0], trial)) {
		cli_error("--confirm takes a time such as 60s, 5m or 1h, at most a day");
		free(args[0]);
		return CLI_USAGE;
	}
	int rc = apply(c, "apply", c->option[0] ? 2 : 1, args);
	free(args[0]);
	return rc;
}

static const struct cli_option apply_options[] = {
	{0, "confirm", "TIME", "roll back after this time (60s, 5m, 1h) unless `tailrace confirm` comes first"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_apply = {
	.name = "apply",
	.args = "[--confirm TIME] FILE",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_FILE,
	.doc = "change the running pipeline to FILE's, without losing a packet",
	.more = "Prints each action, then waits until the old generation is retired. The daemon reads the file: its "
		"user must be\n"
		"allowed to. On any error nothing has changed; mistakes in FILE end in exit status 2.\n\n"
		"With --confirm the change is on trial. The daemon keeps the time and the pipeline that ran before, as it was "
		"read, so\n"
		"that neither a lost connection nor an edited file matters: whoever can still reach the box confirms, or nobody "
		"does.",
	.options = apply_options,
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

static int
run_confirm(const struct cli *c)
{
	char *no = "no";
	json_t *v = client_ask(c, "confirm", c->option[0] ? 1 : 0, &no);
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	printf("%s %s\n", get_text(v, "file"), get_flag(v, "confirmed") ? "stays" : "is rolled back");
	json_decref(v);
	return CLI_OK;
}

static const struct cli_option confirm_options[] = {
	{0, "no", NULL, "roll back now"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_confirm = {
	.name = "confirm",
	.args = "[--no]",
	.doc = "keep what `apply --confirm` has put on trial",
	.options = confirm_options,
	.run = run_confirm,
};
