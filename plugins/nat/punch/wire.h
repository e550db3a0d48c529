/* SPDX-License-Identifier: BSD-3-Clause */
/* What all disco messages are made of. */
#pragma once

#include "message.h"

#include <tailrace/reader.h>

#define WIRE_ADDRESS 18 /* 16 bytes of IP, IPv4 mapped into IPv6; port */

static inline void
wire_take(uint8_t *to, struct tr_reader *in, size_t len)
{
	const uint8_t *p = tr_take(in, len);
	if (p != NULL)
		memcpy(to, p, len);
}

static inline uint64_t
wire_be64(struct tr_reader *in)
{
	const uint64_t high = tr_be32(in);
	return high << 32 | tr_be32(in);
}

void wire_take_address(struct tr_reader *in, struct tr_sockaddr *a);

/* Each returns where the next one goes. */
static inline uint8_t *
wire_put(uint8_t *p, const void *data, size_t len)
{
	memcpy(p, data, len);
	return p + len;
}

static inline uint8_t *
wire_put_be(uint8_t *p, uint64_t v, unsigned len)
{
	for (unsigned i = 0; i < len; i++)
		p[i] = (uint8_t)(v >> 8 * (len - 1 - i));
	return p + len;
}

static inline uint8_t *
wire_put_type(uint8_t *p, enum disco_type type)
{
	*p++ = (uint8_t)type;
	*p++ = 0; /* version */
	return p;
}

uint8_t *wire_put_address(uint8_t *p, const struct tr_sockaddr *a);
