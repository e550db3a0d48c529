/* SPDX-License-Identifier: BSD-3-Clause */
/* TLS contexts (OpenSSL): the relay's certificate with its server key inside (the meta certificate), or one made here. */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tls_identity {
	const char *hostname;
	const char *certificate, *key; /* PEM files; NULL: a self-signed certificate is made */
	uint8_t public_key[32];        /* of the relay */
};

/* NULL: why says it. Counts as used once; SSL_CTX_free(). */
SSL_CTX *tls_server(const struct tls_identity *id, char *why, size_t size);

/* SHA-256 of the context's own certificate in hex, as `sha256-raw:` pins it; and the Unix time of its end. */
void tls_describe(SSL_CTX *ctx, char pin[65], int64_t *not_after);

SSL_CTX *tls_client(void); /* NULL: out of memory */
/* The relay's key in the certificate behind its own; only TLS 1.3 hides it from the path. */
bool tls_meta_key(const SSL *ssl, uint8_t key[32]);
int tls_accept_any(int good, X509_STORE_CTX *x); /* the pin is looked at afterwards */
/* Is it, beside meta certificates, the one with this SHA-256 in hex, for this name and now? */
bool tls_pinned(STACK_OF(X509) *chain, const char *hex, const char *host);

#define TLS_META_NAME "derpkey" /* then 64 hex digits: common name of the meta certificate */
#define TLS_META_DAYS 30
