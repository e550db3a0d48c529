/* SPDX-License-Identifier: BSD-3-Clause */
/* Data packets: the sender's clock, sealing and opening whole bursts, and what arrives. */
#include "pktgen.h"

#include <tailrace/udp.h>

void
endpoint_of(const struct pktgen *g, const struct session *s, struct tr_meta *meta)
{
	const struct tr_addr *from = g->o.from.items;

	meta->endpoint = g->gateway;
	meta->endpoint.local_port = session_port(g, s);
	if (g->o.from.n > 0)
		memcpy(meta->endpoint.local, from[((uint32_t)(s - g->session) + s->shift) % g->o.from.n].ip, sizeof(meta->endpoint.local));
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN;
}

void
send_message(struct tr_node *node, struct pktgen *g, const struct session *s, const void *msg, uint16_t len)
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
	endpoint_of(g, s, tr_meta(m));
	g->host->emit(node, OUT_CIPHER, &m, 1);
}

/* Room for a data message of `padded` bytes, its header written and its counter taken. NULL: none. */
static struct rte_mbuf *
data_message(struct tr_node *node, struct pktgen *g, struct session *s, uint16_t padded, struct tr_aead *a)
{
	struct keypair *k = &s->slot[CURRENT];
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
	*a = (struct tr_aead){.key = k->keys.send, .counter = k->counter++, .data = p + DATA_HEADER, .len = padded};
	endpoint_of(g, s, tr_meta(m));
	return m;
}

void
keepalive_out(struct tr_node *node, struct pktgen *g, struct session *s, uint64_t now)
{
	struct tr_aead a;
	struct rte_mbuf *m = data_message(node, g, s, 0, &a);

	if (!m)
		return;
	g->host->aead_seal(node, &a, 1);
	g->host->emit(node, OUT_CIPHER, &m, 1);
	s->heard_from = 0;
	s->sent_at = now;
	node->count[KEEPALIVES]++;
}

/* ---- Arrivals ---- */

static struct flow *
flow_of(struct session *s, enum direction d, uint32_t run)
{
	struct flow *f = &s->flow[d];

	if (f->run != run) {
		memset(f, 0, sizeof(*f));
		f->run = run;
	}
	return f;
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

/* `by`: the session that it was sealed for; NULL: it came in clear. */
static void
measure(struct tr_node *node, struct pktgen *g, const uint8_t *ip, size_t len, const struct session *by)
{
	struct probe p;

	enum probe_kind kind = probe_read(&p, &g->pattern, ip, len);
	if (kind == PROBE_NONE || p.flow >= g->o.sessions || (p.direction == UP) == (by != NULL)) {
		node->count[OTHER]++;
		return;
	}
	if (kind == PROBE_CORRUPT) {
		node->count[CORRUPT]++;
		return;
	}
	if (p.run != (uint16_t)g->run.number) {
		node->count[STALE]++;
		return;
	}
	if (by && by != &g->session[p.direction == THROUGH ? after(g, p.flow) : p.flow]) {
		node->count[FOREIGN]++;
		return;
	}
	struct flow *f = flow_of(&g->session[p.flow], p.direction, p.run);
	uint64_t now = g->host->now(g->instance);
	meter_arrival(&g->meter[p.direction], &f->arrived, p.seq, now - probe_age(p.time, now), now);
	traffic_watch(g, *node->now);
	meter_watched(&g->meter[p.direction], g->watched);
}

/* What an authentic packet changes, in the order of the protocol: replay, confirmation, timers, contents. */
static uint16_t
opened(struct tr_node *node, struct pktgen *g, const struct tr_aead *a, uint32_t index)
{
	struct session *s = session_by_index(g, index);
	struct keypair *k = keypair_by_index(s, index); /* by index: an earlier packet of the burst may have moved it */

	switch (k ? window_see(&k->window, a->counter) : SEEN_TOO_OLD) {
	case SEEN_TWICE:
		meter_add(&g->counter_twice, 1);
		return TR_DROP(DROP_REPLAY);
	case SEEN_TOO_OLD:
		meter_add(&g->counter_old, 1);
		return TR_DROP(DROP_REPLAY);
	default:
		break;
	}
	if (k == &s->slot[NEXT])
		session_confirm(s);
	s->unanswered_from = 0;
	if (a->len > 0) {
		if (!s->heard_from)
			s->heard_from = *node->now;
		measure(node, g, a->data, a->len, s);
	}
	return TR_DROP(DROP_RECEIVED);
}

struct batch {
	struct tr_aead a[BURST];
	uint32_t index[BURST];
	uint16_t at[BURST]; /* in pkts[] */
	uint16_t n;
};

static void
open_batch(struct tr_node *node, struct pktgen *g, struct batch *b, uint16_t *gate)
{
	if (b->n > 0)
		g->host->aead_open(node, b->a, b->n);
	for (uint16_t i = 0; i < b->n; i++)
		gate[b->at[i]] = b->a[i].ok ? opened(node, g, &b->a[i], b->index[i]) : TR_DROP(DROP_FORGED);
	b->n = 0;
}

void
traffic_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct batch b;

	b.n = 0;
	for (uint16_t i = 0; i < n; i++) {
		size_t len;
		uint8_t *msg = tr_udp_payload(pkts[i], &len);
		if (len < DATA_MIN || hs_get32(msg) != HS_TYPE_DATA) {
			gate[i] = len < DATA_MIN ? TR_DROP(DROP_MALFORMED) : handshake_in(node, g, pkts[i], msg, len);
			continue;
		}
		uint32_t index = hs_get32(msg + 4);
		struct session *s = session_by_index(g, index);
		struct keypair *k = s ? keypair_by_index(s, index) : NULL;
		if (!k || *node->now - k->created >= REJECT_AFTER) {
			gate[i] = TR_DROP(DROP_UNKNOWN);
			continue;
		}
		b.index[b.n] = index;
		b.at[b.n] = i;
		b.a[b.n++] = (struct tr_aead){.key = k->keys.receive, .counter = hs_get64(msg + 8), .data = msg + DATA_HEADER,
			.len = (uint32_t)(len - DATA_MIN)};
		if (b.n == BURST)
			open_batch(node, g, &b, gate);
	}
	open_batch(node, g, &b, gate);
}

void
plain_in(struct tr_node *node, struct pktgen *g, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		measure(node, g, rte_pktmbuf_mtod(pkts[i], const uint8_t *), rte_pktmbuf_data_len(pkts[i]), NULL);
		gate[i] = TR_DROP(DROP_RECEIVED);
	}
}

/* ---- The sender ---- */

struct outgoing {
	struct rte_mbuf *sealed[BURST], *plain[BURST];
	struct session *by[BURST];
	struct tr_aead a[BURST];
	uint16_t n_sealed, n_plain;
};

/* The next session in turn that can send; NULL after all were asked. */
static struct session *
next_session(struct pktgen *g, uint64_t now)
{
	for (uint32_t i = 0; i < g->o.sessions; i++) {
		struct session *s = &g->session[g->next];
		g->next = g->next + 1 == g->o.sessions ? 0 : g->next + 1;
		if (session_alive(s, now))
			return s;
		if (i == 64) /* don't stop the clock for a search; the rest come next time */
			break;
	}
	return NULL;
}

static enum direction
direction_of(enum mode mode, struct session *s)
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
	s->down_next = !s->down_next;
	return s->down_next ? UP : DOWN;
}

static bool
put_sealed(struct tr_node *node, struct pktgen *g, struct session *s, struct probe *p, uint16_t size,
	const struct tr_addr *from, const struct tr_addr *to, struct outgoing *out)
{
	uint16_t padded = (uint16_t)((size + 15) & ~15);
	uint16_t mtu = (uint16_t)g->o.mtu;

	if (padded > mtu)
		padded = size > mtu ? size : mtu;
	struct rte_mbuf *m = data_message(node, g, s, padded, &out->a[out->n_sealed]);
	if (!m)
		return false;
	uint8_t *ip = out->a[out->n_sealed].data;
	probe_write(ip, size, &(struct probe_path){from, to, PROBE_PORT, PROBE_PORT}, &g->pattern, p);
	memset(ip + size, 0, (size_t)(padded - size));
	out->by[out->n_sealed] = s;
	out->sealed[out->n_sealed++] = m;
	s->sent_at = *node->now;
	s->heard_from = 0;
	if (!s->unanswered_from)
		s->unanswered_from = *node->now;
	return true;
}

static bool
put_plain(struct tr_node *node, struct pktgen *g, struct probe *p, uint16_t size, const struct tr_addr *from,
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
	struct session *s = next_session(g, *node->now);
	uint16_t size = sizes_next(&g->sizes);

	if (!s) {
		node->count[NO_SESSION]++;
		return;
	}
	enum direction d = direction_of(mode, s);
	uint32_t number = (uint32_t)(s - g->session);
	struct flow *f = flow_of(s, d, g->run.number);
	struct probe p = {.direction = (uint8_t)d, .flow = number, .run = (uint16_t)g->run.number, .seq = f->seq, .time = time};
	struct tr_addr inside = probe_address(&g->o.inside, number), to = g->o.sink;
	bool sent;
	if (d == THROUGH)
		to = probe_address(&g->o.inside, after(g, number));
	if (d == DOWN)
		sent = put_plain(node, g, &p, size, &g->o.sink, &inside, out);
	else
		sent = put_sealed(node, g, s, &p, size, &inside, &to, out);
	if (sent) {
		f->seq++;
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
