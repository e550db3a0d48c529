/* SPDX-License-Identifier: BSD-3-Clause */
/* Upstreams' answers, and the cache. Messages by RFC 1035 §4, RFC 2308 §2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "cache.h"

#define SECOND 1000000000ull
#define WWW 3, 'w', 'w', 'w', 2, 'e', 'x', 0
#define QUESTION WWW, 0, 1, 0, 1
#define ANSWER(ttl) 0xc0, 12, 0, 1, 0, 1, 0, 0, (ttl) >> 8, (ttl) & 0xff, 0, 4, 192, 0, 2, 9
#define SOA(ttl, minimum)                                                                                              \
	0xc0, 16, 0, 6, 0, 1, 0, 0, 0, ttl, 0, 24, 0xc0, 16, 0xc0, 16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, \
		minimum
#define OPT 0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0
#define HEAD(flags, rcode, an, ns, ar) 0x12, 0x34, flags, 0x80 | (rcode), 0, 1, 0, an, 0, ns, 0, ar

static struct wire_key key;
static uint8_t query[WIRE_QUERY_MAX], msg[4096];
static size_t query_len;
static struct wire_answer answer;
static const uint8_t no_salt[DNS_NAME_MAX / 8 + 1];

static int
set_up(void **state)
{
	(void)state;
	static const uint8_t client[] = {9, 9, 1, 0x10, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'W', 'w', 'W', 2, 'E', 'x', 0, 0, 1, 0, 1};
	struct question q;
	assert_int_equal(question_parse(&q, client, sizeof(client)), DNS_NOERROR);
	wire_key(&key, &q, client);
	query_len = wire_query(query, &key, 0x1234, no_salt);
	return 0;
}

#define READ(...) wire_test_read((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), false)

static enum wire_status
wire_test_read(const uint8_t *m, size_t len, bool tcp)
{
	uint8_t *exact = malloc(len ? len : 1);
	memcpy(exact, m, len);
	enum wire_status status = wire_read(&answer, exact, len, query, query_len, tcp);
	memcpy(msg, exact, len);
	free(exact);
	return status;
}

static void
queries(void **state)
{
	(void)state;
	static const uint8_t want[] = {0x12, 0x34, 0x01, 0x30, 0, 1, 0, 0, 0, 0, 0, 1, QUESTION, OPT};
	assert_int_equal(query_len, sizeof(want));
	assert_memory_equal(query, want, sizeof(want)); /* lower case; CD as the client asked */

	static const uint8_t salt[DNS_NAME_MAX / 8 + 1] = {0xff, 0xff};
	uint8_t mixed[WIRE_QUERY_MAX];
	wire_query(mixed, &key, 0x1234, salt);
	assert_memory_equal(mixed + 12, ((uint8_t[]){3, 'W', 'W', 'W', 2, 'E', 'X', 0}), 8);
}

static void
good_answers(void **state)
{
	(void)state;
	assert_int_equal(READ(HEAD(0x81, 0, 2, 0, 1), QUESTION, ANSWER(300), ANSWER(60), OPT), WIRE_GOOD);
	assert_int_equal(answer.len, 12 + 12 + 2 * 16);
	assert_int_equal(answer.ttl, 60);
	assert_int_equal(answer.n_ttl, 2);
	assert_int_equal(answer.ttl_at[0], 24 + 6);
	assert_int_equal(answer.ttl_at[1], 40 + 6);
	assert_int_equal(msg[11], 0);

	assert_int_equal(READ(HEAD(0x81, 3, 0, 1, 0), QUESTION, SOA(90, 30)), WIRE_GOOD);
	assert_int_equal(answer.ttl, 30);
	assert_int_equal(READ(HEAD(0x81, 0, 0, 1, 0), QUESTION, SOA(20, 30)), WIRE_GOOD);
	assert_int_equal(answer.ttl, 20);
	assert_int_equal(READ(HEAD(0x81, 3, 0, 0, 0), QUESTION), WIRE_GOOD);
	assert_int_equal(answer.ttl, 0); /* without SOA: not kept */
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 0), QUESTION, 0xc0, 12, 0, 1, 0, 1, 0x80, 0, 0, 9, 0, 4, 1, 2, 3, 4), WIRE_GOOD);
	assert_int_equal(answer.ttl, 0);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 0), QUESTION, 0xc0, 12, 0, 1, 0, 1, 0x7f, 0, 0, 9, 0, 4, 1, 2, 3, 4), WIRE_GOOD);
	assert_int_equal(answer.ttl, WIRE_TTL_LIMIT);
}

static void
forged_answers(void **state)
{
	(void)state;
	assert_int_equal(READ(0x12, 0x35, 0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0, QUESTION, ANSWER(9)), WIRE_FOREIGN);
	assert_int_equal(READ(HEAD(0x01, 0, 1, 0, 0), QUESTION, ANSWER(9)), WIRE_FOREIGN);
	assert_int_equal(READ(HEAD(0x89, 0, 1, 0, 0), QUESTION, ANSWER(9)), WIRE_FOREIGN);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 0), 3, 'w', 'w', 'v', 2, 'e', 'x', 0, 0, 1, 0, 1, ANSWER(9)), WIRE_FOREIGN);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 0), WWW, 0, 28, 0, 1, ANSWER(9)), WIRE_FOREIGN);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 0), 3, 'w', 'W', 'w', 2, 'e', 'x', 0, 0, 1, 0, 1, ANSWER(9)), WIRE_CASE);
	static const uint8_t cased[] = {HEAD(0x81, 0, 1, 0, 0), 3, 'w', 'W', 'w', 2, 'e', 'x', 0, 0, 1, 0, 1, ANSWER(9)};
	assert_int_equal(wire_test_read(cased, sizeof(cased), true), WIRE_GOOD);
	assert_int_equal(READ(HEAD(0x81, 0, 0, 0, 0)), WIRE_FOREIGN);
}

static void
broken_answers(void **state)
{
	(void)state;
	assert_int_equal(READ(HEAD(0x83, 0, 0, 0, 0), QUESTION), WIRE_TRUNCATED);
	assert_int_equal(READ(HEAD(0x81, 2, 0, 0, 0), QUESTION), WIRE_FAILED);
	assert_int_equal(READ(HEAD(0x81, 5, 0, 0, 0), QUESTION), WIRE_FAILED);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 1), QUESTION, ANSWER(9), 0, 0, 41, 4, 0xd0, 1, 0, 0, 0, 0, 0), WIRE_FAILED);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 0), QUESTION, 0xc0, 24, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 1, 2, 3, 4), WIRE_FAILED);
	static const uint8_t whole[] = {HEAD(0x81, 0, 1, 1, 1), QUESTION, ANSWER(9), SOA(1, 1), OPT};
	for (size_t len = 0; len < sizeof(whole); len++)
		assert_int_not_equal(wire_test_read(whole, len, false), WIRE_GOOD);
	assert_int_equal(wire_test_read(whole, sizeof(whole), false), WIRE_GOOD);
}

static uint64_t
hash(void *arg, const struct wire_key *k)
{
	uint64_t h = *(uint64_t *)arg;
	for (unsigned i = 0; i < k->len; i++)
		h = (h ^ k->bytes[i]) * 0x100000001b3;
	return h ^ h >> 29;
}

static struct wire_key
key_of(unsigned i)
{
	struct wire_key k = key;
	k.bytes[4] = (uint8_t)(i >> 16);
	k.bytes[5] = (uint8_t)(i >> 8);
	k.bytes[6] = (uint8_t)i;
	return k;
}

static void
cache_keeps_and_forgets(void **state)
{
	(void)state;
	uint64_t seed = 1;
	uint32_t age = 0;
	struct cache *c = cache_new(hash, &seed);
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 1), QUESTION, ANSWER(60), OPT), WIRE_GOOD);
	cache_put(c, &key, msg, &answer, 100 * SECOND, 10);
	const struct stored *s = cache_find(c, &key, 110 * SECOND, &age);
	assert_non_null(s);
	assert_int_equal(age, 10);
	assert_int_equal(s->len, 40);
	assert_memory_equal(s->wire, msg, 40);
	assert_null(cache_find(c, &key, 160 * SECOND, &age));
	assert_int_equal(cache_count(c), 0);

	for (unsigned i = 0; i < 10; i++) {
		struct wire_key k = key_of(i);
		cache_put(c, &k, msg, &answer, 0, 10);
	}
	struct wire_key first = key_of(0), second = key_of(1), more = key_of(99);
	assert_non_null(cache_find(c, &first, 1, &age)); /* now the second is the oldest */
	cache_put(c, &more, msg, &answer, 1, 10);
	assert_int_equal(cache_count(c), 10);
	assert_null(cache_find(c, &second, 1, &age));
	assert_non_null(cache_find(c, &first, 1, &age));
	cache_put(c, &more, msg, &answer, 1, 3); /* a smaller limit */
	assert_int_equal(cache_count(c), 3);
	cache_put(c, &first, msg, &answer, 1, 0);
	assert_int_equal(cache_count(c), 0);

	for (unsigned i = 0; i < 5000; i++) { /* the table grows */
		struct wire_key k = key_of(i);
		cache_put(c, &k, msg, &answer, 0, 100000);
	}
	for (unsigned i = 0; i < 5000; i++) {
		struct wire_key k = key_of(i);
		assert_non_null(cache_find(c, &k, 1, &age));
	}
	cache_free(c);
}

static void
stored_answers(void **state)
{
	(void)state;
	assert_int_equal(READ(HEAD(0x81, 0, 1, 0, 1), QUESTION, ANSWER(300), OPT), WIRE_GOOD);
	const struct stored s = {.wire = msg, .len = answer.len, .n_ttl = answer.n_ttl, .ttl_at = answer.ttl_at};
	uint8_t out[1500] = {9, 8, 1, 0x10, 0, 1, 0, 0, 0, 0, 0, 1, 3, 'W', 'w', 'W', 2, 'e', 'x', 0, 0, 1, 0, 1, OPT};
	struct question q;
	assert_int_equal(question_parse(&q, out, 35), DNS_NOERROR);
	static const uint8_t want[] = {9, 8, 0x81, 0x90, 0, 1, 0, 1, 0, 0, 0, 1, 3, 'W', 'w', 'W', 2, 'e', 'x', 0, 0, 1, 0, 1,
		ANSWER(290), OPT};
	assert_int_equal(answer_stored(out, sizeof(out), &q, &s, 10), sizeof(want));
	assert_memory_equal(out, want, sizeof(want));
	assert_int_equal(answer_stored(out, sizeof(out), &q, &s, 1000), sizeof(want));
	assert_memory_equal(out + 30, ((uint8_t[]){0, 0, 0, 0}), 4);
	assert_int_equal(answer_stored(out, 40, &q, &s, 10), 35); /* too large for the room: TC, and nothing of it */
	assert_int_equal(out[2] & 2, 2);
	assert_int_equal(out[7], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queries),
		cmocka_unit_test(good_answers),
		cmocka_unit_test(forged_answers),
		cmocka_unit_test(broken_answers),
		cmocka_unit_test(cache_keeps_and_forgets),
		cmocka_unit_test(stored_answers),
	};
	return cmocka_run_group_tests(tests, set_up, NULL);
}
