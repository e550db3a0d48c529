/* SPDX-License-Identifier: BSD-3-Clause */
/* One packet after the other by libsodium: runs everywhere, and is the reference of the others' tests. */
#include "aead_engines.h"

#include <sodium.h>

static bool
usable(void)
{
	return true;
}

static void *
worker_new(void)
{
	static char stateless;
	return &stateless;
}

static void
worker_free(void *w)
{
}

static void
seal_burst(void *w, struct tr_aead *p, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t nonce[12];
		aead_nonce(nonce, p[i].counter);
		crypto_aead_chacha20poly1305_ietf_encrypt_detached(p[i].data, p[i].data + p[i].len, NULL, p[i].data, p[i].len,
			NULL, 0, NULL, nonce, p[i].key);
	}
}

static void
open_burst(void *w, struct tr_aead *p, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t nonce[12];
		aead_nonce(nonce, p[i].counter);
		p[i].ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(p[i].data, NULL, p[i].data, p[i].len,
				  p[i].data + p[i].len, NULL, 0, nonce, p[i].key) == 0;
	}
}

const struct aead_engine aead_sodium = {
	.name = "libsodium",
	.usable = usable,
	.worker_new = worker_new,
	.worker_free = worker_free,
	.seal = seal_burst,
	.open = open_burst,
};
