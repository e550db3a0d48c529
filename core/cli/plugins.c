/* SPDX-License-Identifier: BSD-3-Clause */
/* schema and plugins: what may be written into pipeline.yaml. */
#include "config/value.h"
#include "offline.h"

#include <stdlib.h>

#define OPTION_PLUGINS {'p', "plugins", "DIR", "look for plugins here (several: separated by colons)"}

static const struct cli_option options[] = {OPTION_PLUGINS, {0, NULL, NULL, NULL}};
static const struct cli_option plugins_options[] = {
	OPTION_PLUGINS,
	{0, "markdown", NULL, "print a class as tables for its README"},
	{0, NULL, NULL, NULL},
};

static int
schema_run(const struct cli *c)
{
	struct catalogue catalogue = {0};
	offline_catalogue(c->option[0], &catalogue);
	char *text = plan_schema(&catalogue);
	catalogue_free(&catalogue);
	if (text == NULL)
		return CLI_FAILED;
	puts(text);
	free(text);
	return CLI_OK;
}

const struct cli_command cli_schema = {
	.name = "schema",
	.args = "",
	.doc = "JSON Schema of pipeline.yaml, for editors",
	.options = options,
	.run = schema_run,
};

/* ---- plugins ---- */

static const char *const types[] = {"ip", "udp", "endpoint", "any"};          /* enum tr_gate_type */
static const char *const changes[] = {"live", "recreate", "restart"}; /* enum tr_option_change */

static void
gate_json(json_t *list, const char *name, enum tr_gate_type type, uint32_t flags, const char *doc)
{
	if (flags & TR_GATE_INTERNAL)
		return;
	json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s*}", "gate", flags & TR_GATE_DYNAMIC ? "(named by links)" : name,
		"type", types[type], "needed", flags & (TR_GATE_OPTIONAL | TR_GATE_DYNAMIC) ? "optional" : "yes", "doc", doc));
}

static json_t *
options_json(const struct tr_option *o)
{
	json_t *list = json_array();
	for (; o != NULL && o->key != NULL; o++) {
		char value[300];
		const struct tr_option element = o->flags & TR_OPT_LIST ? value_element(o) : *o;
		value_expected(&element, value, sizeof(value));
		json_array_append_new(list, json_pack("{s:s, s:s+, s:s, s:s, s:s*}", "option", o->key, "value",
			o->flags & TR_OPT_LIST ? "a list; each: " : "", value, "default", o->flags & TR_OPT_REQUIRED ? "required" :
			o->def != NULL ? o->def : "none", "change", changes[o->change], "doc", o->doc));
	}
	return list;
}

static json_t *
class_json(const struct catalogue_entry *e)
{
	const struct tr_class *k = e->class_;
	json_t *in = json_array(), *out = json_array(), *drops = json_array(), *counters = json_array();
	for (const struct tr_in_gate *g = k->in; g != NULL && g->name != NULL; g++)
		gate_json(in, g->name, g->type, g->flags | TR_GATE_OPTIONAL, g->doc);
	for (const struct tr_out_gate *g = k->out; g != NULL && g->name != NULL; g++)
		gate_json(out, g->name, g->type, g->flags, g->doc);
	for (const struct tr_drop_reason *r = k->drops; r != NULL && r->name != NULL; r++)
		json_array_append_new(drops, json_pack("{s:s, s:s*}", "drop", r->name, "doc", r->doc));
	for (const struct tr_counter *n = k->counters; n != NULL && n->name != NULL; n++)
		json_array_append_new(counters, json_pack("{s:s, s:s*}", "counter", n->name, "doc", n->doc));
	return json_pack("{s:s, s:s*, s:s, s:s, s:o, s:o, s:o, s:o, s:o}", "class", k->name, "summary", k->summary, "plugin",
		e->plugin != NULL ? e->plugin->desc->name : "core", "version", e->plugin != NULL ? e->plugin->desc->version : "-",
		"options", options_json(k->options), "in", in, "out", out, "drops", drops, "counters", counters);
}

static void
print_list(const char *title, const json_t *list, const char *const *columns, const char *const *keys, unsigned n)
{
	size_t i;
	json_t *row;
	if (json_array_size(list) == 0)
		return;
	if (title != NULL)
		printf("\n%s\n", title);
	struct table *t = table_new(columns);
	json_array_foreach(list, i, row) {
		const char *cells[8];
		for (unsigned k = 0; k < n; k++)
			cells[k] = json_string_value(json_object_get(row, keys[k]));
		table_row(t, cells);
	}
	table_print(t, stdout, 0);
}

/* What a class has, in the order in which both text and Markdown show it. */
static const struct section {
	const char *title, *list, *columns[6], *heads[6], *keys[6];
	unsigned n;
} sections[] = {
	{"options", "options", {"OPTION", "DEFAULT", "CHANGE", "~VALUE", "~"}, {"option", "default", "change", "value", ""},
		{"option", "default", "change", "value", "doc"}, 5},
	{"in gates", "in", {"GATE", "TYPE", "~"}, {"in gate", "type", ""}, {"gate", "type", "doc"}, 3},
	{"out gates", "out", {"GATE", "TYPE", "LINK", "~"}, {"out gate", "type", "link", ""},
		{"gate", "type", "needed", "doc"}, 4},
	{"drop reasons", "drops", {"DROP", "~"}, {"drop reason", ""}, {"drop", "doc"}, 2},
	{"counters", "counters", {"COUNTER", "~"}, {"counter", ""}, {"counter", "doc"}, 2},
};
#define N_SECTIONS (sizeof(sections) / sizeof(sections[0]))

static void
print_class(const json_t *k)
{
	printf("%s: %s\nplugin %s %s\n", json_string_value(json_object_get(k, "class")),
		json_string_value(json_object_get(k, "summary")), json_string_value(json_object_get(k, "plugin")),
		json_string_value(json_object_get(k, "version")));
	for (const struct section *s = sections; s < sections + N_SECTIONS; s++)
		print_list(s->title, json_object_get(k, s->list), s->columns, s->keys, s->n);
}

/* A cell of a Markdown table; names in code, and nothing that would end the cell. */
static void
markdown_cell(const char *text, bool name)
{
	fputs(name ? "| `" : "| ", stdout);
	for (; text != NULL && *text; text++)
		printf(*text == '|' ? "\\|" : "%c", *text);
	fputs(name ? "` " : " ", stdout);
}

static void
markdown_class(const json_t *k)
{
	bool first = true;
	for (const struct section *s = sections; s < sections + N_SECTIONS; s++) {
		const json_t *list = json_object_get(k, s->list);
		size_t i;
		json_t *row;
		if (json_array_size(list) == 0)
			continue;
		if (!first)
			putchar('\n');
		first = false;
		for (unsigned c = 0; c < s->n; c++)
			markdown_cell(s->heads[c], false);
		puts("|");
		for (unsigned c = 0; c < s->n; c++)
			fputs("|---", stdout);
		puts("|");
		json_array_foreach(list, i, row) {
			for (unsigned c = 0; c < s->n; c++) {
				const char *text = json_string_value(json_object_get(row, s->keys[c]));
				markdown_cell(text, c == 0 && text[0] != '(');
			}
			puts("|");
		}
	}
}

static int
print_catalogue(const struct cli *c, const struct catalogue *catalogue)
{
	static const char *const columns[] = {"CLASS", "PLUGIN", "VERSION", "~", NULL};
	static const char *const keys[] = {"class", "plugin", "version", "summary"};
	json_t *classes = json_array(), *refused = json_array();
	for (unsigned i = 0; i < catalogue->n; i++)
		json_array_append_new(classes, class_json(&catalogue->v[i]));
	for (unsigned i = 0; i < catalogue->n_refused; i++) {
		json_array_append_new(refused, json_pack("{s:s, s:s}", "path", catalogue->refused[i].path, "why",
			catalogue->refused[i].why));
		if (!c->json)
			cli_error("%s: not loaded: %s", catalogue->refused[i].path, catalogue->refused[i].why);
	}
	if (c->json)
		return cli_print_json(json_pack("{s:o, s:o}", "classes", classes, "refused", refused));
	print_list(NULL, classes, columns, keys, 4);
	json_decref(classes);
	json_decref(refused);
	return CLI_OK;
}

static int
plugins_run(const struct cli *c)
{
	struct catalogue catalogue = {0};
	int rc = CLI_OK;
	offline_catalogue(c->option[0], &catalogue);
	const struct catalogue_entry *e = c->argc > 0 ? catalogue_find(&catalogue, c->argv[0]) : NULL;
	if (e != NULL) {
		json_t *k = class_json(e);
		if (c->json) {
			cli_print_json(k);
		} else {
			(c->option[1] ? markdown_class : print_class)(k);
			json_decref(k);
		}
	} else if (c->argc > 0) {
		cli_error("no class `%s` (`tailrace plugins` lists them)", c->argv[0]);
		rc = CLI_FAILED;
	} else {
		rc = print_catalogue(c, &catalogue);
	}
	catalogue_free(&catalogue);
	return rc;
}

const struct cli_command cli_plugins = {
	.name = "plugins",
	.args = "[CLASS]",
	.max_args = 1,
	.word = CLI_WORD_CLASS,
	.doc = "the classes there are, or one with its options, gates, drop reasons and counters",
	.options = plugins_options,
	.run = plugins_run,
};
