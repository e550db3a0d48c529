/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * When nothing of an instance runs any more. Control thread, by polling.
 *
 * A round raises a fence in every thread's inbox and notes how far each ring between threads, and each worker's spread,
 * is filled; it is over when the fences are back and all are read up to there. Rounds are repeated until as many as below
 * passed in a row in which the instances got no packet and made no post and no job. Each waits for what the one before
 * may have left:
 *
 *   1  the callbacks that ran when it began are over      3  the packets that these sent were taken out of their rings
 *   2  so are the posts that they made                    4  and have been processed: they would have been counted
 *
 * Watches of service loops make no round wait: they are closed by the loop's last callback, and rounds follow it.
 */
#include "private.h"

#include <stdlib.h>

#define ROUNDS 4

static void
come_back(void *fences, void *unused)
{
	(void)unused;
	__atomic_add_fetch((uint32_t *)fences, 1, __ATOMIC_RELEASE);
}

/* Packets, posts and jobs so far. */
static uint64_t
activity(const struct quiet *q)
{
	uint64_t sum = 0;
	for (unsigned k = 0; k < q->n_gone; k++)
		sum += __atomic_load_n(&q->gone[k]->activity, __ATOMIC_ACQUIRE) + engine_packets_in(q->gone[k]);
	return sum;
}

static bool
jobs_out(const struct quiet *q)
{
	for (unsigned k = 0; k < q->n_gone; k++)
		if (__atomic_load_n(&q->gone[k]->jobs, __ATOMIC_ACQUIRE))
			return true;
	return false;
}

/* Where the reader of what goes from one thread to another has got to, or (end) the writer. A worker's own: its spread.
 * NULL: there is nothing of the kind. */
static const volatile uint32_t *
position(struct engine *e, unsigned to, unsigned from, bool end)
{
	const struct rte_ring *r = engine_thread(e, to)->in[from];
	if (r)
		return end ? &r->prod.tail : &r->cons.tail;
	if (to >= e->workers)
		return NULL;
	return end ? &e->worker[to].spread.posted : &e->worker[to].spread.taken;
}

static void
note_rings(struct quiet *q)
{
	struct engine *e = q->e;
	for (unsigned to = 0; to < e->threads; to++) {
		for (unsigned from = 0; from < e->threads; from++) {
			const volatile uint32_t *end = position(e, to, from, true);
			if (end)
				q->seen[to * e->threads + from] = __atomic_load_n(end, __ATOMIC_ACQUIRE);
		}
	}
}

static bool
rings_read(const struct quiet *q)
{
	struct engine *e = q->e;
	for (unsigned to = 0; to < e->threads; to++) {
		for (unsigned from = 0; from < e->threads; from++) {
			const volatile uint32_t *read = position(e, to, from, false);
			if (read && (int32_t)(__atomic_load_n(read, __ATOMIC_ACQUIRE) - q->seen[to * e->threads + from]) < 0)
				return false;
		}
	}
	return true;
}

/* False: an inbox was full; to be tried again. Fences that were raised nevertheless come back as well. */
static bool
begin_round(struct quiet *q)
{
	struct engine *e = q->e;
	struct inbox_entry entry = {.kind = INBOX_FENCE, .arg = (uintptr_t)&q->fences};
	uint32_t before = q->posted;
	note_rings(q);
	for (unsigned w = 0; w < e->workers; w++)
		q->posted += worker_post(&e->worker[w], &entry) == 0;
	for (unsigned s = 0; s < e->services; s++)
		q->posted += loop_post(e->service[s].loop, come_back, &q->fences, NULL) == 0;
	q->posted += loop_post(e->control, come_back, &q->fences, NULL) == 0;
	return q->posted - before == e->threads + 1u;
}

static bool
round_over(struct quiet *q)
{
	for (unsigned s = 0; s < q->e->services; s++)
		service_kick(&q->e->service[s]); /* a kick by a worker is lost when the loop's inbox is full */
	return __atomic_load_n(&q->fences, __ATOMIC_ACQUIRE) == q->posted && rings_read(q);
}

void
quiet_begin(struct quiet *q)
{
	if (!q->seen)
		q->seen = calloc((size_t)q->e->threads * q->e->threads, sizeof(*q->seen));
	q->rounds = 0;
}

bool
quiet_step(struct quiet *q)
{
	if (!round_over(q))
		return false;
	if (backlog_flush(q->e) || jobs_out(q) || activity(q) != q->activity)
		q->rounds = 0;
	if (q->rounds == ROUNDS)
		return true;
	if (q->rounds == 0)
		q->activity = activity(q);
	q->rounds += begin_round(q);
	return false;
}

bool
quiet_fence(struct quiet *q)
{
	if (!round_over(q))
		return false;
	if (q->rounds == 1)
		return true;
	q->rounds += begin_round(q);
	return false;
}

void
quiet_fini(struct quiet *q)
{
	free(q->seen);
}
