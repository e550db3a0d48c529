/* SPDX-License-Identifier: BSD-3-Clause */
/* ARP (RFC 826, RFC 5227): answers, learns, asks. */
#include "net/interface.h"

#include <tailrace/reader.h>

enum { ARP_LEN = 28, ARP_REQUEST = 1, ARP_REPLY = 2 };
static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct arp {
	uint16_t op;
	const uint8_t *sha, *spa, *tpa;
};

static bool
arp_parse(const uint8_t *p, uint32_t len, struct arp *a)
{
	struct tr_reader r = tr_reader(p, len);
	uint16_t hardware = tr_be16(&r), protocol = tr_be16(&r), sizes = tr_be16(&r);
	a->op = tr_be16(&r);
	a->sha = tr_take(&r, 6);
	a->spa = tr_take(&r, 4);
	tr_take(&r, 6);
	a->tpa = tr_take(&r, 4);
	return !r.bad && hardware == 1 && protocol == RTE_ETHER_TYPE_IPV4 && sizes == 0x0604 &&
	       (a->op == ARP_REQUEST || a->op == ARP_REPLY);
}

static void
arp_fill(const struct interface *i, uint8_t *p, uint16_t op, const uint8_t *spa, const uint8_t *tha, const uint8_t *tpa)
{
	put_be16(p, 1);
	put_be16(p + 2, RTE_ETHER_TYPE_IPV4);
	put_be16(p + 4, 0x0604);
	put_be16(p + 6, op);
	memcpy(p + 8, i->mac, 6);
	memcpy(p + 14, spa, 4);
	memcpy(p + 18, tha, 6);
	memcpy(p + 24, tpa, 4);
}

/* RFC 826: a known sender is updated; a new one is entered only when the message is for us. */
static void
arp_learn(const struct interface *i, const struct arp *a, bool for_us, uint64_t now)
{
	struct tr_addr from = tr_addr4(a->spa);
	if ((a->sha[0] & 1) != 0 || !ip4_source_ok(a->spa) || !interface_on_link(i, &from) || interface_owns4(i, a->spa))
		return;
	bool enter = for_us && a->op == ARP_REQUEST;
	struct neighbour *e = enter ? neighbour_get(i->neighbours, i->link_id, &from, now)
				    : neighbour_find(i->neighbours, i->link_id, &from);
	if (e != NULL)
		neighbour_learn(e, a->sha, now);
}

uint16_t
arp_receive(struct tr_node *node, struct rte_mbuf *m)
{
	const struct interface *i = node->self;
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), to[6], ours[4], theirs[4];
	struct arp a;
	if (!arp_parse(p, m->data_len, &a))
		return TR_DROP(INTERFACE_DROP_ARP);
	bool for_us = interface_owns4(i, a.tpa);
	if (interface_owns4(i, a.spa) && memcmp(a.sha, i->mac, 6) != 0)
		interface_conflict(node, tr_addr4(a.spa), a.sha);
	arp_learn(i, &a, for_us, *node->now);
	if (!for_us || a.op != ARP_REQUEST || (a.sha[0] & 1) != 0 || interface_owns4(i, a.spa))
		return TR_DROP(INTERFACE_DROP_CONSUMED);
	memcpy(to, a.sha, 6);
	memcpy(ours, a.tpa, 4);
	memcpy(theirs, a.spa, 4);
	arp_fill(i, p, ARP_REPLY, ours, to, theirs);
	ip_resize(m, ARP_LEN);
	interface_frame(i, m, to, RTE_ETHER_TYPE_ARP);
	node->count[INTERFACE_ARP_SENT]++;
	return INTERFACE_FRAME;
}

void
arp_request(const struct interface *i, struct rte_mbuf *m, const struct tr_addr *target, const uint8_t *mac)
{
	static const uint8_t unknown[6], none[4];
	const uint8_t *source = interface_source(i, target);
	if (interface_owns4(i, target->ip))
		source = target->ip; /* an announcement: RFC 5227 §3 */
	ip_resize(m, ARP_LEN);
	arp_fill(i, rte_pktmbuf_mtod(m, uint8_t *), ARP_REQUEST, source != NULL ? source : none, unknown, target->ip);
	interface_frame(i, m, mac != NULL ? mac : broadcast, RTE_ETHER_TYPE_ARP);
}
