/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Bind, challenge, answer: a relay learns from where we send, and we which of its addresses works. Nothing confirms the
 * answer but the peer's pong; until that comes all of it is repeated, less and less often.
 */
#include "bind.h"
#include "report.h"

#include <rte_mbuf.h>

/* ---- Whose challenge it is ---- */

/* Of which a relay and its path are one of HANDSHAKES / HANDSHAKE_WAYS sets. A relay's key is as good as random. */
static uint32_t
hash_of(const uint8_t server[DISCO_KEY], uint32_t vni)
{
	uint32_t h;
	memcpy(&h, server, sizeof(h));
	return (h ^ vni) * 0x9e3779b1u | 1;
}

static _Atomic uint64_t *
set_of(struct relays *r, uint32_t hash)
{
	return &r->handshake[(hash >> 8) % (HANDSHAKES / HANDSHAKE_WAYS) * HANDSHAKE_WAYS];
}

uint32_t
via_handshake_of(const struct punch *punch, const uint8_t server[DISCO_KEY], uint32_t vni)
{
	const uint32_t hash = hash_of(server, vni);
	const _Atomic uint64_t *set = set_of(punch->relays, hash);
	for (unsigned i = 0; i < HANDSHAKE_WAYS; i++) {
		const uint64_t v = atomic_load_explicit(&set[i], memory_order_relaxed);
		if ((uint32_t)(v >> 32) == hash)
			return (uint32_t)v;
	}
	return TR_NO_PEER;
}

/* Where eight others are under way in the same set, the challenge is missed, and asked for again. */
static void
await(struct punch *punch, uint32_t id, const struct via *via)
{
	const uint32_t hash = hash_of(via->path.server, via->path.vni);
	const uint64_t entry = (uint64_t)hash << 32 | id;
	_Atomic uint64_t *set = set_of(punch->relays, hash);
	for (unsigned i = 0; i < HANDSHAKE_WAYS; i++)
		if (atomic_load_explicit(&set[i], memory_order_relaxed) == entry)
			return;
	for (unsigned i = 0; i < HANDSHAKE_WAYS; i++) {
		uint64_t none = 0;
		if (atomic_compare_exchange_strong_explicit(&set[i], &none, entry, memory_order_relaxed, memory_order_relaxed))
			return;
	}
}

void
bind_end(struct punch *punch, uint32_t id, const struct via *via)
{
	const uint32_t hash = hash_of(via->path.server, via->path.vni);
	_Atomic uint64_t *set = set_of(punch->relays, hash);
	for (unsigned i = 0; i < HANDSHAKE_WAYS; i++) {
		uint64_t entry = (uint64_t)hash << 32 | id;
		atomic_compare_exchange_strong_explicit(&set[i], &entry, 0, memory_order_relaxed, memory_order_relaxed);
	}
}

/* ---- The key shared with the relay ---- */

struct bind_job {
	uint32_t peer, index, generation;
	bool ok;
	uint8_t secret[DISCO_KEY], server[DISCO_KEY], shared[DISCO_KEY];
};
_Static_assert(sizeof(struct bind_job) <= TR_JOB_DATA, "fits a job");

static void
bind_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct bind_job *j = (struct bind_job *)job->data;
	(void)self;
	(void)host;
	j->ok = disco_shared(j->shared, j->secret, j->server);
}

/* To each address of the relay: the first challenge tells which works. */
static void
send_binds(struct tr_node *node, uint32_t id, struct via *via)
{
	struct punch *punch = node->self;
	const struct tr_peer *record = node->host->peer(punch->instance, id);
	struct disco_bind b = {.vni = via->path.vni, .generation = via->bind};
	if (record == NULL)
		return;
	memcpy(b.remote, record->disco_key, DISCO_KEY);
	await(punch, id, via);
	for (uint16_t i = 0; i < via->path.n; i++) {
		const struct tr_sockaddr *a = &via->path.address[i];
		struct tr_endpoint to = {.family = a->addr.family & 0xf, .remote_port = a->port,
			.local_port = atomic_load_explicit(&punch->listen, memory_order_relaxed)};
		memcpy(to.remote, a->addr.ip, sizeof(to.remote));
		if (peer_usable(a))
			send_bind(node, &to, DISCO_BIND, &b, via->shared);
	}
}

static void
begin_binding(struct tr_node *node, uint32_t id, struct via *via)
{
	via->state = VIA_BINDING;
	node->host->crypto->random(&via->bind, sizeof(via->bind));
	via->bind |= 1; /* not 0 */
	send_binds(node, id, via);
}

static void
bind_done(struct tr_node *node, struct tr_job *job)
{
	struct punch *punch = node->self;
	const struct bind_job *j = (const struct bind_job *)job->data;
	const struct tr_peer *record;
	struct peer *p = peer_get(node, j->peer, &record);
	struct via *via = &vias_of(punch, j->peer)->via[j->index];
	if (p == NULL || via->state != VIA_KEY || via->bind != j->generation)
		return; /* forgotten meanwhile */
	if (!j->ok) { /* a key that is no point */
		memset(via, 0, sizeof(*via));
		return;
	}
	memcpy(via->shared, j->shared, DISCO_KEY);
	via->next = *node->now + SECOND;
	begin_binding(node, j->peer, via);
	peer_schedule(node, j->peer, p);
}

bool
bind_begin(struct tr_node *node, uint32_t id, struct via *via)
{
	struct punch *punch = node->self;
	struct tr_job *job = node->host->job_new(node);
	if (job == NULL) {
		memset(via, 0, sizeof(*via));
		return false;
	}
	struct bind_job *j = (struct bind_job *)job->data;
	via->state = VIA_KEY;
	via->begun = *node->now;
	via->next = *node->now + VIA_HANDSHAKE;
	node->host->crypto->random(&via->bind, sizeof(via->bind));
	j->peer = id;
	j->index = (uint32_t)(via - vias_of(punch, id)->via);
	j->generation = via->bind;
	memcpy(j->secret, punch->self->secret, DISCO_KEY);
	memcpy(j->server, via->path.server, DISCO_KEY);
	job->run = bind_run;
	job->done = bind_done;
	node->host->job_submit(node, job);
	return true;
}

/* ---- The handshake ---- */

/* A bind, the challenge, the answer, the peer's bind, or a ping is lost: 1, 2, 4, 8 seconds. */
void
bind_step(struct tr_node *node, uint32_t id, struct peer *p, struct via *via)
{
	via->next = *node->now + (SECOND << ++via->tries);
	if (via->state == VIA_BINDING)
		send_binds(node, id, via);
	else if (via->state == VIA_BOUND && via->tries % 2 != 0)
		bind_ping(node, p, via);
	else if (via->state == VIA_BOUND) /* has the relay taken the answer? */
		begin_binding(node, id, via);
}

static struct via *
awaiting(struct vias *v, const uint8_t server[DISCO_KEY], uint32_t vni)
{
	for (unsigned i = 0; i < VIAS; i++)
		if (v->via[i].state == VIA_BINDING && v->via[i].path.vni == vni && memcmp(v->via[i].path.server, server, DISCO_KEY) == 0)
			return &v->via[i];
	return NULL;
}

static enum drop
take_challenge(struct tr_node *node, struct rte_mbuf *m)
{
	struct punch *punch = node->self;
	const struct tr_meta *meta = tr_meta(m);
	const uint32_t vni = wrap_vni(&meta->endpoint);
	uint8_t *data = rte_pktmbuf_mtod(m, uint8_t *);
	const struct tr_peer *record;
	struct disco_bind b;
	struct peer *p = peer_get(node, meta->peer, &record);
	if (p == NULL || !send_ready(punch, p, record))
		return DROP_PEER_GONE;
	struct via *via = awaiting(vias_of(punch, meta->peer), disco_sender(data), vni);
	if (via == NULL)
		return DROP_NO_HANDSHAKE;
	const int len = disco_open(data, m->data_len, via->shared);
	if (len < 0)
		return DROP_FORGED;
	if (!disco_parse_bind(&b, data + DISCO_PAYLOAD, (size_t)len) || data[DISCO_PAYLOAD] != DISCO_BIND_CHALLENGE || b.vni != vni ||
		b.generation != via->bind || memcmp(b.remote, record->disco_key, DISCO_KEY) != 0)
		return DROP_NO_HANDSHAKE;
	bind_end(punch, meta->peer, via);
	/* The bind that it answers was sent so long before `next`. */
	report_challenged(punch, via_named(punch, meta->peer, via), *node->now + (SECOND << via->tries) - via->next);
	via->state = VIA_BOUND;
	if (via->told && memcmp(&via->at, &meta->endpoint, sizeof(via->at)) != 0) {
		const struct tr_path gone = {.endpoint = via->at, .state = TR_PATH_GONE};
		node->host->path_tell(node, meta->peer, &gone);
		via->told = false;
	}
	via->at = meta->endpoint;
	send_bind(node, &via->at, DISCO_BIND_ANSWER, &b, via->shared);
	node->count[COUNT_BOUND]++;
	bind_ping(node, p, via);
	peer_schedule(node, meta->peer, p);
	return DROP_CONSUMED;
}

void
via_challenges(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = TR_DROP(take_challenge(node, pkts[i]));
}

/* ---- Through the relay ---- */

void
bind_ping(struct tr_node *node, struct peer *p, struct via *via)
{
	struct attempt *a = &via->attempt[0], *b = &via->attempt[1];
	const bool works = via->answered != 0; /* then the oldest stays: its timeout tells that the path is dead */
	if (a->open && (!b->open || (works ? a->sent < b->sent : b->sent < a->sent)))
		a = b;
	send_ping(node, p, &via->at, a->txid);
	a->open = 1;
	a->sent = via->pinged = *node->now;
}

struct via *
bind_find(struct vias *v, const struct tr_endpoint *at)
{
	for (unsigned i = 0; i < VIAS; i++) {
		const struct tr_endpoint *e = &v->via[i].at;
		if (v->via[i].state == VIA_BOUND && e->family == at->family && e->remote_port == at->remote_port &&
			memcmp(e->remote, at->remote, sizeof(e->remote)) == 0 && wrap_vni(e) == wrap_vni(at))
			return &v->via[i];
	}
	return NULL;
}

void
bind_call(struct tr_node *node, uint32_t id, struct peer *p, const struct disco_relay *path)
{
	uint8_t *data;
	struct rte_mbuf *m = send_begin(node, (size_t)DISCO_PAYLOAD + 2 + 124 + 18u * path->n, &data);
	if (m == NULL)
		return;
	const size_t len = disco_relay(data + DISCO_PAYLOAD, DISCO_CALL_ME_MAYBE_VIA, path);
	node->count[COUNT_VIA_CALLS_SENT] += send_by_derp(node, id, p, m, data, len);
}
