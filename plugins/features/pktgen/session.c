/* SPDX-License-Identifier: BSD-3-Clause */
/* One identity's life: keys, handshakes in both roles, rekeying, keepalives. */
#include "pktgen.h"

#include <tailrace/udp.h>

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
number_of(const struct pktgen *g, const struct session *s)
{
	return (uint32_t)(s - g->session);
}

static uint32_t
new_index(const struct pktgen *g, struct session *s)
{
	return (number_of(g, s) * GENERATIONS + s->generation++) ^ INDEX_MIX;
}

static struct hot *
hot_of(const struct pktgen *g, const struct session *s)
{
	return &g->hot[number_of(g, s)];
}

uint32_t
session_shift(const struct pktgen *g, uint32_t n)
{
	return g->rounds + (n < g->roamer);
}

uint16_t
session_port(const struct pktgen *g, uint32_t n)
{
	const uint32_t ports = (uint32_t)(65536 - g->o.port), at = n + session_shift(g, n);

	return (uint16_t)(g->o.port + (at < ports ? at : at % ports));
}

/* Counts who is up, and when all were since they began. */
static void
note_up(struct pktgen *g, struct session *s, uint64_t now)
{
	const bool up = session_alive(hot_of(g, s), now);

	if (up == s->up || s->epoch != g->epoch)
		return;
	s->up = up;
	uint64_t n = meter_get(&g->up) + (up ? 1 : (uint64_t)-1);
	atomic_store_explicit(&g->up, n, memory_order_relaxed);
	if (n == g->o.sessions && !meter_get(&g->all_up_ns))
		atomic_store_explicit(&g->all_up_ns, now - g->epoch_at, memory_order_relaxed);
}

static void
move_keypair(struct pktgen *g, uint32_t n, enum slot from, enum slot to)
{
	g->hot[n].slot[to] = g->hot[n].slot[from];
	g->session[n].received[to] = g->session[n].received[from];
}

static void
end_keypair(struct pktgen *g, struct keypair *k)
{
	g->host->crypto->wipe(k, sizeof(*k));
}

void
session_confirm(struct pktgen *g, uint32_t n)
{
	move_keypair(g, n, CURRENT, PREVIOUS);
	move_keypair(g, n, NEXT, CURRENT);
	end_keypair(g, &g->hot[n].slot[NEXT]);
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
	send_message(node, g, number_of(g, s), msg, len);
}

static void
new_keypair(struct keypair *k, const struct work *w, bool initiator, uint32_t remote, uint64_t now)
{
	*k = (struct keypair){.send = {.until = now + REJECT_AFTER, .remote = remote, .initiator = initiator},
		.receive = {.until = now + REJECT_AFTER, .local = w->index}};
	memcpy(k->send.key, w->keys.send, sizeof(k->send.key));
	memcpy(k->receive.key, w->keys.receive, sizeof(k->receive.key));
}

static void
response_done(struct tr_node *node, struct pktgen *g, struct session *s, const struct work *w)
{
	const uint32_t n = number_of(g, s);
	struct hot *h = &g->hot[n];

	if (!w->ok || s->pending_index != w->index)
		return;
	move_keypair(g, n, h->slot[NEXT].send.until ? NEXT : CURRENT, PREVIOUS);
	end_keypair(g, &h->slot[NEXT]);
	new_keypair(&h->slot[CURRENT], w, true, hs_get32(w->msg + 4), *node->now);
	s->pending_index = 0;
	g->host->crypto->wipe(&s->pending, sizeof(s->pending));
	h->t.unanswered_from = 0;
	node->count[SESSIONS]++;
	note_up(g, s, *node->now);
	keepalive_out(node, g, n, *node->now); /* the responder waits for this before it sends */
}

static void
answer_done(struct tr_node *node, struct pktgen *g, struct session *s, struct work *w)
{
	struct hot *h = hot_of(g, s);

	if (!w->ok || memcmp(w->timestamp, s->timestamp, 12) <= 0)
		return;
	memcpy(s->timestamp, w->timestamp, 12);
	end_keypair(g, &h->slot[PREVIOUS]);
	new_keypair(&h->slot[NEXT], w, false, w->hs.remote_index, *node->now);
	h->t.unanswered_from = 0;
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
	w->session = number_of(g, s);
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
	const uint32_t ports = (uint32_t)(65536 - g->o.port), most = session_shift(g, 0);

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

static struct session *
by_index(struct pktgen *g, uint32_t index)
{
	const uint32_t n = session_by_index(index);

	return n < g->o.sessions ? &g->session[n] : NULL;
}

static uint16_t
response_in(struct tr_node *node, struct pktgen *g, const uint8_t *msg)
{
	const uint32_t index = hs_get32(msg + 8);
	struct session *s = by_index(g, index);

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
	struct session *s = by_index(g, hs_get32(msg + 4));
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
	const struct hot *h = hot_of(g, s);
	const struct sending *k = &h->slot[CURRENT].send;

	if (now < s->retry_at)
		return false;
	if (h->t.unanswered_from && gone(h->t.unanswered_from, KEEPALIVE_TIMEOUT + REKEY_TIMEOUT, now))
		return true;
	if (!session_alive(h, now))
		return g->o.initiate;
	return k->initiator && now >= k->until - REJECT_AFTER + REKEY_AFTER && k->sent_at && !gone(k->sent_at, KEEPALIVE_TIMEOUT, now);
}

/* As after a restart: nothing is left of its sessions, and it may call at once. */
static void
begin_anew(struct pktgen *g, struct session *s)
{
	struct hot *h = hot_of(g, s);

	g->host->crypto->wipe(h->slot, sizeof(h->slot));
	g->host->crypto->wipe(&s->pending, sizeof(s->pending));
	s->pending_index = 0;
	s->up = false;
	s->epoch = g->epoch;
	s->retry_at = s->cookie_at = 0;
	h->t.unanswered_from = h->t.heard_from = 0;
}

static void
session_tick(struct tr_node *node, struct pktgen *g, struct session *s, uint64_t now)
{
	struct hot *h = hot_of(g, s);

	for (int i = 0; i < SLOTS; i++)
		if (h->slot[i].send.until && now >= h->slot[i].send.until)
			end_keypair(g, &h->slot[i]);
	if (s->epoch != g->epoch)
		begin_anew(g, s);
	note_up(g, s, now);
	if (session_alive(h, now) && h->t.heard_from && gone(h->t.heard_from, KEEPALIVE_TIMEOUT, now))
		keepalive_out(node, g, number_of(g, s), now);
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
