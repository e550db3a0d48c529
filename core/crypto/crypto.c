/* SPDX-License-Identifier: BSD-3-Clause */
/* The Noise primitives as the vtable that plugins get. */
#include "aead.h"
#include "blake2s.h"
#include "random.h"

#include <errno.h>
#include <sodium.h>

#define SEALED_TAG crypto_aead_chacha20poly1305_ietf_ABYTES
_Static_assert(SEALED_TAG == TR_AEAD_TAG && crypto_aead_xchacha20poly1305_ietf_ABYTES == TR_AEAD_TAG, "tag size");

static void
hash_parts(uint8_t *out, size_t out_len, const uint8_t *key, size_t key_len, const void *const *part,
	const size_t *part_len, unsigned n)
{
	struct blake2s s;

	blake2s_init(&s, out_len, key, key_len);
	for (unsigned i = 0; i < n; i++)
		blake2s_update(&s, part[i], part_len[i]);
	blake2s_final(&s, out);
}

/* Both keyed states of HMAC (RFC 2104): a KDF computes up to four MACs under two keys. */
struct hmac {
	struct blake2s inner, outer;
};

static void
hmac_init(struct hmac *h, const uint8_t key[32])
{
	uint8_t pad[BLAKE2S_BLOCK];

	memset(pad, 0x36, sizeof(pad));
	for (int i = 0; i < 32; i++)
		pad[i] ^= key[i];
	blake2s_init(&h->inner, 32, NULL, 0);
	blake2s_update(&h->inner, pad, sizeof(pad));
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	blake2s_init(&h->outer, 32, NULL, 0);
	blake2s_update(&h->outer, pad, sizeof(pad));
	sodium_memzero(pad, sizeof(pad));
}

/* The MAC of a || b. */
static void
hmac(const struct hmac *h, uint8_t out[32], const void *a, size_t a_len, const void *b, size_t b_len)
{
	struct blake2s s = h->inner;

	blake2s_update(&s, a, a_len);
	blake2s_update(&s, b, b_len);
	blake2s_final(&s, out);
	s = h->outer;
	blake2s_update(&s, out, 32);
	blake2s_final(&s, out);
}

static void
kdf(uint8_t *out, unsigned n, const uint8_t key[32], const uint8_t *input, size_t input_len)
{
	struct hmac h;
	uint8_t t[32];

	hmac_init(&h, key); /* before out is written: key may be part of out */
	hmac(&h, t, input, input_len, NULL, 0);
	hmac_init(&h, t);
	for (uint8_t i = 1; i <= n; i++, out += 32)
		hmac(&h, out, i > 1 ? out - 32 : NULL, i > 1 ? 32 : 0, &i, 1);
	sodium_memzero(&h, sizeof(h));
	sodium_memzero(t, sizeof(t));
}

static bool
dh(uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32])
{
	uint8_t shared[32];
	bool ok = crypto_scalarmult(shared, secret, public_key) == 0;

	if (ok)
		memcpy(out, shared, 32);
	else
		memset(out, 0, 32);
	sodium_memzero(shared, sizeof(shared));
	return ok;
}

static void
public_key(uint8_t out[32], const uint8_t secret[32])
{
	crypto_scalarmult_base(out, secret);
}

static void
keypair(uint8_t secret[32], uint8_t public[32])
{
	random_fill(secret, 32);
	secret[0] &= 248;
	secret[31] = (uint8_t)((secret[31] & 127) | 64);
	crypto_scalarmult_base(public, secret);
}

static void
seal(uint8_t *out, const uint8_t key[32], uint64_t counter, const uint8_t *in, size_t len, const uint8_t *ad,
	size_t ad_len)
{
	uint8_t nonce[12] = {0};

	memcpy(nonce + 4, &counter, 8);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key);
}

static bool
open_(uint8_t *out, const uint8_t key[32], uint64_t counter, const uint8_t *in, size_t len, const uint8_t *ad,
	size_t ad_len)
{
	uint8_t nonce[12] = {0};

	memcpy(nonce + 4, &counter, 8);
	return crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce, key) == 0;
}

static void
xseal(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const uint8_t *in, size_t len, const uint8_t *ad,
	size_t ad_len)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key);
}

static bool
xopen(uint8_t *out, const uint8_t key[32], const uint8_t nonce[24], const uint8_t *in, size_t len, const uint8_t *ad,
	size_t ad_len)
{
	return crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce, key) == 0;
}

static bool
equal(const void *a, const void *b, size_t n)
{
	return sodium_memcmp(a, b, n) == 0;
}

const struct tr_crypto core_crypto = {
	.blake2s = hash_parts,
	.kdf = kdf,
	.dh = dh,
	.public_key = public_key,
	.keypair = keypair,
	.seal = seal,
	.open = open_,
	.xseal = xseal,
	.xopen = xopen,
	.equal = equal,
	.wipe = sodium_memzero,
	.random = random_fill,
};

int
crypto_init(void)
{
	if (sodium_init() < 0)
		return -ENOSYS;
	return random_init();
}
