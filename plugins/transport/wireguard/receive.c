/* SPDX-License-Identifier: BSD-3-Clause */
/* From a UDP datagram to what it holds: sort and find the peer (any worker), then open and accept (its owner). */
#include "tail.h"
#include "wireguard.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

#define UDP_HEADER 8

/* Strips everything before and behind the WireGuard message. Its type, or 0. */
static inline enum message_type
unwrap(struct rte_mbuf *m)
{
	const uint32_t skip = tr_meta(m)->l3_len + (uint32_t)UDP_HEADER;
	if (m->data_len < skip)
		return 0;
	const uint8_t *p = rte_pktmbuf_mtod_offset(m, const uint8_t *, skip);
	const uint32_t len = be16(p - 4) - (uint32_t)UDP_HEADER;
	if (len > m->data_len - skip) /* below 0, too */
		return 0;
	unwrap_to(m, skip, len);
	return message_type(p, len);
}

/*
 * Data messages to their peers' owners; the rest is looked at here. `udp`: they still have their IP and UDP headers. What
 * opening will touch is on its way when it begins.
 */
static inline void
sort(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate, bool udp)
{
	const struct wg *wg = node->self;
	uint32_t index[TR_BURST];
	uint64_t value[TR_BURST];
	uint16_t at[TR_BURST], n_data = 0;

	for (uint16_t i = 0; i < n; i++) {
		enum message_type type =
			udp ? unwrap(pkts[i]) : message_type(rte_pktmbuf_mtod(pkts[i], const uint8_t *), pkts[i]->data_len);
		if (type == MESSAGE_DATA) {
			const struct message_data *h = rte_pktmbuf_mtod(pkts[i], const struct message_data *);
			rte_prefetch0((const uint8_t *)h + 64);
			rte_prefetch0((const uint8_t *)h + pkts[i]->data_len - 1);
			index[n_data] = h->receiver;
			at[n_data++] = i;
		} else {
			gate[i] = type ? handshake_arrived(node, pkts[i], type) : TR_DROP(DROP_MALFORMED);
		}
	}
	if (!n_data)
		return;
	node->host->indexes(node, index, n_data, value);
	for (uint16_t i = 0; i < n_data; i++) {
		gate[at[i]] = value[i] ? OUT_OPEN : TR_DROP(DROP_UNKNOWN_INDEX);
		if (!value[i])
			continue;
		tr_meta(pkts[at[i]])->peer = (uint32_t)value[i];
		rte_prefetch0(&hot_of(wg, (uint32_t)value[i])->t);
	}
}

void
cipher_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	sort(node, pkts, n, gate, true);
}

void
relay_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	sort(node, pkts, n, gate, false);
}

/* ---- Opening ---- */

/* One packet of a burst between the look-up of its session and that of its source. */
struct opened {
	struct pair *pair;
	struct traffic *traffic;
	uint32_t receiver;
	uint8_t slot;
};

/* RFC 6040: what ECN leaves the tunnel, by outer and inner. BAD: the mark can't be passed on. */
enum { ECN_BAD = 4 };
static const uint8_t ecn_out[4][4] = {
	/* outer \ inner  not-ECT  ECT(1)  ECT(0)  CE */
	/* not-ECT */ {0, 1, 2, 3},
	/* ECT(1)  */ {0, 1, 1, 3},
	/* ECT(0)  */ {0, 1, 2, 3},
	/* CE      */ {ECN_BAD, 3, 3, 3},
};

/* Passes the outer header's congestion mark on to the inner one. False: it can't take it. */
static inline bool
decapsulate_ecn(uint8_t *p, uint8_t outer)
{
	if (likely((outer & 3) == 0))
		return true;
	bool four = p[0] >> 4 == 4;
	uint8_t inner = (four ? p[1] : p[1] >> 4) & 3, out = ecn_out[outer & 3][inner];
	if (out == ECN_BAD)
		return false;
	if (out == inner)
		return true;
	if (four) { /* RFC 1624: the header checksum's word changes by the difference */
		uint32_t sum = (uint16_t)~be16(p + 10) + (uint32_t)(uint16_t)~be16(p);
		p[1] = (uint8_t)((p[1] & ~3) | out);
		sum += be16(p);
		sum = (sum & 0xffff) + (sum >> 16);
		sum = ~((sum & 0xffff) + (sum >> 16));
		p[10] = (uint8_t)(sum >> 8);
		p[11] = (uint8_t)sum;
	} else {
		p[1] = (uint8_t)((p[1] & ~0x30) | out << 4);
	}
	return true;
}

/* Data came in: the other end wants to hear something of us within 10 s. */
static inline void
data_received(struct tr_node *node, uint32_t id, struct traffic *t)
{
	if (likely(t->keepalive_due)) {
		t->another_keepalive = 1;
		return;
	}
	t->keepalive_due = *node->now + KEEPALIVE_TIMEOUT;
	timers_wake(node, id, t->keepalive_due);
}

static inline uint64_t
differ(const struct tr_endpoint *a, const struct tr_endpoint *b, size_t at)
{
	uint64_t x, y;
	memcpy(&x, (const uint8_t *)a + at, sizeof(x));
	memcpy(&y, (const uint8_t *)b + at, sizeof(y));
	return x ^ y;
}

static inline bool
same_endpoint(const struct tr_endpoint *a, const struct tr_endpoint *b)
{
	_Static_assert(sizeof(*a) == 40 && offsetof(struct tr_endpoint, mtu) == 2, "all of it is compared");
	const uint64_t head = b->mtu ? UINT64_MAX : ~UINT64_C(0xffff0000); /* who does not say what the path carries denies nothing */
	return ((differ(a, b, 0) & head) | differ(a, b, 8) | differ(a, b, 16) | differ(a, b, 24) | differ(a, b, 32)) == 0;
}

/* The first packet under a new session that we answered for: it is confirmed. */
static void
confirm(struct tr_node *node, uint32_t id)
{
	struct peer *p = peer_of(node->self, id);
	peer_confirm(node, id);
	p->retransmit_due = 0;
	p->retries = 0;
}

/*
 * A packet that was authenticated. Replay, state, roaming and the inner header, in this order; the source address is
 * checked by the caller, for the burst. TR_HELD stands for "goes on". `known`: the endpoint in use when the burst began;
 * *moved: it may be another by now.
 */
static inline uint16_t
accept(struct tr_node *node, struct rte_mbuf *m, const struct opened *o, const struct tr_endpoint *known, bool *moved)
{
	struct tr_meta *meta = tr_meta(m);
	uint32_t id = meta->peer, len = m->data_len - (uint32_t)MESSAGE_DATA_MIN;
	struct traffic *t = o->traffic;

	if (unlikely(t->index[o->slot - 1] != o->receiver))
		return TR_DROP(DROP_EXPIRED); /* an earlier packet of this burst replaced the session */
	if (unlikely(!replay_accept(&o->pair->replay, rte_pktmbuf_mtod(m, const struct message_data *)->counter)))
		return TR_DROP(DROP_REPLAYED);

	bool confirmed = o->slot == t->next;
	if (unlikely(confirmed))
		confirm(node, id);
	if (unlikely(*moved || !same_endpoint(known, &meta->endpoint))) {
		node->host->path_learn(node, id, &meta->endpoint);
		*moved = true;
	}
	if (unlikely(confirmed))
		send_staged(node, id);
	timers_received(t, *node->now);
	add_bytes(&t->rx_bytes, m->data_len);
	if (unlikely(*node->now >= o->pair->last_minute_at)) {
		o->pair->last_minute_at = UINT64_MAX;
		handshake_start(node, id, false);
	}
	if (!len)
		return TR_DROP(DROP_KEEPALIVE);
	data_received(node, id, t);

	uint8_t *inner = rte_pktmbuf_mtod_offset(m, uint8_t *, sizeof(struct message_data));
	uint32_t total = inner_length(inner, len);
	if (unlikely(!total))
		return TR_DROP(DROP_BAD_INNER);
	if (unlikely(!decapsulate_ecn(inner, meta->tos)))
		return TR_DROP(DROP_BAD_ECN);
	unwrap_to(m, sizeof(struct message_data), total);
	return TR_HELD;
}

/* Finds the session of each packet, and its peer. Returns how many have one. */
static inline uint16_t
find_pairs(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate, uint16_t *at, struct opened *o,
	uint32_t *peer)
{
	const struct wg *wg = node->self;
	uint16_t found = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t id = tr_meta(pkts[i])->peer;
		const struct message_data *h = rte_pktmbuf_mtod(pkts[i], const struct message_data *);
		struct traffic *t = &hot_of(wg, id)->t;
		unsigned slot = pair_slot(t, h->receiver);
		gate[i] = TR_DROP(DROP_UNKNOWN_INDEX);
		if (slot == SLOT_NONE)
			continue;
		struct pair *pair = pair_of(wg, id, slot);
		rte_prefetch0(pair);
		o[found] = (struct opened){pair, t, h->receiver, (uint8_t)slot};
		peer[found] = id;
		at[found++] = i;
	}
	return found;
}

/* Fills in the AEADs of sessions that have not expired. Returns how many, those of the other arrays at the front. */
static inline uint16_t
prepare(struct tr_node *node, struct rte_mbuf **pkts, uint16_t found, uint16_t *gate, uint16_t *at, struct opened *o,
	uint32_t *peer, struct rte_mbuf **ready, struct tr_aead *aead)
{
	const uint64_t now = *node->now;
	uint16_t usable = 0;

	for (uint16_t k = 0; k < found; k++) {
		struct rte_mbuf *m = pkts[at[k]];
		struct message_data *h = rte_pktmbuf_mtod(m, struct message_data *);
		if (unlikely(now >= o[k].pair->reject_at || h->counter >= REJECT_AFTER_MESSAGES)) {
			gate[at[k]] = TR_DROP(DROP_EXPIRED);
			continue;
		}
		aead[usable] = (struct tr_aead){.key = o[k].pair->key, .counter = h->counter, .data = h->data,
			.len = m->data_len - (uint32_t)MESSAGE_DATA_MIN};
		ready[usable] = m;
		if (unlikely(usable != k)) {
			o[usable] = o[k];
			at[usable] = at[k];
			peer[usable] = peer[k];
		}
		usable++;
	}
	return usable;
}

/* Inner source addresses must belong to the peers that sent them. */
static void
check_sources(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, const uint16_t *at, uint16_t *gate)
{
	uint32_t owner[TR_BURST];
	if (!n)
		return;
	node->host->peers_by_source(node, pkts, n, owner);
	for (uint16_t i = 0; i < n; i++) {
		struct tr_meta *meta = tr_meta(pkts[i]);
		gate[at[i]] = owner[i] == meta->peer ? OUT_PLAIN : TR_DROP(DROP_WRONG_SOURCE);
		meta->next_hop.family = 0;
		meta->l3_len = meta->l4 = meta->flags = 0; /* they were about the outer header */
	}
}

/* Of n packets with a session, `o`, those that are authentic: so says `aead`, or if it is NULL, their flags. */
static inline void
accept_burst(struct tr_node *node, struct rte_mbuf **pkts, uint16_t *gate, const uint16_t *at, const struct opened *o,
	const uint32_t *peer, const struct tr_aead *aead, uint16_t n)
{
	struct tr_endpoint known[TR_BURST]; /* in use when the burst began */
	struct rte_mbuf *inner[TR_BURST];
	uint16_t inner_at[TR_BURST], n_inner = 0;
	bool moved = false;

	node->host->paths(node, peer, n, known);
	for (uint16_t k = 0; k < n; k++) {
		struct rte_mbuf *m = pkts[at[k]];
		const bool authentic = aead ? aead[k].ok : (tr_meta(m)->flags & TR_META_AUTHENTIC) != 0;
		const uint16_t verdict = authentic ? accept(node, m, &o[k], &known[k], &moved) : TR_DROP(DROP_FORGED);
		gate[at[k]] = verdict;
		if (verdict == TR_HELD) {
			inner_at[n_inner] = at[k];
			inner[n_inner++] = m;
		}
	}
	check_sources(node, inner, n_inner, inner_at, gate);
}

void
open_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct opened o[TR_BURST];
	struct tr_aead aead[TR_BURST];
	struct rte_mbuf *ready[TR_BURST];
	uint32_t peer[TR_BURST];
	uint16_t at[TR_BURST];

	uint16_t found = find_pairs(node, pkts, n, gate, at, o, peer);
	found = prepare(node, pkts, found, gate, at, o, peer, ready, aead);
	if (!found)
		return;
	uint16_t verdict = node->host->spread(node, true, OUT_OPENED, ready, aead, found);
	for (uint16_t k = 0; verdict != TR_SPREAD_HERE && k < found; k++)
		gate[at[k]] = verdict;
	if (verdict != TR_SPREAD_HERE)
		return;
	node->host->paths(node, peer, found, NULL); /* fetched while the AEAD works */
	node->host->aead_open(node, aead, found);
	accept_burst(node, pkts, gate, at, o, peer, aead, found);
}

/* The session may have ended meanwhile. */
void
opened_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct opened o[TR_BURST];
	uint32_t peer[TR_BURST];
	uint16_t at[TR_BURST];

	uint16_t found = find_pairs(node, pkts, n, gate, at, o, peer);
	if (found)
		accept_burst(node, pkts, gate, at, o, peer, NULL, found);
}
