/* SPDX-License-Identifier: BSD-3-Clause */
#include "own.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct said {
	const void *teller;
	uint16_t port;
	struct tr_own_endpoint endpoint;
};

struct all {
	unsigned n;
	struct said said[];
};

static _Atomic(struct all *) all;
static pthread_mutex_t writers = PTHREAD_MUTEX_INITIALIZER; /* loops; readers take none */

void *
own_tell(const void *teller, uint16_t port, const struct tr_own_endpoint *list, uint16_t n)
{
	pthread_mutex_lock(&writers);
	struct all *old = atomic_load_explicit(&all, memory_order_relaxed);
	const unsigned before = old ? old->n : 0;
	struct all *now = malloc(sizeof(*now) + (before + n) * sizeof(now->said[0]));
	if (now != NULL) {
		now->n = 0;
		for (unsigned i = 0; i < before; i++)
			if (old->said[i].teller != teller || old->said[i].port != port)
				now->said[now->n++] = old->said[i];
		for (uint16_t i = 0; i < n; i++)
			now->said[now->n++] = (struct said){teller, port, list[i]};
		atomic_store_explicit(&all, now, memory_order_release);
	}
	pthread_mutex_unlock(&writers);
	return now != NULL ? old : NULL;
}

bool
own_told_by(const void *teller)
{
	bool found = false;
	pthread_mutex_lock(&writers);
	const struct all *a = atomic_load_explicit(&all, memory_order_relaxed);
	for (unsigned i = 0; a != NULL && i < a->n && !found; i++)
		found = a->said[i].teller == teller;
	pthread_mutex_unlock(&writers);
	return found;
}

static bool
listed(const struct tr_own_endpoint *out, uint16_t n, const struct tr_sockaddr *a)
{
	for (uint16_t i = 0; i < n; i++)
		if (out[i].address.port == a->port && tr_addr_eq(&out[i].address.addr, &a->addr))
			return true;
	return false;
}

uint16_t
own_list(uint16_t port, struct tr_own_endpoint *out, uint16_t max)
{
	const struct all *a = atomic_load_explicit(&all, memory_order_acquire);
	uint16_t n = 0;
	for (int kind = TR_OWN_KINDS - 1; kind >= 0; kind--)
		for (unsigned i = 0; a != NULL && i < a->n && n < max; i++) {
			struct tr_own_endpoint e = a->said[i].endpoint;
			if ((a->said[i].port != port && a->said[i].port != 0) || e.kind != kind)
				continue;
			if (a->said[i].port == 0)
				e.address.port = port;
			if (!listed(out, n, &e.address))
				out[n++] = e;
		}
	return n;
}
