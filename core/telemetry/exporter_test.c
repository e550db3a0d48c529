/* SPDX-License-Identifier: BSD-3-Clause */
#include "exporter.h"
#include "openmetrics.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- The text ---- */

static char *
sample(bool openmetrics)
{
	size_t len;
	struct metrics *m = metrics_new(openmetrics);
	struct metrics_family *a = metrics_family(m, METRICS_COUNTER, "a_bytes", "Some bytes.");
	struct metrics_family *b = metrics_family(m, METRICS_GAUGE, "b", "A thing.");
	metrics_family(m, METRICS_GAUGE, "none", "Nobody has one.");
	metrics_count(a, UINT64_MAX, METRICS_LABELS("x", "say \"\\\n", "y", NULL, "z", "2"));
	metrics_real(b, 0.5, NULL);
	metrics_count(a, 0, METRICS_LABELS("x", "", "y", "ü"));
	char *text = metrics_end(m, &len);
	assert_int_equal(strlen(text), len);
	return text;
}

static void
families_stand_together(void **state)
{
	char *text = sample(true);
	assert_string_equal(text, "# HELP a_bytes Some bytes.\n# TYPE a_bytes counter\n"
				  "a_bytes_total{x=\"say \\\"\\\\\\n\",z=\"2\"} 18446744073709551615\n"
				  "a_bytes_total{x=\"\",y=\"ü\"} 0\n"
				  "# HELP b A thing.\n# TYPE b gauge\nb 0.5\n# EOF\n");
	free(text);
	text = sample(false);
	assert_non_null(strstr(text, "# TYPE a_bytes_total counter\na_bytes_total{"));
	assert_null(strstr(text, "EOF"));
	free(text);
}

/* ---- The server ---- */

static struct {
	char dir[32], path[64];
	struct loop *l;
	struct exporter *e;
	struct scrape *held;
	bool hold;
	_Atomic bool holding;
} t;

static void
render(void *arg, struct scrape *s)
{
	if (t.hold) {
		t.held = s;
		t.holding = true;
		return;
	}
	struct metrics *m = metrics_new(scrape_openmetrics(s));
	metrics_count(metrics_family(m, METRICS_GAUGE, "g", "G."), 7, NULL);
	scrape_finish(s, m);
}

static int
setup(void **state)
{
	char why[128];
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/metrics-XXXXXX");
	assert_non_null(mkdtemp(t.dir));
	snprintf(t.path, sizeof(t.path), "%s/m.sock", t.dir);
	t.l = loop_new("control", 64);
	t.e = exporter_new(t.l, t.path, NULL, render, NULL, why, sizeof(why));
	assert_non_null(t.e);
	return loop_start_thread(t.l);
}

static void
end_server(void *a, void *b)
{
	exporter_free(t.e);
	loop_stop(t.l);
}

static int
teardown(void **state)
{
	struct stat st;
	assert_int_equal(loop_post(t.l, end_server, NULL, NULL), 0);
	loop_free(t.l);
	assert_int_not_equal(stat(t.path, &st), 0);
	return rmdir(t.dir);
}

static int
dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	strcpy(a.sun_path, t.path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Asks and reads until the server closes. */
static char *
get(const char *request)
{
	static char buf[4096];
	size_t n = 0;
	ssize_t r;
	int fd = dial();
	assert_int_equal(write(fd, request, strlen(request)), strlen(request));
	while ((r = read(fd, buf + n, sizeof(buf) - 1 - n)) > 0)
		n += (size_t)r;
	buf[n] = 0;
	close(fd);
	return buf;
}

#define END "Host: x\r\nConnection: close\r\n\r\n"

static void
answers_in_the_format_asked_for(void **state)
{
	assert_non_null(strstr(get("GET /metrics HTTP/1.1\r\n" END), "\r\n\r\n# HELP g G.\n# TYPE g gauge\ng 7\n"));
	const char *a = get("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0,*/*;q=0.1\r\n" END);
	assert_non_null(strstr(a, "Content-Type: application/openmetrics-text; version=1.0.0"));
	assert_non_null(strstr(a, "\r\n\r\n# HELP g G.\n# TYPE g gauge\ng 7\n# EOF\n"));
}

static void
refuses_what_is_no_scrape(void **state)
{
	assert_non_null(strstr(get("GET / HTTP/1.1\r\n" END), " 404 "));
	assert_non_null(strstr(get("POST /metrics HTTP/1.1\r\nContent-Length: 3\r\n" END "abc"), " 405 "));
	assert_null(strstr(get("nonsense\r\n\r\n"), " 200 "));
	assert_null(strstr(get("HEAD /metrics HTTP/1.1\r\n" END), "gauge"));
}

static void
another_daemons_socket_is_left_alone(void **state)
{
	char why[128] = "";
	assert_null(exporter_new(t.l, t.path, NULL, render, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "in use"));
	assert_non_null(strstr(get("GET /metrics HTTP/1.1\r\n" END), " 200 "));
}

/* teardown() ends the server while the scrape is with the control thread, and another client says nothing. */
static void
ends_with_scrapes_open(void **state)
{
	static const char request[] = "GET /metrics HTTP/1.1\r\n" END;
	t.hold = true;
	int fd = dial(), silent = dial();
	assert_int_equal(write(fd, request, sizeof(request) - 1), sizeof(request) - 1);
	while (!t.holding)
		usleep(1000);
	close(fd); /* nor does a client that has gone matter */
	close(silent);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(families_stand_together),
		cmocka_unit_test_setup_teardown(answers_in_the_format_asked_for, setup, teardown),
		cmocka_unit_test_setup_teardown(refuses_what_is_no_scrape, setup, teardown),
		cmocka_unit_test_setup_teardown(another_daemons_socket_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_with_scrapes_open, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
