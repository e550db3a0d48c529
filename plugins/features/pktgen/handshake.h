/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The WireGuard handshake, both roles, as functions of their arguments (protocol: Noise_IKpsk2, WireGuard paper §5.4).
 * Written apart from the transport plugin's, so that the two check each other. Scalar multiplications make these jobs'
 * work, except for the MACs and the cookie. Nothing here keeps state; what is secret in `struct handshake` is the
 * caller's to wipe.
 */
#pragma once

#include <tailrace/crypto.h>

#define HS_INITIATION 148
#define HS_RESPONSE 92
#define HS_COOKIE_REPLY 64

enum hs_type { HS_TYPE_INITIATION = 1, HS_TYPE_RESPONSE, HS_TYPE_COOKIE, HS_TYPE_DATA };

/* One side's long-lived keys towards one other side. */
struct identity {
	uint8_t secret[32], public_key[32];
	uint8_t remote[32];          /* the other side's public key */
	uint8_t shared[32];          /* DH of secret and remote, computed once */
	uint8_t preshared_key[32];   /* all zero: none */
};

/* What lies between two messages of one handshake. */
struct handshake {
	uint8_t chain[32], hash[32];
	uint8_t ephemeral[32]; /* initiator: its secret. responder: the initiator's public one */
	uint32_t remote_index; /* responder: the initiator's */
};

struct session_keys {
	uint8_t send[32], receive[32];
};

/* `me` needs secret and remote; the rest is computed. False: the remote key is no use (small order). */
bool identity_complete(const struct tr_crypto *c, struct identity *me);

/* Initiator. mac1 and mac2 are left to hs_mac(). `ephemeral` is a clamped secret. False: a key of small order. */
bool initiation_write(const struct tr_crypto *c, struct handshake *h, const struct identity *me,
	const uint8_t ephemeral[32], uint32_t index, const uint8_t timestamp[12], uint8_t msg[HS_INITIATION]);
bool response_read(const struct tr_crypto *c, const struct handshake *h, const struct identity *me,
	const uint8_t msg[HS_RESPONSE], struct session_keys *keys);

/* Responder. False: not from me->remote, or forged. */
bool initiation_read(const struct tr_crypto *c, struct handshake *h, const struct identity *me,
	const uint8_t msg[HS_INITIATION], uint8_t timestamp[12]);
bool response_write(const struct tr_crypto *c, const struct handshake *h, const struct identity *me,
	const uint8_t ephemeral[32], uint32_t index, uint8_t msg[HS_RESPONSE], struct session_keys *keys);

/* MACs of a message of `len` bytes (either size). `receiver`: public key of who gets it. cookie: NULL, or 16 bytes. */
void hs_mac(const struct tr_crypto *c, uint8_t *msg, size_t len, const uint8_t receiver[32], const uint8_t *cookie);
bool hs_mac1_right(const struct tr_crypto *c, const uint8_t *msg, size_t len, const uint8_t receiver[32]);
/* The cookie in a reply to the message whose mac1 is given; `issuer`: public key of who sent the reply. */
bool cookie_read(const struct tr_crypto *c, const uint8_t msg[HS_COOKIE_REPLY], const uint8_t issuer[32],
	const uint8_t mac1[16], uint8_t cookie[16]);

/* TAI64N, whitened to 2^24 ns as WireGuard does. */
void hs_timestamp(uint8_t out[12], uint64_t wall_ns);

static inline uint32_t
hs_get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4); /* little-endian, as this project's hosts are */
	return v;
}

static inline uint64_t
hs_get64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, 8);
	return v;
}
