/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers with sessions that no handshake made: state blocks are written as the plugin keeps them, which never changes. */
#pragma once

#include "load.h"

struct session {
	uint8_t public_key[32];       /* nobody's */
	uint8_t seals[32], opens[32]; /* what the gateway does with the key */
	uint32_t theirs;
	uint64_t counter;             /* of who sends to the gateway */
};
extern struct session *sessions;
extern const struct tr_addr session_gateway, session_far;

struct tr_addr session_inside(uint32_t peer);
/* A packet that the gateway sent is what this kind of load makes: an own engine opens what was sealed. */
bool session_proves(enum load_kind kind, struct rte_mbuf *m);
