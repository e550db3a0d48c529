/* SPDX-License-Identifier: BSD-3-Clause */
/* ping and netcheck. */
#include "client.h"
#include "commands.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MEASURE_S 3 /* instances have so long to measure */

static int
run_ping(const struct cli *c)
{
	json_t *v = client_ask(c, "ping", c->argc, c->argv);
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	const char *and_by = get_text(v, "and_by");
	printf("answer from %s by %s%s%s%s%s in %.1f ms (%s)\n", get_text(v, "peer"), get_text(v, "endpoint"),
		strcmp(get_text(v, "kind"), "direct") == 0 ? " (direct)" : "", *and_by ? " and " : "", and_by, "",
		get_number(v, "latency_ms"), get_text(v, "why"));
	json_decref(v);
	return CLI_OK;
}

const struct cli_command cli_ping = {
	.name = "ping",
	.args = "NAME|KEY",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_PEER,
	.doc = "ask a peer for a new session; which path answered, and how fast",
	.more = "The time is that of a WireGuard handshake: a round trip, and four scalar multiplications at each end. A peer is asked at "
		"most every 5 s, so a second ping may wait.",
	.run = run_ping,
};

static void
print_instance(const char *name, json_t *v)
{
	static const char *const columns[] = {">REGION", "HOME", "STATE", "NODE", ">LATENCY", "~PROBLEM", NULL};
	json_t *regions = json_object_get(v, "regions"), *r;
	size_t i;
	if (!json_is_array(regions)) {
		printf("%s\n", name);
		render_json(stdout, v, 2);
		return;
	}
	struct table *t = table_new(columns);
	json_array_foreach(regions, i, r)
	{
		char id[32], latency[32] = "-";
		snprintf(id, sizeof(id), "%.0f", get_number(r, "region"));
		if (json_object_get(r, "latency_ms"))
			snprintf(latency, sizeof(latency), "%.1f ms", get_number(r, "latency_ms"));
		const char *cells[] = {id, get_flag(r, "home") ? "yes" : "", get_text(r, "state"), get_text(r, "node"), latency,
			get_text(r, "problem")};
		table_row(t, cells);
	}
	printf("%s\n", name);
	table_print(t, stdout, 2);
}

static int
run_netcheck(const struct cli *c)
{
	static char start[] = "start";
	char *argv[] = {start, NULL};
	json_t *v = client_ask(c, "netcheck", 1, argv);
	if (!v)
		return CLI_FAILED;
	json_decref(v);
	sleep(MEASURE_S);
	v = client_ask(c, "netcheck", 0, NULL);
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	const char *name;
	json_t *i;
	if (json_object_size(v) == 0)
		puts("no instance looks at the network around (class derp does)");
	json_object_foreach(v, name, i)
		print_instance(name, i);
	json_decref(v);
	return CLI_OK;
}

const struct cli_command cli_netcheck = {
	.name = "netcheck",
	.args = "",
	.doc = "measure the relays' latencies, and what else is known of the network around",
	.run = run_netcheck,
};
