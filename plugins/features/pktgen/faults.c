/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a gateway must put up with, on demand. Forged and replayed packets go beside the stream, never instead of one: the
 * stream itself loses nothing, and the gateway's counters must say exactly what was injected.
 */
#include "pktgen.h"

#define FLOOD_AT_ONCE 128

/* Whether it is the n-th since the last; 0: never. */
static bool
every(const _Atomic uint64_t *n, uint64_t *count)
{
	uint64_t limit = meter_get(n);

	if (limit == 0 || ++*count < limit)
		return false;
	*count = 0;
	return true;
}

static struct rte_mbuf *
copy_of(struct tr_node *node, struct pktgen *g, const struct rte_mbuf *m, uint32_t session)
{
	struct rte_mbuf *copy = g->host->packet_new(node);

	if (!copy) {
		node->count[NO_PACKET]++;
		return NULL;
	}
	/* From the same pool as the original: it has the room. */
	memcpy(rte_pktmbuf_append(copy, m->data_len), rte_pktmbuf_mtod(m, const void *), m->data_len);
	endpoint_of(g, session, tr_meta(copy));
	return copy;
}

/* Before the original: were it taken for authentic, the original would be a replay. */
static void
forge(struct tr_node *node, struct pktgen *g, const struct rte_mbuf *m, uint32_t session)
{
	struct rte_mbuf *copy = copy_of(node, g, m, session);

	if (!copy)
		return;
	*rte_pktmbuf_mtod_offset(copy, uint8_t *, copy->data_len - 1) ^= 1;
	g->host->emit(node, OUT_CIPHER, &copy, 1);
	node->count[FORGERIES]++;
}

static void
send_sealed(struct tr_node *node, struct pktgen *g, struct rte_mbuf *m, uint32_t session)
{
	struct rte_mbuf *copy = every(&g->replay, &g->replay_count) ? copy_of(node, g, m, session) : NULL;

	g->host->emit(node, OUT_CIPHER, &m, 1);
	if (!copy)
		return;
	g->host->emit(node, OUT_CIPHER, &copy, 1);
	node->count[REPLAYS]++;
}

void
faults_emit(struct tr_node *node, struct pktgen *g, struct rte_mbuf *const *sealed, const uint32_t *by, uint16_t n)
{
	if (!(meter_get(&g->forge) | meter_get(&g->replay) | meter_get(&g->swap) | g->held)) {
		g->host->emit(node, OUT_CIPHER, sealed, n);
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		struct session *s = &g->session[by[i]];
		if (every(&g->forge, &g->forge_count))
			forge(node, g, sealed[i], by[i]);
		if (!s->held && every(&g->swap, &g->swap_count)) {
			s->held = sealed[i];
			g->held++;
			continue;
		}
		send_sealed(node, g, sealed[i], by[i]);
		if (!s->held)
			continue;
		g->host->emit(node, OUT_CIPHER, &s->held, 1);
		node->count[SWAPS]++;
		s->held = NULL;
		g->held--;
	}
}

void
faults_flush(struct tr_node *node, struct pktgen *g)
{
	for (uint32_t i = 0; i < g->o.sessions && g->held > 0; i++) {
		struct session *s = &g->session[i];
		if (!s->held)
			continue;
		g->host->emit(node, OUT_CIPHER, &s->held, 1); /* none has overtaken it */
		s->held = NULL;
		g->held--;
	}
}

void
faults_drop(struct tr_node *node, struct pktgen *g)
{
	for (uint32_t i = 0; i < g->o.sessions && g->held > 0; i++) {
		if (!g->session[i].held)
			continue;
		g->host->packet_drop(node, g->session[i].held, DROP_RECEIVED);
		g->session[i].held = NULL;
		g->held--;
	}
}

/* ---- Handshakes of nobody ---- */

static uint64_t
random_64(struct pktgen *g)
{
	g->jitter = g->jitter * 6364136223846793005u + 1442695040888963407u;
	return g->jitter ^ g->jitter >> 29;
}

/* An initiation that only its mac1, at best, makes look like one. */
static struct rte_mbuf *
flood_message(struct tr_node *node, struct pktgen *g)
{
	struct rte_mbuf *m = g->host->packet_new(node);
	uint8_t *msg = m ? (uint8_t *)rte_pktmbuf_append(m, HS_INITIATION) : NULL;
	const uint32_t head[2] = {HS_TYPE_INITIATION, FLOOD_INDEX};

	if (!msg) {
		node->count[NO_PACKET]++;
		if (m)
			g->host->packet_drop(node, m, DROP_NO_ROOM);
		return NULL;
	}
	memcpy(msg, head, sizeof(head));
	memcpy(msg + sizeof(head), g->pattern.bytes, HS_INITIATION - sizeof(head) - 16);
	memset(msg + HS_INITIATION - 16, 0, 16);
	const uint64_t r = random_64(g);
	memcpy(msg + sizeof(head), &r, sizeof(r));
	if (atomic_load_explicit(&g->flood_mac1, memory_order_relaxed) == FLOOD_GOOD) {
		const void *part = msg;
		const size_t len = HS_INITIATION - 32;
		g->host->crypto->blake2s(msg + len, 16, g->mac1_key, 32, &part, &len, 1);
	}
	endpoint_of(g, 0, tr_meta(m));
	tr_meta(m)->endpoint.local_port = (uint16_t)(1024 + (r >> 40) % (65536 - 1024));
	return m;
}

uint32_t
faults_out(struct tr_node *node, struct pktgen *g, uint64_t now)
{
	struct rte_mbuf *out[FLOOD_AT_ONCE];
	uint64_t due;
	uint16_t n = 0;

	while (pace_due(&g->roam_pace, meter_get(&g->roam), now, &due)) {
		if (++g->roamer == g->o.sessions) {
			g->roamer = 0;
			g->rounds++;
		}
		node->count[ROAMS]++;
	}
	while (n < FLOOD_AT_ONCE && pace_due(&g->flood_pace, meter_get(&g->flood), now, &due)) {
		out[n] = flood_message(node, g);
		if (!out[n])
			break;
		n++;
	}
	for (uint16_t i = 0; i < n; i = (uint16_t)(i + TR_BURST))
		g->host->emit(node, OUT_CIPHER, out + i, n - i < TR_BURST ? (uint16_t)(n - i) : TR_BURST);
	node->count[FLOODED] += n;
	return n;
}
