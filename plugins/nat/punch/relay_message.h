/* SPDX-License-Identifier: BSD-3-Clause */
/* The disco messages of peer relays: a client asks for a path, tells the other side of it, and both bind to it. */
#pragma once

#include "message.h"

#define DISCO_CHALLENGE 32
#define DISCO_BIND_LEN (2 + 72)        /* payload of any of the three bind messages */
#define DISCO_ALLOCATE_LEN (2 + 68)
#define DISCO_RELAY_ADDRESSES 8        /* of a relay: what is taken, and sent */
#define DISCO_RELAY_MAX (2 + 4 + 124 + 18 * DISCO_RELAY_ADDRESSES) /* longest payload that is written */

struct disco_bind {
	uint32_t vni, generation;
	uint8_t remote[DISCO_KEY]; /* the client at the other end */
	uint8_t challenge[DISCO_CHALLENGE];
};

struct disco_allocate {
	uint8_t client[2][DISCO_KEY];
	uint32_t generation;
};

/* A path by a relay. */
struct disco_relay {
	uint32_t generation; /* of the request that it answers; a call-me-maybe-via has none */
	uint32_t vni;
	uint8_t server[DISCO_KEY];
	uint8_t client[2][DISCO_KEY];
	uint64_t id;         /* grows with every path of this relay */
	uint64_t bind_ns;    /* time to bind */
	uint64_t idle_ns;    /* then forgotten when a client is silent for so long */
	uint16_t n;          /* 1.. */
	struct tr_sockaddr address[DISCO_RELAY_ADDRESSES];
};

/* Payloads of the type that `payload` begins with. False: another type, or not of its length. */
bool disco_parse_bind(struct disco_bind *b, const void *payload, size_t len);
bool disco_parse_allocate(struct disco_allocate *a, const void *payload, size_t len);
bool disco_parse_relay(struct disco_relay *r, const void *payload, size_t len); /* allocated, call-me-maybe-via */

/* Each writes a payload and returns its length. */
size_t disco_bind(uint8_t *payload, enum disco_type type, const struct disco_bind *b);
size_t disco_allocate(uint8_t *payload, const struct disco_allocate *a);
size_t disco_relay(uint8_t *payload, enum disco_type type, const struct disco_relay *r);
