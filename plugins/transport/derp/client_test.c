/* SPDX-License-Identifier: BSD-3-Clause */
/* The client without a network: routes that are learned, names that are looked up, and packets for which there is no way. */
#include "client.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <tailrace/fakehost.h>
#include <time.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

extern const struct tr_plugin tr_plugin;

static void
test_routes(void **state)
{
	struct routes t = {0};
	uint8_t a[32] = {1}, b[32] = {2};
	route_learn(&t, a, 4);
	route_learn(&t, b, 4);
	route_learn(&t, b, 5);
	assert_int_equal(route_find(&t, a), 4);
	assert_int_equal(route_find(&t, b), 5);
	route_forget(&t, a, 5); /* it has left another region */
	assert_int_equal(route_find(&t, a), 4);
	route_forget_region(&t, 4);
	assert_int_equal(route_find(&t, a), 0);
	assert_int_equal(route_find(&t, b), 5);
	for (uint32_t i = 0; i < ROUTES_MAX + 10; i++) {
		memcpy(a, &i, sizeof(i));
		a[31] = 7;
		route_learn(&t, a, 9);
	}
	assert_int_equal(route_find(&t, a), 0); /* full */
	assert_int_equal(HASH_COUNT(t.table), ROUTES_MAX);
	route_forget_region(&t, 0);
	assert_null(t.table);
}

static int
look_up(const char *host, struct tr_addr *out)
{
	struct resolve *r = resolve_start(host);
	int n = -1;
	assert_non_null(r);
	for (int i = 0; n < 0 && i < 2000; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
		n = resolve_answer(r, out, 1);
	}
	resolve_end(r);
	return n;
}

static void
test_resolve(void **state)
{
	struct tr_addr a = {0};
	assert_int_equal(look_up("127.0.0.9", &a), 1); /* a literal: no network is asked */
	assert_int_equal(a.family, 4);
	assert_int_equal(a.ip[3], 9);
	assert_int_equal(look_up("..", &a), 0);
	resolve_end(resolve_start("127.0.0.9")); /* nobody waits for it: the last one frees it */
	resolve_end(NULL);
}

static struct fh *
client(const char *netmap)
{
	static const uint8_t key[32] = {1, 2, 3};
	static char options[256];
	snprintf(options, sizeof(options), "{private_key: \"%s\", home: 1}", fh_secret(key));
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "derp", .options = options, .netmap = netmap});
	assert_non_null(h);
	fh_advance(h, 300000000); /* the map is taken over */
	return h;
}

static void
send_to(struct fh *h, uint16_t region)
{
	static const uint8_t peer[32] = {9};
	struct rte_mbuf *m = fh_packet(h, "abcd", 4);
	tr_meta(m)->endpoint = tr_endpoint_derp(region, peer);
	fh_send_mbufs(h, 0, "in", &m, 1);
}

static void
test_no_way(void **state)
{
	struct fh *h = client("derp: {one: {region: 1, host: relay.test, address: 127.0.0.1, port: 1}}");
	send_to(h, 7);
	fh_expect_drop(h, "no_region");
	send_to(h, 1);
	for (int i = 0; i < 20 && fh_drops(h, "no_connection") == 0; i++)
		fh_advance(h, 100000000); /* nobody listens there */
	assert_int_equal(fh_drops(h, "no_connection"), 1);
	assert_true(fh_counter(h, "failed") > 0);
	char *json = fh_show_json(h);
	assert_non_null(strstr(json, "connecting"));
	assert_non_null(strstr(json, "one"));
	free(json);
	fh_free(h);
}

/* A relay that accepts and is silent: packets wait, the oldest gives way, and the fake host says if one is not given back. */
static void
test_waiting(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	char netmap[128];
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(fd, 4), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	snprintf(netmap, sizeof(netmap), "derp: {one: {region: 1, host: relay.test, address: 127.0.0.1, port: %u}}", ntohs(at.sin_port));
	struct fh *h = client(netmap);
	for (unsigned i = 0; i < WAITING_MAX + 3; i++)
		send_to(h, 1);
	assert_int_equal(fh_drops(h, "waited"), 3);
	assert_int_equal(fh_held(h), WAITING_MAX);
	fh_advance(h, 10500000000);
	assert_int_equal(fh_drops(h, "no_connection"), WAITING_MAX);
	fh_free(h);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes), cmocka_unit_test(test_resolve), cmocka_unit_test(test_no_way), cmocka_unit_test(test_waiting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
