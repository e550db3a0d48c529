/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "cli.h"

extern const struct cli_command cli_status, cli_peers, cli_stats, cli_drops, cli_trace, cli_apply, cli_reload, cli_confirm,
	cli_persist, cli_show, cli_instance, cli_complete, cli_man, cli_top,
	cli_capture, cli_explain, cli_ping, cli_netcheck;
