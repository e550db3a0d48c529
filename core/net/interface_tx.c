/* SPDX-License-Identifier: BSD-3-Clause */
/* From the graph to the port: next hop, neighbour, Ethernet header. */
#include "graph/graph.h"
#include "net/interface.h"
#include "net/pmtu.h"

bool
interface_frame(const struct interface *i, struct rte_mbuf *m, const uint8_t dst[6], uint16_t type)
{
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, i->l2_len);
	if (p == NULL)
		return false;
	memcpy(p, dst, 6);
	memcpy(p + 6, i->mac, 6);
	if (i->tag != 0) {
		put_be16(p + 12, RTE_ETHER_TYPE_VLAN);
		put_be16(p + 14, i->tag);
	}
	put_be16(p + i->l2_len - 2, type);
	return true;
}

/* Where the packet before went, during one burst: most of the next ones go there too. */
struct recent {
	uint32_t hop4;       /* an untagged frame to this IPv4 neighbour, a single station that is not us; 0: none */
	uint8_t dst6[16];    /* or with this IPv6 destination; unspecified: none */
	uint64_t head, tail; /* bytes 0..7 and 6..13 of the Ethernet header */
};

static void
remember(struct recent *r, const struct interface *i, const uint8_t *p, const struct tr_meta *meta, const struct tr_addr *hop,
	const uint8_t mac[6])
{
	const uint64_t to = neighbour_link(mac, 0), from = neighbour_link(i->mac, 0);
	*r = (struct recent){.head = to | from << 48};
	r->tail = from | (uint64_t)rte_cpu_to_be_16(hop->family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6) << 48;
	if (i->tag != 0)
		return;
	if (hop->family == 4 && !interface_owns4(i, hop->ip) && !interface_is_broadcast(i, hop->ip))
		r->hop4 = get_32(hop->ip);
	else if (hop->family == 6 && (meta->flags & TR_META_VIA) == 0)
		memcpy(r->dst6, p + 24, 16);
}

/*
 * Does an IPv4 packet, to one station that is not us, go where the one before did? Our addresses and broadcasts are on the
 * link, and no neighbour's.
 */
static inline bool
same4(const struct interface *i, const uint8_t *p, const struct tr_meta *meta, const struct recent *r)
{
	const uint32_t dst = get_32(p + 16);
	bool on_link = false;
	for (unsigned k = 0; k < i->n4; k++)
		on_link |= ((i->own4[k].addr ^ dst) & i->own4[k].mask) == 0;
	uint32_t hop = on_link ? dst : get_32(i->gateway4.ip);
	if ((meta->flags & TR_META_VIA) != 0)
		hop = meta->next_hop.family == 4 && !interface_is_broadcast(i, p + 16) ? get_32(meta->next_hop.ip) : 0;
	return hop == r->hop4 && hop != 0 && p[16] < 224 && get_32(p + 12) != 0;
}

static inline bool
same6(const uint8_t *p, uint16_t len, const struct tr_meta *meta, const struct recent *r)
{
	return len >= IPV6_LEN && (meta->flags & TR_META_VIA) == 0 && memcmp(p + 24, r->dst6, 16) == 0 &&
	       !ip6_is_unspecified(p + 24) && !ip6_is_unspecified(p + 8);
}

/* A packet that goes where the one before did needs its header and nothing else. false: it is left as it was. */
static inline bool
send_again(const struct interface *i, struct rte_mbuf *m, const struct recent *r)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	const struct tr_meta *meta = tr_meta(m);
	if (unlikely(m->data_len < IPV4_LEN || m->data_len > i->mtu || (m->ol_flags & RTE_MBUF_F_TX_L4_MASK) != 0 ||
		     m->data_off < RTE_ETHER_HDR_LEN))
		return false;
	if (p[0] >> 4 == 4 ? !same4(i, p, meta, r) : p[0] >> 4 != 6 || !same6(p, m->data_len, meta, r))
		return false;
	p = (uint8_t *)rte_pktmbuf_prepend(m, RTE_ETHER_HDR_LEN);
	put_64(p, r->head);
	put_64(p + 6, r->tail);
	return true;
}

void
interface_solicit(struct tr_node *node, const struct tr_addr *a, const uint8_t *mac)
{
	const struct interface *i = node->self;
	struct rte_mbuf *m = node->host->packet_new(node);
	if (m == NULL)
		return;
	if (a->family == 4) {
		arp_request(i, m, a, mac);
		node->count[INTERFACE_ARP_SENT]++;
	} else {
		nd_solicit(i, m, a, mac);
		node->count[INTERFACE_ND_SENT]++;
	}
	node->host->emit(node, INTERFACE_FRAME, &m, 1);
}

/* Keeps a packet until its neighbour answers; when too many wait, the newest replaces the oldest (RFC 4861 §7.2.2). */
static uint16_t
hold(struct tr_node *node, struct rte_mbuf *m, const struct tr_addr *a)
{
	struct interface_worker *w = node->local;
	struct pending *p = NULL;
	for (unsigned k = 0; k < w->n_pending && p == NULL; k++)
		if (tr_addr_eq(&w->pending[k].addr, a))
			p = &w->pending[k];
	if (p == NULL) {
		if (w->n_pending == PENDING_NEIGHBOURS)
			return TR_DROP(INTERFACE_DROP_NEIGHBOUR_QUEUE);
		p = &w->pending[w->n_pending++];
		*p = (struct pending){.addr = *a, .since = *node->now};
	}
	if (p->n == PENDING_PACKETS || (p->n && w->waiting >= PENDING_ALL)) {
		node->host->packet_drop(node, p->pkt[0], INTERFACE_DROP_NEIGHBOUR_QUEUE);
		memmove(p->pkt, p->pkt + 1, sizeof(p->pkt[0]) * (p->n - 1u));
		p->n--;
		w->waiting--;
	}
	p->pkt[p->n++] = m;
	w->waiting++;
	return TR_HELD;
}

/* Nobody answers for it. */
static void
lose(struct tr_node *node, struct neighbour *e)
{
	struct interface *i = node->self;
	interface_saw(&i->silent, &e->addr, (const uint8_t[6]){0}, *node->now);
	neighbour_kill(e, node->host, node->instance);
}

/* The neighbour's MAC into `mac`: true. Else what becomes of the packet is in *verdict. */
static bool
resolve(struct tr_node *node, struct rte_mbuf *m, const struct tr_addr *a, uint8_t mac[6], uint16_t *verdict)
{
	const struct interface *i = node->self;
	struct interface_worker *w = node->local;
	struct neighbour *e = w->last;
	uint64_t link = e == NULL ? 0 : atomic_load_explicit(&e->link, memory_order_acquire), now = *node->now;
	if (neighbour_state(link) != NEIGHBOUR_RESOLVED || e->link_id != i->link_id || !tr_addr_eq(&e->addr, a)) {
		e = neighbour_get(i->neighbours, i->link_id, a, now);
		if (e == NULL) {
			*verdict = TR_DROP(INTERFACE_DROP_NEIGHBOUR_TABLE);
			return false;
		}
		link = atomic_load_explicit(&e->link, memory_order_acquire);
		w->last = e;
	}
	if (neighbour_state(link) != NEIGHBOUR_RESOLVED) {
		*verdict = hold(node, m, a);
		if (neighbour_probe(e, now))
			interface_solicit(node, a, NULL);
		return false;
	}
	memcpy(mac, &link, 6); /* low 48 bits: little-endian */
	if (unlikely(now > atomic_load_explicit(&e->confirmed, memory_order_relaxed) + NEIGHBOUR_REACHABLE_NS)) {
		if (neighbour_probe(e, now))
			interface_solicit(node, a, mac);
		else if (neighbour_failed(e, now))
			lose(node, e); /* the next packet asks everyone */
	}
	return true;
}

/* Our address instead of an unspecified source. */
static bool
fill_source(const struct interface *i, uint8_t *p, const struct tr_meta *meta, const struct tr_addr *to)
{
	const uint8_t *own = interface_source(i, to);
	if (own == NULL || (to->family == 6 && ip6_is_link_local(own) && !interface_on_link(i, to)))
		return false;
	ip_set_source(p, meta->l3_len, meta->l4, own);
	return true;
}

/* A UDP checksum that was left to us: to the port, or done here. */
static void
finish_checksum(const struct interface *i, struct rte_mbuf *m, uint8_t *p, uint16_t l3_len, bool whole)
{
	uint8_t *udp = p + l3_len;
	uint16_t len = (uint16_t)(m->data_len - l3_len);
	if (i->offload && whole) {
		put_16(udp + 6, csum_fold(csum_pseudo(p, IP_UDP, len)));
		m->l2_len = i->l2_len;
		m->l3_len = l3_len;
		return;
	}
	m->ol_flags &= ~(RTE_MBUF_F_TX_L4_MASK | RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_IPV4);
	put_16(udp + 6, 0);
	uint16_t sum = csum_l4(p, IP_UDP, udp, len);
	put_16(udp + 6, sum == 0 ? 0xffff : sum);
}

#define TO_SELF 0x7fffu /* no gate has this number */

/* The neighbour that gets the packet. 0, TO_SELF or a verdict. */
static uint16_t
next_hop(const struct interface *i, const uint8_t *p, const struct tr_meta *meta, struct tr_addr *hop)
{
	if ((meta->flags & TR_META_VIA) != 0) {
		*hop = meta->next_hop;
		return 0;
	}
	const bool v4 = p[0] >> 4 == 4;
	*hop = v4 ? tr_addr4(p + 16) : tr_addr6(p + 24);
	if (v4 ? interface_owns4(i, p + 16) : interface_owns6(i, p + 24))
		return TO_SELF;
	if (interface_on_link(i, hop))
		return 0;
	*hop = v4 ? i->gateway4 : i->gateway6;
	return hop->family != 0 ? 0 : TR_DROP(INTERFACE_DROP_NO_GATEWAY);
}

static bool
group_mac(const struct interface *i, const uint8_t *p, uint8_t mac[6])
{
	if (p[0] >> 4 == 6) {
		mac[0] = mac[1] = 0x33;
		memcpy(mac + 2, p + 36, 4);
		return p[24] == 0xff;
	}
	if (interface_is_broadcast(i, p + 16)) {
		memset(mac, 0xff, 6);
		return true;
	}
	memcpy(mac, (const uint8_t[]){0x01, 0x00, 0x5e, p[17] & 0x7f, p[18], p[19]}, 6);
	return p[16] >= 224;
}

/*
 * Larger than fits: split where that is allowed (then *m is the last part), else a verdict. 0: goes on. A tunnel hears of
 * it by the table of path MTUs, so that its next packets come smaller.
 */
static uint16_t
too_big(struct tr_node *node, struct rte_mbuf **m, uint16_t mtu)
{
	struct interface_worker *w = node->local;
	const uint8_t *p = rte_pktmbuf_mtod(*m, const uint8_t *);
	if ((tr_meta(*m)->flags & TR_META_WHOLE) != 0) /* its sender expects no answer, then */
		return TR_DROP(INTERFACE_DROP_PROBE);
	const bool own = (tr_meta(*m)->flags & (TR_META_OWN | TR_META_HOST)) == TR_META_OWN;
	bool may = p[0] >> 4 == 4 ? (p[6] & 0x40) == 0 : own;
	if (own && tr_meta(*m)->l4 == IP_UDP && mtu == ((const struct interface *)node->self)->mtu) {
		const struct tr_addr to = p[0] >> 4 == 4 ? tr_addr4(p + 16) : tr_addr6(p + 24);
		pmtu_learn(&to, mtu, *node->now);
	}
	if (may && fragment_split(node, INTERFACE_REPLY, m, mtu, ++w->datagram, INTERFACE_DROP_TOO_BIG))
		return 0;
	if (!may)
		node->host->icmp_error(node, INTERFACE_ICMP, *m, TR_ICMP_TOO_BIG, mtu);
	return TR_DROP(INTERFACE_DROP_TOO_BIG);
}

/* What fits on the way to the packet's destination: less than the link's mtu for some of our own. */
static uint16_t
mtu_for(const struct tr_node *node, const uint8_t *p, const struct tr_meta *meta)
{
	const struct interface *i = node->self;
	if (likely((meta->flags & TR_META_OWN) == 0 || atomic_load_explicit(&pmtu_known, memory_order_relaxed) == 0))
		return i->mtu;
	const struct tr_addr to = p[0] >> 4 == 4 ? tr_addr4(p + 16) : tr_addr6(p + 24);
	uint16_t path = pmtu_look_up(&to, *node->now);
	return path != 0 && path < i->mtu ? path : i->mtu;
}

static uint16_t
send_one(struct tr_node *node, struct rte_mbuf **slot, struct recent *recent)
{
	const struct interface *i = node->self;
	struct rte_mbuf *m = *slot;
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), mac[6];
	struct tr_meta *meta = tr_meta(m);
	struct tr_addr hop;
	uint16_t verdict;
	if (m->data_len < IPV4_LEN)
		return IP_DROP(IP_SHORT);
	const bool v4 = p[0] >> 4 == 4;
	if (!v4 && (p[0] >> 4 != 6 || m->data_len < IPV6_LEN))
		return IP_DROP(p[0] >> 4 != 6 ? IP_VERSION : IP_SHORT);
	if (v4 ? get_16(p + 12) == 0 && get_16(p + 14) == 0 : ip6_is_unspecified(p + 8)) {
		const struct tr_addr to = v4 ? tr_addr4(p + 16) : tr_addr6(p + 24);
		if (!fill_source(i, p, meta, &to))
			return TR_DROP(INTERFACE_DROP_NO_SOURCE);
	}
	const uint16_t mtu = mtu_for(node, p, meta);
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_UDP_CKSUM && meta->l3_len != 0)
		finish_checksum(i, m, p, meta->l3_len, m->data_len <= mtu);
	if (unlikely(m->data_len > mtu)) {
		if ((verdict = too_big(node, slot, mtu)) != 0)
			return verdict;
		m = *slot;
		p = rte_pktmbuf_mtod(m, uint8_t *);
		meta = tr_meta(m);
	}
	if (unlikely(group_mac(i, p, mac))) {
		if ((meta->flags & TR_META_OWN) == 0) /* RFC 2644; groups are not routed */
			return TR_DROP(INTERFACE_DROP_BROADCAST);
	} else {
		verdict = next_hop(i, p, meta, &hop);
		if (unlikely(verdict == TR_DROP(INTERFACE_DROP_NO_GATEWAY)))
			node->host->icmp_error(node, INTERFACE_ICMP, m, TR_ICMP_NO_ROUTE, 0);
		if (unlikely(verdict == TO_SELF))
			return interface_receive_self(node, m);
		if (verdict != 0 || !resolve(node, m, &hop, mac, &verdict))
			return verdict;
		if (likely(mtu == i->mtu))
			remember(recent, i, p, meta, &hop, mac);
	}
	if (!interface_frame(i, m, mac, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6))
		return TR_DROP(INTERFACE_DROP_NO_ROOM);
	return TR_SENT;
}

/* Gives packets, all of verdict TR_SENT, to the port. What it does not take is dropped. */
static void
transmit(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	const struct interface *i = node->self;
	uint16_t sent = port_tx(i->port, node->worker, pkts, n);
	for (uint16_t j = sent; j < n; j++)
		gate[j] = TR_DROP(INTERFACE_DROP_TX_FULL);
	graph_sent(node, sent);
}

void
interface_send(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct recent recent = {.hop4 = 0};
	uint16_t done = 0; /* packets with another verdict, or transmitted */
	for (uint16_t j = 0; j < n; j++) {
		if (likely(send_again(node->self, pkts[j], &recent))) {
			gate[j] = TR_SENT;
			continue;
		}
		gate[j] = send_one(node, &pkts[j], &recent);
		if (likely(gate[j] == TR_SENT))
			continue;
		if (j > done)
			transmit(node, pkts + done, j - done, gate + done);
		done = j + 1;
	}
	if (n > done)
		transmit(node, pkts + done, n - done, gate + done);
}

void
interface_send_frames(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t j = 0; j < n; j++)
		gate[j] = TR_SENT;
	transmit(node, pkts, n, gate);
}

static void
give_up(struct tr_node *node, struct pending *p)
{
	struct interface *i = node->self;
	interface_saw(&i->silent, &p->addr, (const uint8_t[6]){0}, *node->now);
	for (uint16_t k = 0; k < p->n; k++) {
		node->host->icmp_error(node, INTERFACE_ICMP, p->pkt[k], TR_ICMP_HOST, 0);
		node->host->packet_drop(node, p->pkt[k], INTERFACE_DROP_NEIGHBOUR);
	}
}

static void
release(struct tr_node *node, struct pending *p, uint64_t link)
{
	uint8_t mac[6];
	memcpy(mac, &link, 6);
	for (uint16_t k = 0; k < p->n; k++) {
		if (interface_frame(node->self, p->pkt[k], mac, p->addr.family == 4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6))
			node->host->emit(node, INTERFACE_FRAME, &p->pkt[k], 1);
		else
			node->host->packet_drop(node, p->pkt[k], INTERFACE_DROP_NO_ROOM);
	}
}

void
interface_pending(struct tr_node *node)
{
	const struct interface *i = node->self;
	struct interface_worker *w = node->local;
	const uint64_t patience = (uint64_t)NEIGHBOUR_RETRY_NS * NEIGHBOUR_TRIES;
	for (unsigned k = 0; k < w->n_pending;) {
		struct pending *p = &w->pending[k];
		struct neighbour *e = neighbour_find(i->neighbours, i->link_id, &p->addr);
		uint64_t link = e != NULL ? atomic_load_explicit(&e->link, memory_order_acquire) : 0;
		if (neighbour_state(link) == NEIGHBOUR_RESOLVED) {
			release(node, p, link);
		} else if (e == NULL || *node->now - p->since >= patience) {
			give_up(node, p);
			if (e != NULL && neighbour_failed(e, *node->now))
				neighbour_kill(e, node->host, node->instance);
		} else {
			if (neighbour_probe(e, *node->now))
				interface_solicit(node, &p->addr, NULL);
			k++;
			continue;
		}
		w->waiting -= p->n;
		*p = w->pending[--w->n_pending];
	}
}
