/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Heads of HTTP/1.1 messages: what a client asks of the relay and the answers that are no DERP; a client's own request and
 * the answer to it. Parsed by http-parser. No state, no I/O.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_MAX 8192      /* a longer request is refused */
#define HEAD_ANSWER 1024   /* room for any answer of head_answer() */

enum head_status { HEAD_GOOD, HEAD_MORE, HEAD_BAD };

enum head_path { HEAD_DERP, HEAD_PROBE, HEAD_204, HEAD_BOOTSTRAP, HEAD_ROBOTS, HEAD_OTHER };

enum head_upgrade { HEAD_UPGRADE_NONE, HEAD_UPGRADE_DERP, HEAD_UPGRADE_WEBSOCKET };

struct head {
	enum head_path path;
	enum head_upgrade upgrade;
	bool get, head;   /* the method */
	bool keep_alive;  /* another request may follow */
	bool fast_start, not_ideal;
	bool protocol_derp; /* Sec-WebSocket-Protocol lists it */
	bool version_13;    /* Sec-WebSocket-Version */
	char key[32];       /* Sec-WebSocket-Key; empty: none, or too long */
	char challenge[65]; /* of /generate_204; empty: none that may be answered */
	char host[256];     /* without a port */
	char target[256];   /* path and query, for a redirection; empty: too long for one */
	size_t size;        /* of the head itself */
};

/* HEAD_MORE: the blank line has not come yet. HEAD_BAD: no HTTP, a body, or too long. */
enum head_status head_read(struct head *h, const void *data, size_t len);

/* The whole answer to a request that is no upgrade to DERP; its length. */
size_t head_answer(char out[HEAD_ANSWER], const struct head *h);
/* 302 to https:// for the port without TLS. */
size_t head_redirect(char out[HEAD_ANSWER], const struct head *h);
size_t head_bad_request(char out[HEAD_ANSWER]);
/* 101 for an upgrade; a WebSocket one without version 13 and key gets 400 (then *refused is true). */
size_t head_upgrade(char out[HEAD_ANSWER], const struct head *h, const uint8_t public_key[32], bool *refused);

/* The client's side. */
size_t head_request(char out[HEAD_ANSWER], const char *host, bool fast_start, const char *ideal_node);
/* The answer to it: *size is the head's, *code its status. */
enum head_status head_response(const void *data, size_t len, unsigned *code, size_t *size);
