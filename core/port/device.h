/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One opened ethdev. Immutable while published to workers; closed after a grace period. Control thread, but for the
 * members that say otherwise.
 */
#pragma once

#include "../config/appliance.h"

#include <rte_ethdev.h>
#include <rte_ring.h>

#define DEVICE_RING 1024 /* packets that wait for the worker that owns a shared tx queue */

struct device {
	uint16_t id;
	uint16_t rx_queues, tx_queues;
	struct rte_ring *
	        *shared; /* per tx queue: what other workers than its owner send; NULL: each worker has its own */
	char driver[32];
	uint8_t mac[6];
	uint16_t mtu;
	bool csum_offload, memif;
	unsigned ifindex; /* of the kernel interface below; 0: none */
	char iface[32];
	char name[RTE_ETH_NAME_MAX_LEN];
};

/* Plugs the device in and starts it. mac: set it to this (NULL: keep its own). NULL after a text in `why`. */
struct device *device_open(const struct appliance_port *cfg, struct rte_mempool *pool, uint16_t workers,
        const uint8_t *mac, char *why, size_t size);
void device_close(void *device);          /* no worker uses it any more */
bool device_gone(const struct device *d); /* its kernel interface vanished, or the bus said so */
bool device_link(const struct device *d); /* does it have a link, as far as one can tell? */

/* "wan0" of "net_af_packet0,iface=wan0"; false: no such key. */
bool device_arg(const char *device, const char *key, char *out, size_t size);
