/* SPDX-License-Identifier: BSD-3-Clause */
/* The IP packets of a capture, in memory. Control reads the file; a worker takes from it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLAY_BYTES_MAX (UINT64_C(1) << 30)

struct recorded {
	const uint8_t *ip;
	uint16_t len;
	uint8_t l3_len, l4; /* l3_len 0: not known */
	uint64_t at;        /* ns after the first */
};

struct replay {
	uint32_t n, skipped; /* skipped: no IP, cut short, or too long */
	struct recorded *packet;
	uint64_t span; /* ns from the beginning of one round to that of the next */
	uint8_t *bytes;
};

/* NULL, with a reason: no capture (pcap or pcapng; Ethernet or raw IP), or nothing in it to send. */
struct replay *replay_read(const char *path, char *why, size_t size);
void replay_free(struct replay *r);
