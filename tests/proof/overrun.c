/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes one byte behind a packet's data: into tailroom that nobody has appended. */
#include "fault.h"

static void
fault_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		rte_pktmbuf_mtod(pkts[i], volatile uint8_t *)[pkts[i]->data_len] = 1;
		gate[i] = 0;
	}
}

int
main(void)
{
	struct fh *h = fault_host();

	fh_send(h, "in", FH_BYTES("45000014 00000000 40110000 0a000001 0a000002"));
	fh_free(h);
	puts("not caught");
	return 0;
}
