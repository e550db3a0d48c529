/* SPDX-License-Identifier: BSD-3-Clause */
/* Questions, reverse names, and answers as bytes. Checked against the text of RFC 1035 §4, RFC 3596, RFC 6891. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "answer.h"

#define HEAD(flags, additional) 0xab, 0xcd, flags, 0, 0, 1, 0, 0, 0, 0, 0, additional
#define NAS 3, 'N', 'a', 'S', 4, 'm', 'e', 's', 'h', 2, 'e', 'x', 0
#define OPT(size, version, flags) 0, 0, 41, (size) >> 8, (size) & 0xff, 0, version, flags, 0, 0, 0
#define PARSE(...) parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct question q;

static int
parse(const uint8_t *msg, size_t len)
{
	uint8_t *exact = malloc(len ? len : 1); /* AddressSanitizer sees a read beyond it */
	memcpy(exact, msg, len);
	memset(&q, 0xee, sizeof(q));
	int rcode = question_parse(&q, exact, len);
	free(exact);
	return rcode;
}

static void
good_questions(void **state)
{
	(void)state;
	assert_int_equal(PARSE(HEAD(1, 0), NAS, 0, 1, 0, 1), DNS_NOERROR);
	assert_int_equal(q.text_len, 11);
	assert_memory_equal(q.text, "nas.mesh.ex", 11);
	assert_int_equal(q.name_len, 13);
	assert_int_equal(q.end, 29);
	assert_int_equal(q.type, DNS_A);
	assert_int_equal(q.room, 512);
	assert_false(q.edns);

	assert_int_equal(PARSE(HEAD(1, 1), NAS, 0, 28, 0, 1, OPT(4096, 0, 0x80)), DNS_NOERROR);
	assert_true(q.edns && q.dnssec_ok);
	assert_int_equal(q.room, 1232);
	assert_int_equal(PARSE(HEAD(1, 1), NAS, 0, 28, 0, 1, OPT(100, 0, 0)), DNS_NOERROR);
	assert_int_equal(q.room, 512);
	assert_int_equal(PARSE(HEAD(1, 1), NAS, 0, 28, 0, 1, OPT(800, 0, 0)), DNS_NOERROR);
	assert_int_equal(q.room, 800);

	assert_int_equal(PARSE(HEAD(1, 0), 0, 0, 2, 0, 1), DNS_NOERROR); /* the root */
	assert_int_equal(q.text_len, 0);
	assert_int_equal(PARSE(HEAD(1, 0), 3, 'a', '.', 'b', 0, 0, 1, 0, 1), DNS_NOERROR);
	assert_memory_equal(q.text, "a\x7f" "b", 3); /* one label, not two */
	assert_int_equal(PARSE(HEAD(1, 1), 0, 0, 2, 0, 1, 1, 'k', 0, 0, 250, 0, 255, 0, 0, 0, 0, 0, 0), DNS_NOERROR);
}

static void
bad_questions(void **state)
{
	(void)state;
	static const uint8_t good[] = {HEAD(1, 1), NAS, 0, 1, 0, 1, OPT(1232, 0, 0)};
	for (size_t len = 0; len < DNS_HEADER; len++)
		assert_int_equal(parse(good, len), QUESTION_SHORT);
	for (size_t len = DNS_HEADER; len < 29; len++) {
		assert_int_equal(parse(good, len), DNS_FORMERR);
		assert_int_equal(q.end, DNS_HEADER);
	}
	for (size_t len = 32; len < sizeof(good); len++)
		assert_int_equal(parse(good, len), DNS_FORMERR);

	assert_int_equal(PARSE(HEAD(0x81, 0), NAS, 0, 1, 0, 1), QUESTION_NOT_QUERY);
	assert_int_equal(PARSE(HEAD(0x28, 0), NAS, 0, 1, 0, 1), DNS_NOTIMP);
	assert_int_equal(PARSE(HEAD(1, 0), NAS, 0, 1, 0, 3), DNS_REFUSED);
	assert_int_equal(PARSE(HEAD(1, 1), NAS, 0, 1, 0, 1, OPT(1232, 1, 0)), DNS_BADVERS);
	assert_int_equal(PARSE(1, 2, 1, 0, 0, 2, 0, 0, 0, 0, 0, 0, NAS, 0, 1, 0, 1, NAS, 0, 1, 0, 1), DNS_FORMERR);
	assert_int_equal(PARSE(1, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0), DNS_FORMERR);
	assert_int_equal(PARSE(1, 2, 1, 0, 0, 1, 0, 1, 0, 0, 0, 0, NAS, 0, 1, 0, 1), DNS_FORMERR);
	assert_int_equal(PARSE(HEAD(1, 0), 0xc0, 12, 0, 1, 0, 1), DNS_FORMERR);      /* a pointer */
	assert_int_equal(PARSE(HEAD(1, 0), 1, 'a', 0xc0, 12, 0, 1, 0, 1), DNS_FORMERR);
	assert_int_equal(PARSE(HEAD(1, 0), 0x41, 'a', 0, 0, 1, 0, 1), DNS_FORMERR);  /* an extended label */
}

static void
longest_name(void **state)
{
	(void)state;
	uint8_t msg[DNS_HEADER + 300] = {HEAD(1, 0)}, *p = msg + DNS_HEADER;
	for (int i = 0; i < 4; i++) {
		const uint8_t len = i < 3 ? 63 : 61;
		*p++ = len;
		memset(p, 'a', len);
		p += len;
	}
	memcpy(p, (uint8_t[]){0, 0, 1, 0, 1}, 5);
	assert_int_equal(parse(msg, DNS_HEADER + 255 + 4), DNS_NOERROR);
	assert_int_equal(q.name_len, 255);
	assert_int_equal(q.text_len, 253);
	p[-62] = 62; /* 256 bytes */
	*p = 'a';
	memcpy(p + 1, (uint8_t[]){0, 0, 1, 0, 1}, 5);
	assert_int_equal(parse(msg, DNS_HEADER + 256 + 4), DNS_FORMERR);
}

static void
reverse_names(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		enum reverse kind;
		uint8_t family, ip[16];
	} cases[] = {
		{"4.3.64.100.in-addr.arpa", REVERSE_ADDRESS, 4, {100, 64, 3, 4}},
		{"0.0.0.0.in-addr.arpa", REVERSE_ADDRESS, 4, {0}},
		{"64.100.in-addr.arpa", REVERSE_PARTIAL, 4, {100, 64}},
		{"in-addr.arpa", REVERSE_PARTIAL, 4, {0}},
		{"256.3.64.100.in-addr.arpa", REVERSE_BELOW, 4, {100, 64, 3}},
		{"04.3.64.100.in-addr.arpa", REVERSE_BELOW, 4, {100, 64, 3}},
		{"b._dns-sd._udp.0.3.64.100.in-addr.arpa", REVERSE_BELOW, 4, {100, 64, 3, 0}},
		{"4.3.64.100.xin-addr.arpa", REVERSE_NOT, 0, {0}},
		{"arpa", REVERSE_NOT, 0, {0}},
		{"", REVERSE_NOT, 0, {0}},
		{"1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa", REVERSE_ADDRESS, 6,
			{0x20, 1, 0xd, 0xb8, [15] = 1}},
		{"8.b.d.0.1.0.0.2.ip6.arpa", REVERSE_PARTIAL, 6, {0x20, 1, 0xd, 0xb8}},
		{"g.8.b.d.0.1.0.0.2.ip6.arpa", REVERSE_BELOW, 6, {0x20, 1, 0xd, 0xb8}},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct tr_addr a;
		assert_int_equal(reverse_parse(cases[i].text, strlen(cases[i].text), &a), cases[i].kind);
		assert_int_equal(a.family, cases[i].family);
		assert_memory_equal(a.ip, cases[i].ip, 16);
	}
}

static uint8_t msg[1500];

#define ASK(...) ask((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void
ask(const uint8_t *query, size_t len)
{
	memset(msg, 0xee, sizeof(msg));
	memcpy(msg, query, len);
	question_parse(&q, msg, len);
}

#define EXPECT(size, ...) expect(size, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static void
expect(size_t size, const uint8_t *want, size_t len)
{
	assert_int_equal(size, len);
	assert_memory_equal(msg, want, len);
}

static const struct tr_addr both[] = {{.family = 4, .ip = {100, 64, 0, 2}}, {.family = 6, .ip = {0xfd, [15] = 2}}};
static const struct tr_name found = {2, both};

static void
address_answers(void **state)
{
	(void)state;
	ASK(HEAD(1, 0), NAS, 0, 1, 0, 1);
	EXPECT(answer_addresses(msg, 1500, &q, &found, 5), 0xab, 0xcd, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, NAS, 0, 1, 0, 1, 0xc0,
		12, 0, 1, 0, 1, 0, 0, 0, 5, 0, 4, 100, 64, 0, 2);
	ASK(HEAD(0, 1), NAS, 0, 28, 0, 1, OPT(4096, 0, 0));
	EXPECT(answer_addresses(msg, 1500, &q, &found, 600), 0xab, 0xcd, 0x84, 0, 0, 1, 0, 1, 0, 0, 0, 1, NAS, 0, 28, 0, 1, 0xc0,
		12, 0, 28, 0, 1, 0, 0, 2, 0x58, 0, 16, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, OPT(1232, 0, 0));
	ASK(HEAD(1, 0), NAS, 0, 255, 0, 1);
	assert_int_equal(answer_addresses(msg, 1500, &q, &found, 5), 29 + 16 + 28);
	assert_int_equal(msg[7], 2);
	assert_true(answer_has(&found, DNS_A) && answer_has(&found, DNS_ANY) && !answer_has(&found, DNS_PTR));

	struct tr_addr many[60];
	for (int i = 0; i < 60; i++)
		many[i] = both[0];
	ASK(HEAD(1, 0), NAS, 0, 1, 0, 1); /* what fits into 512 bytes, and TC */
	assert_int_equal(answer_addresses(msg, 1500, &q, &(struct tr_name){60, many}, 5), 29 + 30 * 16);
	assert_int_equal(msg[7], 30);
	assert_int_equal(msg[2] & 2, 2);
	assert_int_equal(answer_addresses(msg, 28, &q, &found, 5), 0);
}

static void
pointer_and_negative_answers(void **state)
{
	(void)state;
	ASK(HEAD(1, 0), 1, '4', 4, 'a', 'r', 'p', 'a', 0, 0, 12, 0, 1);
	EXPECT(answer_pointer(msg, 1500, &q, "nas.mesh.ex", 11, 5), 0xab, 0xcd, 0x85, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, 1, '4', 4, 'a',
		'r', 'p', 'a', 0, 0, 12, 0, 1, 0xc0, 12, 0, 12, 0, 1, 0, 0, 0, 5, 0, 13, 3, 'n', 'a', 's', 4, 'm', 'e', 's', 'h',
		2, 'e', 'x', 0);
	ASK(HEAD(1, 0), NAS, 0, 1, 0, 1);
	EXPECT(answer_negative(msg, 1500, &q, DNS_NXDOMAIN, 16, 0x01020304, 5), 0xab, 0xcd, 0x85, 0x83, 0, 1, 0, 0, 0, 1, 0, 0,
		NAS, 0, 1, 0, 1, 0xc0, 16, 0, 6, 0, 1, 0, 0, 0, 5, 0, 24, 0xc0, 16, 0xc0, 16, 1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0,
		5, 0, 0, 0, 5, 0, 0, 0, 5);
}

static void
error_answers(void **state)
{
	(void)state;
	ASK(HEAD(1, 1), NAS, 0, 1, 0, 1, OPT(1232, 7, 0x80));
	EXPECT(answer_error(msg, 1500, &q, DNS_BADVERS), 0xab, 0xcd, 0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 1, NAS, 0, 1, 0, 1, 0, 0,
		41, 1232 >> 8, 1232 & 0xff, 1, 0, 0x80, 0, 0, 0);
	ASK(HEAD(0x29, 0), NAS, 0, 1, 0, 1);
	EXPECT(answer_error(msg, 1500, &q, DNS_NOTIMP), 0xab, 0xcd, 0xa9, 0x84, 0, 0, 0, 0, 0, 0, 0, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_questions),
		cmocka_unit_test(bad_questions),
		cmocka_unit_test(longest_name),
		cmocka_unit_test(reverse_names),
		cmocka_unit_test(address_answers),
		cmocka_unit_test(pointer_and_negative_answers),
		cmocka_unit_test(error_answers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
