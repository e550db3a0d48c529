/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"
#include "commands.h"
#include "filter.h"

#include <stdlib.h>

static void
print_step(const json_t *s, double first)
{
	const char *verdict = get_text(s, "verdict"), *to = get_text(s, "to");
	printf("  %+9.1f us  %-20s %5.0f B  %s\n", (get_number(s, "at_ns") - first) / 1e3, get_text(s, "node"),
		get_number(s, "length"), get_text(s, "packet"));
	printf("                -> %s%s%s\n", verdict, *to ? " " : "", to);
}

static void
print_packets(const json_t *v)
{
	json_t *list = json_object_get(v, "packets"), *p, *s;
	size_t i, k;
	json_array_foreach(list, i, p)
	{
		json_t *path = json_object_get(p, "path");
		printf("packet %.0f\n", get_number(p, "packet"));
		json_array_foreach(path, k, s) print_step(s, get_number(json_array_get(path, 0), "at_ns"));
	}
}

static int
run(const struct cli *c)
{
	char *filter = c->option[2] ? filter_compile(c->option[2]) : NULL;
	if (c->option[2] && !filter)
		return CLI_USAGE;
	char *args[] = {(char *)(c->option[0] ? c->option[0] : "1"), (char *)(c->option[1] ? c->option[1] : "10"),
		c->argc ? c->argv[0] : "", filter};
	struct client_call call = {.command = "trace", .argc = filter ? 4 : c->argc ? 3 : 2, .argv = args,
		.patience = (unsigned)atoi(args[1]) + 15};
	json_t *v = client_call(c, &call);
	free(filter);
	if (!v)
		return CLI_FAILED;
	bool none = json_array_size(json_object_get(v, "packets")) == 0;
	if (c->json) {
		cli_print_json(v);
		return none ? CLI_FAILED : CLI_OK;
	}
	print_packets(v);
	if (none)
		cli_error("no packet came in %s s", args[1]);
	json_decref(v);
	return none ? CLI_FAILED : CLI_OK;
}

static const struct cli_option options[] = {
	{'n', "packets", "N", "how many packets to follow (1, at most 255)"},
	{'w', "wait", "S", "seconds to wait for them (10)"},
	{'m', "match", "FILTER", "only packets that match, in the language of pcap-filter(7), each from where it first does"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_trace = {
	.name = "trace",
	.args = "[-n N] [-w S] [-m FILTER] [INSTANCE]",
	.max_args = 1,
	.word = CLI_WORD_INSTANCE,
	.doc = "follow the next packets through the graph, with each node's decision",
	.more = "With INSTANCE only packets that enter the graph there are followed.",
	.options = options,
	.run = run,
};
