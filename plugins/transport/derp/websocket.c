/* SPDX-License-Identifier: BSD-3-Clause */
#include "websocket.h"

#include <stdlib.h>
#include <wslay/wslay.h>

struct websocket {
	struct stream *stream;
	wslay_event_context_ptr ctx;
	bool ignored; /* the frame that comes is no part of a binary message */
	/* During websocket_read() only: */
	const uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_len;
};

static ssize_t
on_receive(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags, void *arg)
{
	struct websocket *w = arg;
	const size_t n = w->in_len < len ? w->in_len : len;
	if (n == 0) {
		wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
		return -1;
	}
	memcpy(buf, w->in, n);
	w->in += n;
	w->in_len -= n;
	return (ssize_t)n;
}

static ssize_t
on_send(wslay_event_context_ptr ctx, const uint8_t *data, size_t len, int flags, void *arg)
{
	struct websocket *w = arg;
	if (stream_write(w->stream, data, len))
		return (ssize_t)len;
	wslay_event_set_error(ctx, WSLAY_ERR_CALLBACK_FAILURE);
	return -1;
}

static void
on_frame(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *f, void *arg)
{
	struct websocket *w = arg;
	if (f->opcode == WSLAY_TEXT_FRAME)
		wslay_event_queue_close(ctx, WSLAY_CODE_UNSUPPORTED_DATA, NULL, 0);
	w->ignored = wslay_is_ctrl_frame(f->opcode) || f->opcode == WSLAY_TEXT_FRAME;
}

/* Never more than what was put in: the headers are gone. */
static void
on_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *c, void *arg)
{
	struct websocket *w = arg;
	if (w->ignored)
		return;
	memcpy(w->out + w->out_len, c->data, c->data_length);
	w->out_len += c->data_length;
}

struct websocket *
websocket_new(struct stream *s)
{
	static const struct wslay_event_callbacks callbacks = {.recv_callback = on_receive, .send_callback = on_send,
		.on_frame_recv_start_callback = on_frame, .on_frame_recv_chunk_callback = on_chunk};
	struct websocket *w = calloc(1, sizeof(*w));
	if (w == NULL || wslay_event_context_server_init(&w->ctx, &callbacks, w) != 0) {
		free(w);
		return NULL;
	}
	w->stream = s;
	wslay_event_config_set_no_buffering(w->ctx, 1);
	wslay_event_config_set_max_recv_msg_length(w->ctx, UINT64_MAX); /* nothing is kept */
	return w;
}

void
websocket_free(struct websocket *w)
{
	if (w != NULL)
		wslay_event_context_free(w->ctx);
	free(w);
}

ssize_t
websocket_read(struct websocket *w, uint8_t *out, size_t room)
{
	uint8_t raw[16384];
	w->out = out;
	w->out_len = 0;
	do {
		const size_t want = room - w->out_len < sizeof(raw) ? room - w->out_len : sizeof(raw);
		const ssize_t n = stream_read(w->stream, raw, want);
		if (n <= 0)
			return n < 0 ? -1 : (ssize_t)w->out_len;
		w->in = raw;
		w->in_len = (size_t)n;
		if (wslay_event_recv(w->ctx) != 0 || wslay_event_send(w->ctx) != 0)
			return -1;
		if (wslay_event_get_close_received(w->ctx) || wslay_event_get_close_sent(w->ctx))
			return -1;
	} while (w->out_len == 0);
	return (ssize_t)w->out_len;
}

bool
websocket_write(struct websocket *w, const uint8_t *data, size_t len)
{
	while (len > 0) {
		const size_t n = len < WEBSOCKET_MESSAGE ? len : WEBSOCKET_MESSAGE;
		const struct wslay_event_msg m = {.opcode = WSLAY_BINARY_FRAME, .msg = data, .msg_length = n};
		if (wslay_event_queue_msg(w->ctx, &m) != 0 || wslay_event_send(w->ctx) != 0)
			return false;
		data += n;
		len -= n;
	}
	return true;
}
