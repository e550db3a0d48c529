/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that need no daemon: they read configuration files and plugins with the code that the daemon uses. */
#pragma once

#include "cli.h"
#include "pipeline/plan.h"

extern const struct cli_command cli_check, cli_diff, cli_graph, cli_schema, cli_plugins, cli_import, cli_doctor, cli_bench;

/* For completion: what bench measures, by asking the program that does; and is this its word before names of files? */
void bench_scenarios(void (*each)(const char *name, const char *word), const char *word);
bool bench_takes_files(const char *word);

/* The core's classes and those of the plugins in `dirs` (colon-separated; NULL: $TAILRACE_PLUGINS, else the build tree
 * that this command stands in, else where plugins are installed). */
void offline_catalogue(const char *dirs, struct catalogue *c);
/* Diagnostics to stderr, or as JSON objects. Frees nothing. */
void offline_print(const struct diags *d);
json_t *offline_json(const struct diags *d);
