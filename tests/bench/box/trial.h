/* SPDX-License-Identifier: BSD-3-Clause */
/* Trials: this thread is the gateway's worker, another on a CPU of its own offers packets by the clock and takes what comes out. */
#pragma once

#include "load.h"

struct trial {
	struct load *load;
	int cpu;        /* of the generator */
	double seconds;
};

struct trial_result {
	double offered, received; /* packets */
	double seconds;           /* that the generator offered */
	bool disturbed;           /* the system took a CPU away from either of them meanwhile */
};

/* rate: packets per second, in bursts of 32 by the clock, whatever becomes of them; 0: as fast as the generator can. */
struct trial_result trial_run(const struct trial *t, double rate);
