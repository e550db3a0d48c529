/* SPDX-License-Identifier: BSD-3-Clause */
/* host: the kernel of this box as an instance. host.c: its life and its packets; host_rules.c: what it lets in. */
#pragma once

#include "../port/steer.h"

#include <tailrace/plugin.h>

/* What others may ask of the kernel. Immutable. */
struct host_rules {
	uint64_t protocol[4];         /* bit per protocol: all of it */
	uint64_t port[2][65536 / 64]; /* of TCP, UDP */
};

/* accept: strings such as "tcp/22", "udp/5000-5010", "icmp", "89"; empty: everything. NULL: `why`. */
struct host_rules *host_rules_new(const struct tr_list *accept, char *why, size_t size);
/* A whole, checked packet for this box: may it come in? Answers to what the kernel began always may. */
bool host_rules_allow(const struct host_rules *r, const uint8_t *p, uint32_t len, const struct tr_meta *meta);
/* What a NIC can be told of it: of each address, TCP, ports, and other protocols; not all of UDP, which is mostly tunnels'. How
 * many of at most `max`; a strict order, so that the same options give the same rules. */
unsigned host_rules_steer(const struct tr_list *accept, const struct tr_list *address, struct steer_rule *out, unsigned max);
