/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * BLAKE2s (RFC 7693), sequential mode, for any thread: it allocates nothing and leaves no key behind. OpenSSL's, which
 * this replaces, allocates once per plain hash, keeps the key in its context, and takes longer.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define BLAKE2S_BLOCK 64
#define BLAKE2S_MAX 32

struct blake2s {
	uint32_t h[8];
	uint64_t total;              /* bytes compressed so far */
	uint8_t block[BLAKE2S_BLOCK]; /* the last block waits here: it is compressed with its own flag */
	uint32_t fill, out_len;
};

/* out_len 1..32; key_len 0..32 (0: plain). */
void blake2s_init(struct blake2s *s, size_t out_len, const void *key, size_t key_len);
void blake2s_update(struct blake2s *s, const void *data, size_t len);
void blake2s_final(struct blake2s *s, void *out); /* wipes s */
