/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hierarchical timer wheel for struct tr_timer (host.h): four levels of 256 buckets, ticks of 4 ms. One thread.
 * Timers live in state blocks; the wheel allocates nothing.
 */
#pragma once

#include <tailrace/host.h>

#define WHEEL_TICK_NS UINT64_C(4000000)
#define WHEEL_LEVELS 4
#define WHEEL_SIZE 256

struct wheel {
	uint64_t tick; /* all timers up to this tick have fired */
	uint32_t armed;
	struct tr_timer *bucket[WHEEL_LEVELS][WHEEL_SIZE];
};

void wheel_init(struct wheel *w, uint64_t now);
void wheel_arm(struct wheel *w, struct tr_timer *t, uint64_t at); /* moves an armed one; never fires early */
void wheel_cancel(struct wheel *w, struct tr_timer *t);           /* idle ones too */
/* Fires what is due by `now`; fn may arm and cancel any timer. At most `most` timers: the rest in the next call. */
unsigned wheel_advance(struct wheel *w, uint64_t now, unsigned most, void (*fn)(void *arg, struct tr_timer *t), void *arg);
