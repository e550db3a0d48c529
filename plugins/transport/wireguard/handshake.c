/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handshakes. Scalar multiplications run as jobs on copies; a peer's state is changed by its owner worker alone, which
 * checks again whatever may have changed meanwhile.
 *
 *   our initiation:    start (owner) -> job -> commit and send (owner)
 *   their initiation:  mac1, load (receiving worker) -> job: who, when, response -> gate `handshake` -> commit (owner)
 *   their response:    mac1, load (receiving worker) -> gate `handshake` -> job -> commit (owner)
 */
#include "wireguard.h"

#include <rte_mbuf.h>

#define LOAD_BACKLOG 32 /* of 256: from here on handshakes need a cookie, and for 1 s after */
#define OWN_BACKLOG 16  /* of 256: our own initiations wait their turn below it, so that they never cause that load */
#define DEFER (4 * MILLISECOND)

/* What meta->mark says of a packet at gate `handshake`. */
enum kind { KIND_MESSAGE, KIND_ANSWER, KIND_UNPROVEN };

/* ---- Our initiation ---- */

struct initiate {
	uint32_t peer, epoch;
	uint64_t serial;
	bool retry, ok;
	uint8_t peer_key[32], stamp[NOISE_STAMP];
	struct noise_identity identity;
	struct noise_handshake handshake;
	struct message_initiation message;
	uint8_t mac1_key[32];
};
_Static_assert(sizeof(struct initiate) <= TR_JOB_DATA, "fits a job");

static void
initiate_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct initiate *j = (struct initiate *)job->data;
	j->ok = noise_initiation(host->crypto, &j->identity, j->peer_key, j->stamp, &j->handshake, &j->message);
	noise_mac1_key(host->crypto, j->mac1_key, j->peer_key);
}

static void
initiate_done(struct tr_node *node, struct tr_job *job)
{
	struct wg *wg = node->self;
	struct initiate *j = (struct initiate *)job->data;
	struct peer *p = peer_of(wg, j->peer);
	const struct identity *id = identity_of(wg);

	if (p->state != HANDSHAKE_CREATING || p->serial != j->serial)
		return; /* erased meanwhile */
	peer_clear_handshake(node, j->peer);
	uint32_t index = j->ok && id && id->epoch == j->epoch ? node->host->index_new(node, j->peer) : 0;
	if (!index)
		return;
	p->index = index;
	p->epoch = j->epoch;
	p->handshake = j->handshake;
	__atomic_store_n(&p->state, HANDSHAKE_SENT, __ATOMIC_RELAXED);
	p->handshake_sent = *node->now;
	p->retransmit_due = *node->now + REKEY_TIMEOUT + timers_jitter(node);

	struct rte_mbuf *m = node->host->packet_new(node);
	if (m) { /* without: as if it were lost on the way */
		struct message_initiation *out = (struct message_initiation *)rte_pktmbuf_append(m, sizeof(*out));
		memcpy(out, &j->message, sizeof(*out));
		out->sender = index;
		cookie_add_macs(wg->crypto, &p->cookie, j->mac1_key, *node->now, out, &out->macs);
		send_prepare(node, m);
		if (send_message(node, j->peer, m, j->retry))
			node->count[COUNT_INITIATIONS_SENT]++;
		else
			node->host->packet_drop(node, m, DROP_NO_ENDPOINT);
	}
	timers_sent(&hot_of(node->self, j->peer)->t, *node->now);
	timers_update(node, j->peer);
}

/* A timestamp greater than the last one sent to this peer, also when the clock was set back. */
static void
next_stamp(struct peer *p, uint64_t wall, uint8_t stamp[NOISE_STAMP])
{
	noise_stamp(stamp, wall);
	if (memcmp(stamp, p->stamp_sent, NOISE_STAMP) <= 0) {
		memcpy(stamp, p->stamp_sent, NOISE_STAMP);
		for (int i = 8; i >= 0 && ++stamp[i] == 0; i--) /* the least that whitening leaves */
			;
	}
	memcpy(p->stamp_sent, stamp, NOISE_STAMP);
}

static void
start_at(struct tr_node *node, uint32_t id, uint64_t due)
{
	peer_of(node->self, id)->start_due = due;
	timers_wake(node, id, due);
}

void
handshake_start(struct tr_node *node, uint32_t id, bool retry)
{
	struct wg *wg = node->self;
	struct peer *p = peer_of(wg, id);
	const struct tr_peer *record = node->host->peer(wg->instance, id);
	const struct identity *me = identity_of(wg);
	struct tr_endpoint to;

	if (!retry)
		p->retries = 0;
	if (!record || !me || memcmp(record->public_key, me->noise.public_key, 32) == 0)
		return;
	if (p->state == HANDSHAKE_CREATING)
		return;
	if (p->handshake_sent && *node->now - p->handshake_sent < REKEY_TIMEOUT) {
		if (p->staged_n && !p->retransmit_due) /* what waits shall not need one more packet to be sent */
			start_at(node, id, p->handshake_sent + REKEY_TIMEOUT);
		return;
	}
	node->host->paths(node, &id, 1, &to);
	if (!to.family)
		return;
	peer_activate(node, id);
	struct tr_job *job = node->host->job_backlog(node) < OWN_BACKLOG ? node->host->job_new(node) : NULL;
	if (!job) {
		node->count[COUNT_JOBS_DEFERRED]++;
		start_at(node, id, *node->now + DEFER);
		return;
	}
	struct initiate *j = (struct initiate *)job->data;
	peer_clear_handshake(node, id);
	__atomic_store_n(&p->state, HANDSHAKE_CREATING, __ATOMIC_RELAXED);
	j->peer = id;
	j->retry = retry;
	j->epoch = me->epoch;
	j->serial = p->serial = ++worker_of(node)->serial;
	memcpy(j->peer_key, record->public_key, 32);
	next_stamp(p, node->host->wall(wg->instance), j->stamp);
	j->identity = me->noise;
	job->run = initiate_run;
	job->done = initiate_done;
	node->host->job_submit(node, job);
}

/* ---- Their initiation ---- */

/* What the job found and made; travels in the packet to the peer's owner. */
struct answer {
	uint8_t peer_key[32], mac1_key[32];
	uint8_t stamp[NOISE_STAMP];
	uint32_t epoch, remote;
	struct noise_keys keys;
	struct message_response message;
};

struct respond {
	struct rte_mbuf *m;
	uint32_t peer;
	enum drop drop;
	struct noise_identity identity;
	struct message_initiation message;
	struct answer answer;
};
_Static_assert(sizeof(struct respond) <= TR_JOB_DATA, "fits a job");

/* Orders the timestamps of stock peers exactly; others by their seconds. */
static uint64_t
pack_stamp(const uint8_t stamp[NOISE_STAMP])
{
	uint64_t seconds;
	memcpy(&seconds, stamp, 8);
	return __builtin_bswap64(seconds) << 6 | (stamp[8] & 0x3f);
}

static enum drop
respond_verdict(struct respond *j, struct wg *wg, const struct tr_host *host)
{
	const struct tr_crypto *c = host->crypto;
	struct answer *a = &j->answer;
	struct noise_handshake hs;
	uint8_t psk[32];

	if (!noise_open_static(c, &j->identity, &j->message, &hs, a->peer_key))
		return DROP_BAD_HANDSHAKE;
	j->peer = host->peer_by_key(wg->instance, a->peer_key);
	const struct tr_peer *record = j->peer ? host->peer(wg->instance, j->peer) : NULL;
	if (!record || memcmp(a->peer_key, j->identity.public_key, 32) == 0) {
		c->wipe(&hs, sizeof(hs));
		return DROP_UNKNOWN_PEER;
	}
	memcpy(psk, record->preshared_key, 32);
	uint64_t seen = __atomic_load_n(&peer_of(wg, j->peer)->stamp_seen, __ATOMIC_RELAXED);
	enum drop drop = DROP_BAD_HANDSHAKE;
	if (noise_open_stamp(c, &j->identity, &j->message, a->peer_key, &hs, a->stamp)) {
		if (pack_stamp(a->stamp) <= seen)
			drop = DROP_STALE_TIMESTAMP; /* only a hint: the owner decides; it saves three multiplications */
		else if (noise_response(c, &hs, a->peer_key, psk, j->message.sender, &a->message, &a->keys))
			drop = DROP_TAKEN_IN;
	}
	noise_mac1_key(c, a->mac1_key, a->peer_key);
	a->remote = j->message.sender;
	c->wipe(&hs, sizeof(hs));
	c->wipe(psk, sizeof(psk));
	return drop;
}

static void
respond_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct respond *j = (struct respond *)job->data;
	j->drop = respond_verdict(j, self, host);
}

static void
respond_done(struct tr_node *node, struct tr_job *job)
{
	struct respond *j = (struct respond *)job->data;
	struct rte_mbuf *m = j->m;

	if (j->drop == DROP_TAKEN_IN && m->buf_len < RTE_MAX(sizeof(j->answer), TR_HEADROOM + sizeof(j->answer.message)))
		j->drop = DROP_NO_ROOM;
	if (j->drop != DROP_TAKEN_IN) {
		node->host->packet_drop(node, m, j->drop);
		return;
	}
	tr_guard_lift(m);
	m->data_off = 0;
	m->data_len = sizeof(j->answer);
	m->pkt_len = sizeof(j->answer);
	memcpy(rte_pktmbuf_mtod(m, void *), &j->answer, sizeof(j->answer));
	tr_meta(m)->peer = j->peer;
	tr_meta(m)->mark = KIND_ANSWER;
	node->host->emit(node, OUT_HANDSHAKE, &m, 1);
}

static uint16_t
respond_start(struct tr_node *node, const struct identity *me, struct rte_mbuf *m)
{
	struct tr_job *job = node->host->job_new(node);
	if (!job)
		return TR_DROP(DROP_BUSY);
	struct respond *j = (struct respond *)job->data;
	j->m = m;
	j->identity = me->noise;
	j->answer.epoch = me->epoch;
	memcpy(&j->message, rte_pktmbuf_mtod(m, void *), sizeof(j->message));
	job->run = respond_run;
	job->done = respond_done;
	node->host->job_submit(node, job);
	return TR_HELD;
}

/* May this initiation change the peer's state? DROP_TAKEN_IN: yes. */
static enum drop
answer_verdict(struct tr_node *node, uint32_t id, const struct answer *a)
{
	const struct wg *wg = node->self;
	const struct peer *p = peer_of(wg, id);
	const struct tr_peer *record = node->host->peer(wg->instance, id);
	const struct identity *me = identity_of(wg);

	if (!record || memcmp(record->public_key, a->peer_key, 32) != 0)
		return DROP_PEER_GONE;
	if (!me || me->epoch != a->epoch)
		return DROP_NO_PRIVATE_KEY;
	if (memcmp(a->stamp, p->stamp, NOISE_STAMP) <= 0)
		return DROP_STALE_TIMESTAMP;
	if (p->initiated && *node->now - p->initiated < INITIATION_GAP)
		return DROP_INITIATION_FLOOD;
	return DROP_TAKEN_IN;
}

/* Owner: the session of an initiation begins, and the packet becomes the response. */
static uint16_t
answer_commit(struct tr_node *node, struct rte_mbuf *m)
{
	struct wg *wg = node->self;
	uint32_t id = tr_meta(m)->peer;
	struct peer *p = peer_of(wg, id);
	struct traffic *t = &hot_of(wg, id)->t;
	struct answer a;

	memcpy(&a, rte_pktmbuf_mtod(m, void *), sizeof(a));
	wg->crypto->wipe(rte_pktmbuf_mtod(m, void *), sizeof(a));
	enum drop drop = answer_verdict(node, id, &a);
	uint32_t index = drop == DROP_TAKEN_IN ? node->host->index_new(node, id) : 0;
	if (index) {
		memcpy(p->stamp, a.stamp, NOISE_STAMP);
		__atomic_store_n(&p->stamp_seen, pack_stamp(a.stamp), __ATOMIC_RELAXED);
		p->initiated = p->handshake_sent = *node->now;
		peer_begin_responder(node, id, &a.keys, index, a.remote);
		node->host->path_learn(node, id, &tr_meta(m)->endpoint);
		node->host->paths(node, &id, 1, &tr_meta(m)->endpoint);

		tr_guard_lift(m);
		m->data_off = TR_HEADROOM;
		m->data_len = sizeof(a.message);
		m->pkt_len = sizeof(a.message);
		struct message_response *out = rte_pktmbuf_mtod(m, struct message_response *);
		memcpy(out, &a.message, sizeof(*out));
		out->sender = index;
		cookie_add_macs(wg->crypto, &p->cookie, a.mac1_key, *node->now, out, &out->macs);
		send_prepare(node, m);
		add_bytes(&t->rx_bytes, sizeof(struct message_initiation));
		add_bytes(&t->tx_bytes, sizeof(*out));
		timers_received(t, *node->now);
		timers_sent(t, *node->now);
		timers_update(node, id);
		node->count[COUNT_INITIATIONS_TAKEN]++;
		node->count[COUNT_RESPONSES_SENT]++;
	}
	wg->crypto->wipe(&a, sizeof(a));
	return index ? OUT_CIPHER : TR_DROP(drop == DROP_TAKEN_IN ? DROP_INDEXES_FULL : drop);
}

/* ---- Their response ---- */

struct finish {
	struct rte_mbuf *m;
	uint32_t peer, index;
	uint64_t serial;
	bool ok;
	uint8_t psk[32];
	struct noise_identity identity;
	struct noise_handshake handshake;
	struct message_response message;
	struct noise_keys keys;
};
_Static_assert(sizeof(struct finish) <= TR_JOB_DATA, "fits a job");

static void
finish_run(struct tr_job *job, void *self, const struct tr_host *host)
{
	struct finish *j = (struct finish *)job->data;
	j->ok = noise_finish(host->crypto, &j->identity, &j->handshake, j->psk, &j->message, &j->keys);
}

static void
finish_done(struct tr_node *node, struct tr_job *job)
{
	struct wg *wg = node->self;
	struct finish *j = (struct finish *)job->data;
	struct peer *p = peer_of(wg, j->peer);

	p->finishing = false;
	if (!j->ok || p->state != HANDSHAKE_SENT || p->index != j->index || p->serial != j->serial) {
		node->host->packet_drop(node, j->m, j->ok ? DROP_UNEXPECTED_RESPONSE : DROP_BAD_HANDSHAKE);
		return;
	}
	p->index = 0; /* it is the session's now */
	peer_clear_handshake(node, j->peer);
	peer_begin_initiator(node, j->peer, &j->keys, j->index, j->message.sender);
	node->host->path_learn(node, j->peer, &tr_meta(j->m)->endpoint);
	add_bytes(&hot_of(wg, j->peer)->t.rx_bytes, sizeof(struct message_response));
	p->retransmit_due = 0;
	p->retries = 0;
	timers_received(&hot_of(node->self, j->peer)->t, *node->now);
	node->count[COUNT_RESPONSES_TAKEN]++;
	node->host->packet_drop(node, j->m, DROP_TAKEN_IN);
	if (p->staged_n)
		send_staged(node, j->peer);
	else
		send_keepalive(node, j->peer); /* the responder may send only once it has heard from us */
	timers_update(node, j->peer);
}

static uint16_t
finish_start(struct tr_node *node, struct rte_mbuf *m)
{
	struct wg *wg = node->self;
	uint32_t id = tr_meta(m)->peer;
	struct peer *p = peer_of(wg, id);
	const struct message_response *in = rte_pktmbuf_mtod(m, const struct message_response *);
	const struct tr_peer *record = node->host->peer(wg->instance, id);
	const struct identity *me = identity_of(wg);

	if (p->state != HANDSHAKE_SENT || p->index != in->receiver || !record || !me || me->epoch != p->epoch)
		return TR_DROP(DROP_UNEXPECTED_RESPONSE);
	bool wait = p->finishing && tr_meta(m)->mark == KIND_UNPROVEN;
	struct tr_job *job = wait ? NULL : node->host->job_new(node);
	if (!job)
		return TR_DROP(DROP_BUSY);
	struct finish *j = (struct finish *)job->data;
	p->finishing = true;
	j->m = m;
	j->peer = id;
	j->index = p->index;
	j->serial = p->serial;
	memcpy(j->psk, record->preshared_key, sizeof(j->psk));
	j->identity = me->noise;
	j->handshake = p->handshake;
	j->message = *in;
	job->run = finish_run;
	job->done = finish_done;
	node->host->job_submit(node, job);
	return TR_HELD;
}

/* ---- Cookie replies ---- */

static uint16_t
cookie_arrived(struct tr_node *node, struct rte_mbuf *m)
{
	struct wg *wg = node->self;
	uint32_t id = tr_meta(m)->peer;
	const struct message_cookie *in = rte_pktmbuf_mtod(m, const struct message_cookie *);
	const struct tr_peer *record = node->host->peer(wg->instance, id);
	struct peer *p = peer_of(wg, id);
	uint8_t key[32];

	if (!record || (p->index != in->receiver && pair_slot(&hot_of(wg, id)->t, in->receiver) == SLOT_NONE))
		return TR_DROP(DROP_UNKNOWN_INDEX);
	noise_cookie_key(wg->crypto, key, record->public_key);
	if (!cookie_take(wg->crypto, &p->cookie, key, *node->now, in))
		return TR_DROP(DROP_BAD_COOKIE);
	node->count[COUNT_COOKIES_TAKEN]++;
	return TR_DROP(DROP_TAKEN_IN);
}

/* ---- Arrival ---- */

static bool
under_load(struct tr_node *node)
{
	struct worker *w = worker_of(node);
	if (node->host->job_backlog(node) >= LOAD_BACKLOG)
		w->load_until = *node->now + SECOND;
	return *node->now < w->load_until;
}

/* Turns a handshake message into the cookie reply to it. */
static uint16_t
demand_cookie(struct tr_node *node, const struct identity *me, struct rte_mbuf *m, const uint8_t cookie[16],
	const struct message_macs *macs)
{
	struct message_cookie *out = rte_pktmbuf_mtod(m, struct message_cookie *);
	uint8_t mac1[16];
	uint32_t sender;
	memcpy(&sender, rte_pktmbuf_mtod(m, uint8_t *) + 4, 4); /* same place in both messages */
	memcpy(mac1, macs->mac1, sizeof(mac1));
	cookie_reply(node->host->crypto, me->noise.cookie_key, cookie, mac1, sender, out);
	rte_pktmbuf_trim(m, (uint16_t)(m->data_len - sizeof(*out)));
	send_prepare(node, m);
	node->count[COUNT_COOKIES_SENT]++;
	return OUT_CIPHER;
}

/* The one internal look-up of messages 2 and 3. */
static uint16_t
to_owner(struct tr_node *node, struct rte_mbuf *m, uint32_t receiver)
{
	uint64_t value;
	node->host->indexes(node, &receiver, 1, &value);
	if (!value)
		return TR_DROP(DROP_UNKNOWN_INDEX);
	tr_meta(m)->peer = (uint32_t)value;
	tr_meta(m)->mark = KIND_MESSAGE;
	return OUT_HANDSHAKE;
}

/*
 * Under load: no cookie is demanded for an answer that we wait for, or a thousand peers called at once would each be
 * asked to wait for 5 s more. Whoever saw the index could send many: of them one at a time is looked at.
 */
static uint16_t
without_cookie(struct tr_node *node, const struct identity *me, struct rte_mbuf *m, enum message_type type,
	const uint8_t cookie[16], const struct message_macs *macs)
{
	if (type == MESSAGE_INITIATION)
		return demand_cookie(node, me, m, cookie, macs);
	uint16_t gate = to_owner(node, m, rte_pktmbuf_mtod(m, const struct message_response *)->receiver);
	tr_meta(m)->mark = KIND_UNPROVEN;
	return gate;
}

uint16_t
handshake_arrived(struct tr_node *node, struct rte_mbuf *m, enum message_type type)
{
	struct wg *wg = node->self;
	const struct tr_crypto *c = wg->crypto;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct identity *me = identity_of(wg);
	const struct tr_endpoint *from = &tr_meta(m)->endpoint;
	uint8_t cookie[16];

	if (!me)
		return TR_DROP(DROP_NO_PRIVATE_KEY);
	if (type == MESSAGE_COOKIE)
		return to_owner(node, m, ((const struct message_cookie *)p)->receiver);
	const struct message_macs *macs = type == MESSAGE_INITIATION ? &((const struct message_initiation *)p)->macs
								      : &((const struct message_response *)p)->macs;
	if (!cookie_mac1_ok(c, me->noise.mac1_key, p, macs))
		return TR_DROP(DROP_BAD_MAC1);
	if (under_load(node)) {
		cookie_make(c, &worker_of(node)->cookies, *node->now, from, cookie);
		if (!cookie_mac2_ok(c, cookie, p, macs))
			return without_cookie(node, me, m, type, cookie, macs);
		if (!limiter_allow(c, &worker_of(node)->limiter, *node->now, from))
			return TR_DROP(DROP_RATE_LIMITED);
	}
	if (type == MESSAGE_INITIATION)
		return respond_start(node, me, m);
	return to_owner(node, m, ((const struct message_response *)p)->receiver);
}

void
handshake_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		if (tr_meta(pkts[i])->mark == KIND_ANSWER)
			gate[i] = answer_commit(node, pkts[i]);
		else if (*rte_pktmbuf_mtod(pkts[i], const uint8_t *) == MESSAGE_RESPONSE)
			gate[i] = finish_start(node, pkts[i]);
		else
			gate[i] = cookie_arrived(node, pkts[i]);
	}
}
