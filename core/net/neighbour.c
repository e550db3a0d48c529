/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/neighbour.h"

#include "net/ip.h"

static uint64_t
load(const struct neighbour *e)
{
	return atomic_load_explicit(&e->link, memory_order_acquire);
}

static unsigned
home(const struct neighbours *t, uint32_t link_id, const struct tr_addr *a)
{
	return (unsigned)ip_hash(a->ip, t->seed ^ link_id) % NEIGHBOURS;
}

static bool
is_key(const struct neighbour *e, uint32_t link_id, const struct tr_addr *a)
{
	return e->link_id == link_id && tr_addr_eq(&e->addr, a);
}

struct neighbour *
neighbour_find(struct neighbours *t, uint32_t link_id, const struct tr_addr *a)
{
	unsigned at = home(t, link_id, a);
	for (unsigned i = 0; i < NEIGHBOUR_PROBE; i++) {
		struct neighbour *e = &t->entry[(at + i) % NEIGHBOURS];
		enum neighbour_state s = neighbour_state(load(e));
		if ((s == NEIGHBOUR_RESOLVED || s == NEIGHBOUR_INCOMPLETE) && is_key(e, link_id, a))
			return e;
	}
	return NULL;
}

/* Two workers may make an entry for the same key at once; all find the first of them, the other is swept as unheard. */
struct neighbour *
neighbour_get(struct neighbours *t, uint32_t link_id, const struct tr_addr *a, uint64_t now)
{
	struct neighbour *e = neighbour_find(t, link_id, a);
	if (e != NULL)
		return e;
	unsigned at = home(t, link_id, a);
	for (unsigned i = 0; i < NEIGHBOUR_PROBE; i++) {
		e = &t->entry[(at + i) % NEIGHBOURS];
		uint64_t expected = NEIGHBOUR_FREE;
		if (!atomic_compare_exchange_strong(&e->link, &expected, neighbour_link((const uint8_t[6]){0}, NEIGHBOUR_CLAIMED)))
			continue;
		e->link_id = link_id;
		e->addr = *a;
		atomic_store_explicit(&e->confirmed, now, memory_order_relaxed);
		atomic_store_explicit(&e->probed, 0, memory_order_relaxed);
		atomic_store_explicit(&e->probes, 0, memory_order_relaxed);
		atomic_store_explicit(&e->link, neighbour_link((const uint8_t[6]){0}, NEIGHBOUR_INCOMPLETE), memory_order_release);
		return e;
	}
	return NULL;
}

static bool
is_static(const struct neighbour *e)
{
	return atomic_load_explicit(&e->confirmed, memory_order_relaxed) == NEIGHBOUR_STATIC;
}

/* `at`: when it was heard. */
static void
store(struct neighbour *e, const uint8_t mac[6], uint64_t at)
{
	uint64_t old = load(e), link = neighbour_link(mac, NEIGHBOUR_RESOLVED);
	do {
		if (neighbour_state(old) != NEIGHBOUR_RESOLVED && neighbour_state(old) != NEIGHBOUR_INCOMPLETE)
			return;
	} while (old != link && !atomic_compare_exchange_weak(&e->link, &old, link));
	atomic_store_explicit(&e->confirmed, at, memory_order_relaxed);
	atomic_store_explicit(&e->probes, 0, memory_order_relaxed);
}

static void
set(struct neighbour *e, const uint8_t mac[6], uint64_t at)
{
	if (!is_static(e))
		store(e, mac, at);
}

void
neighbour_learn(struct neighbour *e, const uint8_t mac[6], uint64_t now)
{
	set(e, mac, now);
}

/* The latest time that makes it stale. */
static uint64_t
long_ago(uint64_t now)
{
	return now > NEIGHBOUR_REACHABLE_NS ? now - NEIGHBOUR_REACHABLE_NS - 1 : 0;
}

void
neighbour_hint(struct neighbour *e, const uint8_t mac[6], uint64_t now)
{
	uint64_t link = load(e);
	if (neighbour_state(link) != NEIGHBOUR_RESOLVED || link != neighbour_link(mac, NEIGHBOUR_RESOLVED))
		set(e, mac, long_ago(now));
}

void
neighbour_advertised(struct neighbour *e, const uint8_t *mac, bool solicited, bool override, uint64_t now)
{
	uint64_t link = load(e);
	const bool known = neighbour_state(link) == NEIGHBOUR_RESOLVED;
	uint8_t old[6];
	memcpy(old, &link, 6);
	if (!known && mac == NULL)
		return;
	const bool other = known && mac != NULL && memcmp(mac, old, 6) != 0;
	if (other && !override) { /* somebody else claims to be it: ask, when it is used */
		if (!is_static(e) && atomic_load_explicit(&e->confirmed, memory_order_relaxed) > long_ago(now))
			atomic_store_explicit(&e->confirmed, long_ago(now), memory_order_relaxed);
	} else if (solicited) {
		set(e, mac != NULL ? mac : old, now);
	} else if (!known || other) {
		set(e, mac, long_ago(now));
	}
}

void
neighbour_fix(struct neighbour *e, const uint8_t mac[6])
{
	store(e, mac, NEIGHBOUR_STATIC);
}

bool
neighbour_probe(struct neighbour *e, uint64_t now)
{
	uint64_t last = atomic_load_explicit(&e->probed, memory_order_relaxed);
	if ((last != 0 && now - last < NEIGHBOUR_RETRY_NS) ||
	    atomic_load_explicit(&e->probes, memory_order_relaxed) >= NEIGHBOUR_TRIES)
		return false;
	if (!atomic_compare_exchange_strong(&e->probed, &last, now))
		return false;
	atomic_fetch_add_explicit(&e->probes, 1, memory_order_relaxed);
	return true;
}

bool
neighbour_failed(struct neighbour *e, uint64_t now)
{
	return atomic_load_explicit(&e->probes, memory_order_relaxed) >= NEIGHBOUR_TRIES &&
	       now - atomic_load_explicit(&e->probed, memory_order_relaxed) >= NEIGHBOUR_RETRY_NS;
}

static void
reuse(void *entry)
{
	struct neighbour *e = entry;
	atomic_store_explicit(&e->link, NEIGHBOUR_FREE, memory_order_release);
}

void
neighbour_kill(struct neighbour *e, const struct tr_host *host, struct tr_instance *instance)
{
	uint64_t old = load(e);
	do {
		if (neighbour_state(old) != NEIGHBOUR_RESOLVED && neighbour_state(old) != NEIGHBOUR_INCOMPLETE)
			return;
	} while (!atomic_compare_exchange_weak(&e->link, &old, (uint64_t)NEIGHBOUR_DEAD << 48));
	host->defer(instance, reuse, e);
}

void
neighbour_sweep(struct neighbours *t, unsigned from, unsigned n, uint64_t now, const struct tr_host *host,
	struct tr_instance *instance)
{
	for (unsigned i = from; i < from + n; i++) {
		struct neighbour *e = &t->entry[i % NEIGHBOURS];
		enum neighbour_state s = neighbour_state(load(e));
		uint64_t heard = atomic_load_explicit(&e->confirmed, memory_order_relaxed), limit = NEIGHBOUR_EXPIRE_NS;
		if (s == NEIGHBOUR_INCOMPLETE)
			limit = (uint64_t)NEIGHBOUR_RETRY_NS * (NEIGHBOUR_TRIES + 1);
		else if (s != NEIGHBOUR_RESOLVED)
			continue;
		if (neighbour_failed(e, now) || (now > heard && now - heard > limit))
			neighbour_kill(e, host, instance);
	}
}
