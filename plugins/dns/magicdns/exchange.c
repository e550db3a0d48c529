/* SPDX-License-Identifier: BSD-3-Clause */
#include "exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define STREAM_MAX (2 + 65535)
#define READS_MAX 16 /* datagrams per event, so that a flood leaves the loop time for others */

void
exchange_init(struct exchange *x, struct tr_instance *instance, const struct tr_host *host)
{
	*x = (struct exchange){.instance = instance, .host = host, .fd = -1};
}

void
exchange_stop(struct exchange *x)
{
	if (x->socket != NULL)
		x->host->watch_close(x->socket);
	if (x->timer != NULL)
		x->host->watch_close(x->timer);
	if (x->fd >= 0)
		close(x->fd);
	free(x->stream);
	x->socket = x->timer = NULL;
	x->stream = NULL;
	x->fd = -1;
}

static void
finish(struct exchange *x, enum exchange_result result, const uint8_t *msg, const struct wire_answer *answer)
{
	uint8_t *stream = x->stream; /* msg may lie in it */
	x->stream = NULL;
	exchange_stop(x);
	x->done(x, result, msg, answer);
	free(stream);
}

static void
on_timeout(void *arg)
{
	finish(arg, EXCHANGE_SILENT, NULL, NULL);
}

socklen_t
exchange_address(struct sockaddr_storage *out, const struct tr_sockaddr *to)
{
	memset(out, 0, sizeof(*out));
	if (to->addr.family == 4) {
		struct sockaddr_in *in = (struct sockaddr_in *)out;
		in->sin_family = AF_INET;
		in->sin_port = htons(to->port);
		memcpy(&in->sin_addr, to->addr.ip, 4);
		return sizeof(*in);
	}
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
	in6->sin6_family = AF_INET6;
	in6->sin6_port = htons(to->port);
	memcpy(&in6->sin6_addr, to->addr.ip, 16);
	return sizeof(*in6);
}

/* A connected socket (TCP: connecting), watched, and the timer. -errno: nothing is left behind. */
static int
open_socket(struct exchange *x, int type, int events, void (*fn)(void *arg, int events))
{
	struct sockaddr_storage to;
	const socklen_t to_len = exchange_address(&to, &x->to);
	x->fd = socket(to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (x->fd < 0)
		return -errno;
	int rc = connect(x->fd, (struct sockaddr *)&to, to_len) < 0 && errno != EINPROGRESS ? -errno : 0;
	if (rc == 0) {
		x->socket = x->host->watch_fd(x->instance, x->fd, events, fn, x);
		x->timer = x->host->watch_timer(x->instance, x->timeout_ms, 0, on_timeout, x);
		rc = x->socket == NULL || x->timer == NULL ? -ENOMEM : 0;
	}
	if (rc != 0)
		exchange_stop(x);
	return rc;
}

static void
on_stream_answer(struct exchange *x, size_t len)
{
	struct wire_answer answer;
	enum wire_status status = wire_read(&answer, x->stream + 2, len, x->query + 2, x->query_len, true);
	if (status == WIRE_FOREIGN)
		x->foreign++;
	if (status == WIRE_GOOD)
		finish(x, EXCHANGE_GOOD, x->stream + 2, &answer);
	else
		finish(x, EXCHANGE_REFUSED, NULL, NULL);
}

static void
on_stream_readable(void *arg, int events)
{
	(void)events;
	struct exchange *x = arg;
	const size_t want = x->done_len < 2 ? 2 : 2 + ((size_t)x->stream[0] << 8 | x->stream[1]);
	const ssize_t n = recv(x->fd, x->stream + x->done_len, want - x->done_len, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		finish(x, EXCHANGE_SILENT, NULL, NULL);
		return;
	}
	x->done_len += (size_t)n;
	const size_t size = (size_t)x->stream[0] << 8 | x->stream[1];
	if (x->done_len >= 2 && x->done_len == 2 + size)
		on_stream_answer(x, size);
}

static void
on_stream_writable(void *arg, int events)
{
	(void)events;
	struct exchange *x = arg;
	const size_t size = 2 + x->query_len;
	const ssize_t n = send(x->fd, x->query + x->done_len, size - x->done_len, MSG_NOSIGNAL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		finish(x, EXCHANGE_SILENT, NULL, NULL);
		return;
	}
	x->done_len += (size_t)n;
	if (x->done_len < size)
		return;
	x->host->watch_close(x->socket);
	x->stream = calloc(1, STREAM_MAX);
	x->done_len = 0;
	x->socket = x->stream ? x->host->watch_fd(x->instance, x->fd, TR_WATCH_READ, on_stream_readable, x) : NULL;
	if (x->socket == NULL)
		finish(x, EXCHANGE_SILENT, NULL, NULL);
}

/* The same question again, over TCP. */
static void
go_tcp(struct exchange *x)
{
	exchange_stop(x);
	x->tcp = true;
	x->done_len = 0;
	if (open_socket(x, SOCK_STREAM, TR_WATCH_WRITE, on_stream_writable) != 0)
		finish(x, EXCHANGE_SILENT, NULL, NULL);
}

static void
on_datagram(void *arg, int events)
{
	(void)events;
	struct exchange *x = arg;
	struct wire_answer answer;
	uint8_t msg[4096];
	for (int i = 0; i < READS_MAX; i++) {
		const ssize_t n = recv(x->fd, msg, sizeof(msg), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) { /* an ICMP error: nobody there */
			finish(x, EXCHANGE_SILENT, NULL, NULL);
			return;
		}
		switch (wire_read(&answer, msg, (size_t)n, x->query + 2, x->query_len, false)) {
		case WIRE_FOREIGN:
			x->foreign++;
			break;
		case WIRE_CASE:
		case WIRE_TRUNCATED:
			go_tcp(x);
			return;
		case WIRE_FAILED:
			finish(x, EXCHANGE_REFUSED, NULL, NULL);
			return;
		case WIRE_GOOD:
			finish(x, EXCHANGE_GOOD, msg, &answer);
			return;
		}
	}
}

int
exchange_start(struct exchange *x, const struct wire_key *k, const struct tr_sockaddr *to, uint64_t timeout_ms)
{
	struct {
		uint16_t id;
		uint8_t salt[DNS_NAME_MAX / 8 + 1];
	} fresh;
	x->host->crypto->random(&fresh, sizeof(fresh));
	x->query_len = wire_query(x->query + 2, k, fresh.id, fresh.salt);
	x->query[0] = (uint8_t)(x->query_len >> 8);
	x->query[1] = (uint8_t)x->query_len;
	x->to = *to;
	x->timeout_ms = timeout_ms;
	x->tcp = false;

	int rc = open_socket(x, SOCK_DGRAM, TR_WATCH_READ, on_datagram);
	if (rc == 0 && send(x->fd, x->query + 2, x->query_len, 0) < 0) {
		rc = -errno;
		exchange_stop(x);
	}
	return rc;
}
