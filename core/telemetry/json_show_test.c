/* SPDX-License-Identifier: BSD-3-Clause */
#include "json_show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void
expect_json(struct json_show *j, const char *text)
{
	char error[64];
	json_t *v = json_show_end(j, error, sizeof(error));
	char *s = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	assert_string_equal(s, text);
	free(s);
	json_decref(v);
}

static void
every_kind(void **state)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	static const uint8_t key[32] = {1};
	struct tr_addr v4 = {.family = 4, .ip = {192, 0, 2, 1}}, none = {0};
	struct tr_addr v6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, [15] = 1}};
	s->text(s, "t", "x\"y");
	s->text(s, "n", NULL);
	s->uint(s, "u", 1234567890123);
	s->real(s, "r", 0.5);
	s->flag(s, "f", true);
	s->addr(s, "a", &v4);
	s->key(s, "k", key);
	s->begin(s, "o");
	s->list(s, "l");
	s->addr(s, NULL, &v6);
	s->addr(s, NULL, &none);
	s->begin(s, NULL);
	s->end(s);
	s->end(s);
	s->uint(s, "m", UINT64_MAX);
	s->end(s);
	s->uint(s, "z", 0);
	expect_json(j, "{\"t\":\"x\\\"y\",\"n\":null,\"u\":1234567890123,\"r\":0.5,\"f\":true,\"a\":\"192.0.2.1\","
		       "\"k\":\"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
		       "\"o\":{\"l\":[\"2001:db8::1\",null,{}],\"m\":9223372036854775807},\"z\":0}");
}

static void
roots(void **state)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	expect_json(j, "{}");
	s = json_show_begin(&j);
	s->list(s, NULL);
	s->uint(s, NULL, 1);
	s->begin(s, NULL);
	s->uint(s, "a", 2);
	s->end(s);
	s->end(s);
	expect_json(j, "[1,{\"a\":2}]");
	s = json_show_begin(&j);
	s->begin(s, "first");
	s->end(s);
	s->uint(s, "second", 1);
	expect_json(j, "{\"first\":{},\"second\":1}");
}

/* Bad text and endless depth cost a value, not the process. */
static void
refused_values(void **state)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	s->text(s, "bad", "\xff");
	s->begin(s, "\xff");
	s->uint(s, "lost", 1);
	s->end(s);
	for (unsigned i = 0; i < 100; i++)
		s->begin(s, "d");
	for (unsigned i = 0; i < 100; i++)
		s->end(s);
	s->uint(s, "after", 1);
	char error[64];
	json_t *v = json_show_end(j, error, sizeof(error));
	assert_string_equal(json_string_value(json_object_get(v, "bad")), "(not UTF-8)");
	assert_int_equal(json_integer_value(json_object_get(v, "after")), 1);
	assert_int_equal(json_object_size(v), 3);
	json_decref(v);
}

static void
errors(void **state)
{
	struct json_show *j;
	struct tr_show *s = json_show_begin(&j);
	char error[64];
	s->begin(s, "half");
	s->error(s, "no peer %s", "anna");
	assert_null(json_show_end(j, error, sizeof(error)));
	assert_string_equal(error, "no peer anna");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind),
		cmocka_unit_test(roots),
		cmocka_unit_test(refused_values),
		cmocka_unit_test(errors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
