/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "cli.h"

extern const struct cli_command cli_persist, cli_show, cli_instance, cli_complete;
