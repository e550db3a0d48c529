/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_SOCKET "/run/tailrace/tailrace.sock"

const struct cli_option cli_common[] = {
	{0, "json", NULL, "print JSON"},
	{0, "socket", "PATH", "the daemon's management socket (default " DEFAULT_SOCKET ", or $TAILRACE_SOCKET)"},
	{'h', "help", NULL, "this text"},
	{0, NULL, NULL, NULL},
};

void
cli_error(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("tailrace: ", stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
	va_end(args);
}

int
cli_print_json(json_t *v)
{
	json_dumpf(v, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	putchar('\n');
	json_decref(v);
	return CLI_OK;
}

const struct cli_command *
cli_find(const char *name)
{
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (strcmp((*c)->name, name) == 0)
			return *c;
	return NULL;
}

/* ---- Help ---- */

static void
print_options(const struct cli_option *o)
{
	char head[48], letter[] = "-x, ";
	for (; o && o->name; o++) {
		letter[1] = o->letter;
		snprintf(head, sizeof(head), "%s--%s%s%s", o->letter ? letter : "    ", o->name, o->value ? " " : "",
			o->value ? o->value : "");
		printf("  %-20s %s\n", head, o->doc);
	}
}

static int
help(const struct cli_command *only)
{
	if (only) {
		printf("usage: tailrace %s%s%s\n\n%s.\n", only->name, *only->args ? " " : "", only->args, only->doc);
		if (only->more)
			printf("\n%s\n", only->more);
		puts("\noptions:");
		print_options(only->options);
		print_options(cli_common);
		return CLI_OK;
	}
	puts("usage: tailrace [--json] [--socket PATH] COMMAND …\n\ncommands:");
	for (const struct cli_command *const *c = cli_commands; *c; c++) {
		char head[64];
		snprintf(head, sizeof(head), "%s %s", (*c)->name, (*c)->args);
		if (!(*c)->hidden)
			printf("  %-32s %s\n", head, (*c)->doc);
	}
	printf("  %-32s %s\n", "INSTANCE COMMAND ...",
		"a command of a plugin's instance (`tailrace show INSTANCE` lists them)");
	puts("\noptions:");
	print_options(cli_common);
	puts("\nexit status: 0 done, 1 failed, 2 a configuration is wrong, 64 wrong usage");
	return CLI_OK;
}

/* ---- Arguments ---- */

struct parse {
	struct cli *c;
	int argc, at;
	char **argv;
	bool help, version;
};

static int
usage(const struct cli *c, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("tailrace: ", stderr);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\ntry `tailrace %s%s--help`\n", c->command ? c->command->name : "", c->command ? " " : "");
	return CLI_USAGE;
}

/* Does `word` name the option? Then *inline_value is what follows its `=`, or NULL. */
static bool
matches(const char *word, const struct cli_option *o, const char **inline_value)
{
	*inline_value = NULL;
	if (word[1] != '-')
		return o->letter && word[1] == o->letter && !word[2];
	size_t len = strlen(o->name);
	if (strncmp(word + 2, o->name, len) != 0 || (word[2 + len] && word[2 + len] != '='))
		return false;
	if (word[2 + len])
		*inline_value = word + 3 + len;
	return true;
}

/* One option word. -1: taken; else an exit status. */
static int
take_option(struct parse *p)
{
	const char *word = p->argv[p->at++], *value;
	const struct cli_option *tables[] = {cli_common, p->c->command ? p->c->command->options : NULL};
	if (strcmp(word, "--version") == 0) {
		p->version = true;
		return -1;
	}
	for (int t = 0; t < 2; t++) {
		for (const struct cli_option *o = tables[t]; o && o->name; o++) {
			if (!matches(word, o, &value))
				continue;
			if (o->value && !value)
				value = p->at < p->argc ? p->argv[p->at++] : NULL;
			else if (!o->value && value)
				return usage(p->c, "--%s takes no value", o->name);
			if (o->value && !value)
				return usage(p->c, "--%s needs %s", o->name, o->value);
			if (t == 1)
				p->c->option[o - tables[t]] = value ? value : "";
			else if (o == &cli_common[0])
				p->c->json = true;
			else if (o == &cli_common[1])
				p->c->socket = value;
			else
				p->help = true;
			return -1;
		}
	}
	return usage(p->c, "unknown option %s", word);
}

/* A word that is no command is an instance: `tailrace INSTANCE COMMAND …`. */
static void
take_command(struct parse *p)
{
	p->c->command = cli_find(p->argv[p->at]);
	if (p->c->command)
		p->at++;
	else
		p->c->command = cli_find("instance");
}

static int
parse(struct parse *p)
{
	struct cli *c = p->c;
	bool options = true;
	while (p->at < p->argc) {
		char *word = p->argv[p->at];
		if (options && word[0] == '-' && word[1] &&
			!(c->command && c->command->raw && c->argc >= c->command->min_args)) {
			if (strcmp(word, "--") == 0) {
				options = false;
				p->at++;
				continue;
			}
			int rc = take_option(p);
			if (rc >= 0)
				return rc;
		} else if (!c->command) {
			take_command(p);
		} else {
			c->argv[c->argc++] = p->argv[p->at++];
		}
	}
	return -1;
}

int
main(int argc, char **argv)
{
	char **words = calloc((size_t)argc + 1, sizeof(*words));
	const char *socket = getenv("TAILRACE_SOCKET");
	struct cli c = {.socket = socket ? socket : DEFAULT_SOCKET, .argv = words};
	struct parse p = {.c = &c, .argc = argc, .at = 1, .argv = argv};
	int rc = words ? parse(&p) : CLI_FAILED;
	if (rc < 0 && p.version)
		rc = printf("tailrace %s\n", TR_VERSION) > 0 ? CLI_OK : CLI_FAILED;
	else if (rc < 0 && (p.help || !c.command))
		rc = help(c.command);
	else if (rc < 0 && c.argc < c.command->min_args)
		rc = usage(&c, "%s needs %s", c.command->name, c.command->args);
	else if (rc < 0 && c.argc > c.command->max_args)
		rc = usage(&c, "%s: unexpected argument `%s`", c.command->name, c.argv[c.command->max_args]);
	else if (rc < 0)
		rc = c.command->run(&c);
	free(words);
	if (fflush(stdout) != 0 && rc == CLI_OK)
		rc = CLI_FAILED;
	return rc;
}
