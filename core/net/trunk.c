/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/trunk.h"

#include "net/ip.h"

#include <rte_ether.h>
#include <stdlib.h>

#define LIVE_NS UINT64_C(10000000) /* a queue not polled for this long has no interface on this worker */

struct queue {
	_Alignas(64) uint64_t polled; /* worker; ns */
	uint16_t n;
	struct rte_mbuf *pkt[TRUNK_QUEUE];
};

struct trunk {
	struct trunk *next;
	struct port *port;
	uint16_t workers;
	unsigned refs;
	_Atomic unsigned slots;      /* in use; control thread writes */
	_Atomic uint8_t slot[4096];  /* tag -> slot + 1; control thread writes */
	unsigned slot_refs[TRUNK_SLOTS];
	uint16_t slot_tag[TRUNK_SLOTS];
	struct queue *queue; /* [slot][worker] */
};

static struct trunk *trunks; /* control thread */

static struct trunk *
trunk_of(struct port *port, uint16_t workers)
{
	for (struct trunk *t = trunks; t != NULL; t = t->next)
		if (t->port == port)
			return t;
	struct trunk *t = calloc(1, sizeof(*t));
	if (t == NULL)
		return NULL;
	t->queue = aligned_alloc(64, sizeof(*t->queue) * TRUNK_SLOTS * workers);
	if (t->queue == NULL) {
		free(t);
		return NULL;
	}
	for (unsigned i = 0; i < TRUNK_SLOTS * (unsigned)workers; i++) {
		t->queue[i].n = 0;
		t->queue[i].polled = 0;
	}
	t->port = port;
	t->workers = workers;
	t->next = trunks;
	trunks = t;
	return t;
}

static void
trunk_put(struct trunk *t)
{
	if (t->refs > 0)
		return;
	struct trunk **at = &trunks;
	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	free(t->queue);
	free(t);
}

struct trunk *
trunk_join(struct port *port, uint16_t workers, uint16_t tag, unsigned *slot)
{
	struct trunk *t = trunk_of(port, workers);
	if (t == NULL)
		return NULL;
	unsigned s = atomic_load(&t->slot[tag]);
	if (s == 0) {
		while (s < TRUNK_SLOTS && t->slot_refs[s] > 0)
			s++;
		if (s == TRUNK_SLOTS) {
			trunk_put(t);
			return NULL;
		}
		t->slot_tag[s] = tag;
		atomic_store(&t->slot[tag], (uint8_t)(s + 1));
		atomic_fetch_add(&t->slots, 1);
	} else {
		s--;
	}
	t->slot_refs[s]++;
	t->refs++;
	*slot = s;
	return t;
}

/* After a grace period: no worker polls this slot any more, so its queues may be emptied from here. */
void
trunk_leave(struct trunk *t, unsigned slot)
{
	if (--t->slot_refs[slot] == 0) {
		atomic_store(&t->slot[t->slot_tag[slot]], 0);
		atomic_fetch_sub(&t->slots, 1);
		for (uint16_t w = 0; w < t->workers; w++) {
			struct queue *q = &t->queue[slot * t->workers + w];
			rte_pktmbuf_free_bulk(q->pkt, q->n);
			q->n = 0;
		}
	}
	t->refs--;
	trunk_put(t);
}

uint16_t
trunk_tag(const struct rte_mbuf *m)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	if (m->data_len < RTE_ETHER_HDR_LEN + 4 || get_be16(p + 12) != RTE_ETHER_TYPE_VLAN)
		return 0;
	return get_be16(p + 14) & 0xfff;
}

static bool
live(const struct queue *q, uint64_t now)
{
	return q->polled + LIVE_NS > now;
}

static bool
any_waiting(const struct trunk *t, uint16_t worker, uint64_t now, uint16_t n)
{
	for (unsigned s = 0; s < TRUNK_SLOTS; s++) {
		const struct queue *q = &t->queue[s * t->workers + worker];
		if (q->n > TRUNK_QUEUE - n && live(q, now))
			return true;
	}
	return false;
}

uint16_t
trunk_rx(struct trunk *t, uint16_t worker, unsigned slot, uint64_t now, struct rte_mbuf **pkts, uint16_t n)
{
	struct queue *mine = &t->queue[slot * t->workers + worker];
	if (atomic_load_explicit(&t->slots, memory_order_relaxed) == 1 && mine->n == 0)
		return port_rx(t->port, worker, pkts, n);
	mine->polled = now;
	if (mine->n > 0) {
		uint16_t take = mine->n < n ? mine->n : n;
		memcpy(pkts, mine->pkt, take * sizeof(*pkts));
		mine->n = (uint16_t)(mine->n - take);
		memmove(mine->pkt, mine->pkt + take, mine->n * sizeof(*pkts));
		return take;
	}
	if (any_waiting(t, worker, now, n))
		return 0;
	uint16_t got = port_rx(t->port, worker, pkts, n), kept = 0;
	for (uint16_t i = 0; i < got; i++) {
		unsigned s = atomic_load_explicit(&t->slot[trunk_tag(pkts[i])], memory_order_relaxed);
		struct queue *q = s == 0 ? mine : &t->queue[(s - 1) * t->workers + worker];
		if (q != mine && live(q, now) && q->n < TRUNK_QUEUE)
			q->pkt[q->n++] = pkts[i];
		else
			pkts[kept++] = pkts[i];
	}
	return kept;
}
