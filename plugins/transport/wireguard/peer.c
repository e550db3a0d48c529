/* SPDX-License-Identifier: BSD-3-Clause */
#include "wireguard.h"

#include <rte_mbuf.h>

/* Empties a slot; only the words of the window that were used are cleared. */
static void
pair_delete(struct tr_node *node, uint32_t id, unsigned slot)
{
	const struct wg *wg = node->self;
	if (slot == SLOT_NONE)
		return;
	struct traffic *t = &hot_of(wg, id)->t;
	struct pair *p = pair_of(wg, id, slot);
	uint64_t words = p->replay.next ? (p->replay.next - 1) / 64 + 1 : 0;

	node->host->index_free(node, t->index[slot - 1]);
	t->index[slot - 1] = 0;
	wg->crypto->wipe(p->key, sizeof(p->key));
	memset(p->replay.bits, 0, (words < REPLAY_WORDS ? words : REPLAY_WORDS) * sizeof(p->replay.bits[0]));
	p->replay.newest = p->replay.next = p->reject_at = p->last_minute_at = 0;
}

static uint8_t
pair_add(struct tr_node *node, uint32_t id, const uint8_t key[32], uint32_t index, bool initiator)
{
	const struct wg *wg = node->self;
	struct traffic *t = &hot_of(wg, id)->t;
	uint8_t slot = 1;
	while (t->index[slot - 1])
		slot++; /* of three, at most two are in use here */
	struct pair *p = pair_of(wg, id, slot);
	memcpy(p->key, key, sizeof(p->key));
	p->reject_at = *node->now + REJECT_AFTER_TIME;
	p->last_minute_at =
		initiator ? *node->now + REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT : UINT64_MAX;
	t->index[slot - 1] = index;
	return slot;
}

static void
sending_set(struct wg *wg, uint32_t id, const uint8_t key[32], uint32_t remote, uint64_t rekey_at, uint64_t reject_at)
{
	struct sending *s = &hot_of(wg, id)->send;
	memcpy(s->key, key, sizeof(s->key));
	s->counter = 0;
	s->remote = remote;
	s->rekey_at = rekey_at;
	__atomic_store_n(&s->reject_at, reject_at, __ATOMIC_RELAXED);
}

static void
session_begun(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	peer_activate(node, id);
	peer_of(wg, id)->erase_due = *node->now + ERASE_AFTER_TIME;
	node->host->path_session(node, id);
	node->count[COUNT_SESSIONS]++;
}

void
peer_begin_initiator(struct tr_node *node, uint32_t id, const struct noise_keys *keys, uint32_t index, uint32_t remote)
{
	struct wg *wg = node->self;
	struct traffic *t = &hot_of(wg, id)->t;

	pair_delete(node, id, t->previous);
	if (t->next) { /* the other end may already send with it; with ours it never will */
		t->previous = t->next;
		t->next = SLOT_NONE;
		wg->crypto->wipe(peer_of(wg, id)->next_key, 32);
		pair_delete(node, id, t->current);
	} else {
		t->previous = t->current;
	}
	t->current = pair_add(node, id, keys->receive, index, true);
	sending_set(wg, id, keys->send, remote, *node->now + REKEY_AFTER_TIME, *node->now + REJECT_AFTER_TIME);
	peer_of(wg, id)->start_due = 0;
	session_begun(node, id);
}

void
peer_begin_responder(struct tr_node *node, uint32_t id, const struct noise_keys *keys, uint32_t index, uint32_t remote)
{
	struct wg *wg = node->self;
	struct traffic *t = &hot_of(wg, id)->t;
	struct peer *p = peer_of(wg, id);

	pair_delete(node, id, t->next);
	pair_delete(node, id, t->previous);
	t->previous = SLOT_NONE;
	t->next = pair_add(node, id, keys->receive, index, false);
	memcpy(p->next_key, keys->send, sizeof(p->next_key));
	p->next_remote = remote;
	session_begun(node, id);
}

void
peer_confirm(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	struct traffic *t = &hot_of(wg, id)->t;
	struct peer *p = peer_of(wg, id);

	pair_delete(node, id, t->previous);
	t->previous = t->current;
	t->current = t->next;
	t->next = SLOT_NONE;
	sending_set(wg, id, p->next_key, p->next_remote, UINT64_MAX, pair_of(wg, id, t->current)->reject_at);
	wg->crypto->wipe(p->next_key, sizeof(p->next_key));
	p->start_due = 0; /* what was waited for is there */
}

void
peer_clear_handshake(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	struct peer *p = peer_of(wg, id);
	if (p->index)
		node->host->index_free(node, p->index);
	p->index = 0;
	__atomic_store_n(&p->state, HANDSHAKE_NONE, __ATOMIC_RELAXED);
	wg->crypto->wipe(&p->handshake, sizeof(p->handshake));
}

void
peer_erase(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	struct hot *h = hot_of(wg, id);
	struct peer *p = peer_of(wg, id);

	peer_clear_handshake(node, id);
	pair_delete(node, id, h->t.current);
	pair_delete(node, id, h->t.next);
	pair_delete(node, id, h->t.previous);
	h->t.current = h->t.next = h->t.previous = SLOT_NONE;
	__atomic_store_n(&h->send.reject_at, 0, __ATOMIC_RELAXED);
	wg->crypto->wipe(h->send.key, sizeof(h->send.key));
	wg->crypto->wipe(p->next_key, sizeof(p->next_key));
	wg->crypto->wipe(&p->cookie, sizeof(p->cookie));
	p->erase_due = 0;
}

/* ---- Staged packets ---- */

static struct rte_mbuf **
staged_link(struct rte_mbuf *m)
{
	return (struct rte_mbuf **)&tr_meta(m)->scratch[0];
}

uint16_t
peer_unstage(struct tr_node *node, uint32_t id, struct rte_mbuf **out, uint16_t max)
{
	struct peer *p = peer_of(node->self, id);
	uint16_t n = 0;
	while (n < max && p->staged_n) {
		struct rte_mbuf *m = out[n++] = p->staged_first;
		p->staged_first = *staged_link(m);
		p->staged_n--;
	}
	worker_of(node)->staged -= n;
	return n;
}

uint16_t
peer_stage(struct tr_node *node, uint32_t id, struct rte_mbuf *m)
{
	const struct wg *wg = node->self;
	struct peer *p = peer_of(wg, id);
	struct worker *w = worker_of(node);
	struct rte_mbuf *oldest = NULL;

	if (!node->host->peer(wg->instance, id)) /* removed, when the packet was on its way from another thread */
		return TR_DROP(DROP_PEER_GONE);
	if (p->staged_n >= STAGED_PER_PEER || (w->staged >= STAGED_PER_WORKER && p->staged_n)) {
		peer_unstage(node, id, &oldest, 1);
		node->host->packet_drop(node, oldest, DROP_STAGED_FULL);
	} else if (w->staged >= STAGED_PER_WORKER) {
		return TR_DROP(DROP_STAGED_FULL);
	}
	peer_activate(node, id);
	*staged_link(m) = NULL;
	if (p->staged_n)
		*staged_link(p->staged_last) = m;
	else
		p->staged_first = m;
	p->staged_last = m;
	p->staged_n++;
	w->staged++;
	return TR_HELD;
}

void
peer_drop_staged(struct tr_node *node, uint32_t id, uint16_t reason)
{
	struct rte_mbuf *m;
	while (peer_unstage(node, id, &m, 1))
		node->host->packet_drop(node, m, reason);
}

/* ---- The list of peers that hold anything ---- */

void
peer_activate(struct tr_node *node, uint32_t id)
{
	const struct wg *wg = node->self;
	struct peer *p = peer_of(wg, id);
	struct worker *w = worker_of(node);
	if (p->active)
		return;
	p->active = true;
	p->active_prev = 0;
	p->active_next = w->active;
	if (w->active)
		peer_of(wg, w->active)->active_prev = id;
	w->active = id;
}

void
peer_deactivate(struct tr_node *node, uint32_t id)
{
	const struct wg *wg = node->self;
	struct peer *p = peer_of(wg, id);
	if (!p->active)
		return;
	if (p->active_prev)
		peer_of(wg, p->active_prev)->active_next = p->active_next;
	else
		worker_of(node)->active = p->active_next;
	if (p->active_next)
		peer_of(wg, p->active_next)->active_prev = p->active_prev;
	p->active = false;
}
