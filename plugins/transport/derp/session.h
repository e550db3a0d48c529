/* SPDX-License-Identifier: BSD-3-Clause */
/* One connection to the relay: TLS, HTTP, then frames. Service loop. */
#pragma once

#include "frame.h"
#include "head.h"
#include "queue.h"
#include "registry.h"
#include "stream.h"
#include "websocket.h"

struct relay;

enum session_state {
	SESSION_HTTP,  /* TLS, and requests until one is an upgrade */
	SESSION_HELLO, /* ClientInfo must come */
	SESSION_OPEN,  /* a client */
	SESSION_DEAD,  /* freed at the end of this turn */
};

struct session {
	struct member member; /* first */
	struct stream stream;
	struct relay *relay;
	enum session_state state;
	bool mesh, prober, preferred, not_ideal, fast, closing; /* closing: when all is sent */
	bool on_dirty, on_stuck, on_throttled, on_watchers;
	uint8_t slot; /* of pulse */
	uint64_t pulse_at; /* s: of the last keepalive, or when it entered */
	TAILQ_ENTRY(session) life, dirty, stuck, throttled, watchers;
	uint64_t since;    /* ns: of this state (young) */
	uint64_t stuck_at; /* ns: the kernel has taken nothing since */
	uint64_t epoch;    /* of the registry when `to` was found for `to_key` */
	uint8_t to_key[32];
	struct session *to;
	const struct party *far; /* of whom `to` is a connection, or who may be a neighbour's */
	struct websocket *websocket; /* NULL: frames are TLS's payload */
	uint32_t skip;     /* bytes of a frame that is none of ours */
	uint32_t rest_len;
	uint8_t *rest;     /* the beginning of a frame or head; NULL: none */
	struct queue control, disco, packets;
	uint64_t not_here_at; /* ns: of the limit of NotHere: when its bucket was full */
	int64_t tokens;       /* bytes that may be read; negative: throttled */
	uint64_t tokens_at;
	struct tr_sockaddr from;
	struct source *source; /* NULL: not counted */
	uint64_t entered;      /* ns: it became a client */
	bool twin;             /* it has been told that another connection has its key */
};
TAILQ_HEAD(sessions, session);

#define QUEUE_MAX (128u << 10)   /* bytes of packets that wait for a client that does not read */
#define CONTROL_MAX (64u << 10)  /* of everything else: then it is cut off */
#define MESH_CONTROL_MAX (16u << 20)
#define POOL_MAX (512ull << 20) /* of all clients together */
#define FLUSH_AT (48u << 10)     /* so many are sent before the turn ends */

/* Takes the descriptor, and its place among the connections of its address, whatever it returns. */
struct session *session_new(struct relay *r, int fd, SSL_CTX *tls, const struct tr_sockaddr *from, struct source *source);
void session_kill(struct session *s);  /* no more is read or sent; freed at the end of the turn */
void session_free(struct session *s);
void session_flush(struct session *s);
void session_resume(struct session *s); /* is read again */
void session_keep_alive(struct session *s);

/* A frame into `queue` of the session; the body to fill in, NULL: not sent. */
uint8_t *session_frame(struct session *s, struct queue *queue, enum frame_type type, uint32_t len);
/* A packet for the client: dropped when it reads too slowly. */
void session_packet(struct session *s, const uint8_t source[32], const uint8_t *packet, uint32_t len);

void session_announce(struct session *s, struct session *watcher); /* PeerPresent */

/* frames.c: what a client's frames do. False: the connection ends. */
bool session_act(struct session *s, const struct frame *f);
void session_left(struct session *s); /* its key may have gone */
void session_spoke(struct session *s); /* any frame: its key is where this is */
