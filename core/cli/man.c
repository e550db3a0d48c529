/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The manual pages, from the tables that parse: this command's, those of appliance.cfg, those of every class. Hidden: the
 * build asks for them.
 */
#include "commands.h"
#include "config/manual.h"
#include "config/value.h"
#include "offline.h"

#include <string.h>

/* Text in roff: no macro at the start of a line, no escape, and hyphens that can be pasted. `Backquotes` are bold. */
static void
put(const char *text)
{
	bool bold = false, start = true;
	for (; text && *text; text++) {
		if (start && (*text == '.' || *text == '\''))
			fputs("\\&", stdout);
		start = *text == '\n';
		if (*text == '\\')
			fputs("\\e", stdout);
		else if (*text == '-')
			fputs("\\-", stdout);
		else if (*text == '`')
			fputs((bold = !bold) ? "\\fB" : "\\fR", stdout);
		else if (strncmp(text, "\n\n", 2) == 0)
			fputs("\n.PP", stdout), text++, start = true, putchar('\n');
		else
			putchar(*text);
	}
	if (bold)
		fputs("\\fR", stdout);
	putchar('\n');
}

static void
put_bold(const char *text)
{
	fputs("\\fB", stdout);
	for (; *text; text++)
		fputs(*text == '-' ? "\\-" : *text == '\\' ? "\\e" : (const char[]){*text, 0}, stdout);
	fputs("\\fR", stdout);
}

static void
title(const char *name, int section, const char *what)
{
	printf(".TH \"%s\" \"%d\" \"\" \"Tailrace " TR_VERSION "\"\n.SH NAME\n%s \\- %s\n", name, section, name, what);
}

static void
put_options(const struct cli_option *o)
{
	for (; o && o->name; o++) {
		char name[64];
		puts(".TP");
		if (o->letter)
			printf("\\fB\\-%c\\fR, ", o->letter);
		snprintf(name, sizeof(name), "--%s", o->name);
		put_bold(name);
		if (o->value)
			printf(" \\fI%s\\fR", o->value);
		putchar('\n');
		put(o->doc);
	}
}

/* ---- tailrace.1 ---- */

static void
put_command(const struct cli_command *c)
{
	char usage[160];
	snprintf(usage, sizeof(usage), "tailrace %s %s", c->name, c->args);
	puts(".SS");
	put_bold(usage);
	putchar('\n');
	printf("%c", c->doc[0] >= 'a' && c->doc[0] <= 'z' ? c->doc[0] - 32 : c->doc[0]);
	char text[512];
	snprintf(text, sizeof(text), "%s.", c->doc + 1);
	put(text);
	if (c->more) {
		puts(".PP");
		put(c->more);
	}
	put_options(c->options);
}

static void
page_command(void)
{
	title("tailrace", 1, "talks to the gateway tailraced, and checks what it is configured with");
	puts(".SH SYNOPSIS\n\\fBtailrace\\fR [\\fB\\-\\-json\\fR] [\\fB\\-\\-socket\\fR \\fIPATH\\fR] \\fICOMMAND\\fR …\n.br\n"
	     "\\fBtailrace\\fR \\fIINSTANCE\\fR \\fICOMMAND\\fR …\n.SH DESCRIPTION");
	put("Each command is one question or one change. Those that read files need no daemon; the others ask it through its "
	    "management socket, which belongs to a group. Every command prints text for people, or with `--json` the same as "
	    "JSON.");
	puts(".SH OPTIONS");
	put_options(cli_common);
	puts(".SH COMMANDS");
	for (const struct cli_command *const *c = cli_commands; *c; c++)
		if (!(*c)->hidden)
			put_command(*c);
	puts(".SS");
	put_bold("tailrace INSTANCE COMMAND ...");
	put("\nA command of a plugin's instance; `tailrace show INSTANCE` lists them.");
	puts(".SH EXIT STATUS");
	put("0 done, 1 failed, 2 a configuration is wrong (each mistake is printed as FILE:LINE:COL), 64 wrong usage.");
	puts(".SH ENVIRONMENT\n.TP\n\\fBTAILRACE_SOCKET\\fR\nThe management socket, if not /run/tailrace/tailrace.sock.\n.TP\n"
	     "\\fBTAILRACE_PLUGINS\\fR\nDirectories of plugins for the commands that read files, separated by colons.\n"
	     ".SH SEE ALSO\n\\fBtailraced\\fR(8), \\fBtailrace\\-pipeline\\fR(5), \\fBwg\\fR(8)");
}

/* ---- tailraced.8 ---- */

static void
put_key(const struct tr_option *o)
{
	char value[300];
	const struct tr_option element = o->flags & TR_OPT_LIST ? value_element(o) : *o;
	value_expected(&element, value, sizeof(value));
	puts(".TP");
	put_bold(o->key);
	printf(" = \\fI%s", o->flags & TR_OPT_LIST ? "a list; each: " : "");
	for (const char *p = value; *p; p++)
		fputs(*p == '-' ? "\\-" : *p == '`' ? "" : (const char[]){*p, 0}, stdout);
	puts("\\fR");
	char text[600];
	snprintf(text, sizeof(text), "%s%s%s%s", o->doc ? o->doc : "", o->doc && o->doc[strlen(o->doc) - 1] == '.' ? "" : ".",
		o->flags & TR_OPT_REQUIRED ? " Required."
		: o->def		   ? " Default: "
					   : "",
		!(o->flags & TR_OPT_REQUIRED) && o->def ? o->def : "");
	put(text);
}

static void
put_appliance_key(void *arg, const char *section, const struct tr_option *o)
{
	const char **last = arg;
	if (!*last || strcmp(*last, section) != 0) {
		puts(".SS");
		put(*section ? section : "At the top");
		*last = section;
	}
	put_key(o);
}

static void
page_daemon(void)
{
	const char *last = NULL;
	title("tailraced", 8, "the gateway");
	puts(".SH SYNOPSIS\n\\fBtailraced\\fR [\\fB\\-c\\fR \\fIAPPLIANCE.CFG\\fR] [\\fB\\-p\\fR \\fIPIPELINE.YAML\\fR]\n"
	     ".SH DESCRIPTION");
	put("Opens the ports that `appliance.cfg` names, runs the pipeline, and answers at the management socket until told to "
	    "end.\n\nSIGHUP applies the pipeline file again, as `tailrace reload` does: validated first, and refused as a whole if "
	    "anything is wrong. SIGTERM and SIGINT end it.");
	puts(".SH OPTIONS\n.TP\n\\fB\\-c\\fR \\fIFILE\\fR\nWhat this box is (default /etc/tailrace/appliance.cfg).\n.TP\n\\fB\\-p\\fR "
	     "\\fIFILE\\fR\nWhat it does (default: the key \\fBpipeline\\fR of appliance.cfg).\n.TP\n\\fB\\-V\\fR\nVersion.\n"
	     ".SH APPLIANCE.CFG");
	put("In the syntax of libconfig. Read once, at start.");
	appliance_each_key(put_appliance_key, &last);
	puts(".SH EXIT STATUS\n0 ended as told, 1 it could not start, 2 a configuration is wrong.\n.SH FILES\n"
	     "/etc/tailrace/appliance.cfg, /run/tailrace/tailrace.sock, /run/wireguard/*.sock, /var/lib/tailrace\n"
	     ".SH SEE ALSO\n\\fBtailrace\\fR(1), \\fBtailrace\\-pipeline\\fR(5)");
}

/* ---- tailrace-pipeline.5 ---- */

static void
put_gates(const struct tr_class *k)
{
	for (const struct tr_in_gate *g = k->in; g && g->name; g++) {
		if (g->flags & TR_GATE_INTERNAL)
			continue;
		printf(".TP\n-> ");
		put_bold(g->name);
		putchar('\n');
		put(g->doc ? g->doc : "");
	}
	for (const struct tr_out_gate *g = k->out; g && g->name; g++) {
		if (g->flags & TR_GATE_INTERNAL)
			continue;
		puts(".TP");
		put_bold(g->flags & TR_GATE_DYNAMIC ? "(named by links)" : g->name);
		puts(" ->");
		put(g->doc ? g->doc : "");
	}
}

static void
put_class(const struct tr_class *k)
{
	printf(".SS class: %s\n", k->name);
	put(k->summary);
	for (const struct tr_option *o = k->options; o && o->key; o++)
		put_key(o);
	put_gates(k);
}

static void
page_pipeline(const char *dirs)
{
	struct catalogue c = {0};
	offline_catalogue(dirs, &c);
	title("tailrace-pipeline", 5, "what a gateway does: pipeline.yaml");
	puts(".SH DESCRIPTION");
	put("A YAML file of three parts. `instances` holds `NAME: {class: CLASS, OPTION: VALUE …}`. `links` is a list of "
	    "`INSTANCE.GATE -> INSTANCE.GATE`: an out gate has one link, an in gate any number; `drop` is always there. `netmap` "
	    "holds `domain`, `names`, and `peers`: `public_key`, `preshared_key`, `allowed_ips`, `endpoint`, "
	    "`persistent_keepalive`, and `interface` where there are several.\n\nA route leads to a gate, allowed IPs choose the "
	    "peer; neither follows from the other. Secrets are only ever `file:PATH`. Unknown keys, duplicate keys and gates "
	    "that are not wired are errors; `tailrace check` finds them without a daemon.");
	puts(".SH CLASSES");
	for (unsigned i = 0; i < c.n; i++)
		put_class(c.v[i].class_);
	puts(".SH SEE ALSO\n\\fBtailrace\\fR(1), \\fBtailraced\\fR(8)");
	catalogue_free(&c);
}

static int
run(const struct cli *c)
{
	if (strcmp(c->argv[0], "tailrace") == 0)
		page_command();
	else if (strcmp(c->argv[0], "tailraced") == 0)
		page_daemon();
	else if (strcmp(c->argv[0], "tailrace-pipeline") == 0)
		page_pipeline(c->option[0]);
	else
		return cli_error("pages: tailrace, tailraced, tailrace-pipeline"), CLI_USAGE;
	return CLI_OK;
}

static const struct cli_option options[] = {
	{'p', "plugins", "DIR", "look for plugins here (several: separated by colons)"},
	{0, NULL, NULL, NULL},
};

const struct cli_command cli_man = {
	.name = "man",
	.args = "PAGE",
	.min_args = 1,
	.max_args = 1,
	.doc = "print a manual page",
	.options = options,
	.hidden = true,
	.run = run,
};
