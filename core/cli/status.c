/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"
#include "commands.h"

static void
print_problems(json_t *list, const char *before)
{
	size_t i;
	json_t *p;
	json_array_foreach(list, i, p) printf("%s%s: %s\n", before, get_text(p, "what"), get_text(p, "why"));
}

static void
print_ports(const json_t *v)
{
	static const char *const columns[] = {
		"PORT", "LINK", ">RX PPS", ">RX", ">TX PPS", ">TX", ">DROPPED", ">MTU", ">QUEUES", "~DEVICE", NULL};
	struct table *t = table_new(columns);
	size_t i;
	json_t *p;
	json_array_foreach(json_object_get(v, "ports"), i, p)
	{
		char rx[CLI_FIGURE], tx[CLI_FIGURE], rxb[CLI_FIGURE], txb[CLI_FIGURE], lost[CLI_FIGURE], mtu[16],
			queues[16];
		snprintf(mtu, sizeof(mtu), "%.0f", get_number(p, "mtu"));
		snprintf(queues, sizeof(queues), "%.0f", get_number(p, "queues"));
		const char *cells[] = {get_text(p, "name"),
			*get_text(p, "problem") ? "lost"
			: get_flag(p, "up")     ? "up"
						: "down",
			figure_count(rx, get_number(p, "rx_pps")), figure_bits(rxb, get_number(p, "rx_bps")),
			figure_count(tx, get_number(p, "tx_pps")), figure_bits(txb, get_number(p, "tx_bps")),
			figure_count(lost, get_number(p, "rx_dropped") + get_number(p, "tx_dropped")), mtu, queues,
			get_text(p, "device")};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
}

static void
print_workers(const json_t *v)
{
	static const char *const columns[] = {"WORKER", ">CPU", ">BUSY", ">GENERATION", NULL};
	struct table *t = table_new(columns);
	size_t i;
	json_t *w;
	json_array_foreach(json_object_get(v, "workers"), i, w)
	{
		char number[16], cpu[16], busy[16], generation[24];
		snprintf(number, sizeof(number), "%.0f", get_number(w, "worker"));
		snprintf(cpu, sizeof(cpu), "%.0f", get_number(w, "cpu"));
		snprintf(busy, sizeof(busy), "%.1f%%", 100 * get_number(w, "busy"));
		snprintf(generation, sizeof(generation), "%.0f", get_number(w, "generation"));
		bool pinned = !json_object_get(w, "pinned") || get_flag(w, "pinned");
		const char *cells[] = {number, pinned ? cpu : "any", busy, generation};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
}

static void
print_instances(const json_t *v)
{
	static const char *const columns[] = {"INSTANCE", "CLASS", "PLUGIN", "~STATE", NULL};
	struct table *t = table_new(columns);
	size_t i;
	json_t *o;
	json_array_foreach(json_object_get(v, "instances"), i, o)
	{
		const char *cells[] = {get_text(o, "name"), get_text(o, "class"), get_text(o, "plugin"), get_text(o, "state")};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
}

static void
print_plugins(const json_t *v)
{
	static const char *const columns[] = {"PLUGIN", "VERSION", "BUILD-ID", "~FILE", NULL};
	struct table *t = table_new(columns);
	json_t *list = json_object_get(v, "plugins"), *p;
	size_t i;
	json_array_foreach(list, i, p)
	{
		const char *cells[] = {
			get_text(p, "name"), get_text(p, "version"), get_text(p, "build_id"), get_text(p, "path")};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
	json_array_foreach(list, i, p) if (*get_text(p, "gdb")) printf("%s%s: %s\n%*s  %s\n",
		i ? "" : "symbols of what runs:\n", get_text(p, "name"), get_text(p, "gdb"),
		(int)json_string_length(json_object_get(p, "name")), "", get_text(p, "perf"));
}

static void
print_drops(const json_t *v)
{
	json_t *list = json_object_get(v, "drops_last_minute"), *d;
	static const char *const columns[] = {"INSTANCE", "DROPPED FOR", ">LAST MINUTE", ">PER S", "~MEANING", NULL};
	struct table *t = table_new(columns);
	size_t i;
	if (json_array_size(list) == 0)
		puts("no packet was dropped in the last minute");
	json_array_foreach(list, i, d)
	{
		char minute[CLI_FIGURE], second[CLI_FIGURE];
		const char *cells[] = {get_text(d, "instance"), get_text(d, "reason"),
			figure_count(minute, get_number(d, "last_minute")),
			figure_count(second, get_number(d, "per_second")), get_text(d, "meaning")};
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
}

static int
run(const struct cli *c)
{
	json_t *v = client_ask(c, "status", 0, NULL);
	if (!v)
		return CLI_FAILED;
	int rc = get_flag(v, "working") ? CLI_OK : CLI_FAILED;
	if (c->json) {
		cli_print_json(v);
		return rc;
	}
	char age[CLI_FIGURE];
	printf("tailrace %s: %s\n", get_text(v, "version"), rc == CLI_OK ? "working" : "NOT WORKING, or only in part");
	print_problems(json_object_get(v, "problems"), "  ");
	print_problems(json_object_get(v, "notices"), "note: ");
	print_problems(json_object_get(v, "hints"), "hint: ");
	printf("generation %.0f of %s; up for %s, process %.0f%s\n", get_number(v, "generation"),
		*get_text(v, "pipeline") ? get_text(v, "pipeline") : "(no pipeline)",
		figure_age(age, get_number(v, "uptime")), get_number(v, "pid"),
		get_flag(v, "applying") ? "; an apply is under way" : "");
	json_t *peers = json_object_get(v, "peers");
	printf("peers: %.0f of %.0f up\n\n", get_number(peers, "up"), get_number(peers, "total"));
	print_ports(v);
	putchar('\n');
	print_workers(v);
	putchar('\n');
	print_instances(v);
	putchar('\n');
	print_drops(v);
	if (json_array_size(json_object_get(v, "plugins"))) {
		putchar('\n');
		print_plugins(v);
	}
	json_decref(v);
	return rc;
}

const struct cli_command cli_status = {
	.name = "status",
	.args = "",
	.doc = "whether it works, and if not, why",
	.more = "Exit status 1 when something does not work. A peer is up if its session began in the last 180 s.",
	.run = run,
};
