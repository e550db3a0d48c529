/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes and comes by peer relays: a header of 8 bytes before the transport's packets and before disco. Any worker; no
 * state. The endpoint of such a path is the relay's address, with the path's number in `local`.
 */
#include "geneve.h"
#include "punch.h"
#include "via.h"

#include <rte_mbuf.h>
#include <tailrace/udp.h>

struct tr_endpoint
wrap_endpoint(const struct tr_endpoint *udp, uint32_t vni)
{
	struct tr_endpoint e = *udp;
	e.gate = TR_KIND_RELAY;
	e.flags = 0;
	e.mtu = 0;
	memset(e.local, 0, sizeof(e.local));
	memcpy(e.local, &vni, sizeof(vni));
	return e;
}

uint32_t
wrap_vni(const struct tr_endpoint *e)
{
	uint32_t vni;
	memcpy(&vni, e->local, sizeof(vni));
	return vni;
}

bool
wrap(struct rte_mbuf *m, struct tr_endpoint *e, uint16_t protocol, bool control)
{
	const struct geneve g = {.protocol = protocol, .control = control, .vni = wrap_vni(e)};
	uint8_t *head = (uint8_t *)rte_pktmbuf_prepend(m, GENEVE_HEAD);
	if (head == NULL)
		return false;
	geneve_write(head, &g);
	e->gate = TR_KIND_UDP;
	e->flags = 0;
	e->mtu = 0;
	memset(e->local, 0, sizeof(e->local)); /* the interface that sends chooses */
	return true;
}

/* The transport's packets, from `path`, to which they go back as the relay's. */
void
wrap_out(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		struct tr_meta *meta = tr_meta(pkts[i]);
		meta->peer = TR_NO_PEER; /* it has been counted as sent to the peer */
		gate[i] = wrap(pkts[i], &meta->endpoint, GENEVE_WIREGUARD, false) ? OUT : TR_DROP(DROP_NO_ROOM);
	}
	node->count[COUNT_WRAPPED] += n;
}

/* A message by a relay: of a peer, or of the relay itself. */
static uint16_t
unwrap_disco(struct tr_node *node, struct rte_mbuf *m, const struct geneve *g)
{
	struct punch *punch = node->self;
	struct tr_meta *meta = tr_meta(m);
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	if (!disco_is(data, m->data_len))
		return TR_DROP(DROP_NOT_DISCO);
	const uint8_t *key = disco_sender(data);
	meta->peer = g->control ? via_handshake_of(punch, key, g->vni) : node->host->peer_by_disco(punch->instance, key);
	if (meta->peer == TR_NO_PEER)
		return TR_DROP(g->control ? DROP_NO_HANDSHAKE : DROP_UNKNOWN);
	return g->control ? OUT_CHALLENGE : OUT_PEER;
}

static uint16_t
unwrap(struct tr_node *node, struct rte_mbuf *m)
{
	struct tr_meta *meta = tr_meta(m);
	struct geneve g;
	size_t len;
	const uint8_t *payload = tr_udp_payload(m, &len);
	const uint16_t head = (uint16_t)(payload - rte_pktmbuf_mtod(m, const uint8_t *));
	if (m->data_len < head || len > (size_t)(m->data_len - head) || !geneve_read(&g, payload, len) || meta->endpoint.flags != 0)
		return TR_DROP(DROP_NOT_GENEVE);
	rte_pktmbuf_adj(m, (uint16_t)(head + GENEVE_HEAD));
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len + GENEVE_HEAD - len));
	meta->endpoint = wrap_endpoint(&meta->endpoint, g.vni);
	if (g.protocol == GENEVE_DISCO)
		return unwrap_disco(node, m, &g);
	if (g.control)
		return TR_DROP(DROP_NOT_GENEVE);
	meta->l3_len = 0;
	node->count[COUNT_UNWRAPPED]++;
	return OUT_WIREGUARD;
}

void
wrap_in(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = unwrap(node, pkts[i]);
}

/* Of our own relay, to the peers that have asked it. */
void
wrap_answers(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	(void)node;
	(void)pkts;
	for (uint16_t i = 0; i < n; i++)
		gate[i] = OUT_SEAL;
}
