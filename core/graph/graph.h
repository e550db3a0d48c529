/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The graph runner: one graph per worker and generation. Nodes are in gates of instances; frames are fixed arrays of
 * packets; a walk runs pending nodes in reverse post-order until none is pending. Drops, held packets and conservation
 * are counted here. No EAL: tests run it on a hand-made pool.
 */
#pragma once

#include <tailrace/host.h>

#define GRAPH_FRAME 256 /* packets that can wait for one node; more are dropped as frame_full */

/* Verdict of core nodes only: the packet has left the box (given to a port); node has called graph_sent(). */
#define TR_SENT ((uint16_t)0xfffeu)

/* Drop reasons of the runner itself, counted under the node that would have got the packet. */
enum graph_drop { GRAPH_LOOP, GRAPH_FRAME_FULL, GRAPH_EDGE_FULL, GRAPH_UNLINKED, GRAPH_DROPS };
extern const struct tr_drop_reason graph_drops[GRAPH_DROPS + 1];

/* rx + created = tx + drops + held, always (at rest, and summed over workers, rings counted as held). */
struct graph_totals {
	uint64_t rx, created, tx, drops, held;
};

struct graph;
struct edge_ring; /* a bounded ring to another thread */

/* Core nodes: gives received packets to the graph as if `node` had processed them (counted as rx); same verdicts. */
void graph_receive(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, const uint16_t *gate);
/* Core nodes: n packets were handed to a port. */
void graph_sent(struct tr_node *node, uint16_t n);
/* Core nodes: gives packets to another instance's node of this worker's graph directly (VLAN siblings of one port). */
