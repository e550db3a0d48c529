/* SPDX-License-Identifier: BSD-3-Clause */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <crypto/aead.h>

#include "cookie.h"
#include "vectors_test.h"

static const struct tr_crypto *const c = &core_crypto;
static struct noise_identity initiator, responder;
static uint8_t psk[32];
static uint8_t next_ephemeral; /* the byte that the next key pair consists of */

static void
fixed_keypair(uint8_t secret[32], uint8_t public_key[32])
{
	memset(secret, next_ephemeral, 32);
	core_crypto.public_key(public_key, secret);
}

static int
setup(void **state)
{
	struct tr_secret s;
	if (crypto_init())
		return -1;
	memset(s.b, 0x11, 32);
	noise_identity(c, &initiator, &s);
	memset(s.b, 0x22, 32);
	noise_identity(c, &responder, &s);
	memset(psk, 0x66, 32);
	return 0;
}

static void
test_vectors(void **state)
{
	struct tr_crypto fixed = core_crypto;
	fixed.keypair = fixed_keypair;
	struct noise_handshake hi, hr;
	struct message_initiation m1;
	struct message_response m2;
	struct cookie_held held_i = {0}, held_r = {0};
	struct noise_keys ki, kr;
	uint8_t stamp[NOISE_STAMP], peer[32], seen[NOISE_STAMP];

	ASSERT_HEX(initiator.public_key, V_S_I);
	ASSERT_HEX(responder.public_key, V_S_R);
	noise_stamp(stamp, V_WALL);
	ASSERT_HEX(stamp, V_STAMP);

	next_ephemeral = 0x44;
	assert_true(noise_initiation(&fixed, &initiator, responder.public_key, stamp, &hi, &m1));
	m1.sender = 0x01020304;
	cookie_add_macs(c, &held_i, responder.mac1_key, 1, &m1, &m1.macs);
	ASSERT_HEX(&m1, V_INITIATION);
	ASSERT_HEX(hi.chain, V_CHAIN);
	ASSERT_HEX(hi.hash, V_HASH);

	assert_true(cookie_mac1_ok(c, responder.mac1_key, &m1, &m1.macs));
	assert_true(noise_open_static(c, &responder, &m1, &hr, peer));
	assert_memory_equal(peer, initiator.public_key, 32);
	assert_true(noise_open_stamp(c, &responder, &m1, peer, &hr, seen));
	assert_memory_equal(seen, stamp, NOISE_STAMP);
	ASSERT_HEX(hr.chain, V_CHAIN);
	ASSERT_HEX(hr.hash, V_HASH);

	next_ephemeral = 0x55;
	assert_true(noise_response(&fixed, &hr, peer, psk, m1.sender, &m2, &kr));
	m2.sender = 0x0a0b0c0d;
	cookie_add_macs(c, &held_r, initiator.mac1_key, 1, &m2, &m2.macs);
	ASSERT_HEX(&m2, V_RESPONSE);
	ASSERT_HEX(kr.receive, V_T1);
	ASSERT_HEX(kr.send, V_T2);

	assert_true(noise_finish(c, &initiator, &hi, psk, &m2, &ki));
	assert_memory_equal(ki.send, kr.receive, 32);
	assert_memory_equal(ki.receive, kr.send, 32);

	uint8_t zero[sizeof(hi)] = {0};
	assert_memory_equal(&hi, zero, sizeof(hi));
	assert_memory_equal(&hr, zero, sizeof(hr));
}

static void
test_keepalive_vector(void **state)
{
	uint8_t key[32], want[32], nothing[1];
	unhex(key, V_T1);
	unhex(want, V_KEEPALIVE);
	assert_true(c->open(nothing, key, 0, want + 16, 16, NULL, 0));
}

/* Every single bit of every message that is covered by authentication. */
static void
test_tampering(void **state)
{
	struct message_initiation m1;
	uint8_t peer[32], stamp[NOISE_STAMP];
	struct noise_handshake hs;

	unhex(&m1, V_INITIATION);
	for (size_t bit = 0; bit < offsetof(struct message_initiation, macs.mac2) * 8; bit += 7) {
		struct message_initiation bad = m1;
		((uint8_t *)&bad)[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_false(cookie_mac1_ok(c, responder.mac1_key, &bad, &bad.macs));
		if (bit / 8 < 8 || bit / 8 >= 116)
			continue; /* type, sender and macs are only covered by mac1 */
		assert_false(noise_open_static(c, &responder, &bad, &hs, peer) &&
			     noise_open_stamp(c, &responder, &bad, peer, &hs, stamp));
	}
}

static void
test_wrong_psk(void **state)
{
	struct noise_handshake hi, hr;
	struct message_initiation m1;
	struct message_response m2;
	struct noise_keys k, empty = {0};
	uint8_t stamp[NOISE_STAMP] = {1}, peer[32], zero[32] = {0};

	assert_true(noise_initiation(c, &initiator, responder.public_key, stamp, &hi, &m1));
	assert_true(noise_open_static(c, &responder, &m1, &hr, peer));
	assert_true(noise_open_stamp(c, &responder, &m1, peer, &hr, stamp));
	assert_true(noise_response(c, &hr, peer, psk, 1, &m2, &k));
	k = empty;
	assert_false(noise_finish(c, &initiator, &hi, zero, &m2, &k));
	assert_memory_equal(&k, &empty, sizeof(k));
}

static void
test_low_order(void **state)
{
	struct noise_handshake hs, zero = {0};
	struct message_initiation m1;
	uint8_t stamp[NOISE_STAMP] = {1}, point[32] = {0}, peer[32];

	assert_false(noise_initiation(c, &initiator, point, stamp, &hs, &m1));
	assert_memory_equal(&hs, &zero, sizeof(hs));
	memset(&m1, 0, sizeof(m1));
	assert_false(noise_open_static(c, &responder, &m1, &hs, peer));
}

static void
test_cookie_vectors(void **state)
{
	struct cookie_issuer issuer = {.born = 1};
	struct tr_endpoint from = {.family = 4, .remote_port = 1000, .remote = {192, 0, 2, 1}};
	struct message_initiation m1;
	struct message_cookie m3;
	struct cookie_held held = {0};
	uint8_t cookie[16];

	memset(issuer.secret, 0x77, 32);
	cookie_make(c, &issuer, 2, &from, cookie);
	ASSERT_HEX(cookie, V_COOKIE);

	unhex(&m1, V_INITIATION);
	unhex(&m3, V_COOKIE_REPLY);
	assert_false(cookie_take(c, &held, responder.cookie_key, 2, &m3)); /* nothing sent */
	memcpy(held.mac1, m1.macs.mac1, 16);
	held.sent = true;
	assert_true(cookie_take(c, &held, responder.cookie_key, 2, &m3));
	assert_memory_equal(held.cookie, cookie, 16);
	assert_false(cookie_take(c, &held, responder.cookie_key, 2, &m3)); /* only once */

	cookie_add_macs(c, &held, responder.mac1_key, 3, &m1, &m1.macs);
	ASSERT_HEX(m1.macs.mac2, V_MAC2);
	assert_true(cookie_mac2_ok(c, cookie, &m1, &m1.macs));
	cookie_add_macs(c, &held, responder.mac1_key, 4 + COOKIE_LIFE, &m1, &m1.macs);
	assert_false(cookie_mac2_ok(c, cookie, &m1, &m1.macs)); /* too old to be used */

	cookie_reply(c, responder.cookie_key, cookie, m1.macs.mac1, m1.sender, &m3);
	assert_true(cookie_take(c, &held, responder.cookie_key, 4, &m3));
	m3.cookie[3] ^= 1;
	held.sent = true;
	assert_false(cookie_take(c, &held, responder.cookie_key, 4, &m3));
}

static void
test_cookie_secret_changes(void **state)
{
	struct cookie_issuer issuer = {0};
	struct tr_endpoint from = {.family = 6, .remote_port = 1, .remote = {0x20, 1}}, other = from;
	uint8_t a[16], b[16];

	cookie_make(c, &issuer, 1000, &from, a);
	cookie_make(c, &issuer, 1000 + COOKIE_LIFE - 1, &from, b);
	assert_memory_equal(a, b, 16);
	other.remote[15] = 1;
	cookie_make(c, &issuer, 1000, &other, b);
	assert_memory_not_equal(a, b, 16);
	other = from;
	other.remote_port = 2;
	cookie_make(c, &issuer, 1000, &other, b);
	assert_memory_not_equal(a, b, 16);
	cookie_make(c, &issuer, 1001 + COOKIE_LIFE, &from, b);
	assert_memory_not_equal(a, b, 16);
}

static void
test_limiter(void **state)
{
	struct limiter *l = test_calloc(1, sizeof(*l));
	struct tr_endpoint four = {.family = 4, .remote = {192, 0, 2, 1}};
	struct tr_endpoint six = {.family = 6, .remote = {0x20, 1, 0xd, 0xb8}};
	uint64_t now = 5000000000u;

	for (int i = 0; i < 5; i++) {
		assert_true(limiter_allow(c, l, now, &four));
		six.remote[15] = (uint8_t)i; /* one /64 */
		assert_true(limiter_allow(c, l, now, &six));
	}
	assert_false(limiter_allow(c, l, now, &four));
	assert_false(limiter_allow(c, l, now, &six));
	six.remote[7] = 1; /* another */
	assert_true(limiter_allow(c, l, now, &six));
	assert_false(limiter_allow(c, l, now + 49000000, &four));
	assert_true(limiter_allow(c, l, now + 51000000, &four));
	assert_false(limiter_allow(c, l, now + 51000000, &four));
	int allowed = 0;
	for (uint64_t t = now + 1000000000; t < now + 11000000000u; t += 10000000)
		allowed += limiter_allow(c, l, t, &four);
	assert_in_range(allowed, 200, 205);
	test_free(l);
}

/* More sources than the table holds: bounded, and those known keep their share. */
static void
test_limiter_full(void **state)
{
	struct limiter *l = test_calloc(1, sizeof(*l));
	struct tr_endpoint e = {.family = 6};
	uint64_t now = 5000000000u;
	unsigned allowed = 0;

	for (uint32_t i = 1; i <= 20000; i++) {
		memcpy(e.remote, &i, 4);
		allowed += limiter_allow(c, l, now, &e);
	}
	assert_in_range(allowed, LIMITER_SETS * LIMITER_WAYS / 2, LIMITER_SETS * LIMITER_WAYS);
	assert_true(limiter_allow(c, l, now + 2000000000u, &e));
	test_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_keepalive_vector),
		cmocka_unit_test(test_tampering),
		cmocka_unit_test(test_wrong_psk),
		cmocka_unit_test(test_low_order),
		cmocka_unit_test(test_cookie_vectors),
		cmocka_unit_test(test_cookie_secret_changes),
		cmocka_unit_test(test_limiter),
		cmocka_unit_test(test_limiter_full),
	};
	return cmocka_run_group_tests(tests, setup, NULL);
}
