/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames that wait to be sent on one connection: written into chunks of one TLS record each, so that many leave in one
 * record and one system call. A frame lies in one chunk, whole. Chunks come from a pool of the loop: an empty queue holds
 * none. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_DATA 16384 /* a record's largest payload */
#define CHUNK_POOL 512   /* free chunks that are kept */

struct chunk {
	struct chunk *next;
	uint32_t begin, end, size; /* data: [begin, end) */
	uint8_t data[];
};

struct chunk_pool {
	struct chunk *free;
	uint32_t n_free;
	uint64_t bytes; /* of all queues of the pool */
};

struct queue {
	struct chunk *head, *tail;
	uint32_t bytes;
};

void chunk_pool_fini(struct chunk_pool *p);
/* Room for a frame of `len` bytes at the end, to be written at once. NULL: out of memory. */
uint8_t *queue_add(struct queue *q, struct chunk_pool *p, uint32_t len);
/* Removes the oldest frame; its length, 0: there is none. */
uint32_t queue_drop(struct queue *q, struct chunk_pool *p);
/* Removes the first chunk, which has been sent. */
void queue_sent(struct queue *q, struct chunk_pool *p);
void queue_clear(struct queue *q, struct chunk_pool *p);
