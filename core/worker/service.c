/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Service loops: threads with an event loop for what needs kernel sockets. Each runs a small graph of its own: the in
 * gates marked TR_GATE_SERVICE of the instances that live on it.
 */
#include "../engine/private.h"

#include <stdlib.h>

static void
drain(void *a, void *b)
{
	struct service *s = a;
	(void)b;
	__atomic_store_n(&s->drain_posted, 0, __ATOMIC_SEQ_CST);
	s->t.gt.now = clock_ns();
	thread_take_lane(&s->t);
	while (thread_drain(&s->t) > 0)
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

static void
begin(void *a, void *b)
{
	struct service *s = a;
	(void)b;
	if (s->t.engine->config.thread_start)
		s->t.engine->config.thread_start();
}

int
service_start(struct service *s, unsigned n)
{
	char name[16];
	snprintf(name, sizeof(name), "tr-service%u", n);
	s->loop = loop_new(name, 4096);
	s->aead = s->t.engine->aead->worker_new();
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
		s->t.engine->aead->worker_free(s->aead);
}
