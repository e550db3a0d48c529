/* SPDX-License-Identifier: BSD-3-Clause */
#include "../engine/private.h"

#include <errno.h>
#include <stdlib.h>

#define JUDGE_NS UINT64_C(1000000)
#define TOGETHER (GRAPH_FRAME / 2) /* packets that are walked at once */
#define FETCH_AHEAD 4 /* batches */

int
spread_init(struct worker *w)
{
	if (w->t.engine->workers == 1)
		return 0;
	w->spread.batch = aligned_alloc(64, sizeof(struct batch) * SPREAD_BATCHES);
	if (!w->spread.batch)
		return -ENOMEM;
	memset(w->spread.batch, 0, sizeof(struct batch) * SPREAD_BATCHES);
	return 0;
}

void
spread_fini(struct worker *w)
{
	struct spread *s = &w->spread;
	for (; s->batch && s->taken != s->posted; s->taken++) {
		struct batch *b = &s->batch[s->taken % SPREAD_BATCHES];
		rte_pktmbuf_free_bulk(b->pkt, b->n);
	}
	free(s->batch);
}

/* ---- Load ---- */

void
spread_press(struct worker *w, bool pressed)
{
	struct engine *e = w->t.engine;
	if (w->spread.pressed == pressed)
		return;
	__atomic_store_n(&w->spread.pressed, pressed, __ATOMIC_RELAXED);
	if (pressed)
		__atomic_add_fetch(&e->pressed, 1, __ATOMIC_RELAXED);
	else
		__atomic_sub_fetch(&e->pressed, 1, __ATOMIC_RELAXED);
}

/* Between the two limits lies more than what changes when packets begin, or cease, to wait for others. */
void
spread_load(struct worker *w, uint64_t ns)
{
	struct spread *s = &w->spread;
	uint64_t elapsed = w->t.gt.now - s->since;

	s->spent += ns;
	if (likely(elapsed < JUDGE_NS) || !s->batch)
		return;
	if (s->spent > elapsed - elapsed / 8)
		spread_press(w, true);
	else if (s->spent < elapsed / 8 * 5)
		spread_press(w, false);
	s->since = w->t.gt.now;
	s->spent = 0;
}

static bool
some_have_room(const struct engine *e)
{
	return __atomic_load_n(&e->pressed, __ATOMIC_RELAXED) < e->workers;
}

/* ---- Giving ---- */

static void
fill(struct batch *b, struct rte_mbuf *const *pkts, const struct tr_aead *aead, uint16_t n)
{
	b->n = n;
	b->n_keys = 0;
	for (uint16_t i = 0; i < n; i++) {
		if (i == 0 || aead[i].key != aead[i - 1].key)
			memcpy(b->key[b->n_keys++], aead[i].key, sizeof(b->key[0]));
		b->pkt[i] = pkts[i];
		b->item[i] = (struct spread_item){aead[i].data, aead[i].counter, aead[i].len, b->n_keys - 1u};
	}
}

/* The next batch will be written soon, and whoever ran it last has it. */
static void
fetch_next(struct batch *b)
{
	__builtin_prefetch(b, 1);
	__builtin_prefetch(&b->lent, 1);
	for (uint8_t *p = (uint8_t *)b->pkt; p < (uint8_t *)(b + 1); p += RTE_CACHE_LINE_SIZE)
		__builtin_prefetch(p, 1);
}

uint16_t
spread_give(struct tr_node *node, bool open, uint16_t gate, struct rte_mbuf *const *pkts, const struct tr_aead *aead,
	uint16_t n)
{
	const struct graph_node *gn = graph_node(node);
	struct worker *w = (struct worker *)gn->graph->thread;
	struct spread *s = &w->spread;

	if (node->worker == TR_NO_WORKER || !s->batch)
		return TR_SPREAD_HERE;
	if (spread_idle(s) && !(s->pressed && some_have_room(w->t.engine)))
		return TR_SPREAD_HERE;
	if (SPREAD_BATCHES - (s->posted - s->taken) < (n + SPREAD_BATCH - 1) / SPREAD_BATCH)
		return TR_DROP(gn->n_reasons + GRAPH_SPREAD_FULL);
	for (uint16_t i = 0; i < n; i += SPREAD_BATCH) {
		struct batch *b = &s->batch[s->posted % SPREAD_BATCHES];
		b->number = s->posted;
		b->open = open;
		b->target = gn->edge[gate].target;
		fill(b, pkts + i, aead + i, (uint16_t)RTE_MIN((unsigned)(n - i), SPREAD_BATCH));
		__atomic_store_n(&s->posted, s->posted + 1, __ATOMIC_RELEASE);
		s->given++;
	}
	fetch_next(&s->batch[s->posted % SPREAD_BATCHES]);
	return TR_HELD;
}

/* ---- Running ---- */

static struct batch *
claim(struct spread *s)
{
	/* Whoever claimed the last has seen it posted. */
	uint32_t number = __atomic_load_n(&s->claimed, __ATOMIC_ACQUIRE);
	do {
		if (number == __atomic_load_n(&s->posted, __ATOMIC_ACQUIRE))
			return NULL;
	} while (!__atomic_compare_exchange_n(&s->claimed, &number, number + 1, false, __ATOMIC_ACQ_REL,
		__ATOMIC_ACQUIRE));
	return &s->batch[number % SPREAD_BATCHES];
}

static void
run(struct worker *w, struct batch *b)
{
	const struct aead_engine *engine = w->t.engine->aead;
	struct tr_aead aead[SPREAD_BATCH];
	uint32_t bad = 0;

	for (uint16_t i = 0; i < b->n; i++)
		aead[i] = (struct tr_aead){.key = b->key[b->item[i].key], .counter = b->item[i].counter, .data = b->item[i].data,
			.len = b->item[i].len};
	if (b->open) {
		engine->open(w->aead, aead, b->n);
		for (uint16_t i = 0; i < b->n; i++)
			bad |= (uint32_t)!aead[i].ok << i;
	} else {
		engine->seal(w->aead, aead, b->n);
	}
	explicit_bzero(b->key, b->n_keys * sizeof(b->key[0]));
	b->bad = bad;
}

static void
finish(struct batch *b, uint64_t lent)
{
	b->lent = lent;
	__atomic_store_n(&b->done, b->number + 1, __ATOMIC_RELEASE);
}

bool
spread_help(struct worker *w)
{
	struct engine *e = w->t.engine;
	struct spread *own = &w->spread;
	struct batch *b = NULL;

	if (own->pressed || !__atomic_load_n(&e->pressed, __ATOMIC_RELAXED))
		return false;
	for (uint16_t k = 0; k < e->workers && !b; k++) {
		own->next = (uint16_t)(own->next + 1) % e->workers;
		if (own->next != w->t.gt.worker)
			b = claim(&e->worker[own->next].spread);
	}
	if (!b)
		return false;
	uint64_t begin = clock_now(&w->clock);
	run(w, b);
	finish(b, clock_now(&w->clock) - begin);
	own->helped++;
	return true;
}

/* ---- Taking back ---- */

static bool
is_done(const struct batch *b, uint32_t number)
{
	return __atomic_load_n(&b->done, __ATOMIC_ACQUIRE) == number + 1;
}

/* Another core has written where headers lie, or will: those inside behind the data's start, those outside before it. */
static void
fetch_headers(const struct batch *b)
{
	for (uint16_t i = 0; i < b->n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(b->pkt[i], const uint8_t *);
		__builtin_prefetch(p, 1);
		__builtin_prefetch(b->open ? p + RTE_CACHE_LINE_SIZE : p - RTE_CACHE_LINE_SIZE, 1);
	}
}

void
spread_fetch(struct worker *w)
{
	struct spread *s = &w->spread;

	if ((int32_t)(s->fetched - s->taken) < 0)
		s->fetched = s->taken;
	for (; s->fetched != s->posted && s->fetched - s->taken < FETCH_AHEAD; s->fetched++) {
		const struct batch *b = &s->batch[s->fetched % SPREAD_BATCHES];
		if (!is_done(b, s->fetched))
			break;
		fetch_headers(b);
	}
}

static void
enter(struct worker *w, struct batch *b)
{
	for (uint16_t i = 0; b->open && i < b->n; i++) {
		struct tr_meta *meta = tr_meta(b->pkt[i]);
		meta->flags = (uint8_t)((meta->flags & ~TR_META_AUTHENTIC) | (b->bad >> i & 1 ? 0 : TR_META_AUTHENTIC));
	}
	w->spread.spent += b->lent;
	thread_enter(&w->t, b->target, b->pkt, b->n);
}

/*
 * A batch leaves the queue after its packets were walked, so that what the walk gives to the queue comes behind them: only
 * what finds it empty may overtake nothing.
 */
static unsigned
take_back(struct worker *w)
{
	struct spread *s = &w->spread;
	unsigned total = 0;

	while (!spread_idle(s)) {
		spread_fetch(w);
		unsigned n = 0;
		uint32_t k = s->taken;
		for (; k != s->posted && is_done(&s->batch[k % SPREAD_BATCHES], k); k++) {
			struct batch *b = &s->batch[k % SPREAD_BATCHES];
			if (n + b->n > TOGETHER)
				break;
			n += b->n;
		}
		if (n == 0)
			break;
		for (uint32_t i = s->taken; i != k; i++)
			enter(w, &s->batch[i % SPREAD_BATCHES]);
		graph_walk(w->t.lane->graph);
		__atomic_store_n(&s->taken, k, __ATOMIC_RELEASE);
		total += n;
	}
	return total;
}

/* As many as keep all who might help from finding nothing, while this worker runs a batch. */
static uint32_t
may_wait(const struct engine *e)
{
	return some_have_room(e) ? RTE_MIN(2u * e->workers, SPREAD_BATCHES / 4) : 0;
}

unsigned
spread_turn(struct worker *w, bool busy)
{
	struct spread *s = &w->spread;
	unsigned total = take_back(w);

	for (;;) {
		uint32_t waiting = s->posted - __atomic_load_n(&s->claimed, __ATOMIC_RELAXED);
		if (waiting == 0 || (busy && waiting <= may_wait(w->t.engine)))
			break;
		struct batch *b = claim(s);
		if (b) {
			run(w, b);
			finish(b, 0);
		}
		total += take_back(w);
		busy = true;
	}
	return total;
}
