/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes of lpm.c: variable-sized blocks in one reserved range of address space, named by 32-bit numbers (units of 16
 * bytes). Retired blocks are reused after a grace period, without callbacks. Control thread; readers use lpm_node().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LPM_UNIT 16
#define LPM_MAX_UNITS 400 /* largest block */
#define LPM_CLASSES 64
#define LPM_BATCHES 64

struct lpm_block { /* head of every block; written by the writer only and never looked at by readers */
	uint32_t next;  /* free or retired list */
	uint32_t class_;
};

struct lpm_pool {
	uint8_t *base; /* first, for readers */
	size_t reserved;
	uint32_t next, limit; /* units handed out, units there are */
	uint32_t free[LPM_CLASSES];
	uint16_t units[LPM_CLASSES];
	uint8_t class_of[LPM_MAX_UNITS + 1];
	struct lpm_batch {
		uint32_t first, last;
		uint64_t token;
	} batch[LPM_BATCHES]; /* retired, oldest first; the one at head + n is still open and has no token */
	unsigned head, n, open;
};

bool lpm_pool_init(struct lpm_pool *p, size_t bytes);
void lpm_pool_fini(struct lpm_pool *p);
uint32_t lpm_pool_get(struct lpm_pool *p, size_t bytes); /* 0: full */
void lpm_pool_put(struct lpm_pool *p, uint32_t block);    /* no reader has seen it */
void lpm_pool_retire(struct lpm_pool *p, uint32_t block); /* reused after a grace period */

static inline void *
lpm_block(const struct lpm_pool *p, uint32_t block)
{
	return p->base + (size_t)block * LPM_UNIT;
}
