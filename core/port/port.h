/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ports: ethdev devices of appliance.cfg, opened once at start and polled by the interfaces bound to them. Control
 * thread unless said otherwise. A port whose device vanishes is reopened with back-off.
 */
#pragma once

#include "../config/appliance.h"
#include "steer.h"
#include "tun.h"

#include <rte_mbuf.h>

struct port;

struct port_info {
	const char *name, *device, *driver;
	uint8_t mac[6];
	uint16_t mtu;         /* largest IP packet */
	uint16_t queues;      /* rx queues; worker w polls those with q % workers == w */
	bool up;
	const char *problem;  /* NULL: none; "gone, reopening in 4 s" */
	uint64_t rx, tx, rx_dropped, tx_dropped; /* packets */
	uint64_t rx_bytes, tx_bytes;
};

/* Opens every port of the appliance. pool: packets. workers: each gets one tx queue where the device has enough, else
 * they share one behind a ring. Refuses a NIC that holds the default route or the SSH session unless `take`. false:
 * diagnostics in `d` (with the .cfg line). */
bool ports_open(const struct appliance *a, struct rte_mempool *pool, uint16_t workers, struct diags *d);
void ports_close(void);
bool ports_tick(void); /* once a second: link state, reopening; true: a link has come up */
struct port *port_find(const char *name); /* NULL: no such port */
void port_show(const struct port *p, struct port_info *out);
unsigned port_each(void (*fn)(void *arg, struct port *p), void *arg);
/* Flows for the kernel are wanted in one queue of every NIC that can, or are not any more. */
void port_steer(const struct steer_rule *r, unsigned n, bool wanted);
/* Rule i, as it fared on a port of several queues; false: there are not so many. */
bool port_steered(const struct port *p, unsigned i, struct steer_seen *out);

/* Worker. Bursts; tx returns how many were taken (the rest stay the caller's). */
uint16_t port_rx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n);
uint16_t port_tx(struct port *p, uint16_t worker, struct rte_mbuf **pkts, uint16_t n);
struct tun *port_tun(const struct port *p); /* any thread: of a port of kind host (tun.h); NULL: another kind */
const struct port *port_of_device(unsigned ifindex); /* of kind host, with this device of the kernel's; NULL: none */
bool port_csum_offload(const struct port *p); /* tx UDP checksum by the NIC */
