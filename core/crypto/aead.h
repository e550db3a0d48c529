/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bulk AEAD engines behind one interface: whole bursts of packets, each with its own key and counter. Chosen once at
 * start by CPU; every engine gives the same bytes.
 */
#pragma once

#include <tailrace/crypto.h>

struct aead_engine {
	const char *name; /* "avx2", "ipsec-mb", "libsodium", … */
	bool (*usable)(void);   /* on this CPU */
	void *(*worker_new)(void); /* per worker state (an IMB_MGR); NULL: out of memory */
	void (*worker_free)(void *w);
	void (*seal)(void *w, struct tr_aead *p, uint16_t n);
	void (*open)(void *w, struct tr_aead *p, uint16_t n);
};

extern const struct aead_engine *const aead_engines[]; /* fastest first; NULL-terminated */
/* NULL: the first that is usable and gives libsodium's bytes here; a name: that one, or NULL if it isn't usable. */
const struct aead_engine *aead_choose(const char *name);
bool aead_proved(const struct aead_engine *e); /* a self-test against libsodium, some 100 us */

extern const struct tr_crypto core_crypto;
int crypto_init(void); /* once, before any use; 0 or -errno */
