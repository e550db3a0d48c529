/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A pong says where its sender sees us. If that is nowhere that STUN, a port mapping or an interface has told of, our NAT may have
 * forgotten us, or moved: the core is told, which has servers asked. A peer's word does no more than that: it is told to nobody.
 */
#include "punch.h"

#define SEEN_AGAIN 60 /* seconds: a peer between two NATs of ours always sees us elsewhere */
#define SEEN_GAP (10 * SECOND)

static bool
known(const struct punch *punch, const struct tr_sockaddr *a)
{
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	const uint16_t n = punch->host->own_endpoints(punch->instance, atomic_load_explicit(&punch->listen, memory_order_relaxed), own,
		TR_OWN_ENDPOINTS);
	for (uint16_t i = 0; i < n; i++)
		if (own[i].address.addr.family == a->addr.family &&
			(own[i].varies || (own[i].address.port == a->port && tr_addr_eq(&own[i].address.addr, &a->addr))))
			return true; /* of a NAT whose ports vary each peer sees another */
	return false;
}

/* Has it been told of lately? Noted as told. Of two addresses in one place one may be told of too often, which SEEN_GAP bounds. */
static bool
told_of(struct punch *punch, const struct tr_sockaddr *a, uint64_t now)
{
	uint32_t hash = 2166136261u ^ a->port;
	for (unsigned i = 0; i < sizeof(a->addr.ip); i++)
		hash = hash * 16777619u ^ a->addr.ip[i];
	_Atomic uint64_t *place = &punch->seen.told[hash % SEEN_PLACES];
	const uint64_t before = atomic_load_explicit(place, memory_order_relaxed), seconds = now / SECOND;
	if (before >> 32 == hash && (uint32_t)before + SEEN_AGAIN > seconds)
		return true;
	atomic_store_explicit(place, (uint64_t)hash << 32 | (uint32_t)seconds, memory_order_relaxed);
	return false;
}

/* Control. */
static void
tell(void *self, void *unused)
{
	struct punch *punch = self;
	const struct tr_own_endpoint seen = {.address = punch->seen.address, .kind = TR_OWN_SEEN};
	(void)unused;
	atomic_store_explicit(&punch->seen.busy, false, memory_order_release);
	punch->host->own_endpoints_tell(punch->instance, atomic_load_explicit(&punch->listen, memory_order_relaxed), &seen, 1);
}

void
seen_at(struct tr_node *node, const struct tr_sockaddr *a)
{
	struct punch *punch = node->self;
	const uint64_t last = atomic_load_explicit(&punch->seen.last, memory_order_relaxed);
	if (a->addr.family == 0 || !peer_usable(a) || (last != 0 && *node->now < last + SEEN_GAP) || known(punch, a) ||
		told_of(punch, a, *node->now) || atomic_exchange_explicit(&punch->seen.busy, true, memory_order_acquire))
		return;
	punch->seen.address = *a;
	if (punch->host->post(punch->instance, TR_THREAD_CONTROL, tell, NULL) != 0) {
		atomic_store_explicit(&punch->seen.busy, false, memory_order_release);
		return;
	}
	atomic_store_explicit(&punch->seen.last, *node->now, memory_order_relaxed);
	node->count[COUNT_SEEN]++;
}
