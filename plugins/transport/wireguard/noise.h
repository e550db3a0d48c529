/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Noise_IKpsk2 as WireGuard uses it (paper §5.4.1-5.4.5), as pure functions over copies: no state is kept here, nothing
 * is looked up. They run in jobs. All of them wipe what they derived on every way out; a function that returns false has
 * wiped its outputs as well.
 */
#pragma once

#include "message.h"

#include <tailrace/crypto.h>

#define NOISE_STAMP 12 /* bytes of a TAI64N timestamp */

/* Who we are, and what follows from it. */
struct noise_identity {
	struct tr_secret private_key;
	uint8_t public_key[32];
	uint8_t mac1_key[32];   /* for messages to us */
	uint8_t cookie_key[32]; /* for cookie replies by us */
};

/* A handshake between its two messages. */
struct noise_handshake {
	uint8_t chain[32], hash[32];
	uint8_t ephemeral[32]; /* initiator: own secret; responder: the initiator's public */
};

struct noise_keys {
	uint8_t send[32], receive[32];
};

void noise_identity(const struct tr_crypto *c, struct noise_identity *id, const struct tr_secret *private_key);
void noise_mac1_key(const struct tr_crypto *c, uint8_t key[32], const uint8_t public_key[32]);
void noise_cookie_key(const struct tr_crypto *c, uint8_t key[32], const uint8_t public_key[32]);

/* Initiator: fills the message but for sender and macs. False: the peer's key is a point of low order. */
bool noise_initiation(const struct tr_crypto *c, const struct noise_identity *id, const uint8_t peer[32],
		      const uint8_t stamp[NOISE_STAMP], struct noise_handshake *hs, struct message_initiation *m);
/* Responder, first half: who is it? Second half: when did they say it? */
bool noise_open_static(const struct tr_crypto *c, const struct noise_identity *id, const struct message_initiation *m,
		       struct noise_handshake *hs, uint8_t peer[32]);
bool noise_open_stamp(const struct tr_crypto *c, const struct noise_identity *id, const struct message_initiation *m,
		      const uint8_t peer[32], struct noise_handshake *hs, uint8_t stamp[NOISE_STAMP]);
/* Responder: fills the message but for sender and macs; takes the session keys out of the handshake, which it wipes. */
bool noise_response(const struct tr_crypto *c, struct noise_handshake *hs, const uint8_t peer[32], const uint8_t psk[32],
		    uint32_t receiver, struct message_response *m, struct noise_keys *keys);
/* Initiator: takes the session keys out of a copy of the handshake, which it wipes. */
bool noise_finish(const struct tr_crypto *c, const struct noise_identity *id, struct noise_handshake *hs,
		  const uint8_t psk[32], const struct message_response *m, struct noise_keys *keys);

/* TAI64N of a Unix time, the low 24 bits of the nanoseconds cleared, so that the clock is not given away. */
void noise_stamp(uint8_t stamp[NOISE_STAMP], uint64_t wall_ns);
