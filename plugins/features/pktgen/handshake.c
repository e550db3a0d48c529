/* SPDX-License-Identifier: BSD-3-Clause */
#include "handshake.h"

/* Offsets into the messages. */
enum { SENDER = 4 };
enum { I_EPHEMERAL = 8, I_STATIC = 40, I_TIMESTAMP = 88 };
enum { R_RECEIVER = 8, R_EPHEMERAL = 12, R_EMPTY = 44 };
enum { C_NONCE = 8, C_COOKIE = 32 };
enum { MACS = 32 }; /* mac1 and mac2, at the end */

static const uint8_t first_chain[32] = {0x60, 0xe2, 0x6d, 0xae, 0xf3, 0x27, 0xef, 0xc0, 0x2e, 0xc3, 0x35, 0xe2, 0xa0,
	0x25, 0xd2, 0xd0, 0x16, 0xeb, 0x42, 0x06, 0xf8, 0x72, 0x77, 0xf5, 0x2d, 0x38, 0xd1, 0x98, 0x8b, 0x78, 0xcd, 0x36};
static const uint8_t first_hash[32] = {0x22, 0x11, 0xb3, 0x61, 0x08, 0x1a, 0xc5, 0x66, 0x69, 0x12, 0x43, 0xdb, 0x45,
	0x8a, 0xd5, 0x32, 0x2d, 0x9c, 0x6c, 0x66, 0x22, 0x93, 0xe8, 0xb7, 0x0e, 0xe1, 0x9c, 0x65, 0xba, 0x07, 0x9e, 0xf3};

static void
hash2(const struct tr_crypto *c, uint8_t out[32], const void *a, size_t a_len, const void *b, size_t b_len)
{
	const void *part[] = {a, b};
	const size_t len[] = {a_len, b_len};

	c->blake2s(out, 32, NULL, 0, part, len, 2);
}

static void
mix_hash(const struct tr_crypto *c, struct handshake *h, const void *data, size_t len)
{
	hash2(c, h->hash, h->hash, 32, data, len);
}

/* Mixes `input` into the chain; key: NULL, or 32 bytes for the AEAD that follows. */
static void
mix_chain(const struct tr_crypto *c, struct handshake *h, const uint8_t *input, size_t len, uint8_t *key)
{
	uint8_t out[64];

	c->kdf(out, key ? 2 : 1, h->chain, input, len);
	memcpy(h->chain, out, 32);
	if (key)
		memcpy(key, out + 32, 32);
	c->wipe(out, sizeof(out));
}

static void
begin(const struct tr_crypto *c, struct handshake *h, const uint8_t responder[32], const uint8_t ephemeral[32])
{
	memcpy(h->chain, first_chain, 32);
	memcpy(h->hash, first_hash, 32);
	mix_hash(c, h, responder, 32);
	mix_hash(c, h, ephemeral, 32);
	mix_chain(c, h, ephemeral, 32, NULL);
}

bool
identity_complete(const struct tr_crypto *c, struct identity *me)
{
	c->public_key(me->public_key, me->secret);
	return c->dh(me->shared, me->secret, me->remote);
}

bool
initiation_write(const struct tr_crypto *c, struct handshake *h, const struct identity *me, const uint8_t ephemeral[32],
	uint32_t index, const uint8_t timestamp[12], uint8_t msg[HS_INITIATION])
{
	uint8_t key[32], shared[32];

	memset(msg, 0, HS_INITIATION);
	msg[0] = HS_TYPE_INITIATION;
	memcpy(msg + SENDER, &index, 4);
	memcpy(h->ephemeral, ephemeral, 32);
	c->public_key(msg + I_EPHEMERAL, ephemeral);
	begin(c, h, me->remote, msg + I_EPHEMERAL);
	bool ok = c->dh(shared, ephemeral, me->remote);
	mix_chain(c, h, shared, 32, key);
	c->seal(msg + I_STATIC, key, 0, me->public_key, 32, h->hash, 32);
	mix_hash(c, h, msg + I_STATIC, 48);
	mix_chain(c, h, me->shared, 32, key);
	c->seal(msg + I_TIMESTAMP, key, 0, timestamp, 12, h->hash, 32);
	mix_hash(c, h, msg + I_TIMESTAMP, 28);
	c->wipe(key, sizeof(key));
	c->wipe(shared, sizeof(shared));
	return ok;
}

bool
initiation_read(const struct tr_crypto *c, struct handshake *h, const struct identity *me,
	const uint8_t msg[HS_INITIATION], uint8_t timestamp[12])
{
	uint8_t key[32], shared[32], remote[32];

	h->remote_index = hs_get32(msg + SENDER);
	memcpy(h->ephemeral, msg + I_EPHEMERAL, 32);
	begin(c, h, me->public_key, msg + I_EPHEMERAL);
	bool ok = c->dh(shared, me->secret, msg + I_EPHEMERAL);
	mix_chain(c, h, shared, 32, key);
	ok = ok && c->open(remote, key, 0, msg + I_STATIC, 48, h->hash, 32) && c->equal(remote, me->remote, 32);
	mix_hash(c, h, msg + I_STATIC, 48);
	mix_chain(c, h, me->shared, 32, key);
	ok = ok && c->open(timestamp, key, 0, msg + I_TIMESTAMP, 28, h->hash, 32);
	mix_hash(c, h, msg + I_TIMESTAMP, 28);
	c->wipe(key, sizeof(key));
	c->wipe(shared, sizeof(shared));
	return ok;
}

/* The second half, alike for both: mixes in both DH results and the preshared key; `key` seals the empty field. */
static void
finish(const struct tr_crypto *c, struct handshake *h, const uint8_t responder_ephemeral[32], const uint8_t ee[32],
	const uint8_t es[32], const uint8_t preshared_key[32], uint8_t key[32])
{
	uint8_t out[96];

	mix_hash(c, h, responder_ephemeral, 32);
	mix_chain(c, h, responder_ephemeral, 32, NULL);
	mix_chain(c, h, ee, 32, NULL);
	mix_chain(c, h, es, 32, NULL);
	c->kdf(out, 3, h->chain, preshared_key, 32);
	memcpy(h->chain, out, 32);
	mix_hash(c, h, out + 32, 32);
	memcpy(key, out + 64, 32);
	c->wipe(out, sizeof(out));
}

static void
split(const struct tr_crypto *c, const struct handshake *h, uint8_t first[32], uint8_t second[32])
{
	uint8_t out[64];

	c->kdf(out, 2, h->chain, NULL, 0);
	memcpy(first, out, 32);
	memcpy(second, out + 32, 32);
	c->wipe(out, sizeof(out));
}

bool
response_write(const struct tr_crypto *c, const struct handshake *from, const struct identity *me,
	const uint8_t ephemeral[32], uint32_t index, uint8_t msg[HS_RESPONSE], struct session_keys *keys)
{
	struct handshake h = *from;
	uint8_t key[32], ee[32], es[32];

	memset(msg, 0, HS_RESPONSE);
	msg[0] = HS_TYPE_RESPONSE;
	memcpy(msg + SENDER, &index, 4);
	memcpy(msg + R_RECEIVER, &h.remote_index, 4);
	c->public_key(msg + R_EPHEMERAL, ephemeral);
	bool ok = c->dh(ee, ephemeral, h.ephemeral);
	ok = c->dh(es, ephemeral, me->remote) && ok; /* both are computed in any case */
	finish(c, &h, msg + R_EPHEMERAL, ee, es, me->preshared_key, key);
	c->seal(msg + R_EMPTY, key, 0, NULL, 0, h.hash, 32);
	split(c, &h, keys->receive, keys->send);
	c->wipe(key, sizeof(key));
	c->wipe(ee, sizeof(ee));
	c->wipe(es, sizeof(es));
	c->wipe(&h, sizeof(h));
	return ok;
}

bool
response_read(const struct tr_crypto *c, const struct handshake *from, const struct identity *me,
	const uint8_t msg[HS_RESPONSE], struct session_keys *keys)
{
	struct handshake h = *from;
	uint8_t key[32], ee[32], es[32], nothing[1];

	bool ok = c->dh(ee, h.ephemeral, msg + R_EPHEMERAL);
	ok = c->dh(es, me->secret, msg + R_EPHEMERAL) && ok; /* both are computed in any case */
	finish(c, &h, msg + R_EPHEMERAL, ee, es, me->preshared_key, key);
	ok = ok && c->open(nothing, key, 0, msg + R_EMPTY, 16, h.hash, 32);
	if (ok)
		split(c, &h, keys->send, keys->receive);
	c->wipe(key, sizeof(key));
	c->wipe(ee, sizeof(ee));
	c->wipe(es, sizeof(es));
	c->wipe(&h, sizeof(h));
	return ok;
}

static void
mac1(const struct tr_crypto *c, uint8_t out[16], const uint8_t *msg, size_t len, const uint8_t receiver[32])
{
	uint8_t key[32];
	const void *part = msg;
	const size_t part_len = len - MACS;

	hash2(c, key, "mac1----", 8, receiver, 32);
	c->blake2s(out, 16, key, 32, &part, &part_len, 1);
}

void
hs_mac(const struct tr_crypto *c, uint8_t *msg, size_t len, const uint8_t receiver[32], const uint8_t *cookie)
{
	const void *part = msg;
	const size_t part_len = len - 16;

	mac1(c, msg + len - 32, msg, len, receiver);
	if (cookie)
		c->blake2s(msg + len - 16, 16, cookie, 16, &part, &part_len, 1);
	else
		memset(msg + len - 16, 0, 16);
}

bool
hs_mac1_right(const struct tr_crypto *c, const uint8_t *msg, size_t len, const uint8_t receiver[32])
{
	uint8_t want[16];

	mac1(c, want, msg, len, receiver);
	return c->equal(want, msg + len - 32, 16);
}

bool
cookie_read(const struct tr_crypto *c, const uint8_t msg[HS_COOKIE_REPLY], const uint8_t issuer[32],
	const uint8_t sent_mac1[16], uint8_t cookie[16])
{
	uint8_t key[32];

	hash2(c, key, "cookie--", 8, issuer, 32);
	return c->xopen(cookie, key, msg + C_NONCE, msg + C_COOKIE, 32, sent_mac1, 16);
}

void
hs_timestamp(uint8_t out[12], uint64_t wall_ns)
{
	uint64_t seconds = __builtin_bswap64(0x400000000000000aull + wall_ns / 1000000000);
	uint32_t ns = __builtin_bswap32((uint32_t)(wall_ns % 1000000000) & 0xff000000u);

	memcpy(out, &seconds, 8);
	memcpy(out + 8, &ns, 4);
}
