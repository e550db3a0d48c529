/* SPDX-License-Identifier: BSD-3-Clause */
#include "interrupt.h"

#include <rte_alarm.h>
#include <rte_interrupts.h>
#include <semaphore.h>
#include <stdbool.h>
#include <sys/eventfd.h>
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

/* A source of its own: rte_eal_cleanup() waits for the end of one that belongs to the EAL, alarms too. */
void
interrupt_park(void)
{
	static sem_t parked; /* the thread still holds it */
	struct rte_intr_handle *h = rte_intr_instance_alloc(RTE_INTR_INSTANCE_F_PRIVATE);
	const int fd = eventfd(1, EFD_CLOEXEC);
	sem_init(&parked, 0, 0);
	const bool taken = h && fd >= 0 && rte_intr_fd_set(h, fd) == 0 && rte_intr_type_set(h, RTE_INTR_HANDLE_EXT) == 0 &&
		rte_intr_callback_register(h, park, &parked) == 0;
	rte_intr_instance_free(h); /* the EAL has made its own of it */
	while (taken && sem_wait(&parked) != 0)
		;
}
