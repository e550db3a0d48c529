/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * ClientInfo and ServerInfo: JSON in a NaCl box between the client's node key and the server's key. Libraries: libsodium
 * (box), jansson. No I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INFO_NONCE 24
#define INFO_TAG 16
#define INFO_MAX 512 /* of what is sealed here, the key of ClientInfo included */

struct info_client {
	uint8_t key[32];
	bool has_mesh_key, can_ack_pings, prober;
	uint8_t mesh_key[32]; /* wiped by the caller */
};

struct info_server {
	uint64_t bytes_per_second, burst; /* 0: no limit */
};

/* The key that both boxes of a pair of parties are sealed with. False: a point of low order. Wiped by the caller. */
bool info_shared(uint8_t shared[32], const uint8_t public_key[32], const uint8_t secret[32]);

/* Body of a ClientInfo frame: the client's key, without opening it. len >= 56 (frame.h). */
#define INFO_CLIENT_KEY(body) (body)
bool info_open_client(struct info_client *out, const uint8_t *body, size_t len, const uint8_t shared[32]);
size_t info_seal_client(uint8_t out[INFO_MAX], const struct info_client *c, const uint8_t shared[32]);

bool info_open_server(struct info_server *out, const uint8_t *body, size_t len, const uint8_t shared[32]);
size_t info_seal_server(uint8_t out[INFO_MAX], const struct info_server *s, const uint8_t shared[32]);
