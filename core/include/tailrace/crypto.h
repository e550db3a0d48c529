/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cryptography that the core offers: the burst AEAD of the packet path, and the Noise primitives (WireGuard paper
 * §5.4; RFC 8439, RFC 7693, RFC 7748, RFC 5869). Functions of struct tr_crypto are for jobs, control and service
 * loops, mac and hash also for workers: none allocates, locks or makes a syscall. All wipe their temporaries.
 */
#pragma once

#include <tailrace/types.h>

#define TR_AEAD_TAG 16

/* One packet of a burst: ChaCha20-Poly1305, nonce = 4 zero bytes and the counter little-endian, no associated data. */
struct tr_aead {
	const uint8_t *key; /* 32 bytes */
	uint64_t counter;
	uint8_t *data; /* in place; any alignment. seal: tag is written to data[len..len+15] */
	uint32_t len;  /* plaintext bytes (seal); ciphertext bytes without the tag, which stands behind it (open) */
	uint32_t ok;   /* open: 1 if the tag is right, else 0 and data is unspecified but never plaintext */
};

struct tr_crypto {
	/* BLAKE2s (RFC 7693) with `out_len` bytes of output, keyed when key_len > 0; the concatenation of n parts. */
	void (*blake2s)(uint8_t *out, size_t out_len, const uint8_t *key, size_t key_len, const void *const *part,
			const size_t *part_len, unsigned n);
	/* HMAC-BLAKE2s key derivation, KDFn of the paper: n = 1..3 outputs of 32 bytes each, written to out. */
	void (*kdf)(uint8_t *out, unsigned n, const uint8_t key[32], const uint8_t *input, size_t input_len);
	/* X25519; false when the result is all zero (RFC 7748 §6.1), and then out is zero. out may be an input. */
	bool (*dh)(uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32]);
	void (*public_key)(uint8_t out[32], const uint8_t secret[32]);
	void (*keypair)(uint8_t secret[32], uint8_t public_key[32]); /* clamped, random */
	/* ChaCha20-Poly1305, one message with associated data; out holds len + 16 (seal) or len - 16 (open) bytes. */
	void (*seal)(uint8_t *out, const uint8_t key[32], uint64_t counter, const uint8_t *in, size_t len, const uint8_t *ad,
		     size_t ad_len);
	bool (*open)(uint8_t *out, const uint8_t key[32], uint64_t counter, const uint8_t *in, size_t len, const uint8_t *ad,
		     size_t ad_len);
	/* XChaCha20-Poly1305 with a nonce of 24 bytes. */
	void (*xseal)(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const uint8_t *in, size_t len,
		      const uint8_t *ad, size_t ad_len);
	bool (*xopen)(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const uint8_t *in, size_t len,
		      const uint8_t *ad, size_t ad_len);
	bool (*equal)(const void *a, const void *b, size_t n); /* constant time */
	void (*wipe)(void *p, size_t n);
	void (*random)(void *p, size_t n); /* any thread; on a worker from a generator of its own, without a syscall */
};
