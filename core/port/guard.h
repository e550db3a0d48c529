/* SPDX-License-Identifier: BSD-3-Clause */
/* Which NICs must not be taken: those that this machine itself is reached through. Control thread. */
#pragma once

#include "../config/appliance.h"

/* The kernel's interface below a device ("0000:3b:00.0", "net_af_packet0,iface=eth1"), or false. */
bool guard_iface(const char *device, char *out, size_t size);
/* Refuses (false, with a diagnostic) a port that holds the default route or the SSH session and is not to be taken all
 * the same; warns when the kernel has an address there. */
bool guard_check(const struct appliance *a, const struct appliance_port *p, struct diags *d);

/* Parsers of /proc/net/route and /proc/net/ipv6_route: does the default route leave by iface? */
bool guard_default4(FILE *f, const char *iface);
bool guard_default6(FILE *f, const char *iface);
/* Local addresses of established connections to port 22 in /proc/net/tcp (hex_digits 8) or tcp6 (32); returns how many.
 */
unsigned guard_sessions(FILE *f, unsigned hex_digits, struct tr_addr *out, unsigned max);
