/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Routes that the kernel has from a routing daemon (BIRD, FRR), by way of a host port: taken into a table with the next
 * hop that the pipeline's routes give the daemon's gateway. Control thread.
 */
#pragma once

#include "net/route.h"

struct route_learn;

/* Takes in what is there, and watches from then on. NULL: `why`. */
struct route_learn *route_learn_start(
        struct route *r, const struct tr_list *protocols, uint32_t table, char *why, size_t size);
void route_learn_again(struct route_learn *l); /* the pipeline's routes are others: resolves all anew */
void route_learn_stop(struct route_learn *l);  /* the routes stay */
uint32_t route_learn_count(const struct route_learn *l);

/* Names of protocols, "bird" or "186", into a set. false: `why`. */
bool route_learn_protocols(const struct tr_list *names, uint64_t set[4], char *why, size_t size);

/* One message of rtnetlink, of `len` bytes, as a route that may be learned. false: it is none. */
struct kernel_route {
	struct tr_prefix prefix;
	struct tr_addr gateway;
	uint32_t device, table;
	uint8_t protocol;
	bool gone;
};
bool route_learn_parse(const void *message, size_t len, struct kernel_route *out);
