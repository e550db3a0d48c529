/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What only shows when one looks again and again: a worker that stands still, and a wall clock that jumps. Looked at once a
 * second; told by `status`, for ten minutes after it is over, and asked by the watchdog.
 */
#include "commands_private.h"

#include "../netmap/store.h"
#include "../runtime/clock.h"
#include "../runtime/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define STALL_NS 2000000000ull
#define TELL_NS (600 * 1000000000ull)
#define JUMP_NS 1000000000ll
#define WRITTEN 1764115200ll /* s: 2025-11-26, before which no clock of a box that runs this is right */

struct health {
	struct engine_stall *stall;
	struct past_stall {
		uint64_t now, longest, ended; /* ns: so far; of the last one; when that ended (0: none) */
	} *past;
	unsigned workers;
	int64_t offset; /* ns of the wall clock before the monotonic one; 0: not looked yet */
	int64_t jumped; /* by the last jump */
	uint64_t jumped_at;
	int64_t floor; /* s: it can't be earlier than that, */
	int64_t behind; /* but the clock says it is by so many; 0: it does not */
};

struct health *
health_new(struct engine *e)
{
	struct health *h = calloc(1, sizeof(*h));
	unsigned n = engine_workers(e);
	if (!h)
		return NULL;
	h->workers = n;
	h->floor = (int64_t)(netmap_last_session() / 1000000000u);
	h->floor = h->floor > WRITTEN ? h->floor : WRITTEN;
	h->stall = calloc(n, sizeof(*h->stall));
	h->past = calloc(n, sizeof(*h->past));
	if (!h->stall || !h->past) {
		health_free(h);
		return NULL;
	}
	return h;
}

void
health_free(struct health *h)
{
	if (!h)
		return;
	free(h->stall);
	free(h->past);
	free(h);
}

static void
look_at_worker(struct health *h, struct engine *e, unsigned w)
{
	struct past_stall *p = &h->past[w];
	uint64_t was = p->now;
	p->now = engine_stalled(e, w, &h->stall[w]);
	if (p->now >= STALL_NS && was < STALL_NS)
		log_error("worker", "%u stands still", w);
	if (was < STALL_NS || p->now >= was)
		return;
	p->longest = was;
	p->ended = commands_now();
	log_warning("worker", "%u goes on after %.0f s", w, (double)was / 1e9);
}

static void
look_at_clock(struct health *h)
{
	struct timespec wall;
	const uint64_t up = clock_ns(); /* goes on in suspend, as the wall clock does */
	clock_gettime(CLOCK_REALTIME, &wall);
	if (clock_ns() - up > JUMP_NS / 10)
		return; /* held up between the two: they tell nothing of each other */
	int64_t offset = (int64_t)wall.tv_sec * 1000000000 + wall.tv_nsec - (int64_t)up;
	int64_t by = h->offset ? offset - h->offset : 0, behind = wall.tv_sec + 1 < h->floor ? h->floor - wall.tv_sec : 0;
	h->offset = offset;
	if (behind && !h->behind)
		log_warning("clock", "it is wrong, by %.1f hours at least: peers take no handshake of ours until it is set", (double)behind / 3600);
	h->behind = behind;
	if (by > -JUMP_NS && by < JUMP_NS)
		return;
	h->jumped = by;
	h->jumped_at = commands_now();
	log_warning("clock", "jumped by %+.1f s", (double)by / 1e9);
}

void
health_look(struct health *h, struct engine *e)
{
	for (unsigned w = 0; w < h->workers; w++)
		look_at_worker(h, e, w);
	look_at_clock(h);
}

uint64_t
health_stalled(const struct health *h)
{
	uint64_t longest = 0;
	for (unsigned w = 0; w < h->workers; w++)
		longest = h->past[w].now > longest ? h->past[w].now : longest;
	return longest;
}

void
health_tell(const struct health *h, health_say *say, void *arg)
{
	uint64_t now = commands_now();
	char what[32];
	for (unsigned w = 0; w < h->workers; w++) {
		const struct past_stall *p = &h->past[w];
		snprintf(what, sizeof(what), "worker %u", w);
		if (p->now >= STALL_NS)
			say(arg, true, what, "has not run for %.0f s: a node of a plugin hangs, or something takes its CPU; its packets wait",
				(double)p->now / 1e9);
		else if (p->ended && now - p->ended < TELL_NS)
			say(arg, false, what, "stood still for %.0f s, %.0f s ago", (double)p->longest / 1e9, (double)(now - p->ended) / 1e9);
	}
	if (h->behind)
		say(arg, false, "clock", "the system's clock is %.1f hours behind, if not more (%s): peers take no handshake of ours until it "
			"is set (`timedatectl`, `chronyc makestep`)", (double)h->behind / 3600, h->floor > WRITTEN ?
			"`state` knows of a later session" : "this version was not written then");
	if (h->jumped_at && now - h->jumped_at < TELL_NS)
		say(arg, false, "clock", "the system's clock jumped by %+.1f s, %.0f s ago%s", (double)h->jumped / 1e9,
			(double)(now - h->jumped_at) / 1e9,
			h->jumped < 0 ? ": a peer takes no handshake of ours until it has passed the time of the last" : "");
}
