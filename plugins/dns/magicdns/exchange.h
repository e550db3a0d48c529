/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One question put to one upstream, over UDP from a fresh port with a fresh id and, when the answer is truncated or came
 * back in another case, over TCP. Service loop.
 */
#pragma once

#include "wire.h"

#include <sys/socket.h>
#include <tailrace/host.h>

enum exchange_result {
	EXCHANGE_GOOD,
	EXCHANGE_REFUSED, /* the upstream is there, and can't or won't say */
	EXCHANGE_SILENT,  /* no answer in time, or unreachable */
};

struct exchange {
	struct tr_instance *instance;
	const struct tr_host *host;
	/* The exchange is idle again when done() is called. msg and answer: EXCHANGE_GOOD; valid during the call. */
	void (*done)(struct exchange *x, enum exchange_result result, const uint8_t *msg, const struct wire_answer *answer);
	uint32_t foreign; /* datagrams that were no answer to a query of ours, since the exchange was made */
	bool tcp;         /* how far the last one went */

	/* The rest is its own. */
	struct tr_sockaddr to;
	uint64_t timeout_ms;
	int fd;
	struct tr_watch *socket, *timer;
	size_t query_len, done_len; /* done_len: of the stream, sent; then, received */
	uint8_t query[2 + WIRE_QUERY_MAX]; /* its size before it, as TCP has it */
	uint8_t *stream;                   /* TCP: what has come; NULL while sending */
};

/* An address as the kernel has it; returns its size. */
socklen_t exchange_address(struct sockaddr_storage *out, const struct tr_sockaddr *to);

void exchange_init(struct exchange *x, struct tr_instance *instance, const struct tr_host *host);
/* 0: done() follows, from the loop. -errno: it doesn't. */
int exchange_start(struct exchange *x, const struct wire_key *k, const struct tr_sockaddr *to, uint64_t timeout_ms);
void exchange_stop(struct exchange *x); /* done() is not called */
