/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Disco messages as Tailscale's clients send them: magic, the sender's disco key, a nonce, and a NaCl box (X25519,
 * XSalsa20-Poly1305) around type, version and body. The same bytes travel by UDP and by DERP. No state, no I/O; none of
 * it locks or allocates.
 */
#pragma once

#include <tailrace/types.h>

#define DISCO_KEY 32
#define DISCO_NONCE 24
#define DISCO_TXID 12
#define DISCO_HEAD 62                         /* magic, key, nonce */
#define DISCO_PAYLOAD (DISCO_HEAD + 16)       /* where the payload lies: behind the tag */
#define DISCO_ADDRESSES 96                    /* what is taken of a call-me-maybe, and sent in one */
#define DISCO_PING_SIZE (DISCO_PAYLOAD + 46)  /* datagrams that we send */
#define DISCO_PONG_SIZE (DISCO_PAYLOAD + 32)
#define DISCO_MAX (DISCO_PAYLOAD + 2 + 18 * DISCO_ADDRESSES)

enum disco_type {
	DISCO_OTHER, /* a type that we don't know: nothing else is filled in */
	DISCO_PING,
	DISCO_PONG,
	DISCO_CALL_ME_MAYBE,
	DISCO_BIND, /* this and the rest: relay_message.h */
	DISCO_BIND_CHALLENGE,
	DISCO_BIND_ANSWER,
	DISCO_CALL_ME_MAYBE_VIA,
	DISCO_ALLOCATE,
	DISCO_ALLOCATED,
	DISCO_TYPES,
};

struct disco_message {
	enum disco_type type;
	bool has_node;               /* ping: it names the sender's WireGuard key */
	uint8_t node[DISCO_KEY];
	uint8_t txid[DISCO_TXID];    /* ping, pong */
	uint16_t padding;            /* ping: zeros behind the rest, to try how large a datagram passes */
	uint16_t n;                  /* pong: 1, as its sender saw us; call-me-maybe: 0..DISCO_ADDRESSES */
	struct tr_sockaddr address[DISCO_ADDRESSES];
};

/* Magic, and long enough to hold the head. */
bool disco_is(const void *data, size_t len);

static inline const uint8_t *
disco_sender(const void *data) /* of what disco_is() */
{
	return (const uint8_t *)data + 6;
}

/* The key that both directions of a pair of disco keys share: a scalar multiplication. False: no key of a point. */
bool disco_shared(uint8_t shared[DISCO_KEY], const uint8_t secret[DISCO_KEY], const uint8_t peer[DISCO_KEY]);
void disco_public(uint8_t key[DISCO_KEY], const uint8_t secret[DISCO_KEY]);

/* Opens the box in place; the payload then lies at data + DISCO_PAYLOAD. Its length, or -1: cut short or forged. */
int disco_open(uint8_t *data, size_t len, const uint8_t shared[DISCO_KEY]);
bool disco_parse(struct disco_message *m, const void *payload, size_t len); /* false: too short for its type */

/* Each writes a payload and returns its length. */
size_t disco_ping(uint8_t *payload, const uint8_t txid[DISCO_TXID], const uint8_t node[DISCO_KEY]);
size_t disco_pong(uint8_t *payload, const uint8_t txid[DISCO_TXID], const struct tr_sockaddr *seen);
size_t disco_call_me_maybe(uint8_t *payload, const struct tr_sockaddr *address, unsigned n); /* n: 1..DISCO_ADDRESSES */

/* Closes the box around the payload of len bytes that lies at data + DISCO_PAYLOAD. The size of the datagram. */
size_t disco_seal(uint8_t *data, size_t len, const uint8_t sender[DISCO_KEY], const uint8_t nonce[DISCO_NONCE],
	const uint8_t shared[DISCO_KEY]);
