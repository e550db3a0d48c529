/* SPDX-License-Identifier: BSD-3-Clause */
#include "management.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
	char dir[32], path[64];
	struct loop *l;
	struct management *m;
	struct request *held;
	_Atomic bool gone, ended;
} t;

/* ---- Commands of the server under test (loop's thread) ---- */

static void
cmd_echo(void *arg, struct request *r, int argc, char *const *argv)
{
	json_t *list = json_array();
	for (int i = 0; i < argc; i++)
		json_array_append_new(list, json_string(argv[i]));
	management_reply(r, list);
}

static void
cmd_fail(void *arg, struct request *r, int argc, char *const *argv)
{
	management_error_details(r, json_pack("[i]", 7), "no %s", argc ? argv[0] : "arguments");
}

/* Keeps the request; "release" of any client answers it. */
static void
cmd_hold(void *arg, struct request *r, int argc, char *const *argv)
{
	t.held = r;
	management_progress(r, json_string("waiting"));
}

static void
cmd_release(void *arg, struct request *r, int argc, char *const *argv)
{
	t.gone = management_gone(t.held);
	management_reply(t.held, json_string("late"));
	management_reply(r, NULL);
}

static void
cmd_big(void *arg, struct request *r, int argc, char *const *argv)
{
	json_t *list = json_array();
	for (unsigned i = 0; i < 200000; i++)
		json_array_append_new(list, json_string("0123456789abcdef0123456789abcdef"));
	management_reply(r, list);
}

static void
cmd_uid(void *arg, struct request *r, int argc, char *const *argv)
{
	management_reply(r, json_integer(management_uid(r)));
}

static void
cmd_rest(void *arg, struct request *r, int argc, char *const *argv)
{
	management_reply(r, json_pack("{s:s, s:i}", "rest", argv[0], "argc", argc));
}

static int
setup(void **state)
{
	char why[256];
	memset(&t, 0, sizeof(t));
	strcpy(t.dir, "/tmp/mgmt-XXXXXX");
	if (!mkdtemp(t.dir))
		return -1;
	snprintf(t.path, sizeof(t.path), "%s/s.sock", t.dir);
	t.l = loop_new("control", 64);
	t.m = management_new(t.l, t.path, NULL, why, sizeof(why));
	if (!t.m)
		return -1;
	static const struct management_command commands[] = {
		{"echo", cmd_echo},
		{"fail", cmd_fail},
		{"hold", cmd_hold},
		{"release", cmd_release},
		{"big", cmd_big},
		{"uid", cmd_uid},
		{NULL, cmd_rest},
	};
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		management_add(t.m, &commands[i]);
	return loop_start_thread(t.l);
}

static void
end_server(void *a, void *b)
{
	management_free(t.m);
	t.ended = true;
}

static int
teardown(void **state)
{
	loop_post(t.l, end_server, NULL, NULL);
	while (!t.ended)
		usleep(1000);
	loop_free(t.l);
	if (access(t.path, F_OK) == 0)
		return -1; /* the socket goes with the server */
	return rmdir(t.dir);
}

/* ---- A client ---- */

static int
dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, t.path);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct timeval patience = {.tv_sec = 20};
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void
tell(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static const char *
hear(int fd)
{
	static char line[4096];
	size_t n = 0;
	while (n < sizeof(line) - 1 && recv(fd, line + n, 1, 0) == 1 && line[n] != '\n')
		n++;
	line[n] = 0;
	return line;
}

static void
answers(void **state)
{
	int fd = dial();
	tell(fd, "{\"command\":\"echo\",\"args\":[\"a\",\"b c\"]}\n");
	assert_string_equal(hear(fd), "{\"ok\":true,\"result\":[\"a\",\"b c\"]}");
	tell(fd, "{\"command\":\"fail\",\"args\":[\"luck\"]}\n");
	assert_string_equal(hear(fd), "{\"ok\":false,\"error\":\"no luck\",\"details\":[7]}");
	tell(fd, "{\"command\":\"wg0\",\"args\":[\"show\"]}\n");
	assert_string_equal(hear(fd), "{\"ok\":true,\"result\":{\"rest\":\"wg0\",\"argc\":2}}");
	tell(fd, "{\"command\":\"uid\"}\n");
	char expect[64];
	snprintf(expect, sizeof(expect), "{\"ok\":true,\"result\":%u}", getuid());
	assert_string_equal(hear(fd), expect);
	close(fd);
}

static void
byte_by_byte_and_many_at_once(void **state)
{
	int fd = dial();
	const char *s = "{\"command\":\"echo\"}\n";
	for (const char *p = s; *p; p++)
		assert_int_equal(send(fd, p, 1, 0), 1);
	assert_string_equal(hear(fd), "{\"ok\":true,\"result\":[]}");
	for (unsigned i = 0; i < 500; i++)
		tell(fd, s);
	for (unsigned i = 0; i < 500; i++)
		assert_string_equal(hear(fd), "{\"ok\":true,\"result\":[]}");
	close(fd);
}

/* What can't be read as a request gets one answer and the end of the connection. */
static void
bad_requests(void **state)
{
	static const char *const bad[] = {
		"\n",
		"hello\n",
		"[]\n",
		"{}\n",
		"{\"command\":1}\n",
		"{\"command\":\"echo\",\"args\":[1]}\n",
		"{\"command\":\"echo\",\"args\":{}}\n",
		"{\"command\":\"echo\",\"extra\":1}\n",
		"{\"command\":\"echo\",\"command\":\"echo\"}\n",
		"{\"command\":\"echo\\u0000\"}\n",
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int fd = dial();
		tell(fd, bad[i]);
		assert_memory_equal(hear(fd), "{\"ok\":false,\"error\":\"", 21);
		assert_string_equal(hear(fd), "");
		close(fd);
	}
}

static void
too_long(void **state)
{
	int fd = dial();
	char *big = malloc(MANAGEMENT_LINE);
	memset(big, ' ', MANAGEMENT_LINE);
	send(fd, big, MANAGEMENT_LINE, MSG_NOSIGNAL);
	assert_string_equal(hear(fd), "{\"ok\":false,\"error\":\"request longer than 64 KiB\"}");
	free(big);
	close(fd);
}

static void
half_closed_client_gets_its_answers(void **state)
{
	int fd = dial();
	tell(fd, "{\"command\":\"echo\"}\n{\"command\":\"big\"}\n{\"command\":\"echo\"}\n");
	shutdown(fd, SHUT_WR);
	assert_string_equal(hear(fd), "{\"ok\":true,\"result\":[]}");
	size_t total = 0;
	char buf[65536];
	ssize_t n;
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		total += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(total, 200000 * 35 - 1 + strlen("{\"ok\":true,\"result\":[]}\n") * 2);
	close(fd);
}

static void
late_answers_and_other_clients(void **state)
{
	int a = dial(), b = dial();
	tell(a, "{\"command\":\"hold\"}\n{\"command\":\"echo\"}\n");
	assert_string_equal(hear(a), "{\"progress\":\"waiting\"}");
	tell(b, "{\"command\":\"echo\"}\n");
	assert_string_equal(hear(b), "{\"ok\":true,\"result\":[]}");
	tell(b, "{\"command\":\"release\"}\n");
	assert_string_equal(hear(b), "{\"ok\":true,\"result\":null}");
	assert_string_equal(hear(a), "{\"ok\":true,\"result\":\"late\"}");
	assert_string_equal(hear(a), "{\"ok\":true,\"result\":[]}"); /* in order, after the late one */
	assert_false(t.gone);
	close(a);
	close(b);
}

static void
client_leaves_before_its_answer(void **state)
{
	int a = dial(), b = dial();
	tell(a, "{\"command\":\"hold\"}\n");
	hear(a);
	close(a);
	for (unsigned i = 0; i < 100; i++) { /* the server sees the end before, at the latest after, this */
		tell(b, "{\"command\":\"echo\"}\n");
		hear(b);
	}
	tell(b, "{\"command\":\"release\"}\n");
	assert_string_equal(hear(b), "{\"ok\":true,\"result\":null}");
	assert_true(t.gone);
	close(b);
}

static void
more_clients_than_allowed_wait(void **state)
{
	int fd[MANAGEMENT_CLIENTS + 20];
	for (unsigned i = 0; i < MANAGEMENT_CLIENTS + 20; i++) {
		fd[i] = dial();
		tell(fd[i], "{\"command\":\"echo\"}\n");
	}
	for (unsigned i = 0; i < MANAGEMENT_CLIENTS + 20; i++) {
		assert_string_equal(hear(fd[i]), "{\"ok\":true,\"result\":[]}");
		close(fd[i]);
	}
}

/* Asks for 7 MB and does not read: cut off, and nobody else notices. */
static void
slow_client_is_cut_off(void **state)
{
	int slow = dial(), other = dial();
	tell(slow, "{\"command\":\"big\"}\n");
	struct timespec t0, t1;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	for (;;) {
		tell(other, "{\"command\":\"echo\"}\n");
		assert_string_equal(hear(other), "{\"ok\":true,\"result\":[]}");
		if (send(slow, "\n", 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno == EPIPE)
			break;
		usleep(50000);
		clock_gettime(CLOCK_MONOTONIC, &t1);
		assert_true(t1.tv_sec - t0.tv_sec < 3 * MANAGEMENT_PATIENCE);
	}
	close(slow);
	close(other);
}

static void
mode_and_second_daemon(void **state)
{
	struct stat st;
	char why[256] = "";
	assert_int_equal(stat(t.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	struct loop *l = loop_new("other", 4);
	assert_null(management_new(l, t.path, NULL, why, sizeof(why)));
	assert_non_null(strstr(why, "another tailraced"));
	assert_null(management_new(l, "/nonexistent/x.sock", NULL, why, sizeof(why)));
	assert_null(management_new(l, "/tmp/x.sock", "no-such-group", why, sizeof(why)));
	assert_string_equal(why, "no such group: no-such-group");
	char path[64];
	snprintf(path, sizeof(path), "%s/stale.sock", t.dir);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	strcpy(a.sun_path, path);
	int stale = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(stale, (struct sockaddr *)&a, sizeof(a)), 0);
	close(stale); /* its file stays, as after kill -9 */
	struct management *m = management_new(l, path, NULL, why, sizeof(why));
	assert_non_null(m);
	management_free(m);
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers, setup, teardown),
		cmocka_unit_test_setup_teardown(byte_by_byte_and_many_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(half_closed_client_gets_its_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(late_answers_and_other_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(client_leaves_before_its_answer, setup, teardown),
		cmocka_unit_test_setup_teardown(more_clients_than_allowed_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(slow_client_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(mode_and_second_daemon, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
