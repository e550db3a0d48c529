/* SPDX-License-Identifier: BSD-3-Clause */
#include "wheel.h"

void
wheel_init(struct wheel *w, uint64_t now)
{
	memset(w, 0, sizeof(*w));
	w->tick = now / WHEEL_TICK_NS;
}

static void
push(struct tr_timer **bucket, struct tr_timer *t)
{
	t->next = *bucket;
	t->prev = bucket;
	if (t->next)
		t->next->prev = &t->next;
	*bucket = t;
}

static void
unlink_timer(struct tr_timer *t)
{
	*t->prev = t->next;
	if (t->next)
		t->next->prev = t->prev;
	t->next = NULL;
	t->prev = NULL;
}

/* The level is that of the highest digit (base 256) in which the timer's tick differs from the present one. */
static void
place(struct wheel *w, struct tr_timer *t)
{
	uint64_t tick = (t->at + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS;
	if (tick <= w->tick)
		tick = w->tick + 1;
	uint64_t differs = tick ^ w->tick;
	unsigned level = 0;
	while (level < WHEEL_LEVELS - 1 && differs >> (8 * (level + 1)))
		level++;
	if (differs >> (8 * WHEEL_LEVELS)) /* beyond the wheel: as far as it goes, placed again from there */
		tick = w->tick + (UINT64_C(1) << (8 * (WHEEL_LEVELS - 1))) * (WHEEL_SIZE - 1);
	push(&w->bucket[level][(tick >> (8 * level)) % WHEEL_SIZE], t);
}

void
wheel_arm(struct wheel *w, struct tr_timer *t, uint64_t at)
{
	if (t->prev)
		unlink_timer(t);
	else
		w->armed++;
	t->at = at;
	place(w, t);
}

void
wheel_cancel(struct wheel *w, struct tr_timer *t)
{
	if (!t->prev)
		return;
	unlink_timer(t);
	w->armed--;
}

/* Distributes the bucket of a higher level that has just become current. */
static void
cascade(struct wheel *w, unsigned level)
{
	struct tr_timer **bucket = &w->bucket[level][(w->tick >> (8 * level)) % WHEEL_SIZE];
	struct tr_timer *list = *bucket, *next;
	*bucket = NULL;
	for (; list; list = next) {
		next = list->next;
		uint64_t tick = (list->at + WHEEL_TICK_NS - 1) / WHEEL_TICK_NS;
		if (tick <= w->tick)
			push(&w->bucket[0][w->tick % WHEEL_SIZE], list); /* due in this very tick */
		else
			place(w, list);
	}
}

unsigned
wheel_advance(struct wheel *w, uint64_t now, unsigned most, void (*fn)(void *arg, struct tr_timer *t), void *arg)
{
	uint64_t until = now / WHEEL_TICK_NS;
	unsigned fired = 0;

	if (!w->armed) {
		if (until > w->tick)
			w->tick = until;
		return 0;
	}
	for (;;) {
		struct tr_timer **bucket = &w->bucket[0][w->tick % WHEEL_SIZE];
		while (*bucket) {
			if (fired == most)
				return fired;
			struct tr_timer *t = *bucket;
			unlink_timer(t);
			w->armed--;
			fn(arg, t);
			fired++;
		}
		if (w->tick >= until)
			return fired;
		w->tick++;
		for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--)
			if (!(w->tick & ((UINT64_C(1) << (8 * level)) - 1)))
				cascade(w, level);
	}
}
