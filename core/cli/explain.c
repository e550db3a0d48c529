/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"
#include "commands.h"

static int
run(const struct cli *c)
{
	char *args[] = {c->argv[0], c->argv[1], c->argc > 2 ? c->argv[2] : "", c->option[0] ? "tcp" : "udp"};
	json_t *v = client_ask(c, "explain", 4, args), *s;
	size_t i;
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	json_array_foreach(json_object_get(v, "steps"), i, s)
	{
		const char *where = get_text(s, "where");
		printf("%-20s %s%s%s%s\n", get_text(s, "node"), get_text(s, "text"), *where ? "   [" : "", where, *where ? "]" : "");
	}
	json_decref(v);
	return CLI_OK;
}

static const struct cli_option options[] = {
	{0, "tcp", NULL, "a TCP packet to PORT (default: UDP; without PORT an ICMP echo)"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_explain = {
	.name = "explain",
	.args = "[--tcp] SRC DST [PORT]",
	.min_args = 2,
	.max_args = 3,
	.doc = "which node, route, peer or rule would take or drop such a packet",
	.more = "The graph itself is asked, by a packet that goes as far as nodes only decide and then is dropped as `explained`; it "
		"counts as\n"
		"one. Each step names the line of the pipeline that made it so.",
	.options = options,
	.run = run,
};
