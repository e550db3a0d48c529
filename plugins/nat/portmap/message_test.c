/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts of RFC 6886 sections 3.2 to 3.5 and RFC 6887 sections 7, 11.1, 14.1; answers as miniupnpd 2.3.1 gives them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "message.h"

static struct portmap_answer answer;

#define PARSE(...) parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static bool
parse(const uint8_t *data, size_t len)
{
	uint8_t *copy = calloc(1, len ? len : 1); /* exactly as long, so that AddressSanitizer sees a read beyond it */
	memcpy(copy, data, len);
	bool good = portmap_parse(&answer, copy, len);
	free(copy);
	return good;
}

static void
nat_pmp_requests(void **state)
{
	(void)state;
	uint8_t out[PORTMAP_REQUEST_MAX];
	assert_int_equal(portmap_address(out), 2);
	assert_memory_equal(out, ((uint8_t[]){0, 0}), 2);

	struct portmap_request r = {.lifetime = 7200, .internal_port = 51820, .external_port = 40001};
	assert_int_equal(portmap_map(out, NAT_PMP, &r), 12);
	assert_memory_equal(out, ((uint8_t[]){0, 1, 0, 0, 0xca, 0x6c, 0x9c, 0x41, 0, 0, 0x1c, 0x20}), 12);
	r.lifetime = 0; /* giving up names no external port */
	assert_int_equal(portmap_map(out, NAT_PMP, &r), 12);
	assert_memory_equal(out, ((uint8_t[]){0, 1, 0, 0, 0xca, 0x6c, 0, 0, 0, 0, 0, 0}), 12);
}

#define V4(a, b, c, d) 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d
#define NONCE 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12

static void
pcp_requests(void **state)
{
	(void)state;
	uint8_t out[PORTMAP_REQUEST_MAX];
	const struct tr_addr me = {.family = 4, .ip = {192, 168, 1, 7}}, six = {.family = 6, .ip = {0x20, 1, [15] = 7}};
	static const uint8_t announce[] = {2, 0, 0, 0, 0, 0, 0, 0, V4(192, 168, 1, 7)};
	assert_int_equal(portmap_announce(out, &me), sizeof(announce));
	assert_memory_equal(out, announce, sizeof(announce));

	struct portmap_request r = {.lifetime = 7200, .internal_port = 51820, .client = me, .nonce = {NONCE}};
	static const uint8_t any[] = {2, 1, 0, 0, 0, 0, 0x1c, 0x20, V4(192, 168, 1, 7), NONCE, 17, 0, 0, 0, 0xca, 0x6c, 0, 0,
		V4(0, 0, 0, 0)};
	assert_int_equal(portmap_map(out, PCP, &r), sizeof(any));
	assert_memory_equal(out, any, sizeof(any));

	r.external = (struct tr_addr){.family = 4, .ip = {203, 0, 113, 9}};
	r.external_port = 40001;
	assert_int_equal(portmap_map(out, PCP, &r), 60);
	assert_memory_equal(out + 42, ((uint8_t[]){0x9c, 0x41, V4(203, 0, 113, 9)}), 18);

	r = (struct portmap_request){.lifetime = 7200, .internal_port = 51820, .client = six};
	assert_int_equal(portmap_map(out, PCP, &r), 60);
	assert_memory_equal(out + 8, six.ip, 16);
	assert_memory_equal(out + 44, ((uint8_t[16]){0}), 16);
}

static void
nat_pmp_answers(void **state)
{
	(void)state;
	assert_true(PARSE(0, 0x80, 0, 0, 0, 0, 1, 2, 203, 0, 113, 9));
	assert_int_equal(answer.kind, PORTMAP_ADDRESS);
	assert_int_equal(answer.epoch, 258);
	assert_memory_equal(answer.external.ip, ((uint8_t[]){203, 0, 113, 9}), 4);

	assert_true(PARSE(0, 0x81, 0, 0, 0, 0, 1, 2, 0xca, 0x6c, 0x9c, 0x41, 0, 0, 0x1c, 0x20));
	assert_int_equal(answer.kind, PORTMAP_MAPPING);
	assert_int_equal(answer.version, NAT_PMP);
	assert_int_equal(answer.internal_port, 51820);
	assert_int_equal(answer.external_port, 40001);
	assert_int_equal(answer.lifetime, 7200);

	assert_true(PARSE(0, 0x80, 0, 1, 0, 0, 0, 9)); /* 8 bytes: the version is unknown */
	assert_int_equal(answer.kind, PORTMAP_REFUSAL);
	assert_int_equal(answer.result, NAT_PMP_UNSUPP_VERSION);
	assert_false(PARSE(0, 0x85, 0, 0, 0, 0, 0, 9)); /* success of an opcode that nobody asks with */
}

static void
pcp_answers(void **state)
{
	(void)state;
	assert_true(PARSE(2, 0x80, 0, 12, 0, 0, 0, 30, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_int_equal(answer.kind, PORTMAP_ANNOUNCE);
	assert_int_equal(answer.result, PCP_ADDRESS_MISMATCH);
	assert_int_equal(answer.lifetime, 30);

	assert_true(PARSE(2, 0x81, 0, 0, 0, 0, 0x1c, 0x20, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NONCE, 17, 0, 0, 0, 0xca,
		0x6c, 0x9c, 0x41, V4(203, 0, 113, 9)));
	assert_int_equal(answer.kind, PORTMAP_MAPPING);
	assert_int_equal(answer.version, PCP);
	assert_int_equal(answer.epoch, 258);
	assert_int_equal(answer.external_port, 40001);
	assert_int_equal(answer.external.family, 4);
	assert_memory_equal(answer.external.ip, ((uint8_t[]){203, 0, 113, 9}), 4);
	assert_memory_equal(answer.nonce, ((uint8_t[]){NONCE}), PCP_NONCE);

	/* TCP is not what is asked for; a short error of MAP says only that it is one. */
	assert_false(PARSE(2, 0x81, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NONCE, 6, 0, 0, 0, 0, 1, 0, 2,
		V4(1, 1, 1, 1)));
	assert_true(PARSE(2, 0x81, 0, 3, 0, 0, 0, 30, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0));
	assert_int_equal(answer.kind, PORTMAP_REFUSAL);
}

static void
nonsense(void **state)
{
	(void)state;
	static const uint8_t map[60] = {2, 0x81, 0, 0, 0, 0, 0, 9, [36] = 17};
	assert_false(parse(map, 0));
	assert_false(PARSE(0));
	assert_false(PARSE(1, 0x80, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1)); /* version 1 */
	assert_false(PARSE(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1));    /* a request */
	for (size_t len = 0; len < sizeof(map); len++)
		assert_false(parse(map, len));
	assert_true(parse(map, sizeof(map)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nat_pmp_requests),
		cmocka_unit_test(pcp_requests),
		cmocka_unit_test(nat_pmp_answers),
		cmocka_unit_test(pcp_answers),
		cmocka_unit_test(nonsense),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
