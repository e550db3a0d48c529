/* SPDX-License-Identifier: BSD-3-Clause */
/* The exchange's own thread against a router on 127.0.0.1: what it comes to, and who frees it. The sanitizers watch. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "upnp.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SERVICE "urn:schemas-upnp-org:service:WANIPConnection:1"

static struct {
	int fd;
	uint16_t port;
	pthread_t thread;
	atomic_bool ends;
	atomic_uint added, deleted;
} router;

static const char *
answer_to(const char *request)
{
	if (strncmp(request, "GET ", 4) == 0)
		return "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>"
		       "<deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><serviceList><service>"
		       "<serviceType>" SERVICE "</serviceType><controlURL>/control</controlURL><eventSubURL>/event</eventSubURL>"
		       "<SCPDURL>/scpd</SCPDURL></service></serviceList></device></root>";
	if (strstr(request, "#GetExternalIPAddress") != NULL)
		return "<Envelope><Body><r><NewExternalIPAddress>203.0.113.9</NewExternalIPAddress></r></Body></Envelope>";
	if (strstr(request, "#AddPortMapping") != NULL)
		atomic_fetch_add(&router.added, 1);
	if (strstr(request, "#DeletePortMapping") != NULL)
		atomic_fetch_add(&router.deleted, 1);
	return "<Envelope><Body><r></r></Body></Envelope>";
}

/* A head, and a body if it announces one. */
static void
serve(int fd)
{
	char request[8192] = "", head[128];
	size_t len = 0;
	for (ssize_t n; len < sizeof(request) - 1 && (n = recv(fd, request + len, sizeof(request) - 1 - len, 0)) > 0;) {
		request[len += (size_t)n] = '\0';
		const char *body = strstr(request, "\r\n\r\n"), *announced = strcasestr(request, "Content-Length:");
		if (body != NULL && strlen(body + 4) >= (announced ? strtoul(announced + 15, NULL, 10) : 0))
			break;
	}
	const char *text = answer_to(request);
	const int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n"
		"Content-Length: %zu\r\n\r\n", strlen(text));
	send(fd, head, (size_t)n, MSG_NOSIGNAL);
	send(fd, text, strlen(text), MSG_NOSIGNAL);
	close(fd);
}

static void *
run(void *unused)
{
	for (int fd; (fd = accept(router.fd, NULL, NULL)) >= 0 && !atomic_load(&router.ends);)
		serve(fd);
	return unused;
}

static int
open_router(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(at);
	router.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(router.fd, (struct sockaddr *)&at, len), 0);
	assert_int_equal(listen(router.fd, 8), 0);
	assert_int_equal(getsockname(router.fd, (struct sockaddr *)&at, &len), 0);
	router.port = ntohs(at.sin_port);
	(void)state;
	return pthread_create(&router.thread, NULL, run, NULL);
}

static int
close_router(void **state)
{
	(void)state;
	atomic_store(&router.ends, true);
	shutdown(router.fd, SHUT_RDWR);
	pthread_join(router.thread, NULL);
	return close(router.fd);
}

static struct upnp_exchange
wish(unsigned n)
{
	struct upnp_exchange e = {.router = {.family = 4, .ip = {127, 0, 0, 1}}, .client = {.family = 4, .ip = {192, 168, 1, 7}}, .n = n};
	snprintf(e.location, sizeof(e.location), "http://127.0.0.1:%u/description.xml", router.port);
	for (unsigned i = 0; i < n; i++)
		e.port[i] = (struct upnp_port){.port = (uint16_t)(4000 + i), .wish = UPNP_MAP, .lifetime = 3600};
	return e;
}

static void
pause_a_little(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

static void
what_it_comes_to(void **state)
{
	struct upnp_exchange like = wish(2);
	(void)state;
	like.port[1] = (struct upnp_port){.port = 4001, .external_port = 4001, .wish = UPNP_GIVE_UP};
	struct upnp_exchange *e = upnp_begin(&like);
	assert_non_null(e);
	for (unsigned i = 0; i < 6000 && !atomic_load(&e->done); i++)
		pause_a_little();
	assert_true(atomic_load(&e->done));
	assert_int_equal(e->status, UPNP_OK);
	assert_memory_equal(e->external.ip, ((const uint8_t[]){203, 0, 113, 9}), 4);
	assert_int_equal(e->port[0].result, 0);
	assert_int_equal(e->port[0].external_port, 4000);
	assert_int_equal(atomic_load(&router.added), 1);
	assert_int_equal(atomic_load(&router.deleted), 1);
	upnp_end(e);
}

/* The instance goes while exchanges are under way, as when the daemon stops: each is freed by its thread. */
static void
nobody_waits_for_it(void **state)
{
	const struct upnp_exchange like = wish(1);
	const unsigned before = atomic_load(&router.added);
	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		struct upnp_exchange *e = upnp_begin(&like);
		assert_non_null(e);
		upnp_end(e);
	}
	for (unsigned i = 0; i < 6000 && atomic_load(&router.added) < before + 20; i++)
		pause_a_little();
	assert_int_equal(atomic_load(&router.added), before + 20);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_comes_to),
		cmocka_unit_test(nobody_waits_for_it),
	};
	return cmocka_run_group_tests(tests, open_router, close_router);
}
