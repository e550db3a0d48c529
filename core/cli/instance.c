/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands whose answer is printed as it comes: persist, show, INSTANCE COMMAND. */
#include "client.h"
#include "commands.h"

static int
print_answer(const struct cli *c, json_t *v)
{
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	render_json(stdout, v, 0);
	json_decref(v);
	return CLI_OK;
}

static int
run_show(const struct cli *c)
{
	return print_answer(c, client_ask(c, "show", c->argc, c->argv));
}

const struct cli_command cli_show = {
	.name = "show",
	.args = "INSTANCE",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_INSTANCE,
	.doc = "options, state and commands of an instance",
	.run = run_show,
};

static int
run_instance(const struct cli *c)
{
	json_t *v = client_ask(c, c->argv[0], c->argc - 1, c->argv + 1);
	if (c->argc == 1 && !c->json && json_is_array(v) && json_array_size(v) == 0) {
		printf("%s has no commands; `tailrace show %s` shows its state\n", c->argv[0], c->argv[0]);
		json_decref(v);
		return CLI_OK;
	}
	return print_answer(c, v);
}

const struct cli_command cli_instance = {
	.name = "instance",
	.args = "INSTANCE COMMAND …",
	.min_args = 1,
	.max_args = 64,
	.word = CLI_WORD_INSTANCE,
	.doc = "run a command of a plugin's instance",
	.more = "`instance` may be left out: tailrace INSTANCE COMMAND …",
	.raw = true,
	.hidden = true,
	.run = run_instance,
};

static int
run_persist(const struct cli *c)
{
	json_t *v = client_ask(c, "persist", 0, NULL);
	if (!v || c->json)
		return print_answer(c, v);
	fputs(json_string_value(json_object_get(v, "yaml")), stdout);
	json_decref(v);
	return CLI_OK;
}

const struct cli_command cli_persist = {
	.name = "persist",
	.args = "",
	.doc = "print what `wg` has changed as YAML for pipeline.yaml",
	.run = run_persist,
};
