/* SPDX-License-Identifier: BSD-3-Clause */
/* Two workers count in the instance instead of in node->count. Each has a host of its own; they share the object. */
#include "fault.h"

#include <pthread.h>

static struct fault_self both;

static void
fault_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		both.shared++;
		gate[i] = 0;
	}
}

static void *
worker(void *arg)
{
	struct fh *h = arg;

	for (unsigned i = 0; i < 1000; i++) {
		struct rte_mbuf *m = NULL;
		uint16_t gate;

		fault_process(fh_node(h, 0, "in"), &m, 1, &gate);
	}
	return NULL;
}

int
main(void)
{
	struct fh *h[2] = {fault_host(), fault_host()};
	pthread_t thread;

	if (pthread_create(&thread, NULL, worker, h[1]) != 0)
		return 2;
	worker(h[0]);
	pthread_join(thread, NULL);
	fh_free(h[0]);
	fh_free(h[1]);
	puts("not caught");
	return 0;
}
