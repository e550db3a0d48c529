/* SPDX-License-Identifier: BSD-3-Clause */
/* The client against servers and NATs that the test plays, over minutes of simulated time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "binding.h"

#include <rte_ip.h>
#include <rte_udp.h>
#include <tailrace/fakehost.h>

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)

extern const struct tr_plugin tr_plugin;

enum nat { OPEN, EIM, ADM, APDM };

/* The network: what NAT we stand behind, and which servers are there. */
static struct {
	enum nat nat;
	bool silent, other, hairpin;
	uint8_t outside; /* last byte of our outside address */
	uint64_t delay;
	unsigned requests;
	uint8_t txid[BINDING_TXID]; /* of the last request */
	enum { EIF, ADF, APDF } filtering;
	bool deaf, liar; /* the server does not do as told: answers nothing from elsewhere, or all from where it was asked */
	unsigned tests;
} net;

static const uint8_t self4[4] = {192, 168, 1, 7};

static void
deliver(struct fh *h, const uint8_t source[4], uint16_t port, const void *payload, size_t len)
{
	struct rte_mbuf *m = fh_udp4(h, source, port, self4, 51820, payload, len);
	fh_send_mbufs(h, 0, "in", &m, 1);
}

static uint16_t
outside_port(const struct tr_endpoint *to)
{
	if (net.nat == OPEN)
		return 51820;
	return (uint16_t)(2000 + (net.nat >= ADM ? to->remote[3] * 10 : 0) + (net.nat == APDM ? to->remote_port : 0));
}

static size_t
put_attribute(uint8_t *p, uint16_t type, const uint8_t ip[4], uint16_t port)
{
	memcpy(p, (uint8_t[]){(uint8_t)(type >> 8), (uint8_t)type, 0, 8, 0, 1, (uint8_t)(port >> 8), (uint8_t)port}, 8);
	memcpy(p + 8, ip, 4);
	return 12;
}

static void
answer(struct fh *h, const struct tr_endpoint *to, const uint8_t *request)
{
	const uint8_t outside[4] = {203, 0, 113, net.outside}, other[4] = {198, 51, 100, to->remote[3] == 1 ? 101 : 1};
	uint8_t msg[64];
	memcpy(msg, request, 20);
	msg[0] = 1;
	size_t n = 20 + put_attribute(msg + 20, 1, net.nat == OPEN ? self4 : outside, outside_port(to));
	if (net.other)
		n += put_attribute(msg + n, 0x802c, other, to->remote_port == 3478 ? 3479 : 3478);
	msg[3] = (uint8_t)(n - 20);
	deliver(h, to->remote, to->remote_port, msg, n);
}

/* The server 198.51.100.1, with .101 and port 3479, asked from a port that has sent to nothing else. */
static void
filter_request(struct fh *h, const struct fh_out *o)
{
	const struct tr_endpoint *e = &o->meta.endpoint;
	uint8_t msg[32], source[4] = {198, 51, 100, 1};
	const uint8_t change = o->len == BINDING_CHANGE_SIZE ? o->data[39] : 0;
	uint16_t port = 3478;
	assert_memory_equal(e->remote, source, 4);
	assert_int_equal(e->remote_port, 3478);
	assert_true((e->flags & TR_ENDPOINT_BOUND) != 0);
	assert_true(o->len == BINDING_SIZE || memcmp(o->data + 32, "\0\3\0\4", 4) == 0);
	net.tests++;
	if (net.silent || (change == 6 && net.filtering > EIF) || (change == 2 && net.filtering > ADF) || (change != 0 && net.deaf))
		return;
	if (!net.liar && (change & BINDING_CHANGE_ADDRESS) != 0)
		source[3] = 101;
	if (!net.liar && (change & BINDING_CHANGE_PORT) != 0)
		port = 3479;
	memcpy(msg, o->data, 20);
	msg[0] = 1;
	msg[3] = (uint8_t)put_attribute(msg + 20, 1, (const uint8_t[]){203, 0, 113, 10}, 4000);
	struct rte_mbuf *m = fh_udp4(h, source, port, self4, e->local_port, msg, 32);
	tr_meta(m)->endpoint.flags = TR_ENDPOINT_BOUND;
	fh_send_mbufs(h, 0, "in", &m, 1);
}

/* On their way to a server and back. */
static struct {
	uint64_t due; /* 0: free */
	struct tr_endpoint to;
	uint8_t request[BINDING_SIZE];
} flight[16];

static void
send_off(struct fh *h, const struct fh_out *o)
{
	unsigned i = 0;
	while (flight[i].due != 0)
		i++;
	flight[i].due = fh_now(h) + net.delay + 1;
	flight[i].to = o->meta.endpoint;
	memcpy(flight[i].request, o->data, BINDING_SIZE);
	memcpy(net.txid, o->data + 8, sizeof(net.txid));
	net.requests++;
}

static void
arrive(struct fh *h, const struct tr_endpoint *to, const uint8_t *request)
{
	if (to->remote[0] != 203)
		answer(h, to, request);
	else if (net.hairpin) /* our own outside address */
		deliver(h, to->remote, to->remote_port, request, BINDING_SIZE);
}

static void
run(struct fh *h, uint64_t ns)
{
	for (uint64_t t = 0; t < ns; t += MS) {
		const struct fh_out *o;
		fh_advance(h, MS);
		while ((o = fh_next(h)) != NULL) {
			if (o->drop != NULL) {
				if (net.tests == 0) /* what comes after the tests are done is nothing that is asked for */
					assert_string_equal(o->drop, "consumed");
				continue;
			}
			assert_string_equal(o->gate, "out");
			if (o->meta.endpoint.local_port >= 20000 && o->meta.endpoint.local_port < 20256) {
				filter_request(h, o);
				continue;
			}
			assert_int_equal(o->len, BINDING_SIZE);
			assert_int_equal(o->meta.endpoint.local_port, 51820);
			send_off(h, o);
		}
		for (size_t i = 0; i < sizeof(flight) / sizeof(flight[0]); i++)
			if (flight[i].due != 0 && fh_now(h) >= flight[i].due) {
				flight[i].due = 0;
				if (!net.silent)
					arrive(h, &flight[i].to, flight[i].request);
			}
	}
}

static struct fh *
start(void)
{
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stun-client",
		.options = "{listen: 51820, servers: [198.51.100.1, 198.51.100.2]}"});
	assert_non_null(h);
	return h;
}

static void
expect_shown(struct fh *h, const char *text)
{
	char *json = fh_show_json(h);
	if (strstr(json, text) == NULL)
		print_error("%s is not in %s\n", text, json);
	assert_non_null(strstr(json, text));
	free(json);
}

static void
mappings(void **state)
{
	static const struct {
		enum nat nat;
		bool other;
		const char *shown;
	} v[] = {
		{OPEN, true, "\"mapping\":\"none\""},
		{OPEN, false, "\"mapping\":\"none\""},
		{EIM, true, "\"mapping\":\"endpoint-independent\""},
		{EIM, false, "\"mapping\":\"endpoint-independent\""},
		{ADM, true, "\"mapping\":\"address-dependent\""},
		{APDM, true, "\"mapping\":\"address-and-port-dependent\""},
		{ADM, false, "\"mapping\":\"address-dependent or stricter\""},
		{APDM, false, "\"mapping\":\"address-dependent or stricter\""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		memset(&net, 0, sizeof(net));
		net.nat = v[i].nat;
		net.other = v[i].other;
		net.outside = 10;
		net.delay = 7 * MS;
		struct fh *h = start();
		run(h, SECOND);
		expect_shown(h, v[i].shown);
		expect_shown(h, "\"latency_ms\":8.0");
		fh_free(h);
	}
}

static void
turned_round(void **state)
{
	(void)state;
	for (int hairpin = 0; hairpin < 2; hairpin++) {
		memset(&net, 0, sizeof(net));
		net.nat = EIM;
		net.hairpin = hairpin != 0;
		struct fh *h = start();
		run(h, 3 * SECOND);
		expect_shown(h, hairpin ? "\"hairpin\":\"yes\"" : "\"hairpin\":\"no\"");
		fh_free(h);
	}
}

static void
filtering(void **state)
{
	static const struct {
		int filtering;
		bool deaf, liar;
		const char *shown;
		unsigned tests;
	} v[] = {
		{EIF, false, false, "\"filtering\":\"endpoint-independent\"", 3},
		{ADF, false, false, "\"filtering\":\"address-dependent\"", 3 + 1 + 1},
		{APDF, false, false, "\"filtering\":\"address-and-port-dependent\"", 3 + 2 + 2},
		{EIF, true, false, "\"filtering\":\"address-and-port-dependent\"", 3 + 2 + 2}, /* looks like it */
		{EIF, false, true, "\"filtering\":\"address-and-port-dependent\"", 3 + 2 + 2}, /* from where it was asked: no proof */
	};
	(void)state;
	for (unsigned i = 0; i < sizeof(v) / sizeof(*v); i++) {
		memset(&net, 0, sizeof(net));
		net.nat = EIM;
		net.other = true;
		net.filtering = v[i].filtering;
		net.deaf = v[i].deaf;
		net.liar = v[i].liar;
		struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stun-client",
			.options = "{listen: 51820, servers: [198.51.100.1, 198.51.100.2], probe_ports: 20000}"});
		assert_non_null(h);
		run(h, 4 * SECOND);
		expect_shown(h, v[i].shown);
		assert_int_equal(net.tests, v[i].tests);
		fh_free(h);
	}
	memset(&net, 0, sizeof(net)); /* a server that has no other address is not asked */
	net.nat = EIM;
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stun-client",
		.options = "{listen: 51820, servers: [198.51.100.1, 198.51.100.2], probe_ports: 20000}"});
	run(h, 4 * SECOND);
	expect_shown(h, "\"filtering\":\"unknown\"");
	assert_int_equal(net.tests, 0);
	fh_free(h);
	assert_null(fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stun-client",
		.options = "{listen: 20001, servers: [198.51.100.1], probe_ports: 20000}"}));
}

/* Twice within a minute and a half at least, thrice at most; unanswered: three tries, and soon again. */
static void
rounds(void **state)
{
	(void)state;
	memset(&net, 0, sizeof(net));
	net.nat = EIM;
	struct fh *h = start();
	run(h, 2 * SECOND);
	assert_int_equal(net.requests, 3); /* and hairpin */
	run(h, 66 * SECOND);
	assert_in_range(net.requests, 3 + 2 * 2, 3 + 2 * 3);
	net.silent = true;
	run(h, 30 * SECOND);
	expect_shown(h, "\"mapping\":\"unknown\"");
	net.requests = 0;
	run(h, 8 * SECOND);
	assert_int_equal(net.requests, 6);
	net.silent = false;
	run(h, 9 * SECOND);
	expect_shown(h, "\"mapping\":\"endpoint-independent\"");
	fh_free(h);
}

static void
moves(void **state)
{
	(void)state;
	memset(&net, 0, sizeof(net));
	net.nat = EIM;
	net.outside = 10;
	struct fh *h = start();
	run(h, 2 * SECOND);
	expect_shown(h, "\"address\":\"203.0.113.10\"");
	net.outside = 77;
	assert_int_equal(fh_command(h, "probe", 0, NULL, NULL), 0);
	run(h, 2 * SECOND);
	expect_shown(h, "\"address\":\"203.0.113.77\"");
	assert_int_equal(fh_counter(h, "moved"), 2);
	fh_free(h);
}

/* What nobody asked for changes nothing but a counter. */
static void
strangers(void **state)
{
	static const uint8_t server[4] = {198, 51, 100, 1}, stranger[4] = {198, 51, 100, 9};
	uint8_t msg[32] = {1, 1, 0, 12, 0x21, 0x12, 0xa4, 0x42};
	(void)state;
	memset(&net, 0, sizeof(net));
	net.nat = EIM;
	net.outside = 10;
	struct fh *h = start();
	run(h, 2 * SECOND);
	char *before = fh_show_json(h);
	put_attribute(msg + 20, 1, server, 1);
	deliver(h, stranger, 3478, msg, sizeof(msg));
	fh_expect_drop(h, "foreign");
	deliver(h, server, 3479, msg, sizeof(msg));
	fh_expect_drop(h, "foreign");
	deliver(h, server, 3478, msg, sizeof(msg));
	fh_expect_drop(h, "unexpected");
	memcpy(msg + 8, net.txid, BINDING_TXID); /* the hairpin's: not this server's */
	deliver(h, server, 3478, msg, sizeof(msg));
	fh_expect_drop(h, "unexpected");
	deliver(h, server, 3478, msg, 31);
	fh_expect_drop(h, "malformed");
	char *after = fh_show_json(h);
	assert_string_equal(before, after);
	free(before);
	free(after);
	fh_free(h);
}

static void
options(void **state)
{
	(void)state;
	assert_null(fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stun-client",
		.options = "{listen: 51820, servers: [198.51.100.1, 198.51.100.1:3478]}"}));
	assert_non_null(strstr(fh_failure(), "number 2 of `servers` stands there twice"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mappings),
		cmocka_unit_test(turned_round),
		cmocka_unit_test(filtering),
		cmocka_unit_test(rounds),
		cmocka_unit_test(moves),
		cmocka_unit_test(strangers),
		cmocka_unit_test(options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
