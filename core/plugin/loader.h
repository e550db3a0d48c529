/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding, checking and loading plugins. The operator's file is never dlopen()ed itself: it is copied into a memfd that
 * stays open for the life of the process. Old code is never closed. Control thread.
 */
#pragma once

#include <tailrace/plugin.h>

struct cfg_node;

struct loaded_plugin {
	const struct tr_plugin *desc;
	char *path;       /* the operator's file */
	char build_id[41]; /* hex of .note.gnu.build-id; loads with the same build-id share one copy */
	int memfd;
	void *handle;
};

/* NULL after a text in `why`, which names the file and, of what differs, both sides: wrong ABI, layout (by member), missing
 * symbol, no descriptor, a table that can't be right. ABI and layout are read from the file, before any of its code runs. */
const struct loaded_plugin *plugin_open(const char *path, char *why, size_t size);
void plugin_each(void (*fn)(void *arg, const struct loaded_plugin *), void *arg); /* all running or once running code */
/* The command that gives gdb the symbols of this code in a core dump (in a live process it finds them by itself), from the
 * operator's file while that is still this build: see core/sdk/README.md. */
void plugin_symbols(const struct loaded_plugin *p, char *text, size_t size);

/*
 * Runs a plugin's class through load, create, start, stop, destroy in a child process (exec of /proc/self/exe --preflight)
 * with the fake host and empty state blocks; 5 s. `spec` is YAML {plugin: PATH, file: PATH to be shown, class: …, name: …,
 * options: {…}, netmap: {…}}. Any thread; waits for the child. false: `why` says how it ended.
 */
bool plugin_preflight(const char *spec, char *why, size_t size);
/* The specification of an instance as it stands in pipeline.yaml (secrets stay `file:` references); malloc()ed. options:
 * the instance's map, `class` included; may be NULL. */
char *plugin_preflight_spec(const struct loaded_plugin *p, const char *class_name, const char *name, const struct cfg_node *options);
int plugin_preflight_main(void); /* the child: main() calls it first when its only argument is --preflight */

/* The catalogue: every class of the core and of the plugins found in the directories. */
struct catalogue_entry {
	const struct tr_class *class_;
	const struct loaded_plugin *plugin; /* NULL: the core's own */
};
struct catalogue {
	struct catalogue_entry *v;
	unsigned n;
	struct { char *path, *why; } *refused; /* files that were not loaded */
	unsigned n_refused;
};
/* dirs: files NAME.so in them, sorted; all of a plugin's classes or, when another has one of them, none. Core classes are added by the caller through catalogue_add(). */
void catalogue_add(struct catalogue *c, const struct tr_class *class_, const struct loaded_plugin *plugin);
void catalogue_scan(struct catalogue *c, const char *const *dirs, unsigned n);
const struct catalogue_entry *catalogue_find(const struct catalogue *c, const char *class_name);
void catalogue_free(struct catalogue *c);
extern const struct tr_class *const core_classes[]; /* interface, mux, route, path, drop; NULL-terminated (core/net) */
