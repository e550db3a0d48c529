/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a route instance forwards by: prefixes and the next hops they lead to, in one object that is built whole and then
 * never changes. A new table is published by one pointer, so a worker never pairs a prefix of one table with a next hop
 * of another.
 */
#pragma once

#include "net/lpm.h"

#include <tailrace/option.h>
#include <tailrace/plugin.h>

struct route_options {
	struct tr_list address;
	struct tr_list routes;
	uint64_t table;
	bool clamp_mss;
};

struct next_hop {
	uint16_t gate;
	uint16_t mtu;
	bool fills_source; /* an interface: puts its own address into packets made here that have none */
	struct tr_addr via;
};

/* Values of the prefix table. Those above are next hops. */
enum { ROUTE_NONE, ROUTE_LOCAL, ROUTE_HOP };

struct fib {
	struct lpm *lpm;
	bool clamp_mss;
	struct tr_addr own4, own6; /* source of ICMP errors; family 0: none */
	uint32_t n_hops;
	struct next_hop *hop; /* by value - ROUTE_HOP */
};

/* What a gate leads to, by its number. */
struct route_gate {
	uint16_t mtu;
	bool fills_source;
};

/* Control thread. NULL: out of memory. */
struct fib *fib_new(const struct route_options *o, const struct route_gate *gates);
void fib_free(void *fib); /* no readers left */
