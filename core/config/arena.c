/* SPDX-License-Identifier: BSD-3-Clause */
/* The arena of one configuration. It holds secrets, so it is wiped as a whole when it is freed. */
#include "config.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/mman.h>

#define ARENA_ALIGN 16
#define ARENA_CHUNK 65536
#define ARENA_MAPPED (1u << 20) /* chunks from here on go back to the system, and leave no holes in the heap */

struct chunk {
	struct chunk *next;
	size_t size, used;
	_Alignas(ARENA_ALIGN) uint8_t data[];
};

struct arena {
	struct chunk *chunk; /* newest first; only the newest is filled */
	size_t limit, total;
};

struct arena *
arena_new(size_t limit)
{
	struct arena *a = calloc(1, sizeof(*a));
	if (a != NULL)
		a->limit = limit;
	return a;
}

static struct chunk *
chunk_new(struct arena *a, size_t size)
{
	size_t least = a->total < ARENA_CHUNK ? ARENA_CHUNK : a->total < 4 * ARENA_MAPPED ? a->total : 4 * ARENA_MAPPED;
	if (size < least)
		size = least;
	struct chunk *c;
	if (size < ARENA_MAPPED)
		c = calloc(1, sizeof(*c) + size);
	else
		c = mmap(NULL, sizeof(*c) + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (c == NULL || c == MAP_FAILED)
		return NULL;
	c->size = size;
	c->next = a->chunk;
	return a->chunk = c;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	if (size > a->limit)
		return NULL;
	size = size == 0 ? ARENA_ALIGN : (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
	if (size > a->limit - a->total)
		return NULL;
	struct chunk *c = a->chunk;
	if ((c == NULL || c->size - c->used < size) && (c = chunk_new(a, size)) == NULL)
		return NULL;
	void *p = c->data + c->used;
	c->used += size;
	a->total += size;
	return p;
}

char *
arena_str(struct arena *a, const char *s, size_t len)
{
	char *p = len < SIZE_MAX ? arena_alloc(a, len + 1) : NULL;
	if (p != NULL)
		memcpy(p, s, len);
	return p;
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	for (struct chunk *c = a->chunk, *next; c != NULL; c = next) {
		next = c->next;
		sodium_memzero(c->data, c->used);
		if (c->size < ARENA_MAPPED)
			free(c);
		else
			munmap(c, sizeof(*c) + c->size);
	}
	free(a);
}
