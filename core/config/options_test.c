/* SPDX-License-Identifier: BSD-3-Clause */
/* Every option type: values, and what is said about each kind of mistake. */
#include "test.h"
#include "value.h"

#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>

struct all {
	bool flag;
	uint64_t number, time, bytes, rate;
	const char *text;
	uint32_t choice;
	struct tr_addr addr;
	struct tr_prefix prefix, ifaddr;
	struct tr_sockaddr server;
	uint8_t mac[6];
	struct tr_key key;
	struct tr_secret secret;
	struct tr_list addrs, servers, routes, names;
};

static const char *const choices[] = {"any", "tailscale", NULL};

#define O(k, t, ...) {.key = #k, .type = t, .offset = offsetof(struct all, k), .doc = "doc of " #k, __VA_ARGS__}
static const struct tr_option table[] = {
	O(flag, TR_OPT_BOOL, .def = "true"),
	O(number, TR_OPT_UINT, .min = 1, .max = 65535, .def = "7"),
	O(time, TR_OPT_UINT, .unit = TR_UNIT_MS, .min = 100, .max = 3600000, .def = "10s"),
	O(bytes, TR_OPT_UINT, .unit = TR_UNIT_BYTES, .min = 64, .max = 1u << 30),
	O(rate, TR_OPT_UINT, .unit = TR_UNIT_PER_SEC),
	O(text, TR_OPT_STRING, .def = "hello"),
	O(choice, TR_OPT_ENUM, .names = choices, .def = "tailscale"),
	O(addr, TR_OPT_ADDR),
	O(prefix, TR_OPT_PREFIX),
	O(ifaddr, TR_OPT_IFADDR),
	O(server, TR_OPT_SOCKADDR, .def = ":53"),
	O(mac, TR_OPT_MAC),
	O(key, TR_OPT_KEY),
	O(secret, TR_OPT_SECRET),
	O(addrs, TR_OPT_ADDR, .flags = TR_OPT_LIST, .min = 1, .max = 3, .def = "192.0.2.1, 2001:db8::1"),
	O(servers, TR_OPT_SOCKADDR, .flags = TR_OPT_LIST, .def = ":853"),
	O(routes, TR_OPT_ROUTES),
	O(names, TR_OPT_NAMES),
	{0},
};

static bool
parse(struct fixture *f, const struct tr_option *t, const char *text, bool secrets, struct all *out)
{
	struct cfg_node *n = yaml_parse(f->arena, "t", text, strlen(text), &f->d);
	struct opt_context c = {.arena = f->arena, .diags = &f->d, .secrets = secrets};
	memset(out, 0, sizeof(*out));
	return n != NULL && options_parse(&c, "class test", t, n, (const char *const[]){"class", NULL}, NULL, out) &&
	       f->d.errors == 0;
}

static void
values(void **state)
{
	struct fixture f = begin();
	struct all v;
	assert_true(parse(&f, table,
		"class: x\nflag: false\nnumber: 65535\ntime: 2m\nbytes: 64k\nrate: 200k\ntext: 10\nchoice: any\n"
		"addr: 2001:db8::1\nprefix: 10.0.0.0/8\nifaddr: 10.20.0.1/16\nserver: 192.0.2.1\nmac: 02:00:00:00:00:fF\n"
		"key: D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=\naddrs: 9.9.9.9\n"
		"servers: ['[2001:db8::1]:5353', 2001:db8::2, 192.0.2.1:53]\n"
		"routes: {0.0.0.0/0: lan.ip via 10.20.0.254, '::/0': wg0.plain}\nnames: {NAS: [10.0.0.1, '::1'], a.b: 10.0.0.2}\n",
		false, &v));
	const struct tr_sockaddr *s = v.servers.items;
	const struct tr_route_option *r = v.routes.items;
	const struct tr_name_option *n = v.names.items;
	assert_false(v.flag);
	assert_int_equal(v.number, 65535);
	assert_int_equal(v.time, 120000);
	assert_int_equal(v.bytes, 65536);
	assert_int_equal(v.rate, 200000);
	assert_string_equal(v.text, "10");
	assert_int_equal(v.choice, 0);
	assert_int_equal(v.addr.family, 6);
	assert_int_equal(v.prefix.len, 8);
	assert_int_equal(v.ifaddr.addr.ip[3], 1);
	assert_int_equal(v.server.port, 53);
	assert_int_equal(v.mac[5], 0xff);
	assert_int_equal(v.key.b[0], 0x0f);
	assert_int_equal(v.addrs.n, 1);
	assert_int_equal(v.servers.n, 3);
	assert_int_equal(s[0].port, 5353);
	assert_int_equal(s[1].port, 853);
	assert_int_equal(s[2].port, 53);
	assert_int_equal(v.routes.n, 2);
	assert_int_equal(r[0].via.ip[3], 254);
	assert_int_equal(r[1].via.family, 0);
	assert_int_equal(v.names.n, 3);
	assert_string_equal(n[1].name, "nas");
	assert_string_equal(n[2].name, "a.b");
	end(&f, "");
}

static void
defaults(void **state)
{
	struct fixture f = begin();
	struct all v;
	struct opt_context c = {.arena = f.arena, .diags = &f.d};
	memset(&v, 0, sizeof(v));
	assert_true(options_parse(&c, "class test", table, NULL, NULL, NULL, &v));
	assert_true(v.flag);
	assert_int_equal(v.number, 7);
	assert_int_equal(v.time, 10000);
	assert_string_equal(v.text, "hello");
	assert_int_equal(v.choice, 1);
	assert_int_equal(v.addrs.n, 2);
	assert_int_equal(v.server.addr.family, 0);
	assert_int_equal(v.servers.n, 0);
	end(&f, "");
}

static const struct {
	const char *text, *expected;
} bad[] = {
	{"flag: yes", "t:1:7: error: `flag`: expected `true` or `false`, not `yes`\n"},
	{"flag: 'true'", "t:1:7: error: `flag`: expected `true` or `false`, not the text `true`\n"},
	{"flag: [true]", "t:1:7: error: `flag`: expected `true` or `false`, not a list\n"},
	{"number: abc", "t:1:9: error: `number`: expected a number from 1 to 65535, not `abc`\n"},
	{"number: '5'", "t:1:9: error: `number`: expected a number from 1 to 65535, not the text `5`\n"},
	{"number: 0", "t:1:9: error: `number`: `0` is below the minimum of 1\n"},
	{"number: -5", "t:1:9: error: `number`: `-5` is below the minimum of 1\n"},
	{"number: 65536", "t:1:9: error: `number`: `65536` is above the maximum of 65535\n"},
	{"number: 99999999999999999999", "t:1:9: error: `number`: `99999999999999999999` is above the maximum of 65535\n"},
	{"number: 010", "t:1:9: error: `number`: expected a number from 1 to 65535, not `010`\n"},
	{"number: 1.5", "t:1:9: error: `number`: expected a number from 1 to 65535, not `1.5`\n"},
	{"number:", "t:1:8: error: `number`: expected a number from 1 to 65535, not nothing\n"},
	{"time: 10", "t:1:7: error: `time`: expected a duration such as 500ms, 10s, 2m or 1h, from 100ms to 1h, not `10`\n"},
	{"time: 99ms", "t:1:7: error: `time`: `99ms` is below the minimum of 100ms\n"},
	{"time: 61m", "t:1:7: error: `time`: `61m` is above the maximum of 1h\n"},
	{"bytes: 1T", "t:1:8: error: `bytes`: expected a size in bytes such as 64, 64k or 1M, from 64 to 1G, not `1T`\n"},
	{"bytes: 2G", "t:1:8: error: `bytes`: `2G` is above the maximum of 1G\n"},
	{"rate: fast", "t:1:7: error: `rate`: expected a rate per second such as 200, 200k or 1M, not `fast`\n"},
	{"rate: -1", "t:1:7: error: `rate`: `-1` is below the minimum of 0\n"},
	{"rate: 99999999999999999M", "t:1:7: error: `rate`: `99999999999999999M` is above the maximum of 18446744073709551615\n"},
	{"text: {}", "t:1:7: error: `text`: expected text, not a map\n"},
	{"choice: anny", "t:1:9: error: `choice`: expected one of `any`, `tailscale`, not `anny` (did you mean `any`?)\n"},
	{"choice: nobody", "t:1:9: error: `choice`: expected one of `any`, `tailscale`, not `nobody`\n"},
	{"addr: 10.0.0.256", "t:1:7: error: `addr`: expected an address such as 192.0.2.1 or 2001:db8::1, not `10.0.0.256`\n"},
	{"prefix: 10.0.0.1/8", "t:1:9: error: `prefix`: `10.0.0.1/8` has bits set behind the prefix length (did you mean "
			       "`10.0.0.0/8`?)\n"},
	{"prefix: 10.0.0.1", "t:1:9: error: `prefix`: `10.0.0.1` has no prefix length (did you mean `10.0.0.1/32`?)\n"},
	{"prefix: 10.0.0.0/33",
		"t:1:9: error: `prefix`: expected a prefix such as 10.0.0.0/8 or 2001:db8::/32, not `10.0.0.0/33`\n"},
	{"ifaddr: 10.0.0.1/x",
		"t:1:9: error: `ifaddr`: expected an address with its prefix length, such as 10.20.0.1/16, not `10.0.0.1/x`\n"},
	{"server: 192.0.2.1:0", "t:1:9: error: `server`: expected an address and a port such as 192.0.2.1:53 or "
				"[2001:db8::1]:53; without a port it is 53, not `192.0.2.1:0`\n"},
	{"server: 192.0.2.1:65536", "t:1:9: error: `server`: expected an address and a port such as 192.0.2.1:53 or "
				    "[2001:db8::1]:53; without a port it is 53, not `192.0.2.1:65536`\n"},
	{"mac: 02-00", "t:1:6: error: `mac`: expected a MAC address such as 02:00:00:00:00:01, not `02-00`\n"},
	{"key: AAAA", "t:1:6: error: `key`: expected a public key: base64 of 32 bytes, 44 characters, not `AAAA`\n"},
	/* Trailing bits that no encoder writes. */
	{"key: D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyB=", "t:1:6: error: `key`: expected a public key: base64 of 32 "
							      "bytes, 44 characters, not "
							      "`D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyB=`\n"},
	/* A secret that was written into the configuration is not repeated. */
	{"secret: D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=",
		"t:1:9: error: `secret`: expected `file:PATH`, where PATH holds the key: keys are never written into the "
		"configuration\n"},
	{"secret: [x]", "t:1:9: error: `secret`: expected `file:PATH`, where PATH holds the key: keys are never written into "
			"the configuration\n"},
	{"addrs: []", "t:1:8: error: `addrs`: 0 elements, expected at least 1\n"},
	{"addrs: [1::1, 1::2, 1::3, 1::4]", "t:1:8: error: `addrs`: 4 elements, expected at most 3\n"},
	{"addrs: [1::1, x]", "t:1:15: error: `addrs`: expected an address such as 192.0.2.1 or 2001:db8::1, not `x`\n"},
	{"addrs: {a: b}", "t:1:8: error: `addrs`: expected an address such as 192.0.2.1 or 2001:db8::1, not a map\n"},
	{"routes: x", "t:1:9: error: `routes`: expected a map of `PREFIX: INSTANCE.GATE` or `PREFIX: INSTANCE.GATE via "
		      "ADDRESS`, not `x`\n"},
	{"routes: {x: a.b}", "t:1:10: error: `routes`: expected a prefix such as 10.0.0.0/8, not `x`\n"},
	{"routes: {10.0.0.1/8: a.b}", "t:1:10: error: `routes`: `10.0.0.1/8` has bits set behind the prefix length (did you "
				      "mean `10.0.0.0/8`?)\n"},
	{"routes: {10.0.0.0/8: a.b over x}", "t:1:22: error: `routes`: expected a map of `PREFIX: INSTANCE.GATE` or `PREFIX: "
					     "INSTANCE.GATE via ADDRESS`, not `a.b over x`\n"},
	{"routes: {10.0.0.0/8: a.b via10.0.0.1}", "t:1:22: error: `routes`: expected a map of `PREFIX: INSTANCE.GATE` or "
						  "`PREFIX: INSTANCE.GATE via ADDRESS`, not `a.b via10.0.0.1`\n"},
	{"routes: {10.0.0.0/8: a.b via x}", "t:1:22: error: `routes`: expected an address behind `via`, not `x`\n"},
	{"routes: {10.0.0.0/8: a.b via 1::1}",
		"t:1:22: error: `routes`: the next hop 1::1 is not of the prefix's address family\n"},
	{"routes: {'::/0': a.b, '0::/0': a.c}", "t:1:23: error: `routes`: the same prefix as on line 1\n"},
	{"names: {-x: 1::1}", "t:1:9: error: `names`: `-x` is not a name: expected labels of letters, digits and `-`, at most "
			     "63 characters each\n"},
	{"names: {x: y}", "t:1:12: error: `names`: expected an address such as 192.0.2.1 or 2001:db8::1, not `y`\n"},
	{"numbr: 1", "t:1:1: error: unknown key `numbr` in class test (did you mean `number`?)\n"},
	{"clas: 1", "t:1:1: error: unknown key `clas` in class test (did you mean `class`?)\n"},
	{"[x]", "t:1:1: error: class test: expected a map of options\n"},
	{"time: 1\nflag: 2\nnumber: 3\nflag: true", "t:1:7: error: `time`: expected a duration such as 500ms, 10s, 2m or "
						    "1h, from 100ms to 1h, not `1`\nt:2:7: error: `flag`: expected `true` "
						    "or `false`, not `2`\nt:4:1: error: duplicate key `flag` (first on "
						    "line 2)\n"},
};

static void
mistakes(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct fixture f = begin();
		struct all v;
		assert_false(parse(&f, table, bad[i].text, false, &v));
		end(&f, bad[i].expected);
	}
}

static void
required(void **state)
{
	static const struct tr_option two[] = {
		O(number, TR_OPT_UINT, .flags = TR_OPT_REQUIRED, .min = 1, .max = 9),
		O(text, TR_OPT_STRING),
		{0},
	};
	struct fixture f = begin();
	struct all v;
	assert_false(parse(&f, two, "foobar: 1", false, &v));
	end(&f, "t:1:1: error: unknown key `foobar` in class test (it has number, text, class)\n"
		"t:1:1: error: class test: missing key `number` (doc of number)\n");
}

static void
write_file(const char *path, const char *text, mode_t mode)
{
	FILE *file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
}

static void
try_secret(const char *dir, const char *content, mode_t mode, bool secrets, const char *expected)
{
	struct fixture f = begin();
	struct all v;
	char text[160], path[128], want[400];
	snprintf(path, sizeof(path), "%s/key", dir);
	unlink(path);
	if (content != NULL)
		write_file(path, content, mode);
	snprintf(text, sizeof(text), "secret: file:%s", path);
	bool error = strstr(expected, "error") != NULL;
	assert_int_equal(parse(&f, table, text, secrets, &v), !error);
	assert_int_equal(v.secret.b[0], secrets && !error ? 0x0f : 0);
	snprintf(want, sizeof(want), expected, path);
	end(&f, want);
}

static void
secrets(void **state)
{
	static const char good[] = "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=\n";
	char dir[] = "/tmp/tailrace-secret-XXXXXX", path[64];
	assert_non_null(mkdtemp(dir));
	try_secret(dir, good, 0600, true, "");
	try_secret(dir, good, 0640, false, "");
	try_secret(dir, NULL, 0, false, "t:1:9: warning: `secret`: key file %s: No such file or directory\n");
	try_secret(dir, NULL, 0, true, "t:1:9: error: `secret`: key file %s: No such file or directory\n");
	try_secret(dir, good, 0644, false,
		"t:1:9: warning: `secret`: key file %s is readable by everyone (mode 0644): chmod o-rwx it\n");
	try_secret(dir, good, 0604, true,
		"t:1:9: error: `secret`: key file %s is readable by everyone (mode 0604): chmod o-rwx it\n");
	const char *junk[] = {"", "AAAA\n", "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=x\n",
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"};
	for (size_t i = 0; i < sizeof(junk) / sizeof(junk[0]); i++)
		try_secret(dir, junk[i], 0600, true,
			"t:1:9: error: `secret`: the first line of %s is not base64 of 32 bytes (44 characters)\n");
	snprintf(path, sizeof(path), "%s/key", dir);
	unlink(path);
	rmdir(dir);
}

static void
texts(void **state)
{
	static const struct {
		const char *key, *text, *back; /* back NULL: an error; then text is the message */
	} t[] = {
		{"flag", "false", "false"}, {"number", "80", "80"}, {"time", "120s", "2m"}, {"time", "1500ms", "1500ms"},
		{"bytes", "65536", "64k"}, {"rate", "200000", "200k"}, {"rate", "0", "0"}, {"text", "hello world", "hello world"},
		{"choice", "any", "any"}, {"addr", "2001:DB8::1", "2001:db8::1"}, {"prefix", "10.0.0.0/8", "10.0.0.0/8"},
		{"ifaddr", "10.0.0.1/8", "10.0.0.1/8"}, {"server", "[::1]:53", "[::1]:53"}, {"mac", "02:00:00:00:00:0a", "02:00:00:00:00:0a"},
		{"key", "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=", "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA="},
		{"secret", "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=", "(secret)"}, {"addrs", "10.0.0.1, ::1", "10.0.0.1, ::1"},
	};
	struct fixture f = begin();
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct tr_option *o = table;
		struct all v = {0}, w = {0};
		char why[200];
		while (strcmp(o->key, t[i].key) != 0)
			o++;
		assert_true(option_parse_text(f.arena, o, t[i].text, (uint8_t *)&v + o->offset, why, sizeof(why)));
		char *back = option_text(o, &v);
		assert_string_equal(back, t[i].back);
		free(back);
		assert_true(option_equal(o, &v, &v));
		bool zero = memcmp(&v, &w, sizeof(v)) == 0;
		assert_int_equal(option_equal(o, &v, &w), zero);
	}
	struct all v;
	char why[200];
	assert_false(option_parse_text(f.arena, &table[1], "0", &v.number, why, sizeof(why)));
	assert_string_equal(why, "`0` is below the minimum of 1");
	assert_false(option_parse_text(f.arena, &table[13], "x", &v.secret, why, sizeof(why)));
	assert_string_equal(why, "expected base64 of 32 bytes (44 characters)");
	end(&f, "");
}

static void
schema(void **state)
{
	char *text = options_schema(table);
	json_error_t error;
	json_t *s = json_loads(text, 0, &error);
	assert_non_null(s);
	const json_t *number = json_object_get(json_object_get(s, "properties"), "number");
	assert_int_equal(json_integer_value(json_object_get(number, "maximum")), 65535);
	assert_false(json_boolean_value(json_object_get(s, "additionalProperties")));
	json_decref(s);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(defaults),
		cmocka_unit_test(mistakes),
		cmocka_unit_test(required),
		cmocka_unit_test(secrets),
		cmocka_unit_test(texts),
		cmocka_unit_test(schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
