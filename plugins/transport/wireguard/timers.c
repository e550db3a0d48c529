/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All deadlines of a peer behind one timer. The packet path only stores deadlines; it arms the timer when one is earlier
 * than what the timer waits for, which happens every few seconds. When it fires, what is due is done and the rest awaited.
 */
#include "wireguard.h"

uint64_t
timers_jitter(struct tr_node *node)
{
	struct worker *w = worker_of(node);
	if (!w->noise)
		node->host->crypto->random(&w->noise, sizeof(w->noise));
	w->noise = w->noise * 6364136223846793005u + 1442695040888963407u;
	return (w->noise >> 33) % (334 * MILLISECOND);
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return b && (!a || b < a) ? b : a;
}

void
timers_update(struct tr_node *node, uint32_t id)
{
	const struct wg *wg = node->self;
	const struct peer *p = peer_of(wg, id);
	const struct traffic *t = &hot_of(wg, id)->t;

	uint64_t due = earlier(earlier(p->retransmit_due, p->start_due), p->erase_due);
	due = earlier(earlier(due, t->keepalive_due), t->handshake_due);
	if (p->keepalive && t->last)
		due = earlier(due, t->last + p->keepalive * SECOND);
	if (due)
		timers_wake(node, id, due);
}

/* An initiation of ours was not answered. */
static void
retransmit(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	struct peer *p = peer_of(wg, id);

	p->retransmit_due = 0;
	if (p->retries <= MAX_RETRIES) {
		p->retries++;
		handshake_start(node, id, true);
		return;
	}
	node->count[COUNT_HANDSHAKES_GIVEN_UP]++;
	peer_clear_handshake(node, id);
	peer_drop_staged(node, id, DROP_NO_ANSWER);
	hot_of(wg, id)->t.keepalive_due = 0;
	if (!p->erase_due)
		p->erase_due = *node->now + ERASE_AFTER_TIME;
}

static void
erase(struct tr_node *node, uint32_t id)
{
	peer_drop_staged(node, id, DROP_NO_ANSWER);
	peer_erase(node, id);
	peer_deactivate(node, id);
}

static bool
is_due(uint64_t due, uint64_t now)
{
	return due && due <= now;
}

/* A session of ours that is hardly older than the silence in it: nothing has ever come back. */
static bool
never_heard(const struct sending *s, uint64_t now)
{
	return s->reject_at && s->rekey_at != UINT64_MAX &&
	       now < s->rekey_at - REKEY_AFTER_TIME + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + 2 * SECOND;
}

void
timers_fire(struct tr_node *node, struct tr_timer *timer)
{
	const struct wg *wg = node->self;
	uint32_t id = (uint32_t)(((uint8_t *)timer - offsetof(struct peer, timer) - wg->peers->base) / wg->peers->stride);
	struct peer *p = peer_of(wg, id);
	struct traffic *t = &hot_of(wg, id)->t;
	uint64_t now = *node->now;

	t->wake = 0;
	if (is_due(p->erase_due, now))
		erase(node, id);
	if (is_due(p->start_due, now)) {
		p->start_due = 0;
		handshake_start(node, id, true);
	}
	if (is_due(p->retransmit_due, now))
		retransmit(node, id);
	if (is_due(t->handshake_due, now)) {
		t->handshake_due = 0;
		p->retries = 0;
		node->count[COUNT_UNANSWERED] += never_heard(&hot_of(wg, id)->send, now);
		handshake_start(node, id, true); /* as a retry: the address that we send from may be what fails */
	}
	if (is_due(t->keepalive_due, now)) {
		t->keepalive_due = 0;
		send_keepalive(node, id);
		if (t->another_keepalive)
			t->keepalive_due = now + KEEPALIVE_TIMEOUT;
		t->another_keepalive = 0;
	}
	if (p->keepalive && t->last && now - t->last >= p->keepalive * SECOND) {
		t->last = now; /* also when nothing can be sent: it is tried once per interval */
		send_keepalive(node, id);
	}
	timers_update(node, id);
}

static void
peer_changed(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	const struct tr_peer *record = node->host->peer(wg->instance, id);
	if (!record)
		return;
	struct peer *p = peer_of(wg, id);
	if (!record->keepalive && !p->keepalive && !p->staged_n)
		return; /* an idle peer's memory is read, not written */
	bool lonely = record->keepalive && *node->now >= hot_of(wg, id)->send.reject_at;
	if ((record->keepalive && !p->keepalive) || lonely)
		send_keepalive(node, id);
	else if (p->staged_n)
		send_staged(node, id);
	p->keepalive = record->keepalive;
	timers_update(node, id);
}

static void
peer_removed(struct tr_node *node, uint32_t id)
{
	struct wg *wg = node->self;
	peer_drop_staged(node, id, DROP_PEER_GONE);
	peer_erase(node, id);
	peer_deactivate(node, id);
	node->host->timer_cancel(node, &peer_of(wg, id)->timer);
	hot_of(wg, id)->t.wake = 0;
}

void
timers_peer(struct tr_node *node, enum tr_peer_event event, uint32_t id)
{
	switch (event) {
	case TR_PEER_ADDED:
	case TR_PEER_CHANGED:
		peer_changed(node, id);
		break;
	case TR_PEER_REMOVED:
		peer_removed(node, id);
		break;
	case TR_PEER_RESUME:
		handshake_start(node, id, false);
		break;
	case TR_PEER_WANTED: /* a prober's */
		break;
	}
}
