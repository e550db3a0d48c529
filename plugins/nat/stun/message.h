/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * STUN messages (RFC 8489, and RFC 3489 requests, which lack the cookie): what a server needs of them. No state, no I/O.
 */
#pragma once

#include "crc32.h"

#include <stdbool.h>
#include <tailrace/packet.h>

#define STUN_COOKIE 0x2112a442u
#define STUN_HEADER 20
#define STUN_UNKNOWN_MAX 16 /* unknown types that an error answer lists */
#define STUN_ANSWER_MAX 96  /* bytes */

/* Why a request gets no answer; in the order of the class's drop reasons. */
enum stun_drop {
	STUN_NOT_STUN,
	STUN_BAD_LENGTH,
	STUN_NOT_REQUEST,
	STUN_OTHER_METHOD,
	STUN_BAD_ATTRIBUTE,
	STUN_BAD_COOKIE,
	STUN_BAD_SOFTWARE,
	STUN_NO_FINGERPRINT,
	STUN_BAD_FINGERPRINT,
	STUN_CHANGE_REQUEST,
	STUN_RATE,
	STUN_NO_ROOM,
	STUN_DROPS,
};

#define STUN_ACCEPTED (-1)

enum stun_clients { STUN_ANY, STUN_TAILSCALE };

struct stun_request {
	bool classic;     /* RFC 3489 */
	bool fingerprint; /* asked with one, to be answered with one */
	uint8_t n_unknown;
	uint16_t unknown[STUN_UNKNOWN_MAX]; /* comprehension-required types that we don't know, in order of appearance */
};

/* STUN_ACCEPTED and *r filled in, or an enum stun_drop. */
int stun_parse(struct stun_request *r, const struct crc32 *crc, enum stun_clients clients, const void *data, size_t len);

/*
 * Writes the answer over the request, whose bytes 4..19 (cookie and transaction id) stay; returns its size. `client` is
 * the request's endpoint. Room for STUN_ANSWER_MAX bytes is the caller's to check. Error 420 when n_unknown > 0.
 */
size_t stun_answer(uint8_t *msg, const struct stun_request *r, const struct crc32 *crc, const struct tr_endpoint *client);
