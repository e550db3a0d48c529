/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests of the core's classes: one instance on a host, port and runner that exist only here. Packets come from the
 * guarded pool, verdicts are recorded, internal gates are followed. One thread.
 */
#pragma once

#include "engine.h"
#include "port/port.h"

#define RIG_OUT 1024
#define RIG_SENT 0xfffeu

struct rig_out {
	uint16_t verdict; /* gate, TR_DROP(reason), or RIG_SENT: reached the port as `data` */
	uint16_t len;
	uint8_t data[2100];
	struct tr_meta meta;
};

struct rig {
	struct plan plan;
	struct plan_instance pi[8]; /* [0] is the instance under test */
	struct plan_gate gate[8];
	struct tr_instance instance;
	void *self;
	struct tr_node node[2]; /* per worker */
	uint64_t count[32], now;
	char failure[256];
	struct rig_out out[RIG_OUT]; /* oldest first, from `taken` */
	unsigned n_out, taken;
	uint64_t rx, created, tx, drops, held; /* rx + created = tx + drops + held + gates */
	uint64_t gates;
	bool linked[8];      /* out gates that lead somewhere, for nodes that ask */
	uint16_t port_takes; /* packets that the port accepts in one call; default all */
};

/* The one rig that lives: create, worker_init and start have run. options: the class's struct. Extra instances and gates
 * (pi[1..], gate[]) are set by `plan` before create(). false: create() failed (failure). */
bool rig_open(struct rig *r, const struct tr_class *c, const char *name, void *options, void (*plan)(struct rig *));
void rig_close(struct rig *r); /* asserts that every packet is accounted for */

struct rte_mbuf *rig_packet(struct rig *r, const void *data, size_t len);
/* One packet through an in gate; its fate is in rig_next(). */
void rig_send(struct rig *r, const char *in, const void *data, size_t len, const struct tr_meta *meta);
/* Packets of rig_packet() as one burst. */
void rig_burst(struct rig *r, const char *in, struct rte_mbuf **pkts, uint16_t n);
/* A frame from the port: poll() gets it. */
void rig_receive(struct rig *r, const void *data, size_t len);
void rig_poll(struct rig *r);
const struct rig_out *rig_next(struct rig *r); /* NULL: nothing more */
const char *rig_verdict(const struct rig *r, const struct rig_out *o); /* "udp", "drop ttl", "sent" */
void rig_mac(uint8_t mac[6]); /* of the port */

/* Hex with blanks to bytes; returns their number. */
size_t rig_hex(const char *hex, uint8_t *out, size_t size);
