/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Completion. `tailrace complete` prints the bash function, `tailrace complete --zsh` that of zsh; both call `tailrace complete
 * WORD…` with the words so far and get candidates, one a line, from the same table that parses them. "FILE" asks for file
 * names.
 */
#include "client.h"
#include "commands.h"
#include "offline.h"

#include <string.h>

static const char zsh_script[] = "#compdef tailrace\n"
				 "local -a c\n"
				 "c=(\"${(@f)$(tailrace complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
				 "if [[ $c[1] == FILE ]]; then\n"
				 "\t_files\n"
				 "else\n"
				 "\tcompadd -- ${(@)c:#}\n"
				 "fi\n";

static const char script[] = "_tailrace()\n"
			     "{\n"
			     "\tlocal c\n"
			     "\tmapfile -t c < <(tailrace complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
			     "\tif [[ ${c[0]} == FILE ]]; then\n"
			     "\t\tcompopt -o filenames\n"
			     "\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$2\")\n"
			     "\telse\n"
			     "\t\tCOMPREPLY=(\"${c[@]}\")\n"
			     "\tfi\n"
			     "}\n"
			     "complete -F _tailrace tailrace\n";

static void
offer(const char *candidate, const char *word)
{
	if (strncmp(candidate, word, strlen(word)) == 0)
		puts(candidate);
}

static void
offer_options(const struct cli_option *o, const char *word)
{
	char name[40];
	for (; o && o->name; o++) {
		snprintf(name, sizeof(name), "--%s", o->name);
		offer(name, word);
	}
}

/* Names that only the daemon knows; none when it is not running. */
static void
offer_names(const struct cli *c, const char *list, const char *word)
{
	json_t *names = client_try(c, "names"), *v;
	size_t i;
	json_array_foreach(json_object_get(names, list), i, v) offer(json_string_value(v), word);
	json_decref(names);
}

static void
offer_word(const struct cli *c, enum cli_word kind, const char *word)
{
	switch (kind) {
	case CLI_WORD_FILE:
		puts("FILE");
		break;
	case CLI_WORD_INSTANCE:
		offer_names(c, "instances", word);
		break;
	case CLI_WORD_PEER:
		offer_names(c, "peers", word);
		break;
	case CLI_WORD_CLASS:
		offer_names(c, "classes", word);
		break;
	case CLI_WORD_SCENARIO:
		bench_scenarios(offer, word);
		break;
	case CLI_WORD_NONE:
		break;
	}
}

/* The option that a word is, if a value follows it. */
static const struct cli_option *
wants_value(const struct cli_option *o, const char *word)
{
	for (; word[0] == '-' && o && o->name; o++)
		if (o->value && (word[1] == '-' ? strcmp(word + 2, o->name) == 0 : word[1] == o->letter && !word[2]))
			return o;
	return NULL;
}

static int
run(const struct cli *c)
{
	if (c->argc == 0) {
		fputs(script, stdout);
		return CLI_OK;
	}
	if (c->argc == 1 && strcmp(c->argv[0], "--zsh") == 0) {
		fputs(zsh_script, stdout);
		return CLI_OK;
	}
	const char *word = c->argv[c->argc - 1];
	const struct cli_command *command = NULL;
	const struct cli_option *of = NULL; /* the option whose value the word is */
	enum cli_word kind = CLI_WORD_NONE;
	for (int i = 0; i < c->argc - 1; i++) {
		of = wants_value(command ? command->options : NULL, c->argv[i]);
		if (command && command->word == CLI_WORD_SCENARIO && bench_takes_files(c->argv[i]))
			kind = CLI_WORD_FILE;
		if (command || c->argv[i][0] == '-')
			continue;
		command = cli_find(c->argv[i]);
		kind = command ? command->word : CLI_WORD_NONE;
	}
	if (of) {
		offer_word(c, strcmp(of->value, "FILE") == 0 || strcmp(of->value, "DIR") == 0 ? CLI_WORD_FILE : CLI_WORD_NONE, word);
	} else if (word[0] == '-') {
		offer_options(command ? command->options : NULL, word);
		offer_options(cli_common, word);
	} else if (command) {
		offer_word(c, kind, word);
	} else {
		for (const struct cli_command *const *k = cli_commands; *k; k++)
			if (!(*k)->hidden)
				offer((*k)->name, word);
		offer_word(c, CLI_WORD_INSTANCE, word);
	}
	return CLI_OK;
}

const struct cli_command cli_complete = {
	.name = "complete",
	.args = "[WORD…]",
	.max_args = 1 << 20,
	.doc = "print the bash completion",
	.raw = true,
	.hidden = true,
	.run = run,
};
