/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads a packet that it has given up. */
#include "fault.h"

static struct rte_mbuf *given_up;

static void
fault_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		if (given_up)
			node->count += *rte_pktmbuf_mtod(given_up, volatile uint8_t *) == 0xff;
		given_up = pkts[i];
		gate[i] = TR_DROP(0);
	}
}

int
main(void)
{
	struct fh *h = fault_host();

	fh_send(h, "in", FH_BYTES("45000014 00000000 40110000 0a000001 0a000002"));
	fh_send(h, "in", FH_BYTES("45000014 00000000 40110000 0a000001 0a000002"));
	fh_free(h);
	puts("not caught");
	return 0;
}
