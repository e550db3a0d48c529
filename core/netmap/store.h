/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The netmap: the only copy of peers, keys, allowed IPs and names, in two layers (provider below, operator above), and
 * the paths of the peers. The control thread writes; workers and jobs read under rcu.h.
 */
#pragma once

#include "../net/lpm.h"
#include "../pipeline/plan.h"

#include <tailrace/netmap.h>
#include <tailrace/show.h>

struct netmap_table; /* the peers of one interface (instance with TR_CLASS_PEERS), by its name */

/* max_peers: limits.peers. state_dir: NULL = nothing is saved. Loads the operator's layer and saved endpoints; a damaged
 * state file is set aside as NAME.bad with a warning in `why`. */
int netmap_init(uint32_t max_peers, const char *state_dir, char *why, size_t size);
void netmap_fini(void);

/* Takes over the provider's layer (names, domain, peers) of a plan: merges, publishes, emits events. Costs what has changed,
 * not what there is, and goes in steps, between which the operator's layer may change. */
struct netmap_take {
	const struct plan *from, *to; /* valid until it is done. from: the plan taken over last; NULL before the first */
	const struct plan_diff *diff; /* holds plan_diff_peers(from, to); not looked at without `from` */
	unsigned phase, at;           /* begin with 0 */
};
bool netmap_take(struct netmap_take *t, uint64_t ns); /* a step of about that long; true: done */

struct netmap_table *netmap_table(const char *interface); /* made on first use */

/* Events, control thread, in order; the engine delivers them to the owner worker. removed: `release` must be called when
 * the worker has seen it (then the id is retired through rcu_defer and its blocks are zeroed by the engine's hook). */
struct netmap_events {
	void (*event)(void *arg, struct netmap_table *t, enum tr_peer_event e, uint32_t peer);
	void *arg;
	void (*retired)(void *arg, uint32_t peer); /* may be NULL: grace period over, zero the blocks: the id is free now */
};
void netmap_subscribe(const struct netmap_events *e);
/* Owner, when its classes have been told: for no thread is the peer there any more, so that nothing begins for it that nobody would end.
 * A reader. */
void netmap_removed(uint32_t peer);
void netmap_released(uint32_t peer);
/* Emits TR_PEER_RESUME for the table's peers with a session in the last 180 s, newest first. After start, once. */
void netmap_resume(struct netmap_table *t, uint64_t wall_ns);

const struct tr_peer *netmap_peer(const struct netmap_table *t, uint32_t id);         /* any reader */
uint32_t netmap_by_key(const struct netmap_table *t, const uint8_t public_key[32]);   /* any reader */
uint32_t netmap_by_disco(const struct netmap_table *t, const uint8_t disco_key[32]);  /* any reader */
struct netmap_table *netmap_table_of(uint32_t id); /* whose peer it is; NULL: nobody's. Any reader */
const struct lpm *netmap_allowed(const struct netmap_table *t);                        /* values are peer ids */
void netmap_each(struct netmap_table *t, void (*fn)(void *arg, const struct tr_peer *), void *arg);
void netmap_names(struct tr_name_find *names, uint16_t n); /* any reader; n <= TR_BURST */
enum tr_name_status netmap_reverse(const struct tr_addr *a, const char **name, size_t *len);

/* Operator's layer: durable (written and fsynced) when they return 0. */
int netmap_set(struct netmap_table *t, const struct tr_peer_change *c);
int netmap_option_set(const char *interface, const char *key, const char *value); /* value NULL: forget */
const char *netmap_option(const char *interface, const char *key); /* NULL: not set by the operator */
void netmap_option_each(const char *interface, void (*fn)(void *arg, const char *key, const char *value), void *arg);
char *netmap_persist(void); /* the operator's layer as YAML to paste; malloc()ed */
void netmap_show(struct tr_show *out); /* layers, per peer who set what */

const struct tr_derp_map *netmap_derp(void); /* control thread */

/* Paths, by peer id: see <tailrace/netmap.h>. Written by the peer's owner worker only. `now`: clock_ns(). */
void path_get(const uint32_t *peer, uint16_t n, uint64_t now, struct tr_endpoint *out); /* any reader */
void path_read(uint32_t peer, struct tr_endpoint *out, uint64_t *session); /* any reader: consistent copy, without flags */
uint16_t path_list(uint32_t peer, uint64_t now, struct tr_path *out, uint16_t max); /* any reader */
/* Any reader: the relay beside a direct path that is not trusted; false: none. *alone: the direct one has been given up. */
bool path_relay(uint32_t peer, uint64_t now, struct tr_endpoint *out, bool *alone);
void path_set(uint32_t peer, const struct tr_endpoint *e); /* owner worker; of a peer without a relay */
bool path_quiet(uint32_t peer, uint64_t now); /* any worker: a trusted path has been asked for what it hears in vain for 0.15 s */
void path_heard(uint32_t peer, const struct tr_endpoint *from, uint64_t now); /* owner worker */
bool path_tell(uint32_t peer, const struct tr_path *news, uint64_t now);      /* owner worker; true: a trusted path in use is no more */
void path_session(uint32_t peer, uint64_t wall_ns, uint64_t now);             /* owner worker */
bool path_begun(uint32_t peer); /* any reader: has a session begun since the process started? (else its time is a saved one) */
uint64_t netmap_last_session(void); /* control: Unix ns of the last session that the state directory knew of at start; 0: none */
/* Owner worker, on TR_PEER_CHANGED: takes the configured endpoint if somebody has set one since (also to the same value:
 * `wg set` undoes roaming), and the home region. New peers need no call: their path begins with the saved or the
 * configured endpoint. */
void path_adopt(uint32_t peer, uint64_t now);
/* Once a second: a thread of the netmap writes the endpoints and session times that changed. Never blocks. Returns how
 * the last write ended: 0 or -errno (what it could not write stays dirty and is tried again). */
int netmap_save(void);
const char *netmap_problem(void); /* NULL, or which state file can't be written, why, and what follows */
