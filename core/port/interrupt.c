/* SPDX-License-Identifier: BSD-3-Clause */
#include "interrupt.h"

#include <rte_alarm.h>
#include <semaphore.h>
#include <unistd.h>

struct call {
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void
run(void *call)
{
	struct call *c = call;
	c->fn(c->arg);
	sem_post(&c->done);
}

void
interrupt_call(void (*fn)(void *arg), void *arg)
{
	struct call c = {.fn = fn, .arg = arg};
	sem_init(&c.done, 0, 0);
	if (rte_eal_alarm_set(1, run, &c) != 0) /* alarms run on the interrupt thread */
		run(&c);
	while (sem_wait(&c.done) != 0)
		;
	sem_destroy(&c.done);
}

static void
park(void *parked)
{
	sem_post(parked);
	for (;;)
		pause();
}

void
interrupt_park(void)
{
	static sem_t parked; /* the thread still holds it */
	sem_init(&parked, 0, 0);
	if (rte_eal_alarm_set(1, park, &parked) != 0)
		return;
	while (sem_wait(&parked) != 0)
		;
}
