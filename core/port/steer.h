/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Flows for the kernel of this box, which NICs that can are asked to put into one queue (rte_flow): so they come to one worker,
 * whatever RSS does with the rest. Nothing depends on it: what a packet is, is decided by software, on whatever queue it comes.
 * Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <tailrace/types.h>

#define STEER_RULES 64
#define STEER_QUEUE 0

struct steer_rule {
	struct tr_addr to;
	uint8_t protocol;    /* IP's number */
	uint16_t from, last; /* destination ports of TCP or UDP; 0: all of the protocol */
};

/* What became of the rules on one device: 0 is a device that has not been asked. */
struct steer {
	struct {
		struct rte_flow *flow; /* NULL: it is not in the NIC */
		bool asked;
		char why[64]; /* why it isn't */
	} rule[STEER_RULES];
};

/* A rule is wanted once more, or once less. Afterwards every device is made to have what is wanted. */
void steer_want(const struct steer_rule *r, bool wanted);
void steer_device(struct steer *s, uint16_t device, const char *port);

struct steer_seen {
	char rule[80]; /* "tcp/22 to 198.51.100.7" */
	bool in_nic;
	const char *why;
};
/* Rule i that is wanted, counted from 0, as it fared there; false: there are not so many. */
bool steer_see(const struct steer *s, unsigned i, struct steer_seen *out);
