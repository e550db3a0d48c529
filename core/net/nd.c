/* SPDX-License-Identifier: BSD-3-Clause */
/* Neighbour Discovery (RFC 4861): solicitations and advertisements; router messages and redirects are ignored. */
#include "net/interface.h"

#include <tailrace/reader.h>

enum { ND_NS = 135, ND_NA = 136, OPT_SOURCE = 1, OPT_TARGET = 2, ND_LEN = 24, ND_OPT_LEN = 8 };
enum { NA_SOLICITED = 0x40, NA_OVERRIDE = 0x20 };

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};

struct nd {
	uint8_t type, flags;
	const uint8_t *target;
	const uint8_t *mac; /* of the option that fits the type; NULL: absent */
};

/* RFC 4861 §7.1: what a valid message looks like. */
static bool
nd_parse(const uint8_t *p, const struct ip_view *v, struct nd *nd)
{
	struct tr_reader r = tr_reader(p + v->l3_len, v->len - v->l3_len);
	nd->type = tr_u8(&r);
	uint8_t code = tr_u8(&r);
	tr_be16(&r);
	nd->flags = (uint8_t)(tr_be32(&r) >> 24);
	nd->target = tr_take(&r, 16);
	nd->mac = NULL;
	if (r.bad || code != 0 || v->ttl != 255 || nd->target[0] == 0xff)
		return false;
	while (tr_left(&r) > 0) {
		uint8_t type = tr_u8(&r), units = tr_u8(&r);
		const uint8_t *body = units == 0 ? NULL : tr_take(&r, units * 8u - 2);
		if (body == NULL)
			return false;
		if (type == (nd->type == ND_NS ? OPT_SOURCE : OPT_TARGET) && units == 1)
			nd->mac = body;
	}
	bool duplicate_detection = ip6_is_unspecified(p + 8);
	if (nd->type == ND_NS)
		return !duplicate_detection || (nd->mac == NULL && p[24] == 0xff);
	return !duplicate_detection && !(p[24] == 0xff && (nd->flags & NA_SOLICITED) != 0);
}

static void
nd_fill(const struct interface *i, struct rte_mbuf *m, const struct nd *nd, uint8_t option, const uint8_t *src,
	const uint8_t *dst)
{
	const uint16_t payload = ND_LEN + ND_OPT_LEN;
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), *icmp = p + IPV6_LEN, body[16];
	memcpy(body, nd->target, 16); /* may lie in this packet */
	ip_resize(m, IPV6_LEN + payload);
	ip6_header(p, 0, payload, IP_ICMP6, 255);
	memmove(p + 8, src, 16);
	memmove(p + 24, dst, 16);
	memset(icmp, 0, 8);
	icmp[0] = nd->type;
	icmp[4] = nd->flags;
	memcpy(icmp + 8, body, 16);
	icmp[24] = option;
	icmp[25] = 1;
	memcpy(icmp + 26, i->mac, 6);
	put_16(icmp + 2, csum_l4(p, IP_ICMP6, icmp, payload));
	tr_meta(m)->flags = TR_META_OWN;
}

static void
multicast_mac(const uint8_t *group, uint8_t mac[6])
{
	mac[0] = mac[1] = 0x33;
	memcpy(mac + 2, group + 12, 4);
}

static uint16_t
answer(struct tr_node *node, struct rte_mbuf *m, const struct nd *ns, const uint8_t *peer_mac)
{
	const struct interface *i = node->self;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint8_t src[16], dst[16], mac[6];
	bool duplicate_detection = ip6_is_unspecified(p + 8);
	memcpy(src, ns->target, 16);
	memcpy(dst, duplicate_detection ? all_nodes : p + 8, 16);
	if (duplicate_detection)
		multicast_mac(dst, mac);
	else
		memcpy(mac, peer_mac, 6);
	const struct nd na = {ND_NA, (uint8_t)(NA_OVERRIDE | (duplicate_detection ? 0 : NA_SOLICITED)), src, NULL};
	if (rte_pktmbuf_tailroom(m) + m->data_len < IPV6_LEN + ND_LEN + ND_OPT_LEN)
		return TR_DROP(INTERFACE_DROP_NO_ROOM);
	nd_fill(i, m, &na, OPT_TARGET, src, dst);
	interface_frame(i, m, mac, RTE_ETHER_TYPE_IPV6);
	node->count[INTERFACE_ND_SENT]++;
	return INTERFACE_FRAME;
}

uint16_t
nd_receive(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v)
{
	const struct interface *i = node->self;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *), *icmp = p + v->l3_len;
	struct nd nd;
	if (csum_l4(p, IP_ICMP6, icmp, v->len - v->l3_len) != 0)
		return TR_DROP(INTERFACE_DROP_ICMP_CHECKSUM);
	if (!nd_parse(p, v, &nd))
		return TR_DROP(INTERFACE_DROP_ND);
	if (nd.mac != NULL && (nd.mac[0] & 1) != 0)
		return TR_DROP(INTERFACE_DROP_ND);
	if (nd.type == ND_NA) {
		struct tr_addr target = tr_addr6(nd.target);
		struct neighbour *e = neighbour_find(i->neighbours, i->link_id, &target);
		const bool ours = interface_owns6(i, nd.target);
		if (ours && nd.mac != NULL && memcmp(nd.mac, i->mac, 6) != 0)
			interface_conflict(node, target, nd.mac);
		if (!ours && e != NULL)
			neighbour_advertised(e, nd.mac, (nd.flags & NA_SOLICITED) != 0, (nd.flags & NA_OVERRIDE) != 0, *node->now);
		return TR_DROP(INTERFACE_DROP_CONSUMED);
	}
	if (!interface_owns6(i, nd.target))
		return TR_DROP(INTERFACE_DROP_CONSUMED);
	struct tr_addr from = tr_addr6(p + 8);
	if (nd.mac != NULL && !interface_owns6(i, from.ip) && interface_on_link(i, &from)) {
		struct neighbour *e = neighbour_get(i->neighbours, i->link_id, &from, *node->now);
		if (e != NULL)
			neighbour_hint(e, nd.mac, *node->now);
	}
	uint8_t mac[6]; /* without the option (unicast solicitations may lack it): whoever sent the frame */
	memcpy(mac, nd.mac != NULL ? nd.mac : (const uint8_t *)tr_meta(m)->scratch, 6);
	return answer(node, m, &nd, mac);
}

void
nd_solicit(const struct interface *i, struct rte_mbuf *m, const struct tr_addr *target, const uint8_t *mac)
{
	uint8_t group[16] = {0xff, 0x02, [11] = 1, [12] = 0xff}, to[6];
	const struct nd ns = {ND_NS, 0, target->ip, NULL};
	memcpy(group + 13, target->ip + 13, 3);
	multicast_mac(group, to);
	nd_fill(i, m, &ns, OPT_SOURCE, interface_source(i, target), mac != NULL ? target->ip : group);
	interface_frame(i, m, mac != NULL ? mac : to, RTE_ETHER_TYPE_IPV6);
}

void
nd_announce(const struct interface *i, struct rte_mbuf *m, const struct tr_addr *own)
{
	uint8_t to[6];
	const struct nd na = {ND_NA, NA_OVERRIDE, own->ip, NULL};
	multicast_mac(all_nodes, to);
	nd_fill(i, m, &na, OPT_TARGET, own->ip, all_nodes);
	interface_frame(i, m, to, RTE_ETHER_TYPE_IPV6);
}
