/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loads a STUN server over kernel sockets: Binding requests from many ports, as many under way as keep it busy.
 *
 * usage: stun-load ADDRESS PORT SECONDS    (IPv4; prints how many were answered)
 */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SOCKETS 32
#define BATCH 16
#define LOST_NS 20000000 /* without an answer for so long, what is under way counts as lost */

struct client {
	int fd;
	unsigned under_way;
	uint64_t heard;
};

static struct client clients[SOCKETS];
static struct mmsghdr out[BATCH], in[BATCH];
static struct iovec out_iov, in_iov[BATCH];
static uint8_t request[20] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, answer[BATCH][256];

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void
prepare(const char *address, uint16_t port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};

	if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
		fprintf(stderr, "%s: not an IPv4 address\n", address);
		exit(2);
	}
	for (int i = 0; i < SOCKETS; i++) {
		clients[i].fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
		if (clients[i].fd < 0 || connect(clients[i].fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
			perror("socket");
			exit(1);
		}
	}
	out_iov = (struct iovec){request, sizeof(request)};
	for (int i = 0; i < BATCH; i++) {
		in_iov[i] = (struct iovec){answer[i], sizeof(answer[i])};
		out[i].msg_hdr = (struct msghdr){.msg_iov = &out_iov, .msg_iovlen = 1};
		in[i].msg_hdr = (struct msghdr){.msg_iov = &in_iov[i], .msg_iovlen = 1};
	}
}

/* Sends what is missing to a batch under way, takes the answers; their number. */
static unsigned
turn(struct client *c, uint64_t now)
{
	unsigned answered = 0;
	int n;

	if (c->under_way == 0 || now - c->heard > LOST_NS) {
		c->under_way = 0;
		c->heard = now;
	}
	if (c->under_way < BATCH && (n = sendmmsg(c->fd, out, BATCH - c->under_way, 0)) > 0)
		c->under_way += (unsigned)n;
	n = recvmmsg(c->fd, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++)
		answered += in[i].msg_len >= 20 && answer[i][0] == 1 && answer[i][1] == 1;
	if (n > 0) {
		c->heard = now;
		c->under_way -= (unsigned)n < c->under_way ? (unsigned)n : c->under_way;
	}
	return answered;
}

int
main(int argc, char **argv)
{
	uint64_t answered = 0, now, end;

	if (argc != 4) {
		fprintf(stderr, "usage: %s ADDRESS PORT SECONDS\n", argv[0]);
		return 2;
	}
	prepare(argv[1], (uint16_t)atoi(argv[2]));
	now = now_ns();
	end = now + (uint64_t)(atof(argv[3]) * 1e9);
	do {
		now = now_ns();
		for (int i = 0; i < SOCKETS; i++)
			answered += turn(&clients[i], now);
	} while (now < end);
	printf("%lu\n", answered);
	return 0;
}
