/* SPDX-License-Identifier: BSD-3-Clause */
#include "graph.h"

#include <emmintrin.h>
#include <errno.h>
#include <rte_cycles.h>
#include <stdlib.h>

const struct tr_drop_reason graph_drops[GRAPH_DROPS + 1] = {
	[GRAPH_LOOP] = {"graph_loop", "went round the graph too often"},
	[GRAPH_FRAME_FULL] = {"frame_full", "too many packets for one node in one walk"},
	[GRAPH_EDGE_FULL] = {"edge_full", "the ring to another thread is full"},
	[GRAPH_UNLINKED] = {"unlinked", "the out gate has no link"},
	[GRAPH_SPREAD_FULL] = {"spread_full", "too many packets wait for one that another worker has in its hands"},
	[GRAPH_EXPLAINED] = {"explained", "the question of `tailrace explain`, where a packet would have gone on"},
};

static struct rte_mbuf **
frame_new(void)
{
	return aligned_alloc(64, GRAPH_FRAME * sizeof(struct rte_mbuf *));
}

struct graph *
graph_new(struct graph_thread *t, unsigned max, uint16_t workers)
{
	struct graph *g = calloc(1, sizeof(*g));
	if (!g)
		return NULL;
	g->thread = t;
	g->workers = workers;
	g->max = max;
	g->at = GRAPH_AT_REST;
	g->node = calloc(max ? max : 1, sizeof(*g->node));
	g->pending = calloc(max / 64 + 1, sizeof(*g->pending));
	g->spare = frame_new();
	if (!g->node || !g->pending || !g->spare) {
		graph_free(g);
		return NULL;
	}
	return g;
}

static void
node_free(struct graph_node *n)
{
	free(n->edge);
	free(n->frame);
	free(n);
}

struct graph_node *
graph_add(struct graph *g, const struct graph_node *proto, unsigned n_edges)
{
	struct graph_node *n = aligned_alloc(64, RTE_ALIGN(sizeof(*n), 64));
	if (!n || g->n == g->max) {
		free(n);
		return NULL;
	}
	*n = *proto;
	n->graph = g;
	n->n_frame = 0;
	n->n_edges = (uint16_t)n_edges;
	n->edge = calloc(n_edges ? n_edges : 1, sizeof(*n->edge));
	n->frame = frame_new();
	if (!n->edge || !n->frame) {
		node_free(n);
		return NULL;
	}
	g->node[g->n++] = n;
	return n;
}

void
graph_free(struct graph *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < g->n; i++)
		node_free(g->node[i]);
	free(g->spare);
	free(g->node);
	free(g->pending);
	free(g);
}

#define UNVISITED 0xffffu
#define OPEN 0xfffeu

/* Post-order numbers, depth first; numbers run down so that the first to run gets 0. */
static void
visit(struct graph_node *n, unsigned *next)
{
	n->order = OPEN;
	for (unsigned e = 0; e < n->n_edges; e++)
		if (n->edge[e].node && n->edge[e].node->order == UNVISITED)
			visit(n->edge[e].node, next);
	n->order = (uint16_t)--*next;
}

static int
by_order(const void *a, const void *b)
{
	return (*(struct graph_node *const *)a)->order - (*(struct graph_node *const *)b)->order;
}

void
graph_finish(struct graph *g)
{
	unsigned next = g->n;
	for (unsigned i = 0; i < g->n; i++)
		g->node[i]->order = UNVISITED;
	/* Nodes that nothing of this thread feeds come first: a walk then starts at the sources. */
	for (unsigned i = g->n; i-- > 0;)
		if (g->node[i]->process && g->node[i]->order == UNVISITED)
			visit(g->node[i], &next);
	for (unsigned i = g->n; i-- > 0;)
		if (g->node[i]->order == UNVISITED)
			visit(g->node[i], &next);
	qsort(g->node, g->n, sizeof(*g->node), by_order);
}

#define PEER_DROP_WAYS 8

static void
count_peer_drop(struct graph_peer_drops *d, uint64_t key)
{
	unsigned set = (unsigned)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32) % (GRAPH_PEER_DROPS / PEER_DROP_WAYS) * PEER_DROP_WAYS;
	unsigned least = set;
	for (unsigned i = set; i < set + PEER_DROP_WAYS; i++) {
		if (d->entry[i].key == key) {
			d->entry[i].packets++;
			return;
		}
		if (d->entry[i].packets < d->entry[least].packets)
			least = i;
	}
	d->others += d->entry[least].packets;
	d->entry[least].packets = 1;
	d->entry[least].key = key;
}

void
graph_drop(struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint16_t reason)
{
	struct graph_peer_drops *by_peer = node->graph->thread->peer_drops;
	for (uint16_t i = 0; by_peer && i < n; i++)
		if (tr_meta(pkts[i])->peer != TR_NO_PEER)
			count_peer_drop(by_peer, graph_peer_drop_key(tr_meta(pkts[i])->peer, node->slot, reason));
	node->drops[reason] += n;
	node->graph->thread->totals.drops += n;
	rte_pktmbuf_free_bulk((struct rte_mbuf **)(uintptr_t)pkts, n);
}

/* Drops packets that went round too often. Returns how many are left, a frame at most, at the front of `kept`. */
static uint16_t
drop_loops(struct graph_node *from, struct rte_mbuf *const *pkts, uint16_t n, struct rte_mbuf *kept[GRAPH_FRAME])
{
	uint16_t left = 0;
	for (uint16_t i = 0; i < n; i++) {
		const bool loops = tr_meta(pkts[i])->passes > TR_MAX_PASSES;
		if (loops || left == GRAPH_FRAME)
			graph_drop(from, &pkts[i], 1, from->n_reasons + (loops ? GRAPH_LOOP : GRAPH_FRAME_FULL));
		else
			kept[left++] = pkts[i];
	}
	return left;
}

/* Appends packets to a node's frame. Going backwards in the order counts as a pass: that bounds every cycle. */
static void
append(struct graph_node *from, struct graph_node *to, struct rte_mbuf *const *pkts, uint16_t n)
{
	struct graph *g = from->graph;
	struct rte_mbuf *kept[GRAPH_FRAME];
	if (to->order <= g->at) { /* never at rest */
		uint8_t passes = 0;
		for (uint16_t i = 0; i < n; i++)
			passes |= ++tr_meta(pkts[i])->passes;
		if (unlikely(passes > TR_MAX_PASSES)) { /* of one packet, or of some together */
			n = drop_loops(from, pkts, n, kept);
			pkts = kept;
		}
	}
	uint16_t room = (uint16_t)(GRAPH_FRAME - to->n_frame);
	if (unlikely(n > room)) {
		graph_drop(from, pkts + room, n - room, from->n_reasons + GRAPH_FRAME_FULL);
		n = room;
	}
	memcpy(&to->frame[to->n_frame], pkts, n * sizeof(*pkts));
	to->n_frame += n;
	g->pending[to->order / 64] |= UINT64_C(1) << (to->order % 64);
}

static void
end_question(struct graph_node *at, struct rte_mbuf *pkt)
{
	struct graph_probe *p = at->graph->thread->probe;
	p->len = RTE_MIN(pkt->data_len, (uint16_t)sizeof(p->data));
	memcpy(p->data, rte_pktmbuf_mtod(pkt, void *), p->len);
	graph_drop(at, &pkt, 1, at->n_reasons + GRAPH_EXPLAINED);
}

static void
push(struct graph_node *from, uint16_t thread, uint32_t target, struct rte_mbuf *pkt)
{
	struct graph_thread *t = from->graph->thread;
	if (unlikely(t->probe != NULL))
		end_question(from, pkt);
	else if (t->push(t, thread, pkt, target))
		t->totals.held++;
	else
		graph_drop(from, &pkt, 1, from->n_reasons + GRAPH_EDGE_FULL);
}

static void
send_by_peer(struct graph_node *from, const struct graph_edge *e, struct rte_mbuf *const *pkts, uint16_t n)
{
	const struct graph *g = from->graph;
	uint16_t run = 0; /* packets before i that stay here */
	for (uint16_t i = 0; i < n; i++) {
		uint16_t owner = (uint16_t)(tr_meta(pkts[i])->peer % g->workers);
		if (owner == g->thread->worker) {
			run++;
			continue;
		}
		if (run)
			append(from, e->node, pkts + i - run, run);
		run = 0;
		push(from, owner, e->target, pkts[i]);
	}
	if (run)
		append(from, e->node, pkts + n - run, run);
}

static void
send(struct graph_node *from, uint16_t gate, struct rte_mbuf *const *pkts, uint16_t n)
{
	RTE_ASSERT(gate < from->n_edges);
	const struct graph_edge *e = &from->edge[gate];
	switch (e->kind) {
	case EDGE_NODE:
		append(from, e->node, pkts, n);
		break;
	case EDGE_BY_PEER:
		if (from->graph->workers == 1 && e->node)
			append(from, e->node, pkts, n);
		else
			send_by_peer(from, e, pkts, n);
		break;
	case EDGE_THREAD:
		for (uint16_t i = 0; i < n; i++)
			push(from, e->thread, e->target, pkts[i]);
		break;
	case EDGE_UNLINKED:
		graph_drop(from, pkts, n, from->n_reasons + GRAPH_UNLINKED);
		break;
	}
}

/* Moves a run of packets that share a verdict. */
static void
settle(struct graph_node *node, uint16_t verdict, struct rte_mbuf *const *pkts, uint16_t n)
{
	if (likely(verdict < 0x8000u))
		send(node, verdict, pkts, n);
	else if (verdict == TR_HELD)
		node->graph->thread->totals.held += n;
	else if (verdict != TR_SENT)
		graph_drop(node, pkts, n, verdict & 0x7fffu);
}

/* The end of the run of equal verdicts that begins at i. */
static inline uint16_t
run_end(const uint16_t *gate, uint16_t i, uint16_t n)
{
	const __m128i eight = _mm_set1_epi16((short)gate[i]);
	uint16_t j = i;
	while (j + 8 <= n && _mm_movemask_epi8(_mm_cmpeq_epi16(_mm_loadu_si128((const __m128i *)(gate + j)), eight)) == 0xffff)
		j += 8;
	while (j < n && gate[j] == gate[i])
		j++;
	return j;
}

static void
dispatch(struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n, const uint16_t *gate)
{
	for (uint16_t i = 0; i < n;) {
		uint16_t j = run_end(gate, i, n);
		settle(node, gate[i], pkts + i, j - i);
		i = j;
	}
}

static void
trace_before(struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n, struct graph_trace *entry, uint16_t *at,
	uint16_t *n_entries)
{
	*n_entries = 0;
	for (uint16_t i = 0; i < n && *n_entries < 4; i++) {
		if (!tr_meta(pkts[i])->trace)
			continue;
		struct graph_trace *e = &entry[*n_entries];
		uint16_t len = pkts[i]->data_len;
		*e = (struct graph_trace){.id = tr_meta(pkts[i])->trace, .gate = node->pub.gate, .len = len,
			.captured = RTE_MIN(len, GRAPH_TRACE_BYTES), .instance = node->pub.instance,
			.at = node->graph->thread->now, .meta = *tr_meta(pkts[i])};
		memcpy(e->data, rte_pktmbuf_mtod(pkts[i], void *), e->captured);
		at[(*n_entries)++] = i;
	}
}

void
graph_clock(struct graph_node *node)
{
	struct graph_thread *t = node->graph->thread;
	uint64_t now = rte_rdtsc();
	node->clocks += now - t->stamp;
	t->stamp = now;
}

static void
process(struct graph_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	struct graph_thread *t = node->graph->thread;
	uint16_t gate[TR_BURST];

	*node->packets += n;
	if (likely(!t->tracing)) {
		node->process(&node->pub, pkts, n, gate);
	} else if (t->probe && !node->pure) {
		for (uint16_t i = 0; i < n; i++)
			end_question(node, pkts[i]);
		return;
	} else {
		struct graph_trace entry[4];
		uint16_t at[4], entries;
		if (t->capture)
			t->capture(t, node, pkts, n);
		trace_before(node, pkts, n, entry, at, &entries);
		node->process(&node->pub, pkts, n, gate);
		for (uint16_t i = 0; i < entries; i++) {
			entry[i].verdict = gate[at[i]];
			t->trace(t, &entry[i]);
		}
	}
	dispatch(node, pkts, n, gate);
}

static void
run(struct graph_node *node)
{
	struct graph *g = node->graph;
	struct rte_mbuf **pkts = node->frame;
	uint16_t n = node->n_frame;

	/* The node may get packets again while it runs. */
	node->frame = g->spare;
	node->n_frame = 0;
	g->spare = pkts;
	for (uint16_t i = 0; i < n; i += TR_BURST)
		process(node, pkts + i, RTE_MIN(n - i, TR_BURST));
	if (unlikely(g->thread->clocked))
		graph_clock(node);
}

void
graph_walk(struct graph *g)
{
	unsigned words = g->n / 64 + 1;
	for (unsigned w = 0; w < words;) {
		if (!g->pending[w]) {
			w++;
			continue;
		}
		unsigned order = w * 64 + (unsigned)__builtin_ctzll(g->pending[w]);
		g->pending[w] &= g->pending[w] - 1;
		g->at = (int32_t)order;
		run(g->node[order]);
		w = 0; /* a node that comes earlier may be pending again */
	}
	g->at = GRAPH_AT_REST;
}

void
graph_receive(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct graph_node *gn = graph_node(node);
	struct graph_thread *t = gn->graph->thread;

	t->totals.rx += n;
	if (unlikely(t->trace_left) && (!t->trace_at || t->trace_at == node->instance)) {
		for (uint16_t i = 0; i < n && t->trace_left; i++) {
			if (gate[i] >= 0x8000u || (t->trace_match && !t->trace_match(t, pkts[i])))
				continue;
			if ((tr_meta(pkts[i])->trace = t->trace_id(t)) != 0)
				t->trace_left--;
		}
	}
	dispatch(gn, pkts, n, gate);
	if (unlikely(t->clocked))
		graph_clock(gn);
}

void
graph_sent(struct tr_node *node, uint16_t n)
{
	graph_node(node)->graph->thread->totals.tx += n;
}

bool
graph_linked(struct tr_node *node, uint16_t gate)
{
	return graph_node(node)->edge[gate].kind != EDGE_UNLINKED;
}

unsigned
graph_room(struct tr_node *node, uint16_t gate)
{
	const struct graph_edge *e = &graph_node(node)->edge[gate];
	struct graph_thread *t = graph_node(node)->graph->thread;
	return e->kind == EDGE_THREAD ? t->room(t, e->thread) : GRAPH_FRAME;
}

bool
graph_crowded(struct tr_node *node, uint16_t gate)
{
	const struct graph_edge *e = &graph_node(node)->edge[gate];
	struct graph_thread *t = graph_node(node)->graph->thread;
	return e->kind == EDGE_THREAD && t->crowded(t, e->thread);
}

void
graph_enter(struct graph_node *node, struct rte_mbuf **pkts, uint16_t n)
{
	node->graph->thread->totals.held -= n;
	append(node, node, pkts, n);
}

void
graph_emit(struct graph_node *node, uint16_t gate, struct rte_mbuf *const *pkts, uint16_t n)
{
	node->graph->thread->totals.held -= n;
	send(node, gate, pkts, n);
}
