/* SPDX-License-Identifier: BSD-3-Clause */
/* STUN messages (RFC 8489): what a client needs of them. No state, no I/O. */
#pragma once

#include "crc32.h"

#include <tailrace/types.h>

#define BINDING_TXID 12
#define BINDING_SIZE 40 /* bytes of a request */
#define BINDING_CHANGE_SIZE 48 /* of one that asks for an answer from elsewhere */

struct binding {
	uint8_t txid[BINDING_TXID];
	uint16_t error;            /* 300..699; 0: a success */
	struct tr_sockaddr mapped; /* family 0: the answer says none */
	struct tr_sockaddr other;  /* the server's other address and port (RFC 5780); family 0: it has none */
};

/* A request that public servers and derper answer alike: the latter wants Tailscale's SOFTWARE and a FINGERPRINT. */
void binding_request(uint8_t msg[BINDING_SIZE], const struct crc32 *crc, const uint8_t txid[BINDING_TXID]);

/* The same with CHANGE-REQUEST (RFC 5780 section 7.2): the answer is to come from the server's other address, other port, or both. */
enum { BINDING_CHANGE_PORT = 2, BINDING_CHANGE_ADDRESS = 4 };
void binding_change_request(uint8_t msg[BINDING_CHANGE_SIZE], const struct crc32 *crc, const uint8_t txid[BINDING_TXID], uint32_t change);

/* An answer. False: it is none, it is damaged, or it holds what a client must understand and doesn't. */
bool binding_parse(struct binding *b, const struct crc32 *crc, const void *data, size_t len);

/* Is this a request with that transaction id? One that has come back to its sender. */
bool binding_is_request(const void *data, size_t len, const uint8_t txid[BINDING_TXID]);
