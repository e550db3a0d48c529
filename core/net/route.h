/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a route instance forwards by. A table of prefixes and the next hops that they lead to: written by the control
 * thread while workers read, one prefix at a time, so that one route among a million costs what one among ten does. A
 * worker sees the old or the new next hop of a prefix, never another's: a next hop's place is used again only after a
 * grace period. Beside it a small head of options, replaced whole.
 */
#pragma once

#include "net/lpm.h"

#include <tailrace/option.h>
#include <stdatomic.h>
#include <tailrace/host.h>

struct route_options {
	struct tr_list address;
	struct tr_list routes;
	const char *file;
	uint64_t table;
	bool clamp_mss;
	struct tr_list learn; /* const char *: protocols */
	uint64_t learn_table;
};

struct next_hop {
	uint16_t gate;
	uint16_t mtu;
	bool fills_source; /* an interface: puts its own address into packets made here that have none */
	struct tr_addr via;
};

/* Values of the prefix table. Those above are next hops. */
enum { ROUTE_NONE, ROUTE_LOCAL, ROUTE_HOP };
#define ROUTE_HOPS 16384 /* distinct next hops of one table */

/* What a gate leads to, by its number. */
struct route_gate {
	uint16_t mtu;
	bool fills_source;
	char *name; /* a copy: the plan that named it may be gone */
};

struct route_table;

/* What workers read; a new one for each change of options, around the same table. */
struct fib {
	struct lpm *lpm;
	const struct next_hop *hop; /* by value - ROUTE_HOP */
	bool clamp_mss;
	struct tr_addr own4, own6; /* source of ICMP errors; family 0: none */
};

/* ---- route_table.c; control thread ---- */

/* max: prefixes (appliance.cfg's limits.routes). NULL: out of memory. */
struct route_table *route_table_new(uint32_t max, const struct route_gate *gates);
void route_table_free(struct route_table *t); /* no readers left */
/* Makes the table say what the options do, by what has changed since the last call. 0, -ENOSPC, -ENOMEM. */
int route_table_configure(struct route_table *t, const struct route_options *o);
/* A route that is not the pipeline's: 0, -EEXIST (it is the pipeline's), -ENOSPC, -ENOMEM. Replaces. */
int route_table_add(struct route_table *t, const struct tr_prefix *p, uint32_t gate, const struct tr_addr *via);
int route_table_del(struct route_table *t, const struct tr_prefix *p); /* -ENOENT, -EEXIST */
/* The route of an address: its next hop, or NULL; *local: an address of this box; *added: not the pipeline's. */
const struct next_hop *route_table_find(const struct route_table *t, const struct tr_addr *a, bool *local, bool *added);
struct fib *fib_new(const struct route_table *t, const struct route_options *o); /* NULL: out of memory */

struct route_counts {
	uint32_t pipeline, added, hops;
	size_t memory;
};
struct route_counts route_table_counts(const struct route_table *t);

/* ---- route_file.c; control thread ---- */

/* One route as text, `PREFIX INSTANCE.GATE` or `PREFIX INSTANCE.GATE via ADDRESS`. gate: name -> number, or -1. false:
 * `why` says what is wrong. */
struct route_text {
	struct tr_prefix prefix;
	struct tr_addr via;
	int gate;
};
typedef int route_gate_fn(void *arg, const char *name);
bool route_parse(char *const *word, unsigned n, route_gate_fn *gate, void *arg, struct route_text *out, char *why, size_t size);
/* Adds the routes of a file, one a line, `#` begins a comment. false: `why` names the line; those before it are in. */
bool route_file_read(struct route_table *t, const char *path, route_gate_fn *gate, void *arg, char *why, size_t size);

/* ---- The instance: route.c, route_command.c ---- */

struct route {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct route_options *options;
	struct fib *_Atomic fib; /* written by the control thread */
	struct route_table *table;
	struct route_learn *learn; /* control thread; NULL: nothing is learned */
	bool udp, host_linked;   /* these gates are linked */
	unsigned n_gates;
	struct route_gate gate[];
};

enum { ROUTE_UDP, ROUTE_HOST }; /* out gates; those of the routes follow */

int route_gate_by_name(void *route, const char *name); /* of a route; -1: none */
void route_show(void *route, struct tr_show *out);
extern const struct tr_command route_commands[];
