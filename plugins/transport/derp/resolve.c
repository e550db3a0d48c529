/* SPDX-License-Identifier: BSD-3-Clause */
#include "resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { ASKED, ANSWERED, ABANDONED };

struct resolve {
	struct gaicb request;
	struct addrinfo hints;
	_Atomic int state;
	char host[254];
};

static void
discard(struct resolve *r)
{
	if (r->request.ar_result != NULL)
		freeaddrinfo(r->request.ar_result);
	free(r);
}

/* A thread of glibc's. */
static void
answered(union sigval v)
{
	struct resolve *r = v.sival_ptr;
	int expected = ASKED;
	if (!atomic_compare_exchange_strong(&r->state, &expected, ANSWERED))
		discard(r);
}

struct resolve *
resolve_start(const char *host)
{
	struct resolve *r = calloc(1, sizeof(*r));
	if (r == NULL)
		return NULL;
	strncpy(r->host, host, sizeof(r->host) - 1);
	r->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	r->request = (struct gaicb){.ar_name = r->host, .ar_request = &r->hints};
	struct gaicb *list[] = {&r->request};
	struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = answered, .sigev_value.sival_ptr = r};
	if (getaddrinfo_a(GAI_NOWAIT, list, 1, &event) == 0)
		return r;
	free(r);
	return NULL;
}

int
resolve_answer(struct resolve *r, struct tr_addr *out, int max)
{
	int n = 0;
	if (atomic_load(&r->state) != ANSWERED)
		return -1;
	for (const struct addrinfo *a = gai_error(&r->request) == 0 ? r->request.ar_result : NULL; a != NULL && n < max; a = a->ai_next) {
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
