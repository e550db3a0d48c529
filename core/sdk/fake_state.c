/* SPDX-License-Identifier: BSD-3-Clause */
/* What outlives the fake host's instances: the world, state blocks, receiver indexes. */
#include "fake.h"

#include <stdlib.h>
#include <unistd.h>

#ifdef TR_ASAN
#define RED_ZONE 64 /* between two blocks, and behind the last */
#else
#define RED_ZONE 0
#endif

struct world *
fake_world_new(const struct fh_config *c)
{
	struct world *w = calloc(1, sizeof(*w));
	uint16_t size = c->packet_size ? c->packet_size : RTE_MBUF_DEFAULT_BUF_SIZE;

	if (!w)
		abort();
	w->workers = c->workers ? c->workers : 1;
	w->max_peers = c->max_peers ? c->max_peers : 1024;
	w->now = 1000000000;
	w->wall_base = (c->wall ? c->wall : 1700000000u * UINT64_C(1000000000)) - w->now;
	w->random = 1;
	w->calling = BY_CONTROL;
	w->pool = pool_new("fake", FAKE_PACKETS, size);
	w->timers = calloc(w->workers, sizeof(struct tr_timer *));
	w->peers = calloc(w->max_peers + 1u, sizeof(*w->peers));
	w->jobs = calloc(FAKE_JOBS, sizeof(*w->jobs));
	if (!w->pool || !w->timers || !w->peers || !w->jobs)
		abort();
	LIST_INIT(&w->blocks);
	LIST_INIT(&w->watches);
	STAILQ_INIT(&w->calls);
	STAILQ_INIT(&w->spread);
	return w;
}

void
fake_enter(struct world *w, enum calling who, uint16_t worker)
{
	w->calling = who;
	w->calling_worker = worker;
}

static void
poison(const struct tr_blocks *b, uint32_t i, size_t size)
{
#ifdef TR_ASAN
	__asan_poison_memory_region(b->base + (size_t)i * b->stride + size, b->stride - size);
#endif
}

static void
blocks_free(struct fake_blocks *b)
{
#ifdef TR_ASAN
	__asan_unpoison_memory_region(b->blocks.base, b->blocks.stride * b->blocks.count);
#endif
	free(b->blocks.base);
	free(b->instance);
	free(b->type);
	free(b);
}

void
fake_world_free(struct world *w)
{
	struct fake_blocks *b;

	if (w->held)
		fake_failed("%u packets are still held after the last instance is gone", w->held);
	if (w->loose)
		fake_failed("%u packets of fh_packet() were never sent", w->loose);
	while ((b = LIST_FIRST(&w->blocks))) {
		LIST_REMOVE(b, link);
		blocks_free(b);
	}
	fake_netmap_free(w);
	if (w->unix_dir[0]) {
		char command[96];

		snprintf(command, sizeof(command), "rm -r %s", w->unix_dir);
		if (system(command) != 0)
			perror(w->unix_dir);
	}
	if (!pool_in_use(w->pool))
		pool_free(w->pool);
	free(w->indexes);
	free(w->timers);
	free(w->peers);
	free(w->jobs);
	free(w);
}

/* ---- State blocks ---- */

static struct fake_blocks *
blocks_new(struct tr_instance *i, const char *type, uint32_t layout, size_t size, bool per_peer)
{
	struct world *w = fake_of(i)->world;
	struct fake_blocks *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->instance = strdup(i->name);
	b->type = strdup(type);
	b->layout = layout;
	b->size = size;
	b->per_peer = per_peer;
	b->blocks.stride = RTE_ALIGN_CEIL(size, RTE_CACHE_LINE_SIZE) + RED_ZONE;
	b->blocks.count = per_peer ? w->max_peers + 1 : 1;
	b->blocks.base = aligned_alloc(RTE_CACHE_LINE_SIZE, b->blocks.stride * b->blocks.count);
	if (!b->instance || !b->type || !b->blocks.base)
		abort();
	memset(b->blocks.base, 0, b->blocks.stride * b->blocks.count);
	for (uint32_t k = 0; k < b->blocks.count; k++)
		poison(&b->blocks, k, size);
	LIST_INSERT_HEAD(&w->blocks, b, link);
	return b;
}

static const struct tr_blocks *
host_blocks(struct tr_instance *i, const char *type, uint32_t layout, size_t size, bool per_peer)
{
	struct world *w = fake_of(i)->world;
	struct fake_blocks *b;

	if (!fake_allow(i, BY_CONTROL, "blocks"))
		return NULL;
	LIST_FOREACH(b, &w->blocks, link) {
		if (strcmp(b->instance, i->name) != 0 || strcmp(b->type, type) != 0)
			continue;
		if (b->layout == layout && b->size == size && b->per_peer == per_peer)
			return &b->blocks;
		fake_of(i)->host.fail(i, "state block %s: the running code has layout %u of %zu bytes, this build layout %u of "
			"%zu: only a restart can take it", type, b->layout, b->size, layout, size);
		return NULL;
	}
	return &blocks_new(i, type, layout, size, per_peer)->blocks;
}

bool
fake_in_blocks(const struct world *w, const void *p)
{
	const struct fake_blocks *b;

	LIST_FOREACH(b, &w->blocks, link)
		if ((const uint8_t *)p >= b->blocks.base && (const uint8_t *)p < b->blocks.base + b->blocks.stride * b->blocks.count)
			return true;
	return false;
}

/* A removed peer's blocks, after the grace period. A timer still armed in them would fire into the next peer's. */
void
fake_blocks_zero(struct world *w, uint32_t peer)
{
	struct fake_blocks *b;

	LIST_FOREACH(b, &w->blocks, link) {
		uint8_t *p = tr_block(&b->blocks, peer);

		if (!b->per_peer)
			continue;
		for (uint16_t k = 0; k < w->workers; k++)
			for (struct tr_timer *t = w->timers[k]; t; t = t->next)
				if ((uint8_t *)t >= p && (uint8_t *)t < p + b->size)
					fake_failed("peer %u is gone and a timer in its block %s is still armed", peer, b->type);
		memset(p, 0, b->size);
	}
}

/* ---- Receiver indexes ---- */

static void
host_indexes(struct tr_node *node, const uint32_t *index, uint16_t n, uint64_t *value)
{
	const struct world *w = fake_of(node->instance)->world;

	for (uint16_t i = 0; i < n; i++) {
		value[i] = 0;
		for (unsigned k = 0; k < w->n_indexes; k++)
			if (w->indexes[k].index == index[i])
				value[i] = w->indexes[k].value;
	}
}

static uint32_t
host_index_new(struct tr_node *node, uint64_t value)
{
	struct world *w = fake_of(node->instance)->world;
	struct fake_index *grown;

	if (!fake_allow(node->instance, BY_WORKER, "index_new"))
		return 0;
	grown = realloc(w->indexes, (w->n_indexes + 1u) * sizeof(*grown));
	if (!grown)
		abort();
	w->indexes = grown;
	/* An odd multiplier walks all 32-bit numbers: no index comes twice, and none looks like the one before. */
	w->random++;
	grown[w->n_indexes++] = (struct fake_index){.index = (uint32_t)(w->random * 2654435761u), .worker = node->worker,
		.value = value};
	return grown[w->n_indexes - 1].index;
}

static void
host_index_free(struct tr_node *node, uint32_t index)
{
	struct world *w = fake_of(node->instance)->world;

	if (!fake_allow(node->instance, BY_WORKER, "index_free"))
		return;
	for (unsigned k = 0; k < w->n_indexes; k++) {
		if (w->indexes[k].index != index)
			continue;
		if (w->indexes[k].worker != node->worker)
			fake_failed("index %#x belongs to worker %u, freed by %u", index, w->indexes[k].worker, node->worker);
		w->indexes[k] = w->indexes[--w->n_indexes];
		return;
	}
	fake_failed("index %#x is not in use", index);
}

void
fake_state_host(struct tr_host *host)
{
	host->blocks = host_blocks;
	host->indexes = host_indexes;
	host->index_new = host_index_new;
	host->index_free = host_index_free;
}
