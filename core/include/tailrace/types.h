/* SPDX-License-Identifier: BSD-3-Clause */
/* Small value types shared by every plugin: addresses, prefixes, secrets, lists. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* An IP address. IPv4 lies in the first four bytes; the rest is zero, so that memcmp() compares. */
struct tr_addr {
	uint8_t family; /* 0 = unset, 4 or 6 */
	uint8_t pad[3];
	uint8_t ip[16]; /* network byte order */
};

struct tr_prefix {
	struct tr_addr addr; /* host bits are zero unless the option asks for an interface address */
	uint8_t len;         /* 0..32 or 0..128 */
};

struct tr_sockaddr {
	struct tr_addr addr;
	uint16_t port; /* host byte order */
};

/* 32 bytes that are public: a Curve25519 point. */
struct tr_key {
	uint8_t b[32];
};

/* 32 bytes that are secret: compared in constant time, wiped by its owner, never logged or shown. */
struct tr_secret {
	uint8_t b[32];
};

/* What an option of a list type parses to; `items` is an array of the element type, owned by the core. */
struct tr_list {
	uint32_t n;
	const void *items;
};

static inline bool
tr_addr_eq(const struct tr_addr *a, const struct tr_addr *b)
{
	return a->family == b->family && memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}
