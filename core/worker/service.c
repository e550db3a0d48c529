/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Service loops: threads with an event loop for what needs kernel sockets. Each runs a small graph of its own: the in
 * gates marked TR_GATE_SERVICE of the instances that live on it.
 */
#include "../engine/private.h"

#include <sched.h>
#include <stdlib.h>

static void
drain(void *a, void *b)
{
	struct service *s = a;
	(void)b;
	__atomic_store_n(&s->drain_posted, 0, __ATOMIC_SEQ_CST);
	s->gt.now = clock_ns();
	while (thread_drain(s->engine, s->in, s->lane, &s->gt) > 0)
		;
}

void
service_kick(struct service *s)
{
	if (__atomic_exchange_n(&s->drain_posted, 1, __ATOMIC_SEQ_CST))
		return;
	if (loop_post_quiet(s->loop, drain, s, NULL) != 0)
		__atomic_store_n(&s->drain_posted, 0, __ATOMIC_SEQ_CST); /* the next packet tries again */
	loop_wake(s->loop);
}

struct change {
	struct lane *lane;
	uint64_t number;
};

/* An instance's node of this lane; one that had none on this loop begins here. */
static void
take_on(struct service *s, struct graph_node *own)
{
	struct tr_instance *i = own->pub.instance;
	bool first = i->w[s->engine->workers].own == NULL;
	i->w[s->engine->workers].own = own;
	if (first && i->class_->service_init)
		i->class_->service_init(&own->pub);
}

static void
change_lane(void *a, void *b)
{
	struct service *s = a;
	struct change *c = b;
	drain(s, NULL);
	s->lane = c->lane;
	for (unsigned i = 0; s->lane && i < MAX_SLOTS; i++)
		if (s->lane->own[i])
			take_on(s, s->lane->own[i]);
	__atomic_store_n(&s->switched, c->number, __ATOMIC_RELEASE);
	free(c);
}

void
service_switch(struct service *s, struct lane *lane, uint64_t number)
{
	struct change *c = malloc(sizeof(*c));
	*c = (struct change){lane, number};
	while (loop_post(s->loop, change_lane, s, c) != 0) /* full: it empties within a turn of the loop */
		sched_yield();
}

static void
begin(void *a, void *b)
{
	struct service *s = a;
	(void)b;
	if (s->engine->config.thread_start)
		s->engine->config.thread_start();
}

int
service_start(struct service *s, unsigned n)
{
	char name[16];
	snprintf(name, sizeof(name), "tr-service%u", n);
	s->loop = loop_new(name, 4096);
	s->aead = s->engine->aead->worker_new();
	if (!s->loop || !s->aead)
		return -1;
	loop_post(s->loop, begin, s, NULL);
	return loop_start_thread(s->loop);
}

void
service_stop(struct service *s)
{
	if (s->loop) {
		loop_stop(s->loop);
		loop_free(s->loop);
	}
	if (s->aead)
		s->engine->aead->worker_free(s->aead);
}
