/* SPDX-License-Identifier: BSD-3-Clause */
/* What is said of a change, line by line. */
#include "test.h"

#include <jansson.h>

#define PIPE(options, links, peers)                                                                                       \
	"instances:\n  wan: {class: interface, address: 192.0.2.2/24}\n  lan: {class: interface, address: 10.0.0.1/8}\n"   \
	"  mux: {class: mux}\n  path: {class: path}\n  wg0: {class: transport, listen: 51820}\n" options                  \
	"links:\n  - wan.udp -> mux.in\n  - lan.udp -> drop\n  - mux.wg0 -> wg0.cipher\n  - wg0.cipher -> path.in\n"       \
	"  - path.udp -> wan.ip\n" links "netmap:\n  domain: mesh.example\n  peers:\n" peers

#define ROUTER(routes) "  r: {class: route, address: 10.9.9.9, routes: {" routes "}}\n"
#define LINKS "  - wan.ip -> drop\n  - lan.ip -> r.in\n  - wg0.plain -> r.in\n"
#define KEY1 "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA="
#define KEY2 "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define PEERS "    anna: {public_key: " KEY1 ", allowed_ips: [100.64.0.2/32]}\n"
#define ROUTES "100.64.0.0/10: wg0.plain, 10.0.0.0/8: lan.ip"
#define BASE PIPE(ROUTER(ROUTES), LINKS, PEERS)
#define SAMPLE(o) PIPE(ROUTER(ROUTES) "  s: {class: sample" o "}\n", LINKS, PEERS)

static const struct {
	const char *from, *to, *expected;
	bool restart;
} cases[] = {
	{BASE, BASE, "", false},
	{BASE, PIPE(ROUTER(ROUTES ", 11.0.0.0/8: lan.ip via 10.0.0.9"), LINKS, PEERS),
		"reconfigure r: routes +11.0.0.0/8 to lan.ip via 10.0.0.9 (live)\n", false},
	{BASE, PIPE(ROUTER("100.64.0.0/10: wg0.plain, 10.0.0.0/9: lan.ip"), LINKS, PEERS),
		"reconfigure r: routes -10.0.0.0/8 to lan.ip, +10.0.0.0/9 to lan.ip (live)\n", false},
	{BASE, PIPE(ROUTER(ROUTES ", 0.0.0.0/0: wan.ip"), LINKS, PEERS),
		"recreate r: its gates change; routes +0.0.0.0/0 to wan.ip (live)\n", false},
	{BASE, PIPE(ROUTER(ROUTES), "  - wan.ip -> r.in\n  - lan.ip -> r.in\n  - wg0.plain -> r.in\n", PEERS),
		"unlink wan.ip -> drop\nlink wan.ip -> r.in\n", false},
	{BASE, PIPE(ROUTER(ROUTES), LINKS, "    bert: {public_key: " KEY1 ", allowed_ips: [100.64.0.3/32], "
					   "persistent_keepalive: 25s}\n"),
		"change peer bert: name anna -> bert, persistent_keepalive 0s -> 25s, -100.64.0.2/32, +100.64.0.3/32\n", false},
	{BASE, PIPE(ROUTER(ROUTES), LINKS, PEERS "  derp: {one: {region: 1, host: derp1.example}, two: {region: 1, host: derp2.example}}\n"),
		"change derp: 0 -> 2 nodes\n", false},
	{BASE, PIPE(ROUTER(ROUTES), LINKS, "    anna: {public_key: " KEY1 ", allowed_ips: [100.64.0.2/32], derp: 900}\n"),
		"change peer anna: derp 0 -> 900\n", false},
	{BASE, PIPE(ROUTER(ROUTES), LINKS, "    anna: {public_key: " KEY1 ", allowed_ips: [100.64.0.2/32], relay: true, relay_client: true}\n"),
		"change peer anna: relay on, relay_client on\n", false},
	{BASE, PIPE(ROUTER(ROUTES), LINKS, PEERS "    bert: {public_key: " KEY2 ", allowed_ips: [100.64.0.3/32]}\n"),
		"add peer bert\n", false},
	{BASE, PIPE(ROUTER(ROUTES), LINKS, "    bert: {public_key: " KEY2 ", allowed_ips: [100.64.0.3/32]}\n"),
		"add peer bert\nremove peer anna\n", false},
	{BASE, SAMPLE(""), "create s: class sample\n", false},
	{SAMPLE(""), BASE, "remove s: class sample\n", false},
	{SAMPLE(", number: 50"), SAMPLE(", number: 60"), "reconfigure s: number 50 -> 60 (live)\n", false},
	{SAMPLE(", number: 50, time: 1s"), SAMPLE(", number: 60, time: 2s"),
		"recreate s: number 50 -> 60 (live), time 1s -> 2s (recreate)\n", false},
	{SAMPLE(", bytes: 1k"), SAMPLE(", bytes: 2k"), "restart needed for s: bytes 1k -> 2k (restart)\n", true},
	{SAMPLE(", secret: file:/nonexistent/a"), SAMPLE(", secret: file:/nonexistent/b"),
		"reconfigure s: secret changed (live)\n", false},
	{SAMPLE(", secret: file:/nonexistent/a"), SAMPLE(", secret: file:/nonexistent/a"), "", false},
	{SAMPLE(""), SAMPLE(", addrs: [10.0.0.1, 10.0.0.2]"), "reconfigure s: addrs none -> 10.0.0.1, 10.0.0.2 (live)\n", false},
};

static char *
told(const struct plan *from, const struct plan *to, bool *restart)
{
	struct plan_diff d;
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	plan_diff(from, to, &d);
	for (unsigned i = 0; i < d.n; i++)
		if (d.v[i].verb != PLAN_KEEP)
			fprintf(f, "%s\n", d.v[i].text);
	*restart = d.restart;
	plan_diff_free(&d);
	fclose(f);
	return text;
}

static void
changes(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct diags d = {0};
		struct plan *from = test_plan(cases[i].from, &d), *to = test_plan(cases[i].to, &d);
		if (from == NULL || to == NULL)
			diags_print(&d, stderr);
		assert_non_null(from);
		assert_non_null(to);
		bool restart;
		char *text = told(from, to, &restart);
		assert_string_equal(text, cases[i].expected);
		assert_int_equal(restart, cases[i].restart);
		free(text);
		plan_free(from);
		plan_free(to);
		diags_free(&d);
	}
}

static void
start(void **state)
{
	struct diags d = {0};
	struct plan *p = test_plan(BASE, &d);
	bool restart;
	char *text = told(NULL, p, &restart);
	assert_non_null(strstr(text, "create wan: class interface\n"));
	assert_non_null(strstr(text, "link path.udp -> wan.ip\n"));
	assert_non_null(strstr(text, "add peer anna\n"));
	assert_non_null(strstr(text, "change domain: none -> mesh.example\n"));
	free(text);
	plan_free(p);
	diags_free(&d);
}

static void
picture(void **state)
{
	struct diags d = {0};
	struct plan *p = test_plan(BASE, &d);
	char *dot = plan_dot(p);
	assert_non_null(strstr(dot, "\"wan\":o1:e -> \"mux\":i0:w"));
	assert_non_null(strstr(dot, "\"wan.ip!\" [label=\"drop\""));
	free(dot);
	plan_free(p);
	diags_free(&d);
}

static void
schema(void **state)
{
	struct catalogue_entry entries[TEST_CLASSES];
	struct catalogue c = test_catalogue(entries);
	char *text = plan_schema(&c);
	json_t *s = json_loads(text, 0, NULL);
	assert_non_null(s);
	const json_t *properties = json_object_get(s, "properties");
	const json_t *instance = json_object_get(json_object_get(properties, "instances"), "additionalProperties");
	assert_int_equal(json_array_size(json_object_get(instance, "allOf")), c.n);
	assert_non_null(json_object_get(properties, "netmap"));
	json_decref(s);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes),
		cmocka_unit_test(start),
		cmocka_unit_test(picture),
		cmocka_unit_test(schema),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
