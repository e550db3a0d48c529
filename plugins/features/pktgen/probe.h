/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packets that are sent and measured: UDP in IPv4 or IPv6, whose payload says when it was sent and as which, and goes on
 * with bytes that the receiver knows. The 18 bytes of the stamp fit into the smallest Ethernet frame of IPv4.
 */
#pragma once

#include <tailrace/types.h>

#define PROBE_STAMP 18
#define PROBE_MIN(family) ((uint16_t)(((family) == 4 ? 20 : 40) + 8 + PROBE_STAMP))
#define PROBE_MAX 9500
#define PROBE_PORT 9 /* discard: harmless where a packet is sent astray */

enum direction {
	UP,      /* sealed here, comes out of the gateway in clear */
	DOWN,    /* in clear here, comes out of the gateway sealed for the flow's session */
	THROUGH, /* sealed here by one session, comes back sealed for the next */
	DIRECTIONS
};

struct probe {
	uint8_t direction;
	uint32_t flow; /* the session's number, or the stream's; 24 bits */
	uint16_t run;  /* which measurement; stray packets of an older one don't count */
	uint64_t seq;  /* within the flow; 40 bits */
	uint64_t time; /* ns, when the clock said that it should go; 48 bits: 78 hours */
};

/* What follows the stamp, alike in every packet, and its sums: [n] of the first n 16-bit words. */
struct pattern {
	uint8_t bytes[PROBE_MAX];
	uint32_t sum[PROBE_MAX / 2 + 1];
};
void pattern_init(struct pattern *p);

struct probe_path {
	const struct tr_addr *from, *to; /* of one family */
	uint16_t from_port, to_port;
};

/* A packet of `size` bytes, PROBE_MIN to PROBE_MAX, at `ip`. */
void probe_write(uint8_t *ip, uint16_t size, const struct probe_path *path, const struct pattern *pattern, const struct probe *p);

enum probe_kind { PROBE_NONE, PROBE_OURS, PROBE_CORRUPT };
/* NONE: not one of ours, or cut short. CORRUPT: ours, but what follows the stamp was changed. What stands behind the packet's
 * own length is ignored: WireGuard pads. */
enum probe_kind probe_read(struct probe *p, const struct pattern *pattern, const uint8_t *ip, size_t len);

/* How long ago a packet with this time was due; 0 for one of the future. */
uint64_t probe_age(uint64_t time, uint64_t now);

/* The n-th address from `first` on. */
struct tr_addr probe_address(const struct tr_addr *first, uint32_t n);
