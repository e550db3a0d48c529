/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests for a path come opened from `punch`, which knows from which peer, and their answers leave the same way. First, at
 * the worker that has the request: may this peer ask? Then at the path's owner: the path that there is, or a new one.
 */
#include "relay.h"

#include <rte_mbuf.h>

struct keys_job {
	uint32_t owner, index;
	uint64_t id;
	struct rte_mbuf *m;
	bool ok;
	uint8_t secret[DISCO_KEY], key[2][DISCO_KEY], shared[2][DISCO_KEY];
};
_Static_assert(sizeof(struct keys_job) <= TR_JOB_DATA, "fits a job");

#define KEYS_JOBS 2 /* out at a time, of one owner */

/* ---- Who may ---- */

static uint16_t
permit(struct tr_node *node, struct rte_mbuf *m)
{
	const struct relay *r = node->self;
	const struct tr_host *host = node->host;
	struct tr_meta *meta = tr_meta(m);
	struct disco_allocate ask;
	const struct tr_peer *asks = host->peer(r->instance, meta->peer);
	if (!disco_parse_allocate(&ask, rte_pktmbuf_mtod(m, const void *), m->data_len) || memcmp(ask.client[0], ask.client[1], DISCO_KEY) == 0)
		return TR_DROP(RELAY_BAD_REQUEST);
	if (asks == NULL || !asks->relay_client)
		return TR_DROP(RELAY_NOT_ALLOWED);
	const uint32_t a = host->peer_by_disco(r->instance, ask.client[0]), b = host->peer_by_disco(r->instance, ask.client[1]);
	if (a == TR_NO_PEER || b == TR_NO_PEER || (a != meta->peer && b != meta->peer))
		return TR_DROP(RELAY_NOT_ALLOWED);
	const uint32_t owner = memcmp(ask.client[0], ask.client[1], DISCO_KEY) < 0 ? a : b;
	if (owner > GENEVE_VNI_MAX / RELAY_PATHS)
		return TR_DROP(RELAY_FULL);
	meta->mark = meta->peer;
	meta->peer = owner;
	return RELAY_OUT_PAIR;
}

void
relay_requests(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = permit(node, pkts[i]);
}

/* ---- Paths ---- */

static struct relay_owner *
owner_get(struct tr_node *node, uint32_t peer)
{
	const struct relay *r = node->self;
	const struct tr_peer *record = node->host->peer(r->instance, peer);
	struct relay_owner *o = relay_owner(r, peer);
	if (record != NULL && memcmp(o->public_key, record->public_key, DISCO_KEY) == 0)
		return o;
	relay_forget(node, peer);
	if (record == NULL)
		return NULL;
	memcpy(o->public_key, record->public_key, DISCO_KEY);
	return o;
}

struct relay_path *
relay_find(struct tr_node *node, uint32_t vni)
{
	const struct relay *r = node->self;
	struct relay_path *path = &relay_owner(r, relay_vni_peer(vni))->path[vni % RELAY_PATHS];
	return path->vni == vni && path->ready ? path : NULL;
}

static void
path_free(struct tr_node *node, struct relay_path *path)
{
	const struct relay *r = node->self;
	atomic_fetch_sub_explicit(&r->self->paths, 1, memory_order_relaxed);
	node->host->crypto->wipe(path, sizeof(*path));
}

void
relay_forget(struct tr_node *node, uint32_t peer)
{
	const struct relay *r = node->self;
	struct relay_owner *o = relay_owner(r, peer);
	node->host->timer_cancel(node, &o->timer);
	for (unsigned i = 0; i < RELAY_PATHS; i++)
		if (o->path[i].vni != 0)
			path_free(node, &o->path[i]);
	memset(o->public_key, 0, sizeof(o->public_key));
}

static uint64_t
expiry(const struct relay_path *path)
{
	const struct relay_client *c = path->client;
	if (c[0].at.family == 0 || c[1].at.family == 0)
		return path->made + RELAY_BIND;
	return (c[0].heard < c[1].heard ? c[0].heard : c[1].heard) + RELAY_IDLE;
}

static void
schedule(struct tr_node *node, struct relay_owner *o)
{
	uint64_t next = UINT64_MAX;
	for (unsigned i = 0; i < RELAY_PATHS; i++)
		if (o->path[i].vni != 0 && expiry(&o->path[i]) < next)
			next = expiry(&o->path[i]);
	if (next != UINT64_MAX)
		node->host->timer_arm(node, &o->timer, next);
}

void
relay_tick(struct tr_node *node, struct tr_timer *timer)
{
	const struct relay *r = node->self;
	const uint32_t peer = (uint32_t)(((uint8_t *)timer - r->owners->base) / r->owners->stride);
	struct relay_owner *o = relay_owner(r, peer);
	for (unsigned i = 0; i < RELAY_PATHS; i++) {
		if (o->path[i].vni == 0 || *node->now < expiry(&o->path[i]))
			continue;
		path_free(node, &o->path[i]);
		node->count[RELAY_EXPIRED]++;
	}
	schedule(node, o);
}

/* That of the two peers, whatever keys they had; else a free one. NULL: all are in use. */
static struct relay_path *
path_get(struct tr_node *node, struct relay_owner *o, const uint8_t key[2][DISCO_KEY], const uint32_t peer[2])
{
	const struct relay *r = node->self;
	struct relay_path *room = NULL;
	for (unsigned i = 0; i < RELAY_PATHS; i++) {
		struct relay_path *path = &o->path[i];
		if (path->vni == 0) {
			room = room ? room : path;
			continue;
		}
		if (path->client[0].peer != peer[0] || path->client[1].peer != peer[1])
			continue;
		if (memcmp(path->client[0].key, key[0], DISCO_KEY) == 0 && memcmp(path->client[1].key, key[1], DISCO_KEY) == 0)
			return path;
		path_free(node, path); /* one of them has started anew */
		room = path;
	}
	if (room == NULL)
		return NULL;
	if (atomic_fetch_add_explicit(&r->self->paths, 1, memory_order_relaxed) >= atomic_load_explicit(&r->max_paths, memory_order_relaxed)) {
		atomic_fetch_sub_explicit(&r->self->paths, 1, memory_order_relaxed);
		return NULL;
	}
	const uint32_t owner = (uint32_t)(((uint8_t *)o - r->owners->base) / r->owners->stride);
	room->vni = owner * RELAY_PATHS + (uint32_t)(room - o->path);
	room->id = atomic_fetch_add_explicit(&r->self->id, 1, memory_order_relaxed) + 1;
	room->made = *node->now;
	node->host->crypto->random(room->challenge, sizeof(room->challenge));
	for (unsigned i = 0; i < 2; i++) {
		memcpy(room->client[i].key, key[i], DISCO_KEY);
		room->client[i].peer = peer[i];
	}
	return room;
}

/* ---- The answer ---- */

static uint16_t
own_addresses(const struct relay *r, struct tr_sockaddr *out)
{
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	uint16_t n = r->n_addresses;
	memcpy(out, r->address, n * sizeof(*out));
	const uint16_t known = r->host->own_endpoints(r->instance, atomic_load_explicit(&r->listen, memory_order_relaxed), own, TR_OWN_ENDPOINTS);
	for (uint16_t i = 0; i < known && n < DISCO_RELAY_ADDRESSES; i++)
		if (!own[i].varies)
			out[n++] = own[i].address;
	return n;
}

/* The request becomes the answer. */
static uint16_t
answer(struct tr_node *node, const struct relay_path *path, struct rte_mbuf *m)
{
	const struct relay *r = node->self;
	struct tr_meta *meta = tr_meta(m);
	struct disco_allocate ask;
	disco_parse_allocate(&ask, rte_pktmbuf_mtod(m, const void *), m->data_len);
	struct disco_relay a = {.generation = ask.generation, .vni = path->vni, .id = path->id, .bind_ns = RELAY_BIND, .idle_ns = RELAY_IDLE};
	memcpy(a.server, r->self->key, DISCO_KEY);
	memcpy(a.client[0], path->client[0].key, DISCO_KEY);
	memcpy(a.client[1], path->client[1].key, DISCO_KEY);
	a.n = own_addresses(r, a.address);
	if (a.n == 0)
		return TR_DROP(RELAY_NO_ADDRESS);
	uint8_t payload[DISCO_RELAY_MAX];
	const uint16_t len = (uint16_t)disco_relay(payload, DISCO_ALLOCATED, &a);
	rte_pktmbuf_trim(m, m->data_len);
	uint8_t *data = (uint8_t *)rte_pktmbuf_append(m, len);
	if (data == NULL)
		return TR_DROP(RELAY_BAD_REQUEST);
	memcpy(data, payload, len);
	meta->peer = meta->mark;
	return RELAY_ANSWERS;
}

/* ---- Keys ---- */

static void
keys_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct keys_job *j = (struct keys_job *)job->data;
	(void)self;
	(void)host;
	j->ok = disco_shared(j->shared[0], j->secret, j->key[0]) && disco_shared(j->shared[1], j->secret, j->key[1]);
}

static void
keys_done(struct tr_node *node, struct tr_job *job)
{
	const struct relay *r = node->self;
	struct keys_job *j = (struct keys_job *)job->data;
	struct relay_owner *o = relay_owner(r, j->owner);
	struct relay_path *path = &o->path[j->index];
	o->computing -= o->computing > 0;
	uint16_t gate = TR_DROP(RELAY_GONE);
	if (path->vni != 0 && path->id == j->id && j->ok) {
		memcpy(path->client[0].shared, j->shared[0], DISCO_KEY);
		memcpy(path->client[1].shared, j->shared[1], DISCO_KEY);
		path->ready = true;
		node->count[RELAY_ALLOCATED]++;
		gate = answer(node, path, j->m);
	} else if (path->vni != 0 && path->id == j->id) { /* a key that is no point */
		path_free(node, path);
	}
	if (gate == RELAY_ANSWERS)
		node->host->emit(node, gate, &j->m, 1);
	else
		node->host->packet_drop(node, j->m, gate & 0x7fff);
}

static uint16_t
make_keys(struct tr_node *node, struct relay_owner *o, struct relay_path *path, struct rte_mbuf *m)
{
	const struct relay *r = node->self;
	struct tr_job *job = o->computing < KEYS_JOBS ? node->host->job_new(node) : NULL;
	if (job == NULL) {
		path_free(node, path);
		return TR_DROP(RELAY_BUSY);
	}
	struct keys_job *j = (struct keys_job *)job->data;
	j->owner = relay_vni_peer(path->vni);
	j->index = path->vni % RELAY_PATHS;
	j->id = path->id;
	j->m = m;
	memcpy(j->secret, r->self->secret, DISCO_KEY);
	memcpy(j->key[0], path->client[0].key, DISCO_KEY);
	memcpy(j->key[1], path->client[1].key, DISCO_KEY);
	o->computing++;
	job->run = keys_run;
	job->done = keys_done;
	node->host->job_submit(node, job);
	return TR_HELD;
}

static uint16_t
allocate(struct tr_node *node, struct rte_mbuf *m)
{
	const struct relay *r = node->self;
	const uint32_t id = tr_meta(m)->peer;
	struct relay_owner *o = owner_get(node, id);
	struct disco_allocate ask;
	disco_parse_allocate(&ask, rte_pktmbuf_mtod(m, const void *), m->data_len);
	const unsigned low = memcmp(ask.client[0], ask.client[1], DISCO_KEY) < 0 ? 0 : 1;
	uint8_t key[2][DISCO_KEY];
	memcpy(key[0], ask.client[low], DISCO_KEY);
	memcpy(key[1], ask.client[1 - low], DISCO_KEY);
	const uint32_t peer[2] = {id, node->host->peer_by_disco(r->instance, key[1])};
	if (o == NULL || peer[1] == TR_NO_PEER)
		return TR_DROP(RELAY_GONE);
	struct relay_path *path = path_get(node, o, key, peer);
	if (path == NULL)
		return TR_DROP(RELAY_FULL);
	if (path->ready) {
		node->count[RELAY_ASKED_AGAIN]++;
		return answer(node, path, m);
	}
	if (path->made != *node->now) /* keys are being made */
		return TR_DROP(RELAY_BUSY);
	const uint16_t gate = make_keys(node, o, path, m);
	schedule(node, o);
	return gate;
}

void
relay_pairs(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++)
		gate[i] = allocate(node, pkts[i]);
}
