/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP and ICMPv6: echo answered in place, errors about a packet. Worker threads. */
#pragma once

#include "net/ip.h"

#include <tailrace/host.h>

enum { ICMP_ECHO_REPLY = 0, ICMP_ECHO = 8, ICMP6_ECHO = 128, ICMP6_ECHO_REPLY = 129 };

enum icmp_fault { ICMP_REPLIED, ICMP_CHECKSUM, ICMP_OTHER };

/* A checked packet of ICMP for this box: an echo request becomes its reply, with metadata for a gate of type ip. Others
 * are left as they are. */
enum icmp_fault icmp_echo(struct rte_mbuf *m, const struct ip_view *v);

/*
 * A new packet that tells the sender of `m` (data at its IP header) why it goes no further, counted as held; NULL with
 * *fate: none may be sent about it (RFC 1812 §4.3.2.7, RFC 4443 §2.4), or no more now. Errors that the addressee sends
 * have its address, others an unspecified one: who sends them on fills it in.
 */
struct rte_mbuf *icmp_make(struct tr_node *node, const struct rte_mbuf *m, enum tr_icmp why, uint32_t arg, uint64_t *since,
	enum tr_icmp_fate *fate);
/* The same, out of a gate. */
enum tr_icmp_fate icmp_send(struct tr_node *node, uint16_t gate, const struct rte_mbuf *m, enum tr_icmp why, uint32_t arg,
	uint64_t *since);

/* A thread's allowance of errors: ICMP_BURST at once, refilled at ICMP_PER_SECOND. *since: ns at which the bucket was, or
 * will be, empty; never earlier than a full bucket ago; 0: full. */
#define ICMP_PER_SECOND 1000u
#define ICMP_BURST 100u
bool icmp_rate_take(uint64_t *since, uint64_t now);
