/* SPDX-License-Identifier: BSD-3-Clause */
/* host->spread() of the fake host: with workers that have room, when the test says so. */
#include "fake.h"

#include <stdlib.h>

struct fake_spread { /* a packet that is out */
	STAILQ_ENTRY(fake_spread) link;
	struct rte_mbuf *m;
	struct tr_aead aead;
	uint8_t key[32];
	uint16_t worker, gate; /* in gate */
	bool open;
};

static uint16_t
host_spread(struct tr_node *node, bool open, uint16_t gate, struct rte_mbuf *const *pkts, const struct tr_aead *aead,
	uint16_t n)
{
	struct fh *h = fake_of(node->instance);
	struct world *w = h->world;
	const struct tr_out_gate *out = &h->instance.class_->out[gate];
	int to = fake_in_gate(h, out->name);

	if (!fake_allow(node->instance, BY_WORKER | BY_SERVICE, "spread") || node->worker == TR_NO_WORKER)
		return TR_SPREAD_HERE;
	if (to < 0 || !(out->flags & TR_GATE_INTERNAL))
		fake_failed("class %s: spread() through %s, which is not an internal gate", h->instance.class_->name, out->name);
	if (!w->room_elsewhere && STAILQ_EMPTY(&w->spread))
		return TR_SPREAD_HERE;
	for (uint16_t i = 0; i < n; i++) {
		struct fake_spread *s = malloc(sizeof(*s));
		if (!s)
			abort();
		*s = (struct fake_spread){.m = pkts[i], .aead = aead[i], .worker = node->worker, .gate = (uint16_t)to, .open = open};
		memcpy(s->key, aead[i].key, sizeof(s->key));
		s->aead.key = s->key;
		STAILQ_INSERT_TAIL(&w->spread, s, link);
	}
	return TR_HELD;
}

void
fake_spread_host(struct tr_host *host)
{
	host->spread = host_spread;
}

static void
come_back(struct world *w, struct fake_spread *s)
{
	struct tr_meta *meta = tr_meta(s->m);

	fake_aead(&s->aead, 1, s->open);
	meta->flags = (uint8_t)(meta->flags & ~TR_META_AUTHENTIC);
	if (s->open && s->aead.ok)
		meta->flags |= TR_META_AUTHENTIC;
	w->held--;
	fake_enqueue(fake_newest(w), s->worker, s->gate, s->m);
	STAILQ_REMOVE_HEAD(&w->spread, link);
	free(s);
}

unsigned
fake_spread_back(struct world *w)
{
	bool room = w->room_elsewhere;
	unsigned n = 0;

	w->room_elsewhere = true; /* what is given while these are processed comes behind them */
	while (!STAILQ_EMPTY(&w->spread)) {
		for (; !STAILQ_EMPTY(&w->spread); n++)
			come_back(w, STAILQ_FIRST(&w->spread));
		fake_run(fake_newest(w));
	}
	w->room_elsewhere = room;
	return n;
}

void
fh_spread(struct fh *h, bool room)
{
	h->world->room_elsewhere = room;
}

unsigned
fh_spread_back(struct fh *h)
{
	return fake_spread_back(h->world);
}
