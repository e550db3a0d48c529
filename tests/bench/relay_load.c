/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A load client for peer relays, ours or stock: pairs of clients that bind to a path each, one thread.
 *
 *   relay-load peers N                                   N pairs' keys, for the netmap of a relay: lines of YAML
 *   relay-load DERP NODE DISCO PID N TRAIN SECONDS PPS…  a JSON object for each of these rates, until one loses more
 * than 1 % twice
 *
 * DERP: where paths are asked for (ADDRESS:PORT); NODE, DISCO: the peer relay's public keys; PID: whose CPU time is
 * told. Packets of 1,300 bytes behind 8 of Geneve go from one client of each pair to the other, sent by the clock,
 * TRAIN at a time by one call for each pair: one by one to the relay, or as one datagram that the kernel cuts up (UDP
 * GSO) where the way can.
 */
#include "../../plugins/nat/punch/geneve.h"
#include "../../plugins/nat/punch/relay_message.h"
#include "../../plugins/transport/derp/frame.h"
#include "derp_client.h"
#include "latency.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glob.h>
#include <math.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define SIZE (GENEVE_HEAD + 1300)
#define TRAIN_MAX 32
#define MS 1000000u

struct client {
	uint8_t node_secret[32], node[32], secret[32], key[32]; /* WireGuard's and disco's */
	int fd;
};

struct pair {
	struct client client[2];
	uint32_t vni;
	uint64_t sent, got;
};

static struct sockaddr_in derp = {.sin_family = AF_INET};
static uint8_t relay_node[32], relay_disco[32];
static bool counting, gso = true;
static unsigned train;

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

struct cpu {
	double all, user; /* seconds; user: by the kernel's ticks */
};

/* What all threads of the process have run for. */
static struct cpu
cpu_of(int pid)
{
	char pattern[64], path[64];
	unsigned long ticks = 0;
	glob_t threads;
	struct cpu c = {0};
	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	FILE *stat = fopen(path, "re");
	if (stat == NULL || fscanf(stat, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &ticks) != 1)
		derp_die(path);
	fclose(stat);
	c.user = (double)ticks / (double)sysconf(_SC_CLK_TCK);
	snprintf(pattern, sizeof(pattern), "/proc/%d/task/*/schedstat", pid);
	if (glob(pattern, 0, NULL, &threads) != 0)
		derp_die(pattern);
	for (size_t i = 0; i < threads.gl_pathc; i++) {
		unsigned long long ran;
		FILE *f = fopen(threads.gl_pathv[i], "re"); /* a thread may have ended */
		if (f != NULL && fscanf(f, "%llu", &ran) == 1)
			c.all += (double)ran * 1e-9;
		if (f != NULL)
			fclose(f);
	}
	globfree(&threads);
	return c;
}

/* ---- Keys: the same for the same pair ---- */

static void
make_keys(struct client *c, unsigned number)
{
	const uint8_t seed[2][8] = {
	        {(uint8_t)number, (uint8_t)(number >> 8), 'n'}, {(uint8_t)number, (uint8_t)(number >> 8), 'd'}};
	crypto_generichash(c->node_secret, 32, seed[0], sizeof(seed[0]), NULL, 0);
	crypto_generichash(c->secret, 32, seed[1], sizeof(seed[1]), NULL, 0);
	crypto_scalarmult_base(c->node, c->node_secret);
	disco_public(c->key, c->secret);
}

static void
print_peers(unsigned n)
{
	for (unsigned i = 0; i < 2 * n; i++) {
		struct client c;
		char node[48], key[48];
		make_keys(&c, i);
		printf("    c%u: {public_key: \"%s\", disco_key: \"%s\", derp: 1, relay_client: true}\n", i,
		        sodium_bin2base64(node, sizeof(node), c.node, 32, sodium_base64_VARIANT_ORIGINAL),
		        sodium_bin2base64(key, sizeof(key), c.key, 32, sodium_base64_VARIANT_ORIGINAL));
	}
}

/* ---- A path ---- */

static size_t
seal(uint8_t *data, size_t len, const struct client *c, const uint8_t to[32])
{
	uint8_t nonce[DISCO_NONCE], shared[32];
	if (!disco_shared(shared, c->secret, to))
		derp_die("a disco key");
	randombytes_buf(nonce, sizeof(nonce));
	return disco_seal(data, len, c->key, nonce, shared);
}

static bool
take_frame(struct derp_client *d, const struct client *c, struct disco_relay *path)
{
	uint8_t head[FRAME_HEADER], body[4096], shared[32];
	derp_read(d, head, sizeof(head));
	const size_t len = (size_t)head[3] << 8 | head[4];
	if (len > sizeof(body))
		derp_die("a frame's length");
	derp_read(d, body, len);
	if (head[0] != FRAME_RECV || len < FRAME_KEY || !disco_is(body + FRAME_KEY, len - FRAME_KEY) ||
	        !disco_shared(shared, c->secret, relay_disco))
		return false;
	const int n = disco_open(body + FRAME_KEY, len - FRAME_KEY, shared);
	return n > 0 && disco_parse_relay(path, body + FRAME_KEY + DISCO_PAYLOAD, (size_t)n);
}

/* By DERP, as often as it takes: the relay makes keys first. */
static void
allocate(struct pair *x, SSL_CTX *ctx, struct disco_relay *path)
{
	struct derp_client d;
	struct disco_allocate ask = {.generation = 1};
	memcpy(ask.client[0], x->client[0].key, 32);
	memcpy(ask.client[1], x->client[1].key, 32);
	derp_join(&d, ctx, &derp, x->client[0].node_secret);
	for (unsigned tries = 0; tries < 100; tries++) {
		uint8_t frame[512], *packet = frame_header(frame, FRAME_SEND, 0) + FRAME_KEY;
		const size_t n = seal(packet, disco_allocate(packet + DISCO_PAYLOAD, &ask), &x->client[0], relay_disco);
		frame_header(frame, FRAME_SEND, (uint32_t)(FRAME_KEY + n));
		memcpy(frame + FRAME_HEADER, relay_node, FRAME_KEY);
		derp_write(&d, frame, FRAME_HEADER + FRAME_KEY + n);
		struct pollfd p = {.fd = d.fd, .events = POLLIN};
		while (SSL_pending(d.ssl) > 0 || poll(&p, 1, 100) > 0)
			if (take_frame(&d, &x->client[0], path)) {
				derp_leave(&d);
				return;
			}
	}
	derp_die("the peer relay gives no path");
}

static void
send_bind(const struct client *c, const struct disco_relay *path, enum disco_type type, const struct disco_bind *b)
{
	uint8_t data[GENEVE_HEAD + DISCO_PAYLOAD + DISCO_BIND_LEN];
	geneve_write(data, &(struct geneve){.protocol = GENEVE_DISCO, .control = true, .vni = b->vni});
	const size_t n =
	        seal(data + GENEVE_HEAD, disco_bind(data + GENEVE_HEAD + DISCO_PAYLOAD, type, b), c, path->server);
	if (send(c->fd, data, GENEVE_HEAD + n, 0) < 0)
		derp_die("send");
}

static void
bind_client(const struct client *c, const struct client *other, const struct disco_relay *path)
{
	uint8_t data[2048], shared[32];
	struct disco_bind b = {.vni = path->vni,
	        .generation = (uint32_t)(now_ns() / MS) | 1}; /* another than this path's last client's */
	memcpy(b.remote, other->key, 32);
	if (!disco_shared(shared, c->secret, path->server))
		derp_die("the relay's key");
	for (unsigned tries = 0; tries < 100; tries++) {
		send_bind(c, path, DISCO_BIND, &b);
		struct pollfd p = {.fd = c->fd, .events = POLLIN};
		if (poll(&p, 1, 100) <= 0)
			continue;
		const ssize_t len = recv(c->fd, data, sizeof(data), 0);
		const int n =
		        len > GENEVE_HEAD ? disco_open(data + GENEVE_HEAD, (size_t)len - GENEVE_HEAD, shared) : -1;
		if (n < 0 || !disco_parse_bind(&b, data + GENEVE_HEAD + DISCO_PAYLOAD, (size_t)n))
			continue;
		memcpy(b.remote, other->key, 32);
		send_bind(c, path, DISCO_BIND_ANSWER, &b);
		return;
	}
	derp_die("the peer relay does not bind");
}

static int
open_socket(const struct tr_sockaddr *to)
{
	const int room = 8 << 20, on = 1;
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(to->port)};
	memcpy(&a.sin_addr, to->addr.ip, 4);
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) != 0)
		derp_die("socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) != 0 ||
	        setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)) != 0 ||
	        setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) != 0)
		derp_die("socket option");
	return fd;
}

static void
open_pair(struct pair *x, unsigned number, SSL_CTX *ctx)
{
	struct disco_relay path;
	make_keys(&x->client[0], 2 * number);
	make_keys(&x->client[1], 2 * number + 1);
	allocate(x, ctx, &path);
	x->vni = path.vni;
	for (unsigned i = 0; i < 2; i++)
		x->client[i].fd = open_socket(&path.address[0]);
	for (unsigned i = 0; i < 2; i++)
		bind_client(&x->client[i], &x->client[1 - i], &path);
}

/* ---- Load ---- */

/* The kernel cuts a train up; false: not on this way. */
static bool
send_train(int fd, const struct iovec *iov, unsigned n)
{
	char control[CMSG_SPACE(sizeof(uint16_t))] = {0};
	struct msghdr m = {.msg_iov = (struct iovec *)iov,
	        .msg_iovlen = 2 * n,
	        .msg_control = control,
	        .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(uint16_t));
	*(uint16_t *)CMSG_DATA(c) = SIZE;
	return sendmsg(fd, &m, MSG_DONTWAIT) >= 0 || errno == EAGAIN;
}

static void
send_some(struct pair *x, unsigned n)
{
	static uint8_t body[SIZE];
	uint8_t head[GENEVE_HEAD + 8];
	struct iovec iov[2 * TRAIN_MAX];
	struct mmsghdr m[TRAIN_MAX];
	const uint64_t now = now_ns();
	geneve_write(head, &(struct geneve){.protocol = GENEVE_WIREGUARD, .vni = x->vni});
	memcpy(head + GENEVE_HEAD, &now, 8);
	for (unsigned i = 0; i < n; i++) {
		iov[2 * i] = (struct iovec){head, sizeof(head)};
		iov[2 * i + 1] = (struct iovec){body, SIZE - sizeof(head)};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[2 * i], .msg_iovlen = 2};
	}
	x->sent += n;
	if (train > 1 && gso && (gso = send_train(x->client[0].fd, iov, n)))
		return;
	for (unsigned i = 0; i < n;) { /* what the kernel does not take counts as lost */
		const int k = sendmmsg(x->client[0].fd, m + i, n - i, MSG_DONTWAIT);
		if (k <= 0)
			break;
		i += (unsigned)k;
	}
}

/* Only the head of each datagram, or of each train, is copied out. */
static void
receive(struct pair *x)
{
	static uint8_t head[TRAIN_MAX][GENEVE_HEAD + 8];
	struct iovec iov[TRAIN_MAX];
	struct mmsghdr m[TRAIN_MAX];
	for (int n = TRAIN_MAX; n == TRAIN_MAX;) {
		for (unsigned i = 0; i < TRAIN_MAX; i++) {
			iov[i] = (struct iovec){head[i], sizeof(head[i])};
			m[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
		}
		n = recvmmsg(x->client[1].fd, m, TRAIN_MAX, MSG_DONTWAIT | MSG_TRUNC, NULL);
		const uint64_t now = now_ns();
		for (int i = 0; i < n; i++) {
			uint64_t at;
			memcpy(&at, head[i] + GENEVE_HEAD, 8);
			x->got += m[i].msg_len / SIZE;
			latency_add(now > at ? now - at : 0, counting ? m[i].msg_len / SIZE : 0);
		}
	}
}

static void
poll_receivers(int ep, int ms)
{
	struct epoll_event e[256];
	for (int n = epoll_wait(ep, e, 256, ms); n > 0; n--)
		receive(e[n - 1].data.ptr);
}

static uint64_t
total(const struct pair *x, unsigned n, bool sent)
{
	uint64_t t = 0;
	for (unsigned i = 0; i < n; i++)
		t += sent ? x[i].sent : x[i].got;
	return t;
}

static void
load(struct pair *x, unsigned n, int ep, double pps, uint64_t end)
{
	static unsigned turn;
	uint64_t have = 0;
	const uint64_t begin = now_ns();
	for (uint64_t t; (t = now_ns()) < end;) {
		const uint64_t want = (uint64_t)(pps * (double)(t - begin) * 1e-9);
		for (unsigned i = 0, k; i < n && have + train <= want; i++, turn++, have += k) {
			k = (unsigned)((want - have + n - 1) / n); /* who is late catches up in small steps */
			k = train > 1 || k < train ? train : k > TRAIN_MAX ? TRAIN_MAX : k;
			send_some(&x[turn % n], k);
		}
		poll_receivers(ep, 0);
	}
}

static double
measure(struct pair *x, unsigned n, int ep, int pid, double pps, double seconds)
{
	latency_clear();
	load(x, n, ep, pps, now_ns() + 200 * MS);
	const uint64_t sent = total(x, n, true), got = total(x, n, false);
	const struct cpu before = cpu_of(pid);
	const uint64_t begin = now_ns();
	counting = true;
	load(x, n, ep, pps, begin + (uint64_t)(seconds * 1e9));
	counting = false;
	const uint64_t end = now_ns();
	const struct cpu after = cpu_of(pid);
	const double used = fmax(after.all - before.all, 1e-9), user = after.user - before.user,
	             took = (double)(end - begin) * 1e-9;
	const uint64_t sent_now = total(x, n, true) - sent, got_now = total(x, n, false) - got;
	for (uint64_t t = now_ns(); total(x, n, true) != total(x, n, false) && now_ns() < t + 500 * MS;)
		poll_receivers(ep, 10); /* what is underway is not lost */
	const double loss = 1 - (double)total(x, n, false) / (double)total(x, n, true),
	             bits = (double)got_now * (SIZE - GENEVE_HEAD) * 8;
	printf("{\"pairs\": %u, \"offered_pps\": %.0f, \"sent_pps\": %.0f, \"got_pps\": %.0f, \"gbps\": %.3f, \"cpu\": "
	       "%.3f, \"user\": %.3f, "
	       "\"packets_per_cpu_s\": %.0f, \"gb_per_cpu_s\": %.3f, \"loss\": %.4f, \"p50_ms\": %.3f, \"p99_ms\": "
	       "%.3f, \"trains\": %s}\n",
	        n, pps, (double)sent_now / took, (double)got_now / took, bits / took * 1e-9, used / took, user / took,
	        (double)got_now / used, bits * 1e-9 / used, loss, latency_percentile(0.5), latency_percentile(0.99),
	        train > 1 && gso ? "true" : "false");
	fflush(stdout);
	for (unsigned i = 0; i < n; i++)
		x[i].sent = x[i].got = 0;
	return loss;
}

static void
read_key(uint8_t key[32], const char *text)
{
	size_t len;
	if (sodium_base642bin(key, 32, text, strlen(text), NULL, &len, NULL, sodium_base64_VARIANT_ORIGINAL) != 0 ||
	        len != 32)
		derp_die(text);
}

int
main(int argc, char **argv)
{
	if (sodium_init() < 0 || (argc != 3 && argc < 9)) {
		fprintf(stderr, "usage: relay-load peers N | DERP NODE DISCO PID N TRAIN SECONDS PPS…\n");
		return 2;
	}
	if (argc == 3) {
		print_peers((unsigned)atoi(argv[2]));
		return 0;
	}
	char address[16];
	unsigned short port;
	if (sscanf(argv[1], "%15[^:]:%hu", address, &port) != 2 || inet_pton(AF_INET, address, &derp.sin_addr) != 1)
		derp_die(argv[1]);
	derp.sin_port = htons(port);
	read_key(relay_node, argv[2]);
	read_key(relay_disco, argv[3]);
	const int pid = atoi(argv[4]), ep = epoll_create1(EPOLL_CLOEXEC);
	const unsigned n = (unsigned)atoi(argv[5]);
	train = (unsigned)atoi(argv[6]);
	train = train < 1 ? 1 : train > TRAIN_MAX ? TRAIN_MAX : train;
	struct pair *x = calloc(n, sizeof(*x));
	SSL_CTX *ctx = derp_context();
	for (unsigned i = 0; i < n; i++) {
		open_pair(&x[i], i, ctx);
		struct epoll_event e = {.events = EPOLLIN, .data.ptr = &x[i]};
		epoll_ctl(ep, EPOLL_CTL_ADD, x[i].client[1].fd, &e);
	}
	for (int i = 8; i < argc; i++)
		if (measure(x, n, ep, pid, atof(argv[i]), atof(argv[7])) > 0.01 &&
		        measure(x, n, ep, pid, atof(argv[i]), atof(argv[7])) > 0.01)
			break;
	return 0;
}
