/* SPDX-License-Identifier: BSD-3-Clause */
/* Data packets: the sender's clock, sealing and opening whole bursts, and what arrives. */
#include "pktgen.h"

#include <rte_prefetch.h>
#include <tailrace/udp.h>

#define AHEAD 8 /* sessions whose lines are asked for before their turn */

void
endpoint_of(const struct pktgen *g, uint32_t session, struct tr_meta *meta)
{
	const struct tr_addr *from = g->o.from.items;

	meta->endpoint = g->gateway;
	meta->endpoint.local_port = session_port(g, session);
	if (g->o.from.n > 0)
		memcpy(meta->endpoint.local, from[(session + session_shift(g, session)) % g->o.from.n].ip, sizeof(meta->endpoint.local));
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN;
}

void
send_message(struct tr_node *node, struct pktgen *g, uint32_t session, const void *msg, uint16_t len)
{
	struct rte_mbuf *m = g->host->packet_new(node);
	void *data = m ? rte_pktmbuf_append(m, len) : NULL;

	if (!data) {
		node->count[NO_PACKET]++;
		if (m)
			g->host->packet_drop(node, m, DROP_NO_ROOM);
		return;
	}
	memcpy(data, msg, len);
	endpoint_of(g, session, tr_meta(m));
	g->host->emit(node, OUT_CIPHER, &m, 1);
}

/* Room for a data message of `padded` bytes, its header written and its counter taken. NULL: none. */
static struct rte_mbuf *
data_message(struct tr_node *node, struct pktgen *g, uint32_t session, uint16_t padded, struct tr_aead *a)
{
	struct sending *k = &g->hot[session].slot[CURRENT].send;
	struct rte_mbuf *m = g->host->packet_new(node);
	uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(DATA_HEADER + padded + TR_AEAD_TAG)) : NULL;
	const uint32_t type = HS_TYPE_DATA;

	if (!p) {
		if (m)
			g->host->packet_drop(node, m, DROP_NO_ROOM);
		node->count[NO_PACKET]++;
		return NULL;
	}
	memcpy(p, &type, 4);
	memcpy(p + 4, &k->remote, 4);
	memcpy(p + 8, &k->counter, 8);
	*a = (struct tr_aead){.key = k->key, .counter = k->counter++, .data = p + DATA_HEADER, .len = padded};
	k->sent_at = moment(*node->now);
	endpoint_of(g, session, tr_meta(m));
	return m;
}

void
keepalive_out(struct tr_node *node, struct pktgen *g, uint32_t session, uint64_t now)
{
	struct tr_aead a;
	struct rte_mbuf *m = data_message(node, g, session, 0, &a);

	if (!m)
		return;
	g->host->aead_seal(node, &a, 1);
	g->host->emit(node, OUT_CIPHER, &m, 1);
	g->hot[session].t.heard_from = 0;
	node->count[KEEPALIVES]++;
}

/* ---- Arrivals ---- */

/* As of this run: what an earlier one left is forgotten. */
static struct tally *
tally_of(struct pktgen *g, uint32_t session)
{
	struct tally *t = &g->hot[session].t;

	if (t->run != (uint16_t)g->run.number) {
		memset(t->arrived, 0, sizeof(t->arrived));
		t->seq = 0;
		t->run = (uint16_t)g->run.number;
	}
	return t;
}

/* Whom a session sends to, in direction through. */
static uint32_t
after(const struct pktgen *g, uint32_t session)
{
	return session + 1 == g->o.sessions ? 0 : session + 1;
}

/* Once per loop: the clock of the time in which arrivals would have been seen at once. */
void
traffic_watch(struct pktgen *g, uint64_t now)
{
	uint64_t loop = now - g->looked_at;

	g->watched += loop < RUN_LOOP_MAX ? loop : RUN_LOOP_MAX;
	g->looked_at = now;
}

#define IN_CLEAR UINT32_MAX

/* `by`: the session that it was sealed for, or IN_CLEAR. `now`: when the burst was looked at. */
static void
measure(struct tr_node *node, struct pktgen *g, const struct probe *p, enum probe_kind kind, uint32_t by, uint64_t now)
{
	if (kind == PROBE_NONE || p->flow >= g->o.sessions || (p->direction == UP) == (by != IN_CLEAR)) {
		node->count[OTHER]++;
		return;
	}
	if (kind == PROBE_CORRUPT) {
		node->count[CORRUPT]++;
		return;
	}
	if (p->run != (uint16_t)g->run.number) {
		node->count[STALE]++;
		return;
	}
	if (by != IN_CLEAR && by != (p->direction == THROUGH ? after(g, p->flow) : p->flow)) {
		node->count[FOREIGN]++;
		return;
	}
	struct meter *m = &g->meter[p->direction];
	meter_arrival(m, &tally_of(g, p->flow)->arrived[p->direction], &g->session[p->flow].arrived[p->direction], p->seq,
		now - probe_age(p->time, now), now);
	meter_watched(m, g->watched);
}

struct batch {
	struct tr_aead a[BURST];
	uint32_t index[BURST];
	uint16_t at[BURST]; /* in pkts[] */
	uint16_t n;
};

static struct keypair *
keypair_by_index(struct hot *h, uint32_t index)
{
	for (int i = 0; i < SLOTS; i++)
		if (h->slot[i].receive.until && h->slot[i].receive.local == index)
			return &h->slot[i];
	return NULL;
}

/* What an authentic packet changes, in the order of the protocol: replay, confirmation, timers, contents. */
static uint16_t
opened(struct tr_node *node, struct pktgen *g, const struct tr_aead *a, uint32_t index, uint64_t now)
{
	const uint32_t n = session_by_index(index);
	struct hot *h = &g->hot[n];
	struct keypair *k = keypair_by_index(h, index); /* by index: an earlier packet of the burst may have moved it */

	switch (k ? window_see(&k->receive.window, &g->session[n].received[k - h->slot], a->counter) : SEEN_TOO_OLD) {
	case SEEN_TWICE:
		meter_add(&g->counter_twice, 1);
		return TR_DROP(DROP_REPLAY);
	case SEEN_TOO_OLD:
		meter_add(&g->counter_old, 1);
		return TR_DROP(DROP_REPLAY);
	default:
		break;
	}
	if (k == &h->slot[NEXT])
		session_confirm(g, n);
	h->t.unanswered_from = 0;
	if (a->len > 0) {
		struct probe p;
		if (!h->t.heard_from)
			h->t.heard_from = moment(*node->now);
		const enum probe_kind kind = probe_read(&p, &g->pattern, a->data, a->len);
		measure(node, g, &p, kind, n, now);
	}
	return TR_DROP(DROP_RECEIVED);
}

static void
open_batch(struct tr_node *node, struct pktgen *g, struct batch *b, uint16_t *gate)
{
	if (b->n == 0)
		return;
	g->host->aead_open(node, b->a, b->n);
	const uint64_t now = g->host->now(g->instance);
	for (uint16_t i = 0; i < b->n; i++)
		gate[b->at[i]] = b->a[i].ok ? opened(node, g, &b->a[i], b->index[i], now) : TR_DROP(DROP_FORGED);
	traffic_watch(g, *node->now);
	b->n = 0;
}

/* The lines of the sessions that a burst is for, all of them at once. */
static void
ask_for(struct pktgen *g, struct rte_mbuf **pkts, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *msg = tr_udp_payload(pkts[i], &len);
		if (len < DATA_MIN)
			continue;
		const uint32_t session = session_by_index(hs_get32(msg + 4));
		if (session >= g->o.sessions)
			continue;
		rte_prefetch0(&g->hot[session].slot[CURRENT].receive);
		rte_prefetch0(&g->hot[session].t);
	}
}

void
traffic_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct batch b;

	b.n = 0;
	ask_for(g, pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		size_t len;
		uint8_t *msg = tr_udp_payload(pkts[i], &len);
		if (len < DATA_MIN || hs_get32(msg) != HS_TYPE_DATA) {
			gate[i] = len < DATA_MIN ? TR_DROP(DROP_MALFORMED) : handshake_in(node, g, pkts[i], msg, len);
			continue;
		}
		const uint32_t index = hs_get32(msg + 4), session = session_by_index(index);
		const struct keypair *k = session < g->o.sessions ? keypair_by_index(&g->hot[session], index) : NULL;
		if (!k || *node->now >= k->receive.until) {
			gate[i] = TR_DROP(DROP_UNKNOWN);
			continue;
		}
		b.index[b.n] = index;
		b.at[b.n] = i;
		b.a[b.n++] = (struct tr_aead){.key = k->receive.key, .counter = hs_get64(msg + 8), .data = msg + DATA_HEADER,
			.len = (uint32_t)(len - DATA_MIN)};
		if (b.n == BURST)
			open_batch(node, g, &b, gate);
	}
	open_batch(node, g, &b, gate);
}

void
plain_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct probe p[TR_BURST];
	enum probe_kind kind[TR_BURST];

	for (uint16_t i = 0; i < n; i++) {
		kind[i] = probe_read(&p[i], &g->pattern, rte_pktmbuf_mtod(pkts[i], const uint8_t *), rte_pktmbuf_data_len(pkts[i]));
		if (kind[i] == PROBE_OURS && p[i].flow < g->o.sessions)
			rte_prefetch0(&g->hot[p[i].flow].t);
	}
	const uint64_t now = g->host->now(g->instance);
	for (uint16_t i = 0; i < n; i++) {
		measure(node, g, &p[i], kind[i], IN_CLEAR, now);
		gate[i] = TR_DROP(DROP_RECEIVED);
	}
	traffic_watch(g, *node->now);
}

/* ---- The sender ---- */

struct outgoing {
	struct rte_mbuf *sealed[BURST], *plain[BURST];
	uint32_t by[BURST];
	struct tr_aead a[BURST];
	uint16_t n_sealed, n_plain;
};

#define NOBODY UINT32_MAX

/* The next session in turn that can send. */
static uint32_t
next_session(struct pktgen *g, uint64_t now)
{
	for (uint32_t i = 0; i < g->o.sessions; i++) {
		const uint32_t n = g->next;
		g->next = n + 1 == g->o.sessions ? 0 : n + 1;
		if (n + AHEAD < g->o.sessions) {
			rte_prefetch0(&g->hot[n + AHEAD].t);
			rte_prefetch0(&g->hot[n + AHEAD].slot[CURRENT].send);
		}
		if (session_alive(&g->hot[n], now))
			return n;
		if (i == 64) /* don't stop the clock for a search; the rest come next time */
			break;
	}
	return NOBODY;
}

static enum direction
direction_of(enum mode mode, const struct tally *t)
{
	switch (mode) {
	case MODE_UP:
		return UP;
	case MODE_DOWN:
		return DOWN;
	case MODE_THROUGH:
		return THROUGH;
	case MODE_BOTH:
		break;
	}
	return t->seq & 1 ? DOWN : UP;
}

static bool
put_sealed(struct tr_node *node, struct pktgen *g, const struct probe *p, uint16_t size,
	const struct tr_addr *from, const struct tr_addr *to, struct outgoing *out)
{
	uint16_t padded = (uint16_t)((size + 15) & ~15);
	uint16_t mtu = (uint16_t)g->o.mtu;

	if (padded > mtu)
		padded = size > mtu ? size : mtu;
	struct rte_mbuf *m = data_message(node, g, p->flow, padded, &out->a[out->n_sealed]);
	if (!m)
		return false;
	uint8_t *ip = out->a[out->n_sealed].data;
	probe_write(ip, size, &(struct probe_path){from, to, PROBE_PORT, PROBE_PORT}, &g->pattern, p);
	memset(ip + size, 0, (size_t)(padded - size));
	out->by[out->n_sealed] = p->flow;
	out->sealed[out->n_sealed++] = m;
	struct tally *t = &g->hot[p->flow].t;
	t->heard_from = 0;
	if (!t->unanswered_from)
		t->unanswered_from = moment(*node->now);
	return true;
}

static bool
put_plain(struct tr_node *node, struct pktgen *g, const struct probe *p, uint16_t size, const struct tr_addr *from,
	const struct tr_addr *to, struct outgoing *out)
{
	struct rte_mbuf *m = g->host->packet_new(node);
	uint8_t *ip = m ? (uint8_t *)rte_pktmbuf_append(m, size) : NULL;

	if (!ip) {
		if (m)
			g->host->packet_drop(node, m, DROP_NO_ROOM);
		node->count[NO_PACKET]++;
		return false;
	}
	probe_write(ip, size, &(struct probe_path){from, to, PROBE_PORT, PROBE_PORT}, &g->pattern, p);
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = from->family == 4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	meta->l4 = IPPROTO_UDP;
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN | TR_META_CSUM_OK;
	meta->next_hop = (struct tr_addr){0};
	out->plain[out->n_plain++] = m;
	return true;
}

static void
put(struct tr_node *node, struct pktgen *g, enum mode mode, uint64_t time, struct outgoing *out)
{
	const uint32_t n = next_session(g, *node->now);
	const uint16_t size = sizes_next(&g->sizes);

	if (n == NOBODY) {
		node->count[NO_SESSION]++;
		return;
	}
	struct tally *t = tally_of(g, n);
	const enum direction d = direction_of(mode, t);
	const struct probe p = {.direction = (uint8_t)d, .flow = n, .run = (uint16_t)g->run.number, .seq = t->seq, .time = time};
	struct tr_addr inside = probe_address(&g->o.inside, n), to = g->o.sink;
	bool sent;
	if (d == THROUGH)
		to = probe_address(&g->o.inside, after(g, n));
	if (d == DOWN)
		sent = put_plain(node, g, &p, size, &g->o.sink, &inside, out);
	else
		sent = put_sealed(node, g, &p, size, &inside, &to, out);
	if (sent) {
		t->seq++;
		meter_add(&g->meter[d].sent, 1);
	}
}

static void
begin_books(struct pktgen *g)
{
	for (int d = 0; d < DIRECTIONS; d++)
		meter_clear(&g->meter[d]);
	atomic_store_explicit(&g->counter_twice, 0, memory_order_relaxed);
	atomic_store_explicit(&g->counter_old, 0, memory_order_relaxed);
	g->roam_pace.rate = g->flood_pace.rate = 0;
}

/*
 * The clock alone decides when a packet goes: what a slow gateway or this thread's own stall delays is sent late, with the
 * time at which it should have gone. What falls due within a tick goes together at its end: a packet alone costs several
 * times one of ten, and the sender must not be the limit.
 */
static uint32_t
stream_out(struct tr_node *node, struct pktgen *g, uint64_t now)
{
	struct outgoing out = {.n_sealed = 0, .n_plain = 0};
	const enum mode mode = atomic_load_explicit(&g->mode, memory_order_relaxed);
	const uint64_t rate = meter_get(&g->rate);
	uint64_t due;

	for (unsigned i = 0; i < BURST && run_due(&g->run, rate, now, &due); i++)
		put(node, g, mode, due, &out);
	if (out.n_sealed > 0) {
		g->host->aead_seal(node, out.a, out.n_sealed);
		faults_emit(node, g, out.sealed, out.by, out.n_sealed);
	}
	if (out.n_plain > 0)
		g->host->emit(node, OUT_PLAIN, out.plain, out.n_plain);
	return (uint32_t)out.n_sealed + out.n_plain;
}

uint32_t
traffic_out(struct tr_node *node, struct pktgen *g, uint64_t now)
{
	switch (run_state(&g->run, now)) {
	case RUN_NONE:
		return 0;
	case RUN_ENDS:
		faults_flush(node, g);
		return 0;
	case RUN_BEGINS:
		begin_books(g);
		break;
	case RUN_GOES_ON:
		break;
	}
	uint32_t work = faults_out(node, g, now);
	return now < g->run.next_tick ? work : work + stream_out(node, g, now);
}
