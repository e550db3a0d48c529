/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What tests/hitless/meson.build puts into a plugin's file: included once behind its header, to declare, and once at its
 * end. A variable in the file is no example for plugins: each variant has one instance.
 */
#ifndef VARIANT_ENTRY

#include <tailrace/host.h>

static tr_process variant_process;
static void *variant_create(struct tr_instance *instance, const struct tr_host *host, const void *chosen);

#ifdef VARIANT_AGAIN
#define VARIANT_ENTRY
#else
#define VARIANT_ENTRY {"variant", "Packets that this build has processed."},
#endif

#ifdef VARIANT_LAYOUT
#define VARIANT_PEER 2, sizeof(struct peer) + 64
#else
#define VARIANT_PEER 1, sizeof(struct peer)
#endif

#else

#ifdef VARIANT_BLOCK
static const struct tr_blocks *variant_blocks;

static void
variant_see(struct tr_node *node, struct rte_mbuf *pkt)
{
	uint64_t *seen = tr_block(variant_blocks, tr_meta(pkt)->peer);
	*seen += 1;
	node->count[sizeof(VARIANT_COUNTERS) / sizeof(VARIANT_COUNTERS[0]) - 2]++;
}
#elif !defined(VARIANT_AGAIN)
static void
variant_see(struct tr_node *node, struct rte_mbuf *pkt)
{
	(void)pkt;
	node->count[sizeof(VARIANT_COUNTERS) / sizeof(VARIANT_COUNTERS[0]) - 2]++;
}
#endif

static void
variant_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
#ifndef VARIANT_AGAIN
	for (uint16_t i = 0; i < n; i++)
		variant_see(node, pkts[i]);
#endif
	VARIANT_ORIGINAL_PROCESS(node, pkts, n, gate);
}

static void *
variant_create(struct tr_instance *instance, const struct tr_host *host, const void *chosen)
{
#ifdef VARIANT_BLOCK
	variant_blocks = host->blocks(instance, "variant", 1, sizeof(uint64_t), true);
	if (!variant_blocks)
		return NULL;
#endif
	return VARIANT_ORIGINAL_CREATE(instance, host, chosen);
}

#endif
