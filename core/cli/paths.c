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
	char mtu[48] = "";
	if (get_number(v, "mtu") > 0)
		snprintf(mtu, sizeof(mtu), "; datagrams of up to %.0f bytes pass", get_number(v, "mtu"));
	const char *relay = get_text(v, "relay");
	const bool relayed = strcmp(get_text(v, "kind"), "relay") == 0;
	printf("answer from %s %s%s%s%s%s%s%s in %.1f ms (%s%s)\n", get_text(v, "peer"), relayed ? "via peer relay " : "by ", relay,
		*relay ? "/" : "", get_text(v, "endpoint"), strcmp(get_text(v, "kind"), "direct") == 0 ? " (direct)" : "",
		*and_by ? " and " : "", and_by, get_number(v, "latency_ms"), get_text(v, "why"), mtu);
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

/* `address` and `port` of an object, as one writes them. */
static const char *
socket_text(json_t *v, char text[64])
{
	const char *ip = get_text(v, "address");
	if (*ip == 0)
		return "none";
	snprintf(text, 64, strchr(ip, ':') ? "[%s]:%.0f" : "%s:%.0f", ip, get_number(v, "port"));
	return text;
}

static void
print_regions(json_t *regions)
{
	static const char *const columns[] = {">REGION", "HOME", "STATE", "NODE", ">LATENCY", "~PROBLEM", NULL};
	struct table *t = table_new(columns);
	json_t *r;
	size_t i;
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
	table_print(t, stdout, 2);
}

/* What STUN servers see of a port. */
static void
print_outside(json_t *v)
{
	static const char *const columns[] = {"SERVER", ">LATENCY", "SEES US AS", "~PROBLEM", NULL};
	static const char *const lines[][2] = {{"NAT mapping", "mapping"}, {"NAT filtering", "filtering"}, {"hairpin", "hairpin"}};
	struct table *t = table_new(columns);
	char four[64], six[64];
	json_t *s;
	size_t i;
	printf("  %-14s %.0f\n", "UDP port", get_number(v, "port"));
	printf("  %-14s %s\n", "IPv4", socket_text(json_object_get(v, "ipv4"), four));
	printf("  %-14s %s\n", "IPv6", socket_text(json_object_get(v, "ipv6"), six));
	for (i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		if (*get_text(v, lines[i][1]))
			printf("  %-14s %s\n", lines[i][0], get_text(v, lines[i][1]));
	json_array_foreach(json_object_get(v, "servers"), i, s)
	{
		char latency[32] = "-", server[64], mapped[64];
		if (json_object_get(s, "latency_ms"))
			snprintf(latency, sizeof(latency), "%.1f ms", get_number(s, "latency_ms"));
		const char *cells[] = {socket_text(s, server), latency, socket_text(json_object_get(s, "mapped"), mapped),
			get_text(s, "problem")};
		table_row(t, cells);
	}
	table_print(t, stdout, 2);
}

static void
print_peer_relays(json_t *v)
{
	static const char *const columns[] = {"PEER RELAY", "STATE", ">PATHS", ">LATENCY", ">ANSWERED", NULL};
	struct table *t = table_new(columns);
	json_t *list = json_object_get(v, "peer_relays"), *r;
	size_t i;
	if (json_array_size(list) == 0)
		puts("  no peer of the netmap may be asked to relay (`relay: true`)");
	json_array_foreach(list, i, r)
	{
		char paths[32], latency[32] = "-", age[CLI_FIGURE], ago[CLI_FIGURE + 8] = "never";
		snprintf(paths, sizeof(paths), "%.0f", get_number(r, "paths"));
		if (json_object_get(r, "latency_ms"))
			snprintf(latency, sizeof(latency), "%.1f ms", get_number(r, "latency_ms"));
		if (json_object_get(r, "answered_s"))
			snprintf(ago, sizeof(ago), "%s ago", figure_age(age, get_number(r, "answered_s")));
		const char *cells[] = {get_text(r, "name"), get_text(r, "state"), paths, latency, ago};
		table_row(t, cells);
	}
	table_print(t, stdout, 2);
	if (get_number(v, "paths_by_relays_of_others") > 0)
		printf("  paths by relays that peers have asked: %.0f\n", get_number(v, "paths_by_relays_of_others"));
}

static void
print_instance(const char *name, json_t *v)
{
	printf("%s\n", name);
	if (json_is_array(json_object_get(v, "regions")))
		print_regions(json_object_get(v, "regions"));
	else if (json_is_array(json_object_get(v, "servers")))
		print_outside(v);
	else if (json_is_array(json_object_get(v, "peer_relays")))
		print_peer_relays(v);
	else
		render_json(stdout, v, 2);
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
		puts("no instance looks at the network around (classes derp, stun-client, portmap and punch do)");
	json_object_foreach(v, name, i)
		print_instance(name, i);
	json_decref(v);
	return CLI_OK;
}

const struct cli_command cli_netcheck = {
	.name = "netcheck",
	.args = "",
	.doc = "measure the network around: addresses outside, NATs, port mappings, the relays' latencies, peer relays",
	.run = run_netcheck,
};
