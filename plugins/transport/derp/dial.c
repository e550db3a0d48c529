/* SPDX-License-Identifier: BSD-3-Clause */
#include "dial.h"

#include "head.h"
#include "tls.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define CONNECT_MS 10000  /* until the relay's first frame */
#define SILENCE_MS 120000 /* twice the keepalive */
#define WRITE_TIMEOUT_MS 15000
#define CONTROL_MAX (1u << 20)

static void
close_all(struct dial *d)
{
	if (d->state == DIAL_IDLE)
		return;
	d->state = DIAL_IDLE;
	if (d->deadline != NULL)
		d->host->watch_close(d->deadline);
	d->deadline = NULL;
	stream_close(&d->stream);
	queue_clear(&d->control, d->chunks);
	queue_clear(&d->packets, d->chunks);
	free(d->rest);
	d->rest = NULL;
	d->rest_len = d->skip = 0;
	sodium_memzero(d->shared, sizeof(d->shared));
}

void
dial_stop(struct dial *d)
{
	close_all(d);
}

static void
fail(struct dial *d, const char *why)
{
	close_all(d);
	d->closed(d, why);
}

static void
on_deadline(void *arg)
{
	struct dial *d = arg;
	if (d->state < DIAL_OPEN) {
		fail(d, d->state == DIAL_CONNECTING ? "no answer" : "accepts connections, but does not answer");
		return;
	}
	if (d->host->now(d->instance) - d->heard >= SILENCE_MS * 1000000ull)
		fail(d, "silent for 120 s");
}

static bool
set_deadline(struct dial *d, uint64_t after_ms, uint64_t repeat_ms)
{
	if (d->deadline != NULL)
		d->host->watch_close(d->deadline);
	d->deadline = d->host->watch_timer(d->instance, after_ms, repeat_ms, on_deadline, d);
	return d->deadline != NULL;
}

/* ---- Sending ---- */

uint8_t *
dial_frame(struct dial *d, struct queue *q, enum frame_type type, uint32_t len)
{
	if (d->state < DIAL_WAITING || q->bytes > CONTROL_MAX)
		return NULL;
	uint8_t *p = queue_add(q, d->chunks, FRAME_HEADER + len);
	return p ? frame_header(p, type, len) : NULL;
}

void
dial_flush(struct dial *d)
{
	while (d->state >= DIAL_UPGRADING && !stream_blocked(&d->stream)) {
		struct queue *q = d->control.head ? &d->control : &d->packets;
		const struct chunk *c = q->head;
		if (c == NULL)
			break;
		if (!stream_write(&d->stream, c->data + c->begin, c->end - c->begin)) {
			fail(d, "connection broken");
			return;
		}
		queue_sent(q, d->chunks);
	}
	if (d->state != DIAL_IDLE && !stream_push(&d->stream))
		fail(d, "connection broken");
}

static bool
raw(struct dial *d, const void *data, size_t len)
{
	uint8_t *p = len > 0 ? queue_add(&d->control, d->chunks, (uint32_t)len) : NULL;
	if (p != NULL)
		memcpy(p, data, len);
	return p != NULL;
}

/* ClientInfo: the relay's key is known. */
static bool
introduce(struct dial *d)
{
	uint8_t body[INFO_MAX];
	struct info_client me = {.has_mesh_key = d->self->has_mesh_key, .can_ack_pings = d->self->can_ack_pings};
	if (!info_shared(d->shared, d->relay_key, d->self->secret))
		return false;
	memcpy(me.key, d->self->public_key, 32);
	memcpy(me.mesh_key, d->self->mesh_key, 32);
	const size_t len = info_seal_client(body, &me, d->shared);
	sodium_memzero(me.mesh_key, sizeof(me.mesh_key));
	d->state = DIAL_WAITING;
	uint8_t *p = dial_frame(d, &d->control, FRAME_CLIENT_INFO, (uint32_t)len);
	if (p == NULL)
		return false;
	memcpy(p, body, len);
	d->opened(d);
	return true;
}

/* ---- TLS ---- */

static bool
name_certificate(struct dial *d)
{
	SSL *ssl = d->stream.ssl;
	const struct dial_target *t = &d->target;
	const bool pinned = strncmp(t->certificate, "sha256-raw:", 11) == 0;
	const char *name = t->certificate[0] != '\0' && !pinned ? t->certificate : t->host;
	if (SSL_set_tlsext_host_name(ssl, t->host) != 1)
		return false;
	if (t->insecure)
		return true;
	if (SSL_set1_host(ssl, name) != 1)
		return false;
	SSL_set_verify(ssl, SSL_VERIFY_PEER, pinned ? tls_accept_any : NULL);
	return true;
}

/* A pinned certificate: exactly that one beside the meta certificate, for this name and time. */
static bool
pin_holds(struct dial *d)
{
	const struct dial_target *t = &d->target;
	if (t->insecure || strncmp(t->certificate, "sha256-raw:", 11) != 0)
		return true;
	return tls_pinned(SSL_get_peer_cert_chain(d->stream.ssl), t->certificate + 11, t->host);
}

static bool
upgrade(struct dial *d)
{
	char text[HEAD_ANSWER];
	if (!pin_holds(d))
		return false;
	d->fast = tls_meta_key(d->stream.ssl, d->relay_key);
	d->state = DIAL_UPGRADING;
	return raw(d, text, head_request(text, d->target.host, d->fast, NULL)) && (!d->fast || introduce(d));
}

/* ---- Receiving ---- */

static bool
take_frame(struct dial *d, const struct frame *f)
{
	if (f->type == FRAME_SERVER_KEY) { /* after a fast start: what counts was in the certificate */
		if (d->state != DIAL_UPGRADING || memcmp(f->body, FRAME_MAGIC, 8) != 0)
			return d->state != DIAL_UPGRADING;
		memcpy(d->relay_key, f->body + 8, 32);
		return introduce(d);
	}
	if (d->state == DIAL_UPGRADING)
		return false;
	if (f->type == FRAME_SERVER_INFO && !info_open_server(&d->info, f->body, f->len, d->shared))
		return false;
	if (d->state == DIAL_WAITING) {
		d->state = DIAL_OPEN;
		if (!set_deadline(d, SILENCE_MS / 8, SILENCE_MS / 8))
			return false;
	}
	return d->frame(d, f);
}

static ssize_t
consume(struct dial *d, const uint8_t *data, size_t len)
{
	struct tr_reader r = tr_reader(data, len);
	if (d->state == DIAL_UPGRADING && !d->fast && !d->knows_relay) {
		unsigned code;
		size_t size;
		enum head_status s = head_response(data, len, &code, &size);
		if (s == HEAD_MORE)
			return 0;
		if (s == HEAD_BAD || code != 101)
			return -1;
		tr_take(&r, size);
		d->knows_relay = true;
	}
	for (;;) {
		const size_t skipped = d->skip < tr_left(&r) ? d->skip : tr_left(&r);
		struct frame f;
		tr_take(&r, skipped);
		d->skip -= (uint32_t)skipped;
		if (d->skip > 0)
			return (ssize_t)len;
		enum frame_status s = frame_read(&f, &r, FRAME_CLIENT);
		if (s == FRAME_MORE)
			return r.p - data;
		if (s == FRAME_BAD || (s == FRAME_GOOD && !take_frame(d, &f)))
			return -1;
		if (s == FRAME_SKIP)
			d->skip = f.len;
	}
}

static bool
keep_rest(struct dial *d, const uint8_t *data, size_t len)
{
	d->rest = len > 0 ? malloc(len) : NULL;
	if (d->rest != NULL)
		memcpy(d->rest, data, len);
	d->rest_len = d->rest ? (uint32_t)len : 0;
	return len == d->rest_len;
}

/* Why TLS could not be agreed upon. */
static const char *
tls_failure(struct dial *d)
{
	const long verified = SSL_get_verify_result(d->stream.ssl);
	const unsigned long e = ERR_peek_last_error();
	const char *reason = verified != X509_V_OK ? X509_verify_cert_error_string(verified) : e ? ERR_reason_error_string(e) : NULL;
	snprintf(d->why, sizeof(d->why), "TLS: %s", reason != NULL ? reason : "closed by the relay");
	return d->why;
}

/* NULL: well. Else why the connection ends. */
static const char *
take_all(struct dial *d)
{
	uint8_t *plain = d->wire->plain;
	size_t have = d->rest_len;
	ssize_t n, taken;
	if (have > 0)
		memcpy(plain, d->rest, have);
	free(d->rest);
	d->rest = NULL;
	d->rest_len = 0;
	do {
		n = stream_read(&d->stream, plain + have, WIRE_PLAIN - have);
		if (d->wire->out_len > 0 && !stream_push(&d->stream))
			return "connection broken";
		if (d->state == DIAL_CONNECTING && stream_ready(&d->stream) && !upgrade(d))
			return "the relay's certificate is not the one pinned, or its key is unusable";
		have += n > 0 ? (size_t)n : 0;
		if (n > 0 && WIRE_PLAIN - have > CHUNK_DATA)
			continue;
		taken = have > 0 ? consume(d, plain, have) : 0;
		if (taken < 0)
			return d->state == DIAL_UPGRADING ? "not a relay" : "refused, or a bad frame";
		have -= (size_t)taken;
		memmove(plain, plain + taken, have);
		if (have > WIRE_PLAIN - CHUNK_DATA)
			return "a frame too long";
	} while (n > 0);
	if (n < 0)
		return d->state == DIAL_CONNECTING ? tls_failure(d) : "closed by the relay";
	return keep_rest(d, plain, have) ? NULL : "out of memory";
}

/* NULL: TCP is connected. */
static const char *
connect_failure(struct dial *d)
{
	int error = 0;
	socklen_t size = sizeof(error);
	getsockopt(d->stream.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	if (error == 0)
		return NULL;
	snprintf(d->why, sizeof(d->why), "can't connect: %s", strerror(error));
	return d->why;
}

static void
on_event(void *arg, int events)
{
	struct dial *d = arg;
	const char *why = d->state == DIAL_CONNECTING && !d->reached ? connect_failure(d) : NULL;
	ssize_t n;
	if (why != NULL) {
		fail(d, why);
		return;
	}
	if ((events & TR_WATCH_WRITE) && d->state == DIAL_CONNECTING && !d->reached) {
		d->reached = true; /* connected: TLS begins */
		stream_writing(&d->stream, false);
		d->wire->in_at = d->wire->in_len = 0;
		why = take_all(d);
	} else if ((events & TR_WATCH_WRITE) && !stream_push(&d->stream)) {
		why = "connection broken";
	}
	if (why == NULL && (events & TR_WATCH_READ)) {
		n = stream_fill(&d->stream);
		if (n != 0)
			d->heard = d->host->now(d->instance);
		if (n != 0)
			why = n > 0 ? take_all(d) : !d->reached ? "can't connect" : "closed by the relay";
	}
	if (why != NULL)
		fail(d, why);
	else
		dial_flush(d);
}

/* ---- Connecting ---- */

static int
connect_to(const struct tr_sockaddr *to)
{
	struct sockaddr_storage a = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&a;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&a;
	const int on = 1, timeout = WRITE_TIMEOUT_MS;
	const bool v6 = to->addr.family == 6;
	if (v6) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(to->port);
		memcpy(&in6->sin6_addr, to->addr.ip, 16);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(to->port);
		memcpy(&in->sin_addr, to->addr.ip, 4);
	}
	int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&a, v6 ? sizeof(*in6) : sizeof(*in)) == 0 || errno == EINPROGRESS)
		return fd;
	const int error = errno;
	close(fd);
	errno = error;
	return -1;
}

bool
dial_start(struct dial *d, const struct dial_target *to)
{
	int fd = connect_to(&to->addr);
	if (fd < 0) {
		snprintf(d->why, sizeof(d->why), "can't connect: %s", strerror(errno));
		return false;
	}
	snprintf(d->why, sizeof(d->why), "can't connect: out of memory");
	d->target = *to;
	d->fast = d->knows_relay = d->reached = false;
	d->info = (struct info_server){0};
	d->control = d->packets = (struct queue){0};
	if (!stream_open(&d->stream, d->wire, d->host, d->instance, fd, d->tls, false, on_event, d))
		return false;
	d->state = DIAL_CONNECTING;
	stream_writing(&d->stream, true);
	if (name_certificate(d) && set_deadline(d, to->timeout_ms ? to->timeout_ms : CONNECT_MS, 0))
		return true;
	close_all(d);
	return false;
}
