/* SPDX-License-Identifier: BSD-3-Clause */
/* Plans of good pipelines; configs/bad holds the bad ones. */
#include "test.h"

#define WIREGUARD                                                                                                          \
	"instances:\n"                                                                                                     \
	"  wan: {class: interface, address: 198.51.100.7/24}\n"                                                            \
	"  lan: {class: interface, address: 10.20.0.1/16, mtu: 9000}\n"                                                    \
	"  mux: {class: mux}\n"                                                                                            \
	"  stun: {class: listener, listen: 3478}\n"                                                                        \
	"  wg0: {class: transport, listen: 51820}\n"                                                                       \
	"  path: {class: path}\n"                                                                                          \
	"  dns: {class: listener, listen: 53}\n"                                                                           \
	"  router: {class: route, address: 100.64.0.1, routes: {100.64.0.0/10: wg0.plain, 10.20.0.0/16: lan.ip, "          \
	"10.21.0.0/16: lan.ip via 10.20.0.254}}\n"                                                                         \
	"links:\n"                                                                                                         \
	"  - wan.udp -> mux.in\n"                                                                                          \
	"  - wan.ip -> drop\n"                                                                                             \
	"  - mux.stun -> stun.in\n"                                                                                        \
	"  - stun.out -> wan.ip\n"                                                                                         \
	"  - mux.wireguard -> wg0.cipher\n"                                                                                \
	"  - wg0.cipher -> path.in\n"                                                                                      \
	"  - path.udp -> wan.ip\n"                                                                                         \
	"  - wg0.plain -> router.in\n"                                                                                     \
	"  - lan.ip -> router.in\n"                                                                                        \
	"  - lan.udp -> dns.in\n"                                                                                          \
	"  - router.udp -> dns.in\n"                                                                                       \
	"  - dns.out -> router.in\n"                                                                                       \
	"netmap:\n"                                                                                                        \
	"  domain: Mesh.Example\n"                                                                                         \
	"  names: {nas: 10.20.0.5}\n"                                                                                      \
	"  peers:\n"                                                                                                       \
	"    anna: {public_key: D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=, allowed_ips: [100.64.0.2/32], "             \
	"endpoint: 192.0.2.9:51820, persistent_keepalive: 25s}\n"

static const struct plan_instance *
instance(const struct plan *p, const char *name)
{
	for (unsigned i = 0; i < p->n_instances; i++)
		if (strcmp(p->instance[i].name, name) == 0)
			return &p->instance[i];
	fail_msg("no instance %s", name);
	return NULL;
}

static void
assert_leads(const struct plan *p, const char *from, unsigned gate, const char *gate_name, const char *to, unsigned to_gate)
{
	const struct plan_gate *g = &instance(p, from)->out[gate];
	assert_string_equal(g->name, gate_name);
	assert_true(g->to >= 0);
	assert_string_equal(p->instance[g->to].name, to);
	assert_int_equal(g->to_gate, to_gate);
}

static void
gates(void **state)
{
	struct diags d = {0};
	struct plan *p = test_plan(WIREGUARD, &d);
	char *text = printed(&d);
	assert_string_equal(text, "t:6:3: warning: no acl: what the peers of `wg0` may reach is not filtered\n");
	free(text);
	assert_non_null(p);
	assert_int_equal(p->n_instances, 9); /* drop is not written down */
	assert_leads(p, "wan", 0, "ip", "drop", 0);
	assert_leads(p, "wan", 1, "udp", "mux", 0);
	assert_leads(p, "wan", 4, "reply", "wan", 1);
	assert_leads(p, "wan", 5, "frame", "wan", 2);
	assert_leads(p, "mux", 2, "stun", "stun", 0);
	assert_leads(p, "mux", 3, "wireguard", "wg0", 0);
	assert_leads(p, "path", 0, "udp", "wan", 0);
	assert_leads(p, "router", 0, "udp", "dns", 0);
	assert_leads(p, "router", 2, "wg0.plain", "wg0", 1);
	assert_leads(p, "router", 3, "lan.ip", "lan", 0);
	assert_int_equal(instance(p, "router")->n_out, 4);
	assert_int_equal(instance(p, "mux")->out[3].where->line, 15);
	assert_string_equal(p->domain, "mesh.example");
	assert_int_equal(p->names.n, 1);
	assert_int_equal(p->n_peers, 1);
	assert_string_equal(p->peer[0].name, "anna");
	assert_int_equal(p->peer[0].keepalive, 25);
	assert_int_equal(p->peer[0].endpoint.port, 51820);
	assert_string_equal(p->instance[p->peer[0].interface].name, "wg0");
	plan_free(p);
	diags_free(&d);
}

static void
ports(void **state)
{
	static const char text[] = "instances: {wam: {class: interface, address: 10.0.0.1/8}, b: {class: interface, port: lan, "
				   "address: 10.0.0.1/8}}\nlinks: [wam.ip -> drop, wam.udp -> drop, b.ip -> drop, b.udp -> drop]\n";
	struct catalogue_entry entries[TEST_CLASSES];
	struct catalogue c = test_catalogue(entries);
	struct appliance a = {.file = "a.cfg", .port = {{.name = "wan"}, {.name = "lan"}}, .n_ports = 2};
	struct fixture f = begin();
	assert_null(plan_parse("t", text, strlen(text), &c, &a, false, &f.d));
	end(&f, "t:1:13: error: no port `wam` in a.cfg (did you mean `wan`?)\n");
}

/* A port of the kernel's takes class host, and no other does. */
static void
host_ports(void **state)
{
	static const char text[] = "instances: {a: {class: interface, port: host, address: 10.0.0.1/8}, b: {class: host, port: wan}, "
				   "host: {class: host}}\n"
				   "links: [a.ip -> drop, a.udp -> drop, b.ip -> drop, host.ip -> drop]\n";
	struct catalogue_entry entries[TEST_CLASSES];
	struct catalogue c = test_catalogue(entries);
	struct appliance a = {.file = "a.cfg", .n_ports = 2,
		.port = {{.name = "wan", .device = "net_null0", .line = 1}, {.name = "host", .device = "host,iface=tr0", .line = 2}}};
	struct fixture f = begin();
	assert_null(plan_parse("t", text, strlen(text), &c, &a, false, &f.d));
	end(&f, "t:1:41: error: port `host` (line 2 of a.cfg) is the kernel's, and takes class host\n"
		"t:1:92: error: port `wan` (line 1 of a.cfg) is no `device = \"host\"`\n");
}

/* The kernel's device has the addresses of what links to it, once each; or those that are written down. */
static void
adopted(void **state)
{
	static const char text[] = "instances:\n"
				   "  wan: {class: interface, address: [192.0.2.1/24, \"2001:db8::1/64\"]}\n"
				   "  lan: {class: interface, address: 10.0.0.1/8}\n"
				   "  router: {class: route, address: 100.64.0.1, routes: {192.0.2.0/24: wan.ip}}\n"
				   "  mux: {class: mux}\n"
				   "  host: {class: host}\n"
				   "  other: {class: host, address: 192.0.2.9/24}\n"
				   "links: [wan.ip -> router.in, lan.ip -> router.in, wan.udp -> mux.in, lan.udp -> mux.in, wan.host -> host.ip, "
				   "mux.host -> host.ip, router.host -> host.ip, lan.host -> other.ip, host.ip -> router.in, other.ip -> router.in]\n";
	struct diags d = {0};
	struct plan *p = test_plan(text, &d);
	char *said = printed(&d);
	assert_string_equal(said, "");
	free(said);
	assert_non_null(p);
	const struct plan_instance *host = instance(p, "host"), *other = instance(p, "other");
	for (const struct tr_option *o = host->class_->options; o->key != NULL; o++) {
		if (strcmp(o->key, "address") != 0)
			continue;
		char *text_of = option_text(o, host->options), *written = option_text(o, other->options);
		assert_string_equal(text_of, "192.0.2.1/24, 2001:db8::1/64, 100.64.0.1/32");
		assert_string_equal(written, "192.0.2.9/24");
		free(text_of);
		free(written);
	}
	plan_free(p);
	diags_free(&d);
}

static void
refused_plugin(void **state)
{
	static const char text[] = "instances: {a: {class: derp}}\n";
	char path[] = "/p/derp.so", why[] = "wrong ABI";
	struct catalogue_entry entries[TEST_CLASSES];
	struct catalogue c = test_catalogue(entries);
	c.refused = calloc(1, sizeof(*c.refused));
	c.refused[0].path = path;
	c.refused[0].why = why;
	c.n_refused = 1;
	struct fixture f = begin();
	assert_null(plan_parse("t", text, strlen(text), &c, NULL, false, &f.d));
	end(&f, "t:1:24: error: unknown class `derp`: its plugin was refused: wrong ABI\n");
	free(c.refused);
}

/* Sorted checks: a hundred thousand peers take no longer than reading them. */
static void
many_peers(void **state)
{
	struct diags d = {0};
	char *text;
	size_t size;
	FILE *m = open_memstream(&text, &size);
	fputs(WIREGUARD, m);
	for (unsigned i = 0; i < 100000; i++) {
		uint8_t key[32] = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1};
		char base64[45];
		format_base64_32(key, base64);
		fprintf(m, "    p%u: {public_key: %s, allowed_ips: [100.%u.%u.%u/32]}\n", i, base64, 65 + (i >> 16), i >> 8 & 255,
			i & 255);
	}
	fclose(m);
	struct plan *p = test_plan(text, &d);
	assert_non_null(p);
	assert_int_equal(p->n_peers, 100001);
	assert_int_equal(d.n, 1);
	plan_free(p);
	diags_free(&d);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gates),
		cmocka_unit_test(ports), cmocka_unit_test(host_ports), cmocka_unit_test(adopted),
		cmocka_unit_test(refused_plugin),
		cmocka_unit_test(many_peers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
