/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command, in the order of --help: first those that read files, then those that ask the daemon. */
#include "commands.h"
#include "offline.h"

const struct cli_command *const cli_commands[] = {
	&cli_check,
	&cli_diff,
	&cli_graph,
	&cli_schema,
	&cli_plugins,
	&cli_import,
	&cli_doctor,
	&cli_bench,
	&cli_status,
	&cli_peers,
	&cli_ping,
	&cli_netcheck,
	&cli_stats,
	&cli_drops,
	&cli_explain,
	&cli_trace,
	&cli_capture,
	&cli_top,
	&cli_apply,
	&cli_reload,
	&cli_confirm,
	&cli_persist,
	&cli_show,
	&cli_instance,
	&cli_complete,
	&cli_man,
	NULL,
};
