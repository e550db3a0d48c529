/* SPDX-License-Identifier: BSD-3-Clause */
/* Every command, in the order of --help: first those that ask the daemon. */
#include "commands.h"

const struct cli_command *const cli_commands[] = {
        &cli_persist,
        &cli_show,
        &cli_instance,
        &cli_complete,
        NULL,
};
