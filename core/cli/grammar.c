/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command, in the order of --help: first those that ask the daemon. */
#include "commands.h"

const struct cli_command *const cli_commands[] = {
	&cli_status,
	&cli_peers,
	&cli_stats,
	&cli_drops,
	&cli_trace,
	&cli_apply,
	&cli_reload,
	&cli_persist,
	&cli_show,
	&cli_instance,
	&cli_complete,
	NULL,
};
