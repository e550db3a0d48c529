/* SPDX-License-Identifier: BSD-3-Clause */
#include "offline.h"

#include "config/paths.h"

#include <glob.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DIRS_MAX 64

/* BUILD/core/cli/tailrace finds its plugins in BUILD/plugins/KIND/NAME. */
static bool
build_tree(glob_t *g)
{
	char path[PATH_MAX], pattern[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n <= 0)
		return false;
	path[n] = '\0';
	char *tail = strstr(path, "/core/cli/");
	if (tail == NULL)
		return false;
	*tail = '\0';
	snprintf(pattern, sizeof(pattern), "%s/plugins/*/*/", path);
	return glob(pattern, 0, NULL, g) == 0;
}

void
offline_catalogue(const char *dirs, struct catalogue *c)
{
	const char *list[DIRS_MAX];
	unsigned n = 0;
	glob_t found = {0};
	for (unsigned i = 0; core_classes[i] != NULL; i++)
		catalogue_add(c, core_classes[i], NULL);
	if (dirs == NULL)
		dirs = getenv("TAILRACE_PLUGINS");
	char *copy = dirs != NULL ? strdup(dirs) : NULL, *save = NULL;
	if (copy != NULL) {
		for (char *t = strtok_r(copy, ":", &save); t != NULL && n < DIRS_MAX; t = strtok_r(NULL, ":", &save))
			list[n++] = t;
	} else if (build_tree(&found)) {
		for (size_t i = 0; i < found.gl_pathc && n < DIRS_MAX; i++)
			list[n++] = found.gl_pathv[i];
	} else {
		list[n++] = TAILRACE_PLUGINS_DIR;
	}
	catalogue_scan(c, list, n);
	globfree(&found);
	free(copy);
}

void
offline_print(const struct diags *d)
{
	diags_print(d, stderr);
}

json_t *
offline_json(const struct diags *d)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < d->n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s*, s:I, s:I, s:s*}", "severity",
			d->v[i].severity == DIAG_ERROR ? "error" : "warning", "file", d->v[i].file, "line", (json_int_t)d->v[i].line,
			"column", (json_int_t)d->v[i].col, "text", d->v[i].text));
	return list;
}
