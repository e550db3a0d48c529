/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static int pipe_fd[2];

static int
setup(void **state)
{
	unsetenv("JOURNAL_STREAM");
	if (pipe(pipe_fd) != 0)
		return -1;
	fcntl(pipe_fd[0], F_SETFL, O_NONBLOCK);
	return 0;
}

static int
teardown(void **state)
{
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return 0;
}

static char got[1 << 17];

static unsigned
read_lines(void)
{
	ssize_t n, len = 0;
	while ((n = read(pipe_fd[0], got + len, sizeof(got) - 1 - (size_t)len)) > 0)
		len += n;
	got[len] = 0;
	unsigned lines = 0;
	for (const char *p = got; *p; p++)
		lines += *p == '\n';
	return lines;
}

static void
plain_lines(void **state)
{
	log_open(pipe_fd[1], TR_LOG_INFO);
	log_warning("wg0", "peer %s: %d", "anna", 7);
	log_debug("wg0", "not wanted");
	assert_int_equal(read_lines(), 1);
	assert_non_null(strstr(got, "Z warning wg0: peer anna: 7\n"));
	assert_int_equal(got[10], 'T');
}

static void
journal_lines(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char dir[] = "/tmp/journal-XXXXXX", text[2048];
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	assert_non_null(mkdtemp(dir));
	snprintf(a.sun_path, sizeof(a.sun_path), "%s/socket", dir);
	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	log_open(pipe_fd[1], TR_LOG_DEBUG);
	assert_true(log_journal(a.sun_path));
	log_warning("wg0", "peer %s", "anna\nPRIORITY=0");
	ssize_t n = recv(s, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	text[n] = 0;
	assert_string_equal(text, "SYSLOG_IDENTIFIER=tailraced\nPRIORITY=4\nTAILRACE_SUBJECT=wg0\n"
				  "MESSAGE=wg0: peer anna?PRIORITY=0\n");
	assert_int_equal(read_lines(), 0);
	close(s);
	unlink(a.sun_path);
	assert_false(log_journal(a.sun_path)); /* nobody is there: the descriptor has it */
	log_error("wg0", "e");
	assert_int_equal(read_lines(), 1);
	rmdir(dir);
}

/* A JOURNAL_STREAM that is another descriptor's. */
static void
another_stream_is_no_journal(void **state)
{
	setenv("JOURNAL_STREAM", "8:1", 1);
	log_open(pipe_fd[1], TR_LOG_DEBUG);
	log_error("config", "e");
	assert_int_equal(read_lines(), 1);
	assert_non_null(strstr(got, "error   config: e\n"));
}

static void
control_characters_and_length(void **state)
{
	log_open(pipe_fd[1], TR_LOG_INFO);
	log_info("dns", "name %s", "a\n<3>forged\x1b[2J");
	assert_int_equal(read_lines(), 1);
	assert_non_null(strstr(got, "a?<3>forged?[2J\n"));
	char big[5000];
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	log_info("dns", "%s", big);
	assert_int_equal(read_lines(), 1);
	assert_true(strlen(got) < 1024);
	assert_string_equal(got + strlen(got) - 5, "x...\n");
}

static void
repeat(const char *subject, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		log_info(subject, "again %u", i);
}

static void
rate_limit(void **state)
{
	log_open(pipe_fd[1], TR_LOG_INFO);
	repeat("a", 1000);
	repeat("b", 3);                  /* another subject has its own share */
	log_info("a", "something else"); /* and so has another message */
	assert_int_equal(read_lines(), LOG_BURST + 3 + 1);
}

/* More messages than sites: what is pushed out reports what it suppressed, nothing is forgotten. */
static void
eviction_reports(void **state)
{
	log_open(pipe_fd[1], TR_LOG_INFO);
	repeat("evicted", 15);
	char subject[16];
	for (unsigned i = 0; i < 2000; i++) {
		snprintf(subject, sizeof(subject), "s%u", i);
		repeat(subject, 1);
		if (i % 100 == 0)
			read_lines();
		if (strstr(got, "evicted: 5 more messages"))
			return;
	}
	read_lines();
	assert_non_null(strstr(got, "evicted: 5 more messages like \"again %u\" suppressed\n"));
}

/* Nobody reads: the caller never waits, and the loss is told when there is room again. */
static void
full_pipe(void **state)
{
	log_open(pipe_fd[1], TR_LOG_INFO);
	char subject[16];
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(subject, sizeof(subject), "f%u", i);
		repeat(subject, 1);
	}
	log_tick();
	read_lines();
	log_tick();
	read_lines();
	assert_non_null(strstr(got, "lines lost"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(journal_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(another_stream_is_no_journal, setup, teardown),
		cmocka_unit_test_setup_teardown(control_characters_and_length, setup, teardown),
		cmocka_unit_test_setup_teardown(rate_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(eviction_reports, setup, teardown),
		cmocka_unit_test_setup_teardown(full_pipe, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
