/* SPDX-License-Identifier: BSD-3-Clause */
/* check, diff, graph: what can be said of a pipeline.yaml without running it. */
#include "offline.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* ---- check ---- */

enum { CHECK_APPLIANCE, CHECK_PLUGINS };
static const struct cli_option check_options[] = {
	{'a', "appliance", "FILE", "check this appliance.cfg too, and the ports that the pipeline names"},
	{'p', "plugins", "DIR", "look for plugins here (several: separated by colons)"},
	{0, NULL, NULL, NULL},
};

static unsigned
count_links(const struct plan *p)
{
	unsigned n = 0;
	for (unsigned i = 0; i < p->n_instances; i++)
		for (unsigned g = 0; g < p->instance[i].n_out; g++)
			n += p->instance[i].out[g].to >= 0 && !(p->instance[i].out[g].flags & TR_GATE_INTERNAL);
	return n;
}

static int
check_print(const struct cli *c, const char *file, const struct plan *p, const struct diags *d)
{
	if (c->json) {
		cli_print_json(json_pack("{s:b, s:o}", "ok", p != NULL, "diagnostics", offline_json(d)));
	} else {
		offline_print(d);
		if (p != NULL)
			printf("%s: good: %u instances, %u links, %u peers\n", file, p->n_instances, count_links(p), p->n_peers);
	}
	return p != NULL ? CLI_OK : CLI_CONFIGURATION;
}

static int
check_run(const struct cli *c)
{
	struct diags d = {0};
	struct catalogue catalogue = {0};
	struct appliance a;
	struct arena *arena = arena_new(64u << 20);
	bool ports = c->option[CHECK_APPLIANCE] != NULL;
	bool good = !ports || (arena != NULL && appliance_load(arena, c->option[CHECK_APPLIANCE], &a, &d));
	offline_catalogue(c->option[CHECK_PLUGINS], &catalogue);
	struct plan *p = plan_load(c->argv[0], &catalogue, ports && good ? &a : NULL, false, &d);
	int rc = check_print(c, c->argv[0], good ? p : NULL, &d);
	plan_free(p);
	catalogue_free(&catalogue);
	arena_free(arena);
	diags_free(&d);
	return rc;
}

const struct cli_command cli_check = {
	.name = "check",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_FILE,
	.doc = "check a pipeline.yaml as the daemon would",
	.more = "Every mistake is printed as FILE:LINE:COL: error: …; warnings do not fail the check. Secrets that are absent\n"
		"on this machine are warnings here, and errors at start.",
	.options = check_options,
	.run = check_run,
};

/* ---- diff ---- */

static const struct cli_option diff_options[] = {
	{'p', "plugins", "DIR", "look for plugins here (several: separated by colons)"},
	{0, NULL, NULL, NULL},
};

static int
diff_print(const struct cli *c, const struct plan_diff *diff)
{
	static const char *const verbs[] = {"keep", "create", "recreate", "reconfigure", "remove", "restart", "link", "unlink",
		"peer_add", "peer_change", "peer_remove", "names"}; /* enum plan_verb */
	json_t *actions = json_array();
	unsigned kept = 0;
	for (unsigned i = 0; i < diff->n; i++) {
		const struct plan_action *a = &diff->v[i];
		json_array_append_new(actions, json_pack("{s:s, s:s*}", "verb", verbs[a->verb], "text", a->text));
		kept += a->verb == PLAN_KEEP;
		if (!c->json && a->verb != PLAN_KEEP)
			puts(a->text != NULL ? a->text : "out of memory");
	}
	if (c->json)
		return cli_print_json(json_pack("{s:b, s:o}", "restart", diff->restart, "actions", actions));
	json_decref(actions);
	if (kept == diff->n)
		puts("nothing changes");
	else if (diff->restart)
		puts("a restart is needed");
	return CLI_OK;
}

static int
diff_run(const struct cli *c)
{
	struct diags d = {0};
	struct catalogue catalogue = {0};
	struct plan_diff diff;
	int rc = CLI_CONFIGURATION;
	offline_catalogue(c->option[0], &catalogue);
	struct plan *from = plan_load(c->argv[0], &catalogue, NULL, false, &d);
	struct plan *to = plan_load(c->argv[1], &catalogue, NULL, false, &d);
	if (from != NULL && to != NULL) {
		plan_diff(from, to, &diff);
		rc = diff_print(c, &diff);
		plan_diff_free(&diff);
	} else if (c->json) {
		cli_print_json(json_pack("{s:b, s:o}", "ok", 0, "diagnostics", offline_json(&d)));
	} else {
		offline_print(&d);
	}
	plan_free(from);
	plan_free(to);
	catalogue_free(&catalogue);
	diags_free(&d);
	return rc;
}

const struct cli_command cli_diff = {
	.name = "diff",
	.args = "OLD NEW",
	.min_args = 2,
	.max_args = 2,
	.word = CLI_WORD_FILE,
	.doc = "what applying NEW over OLD would do",
	.more = "Each changed option is shown with its cost: live, recreate (a new instance beside the old, sessions go on) or\n"
		"restart.",
	.options = diff_options,
	.run = diff_run,
};

/* ---- graph ---- */

enum { GRAPH_OUTPUT, GRAPH_PLUGINS };
static const struct cli_option graph_options[] = {
	{'o', "output", "FILE", "write here; FILE.svg is drawn by Graphviz"},
	{'p', "plugins", "DIR", "look for plugins here (several: separated by colons)"},
	{0, NULL, NULL, NULL},
};

static bool
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");
	bool ok = f != NULL && fputs(text, f) >= 0;
	if (f != NULL)
		ok &= fclose(f) == 0;
	if (!ok)
		cli_error("%s: %s", path, strerror(errno));
	return ok;
}

/* Runs `dot -Tsvg -o PATH` with the text as its input, by way of a temporary file: no pipe to be stuck on. */
static bool
write_svg(const char *path, const char *text)
{
	char input[] = "/tmp/tailrace-graph-XXXXXX";
	int fd = mkstemp(input), status;
	pid_t pid;
	char *const argv[] = {(char *)"dot", (char *)"-Tsvg", (char *)"-o", (char *)path, input, NULL};
	if (fd < 0) {
		cli_error("%s: %s", input, strerror(errno));
		return false;
	}
	close(fd);
	bool ok = write_file(input, text);
	int rc = ok ? posix_spawnp(&pid, "dot", NULL, NULL, argv, environ) : 0;
	if (rc == ENOENT)
		cli_error("SVG is drawn by Graphviz, and there is no command `dot` (Debian: apt install graphviz)");
	else if (rc != 0)
		cli_error("dot: %s", strerror(rc));
	ok = ok && rc == 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
	unlink(input);
	return ok;
}

static int
graph_write(const struct cli *c, const struct plan *p)
{
	const char *path = c->option[GRAPH_OUTPUT];
	size_t len = path != NULL ? strlen(path) : 0;
	char *text = plan_dot(p);
	bool ok = text != NULL;
	if (c->json)
		cli_print_json(json_pack("{s:s}", "dot", text != NULL ? text : ""));
	else if (ok && path == NULL)
		fputs(text, stdout);
	else if (ok && len > 4 && strcmp(path + len - 4, ".svg") == 0)
		ok = write_svg(path, text);
	else if (ok)
		ok = write_file(path, text);
	free(text);
	return ok ? CLI_OK : CLI_FAILED;
}

static int
graph_run(const struct cli *c)
{
	struct diags d = {0};
	struct catalogue catalogue = {0};
	offline_catalogue(c->option[GRAPH_PLUGINS], &catalogue);
	struct plan *p = plan_load(c->argv[0], &catalogue, NULL, false, &d);
	if (p == NULL)
		offline_print(&d);
	int rc = p != NULL ? graph_write(c, p) : CLI_CONFIGURATION;
	plan_free(p);
	catalogue_free(&catalogue);
	diags_free(&d);
	return rc;
}

const struct cli_command cli_graph = {
	.name = "graph",
	.args = "FILE",
	.min_args = 1,
	.max_args = 1,
	.word = CLI_WORD_FILE,
	.doc = "draw a pipeline.yaml, as Graphviz text or SVG",
	.options = graph_options,
	.run = graph_run,
};
