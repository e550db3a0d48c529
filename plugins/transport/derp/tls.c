/* SPDX-License-Identifier: BSD-3-Clause */
#include "tls.h"

#include "frame.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define DAY 86400
#define SELF_DAYS 365

static void
explain(char *why, size_t size, const char *what)
{
	unsigned long e = ERR_get_error();
	const char *reason = e ? ERR_reason_error_string(e) : NULL;
	snprintf(why, size, "%s: %s", what, reason ? reason : "unknown error");
	ERR_clear_error();
}

/* A certificate of `days` either side of (or after) now for a name, not signed yet. */
static X509 *
blank(EVP_PKEY *key, const char *name, long serial, int days_before, int days_after)
{
	X509 *x = X509_new();
	if (x == NULL)
		return NULL;
	X509_set_version(x, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	X509_gmtime_adj(X509_getm_notBefore(x), -(long)days_before * DAY);
	X509_gmtime_adj(X509_getm_notAfter(x), (long)days_after * DAY);
	X509_set_pubkey(x, key);
	/* Printable: the string types that enforce X.520's bound of 64 characters refuse the meta certificate's name. */
	X509_NAME *n = X509_get_subject_name(x);
	X509_NAME_add_entry_by_NID(n, NID_commonName, V_ASN1_PRINTABLESTRING, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(x, n);
	return x;
}

static bool
extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool good = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return good;
}

static X509 *
meta_certificate(const uint8_t public_key[32])
{
	char name[sizeof(TLS_META_NAME) + 64] = TLS_META_NAME;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	sodium_bin2hex(name + strlen(TLS_META_NAME), 65, public_key, 32);
	X509 *x = key ? blank(key, name, FRAME_VERSION, TLS_META_DAYS, TLS_META_DAYS) : NULL;
	if (x != NULL && (!extend(x, NID_basic_constraints, "CA:FALSE") || X509_sign(x, key, NULL) == 0)) {
		X509_free(x);
		x = NULL;
	}
	EVP_PKEY_free(key);
	return x;
}

static bool
self_made(SSL_CTX *ctx, const char *hostname)
{
	char san[300];
	bool good = false;
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	X509 *x = key ? blank(key, hostname, (long)(randombytes_random() >> 1), 1, SELF_DAYS) : NULL;
	ASN1_OCTET_STRING *ip = a2i_IPADDRESS(hostname);
	snprintf(san, sizeof(san), "%s:%s", ip ? "IP" : "DNS", hostname);
	if (x != NULL && extend(x, NID_subject_alt_name, san) && X509_sign(x, key, EVP_sha256()) != 0)
		good = SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
	X509_free(x);
	ASN1_OCTET_STRING_free(ip);
	EVP_PKEY_free(key);
	return good;
}

static int
choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in, unsigned in_len, void *arg)
{
	static const unsigned char mine[] = "\x08http/1.1";
	(void)ssl;
	(void)arg;
	/* Under HTTP/2 no connection can be taken over. */
	return SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_len, mine, sizeof(mine) - 1, in, in_len) ==
			       OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

static void
economise(SSL_CTX *ctx)
{
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	/* AES of 128 bits first, for its speed and SHA-256's; a client without AES in hardware says so by its own order. */
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_cipher_list(ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE+AESGCM:ECDHE+CHACHA20");
	SSL_CTX_set_read_ahead(ctx, 1);
}

SSL_CTX *
tls_server(const struct tls_identity *id, char *why, size_t size)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *meta = NULL;
	ERR_clear_error();
	if (ctx == NULL) {
		explain(why, size, "TLS");
		return NULL;
	}
	economise(ctx);
	SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
	if (id->certificate == NULL && !self_made(ctx, id->hostname))
		explain(why, size, "no certificate can be made");
	else if (id->certificate != NULL && SSL_CTX_use_certificate_chain_file(ctx, id->certificate) != 1)
		explain(why, size, id->certificate);
	else if (id->certificate != NULL && SSL_CTX_use_PrivateKey_file(ctx, id->key, SSL_FILETYPE_PEM) != 1)
		explain(why, size, id->key);
	else if (SSL_CTX_check_private_key(ctx) != 1)
		explain(why, size, "certificate and key are no pair");
	else if ((meta = meta_certificate(id->public_key)) == NULL || SSL_CTX_add0_chain_cert(ctx, meta) != 1)
		explain(why, size, "meta certificate");
	else
		return ctx;
	SSL_CTX_free(ctx);
	return NULL;
}

void
tls_describe(SSL_CTX *ctx, char pin[65], int64_t *not_after)
{
	X509 *x = SSL_CTX_get0_certificate(ctx);
	uint8_t hash[32] = {0};
	unsigned n;
	struct tm tm = {0};
	X509_digest(x, EVP_sha256(), hash, &n);
	sodium_bin2hex(pin, 65, hash, 32);
	ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm);
	*not_after = timegm(&tm);
}

/* ---- The client's side ---- */

SSL_CTX *
tls_client(void)
{
	static const unsigned char protocols[] = "\x08http/1.1";
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL)
		return NULL;
	economise(ctx);
	SSL_CTX_set_default_verify_paths(ctx);
	SSL_CTX_set_alpn_protos(ctx, protocols, sizeof(protocols) - 1);
	return ctx;
}

int
tls_accept_any(int good, X509_STORE_CTX *x)
{
	return 1;
}

static bool
is_meta(X509 *x)
{
	char name[sizeof(TLS_META_NAME) + 64];
	return X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof(name)) > 0 &&
	       strncmp(name, TLS_META_NAME, strlen(TLS_META_NAME)) == 0;
}

bool
tls_meta_key(const SSL *ssl, uint8_t key[32])
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	for (int i = 0; SSL_version(ssl) >= TLS1_3_VERSION && i < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);
		const ASN1_INTEGER *serial = X509_get0_serialNumber(x);
		char name[sizeof(TLS_META_NAME) + 64];
		size_t n;
		const size_t prefix = strlen(TLS_META_NAME);
		if (X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, name, sizeof(name)) != (int)prefix + 64)
			continue;
		if (memcmp(name, TLS_META_NAME, prefix) == 0 && ASN1_INTEGER_get(serial) > 0 && ASN1_INTEGER_get(serial) < 256 &&
			sodium_hex2bin(key, 32, name + prefix, 64, NULL, &n, NULL) == 0 && n == 32)
			return true;
	}
	return false;
}

bool
tls_pinned(STACK_OF(X509) *chain, const char *hex, const char *host)
{
	uint8_t want[32], have[32];
	X509 *only = NULL;
	size_t n;
	unsigned len;
	for (int i = 0; i < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);
		if (is_meta(x))
			continue;
		if (only != NULL)
			return false;
		only = x;
	}
	if (only == NULL || sodium_hex2bin(want, 32, hex, strlen(hex), NULL, &n, NULL) != 0 || n != 32)
		return false;
	if (X509_digest(only, EVP_sha256(), have, &len) != 1 || memcmp(want, have, 32) != 0)
		return false;
	if (X509_cmp_current_time(X509_get0_notBefore(only)) >= 0 || X509_cmp_current_time(X509_get0_notAfter(only)) <= 0)
		return false;
	return X509_check_host(only, host, 0, 0, NULL) == 1 || X509_check_ip_asc(only, host, 0) == 1;
}
