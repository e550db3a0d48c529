/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What `tailrace bench` runs. A program of its own, because the gateway in it has other ports than the daemon's, and is no
 * part of the core, because it names plugins. The command hands its options over as words KEY=VALUE, and then its arguments.
 */
#include "config/config.h"
#include "config/paths.h"
#include "load.h"
#include "plugin/loader.h"
#include "report.h"
#include "run.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FAILED = 1, WRONG = 2 };

static const char *
option(int argc, char **argv, const char *key)
{
	const size_t len = strlen(key);

	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], key, len) == 0 && argv[i][len] == '=')
			return argv[i] + len + 1;
	return NULL;
}

static int
wrong(const char *what, const char *word, const char *expected)
{
	fprintf(stderr, "tailrace bench: %s `%s`%s\n", what, word, expected);
	return WRONG;
}

static int
unknown(const char *word)
{
	const char *names[RUN_LIST + 3] = {"compare", "report"};
	char expected[160] = "; `tailrace bench --list` has them";

	for (unsigned i = 0; scenarios[i].name; i++)
		names[i + 2] = scenarios[i].name;
	const char *near = did_you_mean(word, names);
	if (near)
		snprintf(expected, sizeof(expected), " (did you mean `%s`?)", near);
	return wrong("no scenario", word, expected);
}

static const char *
plugins_dir(const char *given)
{
	static char path[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (given)
		return given;
	path[n > 0 ? n : 0] = '\0';
	char *tail = strstr(path, "/tests/bench/box/tailrace-bench");
	if (!tail)
		return TAILRACE_PLUGINS_DIR;
	strcpy(tail, "/plugins");
	return path;
}

static int
list(bool json)
{
	json_t *all = json_array();

	for (const struct scenario *s = scenarios; s->name; s++)
		if (json)
			json_array_append_new(all, json_pack("{s:s, s:s, s:b, s:b}", "scenario", s->name, "doc", s->doc, "sizes", s->sized, "peers",
				s->peers));
		else
			printf("%-10s %s%s\n", s->name, s->doc, s->peers ? " (sizes, peers)" : s->sized ? " (sizes)" : "");
	if (json)
		json_dumpf(all, stdout, JSON_INDENT(2)), putchar('\n');
	json_decref(all);
	return 0;
}

static int
sizes(struct run *r, const char *text)
{
	char *copy = strdup(text), *save = NULL;

	for (char *t = strtok_r(copy, ",", &save); t && r->n_sizes < RUN_LIST; t = strtok_r(NULL, ",", &save))
		if (!size_parse(t, &r->size[r->n_sizes++])) {
			int rc = wrong("no size", t, "; expected: 64 to 1420, imix, or jumbo");
			free(copy);
			return rc;
		}
	free(copy);
	return 0;
}

static int
peers(struct run *r, const char *text)
{
	char *copy = strdup(text), *save = NULL, *end;

	for (char *t = strtok_r(copy, ",", &save); t && r->n_peers < RUN_LIST; t = strtok_r(NULL, ",", &save)) {
		unsigned long n = strtoul(t, &end, 10);
		if (*end == 'k' && n <= 100)
			n *= 1000, end++;
		if (*end || n < 1 || n > 100000) {
			int rc = wrong("no number of peers", t, "; expected: 1 to 100k");
			free(copy);
			return rc;
		}
		r->peers[r->n_peers++] = (uint32_t)n;
	}
	free(copy);
	return 0;
}

static int
compare(char **words, int n)
{
	char why[200];
	int rc = WRONG;

	if (n != 2)
		return wrong("compare takes two files, not", n == 1 ? words[0] : "none or more", "");
	json_t *a = report_read(words[0]), *b = a ? report_read(words[1]) : NULL;
	if (b && compare_refuses(a, b, why))
		fprintf(stderr, "tailrace bench: %s and %s can't be compared: %s\n", words[0], words[1], why);
	else if (b)
		compare_print(a, b, stdout), rc = 0;
	json_decref(a);
	json_decref(b);
	return rc;
}

static int
draw(char **words, int n, const char *to)
{
	json_t *file = n == 1 ? report_read(words[0]) : NULL;
	bool good = true;

	if (n != 1)
		return wrong("report takes one file, not", n ? words[1] : "none", "");
	if (!file)
		return WRONG;
	if (to)
		good = report_write(file, to);
	else
		report_print(file, stdout);
	json_decref(file);
	return good ? 0 : FAILED;
}

static int
measure(struct run *r, int argc, char **argv, char **words, int n)
{
	const char *size = option(argc, argv, "size"), *peer = option(argc, argv, "peers"), *trial = option(argc, argv, "trial");
	int rc;

	for (int i = 0; i < n && r->n_scenarios < RUN_LIST; i++)
		if (!(r->scenario[r->n_scenarios++] = scenario_find(words[i])))
			return unknown(words[i]);
	for (unsigned i = 0; n == 0 && scenarios[i].name; i++)
		r->scenario[r->n_scenarios++] = &scenarios[i];
	if ((rc = sizes(r, size ? size : r->quick ? "64,imix,1420" : "64,128,256,512,1024,1420,imix")) != 0 ||
		(rc = peers(r, peer ? peer : "1000")) != 0)
		return rc;
	r->trial = trial ? strtod(trial, NULL) / 1000 : 0;
	if (trial && (r->trial < 0.001 || r->trial > 60))
		return wrong("no time of a trial", trial, "; expected: 1 to 60000 milliseconds");
	r->plugins = plugins_dir(option(argc, argv, "plugins"));
	return run_all(r);
}

int
main(int argc, char **argv)
{
	struct run r = {.quick = option(argc, argv, "quick"), .json = option(argc, argv, "json"), .output = option(argc, argv, "output"),
		.report = option(argc, argv, "report")};
	char **words = argv + argc;

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--") == 0) {
			words = argv + i + 1;
			argc = i;
		}
	int n = 0;
	while (words[n])
		n++;
	if (option(argc, argv, "list"))
		return list(r.json);
	if (n > 0 && strcmp(words[0], "compare") == 0)
		return compare(words + 1, n - 1);
	if (n > 0 && strcmp(words[0], "report") == 0)
		return draw(words + 1, n - 1, r.report);
	return measure(&r, argc, argv, words, n);
}
