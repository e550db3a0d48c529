/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"
#include "commands.h"

#include <string.h>

/* Peers come in slices before the answer. */
static void
gather(void *arg, json_t *progress)
{
	json_array_extend(arg, json_object_get(progress, "peers"));
}

static void
join(const json_t *list, char *buf, size_t size)
{
	size_t n = 0, i;
	json_t *e;
	buf[0] = 0;
	json_array_foreach((json_t *)list, i, e) if (n < size) n +=
		(size_t)snprintf(buf + n, size - n, "%s%s", i ? ", " : "", json_string_value(e));
}

static void
print_table(json_t *list)
{
	static const char *const columns[] = {
		"PEER", "ON", "STATE", ">SESSION", "PATH", "ENDPOINT", "~ALLOWED IPS", "FROM", "~PUBLIC KEY", NULL};
	struct table *t = table_new(columns);
	size_t i;
	json_t *p;
	json_array_foreach(list, i, p)
	{
		char age[CLI_FIGURE], allowed[512];
		const json_t *session = json_object_get(p, "session_age");
		join(json_object_get(p, "allowed_ips"), allowed, sizeof(allowed));
		const char *cells[] = {*get_text(p, "name") ? get_text(p, "name") : "-", get_text(p, "interface"),
			get_flag(p, "up") ? "up" : "down",
			json_is_real(session) ? figure_age(age, json_real_value(session)) : "never",
			*get_text(p, "path") ? get_text(p, "path") : "-", *get_text(p, "endpoint") ? get_text(p, "endpoint") : "-", *allowed ? allowed : "-",
			get_text(p, "origin"), get_text(p, "public_key")};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
}

static int
run(const struct cli *c)
{
	json_t *list = json_array();
	struct client_call call = {
		.command = "peers", .argc = c->argc, .argv = c->argv, .progress = gather, .arg = list};
	json_t *v = client_call(c, &call);
	if (!v) {
		json_decref(list);
		return call.exit;
	}
	json_decref(v);
	if (c->json)
		return cli_print_json(json_pack("{s:o}", "peers", list));
	if (json_array_size(list) == 0)
		puts("no peers");
	else if (c->argc)
		render_json(stdout, json_array_get(list, 0), 0);
	else
		print_table(list);
	json_decref(list);
	return CLI_OK;
}

const struct cli_command cli_peers = {
	.name = "peers",
	.args = "[NAME|KEY]",
	.max_args = 1,
	.word = CLI_WORD_PEER,
	.doc = "peers, their endpoints in use and the age of their sessions",
	.run = run,
};
