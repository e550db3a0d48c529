/* SPDX-License-Identifier: BSD-3-Clause */
/* When a measurement runs, and when its packets are due: by the clock alone, whatever became of the ones before. */
#pragma once

#include "meter.h"

#include <tailrace/show.h>

#define SECOND 1000000000ull
#define TICK UINT64_C(100000) /* what falls due within it goes together: a packet alone costs several times one of ten */
#define BURST 32
/* Longer loops mean that this thread was kept from its CPU: while it sends, it works once a tick. */
#define RUN_LOOP_MAX UINT64_C(200000)

/* Things that are due at a rate. A new rate begins when it is first asked for, not when the run did. */
struct pace {
	uint64_t rate, due;
	uint64_t part; /* of a nanosecond by which it is due later, in 1 / rate: so none is lost */
};
/* Whether one is due; it is taken. When it was due is told. */
bool pace_due(struct pace *p, uint64_t rate, uint64_t now, uint64_t *due);

struct run {
	/* Control -> worker. */
	_Atomic uint32_t wanted; /* 0: stop */
	_Atomic uint64_t stop_after;
	uint32_t runs; /* control's own */
	/* Worker 0's own. */
	uint32_t number;
	uint64_t begin, next_tick;
	struct pace pace;
	/* Worker -> control. */
	_Atomic uint64_t running, late_max, ns;
};

enum run_state { RUN_NONE, RUN_BEGINS, RUN_GOES_ON, RUN_ENDS };

/* Worker: what control wants by now. */
enum run_state run_state(struct run *r, uint64_t now);
/* Worker: whether a packet is due now; ends a tick when none is. */
bool run_due(struct run *r, uint64_t rate, uint64_t now, uint64_t *due);

/* Control: the commands `start [SECONDS]` and `stop`, and what each report begins with. */
int run_start(struct run *r, int argc, char *const *argv, struct tr_show *out);
void run_stop(struct run *r);
void run_show(const struct run *r, struct tr_show *out);
/* What a meter counted, as an object; nothing if that is nothing. */
void meter_show(const struct meter *m, const char *name, struct tr_show *out);
