/* SPDX-License-Identifier: BSD-3-Clause */
/* A datagram of one client goes to the other as it is, if both are bound and it comes from where its sender is bound. */
#include "relay.h"

#include <rte_mbuf.h>
#include <tailrace/udp.h>

#define RATE_BURST (100 * MS) /* of a client's rate may be saved up */

/* Any worker: to whose owner it goes. */
static uint16_t
find(struct tr_node *node, struct rte_mbuf *m)
{
	const struct relay *r = node->self;
	struct tr_meta *meta = tr_meta(m);
	struct geneve g;
	size_t len;
	const uint8_t *payload = tr_udp_payload(m, &len);
	const uint16_t head = (uint16_t)(payload - rte_pktmbuf_mtod(m, const uint8_t *));
	if (m->data_len < head || len > (size_t)(m->data_len - head) || !geneve_read(&g, payload, len))
		return TR_DROP(RELAY_NOT_GENEVE);
	const uint32_t peer = relay_vni_peer(g.vni);
	if (peer == TR_NO_PEER || peer >= r->owners->count || node->host->peer(r->instance, peer) == NULL)
		return TR_DROP(RELAY_UNKNOWN_VNI);
	rte_pktmbuf_adj(m, head);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - len));
	meta->peer = peer;
	return RELAY_OUT_PATH;
}

void
relay_receive(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = find(node, pkts[i]);
}

static bool
same_place(const struct tr_endpoint *a, const struct tr_endpoint *b)
{
	return a->family == b->family && a->remote_port == b->remote_port && memcmp(a->remote, b->remote, sizeof(a->remote)) == 0;
}

static bool
rate_pass(const struct relay *r, struct relay_client *c, uint64_t now, uint32_t bytes)
{
	const uint64_t rate = atomic_load_explicit(&r->rate, memory_order_relaxed);
	return rate == 0 || bucket_pay(&c->bytes, now, bytes * SECOND / rate, RATE_BURST);
}

static uint16_t
forward(struct tr_node *node, struct rte_mbuf *m)
{
	struct tr_meta *meta = tr_meta(m);
	struct geneve g;
	if (!geneve_read(&g, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len))
		return TR_DROP(RELAY_NOT_GENEVE);
	struct relay_path *path = relay_find(node, g.vni);
	if (path == NULL)
		return TR_DROP(RELAY_UNKNOWN_VNI);
	if (g.control)
		return relay_handshake(node, path, m);
	const unsigned from = same_place(&path->client[0].at, &meta->endpoint) ? 0 : 1;
	struct relay_client *sender = &path->client[from];
	const struct relay_client *other = &path->client[1 - from];
	if (!same_place(&sender->at, &meta->endpoint))
		return TR_DROP(RELAY_UNKNOWN_SOURCE);
	sender->heard = *node->now;
	if (other->at.family == 0)
		return TR_DROP(RELAY_NOT_BOUND);
	if (!rate_pass(node->self, sender, *node->now, m->data_len))
		return TR_DROP(RELAY_RATE);
	node->count[RELAY_PACKETS]++;
	node->count[RELAY_BYTES] += m->data_len;
	meta->endpoint = other->at;
	meta->peer = TR_NO_PEER; /* the clients are no peers whose paths are ours to choose */
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN | (g.protocol == GENEVE_DISCO ? TR_META_WHOLE : 0); /* a padded ping asks what both legs carry */
	meta->l3_len = 0;
	return RELAY_OUT;
}

void
relay_forward(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	const struct relay *r = node->self;
	for (uint16_t i = 0; i < n; i++)
		__builtin_prefetch(relay_owner(r, tr_meta(pkts[i])->peer));
	for (uint16_t i = 0; i < n; i++)
		gate[i] = forward(node, pkts[i]);
}
