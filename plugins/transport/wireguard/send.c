/* SPDX-License-Identifier: BSD-3-Clause */
/* From an IP packet to a WireGuard message: find the peer (any worker), then seal (its owner). */
#include "tail.h"
#include "wireguard.h"

#include <rte_mbuf.h>
#include <rte_prefetch.h>

/* Bytes of zeros that hide the packet's length: to a multiple of 16, but not beyond the tunnel's MTU. */
static uint32_t
padding(uint32_t len, uint32_t mtu)
{
	uint32_t last = unlikely(len > mtu) ? len % mtu : len;
	uint32_t padded = (last + 15) & ~15u;
	return (padded < mtu ? padded : mtu) - last;
}

/* Bits 0 and 1 of an IPv4 header's second byte, 4 and 5 of an IPv6 header's: the versions differ in the first byte's bit 5. */
static inline uint8_t
inner_ecn(const uint8_t *p)
{
	uint16_t head;
	memcpy(&head, p, sizeof(head));
	return head >> (8 + ((head & 0x20) >> 3)) & 3;
}

void
plain_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	const struct wg *wg = node->self;
	struct rte_mbuf *good[TR_BURST];
	uint16_t at[TR_BURST], n_good = 0;
	uint32_t peer[TR_BURST];

	for (uint16_t i = 0; i < n; i++) {
		gate[i] = TR_DROP(DROP_BAD_IP);
		if (inner_length(rte_pktmbuf_mtod(pkts[i], const uint8_t *), pkts[i]->data_len)) {
			at[n_good] = i;
			good[n_good++] = pkts[i];
		}
	}
	if (!n_good)
		return;
	node->host->peers_by_destination(node, good, n_good, peer);
	for (uint16_t i = 0; i < n_good; i++) {
		gate[at[i]] = peer[i] == TR_NO_PEER ? TR_DROP(DROP_NO_PEER) : OUT_SEAL;
		if (peer[i] == TR_NO_PEER) {
			node->host->icmp_error(node, OUT_ICMP, good[i], TR_ICMP_HOST, 0);
			continue;
		}
		tr_meta(good[i])->peer = peer[i];
		const uint8_t *p = rte_pktmbuf_mtod(good[i], const uint8_t *);
		rte_prefetch0(p - 64);
		rte_prefetch0(p + 64);
		rte_prefetch0(&hot_of(wg, peer[i])->send);
		rte_prefetch0(&hot_of(wg, peer[i])->t);
	}
	node->host->paths(node, peer, n_good, NULL); /* fetched, like the rest */
}

/*
 * A packet that would be too big for the path to its peer once it is sealed: its sender hears of the MTU inside, unless it
 * may not be told (DF clear) or would not listen (IPv6 below 1280). Then it goes, to be split outside.
 */
static bool
too_big(struct tr_node *node, const struct rte_mbuf *m, uint32_t room)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const bool v6 = p[0] >> 4 == 6;
	uint32_t mtu = v6 && room < 1280 ? 1280 : room;
	if (m->data_len <= mtu || (!v6 && (p[6] & 0x40) == 0))
		return false;
	node->host->icmp_error(node, OUT_ICMP, m, TR_ICMP_TOO_BIG, mtu);
	return true;
}

/* What is the same for all packets of a burst. */
struct burst {
	uint64_t now;
	uint32_t mtu;
	uint16_t listen;
};

static inline struct burst
burst_of(const struct tr_node *node)
{
	const struct wg *wg = node->self;
	return (struct burst){*node->now, __atomic_load_n(&wg->mtu, __ATOMIC_RELAXED), __atomic_load_n(&wg->listen, __ATOMIC_RELAXED)};
}

/* Puts header, padding and room for the tag around a packet. False: no room. */
static inline bool
frame(struct rte_mbuf *m, struct sending *s, uint32_t mtu, struct tr_aead *aead)
{
	const uint32_t len = m->data_len, pad = padding(len, mtu);
	const uint64_t counter = s->counter;
	struct message_data *h = wrap_add(m, sizeof(*h), (uint16_t)(pad + TR_AEAD_TAG));

	if (unlikely(!h))
		return false;
	if (pad)
		memset(h->data + len, 0, TR_AEAD_TAG); /* covers the padding; the tag overwrites the rest */
	h->type = MESSAGE_DATA;
	h->receiver = s->remote;
	h->counter = counter;
	aead->key = s->key;
	aead->counter = counter;
	aead->data = h->data;
	aead->len = len + pad;
	s->counter = counter + 1;
	return true;
}

static inline void
address(struct tr_meta *meta, uint16_t listen, const struct tr_endpoint *to, uint8_t tos)
{
	meta->endpoint = *to;
	set_source_port(listen, &meta->endpoint);
	meta->l3_len = 0;
	meta->l4 = 0;
	meta->in = TR_IN_SELF;
	meta->tos = tos;
	meta->flags = TR_META_OWN;
}

/* Accounts for a packet that is about to be sealed, and sees what it calls for. */
static inline void
account(struct tr_node *node, const struct rte_mbuf *m, struct hot *h, uint64_t now, bool data)
{
	const uint32_t id = tr_meta((struct rte_mbuf *)(uintptr_t)m)->peer;

	add_bytes(&h->t.tx_bytes, m->data_len);
	timers_sent(&h->t, now);
	if (unlikely(data && !h->t.handshake_due)) {
		h->t.handshake_due = now + KEEPALIVE_TIMEOUT + REKEY_TIMEOUT + timers_jitter(node);
		timers_wake(node, id, h->t.handshake_due);
	}
	if (unlikely(now >= h->send.rekey_at || h->send.counter > REKEY_AFTER_MESSAGES))
		handshake_start(node, id, false);
}

/* Prepares a packet of meta->peer, whose hot block is `h`, for sealing. The verdict; OUT_CIPHER: *aead is filled in. */
static inline __attribute__((always_inline)) uint16_t
prepare(struct tr_node *node, struct rte_mbuf *m, struct hot *h, const struct tr_endpoint *to, const struct burst *b,
	struct tr_aead *aead)
{
	const bool data = m->data_len > 0;
	uint32_t mtu = b->mtu;

	if (unlikely(!to->family)) {
		if (data)
			node->host->icmp_error(node, OUT_ICMP, m, TR_ICMP_HOST, 0);
		return TR_DROP(DROP_NO_ENDPOINT);
	}
	if (unlikely(b->now >= h->send.reject_at || h->send.counter >= REJECT_AFTER_MESSAGES)) {
		const uint32_t id = tr_meta(m)->peer;
		const uint16_t verdict = peer_stage(node, id, m);
		handshake_start(node, id, false);
		return verdict;
	}
	if (unlikely(to->mtu != 0)) { /* the path is known to carry less than most */
		const uint32_t room = to->mtu - (uint32_t)sizeof(struct message_data) - TR_AEAD_TAG;
		if (m->data_len > room && too_big(node, m, room))
			return TR_DROP(DROP_TOO_BIG);
		mtu = room < mtu ? room : mtu;
	}
	const uint8_t ecn = likely(data) ? inner_ecn(rte_pktmbuf_mtod(m, const uint8_t *)) : 0;
	if (unlikely(!frame(m, &h->send, mtu, aead)))
		return TR_DROP(DROP_NO_ROOM);
	address(tr_meta(m), b->listen, to, ecn);
	account(node, m, h, b->now, data);
	return OUT_CIPHER;
}

void
seal_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	const struct wg *wg = node->self;
	const struct burst burst = burst_of(node);
	uint32_t peer[TR_BURST];
	struct hot *hot[TR_BURST];
	struct tr_endpoint to[TR_BURST];
	struct tr_aead aead[TR_BURST];
	struct rte_mbuf *ready[TR_BURST];
	uint16_t made = 0;

	if (!n)
		return;
	for (uint16_t i = 0; i < n; i++) {
		peer[i] = tr_meta(pkts[i])->peer;
		hot[i] = hot_of(wg, peer[i]);
		rte_prefetch0(&hot[i]->send);
		rte_prefetch0(&hot[i]->t);
	}
	node->host->paths(node, peer, n, to);
	for (uint16_t i = 0; i < n; i++) {
		gate[i] = prepare(node, pkts[i], hot[i], &to[i], &burst, &aead[made]);
		ready[made] = pkts[i];
		made = (uint16_t)(made + (gate[i] == OUT_CIPHER));
	}
	if (!made)
		return;
	uint16_t verdict = node->host->spread(node, false, OUT_SEALED, ready, aead, made);
	if (verdict == TR_SPREAD_HERE) {
		node->host->aead_seal(node, aead, made);
		return;
	}
	for (uint16_t i = 0; i < n; i++)
		if (gate[i] == OUT_CIPHER)
			gate[i] = verdict;
}

void
sealed_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = OUT_CIPHER;
}

/*
 * Seals packets of one peer outside a burst of the graph, and sends them. Takes ownership. A keepalive may overtake data that
 * are sealed elsewhere: it has no place among them. Staged packets overtake none, they wait while there is no session.
 */
static void
seal_and_emit(struct tr_node *node, uint32_t id, struct rte_mbuf **pkts, uint16_t n)
{
	const struct burst burst = burst_of(node);
	struct tr_endpoint to;
	struct tr_aead aead[TR_BURST];
	struct rte_mbuf *ready[TR_BURST];
	uint16_t n_ready = 0;

	node->host->paths(node, &id, 1, &to);
	for (uint16_t i = 0; i < n; i++) {
		uint16_t verdict = prepare(node, pkts[i], hot_of(node->self, id), &to, &burst, &aead[n_ready]);
		if (verdict == OUT_CIPHER)
			ready[n_ready++] = pkts[i];
		else if (verdict != TR_HELD)
			node->host->packet_drop(node, pkts[i], verdict & 0x7fff);
	}
	if (n_ready) {
		node->host->aead_seal(node, aead, n_ready);
		node->host->emit(node, OUT_CIPHER, ready, n_ready);
	}
}

void
send_staged(struct tr_node *node, uint32_t id)
{
	const struct wg *wg = node->self;
	struct rte_mbuf *pkts[TR_BURST];
	uint16_t n;

	if (*node->now >= hot_of(wg, id)->send.reject_at) {
		handshake_start(node, id, false);
		return;
	}
	for (uint32_t left = peer_of(wg, id)->staged_n; left > 0; left -= n) {
		n = peer_unstage(node, id, pkts, left < TR_BURST ? (uint16_t)left : TR_BURST);
		seal_and_emit(node, id, pkts, n);
	}
}

void
send_keepalive(struct tr_node *node, uint32_t id)
{
	const struct wg *wg = node->self;

	if (peer_of(wg, id)->staged_n || *node->now >= hot_of(wg, id)->send.reject_at) {
		send_staged(node, id);
		return;
	}
	struct rte_mbuf *m = node->host->packet_new(node);
	if (!m)
		return;
	tr_meta(m)->peer = id;
	node->count[COUNT_KEEPALIVES_SENT]++;
	seal_and_emit(node, id, &m, 1);
}

void
send_prepare(struct tr_node *node, struct rte_mbuf *m)
{
	struct tr_meta *meta = tr_meta(m);
	set_source_port(burst_of(node).listen, &meta->endpoint);
	meta->tos = 0x88; /* AF41 */
	meta->flags = TR_META_OWN;
	meta->in = TR_IN_SELF;
	meta->l3_len = 0;
	meta->time = *node->now;
}

bool
send_message(struct tr_node *node, uint32_t id, struct rte_mbuf *m, bool forget_source)
{
	const struct wg *wg = node->self;
	struct tr_meta *meta = tr_meta(m);

	node->host->paths(node, &id, 1, &meta->endpoint);
	if (!meta->endpoint.family)
		return false;
	if (forget_source && meta->endpoint.gate == 0)
		memset(meta->endpoint.local, 0, sizeof(meta->endpoint.local));
	set_source_port(burst_of(node).listen, &meta->endpoint);
	meta->peer = id;
	add_bytes(&hot_of(wg, id)->t.tx_bytes, m->data_len);
	node->host->emit(node, OUT_CIPHER, &m, 1);
	return true;
}
