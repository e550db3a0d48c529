/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 options (RFC 1812 §5.3.13, RFC 7126) and IPv6 extension headers for this box (RFC 8200 §4). Worker threads; no state. */
#pragma once

#include "net/ip.h"

#include <tailrace/host.h>

struct option_verdict {
	bool bad, tell; /* to be dropped; and the sender told: */
	enum tr_icmp why;
	uint32_t at;
};

/* Of a checked packet with options. Source routes are refused; others pass as they are: no address is recorded. */
struct option_verdict options4(const uint8_t *p);
/* Of a checked packet for this box. */
struct option_verdict extensions6(const uint8_t *p, const struct ip_view *v);

static inline bool
has_options(const struct ip_view *v)
{
	return v->l3_len != (v->version == 4 ? IPV4_LEN : IPV6_LEN);
}
