/* SPDX-License-Identifier: BSD-3-Clause */
#include "run.h"

#include <errno.h>
#include <stdlib.h>

bool
pace_due(struct pace *p, uint64_t rate, uint64_t now, uint64_t *due)
{
	if (rate != p->rate)
		*p = (struct pace){.rate = rate, .due = now};
	if (rate == 0 || p->due > now)
		return false;
	*due = p->due;
	p->due += SECOND / rate;
	p->part += SECOND % rate;
	if (p->part >= rate) {
		p->part -= rate;
		p->due++;
	}
	return true;
}

enum run_state
run_state(struct run *r, uint64_t now)
{
	uint32_t wanted = atomic_load_explicit(&r->wanted, memory_order_acquire);
	uint64_t stop_after = meter_get(&r->stop_after);
	enum run_state state = RUN_GOES_ON;

	if (wanted != 0 && wanted != r->number) {
		r->number = wanted;
		r->begin = now;
		r->pace.rate = 0;
		atomic_store_explicit(&r->late_max, 0, memory_order_relaxed);
		atomic_store_explicit(&r->running, 1, memory_order_relaxed);
		state = RUN_BEGINS;
	}
	if (!meter_get(&r->running))
		return RUN_NONE;
	atomic_store_explicit(&r->ns, now - r->begin, memory_order_relaxed);
	if (wanted != 0 && (!stop_after || now - r->begin < stop_after))
		return state;
	atomic_store_explicit(&r->running, 0, memory_order_relaxed);
	return RUN_ENDS;
}

bool
run_due(struct run *r, uint64_t rate, uint64_t now, uint64_t *due)
{
	if (!pace_due(&r->pace, rate, now, due)) {
		r->next_tick = now + TICK;
		return false;
	}
	meter_max(&r->late_max, now - *due);
	return true;
}

int
run_start(struct run *r, int argc, char *const *argv, struct tr_show *out)
{
	char *end = NULL;
	double seconds = argc > 0 ? strtod(argv[0], &end) : 0;

	if (argc > 1 || (end && (*end || end == argv[0])) || !(seconds >= 0 && seconds < 1e6)) {
		out->error(out, "start [SECONDS]");
		return -EINVAL;
	}
	atomic_store_explicit(&r->stop_after, (uint64_t)(seconds * (double)SECOND), memory_order_relaxed);
	if ((++r->runs & 0xffff) == 0) /* packets carry 16 bits of it, and 0 is no run */
		r->runs++;
	atomic_store_explicit(&r->wanted, r->runs, memory_order_release);
	out->uint(out, "run", r->runs);
	return 0;
}

void
run_stop(struct run *r)
{
	atomic_store_explicit(&r->wanted, 0, memory_order_release);
}

void
run_show(const struct run *r, struct tr_show *out)
{
	out->flag(out, "running", meter_get(&r->running) != 0);
	out->uint(out, "duration_ns", meter_get(&r->ns));
	out->uint(out, "sender_late_max_ns", meter_get(&r->late_max));
}

void
meter_show(const struct meter *m, const char *name, struct tr_show *out)
{
	static const struct {
		const char *name;
		double share;
	} latency[] = {{"p50_ns", 0.5}, {"p90_ns", 0.9}, {"p99_ns", 0.99}, {"p999_ns", 0.999}};

	if (meter_get(&m->sent) == 0 && meter_get(&m->received) == 0)
		return;
	out->begin(out, name);
	out->uint(out, "lost", meter_lost(m));
	out->uint(out, "sent", meter_get(&m->sent));
	out->uint(out, "received", meter_get(&m->received));
	out->uint(out, "duplicates", meter_get(&m->duplicates));
	out->uint(out, "reordered", meter_get(&m->reordered));
	out->uint(out, "too_old", meter_get(&m->too_old));
	out->uint(out, "longest_gap_ns", meter_get(&m->longest_gap));
	out->uint(out, "longest_gap_watched_ns", meter_get(&m->longest_watched));
	out->begin(out, "latency");
	for (size_t i = 0; i < sizeof(latency) / sizeof(*latency); i++)
		out->uint(out, latency[i].name, meter_latency(m, latency[i].share));
	out->uint(out, "max_ns", meter_get(&m->latency_max));
	out->end(out);
	out->end(out);
}
