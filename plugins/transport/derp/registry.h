/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Who is where: for each node key the connections that have it, the neighbours of the mesh that announce it, and whom its
 * packets have reached, to be told when it goes. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#define RELATIONS_MAX 4096 /* receivers of one key that are remembered; the oldest is forgotten */

struct party;

/* The part of a connection that the registry knows. */
struct member {
	struct party *party; /* NULL: not registered */
	TAILQ_ENTRY(member) link; /* the one that spoke last comes first */
	LIST_HEAD(, relation) heard; /* those whose packets it has received */
};
TAILQ_HEAD(members, member);

/* A neighbour that announces a key. */
struct announcement {
	struct announcement *next;
	struct member *neighbour;
};

struct relation {
	struct {
		const struct party *source;
		const struct member *target;
	} key;
	TAILQ_ENTRY(relation) of_source; /* oldest first */
	LIST_ENTRY(relation) of_target;
	UT_hash_handle hh;
};

struct party {
	uint8_t key[32];
	struct members members;
	struct announcement *announced; /* oldest first: the first is used */
	TAILQ_HEAD(, relation) reached;
	uint32_t n_reached;
	UT_hash_handle hh;
};

struct registry {
	struct party *parties;
	struct relation *relations;
	uint8_t hash_key[16];
	uint64_t epoch; /* never 0; changes whenever a look-up may come out differently */
};

void registry_init(struct registry *r);
struct party *registry_find(const struct registry *r, const uint8_t key[32]);
/* False: out of memory. */
bool registry_join(struct registry *r, struct member *m, const uint8_t key[32]);
/* It spoke: from now on packets for its key go to it. */
void registry_spoke(struct registry *r, struct member *m);
/* A packet of `source` reaches `target`. Without memory nothing is remembered. */
void registry_reached(struct registry *r, struct party *source, struct member *target);
/* A neighbour announces the key, or takes it back. Returns the party, NULL: out of memory. */
struct party *registry_announce(struct registry *r, const uint8_t key[32], struct member *neighbour);
void registry_renounce(struct registry *r, struct party *p, const struct member *neighbour);
/* Leaves its party and is forgotten as a receiver. The party, which may have become empty, is returned. */
struct party *registry_leave(struct registry *r, struct member *m);
static inline bool
registry_empty(const struct party *p)
{
	return TAILQ_EMPTY(&p->members) && p->announced == NULL;
}
/* Calls for each that had received a packet from it, then frees the empty party. */
void registry_bury(struct registry *r, struct party *p, void (*gone)(void *arg, struct member *target, const uint8_t key[32]),
	void *arg);
