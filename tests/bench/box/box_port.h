/* SPDX-License-Identifier: BSD-3-Clause */
/* The ports of a box and the packets that go through them. The benchmark's own thread, but for what box_ports_park() says. */
#pragma once

#include "box.h"

#include <pthread.h>
#include <stdbool.h>

#define BOX_LIMIT 8192 /* packets that may wait to be looked at */

struct port {
	const char *name;
	uint8_t mac[6];
	struct rte_mbuf **in, *out[BOX_LIMIT];
	uint32_t n_in, n_out;
	uint16_t near, far; /* memif: ethdevs of the gateway's end and of the other */
	uint32_t lying;     /* memif: packets in the ring towards the gateway */
};

extern struct port box_port[BOX_PORTS];

_Noreturn void give_up(const char *what);

/* The packets that box_packet() hands out, and the pool of the engine. Opens memifs if they are wanted. */
struct rte_mempool *box_ports_start(void);
void box_ports_stop(struct rte_mempool *pool);
/* The first worker's own thread is kept out of the ports and stands still, or goes on. */
void box_ports_park(bool park);
void box_ports_shut(bool shut); /* what has come waits */

/* Puts what is fed into an empty ring of a memif. Ports that cost nothing have none. */
void port_supply(struct port *p);
/* Takes what has left by a memif; else it is there already. */
void port_collect(struct port *p);
