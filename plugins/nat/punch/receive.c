/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From a datagram to what it says: find the peer by its disco key (any worker), then open the box and act (the peer's
 * owner). Nothing before the box is open changes any state.
 */
#include "bind.h"

#include <rte_mbuf.h>
#include <rte_udp.h>
#include <tailrace/udp.h>

#define PONG_INTERVAL (SECOND / 50) /* what a peer may ask of us */
#define PONG_BURST 128
#define CALL_INTERVAL (SECOND / 2)
#define CALL_BURST 4
#define RELAY_INTERVAL (SECOND / 10) /* messages about peer relays */
#define RELAY_BURST 32

/* ---- Which peer ---- */

static uint16_t
find(struct tr_node *node, struct rte_mbuf *m)
{
	struct punch *punch = node->self;
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	if (!disco_is(data, m->data_len))
		return TR_DROP(DROP_NOT_DISCO);
	const uint32_t peer = node->host->peer_by_disco(punch->instance, disco_sender(data));
	if (peer == TR_NO_PEER)
		return TR_DROP(DROP_UNKNOWN);
	tr_meta(m)->peer = peer;
	return OUT_PEER;
}

void
receive_udp(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *payload = tr_udp_payload(pkts[i], &len);
		const uint16_t head = (uint16_t)(payload - rte_pktmbuf_mtod(pkts[i], const uint8_t *));
		gate[i] = TR_DROP(DROP_NOT_DISCO);
		if (pkts[i]->data_len < head || len > (size_t)(pkts[i]->data_len - head))
			continue;
		rte_pktmbuf_adj(pkts[i], head);
		rte_pktmbuf_trim(pkts[i], (uint16_t)(pkts[i]->data_len - len));
		gate[i] = find(node, pkts[i]);
	}
}

void
receive_relayed(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = find(node, pkts[i]);
}

/* ---- What it says ---- */

struct arrival {
	uint32_t id;
	struct peer *p;
	const struct tr_peer *record;
	const struct tr_endpoint *from;
	struct rte_mbuf *m; /* data at the payload */
	bool relayed; /* not from an address of the peer itself */
};

/* The address that it came from, as targets have it. */
static struct tr_endpoint
source_of(const struct tr_endpoint *from)
{
	struct tr_endpoint e = *from;
	if ((e.flags & TR_ENDPOINT_BOUND) == 0)
		e.local_port = 0;
	return e;
}

static enum drop
take_ping(struct tr_node *node, const struct arrival *a, const struct disco_message *m)
{
	struct peer *p = a->p;
	struct tr_path best;
	node->count[COUNT_PINGS]++;
	if (!bucket_pass(&p->pings, *node->now, PONG_INTERVAL, PONG_BURST))
		return DROP_RATE;
	if (a->relayed) {
		send_pong(node, p, a->from, m->txid);
		if (a->from->gate == TR_KIND_RELAY)
			via_pinged(node, a->id, p, a->from);
		peer_schedule(node, a->id, p);
		return DROP_CONSUMED;
	}
	const struct tr_endpoint e = source_of(a->from);
	struct target *t = peer_target(p, &e, FROM_PING);
	if (t != NULL && t->heard != 0 && memcmp(t->heard_txid, m->txid, DISCO_TXID) == 0)
		return DROP_REPLAYED; /* the last one once more */
	send_pong(node, p, a->from, m->txid);
	if (t == NULL)
		return DROP_NO_TARGET;
	t->heard = *node->now;
	memcpy(t->heard_txid, m->txid, DISCO_TXID);
	/* Stock waits for its next round. A ping that came in is the best reason to believe that one goes out. */
	if (t->pinged == 0 || (*node->now >= t->pinged + SECOND && !peer_direct(node, a->id, &best)))
		peer_ping(node, a->id, p, t);
	peer_schedule(node, a->id, p);
	return DROP_CONSUMED;
}

static enum drop
take_pong(struct tr_node *node, const struct arrival *a, const struct disco_message *m)
{
	struct peer *p = a->p;
	if (a->from->gate == TR_KIND_RELAY) {
		if (!via_pong(node, a->id, m->txid))
			return probe_answered(node, a->id, m->txid) ? DROP_CONSUMED : DROP_REPLAYED;
		node->count[COUNT_PONGS]++;
		return DROP_CONSUMED;
	}
	for (uint16_t i = 0; i < p->n; i++) {
		struct target *t = &p->target[i];
		for (unsigned k = 0; k < 2; k++) {
			struct attempt *ping = &t->attempt[k];
			if (!ping->open || memcmp(ping->txid, m->txid, DISCO_TXID) != 0)
				continue;
			ping->open = 0;
			node->count[COUNT_PONGS]++;
			if (a->relayed)
				return DROP_CONSUMED; /* says nothing of the path that the ping took */
			const uint64_t latency = *node->now > ping->sent ? *node->now - ping->sent : 1;
			t->rtt = slow_of(t->rtt, latency);
			struct tr_path news = {.endpoint = peer_endpoint(node->self, t), .state = TR_PATH_ALIVE,
				.until = *node->now + TRUST, .latency_us = (uint32_t)(latency / 1000 + 1),
				.origin = t->from & FROM_CALL ? TR_PATH_CALLED : TR_PATH_PROBED};
			news.endpoint.mtu = probe_payload(node, a->id, &news.endpoint);
			if (t->answered == 0)
				node->count[COUNT_DIRECT]++;
			t->answered = *node->now;
			t->told = true;
			node->host->path_tell(node, a->id, &news);
			if (t->local_port != 0)
				p->search.hit = m->address[0];
			else
				seen_at(node, &m->address[0]);
			if (t->local_port != 0 && p->search.due != 0)
				node->count[COUNT_SEARCH_HITS]++;
			search_end(p, true, *node->now);
			return DROP_CONSUMED;
		}
	}
	return !a->relayed && probe_answered(node, a->id, m->txid) ? DROP_CONSUMED : DROP_REPLAYED;
}

/* Somebody whose outside port depends on whom he sends to is called by several ports of one address. */
static bool
looks_hard(const struct disco_message *m)
{
	for (uint16_t i = 0; i < m->n; i++)
		for (uint16_t k = 0; k < i; k++)
			if (m->address[i].addr.family == 4 && tr_addr_eq(&m->address[i].addr, &m->address[k].addr) &&
				m->address[i].port != m->address[k].port)
				return true;
	return false;
}

bool
peer_usable(const struct tr_sockaddr *a)
{
	static const uint8_t none[16];
	const uint8_t *ip = a->addr.ip;
	if (a->port == 0 || memcmp(ip, none, sizeof(none)) == 0)
		return false;
	if (a->addr.family == 4)
		return ip[0] != 127 && ip[0] < 224;
	return ip[0] != 0xff && !(ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80);
}

/* By DERP, whose client is the node that has the disco key. */
static bool
by_node(const struct arrival *a, enum drop *why)
{
	*why = a->from->gate != TR_KIND_DERP ? DROP_BY_UDP : DROP_WRONG_NODE;
	return a->from->gate == TR_KIND_DERP && memcmp(a->from->remote, a->record->public_key, 16) == 0 &&
	       memcmp(a->from->local, a->record->public_key + 16, 16) == 0;
}

static enum drop
take_call(struct tr_node *node, const struct arrival *a, const struct disco_message *m)
{
	struct peer *p = a->p;
	enum drop why;
	if (!by_node(a, &why))
		return why;
	if (!bucket_pass(&p->calls, *node->now, CALL_INTERVAL, CALL_BURST))
		return DROP_RATE;
	node->count[COUNT_CALLS]++;
	p->hard = looks_hard(m);
	for (uint16_t i = 0; i < p->n; i++)
		p->target[i].from &= (uint8_t)~FROM_CALL;
	for (uint16_t i = 0; i < m->n; i++) {
		struct tr_endpoint e = {.family = m->address[i].addr.family, .remote_port = m->address[i].port};
		memcpy(e.remote, m->address[i].addr.ip, sizeof(e.remote));
		struct target *t = peer_usable(&m->address[i]) ? peer_target(p, &e, FROM_CALL) : NULL;
		if (t == NULL || t->told || i >= TOLD_MAX)
			continue;
		const struct tr_path news = {.endpoint = peer_endpoint(node->self, t), .state = TR_PATH_UNTRIED, .origin = TR_PATH_CALLED};
		node->host->path_tell(node, a->id, &news);
		t->told = true;
	}
	for (uint16_t i = 0; i < p->n; i++) {
		struct target *t = &p->target[i];
		if (t->from == 0 && t->port != 0)
			peer_untarget(node, a->id, t);
		t->pinged = 0;
	}
	peer_try_all(node, a->id, p, false);
	peer_schedule(node, a->id, p);
	return DROP_CONSUMED;
}

static enum drop
take_via(struct tr_node *node, const struct arrival *a)
{
	struct disco_relay path;
	if (!disco_parse_relay(&path, rte_pktmbuf_mtod(a->m, const void *), a->m->data_len))
		return DROP_SHORT;
	node->count[COUNT_VIA_CALLS]++;
	const bool taken = via_take(node, a->id, a->p, &path, TR_NO_PEER);
	peer_schedule(node, a->id, a->p);
	return taken ? DROP_CONSUMED : DROP_NOT_OURS;
}

/* About peer relays: a request is our relay's, an answer belongs to the peer that its path leads to. */
static uint16_t
take_relay(struct tr_node *node, const struct arrival *a, enum disco_type type)
{
	struct vias *v = vias_of(node->self, a->id);
	enum drop why;
	if (!by_node(a, &why))
		return TR_DROP(why);
	if (!bucket_pass(&v->messages, *node->now, RELAY_INTERVAL, RELAY_BURST))
		return TR_DROP(DROP_RATE);
	if (type == DISCO_CALL_ME_MAYBE_VIA)
		return TR_DROP(take_via(node, a));
	return type == DISCO_ALLOCATE ? OUT_REQUESTS : via_allocated(node, a->m);
}

static uint16_t
act(struct tr_node *node, const struct arrival *a)
{
	struct disco_message m;
	if (!disco_parse(&m, rte_pktmbuf_mtod(a->m, const void *), a->m->data_len))
		return TR_DROP(DROP_SHORT);
	switch (m.type) {
	case DISCO_PING:
		return TR_DROP(take_ping(node, a, &m));
	case DISCO_PONG:
		return TR_DROP(take_pong(node, a, &m));
	case DISCO_CALL_ME_MAYBE:
		return TR_DROP(take_call(node, a, &m));
	case DISCO_CALL_ME_MAYBE_VIA:
	case DISCO_ALLOCATE:
	case DISCO_ALLOCATED:
		return take_relay(node, a, m.type);
	default:
		return TR_DROP(DROP_OTHER);
	}
}

static uint16_t
receive(struct tr_node *node, struct rte_mbuf *m)
{
	struct punch *punch = node->self;
	const struct tr_meta *meta = tr_meta(m);
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
	struct arrival a = {.id = meta->peer, .from = &meta->endpoint, .m = m, .relayed = meta->endpoint.gate != TR_KIND_UDP};
	a.p = peer_get(node, a.id, &a.record);
	if (a.p == NULL || memcmp(a.record->disco_key, disco_sender(data), DISCO_KEY) != 0)
		return TR_DROP(DROP_PEER_GONE);
	if (!send_ready(punch, a.p, a.record))
		return send_key(node, a.id, a.p, a.record, m, OUT_PEER) ? TR_HELD : TR_DROP(DROP_BUSY);
	const int len = disco_open(data, m->data_len, a.p->shared);
	if (len < 0)
		return TR_DROP(DROP_FORGED);
	rte_pktmbuf_adj(m, DISCO_PAYLOAD);
	return act(node, &a);
}

void
receive_peer(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = receive(node, pkts[i]);
}
