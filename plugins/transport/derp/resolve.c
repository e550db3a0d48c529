/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ASKED, ANSWERED, ABANDONED };

struct resolve {
	struct addrinfo *found;
	_Atomic int state;
	char host[254];
};

static void
discard(struct resolve *r)
{
	if (r->found != NULL)
		freeaddrinfo(r->found);
	free(r);
}

/* A thread for one look-up, which may take as long as the servers are silent. */
static void *
look_up(void *arg)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct resolve *r = arg;
	int expected = ASKED;
	if (getaddrinfo(r->host, NULL, &hints, &r->found) != 0)
		r->found = NULL;
	if (!atomic_compare_exchange_strong(&r->state, &expected, ANSWERED))
		discard(r);
	return NULL;
}

struct resolve *
resolve_start(const char *host)
{
	struct resolve *r = calloc(1, sizeof(*r));
	pthread_t thread;
	if (r == NULL)
		return NULL;
	strncpy(r->host, host, sizeof(r->host) - 1);
	if (pthread_create(&thread, NULL, look_up, r) == 0) {
		pthread_detach(thread);
		return r;
	}
	free(r);
	return NULL;
}

int
resolve_answer(struct resolve *r, struct tr_addr *out, int max)
{
	int n = 0;
	if (atomic_load(&r->state) != ANSWERED)
		return -1;
	for (const struct addrinfo *a = r->found; a != NULL && n < max; a = a->ai_next) {
		out[n] = (struct tr_addr){.family = a->ai_family == AF_INET6 ? 6 : 4};
		if (a->ai_family == AF_INET)
			memcpy(out[n++].ip, &((const struct sockaddr_in *)(const void *)a->ai_addr)->sin_addr, 4);
		else if (a->ai_family == AF_INET6)
			memcpy(out[n++].ip, &((const struct sockaddr_in6 *)(const void *)a->ai_addr)->sin6_addr, 16);
	}
	return n;
}

void
resolve_end(struct resolve *r)
{
	int expected = ASKED;
	if (r != NULL && !atomic_compare_exchange_strong(&r->state, &expected, ABANDONED))
		discard(r);
}
