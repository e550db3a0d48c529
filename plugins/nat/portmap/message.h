/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of the two port mapping protocols that a router speaks on UDP port 5351: NAT-PMP (RFC 6886), version 0, and its
 * successor PCP (RFC 6887), version 2. No state, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <tailrace/types.h>

#define PORTMAP_SERVER_PORT 5351 /* RFC 6886 section 3.1, RFC 6887 section 19.1 */
#define PORTMAP_REQUEST_MAX 60
#define PCP_NONCE 12

enum portmap_version { NAT_PMP = 0, PCP = 2, UPNP = -1 /* none of these: upnp.h */ };

/* Result codes that decide something; others are shown as numbers. */
enum {
	NAT_PMP_UNSUPP_VERSION = 1,
	PCP_UNSUPP_VERSION = 1,
	PCP_ADDRESS_MISMATCH = 12, /* the client's address in the request is not where it came from */
};

enum portmap_kind {
	PORTMAP_ADDRESS,  /* NAT-PMP: the external address */
	PORTMAP_ANNOUNCE, /* PCP: the server is there */
	PORTMAP_MAPPING,
	PORTMAP_REFUSAL, /* an error that does not say what it answers: the version, or an opcode, is unknown */
};

/* An answer; fields that its kind does not have are zero. */
struct portmap_answer {
	enum portmap_version version; /* the server's */
	enum portmap_kind kind;
	uint16_t result; /* 0: success */
	uint32_t epoch;  /* seconds since the server lost its state, by its own clock */
	uint32_t lifetime; /* PORTMAP_MAPPING: seconds; in an error of PCP: how long to keep quiet */
	uint16_t internal_port, external_port;
	struct tr_addr external; /* PCP: with the mapping. NAT-PMP: in PORTMAP_ADDRESS only */
	uint8_t nonce[PCP_NONCE]; /* PCP */
};

/* A mapping that is asked for, renewed (both name the port and address of before as a wish) or given up (lifetime 0). */
struct portmap_request {
	uint32_t lifetime;
	uint16_t internal_port, external_port; /* external: 0 for any */
	struct tr_addr client;   /* PCP: where the request comes from */
	struct tr_addr external; /* PCP: family 0 for any */
	uint8_t nonce[PCP_NONCE]; /* PCP: the same for all requests about one mapping */
};

/* Each writes a request to `out`, of PORTMAP_REQUEST_MAX bytes, and returns its size. */
size_t portmap_address(uint8_t *out);                                       /* NAT-PMP, RFC 6886 section 3.2 */
size_t portmap_announce(uint8_t *out, const struct tr_addr *client);        /* PCP, RFC 6887 section 14.1 */
size_t portmap_map(uint8_t *out, enum portmap_version version, const struct portmap_request *r); /* of a UDP port */

/* False: not an answer of either protocol. */
bool portmap_parse(struct portmap_answer *a, const void *data, size_t len);
