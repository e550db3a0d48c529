/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The EAL's interrupt thread, on which drivers hear of what happens to their devices (a memif's other side comes or leaves).
 * They take no lock against who closes a device elsewhere, nor does the EAL stop the thread before it takes memory away.
 */
#pragma once

/* Runs fn(arg) on that thread and waits for its end; without the EAL, or an alarm of it, here and now. Any other thread. */
void interrupt_call(void (*fn)(void *arg), void *arg);
/* Once, right before rte_eal_cleanup(): from here on that thread does nothing any more. */
void interrupt_park(void);
