/* SPDX-License-Identifier: BSD-3-Clause */
/* bench: hands over to the program that measures, which is beside this one in the build tree or in libexec. */
#include "offline.h"

#include "config/paths.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cli_option options[] = {
	{'q', "quick", NULL, "5 to 10 seconds: 64 bytes, IMIX and 1420, short trials"},
	{'l', "list", NULL, "list the scenarios"},
	{'s', "size", "LIST", "sizes of IP packets: 64 to 1420, imix, jumbo; separated by commas"},
	{0, "peers", "LIST", "how many peers take part: 1 to 100k (default 1000)"},
	{'t', "trial", "MS", "milliseconds of one trial (default 100, --quick: 10)"},
	{'o', "output", "FILE", "keep the figures in this file (JSON), after each one"},
	{'r', "report", "FILE", "write a report with plots by gnuplot (HTML, or SVG if it ends so; nothing from elsewhere)"},
	{'p', "plugins", "DIR", "look for plugins here"},
	{0, NULL, NULL, NULL},
};
#define OPTIONS (sizeof(options) / sizeof(*options) - 1)

static const char *
program(void)
{
	static char path[PATH_MAX];
	const ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	path[n > 0 ? n : 0] = '\0';
	char *tail = strstr(path, "/core/cli/");
	if (!tail)
		return TAILRACE_LIBEXEC_DIR "/tailrace-bench";
	snprintf(tail, sizeof(path) - (size_t)(tail - path), "/tests/bench/box/tailrace-bench");
	return path;
}

bool
bench_takes_files(const char *word)
{
	return strcmp(word, "compare") == 0 || strcmp(word, "report") == 0;
}

void
bench_scenarios(void (*each)(const char *name, const char *word), const char *word)
{
	const char *path = program();
	char line[256];
	int fd[2];

	each("compare", word);
	each("report", word);
	fflush(stdout);
	if (pipe(fd) != 0)
		return;
	const pid_t pid = fork();
	if (pid == 0) {
		if (dup2(fd[1], STDOUT_FILENO) >= 0)
			execl(path, path, "list=", (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	FILE *f = fdopen(fd[0], "r");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, " \n")] = '\0';
		each(line, word);
	}
	if (f)
		fclose(f);
	else
		close(fd[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static int
run(const struct cli *c)
{
	static char name[] = "tailrace bench", json[] = "json=", end[] = "--";
	static char word[OPTIONS][PATH_MAX];
	char **argv = calloc(OPTIONS + (size_t)c->argc + 4, sizeof(*argv));
	size_t n = 0;

	if (!argv)
		return CLI_FAILED;
	argv[n++] = name;
	for (size_t i = 0; i < OPTIONS; i++) {
		if (!c->option[i])
			continue;
		snprintf(word[i], sizeof(word[i]), "%s=%s", options[i].name, c->option[i]);
		argv[n++] = word[i];
	}
	if (c->json)
		argv[n++] = json;
	argv[n++] = end;
	for (int i = 0; i < c->argc; i++)
		argv[n++] = c->argv[i];
	execv(program(), argv);
	cli_error("%s is not there", program());
	free(argv);
	return CLI_FAILED;
}

const struct cli_command cli_bench = {
	.name = "bench",
	.args = "[SCENARIO...]",
	.max_args = 64,
	.word = CLI_WORD_SCENARIO,
	.doc = "measure what this box can carry, beside the limit that its CPU sets",
	.more = "Needs no root, no hugepages and no NIC: a gateway in one process, its worker on one CPU, and a generator on another. Of each "
		"scenario: clocks per packet, by node, and those of the AEAD alone for the same packets; the most that came through (MRR), "
		"with up to 0.5 % lost (PDR) and with none lost (NDR). All scenarios, unless some are named: `l3`, `l3-ipv6`, `encrypt`, "
		"`decrypt`, `tunnel`, `stun`, `dns`; `--list` says what they are.\n\n"
		"`tailrace bench compare A.json B.json` tells what differs by more than the noise; `tailrace bench report A.json` draws. "
		"Ctrl-C leaves in the file what was measured. Exit status 2: an unknown scenario, a file that can't be read or compared.",
	.options = options,
	.run = run,
};
