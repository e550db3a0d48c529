/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- Sending ---- */

static bool
keep(struct stream *s, const uint8_t *data, size_t len)
{
	if (len > s->pending_size - s->pending_len) {
		const size_t size = (size_t)s->pending_len + len;
		uint8_t *p = realloc(s->pending, size);
		if (p == NULL) {
			s->failed = true;
			return false;
		}
		s->pending = p;
		s->pending_size = (uint32_t)size;
	}
	memcpy(s->pending + s->pending_len, data, len);
	s->pending_len += (uint32_t)len;
	return true;
}

static void
watch_for(struct stream *s, uint8_t events)
{
	if (s->events != events)
		s->host->watch_events(s->watch, events);
	s->events = events;
}

/* What the kernel takes; the rest is kept. */
static bool
send_out(struct stream *s, const uint8_t *data, size_t len)
{
	while (len > 0 && s->pending == NULL) {
		const ssize_t n = send(s->fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN && errno != ENOBUFS) {
			s->failed = true;
			return false;
		}
		if (n < 0)
			break;
		data += n;
		len -= (size_t)n;
	}
	if (len > 0) {
		watch_for(s, s->events | TR_WATCH_WRITE);
		return keep(s, data, len);
	}
	return true;
}

static bool
empty_wire(struct stream *s)
{
	struct wire *w = s->wire;
	const size_t len = w->out_len;
	w->out_len = 0;
	return len == 0 || send_out(s, w->out, len);
}

static bool
put(struct stream *s, const uint8_t *data, size_t len)
{
	struct wire *w = s->wire;
	if (len > WIRE_OUT - w->out_len && !empty_wire(s))
		return false;
	if (len > WIRE_OUT)
		return send_out(s, data, len);
	memcpy(w->out + w->out_len, data, len);
	w->out_len += len;
	return true;
}

static bool
send_pending(struct stream *s)
{
	while (s->pending_at < s->pending_len) {
		const ssize_t n = send(s->fd, s->pending + s->pending_at, s->pending_len - s->pending_at, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == ENOBUFS))
			return true;
		if (n < 0) {
			s->failed = true;
			return false;
		}
		s->pending_at += (uint32_t)n;
	}
	free(s->pending);
	s->pending = NULL;
	s->pending_at = s->pending_len = s->pending_size = 0;
	watch_for(s, s->events & (uint8_t)~TR_WATCH_WRITE);
	return true;
}

bool
stream_push(struct stream *s)
{
	if (s->pending != NULL && !send_pending(s))
		return false;
	return empty_wire(s) && !s->failed;
}

/* ---- OpenSSL's view of the wire ---- */

static int
bio_read(BIO *b, char *out, size_t room, size_t *n)
{
	struct wire *w = ((struct stream *)BIO_get_data(b))->wire;
	BIO_clear_retry_flags(b);
	*n = w->in_len - w->in_at < room ? w->in_len - w->in_at : room;
	if (*n == 0) {
		BIO_set_retry_read(b);
		return 0;
	}
	memcpy(out, w->in + w->in_at, *n);
	w->in_at += *n;
	return 1;
}

static int
bio_write(BIO *b, const char *data, size_t len, size_t *n)
{
	BIO_clear_retry_flags(b);
	*n = len;
	return put(BIO_get_data(b), (const uint8_t *)data, len);
}

static long
bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
	return cmd == BIO_CTRL_FLUSH;
}

bool
wire_init(struct wire *w)
{
	w->method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "wire");
	return w->method != NULL && BIO_meth_set_read_ex(w->method, bio_read) == 1 &&
	       BIO_meth_set_write_ex(w->method, bio_write) == 1 && BIO_meth_set_ctrl(w->method, bio_ctrl) == 1;
}

void
wire_fini(struct wire *w)
{
	BIO_meth_free(w->method);
}

/* ---- Life ---- */

static bool
start_tls(struct stream *s, SSL_CTX *ctx, bool server)
{
	BIO *bio = BIO_new(s->wire->method);
	s->ssl = SSL_new(ctx);
	if (bio == NULL || s->ssl == NULL) {
		BIO_free(bio);
		return false;
	}
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	if (server)
		SSL_set_accept_state(s->ssl);
	else
		SSL_set_connect_state(s->ssl);
	return true;
}

bool
stream_open(struct stream *s, struct wire *w, const struct tr_host *host, struct tr_instance *instance, int fd, SSL_CTX *ctx,
	bool server, void (*fn)(void *arg, int events), void *arg)
{
	*s = (struct stream){.wire = w, .host = host, .fd = fd, .events = TR_WATCH_READ};
	if (ctx == NULL || start_tls(s, ctx, server))
		s->watch = host->watch_fd(instance, fd, TR_WATCH_READ, fn, arg);
	if (s->watch != NULL)
		return true;
	stream_close(s);
	return false;
}

void
stream_close(struct stream *s)
{
	if (s->ssl != NULL && !s->failed && s->pending == NULL && SSL_is_init_finished(s->ssl)) {
		ERR_clear_error();
		SSL_shutdown(s->ssl);
		empty_wire(s);
	}
	s->wire->out_len = 0;
	if (s->watch != NULL)
		s->host->watch_close(s->watch);
	SSL_free(s->ssl);
	if (s->fd >= 0)
		close(s->fd);
	free(s->pending);
	*s = (struct stream){.wire = s->wire, .host = s->host, .fd = -1, .failed = true};
}

/* ---- Receiving ---- */

ssize_t
stream_fill(struct stream *s)
{
	struct wire *w = s->wire;
	w->in_at = w->in_len = 0;
	const ssize_t n = recv(s->fd, w->in, WIRE_IN, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		s->failed = true; /* nobody is there to be told of the end */
		return -1;
	}
	w->in_len = (size_t)n;
	return n;
}

ssize_t
stream_read(struct stream *s, uint8_t *out, size_t room)
{
	struct wire *w = s->wire;
	if (s->ssl == NULL) {
		const size_t n = w->in_len - w->in_at < room ? w->in_len - w->in_at : room;
		memcpy(out, w->in + w->in_at, n);
		w->in_at += n;
		return (ssize_t)n;
	}
	size_t n;
	ERR_clear_error();
	if (SSL_read_ex(s->ssl, out, room, &n) == 1)
		return (ssize_t)n;
	return SSL_get_error(s->ssl, 0) == SSL_ERROR_WANT_READ && !s->failed ? 0 : -1;
}

bool
stream_write(struct stream *s, const void *data, size_t len)
{
	if (s->ssl == NULL)
		return put(s, data, len);
	size_t n;
	ERR_clear_error();
	if (SSL_write_ex(s->ssl, data, len, &n) == 1 && !s->failed)
		return true;
	s->failed = true; /* the wire takes everything: never for want of room */
	return false;
}

void
stream_reading(struct stream *s, bool on)
{
	watch_for(s, on ? s->events | TR_WATCH_READ : s->events & (uint8_t)~TR_WATCH_READ);
}

void
stream_writing(struct stream *s, bool on)
{
	watch_for(s, on ? s->events | TR_WATCH_WRITE : s->events & (uint8_t)~TR_WATCH_WRITE);
}
