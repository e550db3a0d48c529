/* SPDX-License-Identifier: BSD-3-Clause */
/* From the port into the graph: link layer, header checks, what is for this box itself. */
#include "graph/graph.h"
#include "net/icmp.h"
#include "net/interface.h"
#include "net/options.h"
#include "net/pmtu.h"

#define TICK_NS UINT64_C(100000000)
#define SWEEP_ENTRIES 64 /* per tick: the whole table in 13 s */
#define ANNOUNCEMENTS 2

static uint16_t
drop(unsigned reason)
{
	return TR_DROP(reason);
}

static bool
owns(const void *interface, uint8_t version, const uint8_t *a)
{
	return version == 4 ? interface_owns4(interface, a) : interface_owns6(interface, a);
}

/* RFC 1191, RFC 8201: a router on the way could not send a datagram of ours on. */
static bool
learn_path_mtu(struct tr_node *node, const struct rte_mbuf *m, const struct ip_view *v)
{
	struct tr_addr to;
	uint32_t mtu;
	if (!pmtu_read(rte_pktmbuf_mtod(m, const uint8_t *), v, owns, node->self, &to, &mtu))
		return false;
	pmtu_learn(&to, mtu, *node->now);
	node->count[INTERFACE_PATH_MTU]++;
	return true;
}

/* ICMP for this box. Here and below, `reply` is the gate that answers leave by. */
static uint16_t
receive_icmp(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v, uint16_t reply)
{
	const uint8_t *icmp = rte_pktmbuf_mtod(m, const uint8_t *) + v->l3_len;
	if (v->version == 6 && v->len > v->l3_len && (icmp[0] == 135 || icmp[0] == 136))
		return nd_receive(node, m, v);
	switch (icmp_echo(m, v)) {
	case ICMP_REPLIED:
		node->count[INTERFACE_ECHO]++;
		return reply;
	case ICMP_CHECKSUM:
		return drop(INTERFACE_DROP_ICMP_CHECKSUM);
	default:
		break;
	}
	const bool learned = learn_path_mtu(node, m, v);
	if (graph_linked(node, INTERFACE_HOST))
		return INTERFACE_HOST;
	return learned ? drop(INTERFACE_DROP_CONSUMED) : drop(INTERFACE_DROP_ICMP);
}

static uint16_t receive_own(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v, uint16_t reply);

/* A datagram that was gathered takes the way of one that came whole. */
static void
receive_whole(struct tr_node *node, struct rte_mbuf *m, uint16_t reply)
{
	struct ip_view v;
	uint16_t verdict = drop(INTERFACE_DROP_FRAGMENT + GATHER_BAD);
	if (ip_check(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &v) == IP_OK && !v.fragment)
		verdict = receive_own(node, m, &v, reply);
	if ((verdict & 0x8000u) != 0)
		node->host->packet_drop(node, m, verdict & 0x7fffu);
	else
		node->host->emit(node, verdict, &m, 1);
}

static uint16_t
receive_fragment(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v, uint16_t reply)
{
	struct interface_worker *w = node->local;
	struct rte_mbuf *whole;
	uint32_t at;
	enum gather_fate fate = gather_add(node, &w->gather, m, v, INTERFACE_DROP_FRAGMENT + GATHER_LOST, &whole, &at);
	if (fate == GATHER_WHOLE) {
		receive_whole(node, whole, reply);
		fate = GATHER_KEPT;
	}
	if (fate == GATHER_BAD && at != 0)
		node->host->icmp_error(node, reply, m, TR_ICMP_PARAMETER, at);
	return drop(INTERFACE_DROP_FRAGMENT + fate);
}

static void
tell_lost(void *node, const struct rte_mbuf *first)
{
	const struct tr_node *n = node;
	n->host->icmp_error(node, INTERFACE_REPLY, first, TR_ICMP_REASSEMBLY, 0);
}

static uint16_t
receive_datagram(struct rte_mbuf *m, const struct ip_view *v)
{
	enum udp_fault fault = udp_accept(m, v);
	return fault == UDP_OK ? INTERFACE_UDP : TR_DROP(INTERFACE_DROP_UDP + fault - 1);
}

static uint16_t
receive_own(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v, uint16_t reply)
{
	if (unlikely(v->fragment))
		return receive_fragment(node, m, v, reply);
	if (unlikely(has_options(v))) {
		const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
		struct option_verdict o = v->version == 4 ? options4(p) : extensions6(p, v);
		if (o.bad && o.tell)
			node->host->icmp_error(node, reply, m, o.why, o.at);
		if (o.bad)
			return drop(INTERFACE_DROP_OPTIONS);
	}
	if (v->l4 == IP_UDP)
		return receive_datagram(m, v);
	if (v->l4 == (v->version == 4 ? IP_ICMP : IP_ICMP6))
		return receive_icmp(node, m, v, reply);
	if (graph_linked(node, INTERFACE_HOST))
		return INTERFACE_HOST;
	node->host->icmp_error(node, reply, m, TR_ICMP_PROTOCOL, ip_protocol_at(rte_pktmbuf_mtod(m, const uint8_t *), v));
	return drop(INTERFACE_DROP_PROTOCOL);
}

/* Routed here, and for this interface's own address: answers go the way of all packets, not onto this link. */
uint16_t
interface_receive_self(struct tr_node *node, struct rte_mbuf *m)
{
	struct ip_view v;
	enum ip_fault fault = ip_check(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &v);
	if (fault != IP_OK)
		return IP_DROP(fault);
	return receive_own(node, m, &v, INTERFACE_ICMP);
}

/* Multicast for us: ND only (echo to a group is not answered: it would make the box an amplifier). */
static uint16_t
receive_group(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *icmp = p + v->l3_len;
	if (v->version == 6 && v->l4 == IP_ICMP6 && !v->fragment && v->len > v->l3_len && (icmp[0] == 135 || icmp[0] == 136))
		return nd_receive(node, m, v);
	return drop(INTERFACE_DROP_MULTICAST);
}

static uint16_t
receive_ip(struct tr_node *node, struct rte_mbuf *m, bool link_multicast)
{
	const struct interface *i = node->self;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	struct ip_view v;
	enum ip_fault fault = ip_check(p, m->data_len, &v);
	if (unlikely(fault != IP_OK))
		return IP_DROP(fault);
	ip_resize(m, v.len); /* what lies behind is link-layer padding */
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = v.l3_len;
	meta->l4 = v.l4;
	meta->tos = ip_tos(p);
	if (unlikely(ip_dst_is_multicast(p) || (v.version == 4 && interface_is_broadcast(i, p + 16))))
		return receive_group(node, m, &v);
	if (unlikely(link_multicast)) /* RFC 1812 §5.3.4 */
		return drop(INTERFACE_DROP_LINK_MULTICAST);
	if (v.version == 4 ? interface_owns4(i, p + 16) : interface_owns6(i, p + 24))
		return receive_own(node, m, &v, INTERFACE_REPLY);
	if (unlikely(v.version == 6 && (ip6_is_unspecified(p + 8) || ip6_is_link_local(p + 8) || ip6_is_link_local(p + 24)))) {
		if (!ip6_is_link_local(p + 24)) /* it could not be answered beyond the link */
			node->host->icmp_error(node, INTERFACE_REPLY, m, TR_ICMP_SCOPE, 0);
		return IP_DROP(ip6_is_link_local(p + 24) ? IP_DESTINATION : IP_SOURCE);
	}
	return INTERFACE_IP;
}

static void
meta_start(const struct interface *i, struct rte_mbuf *m, uint64_t now)
{
	struct tr_meta *meta = tr_meta(m);
	memset(meta, 0, offsetof(struct tr_meta, time));
	meta->in = i->number;
	meta->time = now;
}

/* Every case, one check after the other. */
static uint16_t
receive_any(struct tr_node *node, struct rte_mbuf *m)
{
	const struct interface *i = node->self;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	meta_start(i, m, *node->now);
	if (unlikely(m->nb_segs != 1))
		return drop(INTERFACE_DROP_SEGMENTED);
	if (unlikely(m->data_len < RTE_ETHER_HDR_LEN + IPV4_LEN))
		return drop(INTERFACE_DROP_FRAME_SHORT);
	if (unlikely(rte_pktmbuf_headroom(m) + i->l2_len < TR_HEADROOM || rte_pktmbuf_tailroom(m) < TR_TAILROOM))
		return drop(INTERFACE_DROP_NO_ROOM);
	uint16_t type = get_be16(p + 12), l2 = RTE_ETHER_HDR_LEN;
	if (type == RTE_ETHER_TYPE_VLAN) {
		if (trunk_tag(m) != i->tag)
			return drop(INTERFACE_DROP_VLAN);
		type = get_be16(p + 16);
		l2 = RTE_ETHER_HDR_LEN + 4;
	} else if (i->tag != 0) {
		return drop(INTERFACE_DROP_VLAN);
	}
	bool multicast = (p[0] & 1) != 0;
	memcpy(tr_meta(m)->scratch, p + 6, 6); /* for nd.c */
	if (!multicast && memcmp(p, i->mac, 6) != 0)
		return drop(INTERFACE_DROP_NOT_FOR_US);
	rte_pktmbuf_adj(m, l2);
	switch (type) {
	case RTE_ETHER_TYPE_IPV4:
	case RTE_ETHER_TYPE_IPV6:
		return receive_ip(node, m, multicast);
	case RTE_ETHER_TYPE_ARP:
		return arp_receive(node, m);
	default:
		return drop(INTERFACE_DROP_ETHERTYPE);
	}
}

/* An untagged frame to our address with an IPv4 header of 20 bytes, from one station to another, and room around it? */
static inline bool
is_plain4(const struct interface *i, const struct rte_mbuf *m, const uint8_t *p)
{
	if (unlikely(m->nb_segs != 1 || m->data_len < RTE_ETHER_HDR_LEN + IPV4_LEN || m->data_off + RTE_ETHER_HDR_LEN < TR_HEADROOM ||
		     m->buf_len - m->data_off - m->data_len < TR_TAILROOM))
		return false;
	return (get_64(p) << 16) == i->mac_high && get_16(p + 12) == RTE_BE16(RTE_ETHER_TYPE_IPV4) &&
	       ip4_is_plain(p + RTE_ETHER_HDR_LEN, m->data_len - (uint32_t)RTE_ETHER_HDR_LEN);
}

/* A datagram of `len` bytes with a plain header, for this box; its metadata stand, but those of UDP. */
static inline uint16_t
receive_datagram4(struct rte_mbuf *m, struct tr_meta *meta, const uint8_t *ip, uint16_t len)
{
	const uint8_t *udp = ip + IPV4_LEN;
	const uint16_t size = len < IPV4_LEN + UDP_LEN ? 0 : get_be16(udp + 4);
	if (unlikely(size < UDP_LEN || size > len - IPV4_LEN ||
		     (get_16(udp + 6) != 0 && (m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK) != RTE_MBUF_F_RX_L4_CKSUM_GOOD)))
		return receive_datagram(m, &(const struct ip_view){.version = 4, .l3_len = IPV4_LEN, .l4 = IP_UDP, .len = len});
	m->data_len = (uint16_t)(IPV4_LEN + size);
	m->pkt_len = m->data_len;
	meta->flags = TR_META_CSUM_OK;
	udp_endpoint(meta, ip, udp, 4);
	return INTERFACE_UDP;
}

/* What most frames are, decided by few comparisons. false: it is left as it was, for receive_any(). */
static inline bool
receive_plain4(struct tr_node *node, struct rte_mbuf *m, uint16_t *gate)
{
	const struct interface *i = node->self;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *ip = p + RTE_ETHER_HDR_LEN;
	if (!is_plain4(i, m, p))
		return false;
	const uint32_t dst = get_32(ip + 16);
	const uint16_t len = get_be16(ip + 2);
	bool own = false;
	for (unsigned k = 0; k < i->n4; k++) {
		own |= dst == i->own4[k].addr;
		if (unlikely(dst == i->own4[k].broadcast))
			return false;
	}
	if (own && (ip[9] != IP_UDP || (get_16(ip + 6) & 0xff3f) != 0))
		return false;
	meta_start(i, m, *node->now);
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = IPV4_LEN;
	meta->l4 = ip[9];
	meta->tos = ip[1];
	m->data_off += RTE_ETHER_HDR_LEN;
	m->data_len = len;
	m->pkt_len = len;
	*gate = own ? receive_datagram4(m, meta, ip, len) : INTERFACE_IP; /* a datagram that came whole */
	return true;
}

/* Tells the link where our addresses are; twice, because the first may be lost while a switch port comes up. */
static void
announce(struct tr_node *node, struct interface_worker *w)
{
	const struct interface *i = node->self;
	for (unsigned k = 0; k < i->n4 + i->n6; k++) {
		struct rte_mbuf *m = node->host->packet_new(node);
		if (m == NULL)
			return;
		if (k < i->n4) {
			struct tr_addr own = tr_addr4((const uint8_t *)&i->own4[k].addr);
			arp_request(i, m, &own, NULL);
			node->count[INTERFACE_ARP_SENT]++;
		} else {
			nd_announce(i, m, &i->own6[k - i->n4].addr);
			node->count[INTERFACE_ND_SENT]++;
		}
		node->host->emit(node, INTERFACE_FRAME, &m, 1);
	}
	w->announced++;
	w->announce_at = *node->now + NEIGHBOUR_RETRY_NS;
}

static void
tick(struct tr_node *node, struct interface_worker *w)
{
	const struct interface *i = node->self;
	if (node->worker == 0 && w->announced < ANNOUNCEMENTS && *node->now >= w->announce_at)
		announce(node, w);
	if (*node->now < w->sweep_at)
		return;
	w->sweep_at = *node->now + TICK_NS;
	if (*node->now >= w->gather.next)
		gather_expire(node, &w->gather, *node->now, INTERFACE_DROP_FRAGMENT + GATHER_LOST, tell_lost, node);
	if (node->worker == 0) {
		neighbour_sweep(i->neighbours, w->sweep, SWEEP_ENTRIES, *node->now, node->host, node->instance);
		w->sweep = (w->sweep + SWEEP_ENTRIES) % NEIGHBOURS;
	}
}

uint32_t
interface_poll(struct tr_node *node)
{
	const struct interface *i = node->self;
	struct interface_worker *w = node->local;
	struct rte_mbuf *pkts[TR_BURST];
	uint16_t gate[TR_BURST];
	uint16_t n = trunk_rx(i->trunk, node->worker, i->slot, *node->now, pkts, TR_BURST);
	for (uint16_t k = 0; k < n; k++) {
		rte_prefetch0(pkts[k]);
		rte_prefetch0(tr_meta(pkts[k]));
	}
	for (uint16_t k = 0; k < n; k++)
		rte_prefetch0(rte_pktmbuf_mtod(pkts[k], void *));
	for (uint16_t k = 0; k < n; k++)
		if (unlikely(!receive_plain4(node, pkts[k], &gate[k])))
			gate[k] = receive_any(node, pkts[k]);
	if (n > 0)
		graph_receive(node, pkts, n, gate);
	if (w->n_pending > 0)
		interface_pending(node);
	tick(node, w);
	return n;
}
