/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load client for DERP relays, ours or stock: pairs of clients, one thread. Prints one JSON object.
 *
 *   derp-load [ADDRESS:]PORT PID pairs N PPS SECONDS   N pairs, PPS packets of 1,300 bytes a second in all (0: as fast as they can)
 *   derp-load PORT PID idle N                N connections that do nothing: memory of process PID before and after
 *   derp-load PORT PID connect N [AT-ONCE]   N connections, closed at once, so many at a time
 *   derp-load 0 0 tls N                      N handshakes in memory: what the relay's half of TLS alone takes
 *
 * Packets are sent by the clock, whatever comes back, with their number and time in them.
 */
#include "../../plugins/transport/derp/frame.h"
#include "../../plugins/transport/derp/tls.h"
#include "derp_client.h"
#include "latency.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 1300
#define ROOM (1u << 18)
#define BATCH 12      /* packets in one record */

struct pair {
	struct derp_client from, to;
	uint64_t sent, begun; /* begun: packets of the record that the kernel has taken a part of */
};

static SSL_CTX *ctx;
static struct sockaddr_in target = {.sin_family = AF_INET};
static bool counting;

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* User and system time of the process, in seconds. */
static double
cpu_of(int pid)
{
	char path[64], text[1024];
	unsigned long user, sys;
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *f = fopen(path, "re");
	if (f == NULL || fgets(text, sizeof(text), f) == NULL)
		derp_die(path);
	fclose(f);
	if (sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &sys) != 2)
		derp_die(path);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static long
rss_of(int pid) /* kB */
{
	char path[64], line[256];
	long kb = -1;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	FILE *f = fopen(path, "re");
	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		sscanf(line, "VmRSS: %ld", &kb);
	if (f != NULL)
		fclose(f);
	return kb;
}

/* ---- Load ---- */

static size_t
write_packet(uint8_t *p, const struct pair *x, uint64_t number)
{
	const uint64_t t = now_ns();
	p = frame_header(p, FRAME_SEND, FRAME_KEY + SIZE);
	memcpy(p, x->to.public_key, FRAME_KEY);
	memcpy(p + FRAME_KEY, &number, 8);
	memcpy(p + FRAME_KEY + 8, &t, 8);
	return FRAME_HEADER + FRAME_KEY + SIZE;
}

/* Up to n packets; false: the kernel takes no more. A record that it has begun to take is offered again. */
static bool
send_some(struct pair *x, uint64_t n)
{
	static uint8_t record[BATCH * (FRAME_HEADER + FRAME_KEY + SIZE)];
	size_t done;
	while (n > 0) {
		const uint64_t k = x->begun ? x->begun : n < BATCH ? n : BATCH;
		size_t len = 0;
		for (uint64_t i = 0; i < k; i++)
			len += write_packet(record + len, x, x->sent + i);
		if (SSL_write_ex(x->from.ssl, record, len, &done) != 1) {
			if (SSL_get_error(x->from.ssl, 0) != SSL_ERROR_WANT_WRITE)
				derp_die("the relay closes");
			x->begun = k;
			return false;
		}
		x->begun = 0;
		x->sent += k;
		n -= k < n ? k : n;
	}
	return true;
}

static void
receive(struct derp_client *c)
{
	size_t n;
	const uint64_t t = now_ns();
	while (SSL_read_ex(c->ssl, c->in + c->in_len, ROOM - c->in_len, &n) == 1) {
		struct frame f;
		c->in_len += n;
		struct tr_reader r = tr_reader(c->in, c->in_len);
		for (enum frame_status s; (s = frame_read(&f, &r, FRAME_CLIENT)) != FRAME_MORE;) {
			uint64_t at;
			if (s != FRAME_GOOD || f.type != FRAME_RECV || f.len != FRAME_KEY + SIZE)
				continue;
			memcpy(&at, f.body + FRAME_KEY + 8, 8);
			c->got++;
			latency_add(t > at ? t - at : 0, counting);
		}
		c->in_len = tr_left(&r);
		memmove(c->in, r.p, c->in_len);
	}
	if (SSL_get_error(c->ssl, 0) != SSL_ERROR_WANT_READ)
		derp_die("the relay closes");
}

static uint64_t
total(const struct pair *x, unsigned n, bool sent)
{
	uint64_t t = 0;
	for (unsigned i = 0; i < n; i++)
		t += sent ? x[i].sent : x[i].to.got;
	return t;
}

static void
poll_receivers(int ep, int ms)
{
	struct epoll_event e[256];
	for (int n = epoll_wait(ep, e, 256, ms); n > 0; n--)
		receive(e[n - 1].data.ptr);
}

/* Sends and receives until `end`; pps 0: as fast as it goes. */
static void
load(struct pair *x, unsigned n, int ep, double pps, uint64_t end)
{
	const uint64_t begin = now_ns(), before = total(x, n, true);
	unsigned turn = 0;
	double due = 0;
	for (uint64_t t; (t = now_ns()) < end;) {
		due = pps * (double)(t - begin) * 1e-9;
		uint64_t want = pps > 0 ? (uint64_t)due : 0, have = total(x, n, true) - before;
		for (unsigned i = 0; i < n && (pps == 0 || have < want); i++, turn++) {
			uint64_t k = pps == 0 ? BATCH : (want - have + n - 1) / n;
			have -= x[turn % n].sent;
			send_some(&x[turn % n], k > BATCH ? BATCH : k); /* who is late catches up in small steps */
			have += x[turn % n].sent;
		}
		poll_receivers(ep, 0);
	}
}

static void
pairs(int pid, unsigned n, double pps, double seconds)
{
	struct pair *x = calloc(n, sizeof(*x));
	int ep = epoll_create1(0);
	for (unsigned i = 0; i < n; i++) {
		derp_join(&x[i].from, ctx, &target, NULL);
		derp_join(&x[i].to, ctx, &target, NULL);
		x[i].to.in = malloc(ROOM);
		fcntl(x[i].from.fd, F_SETFL, O_NONBLOCK);
		fcntl(x[i].to.fd, F_SETFL, O_NONBLOCK);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &x[i].to};
		epoll_ctl(ep, EPOLL_CTL_ADD, x[i].to.fd, &e);
	}
	load(x, n, ep, pps, now_ns() + 500000000u); /* windows open */
	const uint64_t sent = total(x, n, true), got = total(x, n, false), begin = now_ns();
	uint64_t *each = calloc(n, sizeof(*each)), least = UINT64_MAX;
	for (unsigned i = 0; i < n; i++)
		each[i] = x[i].to.got;
	const double cpu = cpu_of(pid);
	counting = true;
	load(x, n, ep, pps, begin + (uint64_t)(seconds * 1e9));
	counting = false;
	const double used = cpu_of(pid) - cpu, took = (double)(now_ns() - begin) * 1e-9;
	const uint64_t sent_now = total(x, n, true) - sent, got_now = total(x, n, false) - got;
	for (unsigned i = 0; i < n; i++)
		least = x[i].to.got - each[i] < least ? x[i].to.got - each[i] : least;
	const uint64_t all = total(x, n, true);
	for (uint64_t have = 0, end = UINT64_MAX, t; have < all && (t = now_ns()) < end; poll_receivers(ep, 10)) {
		if (have != total(x, n, false) || end == UINT64_MAX) /* what is underway is not lost, on a busy machine neither */
			end = t + 3000000000u;
		have = total(x, n, false);
	}
	const double bits = (double)got_now * SIZE * 8;
	printf("{\"pairs\": %u, \"offered_pps\": %.0f, \"sent_pps\": %.0f, \"gbps\": %.3f, \"gb_per_cpu_s\": %.3f, \"cpu\": %.2f, "
	       "\"loss\": %.4f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"least_share\": %.2f}\n", n, pps, (double)sent_now / took,
		bits / took * 1e-9, used > 0 ? bits * 1e-9 / used : 0, used / took,
		1 - (double)total(x, n, false) / (double)total(x, n, true), latency_percentile(0.5), latency_percentile(0.99),
		got_now ? (double)least * n / (double)got_now : 0);
	for (unsigned i = 0; i < n; i++) {
		derp_leave(&x[i].from);
		derp_leave(&x[i].to);
	}
	free(each);
	free(x);
}

static void
idle(int pid, unsigned n)
{
	struct derp_client *c = calloc(n, sizeof(*c));
	const long before = rss_of(pid);
	for (unsigned i = 0; i < n; i++)
		derp_join(&c[i], ctx, &target, NULL);
	sleep(2);
	const long after = rss_of(pid);
	printf("{\"idle\": %u, \"kb_each\": %.1f}\n", n, (double)(after - before) / n);
	for (unsigned i = 0; i < n; i++)
		derp_leave(&c[i]);
	free(c);
}

static void
connects(int pid, unsigned n, unsigned at_once)
{
	const double cpu = cpu_of(pid);
	const uint64_t begin = now_ns();
	for (unsigned k = 0; k < at_once; k++) {
		struct derp_client c;
		if (fork() != 0)
			continue;
		for (unsigned i = k; i < n; i += at_once) {
			derp_join(&c, ctx, &target, NULL);
			derp_leave(&c);
		}
		_exit(0);
	}
	for (int status; wait(&status) > 0;)
		if (status != 0)
			exit(1);
	usleep(200000);
	const double used = cpu_of(pid) - cpu;
	printf("{\"connects\": %u, \"per_s\": %.0f, \"per_cpu_s\": %.0f, \"rss_kb\": %ld}\n", n,
		n / ((double)(now_ns() - begin) * 1e-9), used > 0 ? n / used : 0, rss_of(pid));
}

static double
one_handshake(SSL_CTX *server)
{
	BIO *a, *b;
	SSL *theirs = SSL_new(ctx), *ours;
	uint64_t took, begin;
	if (BIO_new_bio_pair(&a, 65536, &b, 65536) != 1)
		derp_die("BIO");
	SSL_set_bio(theirs, b, b);
	SSL_set_connect_state(theirs);
	begin = now_ns();
	ours = SSL_new(server);
	SSL_set_bio(ours, a, a);
	SSL_set_accept_state(ours);
	took = now_ns() - begin;
	while (!SSL_is_init_finished(ours) || !SSL_is_init_finished(theirs)) {
		SSL_do_handshake(theirs);
		begin = now_ns();
		SSL_do_handshake(ours);
		took += now_ns() - begin;
	}
	begin = now_ns();
	SSL_free(ours);
	took += now_ns() - begin;
	SSL_free(theirs);
	return (double)took * 1e-3;
}

static void
handshakes(unsigned n)
{
	const struct tls_identity id = {.hostname = "relay.test"};
	char why[256];
	SSL_CTX *server = tls_server(&id, why, sizeof(why));
	double sum = 0;
	if (server == NULL)
		derp_die(why);
	for (unsigned i = 0; i < n; i++)
		sum += one_handshake(server);
	SSL_CTX_free(server);
	printf("{\"handshakes\": %u, \"us_each\": %.1f}\n", n, sum / n);
}

int
main(int argc, char **argv)
{
	struct rlimit l;
	if (argc < 5 || sodium_init() < 0) {
		fprintf(stderr, "usage: derp-load [ADDRESS:]PORT PID pairs N PPS SECONDS | idle N | connect N [AT-ONCE] | tls N\n");
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &l);
	l.rlim_cur = l.rlim_max;
	setrlimit(RLIMIT_NOFILE, &l);
	const char *colon = strchr(argv[1], ':');
	char address[16] = "127.0.0.1";
	if (colon != NULL)
		snprintf(address, sizeof(address), "%.*s", (int)(colon - argv[1]), argv[1]);
	target.sin_port = htons((uint16_t)atoi(colon ? colon + 1 : argv[1]));
	if (inet_pton(AF_INET, address, &target.sin_addr) != 1)
		derp_die(argv[1]);
	const int pid = atoi(argv[2]);
	const unsigned n = (unsigned)atoi(argv[4]);
	ctx = derp_context();
	if (strcmp(argv[3], "tls") == 0)
		handshakes(n);
	else if (strcmp(argv[3], "idle") == 0)
		idle(pid, n);
	else if (strcmp(argv[3], "connect") == 0)
		connects(pid, n, argc > 5 ? (unsigned)atoi(argv[5]) : 1);
	else if (strcmp(argv[3], "pairs") == 0 && argc == 7)
		pairs(pid, n, atof(argv[5]), atof(argv[6]));
	return 0;
}
