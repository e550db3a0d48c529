/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Where connections come from: how many there are of each address, and how fast new ones come, before one has cost anything.
 * An IPv6 network of 64 bits counts as one address, since whoever has one of these has them all. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <tailrace/types.h>
#include <uthash.h>

#define SOURCES_BURST 10 /* seconds: so much of the rate may come at once, as when an office's clients all come back */

enum source_verdict { SOURCE_GOOD, SOURCE_MANY, SOURCE_FAST };

struct source {
	uint8_t key[9]; /* family, then what counts of the address */
	bool resting;   /* on the list */
	uint32_t n;     /* connections */
	uint64_t paid;  /* ns: the rate has been used up to here */
	TAILQ_ENTRY(source) rest;
	UT_hash_handle hh;
};

struct sources {
	struct source *table;
	TAILQ_HEAD(, source) resting; /* no connection, but a rate that is not all there again */
	uint8_t hash_key[16];
};

void sources_init(struct sources *t);
void sources_fini(struct sources *t);
/* May another connection come from there? Limits: 0 = none. SOURCE_GOOD: *out counts it, until sources_leave(); NULL: without
 * memory it is not counted. */
enum source_verdict sources_enter(struct sources *t, const struct tr_addr *from, uint32_t max, uint32_t per_second, uint64_t now,
	struct source **out);
void sources_leave(struct sources *t, struct source *s, uint64_t now); /* NULL: nothing */
void sources_second(struct sources *t, uint64_t now);                  /* forgets who has rested */
