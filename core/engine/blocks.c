/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * State blocks: memory of a slot that no build of a plugin owns. Each type is one reserved range, indexed by peer id, so
 * that a look-up is an addition and idle ids cost address space only.
 */
#include "private.h"

#include <stdlib.h>
#include <sys/mman.h>

static size_t
range(const struct blocks_entry *b)
{
	return b->blocks.stride * b->blocks.count;
}

static struct blocks_entry *
blocks_new(struct slot *s, const char *type, uint32_t layout, size_t size, bool per_peer)
{
	struct blocks_entry *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->layout = layout;
	b->size = size;
	b->per_peer = per_peer;
	b->blocks.stride = RTE_ALIGN(size, RTE_CACHE_LINE_SIZE);
	b->blocks.count = per_peer ? s->engine->max_peers + 1 : 1;
	void *p = mmap(NULL, range(b), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	b->type = strdup(type);
	if (p == MAP_FAILED || !b->type) {
		free(b->type);
		free(b);
		return NULL;
	}
	b->blocks.base = p;
	madvise(p, range(b), MADV_HUGEPAGE); /* look-ups of many peers are bound by the TLB */
	madvise(p, range(b), MADV_DONTDUMP); /* keys */
	b->next = s->blocks;
	s->blocks = b;
	return b;
}

const struct tr_blocks *
blocks_get(struct tr_instance *i, const char *type, uint32_t layout, size_t size, bool per_peer)
{
	struct slot *s = i->slot;
	for (struct blocks_entry *b = s->blocks; b; b = b->next) {
		if (strcmp(b->type, type) != 0)
			continue;
		if (b->layout == layout && b->size == size && b->per_peer == per_peer)
			return &b->blocks;
		s->engine->host.fail(i, "state block `%s` is live with layout %u of %zu bytes, this build has layout %u of %zu bytes: "
			"restart to change it", type, b->layout, b->size, layout, size);
		return NULL;
	}
	struct blocks_entry *b = blocks_new(s, type, layout, size, per_peer);
	if (!b)
		s->engine->host.fail(i, "no memory for state block `%s`", type);
	return b ? &b->blocks : NULL;
}

void
blocks_zero_peer(struct slot *s, uint32_t peer)
{
	for (struct blocks_entry *b = s->blocks; b; b = b->next)
		if (b->per_peer && peer < b->blocks.count)
			explicit_bzero(tr_block(&b->blocks, peer), b->blocks.stride);
}

void
blocks_free(struct slot *s)
{
	struct blocks_entry *next;
	for (struct blocks_entry *b = s->blocks; b; b = next) {
		next = b->next;
		munmap(b->blocks.base, range(b)); /* the kernel clears pages before anyone else sees them */
		free(b->type);
		free(b);
	}
	s->blocks = NULL;
}
