/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Event loops (libuv): one mechanism for the control thread and the service threads. Each has a bounded inbox that any
 * thread may post to without locks; the poster wakes a loop that sleeps.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct loop;

struct loop *loop_new(const char *name, uint32_t inbox); /* inbox: entries, a power of two */
void loop_free(struct loop *l);                          /* stopped; drops what is in the inbox */
int loop_run(struct loop *l);                            /* until loop_stop(); the calling thread is the loop's */
int loop_start_thread(struct loop *l);
void loop_stop(struct loop *l);          /* any thread */
bool loop_is_mine(const struct loop *l); /* am I on its thread? */

typedef void loop_fn(void *a, void *b);
int loop_post(struct loop *l, loop_fn *fn, void *a, void *b); /* any thread; -EAGAIN: full. Wakes the loop */
/* For workers: posts without a wake-up; loop_wake() follows once after the walk, and is free if the loop is awake. */
int loop_post_quiet(struct loop *l, loop_fn *fn, void *a, void *b);
void loop_wake(struct loop *l);
/* Loop's own thread, or before it runs: work(arg) runs on a thread of a pool, for what takes long and touches nothing of
 * others; then done(arg) on the loop (NULL: nothing). loop_free() waits for it. -ENOMEM. */
int loop_work(struct loop *l, void (*work)(void *arg), void (*done)(void *arg), void *arg);

/* Loop's own thread, or before it runs. Callbacks run there. NULL: no memory, or a descriptor or signal that can't be
 * watched. events: TR_WATCH_READ | TR_WATCH_WRITE; after an error both are reported, and the read or write says which.
 * The descriptor is made non-blocking; it may be closed right after loop_watch_close(). A timer is never early; one
 * with repeat 0 fires once and stays until closed. loop_free() closes what is open. */
struct loop_watch;
struct loop_watch *loop_fd(struct loop *l, int fd, int events, void (*fn)(void *arg, int events), void *arg);
void loop_fd_events(struct loop_watch *w, int events);
struct loop_watch *loop_timer(struct loop *l, uint64_t after_ms, uint64_t repeat_ms, void (*fn)(void *arg), void *arg);
struct loop_watch *loop_signal(struct loop *l, int signum, void (*fn)(void *arg), void *arg);
void loop_watch_close(struct loop_watch *w);
