/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors: RFC 5769 §2.2, §2.3; Tailscale 1.102.5's request, and answers of its derper; an answer of coturn 4.6.1. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "binding.h"

#define TXID 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
#define ANSWER(len) 1, 1, 0, len, 0x21, 0x12, 0xa4, 0x42, TXID

static struct crc32 crc;
static struct binding got;

static int
set_up(void **state)
{
	(void)state;
	crc32_init(&crc);
	return 0;
}

#define PARSE(...) parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static bool
parse(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1); /* of just this size, for AddressSanitizer */
	memcpy(copy, data, len);
	bool ok = binding_parse(&got, &crc, copy, len);
	free(copy);
	return ok;
}

static void
expect(const struct tr_sockaddr *a, uint8_t family, const uint8_t *ip, uint16_t port)
{
	assert_int_equal(a->addr.family, family);
	assert_memory_equal(a->addr.ip, ip, family == 4 ? 4 : 16);
	assert_int_equal(a->port, port);
}

static const uint8_t client4[4] = {192, 0, 2, 1};

static void
the_request_is_tailscales(void **state)
{
	static const uint8_t want[BINDING_SIZE] = {0, 1, 0, 0x14, 0x21, 0x12, 0xa4, 0x42, TXID, 0x80, 0x22, 0, 8, 't', 'a', 'i', 'l',
		'n', 'o', 'd', 'e', 0x80, 0x28, 0, 4, 0x8a, 0xab, 0xad, 0x90};
	static const uint8_t txid[] = {TXID}, other[] = {TXID, 0};
	uint8_t msg[BINDING_SIZE];
	(void)state;
	binding_request(msg, &crc, txid);
	assert_memory_equal(msg, want, sizeof(want));
	assert_true(binding_is_request(msg, sizeof(msg), txid));
	assert_false(binding_is_request(msg, sizeof(msg), other + 1));
	assert_false(binding_is_request(msg, 19, txid));
	assert_false(parse(msg, sizeof(msg)));
}

static void
derpers_answers(void **state)
{
	(void)state;
	assert_true(PARSE(ANSWER(0x0c), 0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43));
	expect(&got.mapped, 4, client4, 32853);
	assert_int_equal(got.error, 0);
	/* family 2 with an IPv4 address in it */
	assert_true(PARSE(ANSWER(0x18), 0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x21, 0x12, 0xa4, 0x42, 0, 1, 2, 3, 4, 5, 0xf9, 0xf8,
		0xc8, 0x09, 0x08, 0x0a));
	expect(&got.mapped, 4, client4, 32853);
}

/* RFC 5769: with SOFTWARE, MESSAGE-INTEGRITY and FINGERPRINT; a bit of it changed, it is none. */
static void
sample_answers(void **state)
{
	static const uint8_t v4[] = {0x01, 0x01, 0x00, 0x3c, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
		0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
		0x00, 0x20, 0x00, 0x08, 0x00, 0x01, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43, 0x00, 0x08, 0x00, 0x14, 0x2b, 0x91, 0xf5, 0x99,
		0xfd, 0x9e, 0x90, 0xc3, 0x8c, 0x74, 0x89, 0xf9, 0x2a, 0xf9, 0xba, 0x53, 0xf0, 0x6b, 0xe7, 0xd7, 0x80, 0x28, 0x00, 0x04,
		0xc0, 0x7d, 0x4c, 0x96};
	static const uint8_t v6[] = {0x01, 0x01, 0x00, 0x48, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86,
		0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x0b, 0x74, 0x65, 0x73, 0x74, 0x20, 0x76, 0x65, 0x63, 0x74, 0x6f, 0x72, 0x20,
		0x00, 0x20, 0x00, 0x14, 0x00, 0x02, 0xa1, 0x47, 0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79, 0xbc, 0x25, 0xf4, 0xb5,
		0xbe, 0xd2, 0xb9, 0xd9, 0x00, 0x08, 0x00, 0x14, 0xa3, 0x82, 0x95, 0x4e, 0x4b, 0xe6, 0x7b, 0xf1, 0x17, 0x84, 0xc9, 0x7c,
		0x82, 0x92, 0xc2, 0x75, 0xbf, 0xe3, 0xed, 0x41, 0x80, 0x28, 0x00, 0x04, 0xc8, 0xfb, 0x0b, 0x4c};
	static const uint8_t client6[16] = {0x20, 0x01, 0x0d, 0xb8, 0x12, 0x34, 0x56, 0x78, 0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66,
		0x77};
	uint8_t copy[sizeof(v6)];
	(void)state;
	assert_true(parse(v4, sizeof(v4)));
	expect(&got.mapped, 4, client4, 32853);
	assert_true(parse(v6, sizeof(v6)));
	expect(&got.mapped, 6, client6, 32853);
	for (size_t i = 0; i < sizeof(v6); i++) {
		memcpy(copy, v6, sizeof(v6));
		copy[i] ^= 1;
		const bool no_fingerprint = i == sizeof(v6) - 8 || i == sizeof(v6) - 7; /* it has become another attribute */
		assert_int_equal(parse(copy, sizeof(v6)), no_fingerprint);
	}
	for (size_t len = 0; len < sizeof(v6); len++)
		assert_false(parse(v6, len));
}

#define XOR_MAPPED 0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43
#define MAPPED_LIE 0, 1, 0, 8, 0, 1, 0, 1, 10, 0, 0, 1

static void
coturns_answer(void **state)
{
	static const uint8_t other[4] = {203, 0, 113, 2};
	(void)state;
	assert_true(PARSE(ANSWER(0x24), XOR_MAPPED, MAPPED_LIE, 0x80, 0x2c, 0, 8, 0, 1, 0x0d, 0x97, 203, 0, 113, 2));
	expect(&got.mapped, 4, client4, 32853);
	expect(&got.other, 4, other, 3479);
	assert_true(PARSE(ANSWER(0x18), MAPPED_LIE, XOR_MAPPED)); /* in any order */
	expect(&got.mapped, 4, client4, 32853);
	assert_true(PARSE(ANSWER(0x0c), MAPPED_LIE)); /* better than nothing */
	assert_int_equal(got.mapped.port, 1);
}

static void
what_is_refused(void **state)
{
	(void)state;
	assert_false(PARSE(ANSWER(0x10), XOR_MAPPED, 0x70, 1, 0, 0)); /* must be understood */
	assert_true(PARSE(ANSWER(0x10), XOR_MAPPED, 0xf0, 1, 0, 0));
	assert_true(PARSE(ANSWER(0x0c), XOR_MAPPED, 0xff)); /* behind the end */
	assert_false(PARSE(ANSWER(0x0d), XOR_MAPPED, 0xff));
	assert_false(PARSE(ANSWER(0x10), XOR_MAPPED));
	assert_false(PARSE(ANSWER(0x0c), 0, 0x20, 0, 9, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43));
	assert_true(PARSE(ANSWER(0x0c), 0, 0x20, 0, 8, 0, 3, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43));
	assert_int_equal(got.mapped.addr.family, 0);
	assert_true(PARSE(1, 0x11, 0, 8, 0x21, 0x12, 0xa4, 0x42, TXID, 0, 9, 0, 4, 0, 0, 4, 1));
	assert_int_equal(got.error, 401);
	assert_true(PARSE(1, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42, TXID));
	assert_int_equal(got.error, 500);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_request_is_tailscales),
		cmocka_unit_test(derpers_answers),
		cmocka_unit_test(sample_answers),
		cmocka_unit_test(coturns_answer),
		cmocka_unit_test(what_is_refused),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
