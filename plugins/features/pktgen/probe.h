/* SPDX-License-Identifier: BSD-3-Clause */
/* The packets that are sent and measured: UDP in IPv4 or IPv6, whose payload says when it was sent and as which. */
#pragma once

#include <tailrace/types.h>

#define PROBE_DATA 36
#define PROBE_MIN(family) ((uint16_t)(((family) == 4 ? 20 : 40) + 8 + PROBE_DATA))
#define PROBE_PORT 9 /* discard: harmless where a packet is sent astray */

enum direction {
	UP,      /* sealed here, comes out of the gateway in clear */
	DOWN,    /* in clear here, comes out of the gateway sealed for the flow's session */
	THROUGH, /* sealed here by one session, comes back sealed for the next */
	DIRECTIONS
};

struct probe {
	uint8_t direction;
	uint32_t flow; /* the session's number */
	uint32_t run;  /* which measurement; stray packets of an older one don't count */
	uint64_t seq;  /* within the flow and direction */
	uint64_t time; /* ns; when the clock said that it should go */
};

/* A packet of `size` bytes (at least PROBE_MIN) at `ip`. Addresses are of one family. */
void probe_write(uint8_t *ip, uint16_t size, const struct tr_addr *from, const struct tr_addr *to, const struct probe *p);
/* False: not one of ours, or cut short. What stands behind the packet's own length is ignored: WireGuard pads. */
bool probe_read(struct probe *p, const uint8_t *ip, size_t len);

/* The n-th address from `first` on. */
struct tr_addr probe_address(const struct tr_addr *first, uint32_t n);
