/* SPDX-License-Identifier: BSD-3-Clause */
/* stats and drops: what is counted, and what was counted per second in the last one. */
#include "client.h"
#include "commands.h"

static void
print_counter(struct table *t, const char *where, const char *what, const json_t *value, double per_second)
{
	char total[32], rate[CLI_FIGURE];
	snprintf(total, sizeof(total), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	const char *cells[] = {where, what, total, figure_count(rate, per_second)};
	table_row(t, cells);
}

static void
print_instance(struct table *t, const char *name, json_t *i, bool all)
{
	static const char *const groups[][3] = {
		{"in", "in_per_second", "in "}, {"counters", "counters_per_second", ""}};
	const char *key;
	json_t *v;
	char what[96];
	for (size_t g = 0; g < 2; g++) {
		json_t *rates = json_object_get(i, groups[g][1]);
		json_object_foreach(json_object_get(i, groups[g][0]), key, v)
		{
			if (!all && json_integer_value(v) == 0)
				continue;
			snprintf(what, sizeof(what), "%s%s", groups[g][2], key);
			print_counter(t, name, what, v, get_number(rates, key));
		}
	}
}

static int
run_stats(const struct cli *c)
{
	json_t *v = client_ask(c, "stats", c->argc, c->argv);
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	static const char *const columns[] = {"INSTANCE", "COUNTER", ">TOTAL", ">PER S", NULL};
	struct table *t = table_new(columns);
	const char *key;
	json_t *o, *rates = json_object_get(v, "totals_per_second");
	if (c->argc == 0)
		json_object_foreach(json_object_get(v, "totals"), key, o)
			print_counter(t, "(all)", key, o, get_number(rates, key));
	json_object_foreach(json_object_get(v, "instances"), key, o) print_instance(t, key, o, c->argc > 0);
	table_print(t, stdout, 0);
	json_decref(v);
	return CLI_OK;
}

const struct cli_command cli_stats = {
	.name = "stats",
	.args = "[INSTANCE]",
	.max_args = 1,
	.word = CLI_WORD_INSTANCE,
	.doc = "counters of every instance, in total and per second",
	.more = "rx + created = tx + drops + held, always: no packet leaves uncounted. Without INSTANCE, counters at "
		"zero are left out. With --json also what each thread has of the totals: a packet that goes from one to another is held by "
		"the sender's book, and taken off the receiver's.",
	.run = run_stats,
};

static void
print_drops_by_peer(const json_t *v)
{
	static const char *const columns[] = {"PEER", "INSTANCE", "DROPPED FOR", ">TOTAL", NULL};
	struct table *t = table_new(columns);
	size_t i;
	json_t *d;
	json_array_foreach(json_object_get(v, "by_peer"), i, d)
	{
		char number[24], total[32];
		snprintf(number, sizeof(number), "#%.0f", get_number(d, "peer"));
		snprintf(total, sizeof(total), "%.0f", get_number(d, "packets"));
		const char *name = get_text(d, "name"), *key = get_text(d, "public_key");
		const char *cells[] = {*name ? name : *key ? key : number, get_text(d, "instance"), get_text(d, "reason"), total};
		table_row(t, cells);
	}
	if (json_array_size(json_object_get(v, "by_peer")))
		puts("\nof packets whose peer was known:");
	table_print(t, stdout, 0);
}

static int
run_drops(const struct cli *c)
{
	json_t *v = client_ask(c, "drops", 0, NULL), *list = json_object_get(v, "drops"), *d;
	if (!v)
		return CLI_FAILED;
	if (c->json)
		return cli_print_json(v);
	static const char *const columns[] = {
		"INSTANCE", "DROPPED FOR", ">TOTAL", ">LAST MINUTE", ">PER S", "~MEANING", NULL};
	struct table *t = table_new(columns);
	size_t i;
	if (json_array_size(list) == 0)
		puts("no packet was dropped");
	json_array_foreach(list, i, d)
	{
		char total[32], minute[CLI_FIGURE], second[CLI_FIGURE];
		snprintf(total, sizeof(total), "%.0f", get_number(d, "packets"));
		const char *cells[] = {get_text(d, "instance"), get_text(d, "reason"), total,
			figure_count(minute, get_number(d, "last_minute")),
			figure_count(second, get_number(d, "per_second")), get_text(d, "meaning")};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
	print_drops_by_peer(v);
	json_decref(v);
	return CLI_OK;
}

const struct cli_command cli_drops = {
	.name = "drops",
	.args = "",
	.doc = "packets dropped, by instance, reason and peer, recent ones first",
	.more = "By peer: the last few hundred pairs of peer and reason of each thread. A packet has a peer once its session is found "
		"(from it) or\n"
		"its allowed IP is (to it).",
	.run = run_drops,
};
