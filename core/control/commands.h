/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The daemon's side of the command's online half: answers on the management socket from what the engine, the netmap,
 * the ports and the loader know. Control thread.
 */
#pragma once

#include "../engine.h"
#include "management.h"

struct commands;

struct commands_config {
	struct loop *loop;
	struct management *management;
	struct engine *engine;
	const struct appliance *appliance;
};

/* Registers every command and samples counters once a second from now on. */
struct commands *commands_new(const struct commands_config *c);
void commands_free(struct commands *c); /* before the engine and the management socket */

/* Applies the pipeline file again, as `tailrace reload` does; the outcome is logged (SIGHUP). */
void commands_reload(struct commands *c);
/* Once a second: when our addresses may have changed, whoever has asked for them asks again, at most every 3 s. */
void commands_look_around(struct commands *c);
/* ns for which the worker that is worst off has not begun a loop: what a watchdog asks. */
uint64_t commands_stalled(const struct commands *c);
