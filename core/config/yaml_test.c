/* SPDX-License-Identifier: BSD-3-Clause */
/* Trees from YAML and .cfg: positions, bounds, and every message. */
#include "test.h"

static void
positions(void **state)
{
	struct fixture f = begin();
	const char *text = "a: 1\nb:\n  - x\n  - {c: \"2\", d: ''}\n";
	struct cfg_node *root = yaml_parse(f.arena, "t.yaml", text, strlen(text), &f.d);
	assert_non_null(root);
	assert_int_equal(root->kind, CFG_MAP);
	assert_int_equal(root->n, 2);
	assert_string_equal(cfg_get(root, "a")->text, "1");
	assert_false(cfg_get(root, "a")->quoted);
	const struct cfg_node *b = cfg_get(root, "b");
	assert_int_equal(b->kind, CFG_LIST);
	assert_int_equal(b->child[1]->line, 4);
	assert_int_equal(b->child[1]->col, 5);
	assert_true(cfg_get(b->child[1], "c")->quoted);
	assert_int_equal(cfg_get(b->child[1], "c")->col, 9);
	assert_int_equal(root->key[1]->line, 2);
	assert_null(cfg_get(root, "z"));
	end(&f, "");
}

struct bad {
	const char *text, *expected;
};

static const struct bad bad_yaml[] = {
	{"", "t:1:1: error: the file is empty: expected a map\n"},
	{"a: [1, 2\nb: 3\n", "t:2:2: error: syntax error: did not find expected ',' or ']', while parsing a flow sequence "
			     "that begins at line 1\n"},
	{"a: 1\n b: 2\n", "t:2:3: error: syntax error: mapping values are not allowed in this context\n"},
	{"a: \"x\n", "t:2:1: error: syntax error: found unexpected end of stream, while scanning a quoted scalar that begins "
		     "at line 1\n"},
	{"a: &x 1\nb: *x\n", "t:1:4: error: anchors (`&name`) are not supported\n"},
	{"a: *x\n", "t:1:4: error: aliases (`*name`) are not supported\n"},
	{"a: !!str 1\n", "t:1:4: error: tags (`!name`) are not supported\n"},
	{"a: 1\n---\nb: 1\n", "t:2:1: error: a second document: only one is allowed\n"},
	{"? [a]\n: 1\n", "t:1:3: error: a key must be plain text, not a list or map\n"},
	{"a: \"x\\0y\"\n", "t:1:4: error: a zero byte in a value\n"},
	{"a: \x01\n", "t:1:4: error: syntax error: not text in UTF-8: control characters are not allowed\n"},
	{"a: 1\nb: \xff\xfe\n", "t:2:4: error: syntax error: not text in UTF-8: invalid leading UTF-8 octet\n"},
	{"a: 1\nb: 2\na: 3\nc: {x: 1, x: 2}\n", "t:3:1: error: duplicate key `a` (first on line 1)\n"
						"t:4:11: error: duplicate key `x` (first on line 4)\n"},
};

static const struct bad bad_cfg[] = {
	{"a = 1;\nb = ;\n", "t:2: error: syntax error: expected `name = value;`\n"},
	{"a = 1;\n  b = 1;\nb = 2;\n", "t:3: error: duplicate key `b`\n"},
	{"a = 1;\n @include \"x\"\n", "t:2: error: @include is not supported\n"},
};

static void
messages(void **state)
{
	for (size_t i = 0; i < sizeof(bad_yaml) / sizeof(bad_yaml[0]); i++) {
		struct fixture f = begin();
		yaml_parse(f.arena, "t", bad_yaml[i].text, strlen(bad_yaml[i].text), &f.d);
		end(&f, bad_yaml[i].expected);
	}
	for (size_t i = 0; i < sizeof(bad_cfg) / sizeof(bad_cfg[0]); i++) {
		struct fixture f = begin();
		cfg_parse(f.arena, "t", bad_cfg[i].text, &f.d);
		end(&f, bad_cfg[i].expected);
	}
}

static char *
repeat(const char *s, size_t n)
{
	size_t len = strlen(s);
	char *text = malloc(len * n + 1);
	for (size_t i = 0; i < n; i++)
		memcpy(text + i * len, s, len);
	text[len * n] = '\0';
	return text;
}

static void
refused_quickly(const char *prefix, const char *unit, size_t n, const char *expected)
{
	struct fixture f = begin();
	char *body = repeat(unit, n), *text;
	assert_true(asprintf(&text, "%s%s", prefix, body) > 0);
	assert_null(yaml_parse(f.arena, "t", text, strlen(text), &f.d));
	end(&f, expected);
	free(text);
	free(body);
}

static void
bounds(void **state)
{
	refused_quickly("", "[", 1000000, "t:1:65: error: nested more than 64 levels deep\n");
	refused_quickly("", "{a: ", 1000000, "t:1:257: error: nested more than 64 levels deep\n");
	refused_quickly("a: ", "x", 8u << 20, "t:1:4: error: a value of more than 65536 bytes\n");
	refused_quickly("a: [", "x, ", 3u << 20, "t:1:943715: error: the configuration is too large\n");
	/* Each level of an alias bomb refers to the one before: the first anchor is refused. */
	refused_quickly("a: &a [x]\n", "b: &b [*a,*a,*a,*a]\n", 1000, "t:1:4: error: anchors (`&name`) are not supported\n");
}

static void
files(void **state)
{
	struct fixture f = begin();
	assert_null(yaml_read(f.arena, "/nonexistent/x.yaml", &f.d));
	assert_null(cfg_read(f.arena, "/", &f.d));
	end(&f, "/: error: cannot be read: Is a directory\n"
		"/nonexistent/x.yaml: error: cannot be read: No such file or directory\n");
}

static void
cfg_tree(void **state)
{
	struct fixture f = begin();
	struct cfg_node *root = cfg_parse(f.arena, "t.cfg", "// c\nports = { wan = { device = \"0\"; queues = 2; }; };\n"
							    "w = { l = [2, 3]; on = true; f = 1.5; big = 10000000000L; };\n", &f.d);
	assert_non_null(root);
	const struct cfg_node *wan = cfg_get(cfg_get(root, "ports"), "wan"), *w = cfg_get(root, "w");
	assert_int_equal(wan->line, 2);
	assert_int_equal(wan->col, 0);
	assert_true(cfg_get(wan, "device")->quoted);
	assert_string_equal(cfg_get(wan, "queues")->text, "2");
	assert_string_equal(cfg_get(w, "l")->child[1]->text, "3");
	assert_int_equal(cfg_get(w, "l")->kind, CFG_LIST);
	assert_string_equal(cfg_get(w, "on")->text, "true");
	assert_string_equal(cfg_get(w, "f")->text, "1.50000");
	assert_string_equal(cfg_get(w, "big")->text, "10000000000");
	end(&f, "");
}

static void
nearest(void **state)
{
	static const char *const names[] = {"listen", "address", "gateway", "mtu", NULL};
	static const struct {
		const char *word, *near;
	} t[] = {{"listn", "listen"}, {"adress", "address"}, {"gatewya", "gateway"}, {"mtv", "mtu"}, {"xyz", NULL},
		{"l", NULL}, {"lsiten", "listen"}, {"umt", NULL}, {"", NULL}};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *near = did_you_mean(t[i].word, names);
		if (t[i].near == NULL)
			assert_null(near);
		else
			assert_string_equal(near, t[i].near);
	}
}

static void
many_errors(void **state)
{
	struct fixture f = begin();
	for (unsigned i = 0; i < 100000; i++)
		diag_pos(&f.d, DIAG_ERROR, "t", 100000 - i, 1, "x");
	assert_int_equal(f.d.errors, 100000);
	char *text = printed(&f.d);
	assert_non_null(strstr(text, "… and 99500 more errors\n"));
	free(text);
	diags_free(&f.d);
	arena_free(f.arena);
}

static void
long_messages(void **state)
{
	struct fixture f = begin();
	char *text = repeat("ä", 2000);
	diag_pos(&f.d, DIAG_ERROR, NULL, 0, 0, "\x1b[1m%s", text);
	assert_true(strlen(f.d.v[0].text) < 700);
	assert_int_equal(f.d.v[0].text[0], '?');
	assert_non_null(strstr(f.d.v[0].text, "ä…"));
	free(text);
	diags_free(&f.d);
	arena_free(f.arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(positions),
		cmocka_unit_test(messages),
		cmocka_unit_test(bounds),
		cmocka_unit_test(files),
		cmocka_unit_test(cfg_tree),
		cmocka_unit_test(nearest),
		cmocka_unit_test(many_errors),
		cmocka_unit_test(long_messages),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
