/* SPDX-License-Identifier: BSD-3-Clause */
/* What `wg` says and hears. The socket is real; the clock and the loop are the fake host's. */
#include "pair_test.h"

bool room_elsewhere;

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "uapi_line.h"

#define HEX_A "7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13"
#define HEX_B "0faa684ed28867b97f4a6a2dee5df8ce974e76b7018e3f22a1c4cf2678570f20"
#define HEX_C "00000000000000000000000000000000000000000000000000000000000000c0"
#define SECRET_A "1111111111111111111111111111111111111111111111111111111111111111"

static struct network *n;
static char answer[1 << 16];

static int
setup(void **state)
{
	n = network_new((struct network_config){0});
	return 0;
}

static int
teardown(void **state)
{
	network_free(n);
	return 0;
}

static void
path_of(char path[108])
{
	snprintf(path, 108, "%s/wga.sock", fh_unix_dir(n->a.h));
}

static int
dial(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	path_of(a.sun_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* Sends a request in pieces of `piece` bytes and collects the answer. */
static const char *
ask_fd(int fd, const char *request, size_t piece)
{
	size_t len = strlen(request), got = 0;
	for (size_t at = 0; at < len; at += piece) {
		size_t part = len - at < piece ? len - at : piece;
		if (write(fd, request + at, part) != (ssize_t)part)
			break;
		fh_advance(n->a.h, 8000000);
	}
	for (int i = 0; i < 50; i++) {
		fh_advance(n->a.h, 8000000);
		ssize_t r = read(fd, answer + got, sizeof(answer) - 1 - got);
		if (r == 0)
			break;
		got += r > 0 ? (size_t)r : 0;
		if (got > 2 && memcmp(answer + got - 2, "\n\n", 2) == 0)
			break;
	}
	answer[got] = 0;
	return answer;
}

static const char *
ask(const char *request)
{
	int fd = dial();
	const char *a = ask_fd(fd, request, 4096);
	close(fd);
	fh_advance(n->a.h, 8000000);
	return a;
}

static void
test_get(void **state)
{
	connect_both(n);
	const char *a = ask("get=1\n\n");
	assert_non_null(strstr(a, "private_key=" SECRET_A "\nlisten_port=51820\npublic_key=" HEX_B "\n"));
	assert_non_null(strstr(a, "\nendpoint=192.0.2.2:51820\n"));
	assert_non_null(strstr(a, "\nlast_handshake_time_sec=1700000000\n"));
	assert_non_null(strstr(a, "\ntx_bytes=244\nrx_bytes=188\npersistent_keepalive_interval=0\n"));
	assert_non_null(strstr(a, "\nallowed_ip=10.0.0.2/32\nallowed_ip=fd00::2/128\n"));
	assert_string_equal(a + strlen(a) - 9, "errno=0\n\n");
}

static void
test_set_device(void **state)
{
	assert_string_equal(ask("set=1\nlisten_port=1234\nfwmark=9\n\n"), "errno=0\n\n");
	const char *a = ask("get=1\n\n");
	assert_non_null(strstr(a, "\nlisten_port=1234\nfwmark=9\n"));
	assert_string_equal(ask("set=1\nlisten_port=0\n\n"), "errno=0\n\n");
	a = ask("get=1\n\n");
	assert_null(strstr(a, "listen_port=1234"));
	assert_non_null(strstr(a, "listen_port="));
	assert_string_equal(ask("set=1\nprivate_key=" HEX_C "\n\n"), "errno=0\n\n");
	assert_non_null(strstr(ask("get=1\n\n"), "private_key=" HEX_C "\n"));
	assert_string_equal(
		ask("set=1\nprivate_key=0000000000000000000000000000000000000000000000000000000000000000\n\n"), "errno=0\n\n");
	assert_null(strstr(ask("get=1\n\n"), "private_key="));
}

static void
test_set_peer(void **state)
{
	assert_string_equal(ask("set=1\npublic_key=" HEX_C "\nendpoint=[2001:db8::1]:5\npersistent_keepalive_interval=25\n"
				"allowed_ip=10.5.6.7/16\nallowed_ip=fd01::/16\n\n"),
		"errno=0\n\n");
	const char *a = ask("get=1\n\n");
	assert_non_null(strstr(a, "public_key=" HEX_C));
	assert_non_null(strstr(a, "endpoint=[2001:db8::1]:5\n"));
	assert_non_null(strstr(a, "persistent_keepalive_interval=25\nallowed_ip=10.5.0.0/16\nallowed_ip=fd01::/16\n"));
	ask("set=1\npublic_key=" HEX_C "\nallowed_ip=-10.5.0.0/16\nallowed_ip=10.6.0.0/16\n\n");
	a = ask("get=1\n\n");
	assert_null(strstr(a, "10.5.0.0"));
	assert_non_null(strstr(a, "10.6.0.0/16"));
	ask("set=1\npublic_key=" HEX_C "\nreplace_allowed_ips=true\n\n");
	assert_null(strstr(ask("get=1\n\n"), "10.6.0.0/16"));
	ask("set=1\npublic_key=" HEX_C "\nremove=true\n\n");
	assert_null(strstr(ask("get=1\n\n"), HEX_C));
	ask("set=1\npublic_key=" HEX_C "\nupdate_only=true\nallowed_ip=10.6.0.0/16\n\n");
	assert_null(strstr(ask("get=1\n\n"), HEX_C));
}

/* The session and its counters go on, whatever is set. */
static void
test_set_keeps_session(void **state)
{
	connect_both(n);
	assert_string_equal(ask("set=1\nreplace_peers=true\npublic_key=" HEX_B "\npreshared_key=" SECRET_A
				"\nendpoint=192.0.2.2:51820\nreplace_allowed_ips=true\nallowed_ip=10.0.0.2/32\n\n"),
		"errno=0\n\n");
	say(&n->a, 60, 9);
	settle(n);
	expect(&n->b, 60, 9);
	assert_int_equal(fh_counter(n->a.h, "initiations_sent"), 1);
	ask("set=1\npublic_key=" HEX_C "\n\n");
	assert_non_null(strstr(ask("get=1\n\n"), HEX_C));
	ask("set=1\nreplace_peers=true\npublic_key=" HEX_B "\nallowed_ip=10.0.0.2/32\n\n");
	const char *a = ask("get=1\n\n");
	assert_null(strstr(a, HEX_C));
	assert_non_null(strstr(a, "preshared_key=0000"));
	ask("set=1\nreplace_peers=true\n\n");
	assert_null(strstr(ask("get=1\n\n"), "public_key"));
}

static void
test_errors(void **state)
{
	static const char *const bad[] = {"nonsense=1", "private_key=11", "listen_port=65536", "listen_port=-1", "listen_port=",
		"fwmark=0x10", "replace_peers=yes", "public_key=zz", "allowed_ip=10.0.0.0/8",
		"public_key=" HEX_C "\nallowed_ip=10.0.0.0/33", "public_key=" HEX_C "\nallowed_ip=10.0.0/8",
		"public_key=" HEX_C "\nendpoint=10.0.0.1", "public_key=" HEX_C "\nendpoint=10.0.0.1:0",
		"public_key=" HEX_C "\nendpoint=2001:db8::1:5", "public_key=" HEX_C "\nendpoint=[fe80::1%eth0]:5",
		"public_key=" HEX_C "\npersistent_keepalive_interval=70000", "public_key=" HEX_C "\nprotocol_version=2",
		"public_key=" HEX_C "\nlisten_port=5", "=", "x"};
	char request[512];
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(request, sizeof(request), "set=1\n%s\nfwmark=77\n\n", bad[i]);
		assert_string_equal(ask(request), "errno=-22\n\n");
	}
	assert_null(strstr(ask("get=1\n\n"), "fwmark")); /* nothing after an error is applied */
	ask("set=1\nfwmark=5\nnonsense=1\n\n");
	assert_non_null(strstr(ask("get=1\n\n"), "fwmark=5")); /* what came before stays */
	assert_string_equal(ask("set=1\npublic_key=" HEX_A "\nallowed_ip=10.0.0.2/32\n\n"), "errno=0\n\n"); /* our own key */
	assert_null(strstr(ask("get=1\n\n"), HEX_A));
	assert_string_equal(ask("put=1\n\n"), "");
}

static void
test_pieces(void **state)
{
	int fd = dial();
	assert_string_equal(ask_fd(fd, "set=1\nfwmark=3\n\n", 1), "errno=0\n\n");
	assert_non_null(strstr(ask_fd(fd, "get=1\n\n", 2), "fwmark=3\n")); /* a second request on the connection */
	char *big = test_malloc(100001);
	memset(big, 'a', 100000);
	memcpy(big, "set=1\n", 6);
	memcpy(big + 99990, "\n\n", 3);
	assert_string_equal(ask_fd(fd, big, 4096), "errno=-22\n\n"); /* a line of 100 kB */
	test_free(big);
	close(fd);
}

/* A probe says nothing; a sleeper is cut off; more than eight wait. */
static void
test_clients(void **state)
{
	int fd[12];
	char byte;
	for (int i = 0; i < 12; i++)
		fd[i] = dial();
	fh_advance(n->a.h, 100000000);
	close(fd[0]);
	fh_advance(n->a.h, SECONDS(7));
	for (int i = 1; i < 8; i++) {
		assert_int_equal(read(fd[i], &byte, 1), 0);
		close(fd[i]);
	}
	assert_string_equal(ask_fd(fd[11], "set=1\nfwmark=3\n\n", 100), "errno=0\n\n");
	for (int i = 8; i < 12; i++)
		close(fd[i]);
	fh_advance(n->a.h, 100000000);
}

static void
test_socket_deleted(void **state)
{
	char path[108];
	struct stat st;
	path_of(path);
	assert_int_equal(unlink(path), 0);
	fh_advance(n->a.h, SECONDS(2));
	assert_int_equal(stat(path, &st), 0);
	assert_non_null(strstr(ask("get=1\n\n"), "errno=0"));
}

/* Another object of the same instance takes over, and there is no moment without a socket. */
static void
test_generations(void **state)
{
	char path[108];
	struct stat st;
	path_of(path);
	struct fh *next = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = "wga", .blocks_of = n->a.h});
	assert_non_null(next);
	assert_int_equal(stat(path, &st), 0);
	ino_t inode = st.st_ino;
	fh_free(n->a.h);
	n->a.h = next;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_ino, inode);
	assert_non_null(strstr(ask("get=1\n\n"), "errno=0"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_get, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_device, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_set_keeps_session, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket_deleted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_generations, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
