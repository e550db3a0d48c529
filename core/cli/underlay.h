/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel has on a NIC that somebody else told it, for a time: by DHCP, or by a router's advertisement. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct underlay {
	unsigned index;     /* of the interface */
	bool dhcp, ra;      /* who told it */
	char address[64];   /* the first such, with its length; "": none */
	char gateway[46];   /* of such a default route; "": none */
};

/* False: there is no such interface, or nothing of the kind on it. */
bool underlay_of(const char *iface, struct underlay *out);
/* One message of rtnetlink, RTM_NEWADDR or RTM_NEWROUTE, about whatever interface; others say nothing. */
void underlay_message(struct underlay *u, const void *message, size_t len);
