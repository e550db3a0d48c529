/* SPDX-License-Identifier: BSD-3-Clause */
#include "lpm_pool.h"

#include "../runtime/rcu.h"

#include <sys/mman.h>

#define BATCH 64 /* blocks that share a grace period */

bool
lpm_pool_init(struct lpm_pool *p, size_t bytes)
{
	unsigned c = 0;

	/* Steps of an eighth: at most 12 % of a block is unused. */
	for (unsigned u = 1, from = 0; from < LPM_MAX_UNITS; u += u < 8 ? 1 : u / 8, c++) {
		p->units[c] = (uint16_t)(u < LPM_MAX_UNITS ? u : LPM_MAX_UNITS);
		for (unsigned i = from; i <= p->units[c]; i++)
			p->class_of[i] = (uint8_t)c;
		from = p->units[c] + 1u;
		if (p->units[c] == LPM_MAX_UNITS)
			break;
	}
	p->reserved = (bytes + 0x1fffff) & ~(size_t)0x1fffff;
	p->base = mmap(NULL, p->reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->base == MAP_FAILED) {
		p->base = NULL;
		return false;
	}
	madvise(p->base, p->reserved, MADV_HUGEPAGE);
	p->next = 1; /* 0 means none */
	p->limit = (uint32_t)(p->reserved / LPM_UNIT);
	return true;
}

void
lpm_pool_fini(struct lpm_pool *p)
{
	if (p->base)
		munmap(p->base, p->reserved);
	p->base = NULL;
}

void
lpm_pool_put(struct lpm_pool *p, uint32_t block)
{
	struct lpm_block *b = lpm_block(p, block);

	b->next = p->free[b->class_];
	p->free[b->class_] = block;
}

static void
close_batch(struct lpm_pool *p)
{
	if (!p->open || p->n == LPM_BATCHES - 1)
		return; /* nothing, or readers are slow: the open batch grows */
	p->batch[(p->head + p->n) % LPM_BATCHES].token = rcu_start();
	p->n++;
	p->open = 0;
}

static void
reclaim(struct lpm_pool *p)
{
	while (p->n && rcu_passed(p->batch[p->head].token)) {
		struct lpm_batch *b = &p->batch[p->head];
		for (uint32_t block = b->first, next; block; block = next) {
			next = block == b->last ? 0 : ((struct lpm_block *)lpm_block(p, block))->next;
			lpm_pool_put(p, block);
		}
		p->head = (p->head + 1) % LPM_BATCHES;
		p->n--;
	}
}

void
lpm_pool_retire(struct lpm_pool *p, uint32_t block)
{
	struct lpm_batch *b = &p->batch[(p->head + p->n) % LPM_BATCHES];

	((struct lpm_block *)lpm_block(p, block))->next = p->open ? b->first : 0;
	if (!p->open)
		b->last = block;
	b->first = block;
	if (++p->open >= BATCH)
		close_batch(p);
	reclaim(p);
}

uint32_t
lpm_pool_get(struct lpm_pool *p, size_t bytes)
{
	unsigned c = p->class_of[(bytes + LPM_UNIT - 1) / LPM_UNIT];
	uint32_t block = p->free[c];

	if (!block && p->limit - p->next < p->units[c]) {
		close_batch(p);
		reclaim(p);
		block = p->free[c];
	}
	if (block) {
		p->free[c] = ((struct lpm_block *)lpm_block(p, block))->next;
	} else if (p->limit - p->next >= p->units[c]) {
		block = p->next;
		p->next += p->units[c];
	} else {
		return 0;
	}
	*(struct lpm_block *)lpm_block(p, block) = (struct lpm_block){.class_ = c};
	return block;
}
