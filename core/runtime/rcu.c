/* SPDX-License-Identifier: BSD-3-Clause */
#include "rcu.h"

#include <errno.h>
#include <rte_rcu_qsbr.h>
#include <stdatomic.h>
#include <stdlib.h>

struct deferred {
	void (*fn)(void *);
	void *ptr;
	uint64_t token; /* the grace period that frees it; valid once counted in `started` */
};

static struct rte_rcu_qsbr *qsbr;
static _Atomic uint64_t taken; /* reader ids in use */
_Static_assert(RCU_MAX_READERS == 64, "one bit per reader");

/* Control thread: a ring of what waits, oldest first. The first `started` entries have a token. */
static struct {
	struct deferred *v;
	unsigned size, head, n, started;
} queue;

int
rcu_init(void)
{
	if (qsbr)
		return 0;
	size_t size = RTE_ALIGN_CEIL(rte_rcu_qsbr_get_memsize(RCU_MAX_READERS), RTE_CACHE_LINE_SIZE);
	qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, size);
	if (!qsbr)
		return -ENOMEM;
	rte_rcu_qsbr_init(qsbr, RCU_MAX_READERS);
	return 0;
}

void
rcu_fini(void)
{
	while (rcu_poll())
		;
	free(queue.v);
	queue.v = NULL;
	queue.size = queue.head = 0;
	free(qsbr);
	qsbr = NULL;
}

int
rcu_register(void)
{
	uint64_t old = atomic_load(&taken);
	int id;

	do {
		if (old == UINT64_MAX)
			return -ENOSPC;
		id = __builtin_ctzll(~old);
	} while (!atomic_compare_exchange_weak(&taken, &old, old | 1ull << id));
	rte_rcu_qsbr_thread_register(qsbr, (unsigned)id);
	return id;
}

void
rcu_unregister(int reader)
{
	rte_rcu_qsbr_thread_unregister(qsbr, (unsigned)reader);
	atomic_fetch_and(&taken, ~(1ull << reader));
}

void
rcu_online(int reader)
{
	rte_rcu_qsbr_thread_online(qsbr, (unsigned)reader);
}

void
rcu_offline(int reader)
{
	rte_rcu_qsbr_thread_offline(qsbr, (unsigned)reader);
}

void
rcu_quiescent(int reader)
{
	rte_rcu_qsbr_quiescent(qsbr, (unsigned)reader);
}

uint64_t
rcu_start(void)
{
	return qsbr ? rte_rcu_qsbr_start(qsbr) : 0;
}

bool
rcu_passed(uint64_t token)
{
	return !qsbr || rte_rcu_qsbr_check(qsbr, token, false) == 1;
}

static bool
grow(void)
{
	unsigned size = queue.size ? queue.size * 2 : 1024;
	struct deferred *v = malloc(size * sizeof(*v));

	if (!v)
		return false;
	for (unsigned i = 0; i < queue.n; i++)
		v[i] = queue.v[(queue.head + i) & (queue.size - 1)];
	free(queue.v);
	queue.v = v;
	queue.size = size;
	queue.head = 0;
	return true;
}

void
rcu_defer(void (*fn)(void *), void *ptr)
{
	if (queue.n == queue.size && !grow()) {
		/* No memory to remember it: the one case where control waits, for readers that never block. */
		if (qsbr)
			rte_rcu_qsbr_synchronize(qsbr, RTE_QSBR_THRID_INVALID);
		fn(ptr);
		return;
	}
	queue.v[(queue.head + queue.n++) & (queue.size - 1)] = (struct deferred){.fn = fn, .ptr = ptr};
}

/* One call runs no more than this: control is not to stall when many peers go at once. */
#define MOST 512

unsigned
rcu_poll(void)
{
	if (queue.started < queue.n) {
		/* One grace period for all that came since the last poll. */
		uint64_t token = rcu_start();
		for (unsigned i = queue.started; i < queue.n; i++)
			queue.v[(queue.head + i) & (queue.size - 1)].token = token;
		queue.started = queue.n;
	}
	for (unsigned n = 0; queue.started && n < MOST; n++) {
		struct deferred d = queue.v[queue.head]; /* fn may defer more and move the ring */
		if (!rcu_passed(d.token))
			break;
		queue.head = (queue.head + 1) & (queue.size - 1);
		queue.n--;
		queue.started--;
		d.fn(d.ptr);
	}
	return queue.n;
}
