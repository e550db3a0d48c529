/* SPDX-License-Identifier: BSD-3-Clause */
#include "queue.h"

#include "frame.h"

#include <stdlib.h>

static struct chunk *
take(struct chunk_pool *p, uint32_t len)
{
	struct chunk *c = p->free;
	const uint32_t size = len > CHUNK_DATA ? len : CHUNK_DATA;
	if (c != NULL && size == CHUNK_DATA) {
		p->free = c->next;
		p->n_free--;
	} else if ((c = malloc(sizeof(*c) + size)) == NULL) {
		return NULL;
	}
	c->next = NULL;
	c->begin = c->end = 0;
	c->size = size;
	return c;
}

static void
give(struct chunk_pool *p, struct chunk *c)
{
	if (c->size != CHUNK_DATA || p->n_free == CHUNK_POOL) {
		free(c);
		return;
	}
	c->next = p->free;
	p->free = c;
	p->n_free++;
}

void
chunk_pool_fini(struct chunk_pool *p)
{
	for (struct chunk *c; (c = p->free) != NULL;) {
		p->free = c->next;
		free(c);
	}
	p->n_free = 0;
}

uint8_t *
queue_add(struct queue *q, struct chunk_pool *p, uint32_t len)
{
	struct chunk *c = q->tail;
	if (c == NULL || c->size - c->end < len) {
		c = take(p, len);
		if (c == NULL)
			return NULL;
		if (q->tail != NULL)
			q->tail->next = c;
		else
			q->head = c;
		q->tail = c;
	}
	uint8_t *at = c->data + c->end;
	c->end += len;
	q->bytes += len;
	p->bytes += len;
	return at;
}

/* Takes bytes off the first chunk, and it away when nothing is left. */
static void
shorten(struct queue *q, struct chunk_pool *p, uint32_t n)
{
	struct chunk *c = q->head;
	c->begin += n;
	q->bytes -= n;
	p->bytes -= n;
	if (c->begin < c->end)
		return;
	q->head = c->next;
	if (q->head == NULL)
		q->tail = NULL;
	give(p, c);
}

uint32_t
queue_drop(struct queue *q, struct chunk_pool *p)
{
	const struct chunk *c = q->head;
	if (c == NULL)
		return 0;
	const uint8_t *h = c->data + c->begin;
	const uint32_t len = FRAME_HEADER + ((uint32_t)h[1] << 24 | (uint32_t)h[2] << 16 | (uint32_t)h[3] << 8 | h[4]);
	shorten(q, p, len);
	return len;
}

void
queue_sent(struct queue *q, struct chunk_pool *p)
{
	shorten(q, p, q->head->end - q->head->begin);
}

void
queue_clear(struct queue *q, struct chunk_pool *p)
{
	while (q->head != NULL)
		queue_sent(q, p);
}
