/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors: RFC 5769 §2.1 (request); requests and answers observed between Tailscale 1.102.5 clients and its derper. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "message.h"

#define TXID 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
#define HEADER(type, len) 0, type, 0, len, 0x21, 0x12, 0xa4, 0x42, TXID
#define TAILNODE 0x80, 0x22, 0, 8, 't', 'a', 'i', 'l', 'n', 'o', 'd', 'e'
#define REQUIRED 0x70, 0x01, 0, 0

static struct crc32 crc;
static struct stun_request request;

static int
set_up(void **state)
{
	(void)state;
	crc32_init(&crc);
	return 0;
}

#define PARSE(clients, ...) parse(clients, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static int
parse(enum stun_clients clients, const uint8_t *data, size_t len)
{
	/* Exactly as long as the message, so that AddressSanitizer sees a read beyond it. */
	uint8_t *copy = malloc(len ? len : 1);
	memcpy(copy, data, len);
	int drop = stun_parse(&request, &crc, clients, copy, len);
	free(copy);
	return drop;
}

/* The message with a right FINGERPRINT behind it; its header's length must already include that. */
#define SIGNED(clients, ...)                                                                                           \
	parse_signed(clients, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static int
parse_signed(enum stun_clients clients, const uint8_t *data, size_t len)
{
	uint8_t msg[256];
	memcpy(msg, data, len);
	uint32_t v = crc32_sum(&crc, msg, len) ^ 0x5354554e;
	memcpy(msg + len, (uint8_t[]){0x80, 0x28, 0, 4, v >> 24, v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff}, 8);
	return parse(clients, msg, len + 8);
}

static void
crc32_is_zlibs(void **state)
{
	(void)state;
	assert_int_equal(crc32_sum(&crc, "123456789", 9), 0xcbf43926);
	assert_int_equal(crc32_sum(&crc, "", 0), 0);
	assert_int_equal(crc32_sum(&crc, "The quick brown fox jumps over the lazy dog", 43), 0x414fa339);
}

static const uint8_t tailscale_request[] = {HEADER(1, 0x14), TAILNODE, 0x80, 0x28, 0, 4, 0x8a, 0xab, 0xad, 0x90};

static void
tailscales_request(void **state)
{
	(void)state;
	for (int clients = STUN_ANY; clients <= STUN_TAILSCALE; clients++) {
		assert_int_equal(parse(clients, tailscale_request, sizeof(tailscale_request)), STUN_ACCEPTED);
		assert_false(request.classic);
		assert_int_equal(request.fingerprint, clients == STUN_ANY);
	}
	uint8_t wrong[sizeof(tailscale_request)];
	for (size_t i = 0; i < sizeof(wrong); i++) { /* no byte may be another */
		memcpy(wrong, tailscale_request, sizeof(wrong));
		wrong[i] ^= 0x20;
		assert_int_not_equal(parse(STUN_TAILSCALE, wrong, sizeof(wrong)), STUN_ACCEPTED);
	}
	for (size_t len = 0; len < sizeof(tailscale_request); len++)
		assert_int_not_equal(parse(STUN_TAILSCALE, tailscale_request, len), STUN_ACCEPTED);
}

/* What derper was seen to answer and to ignore. */
static void
derpers_filter(void **state)
{
	(void)state;
	const int t = STUN_TAILSCALE;
	assert_int_equal(SIGNED(t, HEADER(1, 24), REQUIRED, TAILNODE), STUN_ACCEPTED);
	assert_int_equal(request.n_unknown, 0);
	assert_int_equal(SIGNED(t, HEADER(1, 24), TAILNODE, REQUIRED), STUN_ACCEPTED);
	assert_int_equal(SIGNED(t, HEADER(1, 28), 0xc0, 1, 0, 1, 9, 8, 7, 6, TAILNODE), STUN_ACCEPTED); /* padding not zero */
	assert_int_equal(SIGNED(t, HEADER(1, 28), 0x80, 0x22, 0, 4, 'x', 'x', 'x', 'x', TAILNODE), STUN_ACCEPTED);
	assert_int_equal(SIGNED(t, HEADER(1, 28), TAILNODE, 0x80, 0x22, 0, 4, 'x', 'x', 'x', 'x'), STUN_ACCEPTED);
	assert_int_equal(SIGNED(t, HEADER(1, 28), TAILNODE, 0x80, 0x28, 0, 4, 1, 2, 3, 4), STUN_ACCEPTED);

	assert_int_equal(SIGNED(t, HEADER(1, 20), 0x80, 0x22, 0, 8, 'T', 'a', 'i', 'l', 'n', 'o', 'd', 'e'), STUN_BAD_SOFTWARE);
	assert_int_equal(SIGNED(t, HEADER(1, 24), 0x80, 0x22, 0, 9, 't', 'a', 'i', 'l', 'n', 'o', 'd', 'e', 0, 0, 0, 0),
		STUN_BAD_SOFTWARE);
	assert_int_equal(SIGNED(t, HEADER(1, 8)), STUN_BAD_SOFTWARE);
	assert_int_equal(PARSE(t, HEADER(1, 12), TAILNODE), STUN_NO_FINGERPRINT);
	assert_int_equal(PARSE(t, HEADER(1, 20), TAILNODE, 0x80, 0x28, 0, 4, 0x8a, 0xab, 0xad, 0x91), STUN_BAD_FINGERPRINT);
	assert_int_equal(PARSE(t, HEADER(1, 24), TAILNODE, 0x80, 0x28, 0, 4, 0, 0, 0, 0, REQUIRED), STUN_BAD_FINGERPRINT);
	assert_int_equal(PARSE(t, HEADER(1, 16), TAILNODE, 0x80, 0x28, 0, 0), STUN_BAD_FINGERPRINT);
	assert_int_equal(SIGNED(t, HEADER(1, 24), TAILNODE), STUN_BAD_LENGTH);
	assert_int_equal(SIGNED(t, HEADER(1, 16), TAILNODE), STUN_BAD_LENGTH);
	assert_int_equal(SIGNED(t, HEADER(0x11, 20), TAILNODE), STUN_NOT_REQUEST);
	assert_int_equal(SIGNED(t, HEADER(3, 20), TAILNODE), STUN_OTHER_METHOD);
	assert_int_equal(SIGNED(t, HEADER(1, 28), 0xc0, 1, 0, 40, 0, 0, 0, 0, TAILNODE), STUN_BAD_ATTRIBUTE);
	assert_int_equal(SIGNED(t, 0, 1, 0, 20, 0x21, 0x12, 0xa4, 0x43, TXID, TAILNODE), STUN_BAD_COOKIE);
}

static void
any_client(void **state)
{
	(void)state;
	const int a = STUN_ANY;
	assert_int_equal(PARSE(a, HEADER(1, 0)), STUN_ACCEPTED);
	assert_false(request.fingerprint || request.classic || request.n_unknown);
	assert_int_equal(PARSE(a, 0, 1, 0, 0, 0xde, 0xad, 0xbe, 0xef, TXID), STUN_ACCEPTED);
	assert_true(request.classic);
	assert_int_equal(SIGNED(a, HEADER(1, 8)), STUN_ACCEPTED);
	assert_true(request.fingerprint);
	assert_int_equal(PARSE(a, HEADER(1, 8), 0x80, 0x28, 0, 4, 0, 0, 0, 0), STUN_BAD_FINGERPRINT);
	assert_int_equal(PARSE(a, HEADER(1, 12), 0x80, 0x28, 0, 4, 0, 0, 0, 0, REQUIRED), STUN_BAD_FINGERPRINT);
	assert_int_equal(SIGNED(a, HEADER(1, 16), 0x80, 0x28, 0, 4, 0, 0, 0, 0), STUN_BAD_FINGERPRINT);

	assert_int_equal(PARSE(a, HEADER(1, 4), 0x80), STUN_BAD_LENGTH);
	assert_int_equal(PARSE(a, 0x41, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, TXID), STUN_NOT_STUN);
	assert_int_equal(PARSE(a, 1, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, TXID), STUN_NOT_REQUEST);
	assert_int_equal(PARSE(a, 1, 0x11, 0, 0, 0x21, 0x12, 0xa4, 0x42, TXID), STUN_NOT_REQUEST);
	assert_int_equal(PARSE(a, HEADER(1, 4), 0x80, 0x22, 0, 1), STUN_BAD_ATTRIBUTE);
	assert_int_equal(PARSE(a, HEADER(1, 4), 0x80, 0x22, 0xff, 0xff), STUN_BAD_ATTRIBUTE);
}

static void
change_request(void **state)
{
	(void)state;
	const int a = STUN_ANY;
	assert_int_equal(PARSE(a, HEADER(1, 8), 0, 3, 0, 4, 0, 0, 0, 0), STUN_ACCEPTED);
	assert_int_equal(request.n_unknown, 0);
	assert_int_equal(PARSE(a, HEADER(1, 8), 0, 3, 0, 4, 0, 0, 0, 6), STUN_ACCEPTED);
	assert_int_equal(request.n_unknown, 1);
	assert_int_equal(PARSE(a, 0, 1, 0, 8, 1, 2, 3, 4, TXID, 0, 3, 0, 4, 0, 0, 0, 0), STUN_ACCEPTED);
	assert_int_equal(PARSE(a, 0, 1, 0, 8, 1, 2, 3, 4, TXID, 0, 3, 0, 4, 0, 0, 0, 2), STUN_CHANGE_REQUEST);
}

static void
unknown_attributes(void **state)
{
	(void)state;
	assert_int_equal(PARSE(STUN_ANY, HEADER(1, 12), REQUIRED, 0x80, 0x70, 0, 0, 0x00, 0x02, 0, 0), STUN_ACCEPTED);
	assert_int_equal(request.n_unknown, 2);
	assert_int_equal(request.unknown[0], 0x7001);
	assert_int_equal(request.unknown[1], 0x0002);
	/* Behind MESSAGE-INTEGRITY nothing but FINGERPRINT counts (RFC 8489 §14.5). */
	assert_int_equal(PARSE(STUN_ANY, HEADER(1, 8), 0, 8, 0, 0, REQUIRED), STUN_ACCEPTED);
	assert_int_equal(request.n_unknown, 0);

	uint8_t msg[20 + 4 * 40] = {HEADER(1, 160)};
	for (int i = 0; i < 40; i++)
		memcpy(msg + 20 + 4 * i, (uint8_t[]){0x70, 1, 0, 0}, 4);
	assert_int_equal(parse(STUN_ANY, msg, sizeof(msg)), STUN_ACCEPTED);
	assert_int_equal(request.n_unknown, STUN_UNKNOWN_MAX);
}

/* RFC 5769 §2.1, with credentials that we don't check. */
static void
rfc5769_request(void **state)
{
	(void)state;
	static const uint8_t msg[] = {0x00, 0x01, 0x00, 0x58, 0x21, 0x12, 0xa4, 0x42, 0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6,
		0x86, 0xfa, 0x87, 0xdf, 0xae, 0x80, 0x22, 0x00, 0x10, 0x53, 0x54, 0x55, 0x4e, 0x20, 0x74, 0x65, 0x73, 0x74,
		0x20, 0x63, 0x6c, 0x69, 0x65, 0x6e, 0x74, 0x00, 0x24, 0x00, 0x04, 0x6e, 0x00, 0x01, 0xff, 0x80, 0x29, 0x00,
		0x08, 0x93, 0x2f, 0xf9, 0xb1, 0x51, 0x26, 0x3b, 0x36, 0x00, 0x06, 0x00, 0x09, 0x65, 0x76, 0x74, 0x6a, 0x3a,
		0x68, 0x36, 0x76, 0x59, 0x20, 0x20, 0x20, 0x00, 0x08, 0x00, 0x14, 0x9a, 0xea, 0xa7, 0x0c, 0xbf, 0xd8, 0xcb,
		0x56, 0x78, 0x1e, 0xf2, 0xb5, 0xb2, 0xd3, 0xf2, 0x49, 0xc1, 0xb5, 0x71, 0xa2, 0x80, 0x28, 0x00, 0x04, 0xe5,
		0x7a, 0x3b, 0xcf};
	assert_int_equal(parse(STUN_ANY, msg, sizeof(msg)), STUN_ACCEPTED); /* its fingerprint is right */
	assert_int_equal(request.n_unknown, 1);                             /* PRIORITY is ICE's */
	assert_int_equal(request.unknown[0], 0x0024);
}

static const struct tr_endpoint client4 = {.family = 4, .remote = {192, 0, 2, 1}, .remote_port = 32853,
	.local = {198, 51, 100, 7}, .local_port = 3478};
static const struct tr_endpoint client6 = {.family = 6,
	.remote = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 1}, .remote_port = 32853, .local_port = 3478};

#define EXPECT(r, client, ...)                                                                                         \
	expect(r, client, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void
expect(const struct stun_request *r, const struct tr_endpoint *client, const uint8_t *want, size_t len)
{
	uint8_t msg[STUN_ANSWER_MAX] = {HEADER(1, 0)};
	if (r->classic)
		memset(msg + 4, 0xee, 4);
	assert_int_equal(stun_answer(msg, r, &crc, client), len);
	assert_memory_equal(msg, want, len);
}

static void
answers(void **state)
{
	(void)state;
	struct stun_request r = {0};
	EXPECT(&r, &client4, 1, 1, 0, 0x0c, 0x21, 0x12, 0xa4, 0x42, TXID, 0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43);
	EXPECT(&r, &client6, 1, 1, 0, 0x18, 0x21, 0x12, 0xa4, 0x42, TXID, 0, 0x20, 0, 0x14, 0, 2, 0xa1, 0x47, 0x21, 0x12, 0xa4,
		0x42, 0, 1, 2, 3, 4, 5, 0xf9, 0xf8, 0xc8, 9, 8, 0x0a);
	r.classic = true;
	EXPECT(&r, &client4, 1, 1, 0, 0x18, 0xee, 0xee, 0xee, 0xee, TXID, 0, 1, 0, 8, 0, 1, 0x80, 0x55, 192, 0, 2, 1, 0, 4, 0, 8,
		0, 1, 0x0d, 0x96, 198, 51, 100, 7);
}

static void
answer_with_fingerprint(void **state)
{
	(void)state;
	uint8_t msg[STUN_ANSWER_MAX] = {HEADER(1, 0)};
	const struct stun_request r = {.fingerprint = true};
	assert_int_equal(stun_answer(msg, &r, &crc, &client4), 40);
	assert_int_equal(msg[3], 20);
	uint32_t v = crc32_sum(&crc, msg, 32) ^ 0x5354554e;
	const uint8_t want[] = {0x80, 0x28, 0, 4, v >> 24, v >> 16 & 0xff, v >> 8 & 0xff, v & 0xff};
	assert_memory_equal(msg + 32, want, 8);
}

#define REASON 'U', 'n', 'k', 'n', 'o', 'w', 'n', ' ', 'A', 't', 't', 'r', 'i', 'b', 'u', 't', 'e', 0, 0, 0

static void
error_answers(void **state)
{
	(void)state;
	struct stun_request r = {.n_unknown = 1, .unknown = {0x7001, 0x7002}};
	EXPECT(&r, &client4, 1, 0x11, 0, 36, 0x21, 0x12, 0xa4, 0x42, TXID, 0, 9, 0, 21, 0, 0, 4, 20, REASON, 0, 10, 0, 2, 0x70, 1,
		0, 0);
	r.classic = true;
	EXPECT(&r, &client4, 1, 0x11, 0, 36, 0xee, 0xee, 0xee, 0xee, TXID, 0, 9, 0, 21, 0, 0, 4, 20, REASON, 0, 10, 0, 4, 0x70, 1,
		0x70, 1);
	r.n_unknown = 2;
	EXPECT(&r, &client4, 1, 0x11, 0, 36, 0xee, 0xee, 0xee, 0xee, TXID, 0, 9, 0, 21, 0, 0, 4, 20, REASON, 0, 10, 0, 4, 0x70, 1,
		0x70, 2);
	r = (struct stun_request){.n_unknown = STUN_UNKNOWN_MAX, .fingerprint = true};
	uint8_t msg[STUN_ANSWER_MAX] = {HEADER(1, 0)};
	assert_true(stun_answer(msg, &r, &crc, &client6) <= STUN_ANSWER_MAX);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(crc32_is_zlibs),
		cmocka_unit_test(tailscales_request),
		cmocka_unit_test(derpers_filter),
		cmocka_unit_test(any_client),
		cmocka_unit_test(change_request),
		cmocka_unit_test(unknown_attributes),
		cmocka_unit_test(rfc5769_request),
		cmocka_unit_test(answers),
		cmocka_unit_test(answer_with_fingerprint),
		cmocka_unit_test(error_answers),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
