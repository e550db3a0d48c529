/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to relays, their answers, and when what is done. The handshake with a relay: bind.c. */
#include "bind.h"
#include "geneve.h"
#include "report.h"

#include <rte_mbuf.h>

/* ---- Who may relay ---- */

void
via_peer(struct tr_node *node, enum tr_peer_event event, uint32_t id)
{
	struct punch *punch = node->self;
	_Atomic uint32_t *known = punch->relays->peer;
	const struct tr_peer *record = node->host->peer(punch->instance, id);
	const bool may = event != TR_PEER_REMOVED && record != NULL && record->relay;
	for (unsigned i = 0; i < RELAYS; i++) {
		if (atomic_load_explicit(&known[i], memory_order_relaxed) != id)
			continue;
		if (!may)
			atomic_store_explicit(&known[i], 0, memory_order_relaxed);
		if (!may)
			report_forget(punch, i);
		return;
	}
	for (unsigned i = 0; may && i < RELAYS; i++) {
		uint32_t none = 0;
		if (atomic_compare_exchange_strong_explicit(&known[i], &none, id, memory_order_relaxed, memory_order_relaxed))
			return;
	}
}

/* ---- Requests ---- */

static void
send_request(struct tr_node *node, uint32_t id, const struct via_ask *ask)
{
	struct punch *punch = node->self;
	const struct tr_peer *record = node->host->peer(punch->instance, id);
	struct disco_allocate request = {.generation = ask->generation};
	struct rte_mbuf *m = node->host->packet_new(node);
	uint8_t *payload = m ? (uint8_t *)rte_pktmbuf_append(m, DISCO_ALLOCATE_LEN) : NULL;
	if (payload == NULL) {
		if (m != NULL)
			node->host->packet_drop(node, m, DROP_NO_ROOM);
		node->count[COUNT_NO_PACKET]++;
		return;
	}
	const bool low = memcmp(punch->self->key, record->disco_key, DISCO_KEY) < 0; /* stock sends them in order */
	memcpy(request.client[low ? 0 : 1], punch->self->key, DISCO_KEY);
	memcpy(request.client[low ? 1 : 0], record->disco_key, DISCO_KEY);
	disco_allocate(payload, &request);
	struct tr_meta *meta = tr_meta(m);
	meta->peer = ask->relay;
	meta->endpoint = (struct tr_endpoint){0};
	node->host->emit(node, OUT_SEAL, &m, 1);
	node->count[COUNT_ASKED]++;
	report_asked(punch, ask->relay);
}

static void
ask_all(struct tr_node *node, uint32_t id, struct vias *v)
{
	struct punch *punch = node->self;
	unsigned n = 0;
	for (unsigned i = 0; i < RELAYS && n < VIAS; i++) {
		const uint32_t relay = atomic_load_explicit(&punch->relays->peer[i], memory_order_relaxed);
		if (relay == TR_NO_PEER || relay == id)
			continue;
		struct via_ask *ask = &v->ask[n++];
		*ask = (struct via_ask){.relay = relay, .at = *node->now};
		node->host->crypto->random(&ask->generation, sizeof(ask->generation));
		send_request(node, id, ask);
	}
}

static bool
trusted(const struct via *via, uint64_t now)
{
	return via->state == VIA_BOUND && via->answered != 0 && now < via->answered + TRUST;
}

void
via_consider(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct vias *v = vias_of(node->self, id);
	const uint64_t now = *node->now;
	bool one = false;
	for (unsigned i = 0; i < VIAS; i++) {
		struct via *via = &v->via[i];
		if (trusted(via, now))
			one = true;
		else if (via->state == VIA_BOUND && via->next == 0 && now >= via->pinged + PING_GAP)
			bind_ping(node, p, via);
	}
	if (v->asked != 0 && now < v->asked + (one ? VIA_BETTER : VIA_GAP))
		return;
	v->asked = now;
	ask_all(node, id, v);
}

/* ---- Paths ---- */

static void
name_relay(const struct punch *punch, uint32_t id, const struct via *via, uint32_t relay)
{
	struct via_names *names = tr_block(punch->via_names, id);
	const uint64_t value = relay == TR_NO_PEER ? 0 : ((uint64_t)via->path.vni + 1) << 32 | relay;
	atomic_store_explicit(&names->relay[via - vias_of(punch, id)->via], value, memory_order_relaxed);
}

uint32_t
via_named(const struct punch *punch, uint32_t id, const struct via *via)
{
	const struct via_names *names = tr_block(punch->via_names, id);
	return (uint32_t)atomic_load_explicit(&names->relay[via - vias_of(punch, id)->via], memory_order_relaxed);
}

uint32_t
via_relay(const struct punch *punch, uint32_t id, uint32_t vni)
{
	const struct via_names *names = tr_block(punch->via_names, id);
	for (unsigned i = 0; i < VIAS; i++) {
		const uint64_t value = atomic_load_explicit(&names->relay[i], memory_order_relaxed);
		if (value >> 32 == (uint64_t)vni + 1)
			return (uint32_t)value;
	}
	return TR_NO_PEER;
}

static void
drop_via(struct tr_node *node, uint32_t id, struct via *via)
{
	struct punch *punch = node->self;
	if (via->state == VIA_BINDING)
		bind_end(punch, id, via);
	if (via->told) {
		const struct tr_path gone = {.endpoint = via->at, .state = TR_PATH_GONE};
		node->host->path_tell(node, id, &gone);
	}
	if (via->answered != 0)
		report_path(punch, via_named(punch, id, via), false);
	name_relay(punch, id, via, TR_NO_PEER);
	node->host->crypto->wipe(via, sizeof(*via));
}

void
via_forget(struct tr_node *node, uint32_t id)
{
	struct vias *v = vias_of(node->self, id);
	for (unsigned i = 0; i < VIAS; i++)
		if (v->via[i].state != VIA_FREE)
			drop_via(node, id, &v->via[i]);
	node->host->crypto->wipe(v, sizeof(*v));
}

/* Is it a path between the two of us? The peer or we may have started anew since. */
static bool
between_us(const struct punch *punch, const struct tr_peer *record, const struct disco_relay *path)
{
	const uint8_t *ours = punch->self->key, *theirs = record->disco_key;
	const unsigned we = memcmp(path->client[0], ours, DISCO_KEY) == 0 ? 0 : 1;
	return memcmp(path->client[we], ours, DISCO_KEY) == 0 && memcmp(path->client[1 - we], theirs, DISCO_KEY) == 0;
}

/* Of the same relay; else a free one, or the one that was answered on longest ago. NULL: all are in use. */
static struct via *
room_for(struct tr_node *node, uint32_t id, struct vias *v, const struct disco_relay *path)
{
	struct via *room = NULL;
	for (unsigned i = 0; i < VIAS; i++)
		if (v->via[i].state != VIA_FREE && memcmp(v->via[i].path.server, path->server, DISCO_KEY) == 0)
			return &v->via[i];
	for (unsigned i = 0; i < VIAS; i++) {
		struct via *via = &v->via[i];
		if (via->state == VIA_FREE)
			return via;
		if (!trusted(via, *node->now) && (room == NULL || via->answered < room->answered))
			room = via;
	}
	if (room != NULL)
		drop_via(node, id, room);
	return room;
}

bool
via_take(struct tr_node *node, uint32_t id, struct peer *p, const struct disco_relay *path, uint32_t relay)
{
	struct punch *punch = node->self;
	const struct tr_peer *record = node->host->peer(punch->instance, id);
	struct vias *v = vias_of(punch, id);
	if (record == NULL || !between_us(punch, record, path) || path->vni > GENEVE_VNI_MAX)
		return false;
	struct via *via = room_for(node, id, v, path);
	if (via == NULL)
		return false;
	if (relay != TR_NO_PEER)
		bind_call(node, id, p, path);
	const bool same = via->state != VIA_FREE && via->path.vni == path->vni && via->path.id == path->id;
	if (same && (via->state == VIA_KEY || via->state == VIA_BINDING || trusted(via, *node->now)))
		return true; /* under way, or in use */
	if (via->state != VIA_FREE && !same && path->id < via->path.id)
		return true; /* what came later has overtaken it */
	if (via->state != VIA_FREE)
		drop_via(node, id, via);
	via->path = *path;
	name_relay(punch, id, via, relay != TR_NO_PEER ? relay : node->host->peer_by_disco(punch->instance, path->server));
	return bind_begin(node, id, via);
}

/* Answers of relays, opened at the relay's owner, go to the owner of the peer that the path leads to. */
uint16_t
via_allocated(struct tr_node *node, struct rte_mbuf *m)
{
	struct punch *punch = node->self;
	struct tr_meta *meta = tr_meta(m);
	struct disco_relay path;
	if (!disco_parse_relay(&path, rte_pktmbuf_mtod(m, const void *), m->data_len))
		return TR_DROP(DROP_SHORT);
	const unsigned we = memcmp(path.client[0], punch->self->key, DISCO_KEY) == 0 ? 0 : 1;
	const uint32_t other = node->host->peer_by_disco(punch->instance, path.client[1 - we]);
	if (other == TR_NO_PEER)
		return TR_DROP(DROP_NOT_OURS);
	meta->mark = meta->peer;
	meta->peer = other;
	return OUT_ALLOCATED;
}

static enum drop
take_answer(struct tr_node *node, struct rte_mbuf *m)
{
	struct punch *punch = node->self;
	const struct tr_meta *meta = tr_meta(m);
	const struct tr_peer *record;
	struct disco_relay path;
	struct peer *p = peer_get(node, meta->peer, &record);
	if (p == NULL || !send_ready(punch, p, record))
		return DROP_PEER_GONE;
	disco_parse_relay(&path, rte_pktmbuf_mtod(m, const void *), m->data_len);
	struct vias *v = vias_of(punch, meta->peer);
	for (unsigned i = 0; i < VIAS; i++) {
		struct via_ask *ask = &v->ask[i];
		if (ask->relay != meta->mark || ask->generation != path.generation)
			continue;
		ask->relay = 0;
		report_answered(punch, meta->mark, *node->now);
		const bool taken = via_take(node, meta->peer, p, &path, meta->mark);
		peer_schedule(node, meta->peer, p);
		return taken ? DROP_CONSUMED : DROP_NOT_OURS;
	}
	return DROP_NOT_ASKED;
}

void
via_allocations(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = TR_DROP(take_answer(node, pkts[i]));
}

/* ---- Pings ---- */

bool
via_pong(struct tr_node *node, uint32_t id, const uint8_t txid[DISCO_TXID])
{
	struct vias *v = vias_of(node->self, id);
	const uint64_t now = *node->now;
	for (unsigned i = 0; i < VIAS * 2; i++) {
		struct via *via = &v->via[i / 2];
		struct attempt *ping = &via->attempt[i % 2];
		if (!ping->open || memcmp(ping->txid, txid, DISCO_TXID) != 0)
			continue;
		ping->open = 0;
		const uint64_t latency = now > ping->sent ? now - ping->sent : 1;
		via->rtt = slow_of(via->rtt, latency);
		struct tr_path news = {.endpoint = via->at, .state = TR_PATH_ALIVE, .until = now + TRUST,
			.latency_us = (uint32_t)(latency / 1000 + 1), .origin = TR_PATH_PROBED};
		news.endpoint.mtu = probe_payload(node, id, &via->at);
		if (via->answered == 0) {
			node->count[COUNT_VIA_FOUND]++;
			report_path(node->self, via_named(node->self, id, via), true);
		}
		via->answered = now;
		via->next = 0;
		via->told = true;
		node->host->path_tell(node, id, &news);
		return true;
	}
	return false;
}

void
via_pinged(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_endpoint *from)
{
	struct vias *v = vias_of(node->self, id);
	struct via *via = bind_find(v, from);
	/* Until it has bound, what we sent did not reach it: its first ping is the time for the next of ours. */
	const uint64_t gap = via != NULL && via->answered == 0 ? 10 * MS : 200 * MS;
	if (via != NULL && !trusted(via, *node->now) && *node->now >= via->pinged + gap)
		bind_ping(node, p, via);
}

void
via_wanted(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_path *in_use)
{
	struct via *via = bind_find(vias_of(node->self, id), &in_use->endpoint);
	if (via != NULL && peer_doubt(p, in_use, via->pinged, via->answered, via->rtt, *node->now) & DOUBT_PING)
		bind_ping(node, p, via);
}

void
via_beat(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_path *in_use)
{
	struct via *via = bind_find(vias_of(node->self, id), &in_use->endpoint);
	if (via == NULL)
		return;
	peer_lively(p, in_use, via->answered);
	bind_ping(node, p, via);
	if (trusted(via, *node->now))
		probe_beat(node, id, p, &via->at);
}

/* ---- Time ---- */

static void
time_out(struct tr_node *node, uint32_t id, struct via *via)
{
	for (unsigned k = 0; k < 2; k++) {
		struct attempt *a = &via->attempt[k];
		if (!a->open || *node->now < a->sent + PING_TIMEOUT)
			continue;
		a->open = 0;
		node->count[COUNT_TIMEOUTS]++;
		if (!via->told || via->answered >= a->sent)
			continue;
		const struct tr_path dead = {.endpoint = via->at, .state = TR_PATH_DEAD, .origin = TR_PATH_PROBED};
		node->host->path_tell(node, id, &dead);
	}
}

/* As for a direct path (peer.c). */
static void
lose_patience(struct tr_node *node, uint32_t id, struct peer *p, struct via *via)
{
	struct punch *punch = node->self;
	struct tr_path best;
	if (!trusted(via, *node->now) || via->answered >= via->pinged || *node->now < via->pinged + patience(via->rtt) ||
		node->host->path_list(punch->instance, id, &best, 1) != 1 || best.use != TR_PATH_IN_USE || best.until <= *node->now ||
		best.endpoint.gate != TR_KIND_RELAY || wrap_vni(&best.endpoint) != wrap_vni(&via->at))
		return;
	const struct tr_path doubt = {.endpoint = via->at, .state = TR_PATH_TRIED, .origin = TR_PATH_PROBED};
	node->host->path_tell(node, id, &doubt);
	node->count[COUNT_DOUBTS]++;
	bind_ping(node, p, via);
}

void
via_tick(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct punch *punch = node->self;
	struct vias *v = vias_of(punch, id);
	const struct tr_peer *record = node->host->peer(punch->instance, id);
	const uint64_t now = *node->now;
	for (unsigned i = 0; i < VIAS; i++) {
		struct via *via = &v->via[i];
		struct via_ask *ask = &v->ask[i];
		if (ask->relay != 0 && now >= ask->at + VIA_ASK_END) {
			report_unanswered(punch, ask->relay);
			ask->relay = 0;
		} else if (ask->relay != 0 && !ask->again && now >= ask->at + VIA_ASK_AGAIN) {
			ask->again = true;
			send_request(node, id, ask);
		}
		if (via->state == VIA_FREE)
			continue;
		time_out(node, id, via);
		const uint64_t alive = via->answered > via->begun ? via->answered : via->begun;
		if (!between_us(punch, record, &via->path) || (via->next != 0 && now >= via->begun + VIA_HANDSHAKE) ||
			(now >= alive + VIA_LOST && now < via->pinged + PING_TIMEOUT * 2) || now >= alive + via->path.idle_ns)
			drop_via(node, id, via);
		else if (via->next != 0 && now >= via->next)
			bind_step(node, id, p, via);
		else
			lose_patience(node, id, p, via);
	}
}

static uint64_t
earlier(uint64_t a, uint64_t b)
{
	return a == 0 || b < a ? b : a;
}

uint64_t
via_next(const struct punch *punch, uint32_t id, uint64_t next, uint64_t now)
{
	const struct vias *v = vias_of(punch, id);
	for (unsigned i = 0; i < VIAS; i++) {
		const struct via_ask *ask = &v->ask[i];
		const struct via *via = &v->via[i];
		if (ask->relay != 0)
			next = earlier(next, ask->at + (ask->again ? VIA_ASK_END : VIA_ASK_AGAIN));
		if (via->next != 0)
			next = earlier(next, via->next);
		const uint64_t late = via->pinged + patience(via->rtt);
		if (via->answered != 0 && via->answered < via->pinged && now < late)
			next = earlier(next, late);
		for (unsigned k = 0; k < 2; k++)
			if (via->attempt[k].open)
				next = earlier(next, via->attempt[k].sent + PING_TIMEOUT);
	}
	return next;
}
