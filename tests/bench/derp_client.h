/* SPDX-License-Identifier: BSD-3-Clause */
/* A DERP client for load clients: connects, and reads and writes frames. One thread; what goes wrong ends the process.
 */
#pragma once

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <stdint.h>

struct derp_client {
	SSL *ssl;
	int fd;
	uint8_t public_key[32];
	uint8_t *in; /* what has come of a frame; freed by derp_leave() */
	size_t in_len;
	uint64_t got;
};

/* Prints what and why, and ends the process. */
void derp_die(const char *what) __attribute__((noreturn));

SSL_CTX *derp_context(void); /* takes any certificate */

/* A fast start, as stock clients do. secret NULL: a key at random. */
void derp_join(struct derp_client *c, SSL_CTX *ctx, const struct sockaddr_in *relay, const uint8_t secret[32]);
void derp_leave(struct derp_client *c);

/* Blocking. */
void derp_write(struct derp_client *c, const void *data, size_t n);
void derp_read(struct derp_client *c, uint8_t *out, size_t n);
