/* SPDX-License-Identifier: BSD-3-Clause */
/* One identity's life: keys, handshakes in both roles, rekeying, keepalives. */
#include "pktgen.h"

#include <tailrace/udp.h>

/* Indexes say whose they are: no table. The constant keeps 0, which means "none", out of use. */
#define INDEX_MIX 0x9d2c5680u
#define GENERATIONS 256u
#define BACKLOG_MAX 128 /* of 256: with that many jobs in use none is begun, so that answers find one */

enum work_kind { WORK_DERIVE, WORK_INITIATE, WORK_RESPONSE, WORK_ANSWER };

struct work {
	enum work_kind kind;
	uint32_t session, index;
	bool derived, ok;
	uint64_t seed;
	struct identity id;
	struct handshake hs;
	struct session_keys keys;
	uint8_t timestamp[12];
	uint8_t msg[HS_INITIATION];
};
_Static_assert(sizeof(struct work) <= TR_JOB_DATA, "a job's data");

static uint32_t
new_index(const struct pktgen *g, struct session *s)
{
	uint32_t n = (uint32_t)(s - g->session);

	return (n * GENERATIONS + s->generation++) ^ INDEX_MIX;
}

struct session *
session_by_index(struct pktgen *g, uint32_t index)
{
	uint32_t n = (index ^ INDEX_MIX) / GENERATIONS;

	return n < g->o.sessions ? &g->session[n] : NULL;
}

struct keypair *
keypair_by_index(struct session *s, uint32_t index)
{
	for (int i = 0; i < SLOTS; i++)
		if (s->slot[i].valid && s->slot[i].local == index)
			return &s->slot[i];
	return NULL;
}

uint16_t
session_port(const struct pktgen *g, const struct session *s)
{
	return (uint16_t)(g->o.port + ((uint32_t)(s - g->session) + s->shift) % (uint32_t)(65536 - g->o.port));
}

bool
session_alive(const struct session *s, uint64_t now)
{
	return s->slot[CURRENT].valid && now - s->slot[CURRENT].created < REJECT_AFTER;
}

/* Counts who is up, and when all were since they began. */
static void
note_up(struct pktgen *g, struct session *s, uint64_t now)
{
	const bool up = session_alive(s, now);

	if (up == s->up || s->epoch != g->epoch)
		return;
	s->up = up;
	uint64_t n = meter_get(&g->up) + (up ? 1 : (uint64_t)-1);
	atomic_store_explicit(&g->up, n, memory_order_relaxed);
	if (n == g->o.sessions && !meter_get(&g->all_up_ns))
		atomic_store_explicit(&g->all_up_ns, now - g->epoch_at, memory_order_relaxed);
}

void
session_confirm(struct session *s)
{
	s->slot[PREVIOUS] = s->slot[CURRENT];
	s->slot[CURRENT] = s->slot[NEXT];
	s->slot[NEXT].valid = false;
}

void
session_secret(const struct tr_crypto *c, uint64_t seed, uint32_t n, uint8_t secret[32])
{
	const void *part[] = {"tailrace pktgen", &seed, &n};
	const size_t len[] = {15, 8, 4};

	c->blake2s(secret, 32, NULL, 0, part, len, 3);
	secret[0] &= 248;
	secret[31] = (uint8_t)((secret[31] & 127) | 64);
}

/* ---- Jobs ---- */

static void
work_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct work *w = (struct work *)job->data;
	const struct tr_crypto *c = host->crypto;
	uint8_t ephemeral[32], unused[32];

	w->ok = true;
	if (!w->derived) {
		session_secret(c, w->seed, w->session, w->id.secret);
		w->ok = identity_complete(c, &w->id);
	}
	if (w->kind == WORK_INITIATE && w->ok) {
		c->keypair(ephemeral, unused);
		w->ok = initiation_write(c, &w->hs, &w->id, ephemeral, w->index, w->timestamp, w->msg);
	} else if (w->kind == WORK_RESPONSE) {
		w->ok = response_read(c, &w->hs, &w->id, w->msg, &w->keys);
	} else if (w->kind == WORK_ANSWER) {
		c->keypair(ephemeral, unused);
		w->ok = initiation_read(c, &w->hs, &w->id, w->msg, w->timestamp) &&
			response_write(c, &w->hs, &w->id, ephemeral, w->index, w->msg, &w->keys);
	}
	c->wipe(ephemeral, sizeof(ephemeral));
}

static const uint8_t *
fresh_cookie(const struct session *s, uint64_t now)
{
	return s->cookie_at && now - s->cookie_at < COOKIE_LIFE ? s->cookie : NULL;
}

static void
send_handshake(struct tr_node *node, struct pktgen *g, struct session *s, uint8_t *msg, uint16_t len)
{
	uint64_t now = *node->now;

	hs_mac(g->host->crypto, msg, len, s->id.remote, fresh_cookie(s, now));
	memcpy(s->mac1, msg + len - 32, 16);
	g->jitter = g->jitter * 6364136223846793005u + 1442695040888963407u;
	s->handshake_at = now;
	s->retry_at = now + REKEY_TIMEOUT + (g->jitter >> 33) % (SECOND / 3);
	send_message(node, g, s, msg, len);
}

static struct keypair
new_keypair(const struct work *w, bool initiator, uint32_t remote, uint64_t now)
{
	return (struct keypair){.valid = true, .initiator = initiator, .local = w->index, .remote = remote, .created = now,
		.keys = w->keys};
}

static void
response_done(struct tr_node *node, struct pktgen *g, struct session *s, const struct work *w)
{
	if (!w->ok || s->pending_index != w->index)
		return;
	s->slot[PREVIOUS] = s->slot[NEXT].valid ? s->slot[NEXT] : s->slot[CURRENT];
	s->slot[NEXT].valid = false;
	s->slot[CURRENT] = new_keypair(w, true, hs_get32(w->msg + 4), *node->now);
	s->pending_index = 0;
	g->host->crypto->wipe(&s->pending, sizeof(s->pending));
	s->unanswered_from = 0;
	node->count[SESSIONS]++;
	note_up(g, s, *node->now);
	keepalive_out(node, g, s, *node->now); /* the responder waits for this before it sends */
}

static void
answer_done(struct tr_node *node, struct pktgen *g, struct session *s, struct work *w)
{
	if (!w->ok || memcmp(w->timestamp, s->timestamp, 12) <= 0)
		return;
	memcpy(s->timestamp, w->timestamp, 12);
	s->slot[PREVIOUS].valid = false;
	s->slot[NEXT] = new_keypair(w, false, w->hs.remote_index, *node->now);
	s->unanswered_from = 0;
	node->count[SESSIONS]++;
	node->count[RESPONSES]++;
	send_handshake(node, g, s, w->msg, HS_RESPONSE);
}

static void
work_done(struct tr_node *node, struct tr_job *job)
{
	struct pktgen *g = node->self;
	struct work *w = (struct work *)job->data;
	struct session *s = &g->session[w->session];

	s->busy = false;
	if (w->ok && !s->derived) {
		s->id = w->id;
		s->derived = true;
	}
	if (w->kind == WORK_INITIATE && w->ok) {
		s->pending = w->hs;
		s->pending_index = w->index;
		node->count[INITIATIONS]++;
		send_handshake(node, g, s, w->msg, HS_INITIATION);
	} else if (w->kind == WORK_RESPONSE) {
		response_done(node, g, s, w);
	} else if (w->kind == WORK_ANSWER) {
		answer_done(node, g, s, w);
	}
}

/* NULL: no job free; the caller comes again. */
static struct tr_job *
work_new(struct tr_node *node, struct pktgen *g, struct session *s, enum work_kind kind)
{
	struct tr_job *job = g->host->job_new(node);

	if (!job)
		return NULL;
	job->run = work_run;
	job->done = work_done;
	struct work *w = (struct work *)job->data;
	memset(w, 0, sizeof(*w));
	w->kind = kind;
	w->session = (uint32_t)(s - g->session);
	w->seed = g->o.seed;
	w->derived = s->derived;
	w->id = s->id;
	memcpy(w->id.remote, g->o.public_key.b, 32);
	memcpy(w->id.preshared_key, g->o.preshared_key.b, 32);
	s->busy = true;
	return job;
}

static bool
begin_work(struct tr_node *node, struct pktgen *g, struct session *s, enum work_kind kind)
{
	struct tr_job *job = work_new(node, g, s, kind);

	if (!job)
		return false;
	struct work *w = (struct work *)job->data;
	if (kind == WORK_INITIATE) {
		w->index = new_index(g, s);
		hs_timestamp(w->timestamp, g->host->wall(g->instance));
	}
	g->host->job_submit(node, job);
	return true;
}

/* ---- Messages ---- */

/*
 * Sessions that share a port are told apart by mac1. All have roamed as often, or once less: and what was sent to where one
 * was before may still arrive.
 */
static struct session *
by_port(struct pktgen *g, uint16_t port, const uint8_t *msg)
{
	const uint32_t ports = (uint32_t)(65536 - g->o.port), most = g->session[0].shift;

	for (uint32_t back = 0; back <= 2 && back <= most; back++) {
		uint32_t n = (port - (uint32_t)g->o.port + ports - (most - back) % ports) % ports;
		for (; n < g->o.sessions; n += ports) {
			struct session *s = &g->session[n];
			if (s->derived && hs_mac1_right(g->host->crypto, msg, HS_INITIATION, s->id.public_key))
				return s;
		}
	}
	return NULL;
}

static uint16_t
initiation_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf *m, const uint8_t *msg)
{
	struct session *s = by_port(g, tr_meta(m)->endpoint.local_port, msg);

	if (!s)
		return TR_DROP(DROP_UNKNOWN);
	struct tr_job *job = s->busy ? NULL : work_new(node, g, s, WORK_ANSWER);
	if (!job)
		return TR_DROP(DROP_BUSY);
	struct work *w = (struct work *)job->data;
	w->index = new_index(g, s);
	memcpy(w->msg, msg, HS_INITIATION);
	g->host->job_submit(node, job);
	return TR_DROP(DROP_RECEIVED);
}

static uint16_t
response_in(struct tr_node *node, struct pktgen *g, const uint8_t *msg)
{
	uint32_t index = hs_get32(msg + 8);
	struct session *s = session_by_index(g, index);

	if (!s || !s->pending_index || s->pending_index != index)
		return TR_DROP(DROP_UNKNOWN);
	if (!hs_mac1_right(g->host->crypto, msg, HS_RESPONSE, s->id.public_key))
		return TR_DROP(DROP_FORGED);
	struct tr_job *job = s->busy ? NULL : work_new(node, g, s, WORK_RESPONSE);
	if (!job)
		return TR_DROP(DROP_BUSY);
	struct work *w = (struct work *)job->data;
	w->index = index;
	w->hs = s->pending;
	memcpy(w->msg, msg, HS_RESPONSE);
	g->host->job_submit(node, job);
	return TR_DROP(DROP_RECEIVED);
}

static uint16_t
cookie_in(struct tr_node *node, struct pktgen *g, const uint8_t *msg)
{
	struct session *s = session_by_index(g, hs_get32(msg + 4));
	uint8_t cookie[16];

	if (hs_get32(msg + 4) == FLOOD_INDEX) {
		node->count[FLOOD_COOKIES]++;
		return TR_DROP(DROP_RECEIVED);
	}
	if (!s || !s->derived)
		return TR_DROP(DROP_UNKNOWN);
	if (!cookie_read(g->host->crypto, msg, s->id.remote, s->mac1, cookie))
		return TR_DROP(DROP_FORGED);
	memcpy(s->cookie, cookie, 16);
	s->cookie_at = *node->now;
	node->count[COOKIES]++;
	return TR_DROP(DROP_RECEIVED);
}

uint16_t
handshake_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf *m, const uint8_t *msg, size_t len)
{
	if (len == HS_INITIATION && hs_get32(msg) == HS_TYPE_INITIATION)
		return initiation_in(node, g, m, msg);
	if (len == HS_RESPONSE && hs_get32(msg) == HS_TYPE_RESPONSE)
		return response_in(node, g, msg);
	if (len == HS_COOKIE_REPLY && hs_get32(msg) == HS_TYPE_COOKIE)
		return cookie_in(node, g, msg);
	return TR_DROP(DROP_MALFORMED);
}

/* ---- Time ---- */

static bool
wants_initiation(const struct pktgen *g, const struct session *s, uint64_t now)
{
	const struct keypair *k = &s->slot[CURRENT];

	if (now < s->retry_at)
		return false;
	if (s->unanswered_from && now - s->unanswered_from >= KEEPALIVE_TIMEOUT + REKEY_TIMEOUT)
		return true;
	if (!session_alive(s, now))
		return g->o.initiate;
	return k->initiator && now - k->created >= REKEY_AFTER && s->sent_at && now - s->sent_at < KEEPALIVE_TIMEOUT;
}

/* As after a restart: nothing is left of its sessions, and it may call at once. */
static void
begin_anew(struct pktgen *g, struct session *s)
{
	g->host->crypto->wipe(s->slot, sizeof(s->slot));
	g->host->crypto->wipe(&s->pending, sizeof(s->pending));
	s->pending_index = 0;
	s->up = false;
	s->epoch = g->epoch;
	s->retry_at = s->cookie_at = s->unanswered_from = s->heard_from = 0;
}

static void
session_tick(struct tr_node *node, struct pktgen *g, struct session *s, uint64_t now)
{
	for (int i = 0; i < SLOTS; i++)
		if (s->slot[i].valid && now - s->slot[i].created >= REJECT_AFTER)
			g->host->crypto->wipe(&s->slot[i], sizeof(s->slot[i]));
	if (s->epoch != g->epoch)
		begin_anew(g, s);
	note_up(g, s, now);
	if (session_alive(s, now) && s->heard_from && now - s->heard_from >= KEEPALIVE_TIMEOUT)
		keepalive_out(node, g, s, now);
	if (s->busy)
		return;
	if (!s->derived && !g->o.initiate) {
		begin_work(node, g, s, WORK_DERIVE);
	} else if (now >= g->next_open && g->host->job_backlog(node) < BACKLOG_MAX && wants_initiation(g, s, now)) {
		if (begin_work(node, g, s, WORK_INITIATE))
			g->next_open = (now - g->next_open > SECOND ? now : g->next_open) + SECOND / g->o.open_rate;
	}
}

/* Looks at every session twice a second, a few at a time. */
void
sessions_tick(struct tr_node *node, struct pktgen *g, uint64_t now)
{
	uint64_t quota = (now - g->scanned_at) * g->o.sessions / (SECOND / 2);
	const uint32_t epoch = atomic_load_explicit(&g->wanted_epoch, memory_order_relaxed);

	if (epoch != g->epoch || !g->epoch_at) {
		g->epoch = epoch;
		g->epoch_at = now;
		atomic_store_explicit(&g->up, 0, memory_order_relaxed);
		atomic_store_explicit(&g->all_up_ns, 0, memory_order_relaxed);
	}
	if (g->scanned_at != 0 && quota == 0)
		return;
	g->scanned_at = now;
	if (quota == 0 || quota > 256)
		quota = 256;
	if (quota > g->o.sessions)
		quota = g->o.sessions;
	for (; quota > 0; quota--) {
		session_tick(node, g, &g->session[g->scan], now);
		g->scan = g->scan + 1 == g->o.sessions ? 0 : g->scan + 1;
	}
}
