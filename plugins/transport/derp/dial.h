/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A connection of ours to a relay, as a client or as a server of its mesh: TCP, TLS, upgrade (a fast start when the relay's
 * certificate offers it), handshake, then frames. One at a time; again after a failure is its owner's business. Service loop.
 */
#pragma once

#include "frame.h"
#include "info.h"
#include "queue.h"
#include "stream.h"

struct dial_target {
	char host[254];          /* TLS: SNI, and the name that must be in the certificate unless `certificate` says another */
	char certificate[80];    /* a name, `sha256-raw:…`, or empty */
	struct tr_sockaddr addr;
	bool insecure; /* no verification: tests */
	uint32_t timeout_ms; /* until the relay's first frame; 0: 10 s */
};

struct dial_self {
	uint8_t public_key[32], secret[32], mesh_key[32];
	bool has_mesh_key, can_ack_pings;
};

enum dial_state { DIAL_IDLE, DIAL_CONNECTING, DIAL_UPGRADING, DIAL_WAITING, DIAL_OPEN };

struct dial {
	/* The owner's. */
	struct tr_instance *instance;
	const struct tr_host *host;
	struct wire *wire;
	struct chunk_pool *chunks;
	SSL_CTX *tls;
	const struct dial_self *self;
	void *owner; /* the callbacks' */
	/* ClientInfo has been sent: frames may be. */
	void (*opened)(struct dial *d);
	/* False: give up. The frame is the callee's during the call. */
	bool (*frame)(struct dial *d, const struct frame *f);
	/* It is idle again. `why` is for the log. */
	void (*closed)(struct dial *d, const char *why);

	/* Its own. */
	struct dial_target target;
	enum dial_state state;
	bool fast, reached; /* reached: TCP is connected */
	struct stream stream;
	struct tr_watch *deadline;
	uint8_t relay_key[32], shared[32];
	bool knows_relay;
	struct info_server info; /* what the relay said of itself */
	char why[128];
	uint64_t heard; /* ns: the last bytes */
	uint32_t skip, rest_len;
	uint8_t *rest;
	struct queue control, packets;
};

/* False: it could not even begin, `why` says why; closed() is not called. */
bool dial_start(struct dial *d, const struct dial_target *to);
void dial_stop(struct dial *d); /* idle without a call of closed() */
/* Room for a frame's body, sent at the end of the turn: dial_flush(). NULL: not open, or out of memory. */
uint8_t *dial_frame(struct dial *d, struct queue *q, enum frame_type type, uint32_t len);
void dial_flush(struct dial *d);
