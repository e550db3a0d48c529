/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ordered spread: the AEAD of one worker's packets, done by whichever workers have room, and the packets taken back in the
 * order in which they were given.
 *
 * Each worker has one queue of batches. It alone appends to it and takes from its head. In between, anybody claims the
 * oldest batch that nobody has, by one compare-and-swap: a worker that finds nothing of its own to do, or its owner.
 * Whoever claims a batch runs the engine over it, with nothing but what lies in it: copies of the keys and the packets'
 * bytes. No code and no state of a plugin is touched by another worker than the packets' own, in whatever generation.
 *
 *   head:  done, taken back in this order | claimed, at most one per worker | waiting, few | free
 *
 * Who offers, and who helps, is decided by load. A worker whose packets cost nearly as much time as there is, that of its
 * helpers included, is pressed: it gives its bursts to the queue as long as some worker is not. One that is not pressed
 * helps in loops in which it finds nothing else. When all are pressed, or none, every packet stays where it is.
 */
#pragma once

#include <tailrace/host.h>

#define SPREAD_BATCH 32u
#define SPREAD_BATCHES 128u /* that may wait for the head: with a burst of 32 in each, 4,096 packets; more are dropped */

/* What one worker writes and another reads moves from core to core: so little is written, and by whom stands in lines. */
struct batch {
	struct { /* the owner's */
		uint32_t number;
		uint32_t target; /* slot and in gate, as in rings */
		uint16_t n, n_keys;
		bool open;
	} __attribute__((aligned(64)));
	struct { /* written by who ran it, but for the keys, which it wipes */
		uint64_t lent; /* ns, if that was another worker */
		uint32_t bad;  /* bit per packet whose tag is wrong */
		uint32_t done; /* number + 1: it is; atomic */
		uint8_t key[SPREAD_BATCH][32];
	} __attribute__((aligned(64)));
	struct { /* the owner's */
		struct rte_mbuf *pkt[SPREAD_BATCH];
		struct spread_item {
			uint8_t *data;
			uint64_t counter;
			uint32_t len;
			uint32_t key; /* which */
		} item[SPREAD_BATCH];
	} __attribute__((aligned(64)));
};

struct spread {
	struct batch *batch; /* [SPREAD_BATCHES]; NULL: there is one worker */
	uint32_t taken;      /* batches that are back; the owner's, read by control, atomic */
	uint32_t fetched;    /* batches whose headers were asked for; the owner's */
	bool pressed;
	uint64_t since, spent; /* load: when it was last judged, ns spent from then on */
	uint64_t given, helped; /* batches put into the queue; batches run for others. Read by control */
	uint16_t next;          /* worker to be helped first */
	uint32_t posted __attribute__((aligned(64)));  /* batches so far; the owner's, atomic. Others look at it all the time */
	uint32_t claimed __attribute__((aligned(64))); /* anybody's, atomic */
} __attribute__((aligned(64)));

struct worker;
int spread_init(struct worker *w); /* 0 or -ENOMEM */
void spread_fini(struct worker *w);
/* host->spread(): the verdict for all packets. */
uint16_t spread_give(struct tr_node *node, bool open, uint16_t gate, struct rte_mbuf *const *pkts, const struct tr_aead *aead,
	uint16_t n);
/* Something is out and a loop begins: lets the caches get what is done, while the loop does other things. */
void spread_fetch(struct worker *w);
/* Once per loop: takes back what is done, and runs what nobody will. `busy`: the loop had other work. Packets taken back. */
unsigned spread_turn(struct worker *w, bool busy);
/* A loop has found nothing: runs a batch for another worker. False: there was none. */
bool spread_help(struct worker *w);
/* ns that the last loop spent on the worker's own packets. Judges the load now and then. */
void spread_load(struct worker *w, uint64_t ns);
void spread_press(struct worker *w, bool pressed);
static inline bool
spread_idle(const struct spread *s) /* the owner: nothing is out */
{
	return s->taken == s->posted;
}
