/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One port shared by interfaces (VLAN siblings). Each of them polls; a frame of another's VLAN waits in that one's
 * queue of the same worker until it polls, in the same loop. An interface alone on its port gets frames straight from it.
 */
#pragma once

#include "port/port.h"

#include <stdatomic.h>

#define TRUNK_SLOTS 64
#define TRUNK_QUEUE 128

struct trunk;

/* Control thread. tag: 1..4094, 0 = untagged. An interface that replaces one of the same tag joins the same slot. NULL:
 * out of memory or slots. */
struct trunk *trunk_join(struct port *port, uint16_t workers, uint16_t tag, unsigned *slot);
void trunk_leave(struct trunk *t, unsigned slot);

/* Worker: a burst for this slot. Frames that belong to nobody come too: the interface drops what isn't of its VLAN. */
uint16_t trunk_rx(struct trunk *t, uint16_t worker, unsigned slot, uint64_t now, struct rte_mbuf **pkts, uint16_t n);

/* The VLAN of a frame; 0: none (a priority tag counts as none). */
uint16_t trunk_tag(const struct rte_mbuf *m);
