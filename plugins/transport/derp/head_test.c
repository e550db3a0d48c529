/* SPDX-License-Identifier: BSD-3-Clause */
#include "head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#define UPGRADE "GET /derp HTTP/1.1\r\nHost: r\r\nConnection: Upgrade\r\nUpgrade: DERP\r\n"

static struct head
good(const char *text)
{
	struct head h;
	if (head_read(&h, text, strlen(text)) != HEAD_GOOD)
		fail_msg("refused: %s", text);
	return h;
}

static void
test_upgrade(void **state)
{
	struct head h = good(UPGRADE "\r\nREST");
	assert_int_equal(h.path, HEAD_DERP);
	assert_int_equal(h.upgrade, HEAD_UPGRADE_DERP);
	assert_int_equal(h.size, strlen(UPGRADE) + 2);
	assert_false(h.fast_start || h.not_ideal);
	assert_true(good(UPGRADE "Derp-Fast-Start: 1\r\n\r\n").fast_start);
	assert_false(good(UPGRADE "Derp-Fast-Start: 2\r\n\r\n").fast_start);
	assert_true(good(UPGRADE "Ideal-Node: 1b\r\n\r\n").not_ideal);
	assert_false(good(UPGRADE "Ideal-Node: \r\n\r\n").not_ideal);
	/* Neither the method nor Connection counts; case doesn't either. */
	h = good("POST /derp?x=1 HTTP/1.1\r\nhost: r\r\nupgrade: dErP\r\n\r\n");
	assert_int_equal(h.upgrade, HEAD_UPGRADE_DERP);
	assert_int_equal(h.path, HEAD_DERP);
	assert_int_equal(good("GET /derp/ HTTP/1.1\r\nHost: r\r\n\r\n").path, HEAD_OTHER);
}

static void
test_incomplete(void **state)
{
	static const char text[] = UPGRADE "\r\n";
	struct head h;
	for (size_t n = 0; n < sizeof(text) - 1; n++)
		assert_int_equal(head_read(&h, text, n), HEAD_MORE);
	assert_int_equal(head_read(&h, text, sizeof(text) - 1), HEAD_GOOD);
}

static void
test_refused(void **state)
{
	static const char *const bad[] = {"\r\n\r\n", "GET /\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/2.0\r\nHost: r\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: r\r\nHost: r\r\n\r\n", "POST / HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello",
		"POST / HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET / HTTP/1.1\r\nHost: r\r\nA\x01: b\r\n\r\n"};
	static char text[HEAD_MAX + 1];
	struct head h;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (head_read(&h, bad[i], strlen(bad[i])) != HEAD_BAD)
			fail_msg("taken: %s", bad[i]);
	memset(text, 'a', sizeof(text));
	memcpy(text, "GET / HTTP/1.1\r\nA: ", 19);
	assert_int_equal(head_read(&h, text, HEAD_MAX - 1), HEAD_MORE);
	assert_int_equal(head_read(&h, text, HEAD_MAX), HEAD_BAD);
}

static const char *
answer(const char *request)
{
	static char out[HEAD_ANSWER + 1];
	struct head h = good(request);
	out[head_answer(out, &h)] = '\0';
	return out;
}

static void
test_answers(void **state)
{
	const char *a = answer("GET /derp/probe HTTP/1.1\r\nHost: r\r\n\r\n");
	assert_non_null(strstr(a, "HTTP/1.1 200 OK\r\n"));
	assert_non_null(strstr(a, "Access-Control-Allow-Origin: *\r\n"));
	assert_non_null(strstr(answer("HEAD /derp/latency-check HTTP/1.1\r\nHost: r\r\n\r\n"), " 200 "));
	assert_non_null(strstr(answer("POST /derp/probe HTTP/1.1\r\nHost: r\r\n\r\n"), " 405 "));
	assert_non_null(strstr(answer("GET /derp HTTP/1.1\r\nHost: r\r\n\r\n"), " 426 "));
	assert_non_null(strstr(answer("GET /robots.txt HTTP/1.1\r\nHost: r\r\n\r\n"), "Disallow: /"));
	assert_non_null(strstr(answer("GET /nothing HTTP/1.0\r\n\r\n"), "Connection: close\r\n"));
	a = answer("GET /generate_204 HTTP/1.1\r\nHost: r\r\nX-Tailscale-Challenge: a.B_1:-\r\n\r\n");
	assert_non_null(strstr(a, " 204 "));
	assert_non_null(strstr(a, "X-Tailscale-Response: response a.B_1:-\r\n"));
	assert_null(strstr(answer("GET /generate_204 HTTP/1.1\r\nHost: r\r\nX-Tailscale-Challenge: a b\r\n\r\n"), "response"));
	assert_null(strstr(answer("GET /generate_204 HTTP/1.1\r\nHost: r\r\nX-Tailscale-Challenge: "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n"), "response"));
}

static void
test_switching(void **state)
{
	char out[HEAD_ANSWER + 1];
	uint8_t key[32] = {0xab};
	bool refused;
	struct head h = good(UPGRADE "\r\n");
	out[head_upgrade(out, &h, key, &refused)] = '\0';
	assert_false(refused);
	assert_non_null(strstr(out, "HTTP/1.1 101 "));
	assert_non_null(strstr(out, "Derp-Version: 2\r\n"));
	assert_non_null(strstr(out, "Derp-Public-Key: ab000000"));
	/* The example of RFC 6455 §1.3. */
	h = good("GET /derp HTTP/1.1\r\nHost: r\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: chat, derp\r\n"
		 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	assert_true(h.protocol_derp);
	out[head_upgrade(out, &h, key, &refused)] = '\0';
	assert_false(refused);
	assert_non_null(strstr(out, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
	h = good("GET /derp HTTP/1.1\r\nHost: r\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: derp\r\n\r\n");
	head_upgrade(out, &h, key, &refused);
	assert_true(refused);
}

static void
test_redirect(void **state)
{
	char out[HEAD_ANSWER + 1];
	struct head h = good("GET /a?b HTTP/1.1\r\nHost: relay.test:80\r\n\r\n");
	out[head_redirect(out, &h)] = '\0';
	assert_non_null(strstr(out, "Location: https://relay.test/a?b\r\n"));
}

static void
test_client(void **state)
{
	char text[HEAD_ANSWER];
	unsigned code;
	size_t size, n = head_request(text, "relay.test", true, NULL);
	struct head h;
	assert_int_equal(head_read(&h, text, n), HEAD_GOOD);
	assert_true(h.fast_start);
	assert_int_equal(head_response("HTTP/1.1 101 X\r\nA: b\r\n\r\nzz", 26, &code, &size), HEAD_GOOD);
	assert_int_equal(code, 101);
	assert_int_equal(size, 24);
	assert_int_equal(head_response("HTTP/1.1 101 X\r\n", 16, &code, &size), HEAD_MORE);
	assert_int_equal(head_response("SSH-2.0\r\n\r\n", 11, &code, &size), HEAD_BAD);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_upgrade),
		cmocka_unit_test(test_incomplete),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_switching),
		cmocka_unit_test(test_redirect),
		cmocka_unit_test(test_client),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
