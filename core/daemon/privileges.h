/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the process may do. Of root's rights it keeps the capabilities that its kinds of ports need, and those for as long as
 * it lives, because a port that was lost is opened again.
 */
#pragma once

#include "../config/appliance.h"

/* First of all, with one thread: makes the directories, becomes appliance.user, keeps only what the ports need, and says
 * no_new_privs. false: already logged. */
bool privileges_take(const struct appliance *a);
/* When everything runs: forbids what a gateway never asks the kernel for, in all threads. */
void privileges_seal(void);
