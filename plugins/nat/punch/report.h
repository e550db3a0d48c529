/* SPDX-License-Identifier: BSD-3-Clause */
/* What is kept of each peer relay for the operator: written by owners, read by control. A relay is named by its peer's id. */
#pragma once

#include "via.h"

#include <tailrace/show.h>

/* One block: as struct relays has them, and last the relays that are no peer of ours. */
struct reports {
	struct report {
		_Atomic uint64_t answered;   /* when it has given a path last; 0: never */
		_Atomic uint32_t unanswered; /* requests since then that it did not answer */
		_Atomic uint32_t asked;      /* has it been, ever? */
		_Atomic uint32_t latency_us; /* of its last challenge; 0: none yet */
		_Atomic uint32_t paths;      /* that peers have answered on */
	} relay[RELAYS + 1];
};

void report_forget(const struct punch *punch, unsigned slot); /* another relay takes its place */
void report_asked(const struct punch *punch, uint32_t relay);
void report_answered(const struct punch *punch, uint32_t relay, uint64_t now);
void report_unanswered(const struct punch *punch, uint32_t relay);
void report_challenged(const struct punch *punch, uint32_t relay, uint64_t latency);
void report_path(const struct punch *punch, uint32_t relay, bool works); /* TR_NO_PEER: a relay that is no peer of ours */

void report_relays(const struct punch *punch, struct tr_show *out);
int report_status(void *self, int argc, char *const *argv, struct tr_show *out);
int report_netcheck(void *self, int argc, char *const *argv, struct tr_show *out);
