/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The command `tailrace`. One table of commands (grammar.c) drives dispatch, --help and completion; each command is a
 * file of its own.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1, /* it did not work: no daemon, no such peer, … */
	CLI_CONFIGURATION =
		2, /* a configuration file is wrong; each mistake has been printed as FILE:LINE:COL: error: … */
	CLI_USAGE = 64,
};

/* An option of a command; --json, --socket and --help are taken by all. */
struct cli_option {
	char letter;       /* 0: long only */
	const char *name;  /* without dashes; NULL ends the table */
	const char *value; /* what follows it ("N"); NULL: a switch */
	const char *doc;
};

enum cli_word { CLI_WORD_NONE, CLI_WORD_FILE, CLI_WORD_INSTANCE, CLI_WORD_PEER, CLI_WORD_CLASS, CLI_WORD_SCENARIO }; /* for completion */

struct cli {
	bool json;          /* --json */
	const char *socket; /* --socket */
	const struct cli_command *command;
	const char
		*option[8]; /* values of the command's options in its table's order; "" for a switch; NULL: not given */
	int argc;           /* positional arguments, bounds checked */
	char **argv;
};

struct cli_command {
	const char *name;
	const char *args; /* "OLD NEW", "[NAME|KEY]" */
	int min_args, max_args;
	enum cli_word word;               /* what the arguments are */
	const char *doc;                  /* a sentence fragment for --help, without a full stop */
	const char *more;                 /* paragraphs for `tailrace COMMAND --help`; may be NULL */
	const struct cli_option *options; /* at most 8; may be NULL */
	bool raw;    /* what follows the first min_args arguments is the command's own, options too */
	bool hidden; /* not in --help */
	int (*run)(const struct cli *c); /* enum cli_exit */
};

extern const struct cli_command *const cli_commands[]; /* NULL at the end */
const struct cli_command *cli_find(const char *name);
extern const struct cli_option cli_common[]; /* those that every command takes */

/* ---- Printing ---- */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2))); /* "tailrace: …" to stderr */
int cli_print_json(json_t *v);                                                 /* takes the reference; CLI_OK */

/* A table that fits the terminal. Columns: "NAME", "<NAME" left (default), ">RX" right, "~TEXT" is cut when the
 * terminal is too narrow. Cells are copied; NULL is "-". */
struct table;
struct table *table_new(const char *const *columns); /* NULL-terminated */
void table_row(struct table *t, const char *const *cells);
void table_print(struct table *t, FILE *f, unsigned indent); /* and frees; nothing when there are no rows */

/* Any JSON as text for people: objects as `key  value` lines, lists of flat objects as tables. */
void render_json(FILE *f, json_t *v, unsigned indent);

/* Text for figures, into buf (returned): 1.2 M, 3.4 Gb/s, 3 d 4 h. */
#define CLI_FIGURE 32
const char *figure_count(char buf[CLI_FIGURE], double v);
const char *figure_bits(char buf[CLI_FIGURE], double bits_per_second);
const char *figure_age(char buf[CLI_FIGURE], double seconds);
