/* SPDX-License-Identifier: BSD-3-Clause */
/* Both nodes in the fake host; upstreams are real sockets on 127.0.0.1 that the test itself reads and answers. */
#include "../../udp_test.h"

#include "question.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

extern const struct tr_plugin tr_plugin;

#define MS 1000000ull
#define SECOND (1000 * MS)
#define NETMAP                                                                                                         \
	"{domain: mesh.ex, names: {nas: 10.20.0.5}, peers: {anna: {public_key: "                                       \
	"D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=, allowed_ips: [100.64.0.2/32, 'fd00::2/128', 10.9.0.0/24]}}}"

struct upstream {
	int udp, tcp;
	uint16_t port;
	struct sockaddr_in client; /* of the last query */
	uint8_t query[600];
	size_t query_len;
};

static void
upstream_open(struct upstream *u)
{
	*u = (struct upstream){.udp = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0), .tcp = -1};
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	assert_int_equal(bind(u->udp, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(u->udp, (struct sockaddr *)&at, &len), 0);
	u->port = ntohs(at.sin_port);
	u->tcp = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(u->tcp, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	assert_int_equal(bind(u->tcp, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(u->tcp, 4), 0);
}

static void
upstream_close(struct upstream *u)
{
	close(u->udp);
	close(u->tcp);
}

static bool
upstream_asked(struct upstream *u)
{
	socklen_t len = sizeof(u->client);
	ssize_t n = recvfrom(u->udp, u->query, sizeof(u->query), 0, (struct sockaddr *)&u->client, &len);
	if (n > 0)
		u->query_len = (size_t)n;
	return n > 0;
}

/* The last query, as an answer with `records` of one address each (or none: NXDOMAIN), without its OPT. */
static size_t
make_answer(const struct upstream *u, uint8_t *msg, unsigned flags, unsigned records, uint32_t ttl)
{
	const size_t len = u->query_len - DNS_OPT_SIZE;
	memcpy(msg, u->query, len);
	msg[2] = (uint8_t)(0x81 | flags >> 8);
	msg[3] = (uint8_t)(0x80 | (flags & 0xff));
	msg[7] = (uint8_t)records;
	msg[11] = 0;
	uint8_t *p = msg + len;
	for (unsigned i = 0; i < records; i++, p += 16)
		memcpy(p, (uint8_t[]){0xc0, 12, 0, 1, 0, 1, 0, 0, ttl >> 8 & 0xff, ttl & 0xff, 0, 4, 192, 0, 2, i & 0xff}, 16);
	return (size_t)(p - msg);
}

static void
upstream_send(struct upstream *u, const uint8_t *msg, size_t len)
{
	assert_int_equal(sendto(u->udp, msg, len, 0, (struct sockaddr *)&u->client, sizeof(u->client)), (ssize_t)len);
}

static void
upstream_answer(struct upstream *u, unsigned flags, unsigned records, uint32_t ttl)
{
	uint8_t msg[4096];
	upstream_send(u, msg, make_answer(u, msg, flags, records, ttl));
}

static struct fh *
start(const struct upstream *u, unsigned n, const char *more)
{
	char options[256], list[128] = "";
	for (unsigned i = 0; i < n; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s127.0.0.1:%u", i ? ", " : "", u[i].port);
	snprintf(options, sizeof(options), "{upstreams: [%s]%s}", list, more);
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .options = options, .netmap = NETMAP});
	assert_non_null(h);
	return h;
}

static void
ask_as(struct fh *h, int family, uint16_t id, const char *name, uint16_t type, bool edns)
{
	uint8_t msg[600] = {id >> 8, id & 0xff, 1, 0, 0, 1, 0, 0, 0, 0, 0, edns}, *p = msg + 12;
	while (*name) {
		const size_t len = strcspn(name, ".");
		*p++ = (uint8_t)len;
		memcpy(p, name, len);
		p += len;
		name += len + (name[len] == '.');
	}
	memcpy(p, (uint8_t[]){0, type >> 8, type & 0xff, 0, 1, 0, 0, 41, 16, 0, 0, 0, 0, 0, 0, 0}, 16);
	send_datagram(h, family, 53, msg, (size_t)(p - msg) + 5u + (edns ? 11u : 0));
}

static void
ask(struct fh *h, const char *name, uint16_t type)
{
	ask_as(h, 4, 0x5151, name, type, false);
}

static uint8_t answer[2048];
static size_t answer_len;

static void
expect(struct fh *h, unsigned rcode, unsigned answers, unsigned authority)
{
	const uint8_t *msg = expect_answer(h, 4, 53, &answer_len);
	memcpy(answer, msg, answer_len);
	assert_int_equal(answer[0] << 8 | answer[1], 0x5151);
	assert_int_equal(answer[3] & 15, rcode);
	assert_int_equal(answer[7], answers);
	assert_int_equal(answer[9], authority);
}

static void
own_names(void **state)
{
	(void)state;
	struct fh *h = start(NULL, 0, "");
	ask(h, "NAS.mesh.ex", DNS_A);
	expect(h, DNS_NOERROR, 1, 0);
	assert_int_equal(answer[2] & 4, 4);
	assert_memory_equal(answer + 13, "NAS", 3);
	assert_memory_equal(answer + answer_len - 10, ((uint8_t[]){0, 0, 0, 5, 0, 4, 10, 20, 0, 5}), 10);
	ask(h, "anna.mesh.ex", DNS_AAAA);
	expect(h, DNS_NOERROR, 1, 0);
	ask(h, "nas.mesh.ex", DNS_AAAA);
	expect(h, DNS_NOERROR, 0, 1);
	ask(h, "nas.mesh.ex", 15);
	expect(h, DNS_NOERROR, 0, 1);
	assert_memory_equal(answer + 29, ((uint8_t[]){0xc0, 16, 0, 6}), 4); /* SOA of mesh.ex */
	ask(h, "a.b.mesh.ex", DNS_A);
	expect(h, DNS_NXDOMAIN, 0, 1);
	assert_memory_equal(answer + 29, ((uint8_t[]){0xc0, 16, 0, 6}), 4);
	ask(h, "mesh.ex", DNS_A); /* the zone itself exists */
	expect(h, DNS_NOERROR, 0, 1);
	ask_as(h, 6, 0x5151, "nas.mesh.ex", DNS_A, true);
	expect_answer(h, 6, 53, &answer_len);
	assert_int_equal(fh_counter(h, "answered"), 3);
	assert_int_equal(fh_counter(h, "nodata"), 3);
	assert_int_equal(fh_counter(h, "nxdomain"), 1);
	fh_free(h);
}

static void
own_addresses(void **state)
{
	(void)state;
	struct fh *h = start(NULL, 0, "");
	ask(h, "2.0.64.100.in-addr.arpa", DNS_PTR);
	expect(h, DNS_NOERROR, 1, 0);
	assert_memory_equal(answer + answer_len - 14, "\4anna\4mesh\2ex", 14);
	ask(h, "2.0.64.100.in-addr.arpa", DNS_A);
	expect(h, DNS_NOERROR, 0, 1);
	ask(h, "x.2.0.64.100.in-addr.arpa", DNS_PTR);
	expect(h, DNS_NXDOMAIN, 0, 1);
	ask(h, "1.1.1.1.in-addr.arpa", DNS_PTR);
	expect(h, DNS_REFUSED, 0, 0);
	fh_free(h);
}

static void
what_is_refused(void **state)
{
	(void)state;
	struct fh *h = start(NULL, 0, "");
	ask(h, "www.example", DNS_A);
	expect(h, DNS_REFUSED, 0, 0);
	send_datagram(h, 4, 53, (uint8_t[]){0x51, 0x51, 1, 0, 0, 9, 0, 0, 0, 0, 0, 0}, 12);
	expect(h, DNS_FORMERR, 0, 0);
	send_datagram(h, 4, 53, (uint8_t[]){1, 2, 0x81, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 12);
	fh_expect_drop(h, "not_query");
	send_datagram(h, 4, 53, "", 0);
	fh_expect_drop(h, "short");
	assert_int_equal(fh_counter(h, "refused"), 2);
	fh_free(h);
}

static void
forwarded_and_cached(void **state)
{
	(void)state;
	struct upstream u;
	upstream_open(&u);
	struct fh *h = start(&u, 1, "");
	ask(h, "www.example", DNS_A);
	assert_int_equal(fh_held(h), 1);
	assert_true(upstream_asked(&u));
	upstream_answer(&u, 0, 2, 300);
	fh_advance(h, MS);
	expect(h, DNS_NOERROR, 2, 0);
	assert_memory_equal(answer + 13, "www", 3); /* the client's case, not the upstream's */
	assert_int_equal(fh_held(h), 0);

	fh_advance(h, 100 * SECOND);
	ask(h, "wwW.Example", DNS_A);
	expect(h, DNS_NOERROR, 2, 0);
	assert_memory_equal(answer + 13, "wwW", 3);
	assert_int_equal(answer[29 + 9], 200); /* of the TTL is left */
	assert_int_equal(fh_counter(h, "cached"), 1);
	fh_advance(h, 201 * SECOND);
	ask(h, "www.example", DNS_A);
	assert_true(upstream_asked(&u));
	upstream_answer(&u, DNS_NXDOMAIN, 0, 0);
	fh_advance(h, MS);
	expect(h, DNS_NXDOMAIN, 0, 0);
	ask(h, "x.onion", DNS_A);
	expect(h, DNS_NXDOMAIN, 0, 0);
	assert_false(upstream_asked(&u));
	fh_free(h);
	upstream_close(&u);
}

static void
waiting_together(void **state)
{
	(void)state;
	struct upstream u;
	upstream_open(&u);
	struct fh *h = start(&u, 1, "");
	ask(h, "www.example", DNS_A);
	ask(h, "www.example", DNS_A);
	fh_expect_drop(h, "duplicate");
	ask_as(h, 6, 0x5151, "WWW.example", DNS_A, false);
	assert_int_equal(fh_held(h), 2);
	assert_true(upstream_asked(&u));
	assert_false(upstream_asked(&u));
	upstream_answer(&u, 0, 1, 300);
	fh_advance(h, MS);
	expect_answer(h, 6, 53, &answer_len);
	expect(h, DNS_NOERROR, 1, 0);
	assert_int_equal(fh_counter(h, "coalesced"), 1);

	for (unsigned i = 0; i < 70; i++)
		ask_as(h, 4, (uint16_t)i, "slow.example", DNS_A, false);
	assert_int_equal(fh_held(h), 64);
	assert_int_equal(fh_drops(h, "too_many"), 6);
	fh_free(h); /* and those that wait are given up */
	upstream_close(&u);
}

static void
forged_answers(void **state)
{
	(void)state;
	struct upstream u;
	upstream_open(&u);
	struct fh *h = start(&u, 1, "");
	ask(h, "www.example", DNS_A);
	assert_true(upstream_asked(&u));
	uint8_t msg[600];
	const size_t len = make_answer(&u, msg, 0, 1, 300);
	msg[1] ^= 1;
	upstream_send(&u, msg, len);
	msg[1] ^= 1;
	msg[14] ^= 3;
	upstream_send(&u, msg, len);
	fh_advance(h, MS);
	fh_expect_nothing(h);
	upstream_answer(&u, 0, 1, 300);
	fh_advance(h, MS);
	expect(h, DNS_NOERROR, 1, 0);
	assert_int_equal(fh_counter(h, "upstream_foreign"), 2);
	fh_free(h);
	upstream_close(&u);
}

static void
failover(void **state)
{
	(void)state;
	struct upstream u[2];
	upstream_open(&u[0]);
	upstream_open(&u[1]);
	struct fh *h = start(u, 2, ", timeout: 200ms");
	ask(h, "www.example", DNS_A);
	assert_true(upstream_asked(&u[0]));
	assert_false(upstream_asked(&u[1]));
	fh_advance(h, 210 * MS);
	assert_true(upstream_asked(&u[1]));
	upstream_answer(&u[1], 0, 1, 1);
	fh_advance(h, MS);
	expect(h, DNS_NOERROR, 1, 0);

	ask(h, "two.example", DNS_A); /* the second is asked first now; SERVFAIL sends on to the other */
	assert_false(upstream_asked(&u[0]));
	assert_true(upstream_asked(&u[1]));
	upstream_answer(&u[1], DNS_SERVFAIL, 0, 0);
	fh_advance(h, MS);
	assert_true(upstream_asked(&u[0]));
	upstream_answer(&u[0], 0, 1, 1);
	fh_advance(h, MS);
	expect(h, DNS_NOERROR, 1, 0);

	ask(h, "three.example", DNS_A); /* nobody answers */
	fh_advance(h, 700 * MS);
	expect(h, DNS_SERVFAIL, 0, 0);
	assert_int_equal(fh_counter(h, "upstream_silent"), 4);
	assert_int_equal(fh_counter(h, "upstream_refused"), 1);
	assert_int_equal(fh_counter(h, "servfail"), 1);

	upstream_close(&u[0]); /* nobody there: no need to wait */
	upstream_close(&u[1]);
	ask(h, "four.example", DNS_A);
	fh_advance(h, 5 * MS);
	expect(h, DNS_SERVFAIL, 0, 0);
	fh_free(h);
}

/* Reads the query from an accepted connection and answers it in two pieces. */
static void
tcp_answer(struct fh *h, struct upstream *u, unsigned records)
{
	fh_advance(h, MS);
	int fd = accept(u->tcp, NULL, NULL);
	assert_true(fd >= 0);
	uint8_t msg[2 + 60000];
	assert_true(recv(fd, msg, 2, 0) == 2);
	u->query_len = (size_t)(msg[0] << 8 | msg[1]);
	assert_true(recv(fd, u->query, sizeof(u->query), 0) == (ssize_t)u->query_len);
	const size_t len = make_answer(u, msg + 2, 0, records, 300);
	msg[0] = (uint8_t)(len >> 8);
	msg[1] = (uint8_t)len;
	assert_true(send(fd, msg, 1, 0) == 1);
	fh_advance(h, MS);
	assert_true(send(fd, msg + 1, len + 1, 0) == (ssize_t)len + 1);
	fh_advance(h, 2 * MS);
	fh_advance(h, 2 * MS);
	close(fd);
}

static void
truncated(void **state)
{
	(void)state;
	struct upstream u;
	upstream_open(&u);
	struct fh *h = start(&u, 1, "");
	ask(h, "big.example", DNS_A);
	assert_true(upstream_asked(&u));
	upstream_answer(&u, DNS_TC, 0, 0);
	tcp_answer(h, &u, 50);
	expect(h, DNS_NOERROR, 0, 0); /* 829 bytes are too many for this client */
	assert_int_equal(answer[2] & 2, 2);
	ask_as(h, 4, 0x5151, "big.example", DNS_A, true);
	expect(h, DNS_NOERROR, 50, 0);
	assert_int_equal(answer_len, 29 + 50 * 16 + 11);
	assert_int_equal(fh_counter(h, "upstream_tcp"), 1);

	ask(h, "case.example", DNS_A); /* an upstream that spoils the case of letters */
	assert_true(upstream_asked(&u));
	uint8_t msg[600];
	const size_t len = make_answer(&u, msg, 0, 1, 300);
	msg[14] ^= 0x20;
	upstream_send(&u, msg, len);
	fh_advance(h, MS);
	tcp_answer(h, &u, 1);
	expect(h, DNS_NOERROR, 1, 0);
	fh_free(h);
	upstream_close(&u);
}

static void
assert_status(struct fh *h, const char *text)
{
	char *json = NULL;
	assert_int_equal(fh_command(h, "status", 0, NULL, &json), 0);
	if (strstr(json, text) == NULL)
		assert_string_equal(json, text);
	free(json);
}

/* Three questions in a row that an upstream has no answer to are told, until it has one. */
static void
failing_upstreams_are_told(void **state)
{
	(void)state;
	struct upstream u;
	char name[32], silent[80];
	upstream_open(&u);
	struct fh *h = start(&u, 1, ", cache: 0");
	assert_status(h, "{\"state\":\"1 upstream\"}");
	for (unsigned i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "x%u.example", i);
		ask(h, name, DNS_A);
		for (unsigned k = 0; k < 2; k++) { /* it is asked once more */
			assert_true(upstream_asked(&u));
			upstream_answer(&u, DNS_SERVFAIL, 0, 0);
			fh_advance(h, MS);
		}
	}
	snprintf(silent, sizeof(silent), "names outside the mesh are not resolved: 127.0.0.1:%u answers with errors", u.port);
	assert_status(h, silent);
	ask(h, "silent.example", DNS_A);
	fh_advance(h, 2 * 1500 * MS);
	fh_advance(h, 2 * 1500 * MS);
	snprintf(silent, sizeof(silent), "names outside the mesh are not resolved: 127.0.0.1:%u does not answer", u.port);
	assert_status(h, silent);
	while (upstream_asked(&u)) {
	}
	ask(h, "www.example", DNS_A);
	assert_true(upstream_asked(&u));
	upstream_answer(&u, 0, 1, 300);
	fh_advance(h, MS);
	snprintf(silent, sizeof(silent), "{\"state\":\"1 upstream, the last answer by 127.0.0.1:%u\"}", u.port);
	assert_status(h, silent);
	fh_free(h);
	upstream_close(&u);
}

static void
live_options(void **state)
{
	(void)state;
	struct upstream u[2];
	char options[64];
	upstream_open(&u[0]);
	upstream_open(&u[1]);
	struct fh *h = start(u, 1, "");
	snprintf(options, sizeof(options), "{upstreams: [127.0.0.1:%u], ttl: 60s}", u[1].port);
	assert_int_equal(fh_reconfigure(h, options), 0);
	ask(h, "www.example", DNS_A);
	assert_false(upstream_asked(&u[0]));
	assert_true(upstream_asked(&u[1]));
	ask(h, "nas.mesh.ex", DNS_A);
	expect(h, DNS_NOERROR, 1, 0);
	assert_int_equal(answer[answer_len - 7], 60);
	char *json = fh_show_json(h);
	assert_non_null(strstr(json, "\"outstanding\""));
	free(json);
	fh_free(h);
	upstream_close(&u[0]);
	upstream_close(&u[1]);
}

static int
client_over_tcp(uint16_t port)
{
	const struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* The kernel hands out the lowest number that is free: with that as the limit there is no other. */
static void
no_descriptors(void **state)
{
	(void)state;
	struct upstream u;
	struct rlimit before, limit;
	char more[64];
	upstream_open(&u);
	close(u.tcp); /* its port is free */
	snprintf(more, sizeof(more), ", tcp: [\"127.0.0.1:%u\"]", u.port);
	struct fh *h = start(&u, 1, more);
	fh_advance(h, MS);
	int client = client_over_tcp(u.port), next = dup(client);
	close(next);
	getrlimit(RLIMIT_NOFILE, &before);
	limit = (struct rlimit){.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (unsigned i = 0; i < 50; i++)
		fh_advance(h, MS);
	assert_int_equal(fh_counter(h, "streams_paused"), 1); /* not every time that the listener is ready */
	fh_advance(h, 60 * MS);
	fh_advance(h, MS);
	assert_int_equal(fh_counter(h, "streams_paused"), 2);
	assert_int_equal(fh_counter(h, "streams"), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	fh_advance(h, 110 * MS);
	fh_advance(h, MS);
	assert_int_equal(fh_counter(h, "streams"), 1);
	assert_int_equal(fh_counter(h, "streams_paused"), 2);
	fh_free(h);
	close(client);
	close(u.udp);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_names),
		cmocka_unit_test(own_addresses),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(forwarded_and_cached),
		cmocka_unit_test(waiting_together),
		cmocka_unit_test(forged_answers),
		cmocka_unit_test(failover),
		cmocka_unit_test(truncated),
		cmocka_unit_test(failing_upstreams_are_told),
		cmocka_unit_test(live_options),
		cmocka_unit_test(no_descriptors),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
