/* SPDX-License-Identifier: BSD-3-Clause */
#include "noise.h"

#include <string.h>

/* HASH("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"), and HASH of that and "WireGuard v1 zx2c4 Jason@zx2c4.com". */
static const uint8_t initial_chain[32] = {0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35,
	0xe2, 0xa0, 0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72, 0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b,
	0x78, 0xcd, 0x36};
static const uint8_t initial_hash[32] = {0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43, 0xdb,
	0x45, 0x8a, 0xd5, 0x32, 0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93, 0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07,
	0x9e, 0xf3};

static void
hash2(const struct tr_crypto *c, uint8_t out[32], const void *a, size_t a_len, const void *b, size_t b_len)
{
	const void *part[] = {a, b};
	const size_t len[] = {a_len, b_len};
	c->blake2s(out, 32, NULL, 0, part, len, 2);
}

static void
mix_hash(const struct tr_crypto *c, struct noise_handshake *hs, const void *p, size_t len)
{
	hash2(c, hs->hash, hs->hash, 32, p, len);
}

/* chain, key = KDF2(chain, DH(secret, public_key)); key NULL: chain = KDF1 of it. */
static bool
mix_dh(const struct tr_crypto *c, struct noise_handshake *hs, uint8_t *key, const uint8_t secret[32],
	const uint8_t public_key[32])
{
	uint8_t shared[32], out[64];
	bool ok = c->dh(shared, secret, public_key);
	if (ok) {
		c->kdf(out, key ? 2 : 1, hs->chain, shared, sizeof(shared));
		memcpy(hs->chain, out, 32);
		if (key)
			memcpy(key, out + 32, 32);
	}
	c->wipe(shared, sizeof(shared));
	c->wipe(out, sizeof(out));
	return ok;
}

static void
mix_ephemeral(const struct tr_crypto *c, struct noise_handshake *hs, const uint8_t ephemeral[32])
{
	c->kdf(hs->chain, 1, hs->chain, ephemeral, 32);
	mix_hash(c, hs, ephemeral, 32);
}

/* chain, tau, key = KDF3(chain, psk); hash over tau. */
static void
mix_psk(const struct tr_crypto *c, struct noise_handshake *hs, const uint8_t psk[32], uint8_t key[32])
{
	uint8_t out[96];
	c->kdf(out, 3, hs->chain, psk, 32);
	memcpy(hs->chain, out, 32);
	mix_hash(c, hs, out + 32, 32);
	memcpy(key, out + 64, 32);
	c->wipe(out, sizeof(out));
}

static void
begin(const struct tr_crypto *c, struct noise_handshake *hs, const uint8_t responder[32], const uint8_t ephemeral[32])
{
	memcpy(hs->chain, initial_chain, 32);
	hash2(c, hs->hash, initial_hash, 32, responder, 32);
	mix_ephemeral(c, hs, ephemeral);
}

/* (T1, T2) = KDF2(chain, ""); then nothing of the handshake is left. */
static void
split(const struct tr_crypto *c, struct noise_handshake *hs, uint8_t t1[32], uint8_t t2[32])
{
	uint8_t out[64];
	c->kdf(out, 2, hs->chain, NULL, 0);
	memcpy(t1, out, 32);
	memcpy(t2, out + 32, 32);
	c->wipe(out, sizeof(out));
	c->wipe(hs, sizeof(*hs));
}

static void
label_key(const struct tr_crypto *c, uint8_t key[32], const char label[8], const uint8_t public_key[32])
{
	hash2(c, key, label, 8, public_key, 32);
}

void
noise_mac1_key(const struct tr_crypto *c, uint8_t key[32], const uint8_t public_key[32])
{
	label_key(c, key, "mac1----", public_key);
}

void
noise_cookie_key(const struct tr_crypto *c, uint8_t key[32], const uint8_t public_key[32])
{
	label_key(c, key, "cookie--", public_key);
}

void
noise_identity(const struct tr_crypto *c, struct noise_identity *id, const struct tr_secret *private_key)
{
	id->private_key = *private_key;
	c->public_key(id->public_key, private_key->b);
	noise_mac1_key(c, id->mac1_key, id->public_key);
	noise_cookie_key(c, id->cookie_key, id->public_key);
}

bool
noise_initiation(const struct tr_crypto *c, const struct noise_identity *id, const uint8_t peer[32],
	const uint8_t stamp[NOISE_STAMP], struct noise_handshake *hs, struct message_initiation *m)
{
	uint8_t key[32];

	memset(m, 0, sizeof(*m));
	m->type = MESSAGE_INITIATION;
	c->keypair(hs->ephemeral, m->ephemeral);
	begin(c, hs, peer, m->ephemeral);
	bool ok = mix_dh(c, hs, key, hs->ephemeral, peer);
	if (ok) {
		c->seal(m->static_, key, 0, id->public_key, 32, hs->hash, 32);
		mix_hash(c, hs, m->static_, sizeof(m->static_));
		ok = mix_dh(c, hs, key, id->private_key.b, peer);
	}
	if (ok) {
		c->seal(m->timestamp, key, 0, stamp, NOISE_STAMP, hs->hash, 32);
		mix_hash(c, hs, m->timestamp, sizeof(m->timestamp));
	} else {
		c->wipe(hs, sizeof(*hs));
	}
	c->wipe(key, sizeof(key));
	return ok;
}

bool
noise_open_static(const struct tr_crypto *c, const struct noise_identity *id, const struct message_initiation *m,
	struct noise_handshake *hs, uint8_t peer[32])
{
	uint8_t key[32];

	begin(c, hs, id->public_key, m->ephemeral);
	memcpy(hs->ephemeral, m->ephemeral, 32);
	bool ok = mix_dh(c, hs, key, id->private_key.b, m->ephemeral) &&
		  c->open(peer, key, 0, m->static_, sizeof(m->static_), hs->hash, 32);
	if (ok)
		mix_hash(c, hs, m->static_, sizeof(m->static_));
	else
		c->wipe(hs, sizeof(*hs));
	c->wipe(key, sizeof(key));
	return ok;
}

bool
noise_open_stamp(const struct tr_crypto *c, const struct noise_identity *id, const struct message_initiation *m,
	const uint8_t peer[32], struct noise_handshake *hs, uint8_t stamp[NOISE_STAMP])
{
	uint8_t key[32];

	bool ok = mix_dh(c, hs, key, id->private_key.b, peer) &&
		  c->open(stamp, key, 0, m->timestamp, sizeof(m->timestamp), hs->hash, 32);
	if (ok)
		mix_hash(c, hs, m->timestamp, sizeof(m->timestamp));
	else
		c->wipe(hs, sizeof(*hs));
	c->wipe(key, sizeof(key));
	return ok;
}

bool
noise_response(const struct tr_crypto *c, struct noise_handshake *hs, const uint8_t peer[32], const uint8_t psk[32],
	uint32_t receiver, struct message_response *m, struct noise_keys *keys)
{
	uint8_t secret[32], key[32];

	memset(m, 0, sizeof(*m));
	m->type = MESSAGE_RESPONSE;
	m->receiver = receiver;
	c->keypair(secret, m->ephemeral);
	mix_ephemeral(c, hs, m->ephemeral);
	bool ok = mix_dh(c, hs, NULL, secret, hs->ephemeral) && mix_dh(c, hs, NULL, secret, peer);
	if (ok) {
		mix_psk(c, hs, psk, key);
		c->seal(m->empty, key, 0, NULL, 0, hs->hash, 32);
		split(c, hs, keys->receive, keys->send);
	} else {
		c->wipe(hs, sizeof(*hs));
	}
	c->wipe(secret, sizeof(secret));
	c->wipe(key, sizeof(key));
	return ok;
}

bool
noise_finish(const struct tr_crypto *c, const struct noise_identity *id, struct noise_handshake *hs,
	const uint8_t psk[32], const struct message_response *m, struct noise_keys *keys)
{
	uint8_t key[32], nothing[1];

	mix_ephemeral(c, hs, m->ephemeral);
	bool ok = mix_dh(c, hs, NULL, hs->ephemeral, m->ephemeral) &&
		  mix_dh(c, hs, NULL, id->private_key.b, m->ephemeral);
	if (ok) {
		mix_psk(c, hs, psk, key);
		ok = c->open(nothing, key, 0, m->empty, sizeof(m->empty), hs->hash, 32);
	}
	if (ok)
		split(c, hs, keys->send, keys->receive);
	else
		c->wipe(hs, sizeof(*hs));
	c->wipe(key, sizeof(key));
	return ok;
}

void
noise_stamp(uint8_t stamp[NOISE_STAMP], uint64_t wall_ns)
{
	uint64_t seconds = __builtin_bswap64(0x400000000000000aull + wall_ns / 1000000000u);
	uint32_t ns = __builtin_bswap32((uint32_t)(wall_ns % 1000000000u) & ~0xffffffu);
	memcpy(stamp, &seconds, 8);
	memcpy(stamp + 8, &ns, 4);
}
