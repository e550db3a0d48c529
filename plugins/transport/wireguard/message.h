/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The four messages on the wire (WireGuard paper §5.4). Integers are little-endian. Structs are packed and hold bytes
 * only where alignment is not given, so that a pointer into a packet may be cast to them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum message_type {
	MESSAGE_INITIATION = 1,
	MESSAGE_RESPONSE = 2,
	MESSAGE_COOKIE = 3,
	MESSAGE_DATA = 4,
};

struct message_macs {
	uint8_t mac1[16], mac2[16];
};

struct message_initiation {
	uint32_t type, sender;
	uint8_t ephemeral[32];
	uint8_t static_[32 + 16];
	uint8_t timestamp[12 + 16];
	struct message_macs macs;
} __attribute__((packed));
_Static_assert(sizeof(struct message_initiation) == 148, "size on the wire");

struct message_response {
	uint32_t type, sender, receiver;
	uint8_t ephemeral[32];
	uint8_t empty[16];
	struct message_macs macs;
} __attribute__((packed));
_Static_assert(sizeof(struct message_response) == 92, "size on the wire");

struct message_cookie {
	uint32_t type, receiver;
	uint8_t nonce[24];
	uint8_t cookie[16 + 16];
} __attribute__((packed));
_Static_assert(sizeof(struct message_cookie) == 64, "size on the wire");

struct message_data {
	uint32_t type, receiver;
	uint64_t counter;
	uint8_t data[];
} __attribute__((packed));
_Static_assert(sizeof(struct message_data) == 16, "size on the wire");

#define MESSAGE_DATA_MIN (sizeof(struct message_data) + 16) /* an empty packet: header and tag */

static inline bool
message_fits(size_t len, size_t size)
{
#ifdef TR_SEEDED_BUG /* for the fuzz targets to find: a message may lack its last byte */
	if (len + 1 == size)
		return true;
#endif
	return len == size;
}

/* The type of a datagram whose size fits it, else 0. Reserved bytes must be zero. */
static inline enum message_type
message_type(const uint8_t *p, size_t len)
{
	uint32_t type; /* and the reserved bytes */

	if (len < MESSAGE_DATA_MIN)
		return 0;
	memcpy(&type, p, sizeof(type));
	switch (type) {
	case MESSAGE_INITIATION:
		return message_fits(len, sizeof(struct message_initiation)) ? MESSAGE_INITIATION : 0;
	case MESSAGE_RESPONSE:
		return message_fits(len, sizeof(struct message_response)) ? MESSAGE_RESPONSE : 0;
	case MESSAGE_COOKIE:
		return message_fits(len, sizeof(struct message_cookie)) ? MESSAGE_COOKIE : 0;
	case MESSAGE_DATA:
		return MESSAGE_DATA;
	default:
		return 0;
	}
}
