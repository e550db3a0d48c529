/* SPDX-License-Identifier: BSD-3-Clause */
/* ICMP and ICMPv6: echo answered in place, errors about a packet. Worker threads. */
#pragma once

#include "net/ip.h"

enum { ICMP_ECHO_REPLY = 0, ICMP_ECHO = 8, ICMP6_ECHO = 128, ICMP6_ECHO_REPLY = 129 };

enum icmp_fault { ICMP_REPLIED, ICMP_CHECKSUM, ICMP_OTHER };

/* A checked packet of ICMP for this box: an echo request becomes its reply, with metadata for a gate of type ip. Others
 * are left as they are. */
enum icmp_fault icmp_echo(struct rte_mbuf *m, const struct ip_view *v);

enum icmp_error { ICMP_TIME_EXCEEDED, ICMP_TOO_BIG };

/* May an error be sent about this packet (RFC 1812 §4.3.2.7, RFC 4443 §2.4)? */
bool icmp_error_allowed(const struct rte_mbuf *m, const struct ip_view *v);

/* Fills `out`, a new packet, with the error about `m`. src: 4 or 16 bytes; all zero is left to the sending interface. */
void icmp_error(struct rte_mbuf *out, const struct rte_mbuf *m, const struct ip_view *v, enum icmp_error what,
		uint32_t mtu, const uint8_t *src);

/* A worker's allowance of errors: ICMP_BURST at once, refilled at ICMP_PER_SECOND. Zeroed = full. */
#define ICMP_PER_SECOND 1000u
#define ICMP_BURST 100u
struct icmp_rate {
	uint64_t since; /* ns at which the bucket was, or will be, empty; never earlier than a full bucket ago */
};
bool icmp_rate_take(struct icmp_rate *r, uint64_t now);
