/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *
grow(void *v, unsigned n, size_t size)
{
	void *grown = realloc(v, (n + 1u) * size);

	if (!grown)
		abort();
	return grown;
}

void
catalogue_add(struct catalogue *c, const struct tr_class *class_, const struct loaded_plugin *plugin)
{
	c->v = grow(c->v, c->n, sizeof(*c->v));
	c->v[c->n++] = (struct catalogue_entry){class_, plugin};
}

static void
refuse(struct catalogue *c, const char *path, const char *why)
{
	c->refused = grow(c->refused, c->n_refused, sizeof(*c->refused));
	c->refused[c->n_refused].path = strdup(path);
	c->refused[c->n_refused].why = strdup(why);
	if (!c->refused[c->n_refused].path || !c->refused[c->n_refused].why)
		abort();
	c->n_refused++;
}

/* All of a plugin's classes or none: a name belongs to the first that has it. */
static void
add_plugin(struct catalogue *c, const char *path)
{
	char why[5120];
	const struct loaded_plugin *p = plugin_open(path, why, sizeof(why));

	if (!p) {
		refuse(c, path, why);
		return;
	}
	for (const struct tr_class *const *k = p->desc->classes; *k; k++) {
		const struct catalogue_entry *other = catalogue_find(c, (*k)->name);

		if (other && other->plugin == p)
			return; /* the same build under another name */
		if (other) {
			snprintf(why, sizeof(why), "%s: class %s is already in %s", path, (*k)->name,
				other->plugin ? other->plugin->path : "the core");
			refuse(c, path, why);
			return;
		}
	}
	for (const struct tr_class *const *k = p->desc->classes; *k; k++)
		catalogue_add(c, *k, p);
}

static int
is_plugin(const struct dirent *e)
{
	size_t len = strlen(e->d_name);

	return len > 3 && e->d_name[0] != '.' && strcmp(e->d_name + len - 3, ".so") == 0;
}

void
catalogue_scan(struct catalogue *c, const char *const *dirs, unsigned n)
{
	for (unsigned d = 0; d < n; d++) {
		struct dirent **v;
		int found = scandir(dirs[d], &v, is_plugin, alphasort);
		char text[4352];

		if (found < 0) {
			snprintf(text, sizeof(text), "%s: %s", dirs[d], strerror(errno));
			refuse(c, dirs[d], text);
			continue;
		}
		for (int i = 0; i < found; i++) {
			snprintf(text, sizeof(text), "%s/%s", dirs[d], v[i]->d_name);
			add_plugin(c, text);
			free(v[i]);
		}
		free(v);
	}
}

const struct catalogue_entry *
catalogue_find(const struct catalogue *c, const char *class_name)
{
	for (unsigned i = 0; i < c->n; i++)
		if (strcmp(c->v[i].class_->name, class_name) == 0)
			return &c->v[i];
	return NULL;
}

void
catalogue_free(struct catalogue *c)
{
	for (unsigned i = 0; i < c->n_refused; i++) {
		free(c->refused[i].path);
		free(c->refused[i].why);
	}
	free(c->refused);
	free(c->v);
	*c = (struct catalogue){0};
}
