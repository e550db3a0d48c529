/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Grace periods. Readers: workers, job threads (each registered under a small id). One writer: the control thread.
 * Nothing ever waits: control polls, and callbacks run when every reader has passed a quiescent state.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define RCU_MAX_READERS 64

int rcu_init(void); /* works without EAL; 0 or -errno. Idempotent; rcu_fini() undoes it */
void rcu_fini(void); /* runs everything deferred; no reader may be left */

/* Reader's own thread. A reader starts offline. */
int rcu_register(void); /* reader id, or -ENOSPC */
void rcu_unregister(int reader);
void rcu_online(int reader);
void rcu_offline(int reader); /* before sleeping or blocking */
void rcu_quiescent(int reader); /* holds no reference now */

/* Control thread. */
void rcu_defer(void (*fn)(void *), void *ptr); /* fn(ptr) after a grace period, from rcu_poll() */
unsigned rcu_poll(void);                       /* runs some of what is due; returns how many are still waiting */
/* For tables that keep their own list of retired nodes: a token of now, and whether its grace period is over. */
uint64_t rcu_start(void);
bool rcu_passed(uint64_t token);
