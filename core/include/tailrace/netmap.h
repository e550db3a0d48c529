/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What plugins see of the netmap: peers, names. The core owns it; workers and jobs read records under RCU: a record
 * obtained in a callback stays valid until that callback returns.
 */
#pragma once

#include <tailrace/packet.h>

/* A peer as the layers merge to (provider below, operator above). Immutable; a change publishes a new record. */
struct tr_peer {
	uint32_t id;              /* 1..limits.peers: index of blocks; reused only after a grace period */
	uint16_t keepalive;       /* persistent keepalive, seconds; 0: off */
	uint16_t n_allowed;       /* allowed IPs */
	uint8_t public_key[32];
	uint8_t preshared_key[32]; /* all zero: none */
	struct tr_endpoint endpoint; /* configured; family 0: none. The one in use is path()'s */
	const char *name;         /* NULL: none */
	const struct tr_prefix *allowed;
	const char *origin;       /* who wrote it: "pipeline.yaml", "operator", … */
};

enum tr_peer_field {
	TR_PEER_PSK = 1u << 0,
	TR_PEER_ENDPOINT = 1u << 1,
	TR_PEER_KEEPALIVE = 1u << 2,
	TR_PEER_REPLACE_ALLOWED = 1u << 3, /* drop all allowed IPs first */
	TR_PEER_UPDATE_ONLY = 1u << 4,     /* do nothing if the peer does not exist */
	TR_PEER_REMOVE = 1u << 5,          /* operator layer: absent */
};

/* A change to the operator's layer (what `wg set` and `tailrace set` do). */
struct tr_peer_change {
	uint8_t public_key[32];
	uint32_t fields; /* enum tr_peer_field */
	uint16_t keepalive;
	uint8_t preshared_key[32];
	struct tr_endpoint endpoint;
	uint32_t n_add, n_remove; /* allowed IPs; adding one that another peer of the interface holds moves it */
	const struct tr_prefix *add, *remove;
};

/* The answer to a name. */
struct tr_name {
	uint16_t n;
	const struct tr_addr *addr;
};

enum tr_name_status {
	TR_NAME_FOREIGN, /* not below the netmap's domain, not in its ranges: ask an upstream */
	TR_NAME_NONE,    /* ours, and there is no such name */
	TR_NAME_FOUND,
};

/* A name to look up, of a burst. */
struct tr_name_find {
	const char *name; /* lower case, labels joined by dots, without the last dot; not terminated */
	uint16_t len;
	enum tr_name_status status; /* the answer; `found` when TR_NAME_FOUND */
	struct tr_name found;
};
