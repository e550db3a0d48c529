/* SPDX-License-Identifier: BSD-3-Clause */
/* A cookie reply is taken only if it is the one that our message was answered by. */
#include "cookie.h"

#include <crypto/aead.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t key[32] = {7}, cookie[16] = {1, 2, 3}, mac1[16] = {4, 5};
	static struct message_cookie right;
	struct message_cookie m;
	struct cookie_held held = {.sent = true};

	if (!right.type) {
		if (crypto_init())
			abort();
		cookie_reply(&core_crypto, key, cookie, mac1, 1, &right);
	}
	if (message_type(data, len) != MESSAGE_COOKIE)
		return 0;
	memcpy(&m, data, sizeof(m));
	memcpy(held.mac1, mac1, 16);
	bool same = memcmp(m.nonce, right.nonce, sizeof(m.nonce)) == 0 && memcmp(m.cookie, right.cookie, sizeof(m.cookie)) == 0;
	if (cookie_take(&core_crypto, &held, key, 1, &m) != same || held.born != same)
		abort();
	return 0;
}
