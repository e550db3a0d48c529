/* SPDX-License-Identifier: BSD-3-Clause */
/* The relay: what an instance's threads share. Control configures, the service loop owns all connections. */
#pragma once

#include "mesh.h"
#include "registry.h"
#include "session.h"
#include "sources.h"
#include "stream.h"
#include "tls.h"

#include <pthread.h>
#include <stdatomic.h>
#include <tailrace/host.h>

#define LISTEN_MAX 16
#define ALLOW_MAX 1024
#define PULSE_SLOTS 64 /* seconds between two keepalives: 60 and what a client's patience of 120 leaves twice over */

enum relay_count {
	CONNECTIONS,
	TLS_FAILED,
	HTTP_REQUESTS,
	CLIENTS,
	CLIENTS_REFUSED,
	CLIENTS_BAD,
	CLIENTS_GONE,
	CLIENTS_TIMED_OUT,
	CLIENTS_SLOW,
	PACKETS_IN,
	BYTES_IN,
	PACKETS_OUT,
	BYTES_OUT,
	DROP_UNKNOWN,
	DROP_FULL,
	DISCO,
	FORWARDED_IN,
	FORWARDED_OUT,
	PEER_GONE,
	NOT_HERE,
	PINGS,
	UNKNOWN_FRAMES,
	NO_DESCRIPTORS,
	THROTTLED,
	CERTIFICATES,
	CERTIFICATES_BAD,
	ADDRESS_FULL,
	ADDRESS_FAST,
	HEALTH,
	COUNTS,
};

enum clients { CLIENTS_ALLOW, CLIENTS_ANY };

/* Options as the service loop reads them: a copy, taken under the lock. */
struct settings {
	uint32_t n_allow, clients, per_address, per_address_second;
	uint64_t rate, write_timeout_ms;
	struct tr_key allow[ALLOW_MAX];
};

struct listener {
	struct relay *relay;
	int fd;
	bool plain; /* without TLS: /generate_204, and the way to the rest */
	struct tr_watch *watch;
};

struct relay {
	struct tr_instance *instance;
	const struct tr_host *host;
	struct tls_identity identity;
	struct dial_self self; /* its keys; the mesh key is also what neighbours that dial must have */
	struct neighbour neighbour[MESH_MAX];
	unsigned n_neighbours;
	atomic_bool stopping;
	pthread_mutex_t lock; /* of the next six: control and the service loop */
	struct settings settings;
	char pin[65];
	int64_t not_after;
	char bad_files[256]; /* why newer certificate files were no use; "": they were */
	struct tr_addr crowd;   /* of which connections were refused last, for their number or their rate */
	uint64_t crowd_at;      /* ns; 0: never */
	_Atomic uint32_t n_sessions, n_clients; /* the service loop writes, show() reads */
	_Atomic uint64_t refused_at; /* ns: when a connection was last refused for want of descriptors; 0: never */

	/* The service loop's. */
	struct tr_node *node; /* for its counters; until worker_fini() */
	SSL_CTX *tls, *tls_out; /* tls_out: towards neighbours */
	uint64_t files_seen, tls_made; /* what the certificate files were; ns */
	struct listener listener[LISTEN_MAX];
	unsigned n_listeners;
	int spare_fd; /* given up for a moment to refuse a connection when there are no descriptors */
	struct tr_watch *second, *pause; /* pause: no connection is taken until it ends */
	struct wire wire;
	struct chunk_pool chunks;
	struct registry registry;
	struct sources sources;
	struct sessions young;           /* no client yet, oldest first */
	struct sessions pulse[PULSE_SLOTS]; /* clients, by the second of their keepalive */
	struct sessions dirty;           /* have frames to send */
	struct sessions stuck;           /* the kernel takes no more of theirs */
	struct sessions throttled, watchers, dying;
	struct tr_watch *throttle;
	struct settings now; /* the loop's copy of the settings */
	bool turn_posted;
	unsigned handshakes; /* in this turn */
	uint64_t turn_at;    /* ns */
};

/* relay.c: control before start() and after worker_fini(), else the service loop */
bool relay_make_tls(struct relay *r, char *why, size_t size);
void relay_open(struct relay *r, struct tr_node *node);
void relay_close(struct relay *r); /* again: nothing */
void relay_count(struct relay *r, enum relay_count what, uint64_t n);
void relay_turn_soon(struct relay *r); /* flush what is dirty and bury the dying before the loop sleeps */
void relay_tell_gone(void *arg, struct member *target, const uint8_t key[32]); /* frames.c: PeerGone for who had its packets */
bool relay_admits(struct relay *r, const uint8_t key[32]);
void relay_throttle(struct relay *r); /* a session waits for tokens */
