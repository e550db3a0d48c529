/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bind, challenge, answer. The challenge is a keyed hash of what the client has asked and where from, so that nothing
 * is kept until its answer proves that the client receives there. Only a message whose box opens changes anything.
 */
#include "relay.h"

#include <rte_mbuf.h>

static void
challenge_of(struct tr_node *node, const struct relay_path *path, const struct disco_bind *b, const struct tr_endpoint *from,
	uint64_t epoch, uint8_t out[DISCO_CHALLENGE])
{
	const uint64_t numbers[] = {epoch, b->vni, b->generation, from->remote_port, from->family};
	const void *part[] = {numbers, b->remote, from->remote};
	const size_t len[] = {sizeof(numbers), sizeof(b->remote), sizeof(from->remote)};
	node->host->crypto->blake2s(out, DISCO_CHALLENGE, path->challenge, sizeof(path->challenge), part, len, 3);
}

/* The bind becomes the challenge, and goes back to where it came from. */
static uint16_t
send_challenge(struct tr_node *node, const struct relay_path *path, const struct relay_client *c, struct disco_bind *b, struct rte_mbuf *m)
{
	const struct relay *r = node->self;
	struct tr_meta *meta = tr_meta(m);
	uint8_t nonce[DISCO_NONCE], *data = rte_pktmbuf_mtod_offset(m, uint8_t *, GENEVE_HEAD);
	challenge_of(node, path, b, &meta->endpoint, *node->now / RELAY_EPOCH, b->challenge);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - GENEVE_HEAD - DISCO_PAYLOAD - DISCO_BIND_LEN));
	const size_t len = disco_bind(data + DISCO_PAYLOAD, DISCO_BIND_CHALLENGE, b);
	node->host->crypto->random(nonce, sizeof(nonce));
	disco_seal(data, len, r->self->key, nonce, c->shared);
	node->count[RELAY_CHALLENGES]++;
	meta->peer = TR_NO_PEER;
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN;
	meta->l3_len = 0;
	return RELAY_OUT;
}

static uint16_t
take_answer(struct tr_node *node, struct relay_path *path, struct relay_client *c, const struct disco_bind *b, const struct tr_endpoint *from)
{
	const struct tr_crypto *crypto = node->host->crypto;
	const uint64_t epoch = *node->now / RELAY_EPOCH;
	uint8_t now[DISCO_CHALLENGE], before[DISCO_CHALLENGE];
	challenge_of(node, path, b, from, epoch, now);
	challenge_of(node, path, b, from, epoch - 1, before);
	if (!crypto->equal(b->challenge, now, sizeof(now)) && !crypto->equal(b->challenge, before, sizeof(before)))
		return TR_DROP(RELAY_WRONG);
	if (c->at.family != 0 && c->generation == b->generation)
		return TR_DROP(RELAY_REPLAYED);
	node->count[c->at.family == 0 ? RELAY_BOUND : RELAY_MOVED]++;
	c->at = *from;
	c->at.flags &= TR_ENDPOINT_BOUND;
	c->generation = b->generation;
	c->heard = *node->now;
	return TR_DROP(RELAY_CONSUMED);
}

uint16_t
relay_handshake(struct tr_node *node, struct relay_path *path, struct rte_mbuf *m)
{
	uint8_t *data = rte_pktmbuf_mtod_offset(m, uint8_t *, GENEVE_HEAD);
	const size_t len = m->data_len - (size_t)GENEVE_HEAD;
	struct disco_bind b;
	if (!disco_is(data, len))
		return TR_DROP(RELAY_UNKNOWN_SENDER);
	const unsigned i = memcmp(disco_sender(data), path->client[0].key, DISCO_KEY) == 0 ? 0 : 1;
	struct relay_client *c = &path->client[i];
	if (memcmp(disco_sender(data), c->key, DISCO_KEY) != 0)
		return TR_DROP(RELAY_UNKNOWN_SENDER);
	if (!bucket_pass(&c->binds, *node->now, SECOND / RELAY_BINDS, RELAY_BINDS))
		return TR_DROP(RELAY_BINDS_RATE);
	const int n = disco_open(data, len, c->shared);
	if (n < 0)
		return TR_DROP(RELAY_FORGED);
	if (!disco_parse_bind(&b, data + DISCO_PAYLOAD, (size_t)n) || b.vni != path->vni || b.generation == 0 ||
		memcmp(b.remote, path->client[1 - i].key, DISCO_KEY) != 0)
		return TR_DROP(RELAY_WRONG);
	const uint8_t type = data[DISCO_PAYLOAD];
	if (type == DISCO_BIND)
		return send_challenge(node, path, c, &b, m);
	return type == DISCO_BIND_ANSWER ? take_answer(node, path, c, &b, &tr_meta(m)->endpoint) : TR_DROP(RELAY_WRONG);
}
