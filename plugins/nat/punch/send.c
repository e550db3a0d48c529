/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages to a peer, and the key that they are sealed with. */
#include "geneve.h"
#include "punch.h"
#include "relay_message.h"

#include <rte_mbuf.h>

/* ---- The shared key ---- */

/* At a time, for one peer: each keeps a message that came before the key was there. A call that is dropped is missed for
 * seconds. */
#define KEY_JOBS 4

struct key_job {
	uint32_t peer, epoch;
	struct rte_mbuf *m;
	uint16_t gate; /* for m */
	bool ok;
	uint8_t secret[DISCO_KEY], disco_key[DISCO_KEY], shared[DISCO_KEY];
};
_Static_assert(sizeof(struct key_job) <= TR_JOB_DATA, "fits a job");

bool
send_ready(const struct punch *punch, const struct peer *p, const struct tr_peer *record)
{
	return p->epoch == punch->self->epoch && memcmp(p->disco_key, record->disco_key, DISCO_KEY) == 0;
}

static void
key_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct key_job *j = (struct key_job *)job->data;
	(void)self;
	(void)host;
	j->ok = disco_shared(j->shared, j->secret, j->disco_key);
}

static void
key_done(struct tr_node *node, struct tr_job *job)
{
	struct punch *punch = node->self;
	struct key_job *j = (struct key_job *)job->data;
	const struct tr_peer *record;
	struct peer *p = peer_get(node, j->peer, &record);
	const bool current = p != NULL && memcmp(record->disco_key, j->disco_key, DISCO_KEY) == 0 && j->epoch == punch->self->epoch;

	if (p != NULL && p->computing > 0)
		p->computing--;
	if (current && j->ok) {
		memcpy(p->disco_key, j->disco_key, DISCO_KEY);
		memcpy(p->shared, j->shared, DISCO_KEY);
		p->epoch = j->epoch;
		node->count[COUNT_KEYS]++;
	}
	if (j->m != NULL && current && j->ok)
		node->host->emit(node, j->gate, &j->m, 1);
	else if (j->m != NULL)
		node->host->packet_drop(node, j->m, current ? DROP_FORGED : DROP_PEER_GONE);
	if (current && j->ok)
		peer_key_ready(node, j->peer);
}

bool
send_key(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_peer *record, struct rte_mbuf *m, uint16_t gate)
{
	struct punch *punch = node->self;
	if (p->computing >= (m != NULL ? KEY_JOBS : 1))
		return false;
	struct tr_job *job = node->host->job_new(node);
	if (job == NULL)
		return false;
	struct key_job *j = (struct key_job *)job->data;
	j->peer = id;
	j->epoch = punch->self->epoch;
	j->m = m;
	j->gate = gate;
	memcpy(j->secret, punch->self->secret, DISCO_KEY);
	memcpy(j->disco_key, record->disco_key, DISCO_KEY);
	p->computing++;
	job->run = key_run;
	job->done = key_done;
	node->host->job_submit(node, job);
	return true;
}

/* ---- Messages ---- */

/* Its payload goes to data + DISCO_PAYLOAD. */
struct rte_mbuf *
send_begin(struct tr_node *node, size_t room, uint8_t **data)
{
	struct rte_mbuf *m = node->host->packet_new(node);
	*data = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)room) : NULL;
	if (m != NULL && *data == NULL) {
		node->host->packet_drop(node, m, DROP_BUSY);
		m = NULL;
	}
	if (m == NULL)
		node->count[COUNT_NO_PACKET]++;
	return m;
}

#define CONTROL (1u << 7) /* beside the flags of a packet: for a relay itself */

/* Closes the box around the payload at data + DISCO_PAYLOAD. The gate it leaves by, or a drop. */
static uint16_t
close_box(struct tr_node *node, const uint8_t shared[DISCO_KEY], struct rte_mbuf *m, uint8_t *data, size_t payload,
	const struct tr_endpoint *to, uint8_t flags)
{
	struct punch *punch = node->self;
	struct tr_meta *meta = tr_meta(m);
	uint8_t nonce[DISCO_NONCE];
	node->host->crypto->random(nonce, sizeof(nonce));
	disco_seal(data, payload, punch->self->key, nonce, shared);
	meta->endpoint = *to;
	meta->endpoint.flags &= TR_ENDPOINT_BOUND;
	meta->peer = TR_NO_PEER;
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN | (flags & TR_META_WHOLE);
	meta->l3_len = 0;
	if (to->gate == TR_KIND_RELAY && !wrap(m, &meta->endpoint, GENEVE_DISCO, (flags & CONTROL) != 0))
		return TR_DROP(DROP_NO_ROOM);
	return OUT;
}

static void
finish(struct tr_node *node, const uint8_t shared[DISCO_KEY], struct rte_mbuf *m, uint8_t *data, size_t payload,
	const struct tr_endpoint *to, uint8_t flags)
{
	const uint16_t gate = close_box(node, shared, m, data, payload, to, flags);
	if (gate == OUT)
		node->host->emit(node, OUT, &m, 1);
	else
		node->host->packet_drop(node, m, DROP_NO_ROOM);
}

void
send_ping(struct tr_node *node, struct peer *p, const struct tr_endpoint *to, uint8_t txid[DISCO_TXID])
{
	struct punch *punch = node->self;
	uint8_t *data;
	struct rte_mbuf *m = send_begin(node, DISCO_PING_SIZE, &data);
	node->host->crypto->random(txid, DISCO_TXID);
	if (m == NULL)
		return;
	finish(node, p->shared, m, data, disco_ping(data + DISCO_PAYLOAD, txid, punch->self->node), to, 0);
	node->count[COUNT_PINGS_SENT]++;
}

bool
send_probe(struct tr_node *node, struct peer *p, const struct tr_endpoint *to, const uint8_t txid[DISCO_TXID], uint16_t size,
	uint16_t *room)
{
	struct punch *punch = node->self;
	struct rte_mbuf *m = node->host->packet_new(node);
	if (m == NULL)
		return false;
	*room = rte_pktmbuf_tailroom(m);
	uint8_t *data = (uint8_t *)rte_pktmbuf_append(m, size);
	if (data == NULL) {
		node->host->packet_drop(node, m, DROP_NO_ROOM);
		return false;
	}
	memset(data + DISCO_PING_SIZE, 0, size - (size_t)DISCO_PING_SIZE);
	disco_ping(data + DISCO_PAYLOAD, txid, punch->self->node);
	finish(node, p->shared, m, data, size - (size_t)DISCO_PAYLOAD, to, TR_META_WHOLE);
	node->count[COUNT_PROBES_SENT]++;
	return true;
}

/* What the peer is told of where it is: by a relay, the address that stands for the region. */
static struct tr_sockaddr
seen(const struct tr_endpoint *from)
{
	static const uint8_t derp[4] = {127, 3, 3, 40};
	struct tr_sockaddr a = {.addr.family = from->gate == TR_KIND_DERP ? 4 : from->family, .port = from->remote_port};
	memcpy(a.addr.ip, from->gate == TR_KIND_DERP ? derp : from->remote, a.addr.family == 4 ? 4 : 16);
	return a;
}

void
send_pong(struct tr_node *node, struct peer *p, const struct tr_endpoint *to, const uint8_t txid[DISCO_TXID])
{
	uint8_t *data;
	const struct tr_sockaddr where = seen(to);
	struct rte_mbuf *m = send_begin(node, DISCO_PONG_SIZE, &data);
	if (m == NULL)
		return;
	finish(node, p->shared, m, data, disco_pong(data + DISCO_PAYLOAD, txid, &where), to, 0);
	node->count[COUNT_PONGS_SENT]++;
}

/* The relay that reaches the peer: its home, or where it was heard last. */
static bool
relay_of(struct tr_node *node, uint32_t id, struct tr_endpoint *relay)
{
	struct punch *punch = node->self;
	struct tr_path path[TR_PATHS];
	const uint16_t n = node->host->path_list(punch->instance, id, path, TR_PATHS);
	uint64_t heard = 0;
	bool found = false;
	for (uint16_t i = 0; i < n; i++) {
		const bool home = path[i].origin == TR_PATH_CONFIGURED;
		if (path[i].endpoint.gate != TR_KIND_DERP || (found && !home && path[i].heard < heard))
			continue;
		*relay = path[i].endpoint;
		relay->flags = 0;
		heard = home ? UINT64_MAX : path[i].heard;
		found = true;
	}
	return found;
}

bool
send_by_derp(struct tr_node *node, uint32_t id, struct peer *p, struct rte_mbuf *m, uint8_t *data, size_t payload)
{
	struct tr_endpoint relay;
	if (!relay_of(node, id, &relay)) {
		node->host->packet_drop(node, m, DROP_NO_RELAY);
		return false;
	}
	finish(node, p->shared, m, data, payload, &relay, 0);
	return true;
}

void
send_bind(struct tr_node *node, const struct tr_endpoint *to, enum disco_type type, const struct disco_bind *b,
	const uint8_t shared[DISCO_KEY])
{
	uint8_t *data;
	const struct tr_endpoint relay = wrap_endpoint(to, b->vni);
	struct rte_mbuf *m = send_begin(node, DISCO_PAYLOAD + DISCO_BIND_LEN, &data);
	if (m == NULL)
		return;
	finish(node, shared, m, data, disco_bind(data + DISCO_PAYLOAD, type, b), &relay, CONTROL);
	node->count[COUNT_BINDS_SENT]++;
}

/* The way the packet names, or to the peer's home. */
static uint16_t
seal(struct tr_node *node, struct rte_mbuf *m)
{
	struct punch *punch = node->self;
	struct tr_meta *meta = tr_meta(m);
	const uint32_t id = meta->peer;
	const struct tr_peer *record;
	struct tr_endpoint to = meta->endpoint;
	struct peer *p = peer_get(node, id, &record);
	if (p == NULL)
		return TR_DROP(DROP_PEER_GONE);
	if (!send_ready(punch, p, record))
		return send_key(node, id, p, record, m, OUT_SEAL) ? TR_HELD : TR_DROP(DROP_BUSY);
	if (to.gate != TR_KIND_DERP && !relay_of(node, id, &to))
		return TR_DROP(DROP_NO_RELAY);
	const size_t payload = m->data_len;
	uint8_t *data = (uint8_t *)rte_pktmbuf_prepend(m, DISCO_PAYLOAD);
	return data != NULL ? close_box(node, p->shared, m, data, payload, &to, 0) : TR_DROP(DROP_NO_ROOM);
}

void
send_sealed(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = seal(node, pkts[i]);
}

/* 16 bits that are others, most likely, when the addresses are. */
static uint16_t
mark_of(const struct tr_own_endpoint *list, uint16_t n)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (uint16_t i = 0; i < n; i++) {
		const struct tr_sockaddr *a = &list[i].address;
		for (unsigned k = 0; k < 18; k++)
			h = (h ^ (k < 16 ? a->addr.ip[k] : (uint8_t)(a->port >> (k - 16) * 8))) * 16777619u;
	}
	return (uint16_t)(h ^ h >> 16);
}

bool
send_news(struct tr_node *node, const struct peer *p)
{
	struct punch *punch = node->self;
	struct tr_own_endpoint list[TR_OWN_ENDPOINTS];
	const uint16_t n = node->host->own_endpoints(punch->instance, atomic_load_explicit(&punch->listen, memory_order_relaxed), list,
		TR_OWN_ENDPOINTS);
	return n != 0 && mark_of(list, n) != p->told;
}

bool
send_call(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_sockaddr *guess, unsigned n_guesses)
{
	struct punch *punch = node->self;
	struct tr_sockaddr own[DISCO_ADDRESSES];
	struct tr_endpoint relay;
	struct tr_own_endpoint list[TR_OWN_ENDPOINTS];
	unsigned n = 0;
	const uint16_t known = node->host->own_endpoints(punch->instance, atomic_load_explicit(&punch->listen, memory_order_relaxed), list,
		TR_OWN_ENDPOINTS);
	while (n < known && n < DISCO_ADDRESSES) {
		own[n] = list[n].address;
		n++;
	}
	if (p->search.hit.addr.family != 0 && n < DISCO_ADDRESSES)
		own[n++] = p->search.hit; /* a call that left it out would take it from the peer */
	const unsigned predicted = search_predict(list, known, own + n, DISCO_ADDRESSES - n);
	n += predicted;
	for (unsigned i = 0; i < n_guesses && n < DISCO_ADDRESSES; i++)
		own[n++] = guess[i];
	uint8_t *data;
	if (n == 0 || !relay_of(node, id, &relay)) /* an empty list would take all our addresses from the peer */
		return false;
	struct rte_mbuf *m = send_begin(node, DISCO_PAYLOAD + 2 + 18 * n, &data);
	if (m == NULL)
		return false;
	finish(node, p->shared, m, data, disco_call_me_maybe(data + DISCO_PAYLOAD, own, n), &relay, 0);
	node->count[COUNT_CALLS_SENT]++;
	node->count[COUNT_PREDICTIONS] += predicted != 0;
	p->called = *node->now;
	p->told = mark_of(list, known);
	return true;
}
