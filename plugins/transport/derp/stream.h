/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A TCP connection on a service loop, with TLS or without. Bytes pass through buffers that all streams of a loop share, so
 * that an idle one holds none: what is read is consumed in the same event, and only what the kernel does not take at once
 * is kept. One thread.
 */
#pragma once

#include <openssl/ssl.h>
#include <tailrace/host.h>

#define WIRE_IN (256u << 10)
#define WIRE_OUT (128u << 10)
#define WIRE_PLAIN (256u << 10)

struct wire {
	BIO_METHOD *method;
	size_t in_at, in_len; /* received, not yet decrypted: of the stream that reads just now */
	size_t out_len;       /* encrypted, not yet sent: of the stream that writes just now */
	uint8_t in[WIRE_IN], out[WIRE_OUT];
	uint8_t plain[WIRE_PLAIN]; /* decrypted, for whoever reads just now */
};

struct stream {
	struct wire *wire;
	const struct tr_host *host;
	SSL *ssl; /* NULL: plain */
	struct tr_watch *watch;
	int fd;
	uint8_t events; /* watched for */
	bool failed;    /* nothing more can be sent; found by the next call that may say so */
	uint8_t *pending; /* what the kernel has not taken; NULL: all */
	uint32_t pending_at, pending_len, pending_size;
};

bool wire_init(struct wire *w);
void wire_fini(struct wire *w);

/* Takes the descriptor, whatever it returns. ctx NULL: plain. fn: readable, writable. */
bool stream_open(struct stream *s, struct wire *w, const struct tr_host *host, struct tr_instance *instance, int fd,
	SSL_CTX *ctx, bool server, void (*fn)(void *arg, int events), void *arg);
/* Sends what an end of TLS needs if that goes at once. */
void stream_close(struct stream *s);

/* One look at the socket. Bytes that came; 0: none; -1: the end. All must be taken by stream_read() before another
 * stream of the wire reads. */
ssize_t stream_fill(struct stream *s);
/* 0: nothing more now. -1: the end, or broken. */
ssize_t stream_read(struct stream *s, uint8_t *out, size_t room);
/* False: broken. Nothing is sent before stream_push(), or when the wire's buffer is full. */
bool stream_write(struct stream *s, const void *data, size_t len);
bool stream_push(struct stream *s);

static inline bool
stream_blocked(const struct stream *s)
{
	return s->pending != NULL;
}

static inline bool
stream_ready(const struct stream *s) /* TLS has been agreed upon */
{
	return s->ssl == NULL || SSL_is_init_finished(s->ssl);
}

void stream_writing(struct stream *s, bool on); /* watched for writability: while it connects */
void stream_reading(struct stream *s, bool on); /* back-pressure: off, the kernel holds what comes */
