/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * mac1, mac2 and cookies (paper §5.4.4, §5.4.7, §6.6), and the token buckets that stand behind them. Symmetric
 * cryptography only: all of it runs on workers.
 */
#pragma once

#include "noise.h"

#include <tailrace/packet.h>

#define COOKIE_LIFE (120ull * 1000000000u) /* of the secret, and of a cookie that we were given */

/* What a worker needs to hand out cookies; its owner alone uses it. All zero: none made yet. */
struct cookie_issuer {
	uint8_t secret[32];
	uint64_t born; /* ns; 0: no secret */
};

/* What a peer gave us, and the message that it will answer. */
struct cookie_held {
	uint8_t cookie[16];
	uint8_t mac1[16]; /* of the last handshake message sent */
	uint64_t born;    /* ns; 0: no cookie */
	bool sent;        /* mac1 is valid */
};

/* `macs` lie at the end of the message that starts at m. */
bool cookie_mac1_ok(const struct tr_crypto *c, const uint8_t mac1_key[32], const void *m, const struct message_macs *macs);
bool cookie_mac2_ok(const struct tr_crypto *c, const uint8_t cookie[16], const void *m, const struct message_macs *macs);
/* Both macs of a message of ours; mac2 zero unless a fresh cookie is held. Remembers mac1. */
void cookie_add_macs(const struct tr_crypto *c, struct cookie_held *held, const uint8_t mac1_key[32], uint64_t now,
		     const void *m, struct message_macs *macs);

/* The cookie of a source address; renews the secret when it is old. */
void cookie_make(const struct tr_crypto *c, struct cookie_issuer *i, uint64_t now, const struct tr_endpoint *from,
		 uint8_t cookie[16]);
void cookie_reply(const struct tr_crypto *c, const uint8_t cookie_key[32], const uint8_t cookie[16], const uint8_t mac1[16],
		  uint32_t receiver, struct message_cookie *m);
/* peer_cookie_key: of the peer that answered. False: not for the message that we sent last. */
bool cookie_take(const struct tr_crypto *c, struct cookie_held *held, const uint8_t peer_cookie_key[32], uint64_t now,
		 const struct message_cookie *m);

/* ---- Token buckets: 20 handshakes a second, 5 at once, per IPv4 address or IPv6 /64 ---- */

#define LIMITER_WAYS 4
#define LIMITER_SETS 1024

struct limiter_entry {
	uint64_t source; /* 0: free */
	uint64_t at;     /* ns of the last packet */
	uint64_t tokens; /* ns: a packet costs 50 ms */
};
struct limiter {
	uint64_t seed;
	struct limiter_entry set[LIMITER_SETS][LIMITER_WAYS];
};

/* May a handshake message from here be worked on? A full set answers no: entries go after a second of silence. */
bool limiter_allow(const struct tr_crypto *c, struct limiter *l, uint64_t now, const struct tr_endpoint *from);
