/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors: computed with the disco library of Tailscale 1.102.5 and independently. tests/suites/interop-disco has more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "hex_test.h"
#include "message.h"

static uint8_t secret_a[32], secret_b[32], key_a[32], key_b[32], node[32], shared[32], nonce[24], txid[12];

static int
set_up(void **state)
{
	uint8_t secret_n[32], other[32];
	(void)state;
	memset(secret_a, 0x11, 32);
	memset(secret_b, 0x22, 32);
	memset(secret_n, 0x33, 32);
	disco_public(key_a, secret_a);
	disco_public(key_b, secret_b);
	disco_public(node, secret_n);
	for (uint8_t i = 0; i < 24; i++)
		nonce[i] = i;
	for (uint8_t i = 0; i < 12; i++)
		txid[i] = 0xa0 + i;
	assert_true(disco_shared(shared, secret_a, key_b));
	assert_true(disco_shared(other, secret_b, key_a));
	assert_memory_equal(shared, other, 32);
	return 0;
}

#define HEAD_A "5453f09f92ac 7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13" NONCE
#define HEAD_B "5453f09f92ac 0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20" NONCE
#define NONCE " 000102030405060708090a0b0c0d0e0f1011121314151617 "

static const char ping_vector[] = HEAD_A "9d43225d43e8b3b3469cc85c47073b2d5a8cb937fc305e6d9c0a9d057bfa09b7a20c26534c0c1019db"
					 "e97e1550395116df47dbc9a704f0a5990f974c383e";
static const char padded_vector[] = HEAD_A "a3f7e27b8e7ad38223d59483d90630635a8cb937fc305e6d9c0a9d057bfa09b7a20c26534c0c1019db"
					   "e97e1550395116df47dbc9a704f0a5990f974c383e89bb8040bba83c90aaa3c8c9eedb4175";
static const char pong_vector[] = HEAD_B "76319b49300401fb6e434dda1da61b21598cb937fc305e6d9c0a9d057bfa72bae5d51274b43d01795c"
					 "0ac2666de66c37";
static const char pong_derp_vector[] = HEAD_B "ab28fe2aecbb5a0b61b6966827b7a6c9598cb937fc305e6d9c0a9d057bfa72bae5d51274b43d01"
					      "795c0a7d656cc9cd1b";
static const char call_vector[] = HEAD_A "b90383d71c11647c57f284b86d6624a0588c19965e93fac83aad35ac2eaeb2bae7d2b0dd943c0cc1a3"
					 "f502666fe1ce9e484d34870827";

static const struct tr_sockaddr seen = {{.family = 4, .ip = {192, 0, 2, 7}}, 41641};
static const struct tr_sockaddr derp = {{.family = 4, .ip = {127, 3, 3, 40}}, 901};
static const struct tr_sockaddr seen6 = {{.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 7}}, 41641};

/* Opens what `from` sealed, and parses it. */
static bool
read_vector(const char *text, struct disco_message *m)
{
	size_t len;
	uint8_t *data = hex(text, &len);
	assert_true(disco_is(data, len));
	int n = disco_open(data, len, shared);
	assert_int_equal(n, len - DISCO_PAYLOAD);
	uint8_t *payload = malloc((size_t)n);
	memcpy(payload, data + DISCO_PAYLOAD, (size_t)n);
	bool ok = disco_parse(m, payload, (size_t)n);
	free(payload);
	free(data);
	return ok;
}

static void
expect_sealed(const char *text, uint8_t *data, size_t payload, const uint8_t *sender)
{
	size_t len;
	uint8_t *want = hex(text, &len);
	assert_int_equal(disco_seal(data, payload, sender, nonce, shared), len);
	assert_memory_equal(data, want, len);
	free(want);
}

static void
vectors_are_read(void **state)
{
	struct disco_message m;
	(void)state;
	assert_true(read_vector(ping_vector, &m));
	assert_int_equal(m.type, DISCO_PING);
	assert_memory_equal(m.txid, txid, 12);
	assert_true(m.has_node);
	assert_memory_equal(m.node, node, 32);
	assert_int_equal(m.padding, 0);
	assert_true(read_vector(padded_vector, &m));
	assert_int_equal(m.padding, 16);
	assert_true(read_vector(pong_vector, &m));
	assert_int_equal(m.type, DISCO_PONG);
	assert_memory_equal(&m.address[0], &seen, sizeof(seen));
	assert_true(read_vector(pong_derp_vector, &m));
	assert_memory_equal(&m.address[0], &derp, sizeof(derp));
	assert_true(read_vector(call_vector, &m));
	assert_int_equal(m.type, DISCO_CALL_ME_MAYBE);
	assert_int_equal(m.n, 2);
	assert_memory_equal(&m.address[0], &seen, sizeof(seen));
	assert_memory_equal(&m.address[1], &seen6, sizeof(seen6));
}

static void
vectors_are_written(void **state)
{
	uint8_t data[DISCO_MAX];
	(void)state;
	expect_sealed(ping_vector, data, disco_ping(data + DISCO_PAYLOAD, txid, node), key_a);
	expect_sealed(pong_vector, data, disco_pong(data + DISCO_PAYLOAD, txid, &seen), key_b);
	expect_sealed(pong_derp_vector, data, disco_pong(data + DISCO_PAYLOAD, txid, &derp), key_b);
	const struct tr_sockaddr both[] = {seen, seen6};
	expect_sealed(call_vector, data, disco_call_me_maybe(data + DISCO_PAYLOAD, both, 2), key_a);
	assert_int_equal(disco_ping(data, txid, node) + DISCO_PAYLOAD, DISCO_PING_SIZE);
	assert_int_equal(disco_pong(data, txid, &seen6) + DISCO_PAYLOAD, DISCO_PONG_SIZE);
}

/* Truth table of bodies: type, version, length of the body -> accepted; what of it. */
static const struct {
	uint8_t type, version;
	uint16_t body;
	bool ok, has_node;
	enum disco_type is;
	uint16_t padding, n;
} bodies[] = {
	/*  1 */ {1, 0, 11, false, false, DISCO_PING, 0, 0},
	/*  2 */ {1, 0, 12, true, false, DISCO_PING, 0, 0}, /* old versions name no node */
	/*  3 */ {1, 0, 43, true, false, DISCO_PING, 0, 0}, /* a part of a key is none */
	/*  4 */ {1, 0, 44, true, true, DISCO_PING, 0, 0},
	/*  5 */ {1, 7, 45, true, true, DISCO_PING, 1, 0},
	/*  6 */ {1, 0, 65000, true, true, DISCO_PING, 64956, 0},
	/*  7 */ {2, 0, 29, false, false, DISCO_PONG, 0, 1},
	/*  8 */ {2, 0, 30, true, false, DISCO_PONG, 0, 1},
	/*  9 */ {2, 9, 90, true, false, DISCO_PONG, 0, 1},
	/* 10 */ {3, 0, 0, true, false, DISCO_CALL_ME_MAYBE, 0, 0},
	/* 11 */ {3, 0, 18, true, false, DISCO_CALL_ME_MAYBE, 0, 1},
	/* 12 */ {3, 0, 19, true, false, DISCO_CALL_ME_MAYBE, 0, 0},
	/* 13 */ {3, 1, 18, true, false, DISCO_CALL_ME_MAYBE, 0, 0},
	/* 14 */ {3, 0, 18 * 96, true, false, DISCO_CALL_ME_MAYBE, 0, 96},
	/* 15 */ {3, 0, 18 * 97, true, false, DISCO_CALL_ME_MAYBE, 0, 96},
	/* 16 */ {0, 0, 44, true, false, DISCO_OTHER, 0, 0},
	/* 17 */ {4, 0, 72, true, false, DISCO_BIND, 0, 0}, /* relay_message_test.c */
	/* 18 */ {10, 0, 72, true, false, DISCO_OTHER, 0, 0},
	/* 19 */ {255, 0, 0, true, false, DISCO_OTHER, 0, 0},
};

static void
bodies_of_all_sizes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct disco_message m;
		uint8_t *payload = calloc(1, bodies[i].body + 2u);
		payload[0] = bodies[i].type;
		payload[1] = bodies[i].version;
		assert_int_equal(disco_parse(&m, payload, bodies[i].body + 2u), bodies[i].ok);
		assert_int_equal(m.type, bodies[i].is);
		assert_int_equal(m.n, bodies[i].n);
		if (bodies[i].ok) {
			assert_int_equal(m.has_node, bodies[i].has_node);
			assert_int_equal(m.padding, bodies[i].padding);
		}
		assert_false(disco_parse(&m, payload, 1));
		assert_false(disco_parse(&m, payload, 0));
		free(payload);
	}
}

/* No bit of a datagram may be another, and no length shorter. */
static void
forgeries(void **state)
{
	size_t len;
	(void)state;
	uint8_t *data = hex(pong_vector, &len), *copy = malloc(len);
	for (size_t i = 38; i < len; i++) {
		memcpy(copy, data, len);
		copy[i] ^= (uint8_t)(1u << (i & 7));
		assert_int_equal(disco_open(copy, len, shared), -1);
	}
	for (size_t n = 0; n < len; n++) {
		uint8_t *cut = malloc(n ? n : 1);
		memcpy(cut, data, n);
		assert_int_equal(disco_is(cut, n), n >= DISCO_HEAD);
		assert_int_equal(disco_open(cut, n, shared), -1);
		free(cut);
	}
	for (size_t i = 0; i < 6; i++) {
		memcpy(copy, data, len);
		copy[i] ^= 1;
		assert_false(disco_is(copy, len));
	}
	uint8_t zero[32] = {0};
	assert_false(disco_shared(zero, secret_a, zero));
	free(copy);
	free(data);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors_are_read),
		cmocka_unit_test(vectors_are_written),
		cmocka_unit_test(bodies_of_all_sizes),
		cmocka_unit_test(forgeries),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
