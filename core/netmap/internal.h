/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files of this folder share. Control thread unless said otherwise. */
#pragma once

#include "hash.h"
#include "store.h"

#include <jansson.h>

#define NETMAP_NAME_MAX 32

/* What readers see of a peer, in one block with its prefixes and name. Immutable once published. */
struct record {
	struct netmap_table *table;
	struct entry *entry;
	_Atomic bool removed;     /* its owner has been told */
	uint32_t endpoint_serial; /* grows whenever somebody sets the configured endpoint */
	struct tr_peer peer;
	struct tr_prefix prefix[]; /* sorted by prefix_compare(); the name follows */
};

/* The operator's entry of a public key: only what was set, or `absent`. */
struct overlay {
	bool absent;
	bool created;        /* the peer exists even without the provider */
	uint32_t set;        /* enum tr_peer_field: PSK, ENDPOINT, KEEPALIVE, REPLACE_ALLOWED */
	uint16_t keepalive;
	uint8_t preshared_key[32];
	struct tr_endpoint endpoint;
	uint32_t n_add, n_remove; /* both sorted */
	struct tr_prefix *add, *remove;
	json_t *other; /* fields of a later version's file, kept as they are; NULL: none */
};

/* A public key of an interface, whatever layers know it. */
struct entry {
	uint8_t key[32];
	_Atomic(struct record *) record; /* merged; NULL: absent */
	struct record *provided;         /* provider's layer; may be the merged record itself */
	struct overlay *overlay;
	struct disco *disco;             /* in the table's disco keys; NULL: none */
	struct netmap_table *table;
	struct entry *next, **prev;
	bool dropped;  /* no layer knows it any more: waits for its grace period */
	uint32_t endpoint_serial;
};

/* A disco key and whose it is. Immutable. */
struct disco {
	uint8_t key[32];
	uint32_t peer;
};

struct option {
	char *key, *value;
};

struct netmap_table {
	char name[NETMAP_NAME_MAX];
	_Atomic(struct netmap_table *) next; /* readers go through the list too */
	struct hash keys; /* struct entry by public key */
	struct hash disco; /* struct disco by its key */
	struct lpm *allowed;
	struct entry *entries;
	struct option *option;
	unsigned n_options;
};

struct contested { /* a prefix that `loser` wants and another peer holds */
	struct tr_prefix p;
	struct entry *loser;
};

/*
 * A free id rests before it is given to another peer: packets of the one before may still be in rings between threads, which no
 * grace period waits for, and what they find then must not be somebody else. Where no other id is left, the oldest is taken.
 */
#define ID_REST 2 /* s, by whole seconds */
struct free_id {
	uint32_t id, since; /* s */
};

struct netmap {
	uint32_t max_peers;
	char *state_dir;
	_Atomic(struct netmap_table *) tables;
	_Atomic(struct record *) *peer; /* by id */
	struct free_id *free_id; /* a queue of n_free from free_first on, in max_peers + 1 places; then next_id is the first never used */
	uint32_t free_first, n_free, next_id;
	struct contested *contested;
	unsigned n_contested;
	bool ready; /* the first plan has been taken over */
	struct netmap_events subscriber[4];
	unsigned n_subscribers;
	char problem[160];      /* of peers and prefixes left out; "" = none */
	char state_problem[320]; /* of the operator's file */
};
extern struct netmap nm;

/* Sorted sets of prefixes. */
int prefix_compare(const void *a, const void *b);
bool prefix_has(const struct tr_prefix *set, uint32_t n, const struct tr_prefix *p);
uint32_t prefix_sort(struct tr_prefix *set, uint32_t n); /* without duplicates; how many are left */

/* merge.c */
struct entry *entry_find(const struct netmap_table *t, const uint8_t key[32]);
struct entry *entry_get(struct netmap_table *t, const uint8_t key[32]); /* made if new; NULL: no room */
void entry_update(struct entry *e);  /* merges, publishes, emits; frees an entry that no layer knows any more */
struct record *record_new(struct netmap_table *t, struct entry *e, uint32_t n_prefixes, const char *name); /* NULL */
void record_free(void *record);
void overlay_free(struct overlay *o);
struct record *entry_record(const struct entry *e);
void netmap_emit(struct netmap_table *t, enum tr_peer_event event, uint32_t peer);

/* names.c */
bool names_init(void);
void names_fini(void);
void names_provider(const struct plan *p);
void names_peer(const struct record *old, const struct record *now); /* either may be NULL */

/* derp.c */
void derp_provider(const struct plan *p);
void derp_fini(void);

/* operator.c, json.c, state.c: the operator's layer and its file */
bool state_lock(char *why, size_t size); /* makes the directory; false: another process has it */
bool state_load(char *why, size_t size);
int state_append(json_t *const *lines, unsigned n); /* durable when 0; else -errno of the write */
void state_tidy(void); /* rewrites the file when most of it is history */
void state_fini(void);
json_t *overlay_json(const struct netmap_table *t, const uint8_t key[32], const struct overlay *o);
json_t *option_json(const char *interface, const char *key, const char *value);
bool operator_knows_json(const json_t *line); /* is it an entry or an option, as this version has them? */
bool operator_apply_json(const json_t *line); /* while loading: into the layer only */
void option_apply(struct netmap_table *t, const char *key, const char *value);

/* path.c */
bool paths_init(char *why, size_t size);
void paths_fini(void);
void path_begin(struct netmap_table *t, const struct record *r); /* a new id, before any worker knows it */
uint32_t id_take(void); /* store.c: there is one: n_free, or next_id <= max_peers */
void path_end(uint32_t peer);                                   /* the id is retired */
const char *paths_problem(void);

void why_append(char *why, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
