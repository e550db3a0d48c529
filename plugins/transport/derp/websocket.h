/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * WebSocket (RFC 6455) between a stream and DERP's frames, by wslay: the payloads of binary messages are one stream of
 * bytes, whatever their boundaries. Service loop.
 */
#pragma once

#include "stream.h"

#define WEBSOCKET_MESSAGE 32768 /* stock clients take no longer one */

struct websocket;

struct websocket *websocket_new(struct stream *s); /* NULL: out of memory */
void websocket_free(struct websocket *w);
/* Bytes of payload, as stream_read(); `room` at least 16 KiB. -1 also when the other side has closed, or sent text. */
ssize_t websocket_read(struct websocket *w, uint8_t *out, size_t room);
bool websocket_write(struct websocket *w, const uint8_t *data, size_t len); /* as stream_write() */
