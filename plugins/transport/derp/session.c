/* SPDX-License-Identifier: BSD-3-Clause */
#include "session.h"

#include "info.h"
#include "relay.h"

#include <sodium.h>
#include <stdlib.h>
#include <unistd.h>

#define HANDSHAKES_PER_TURN 8 /* each costs as much as some hundred packets, which go on meanwhile */

/* ---- Sending ---- */

static void
mark_dirty(struct session *s)
{
	if (s->on_dirty || s->state == SESSION_DEAD)
		return;
	s->on_dirty = true;
	TAILQ_INSERT_TAIL(&s->relay->dirty, s, dirty);
	relay_turn_soon(s->relay);
}

static void
set_stuck(struct session *s, bool stuck)
{
	if (s->on_stuck == stuck)
		return;
	s->on_stuck = stuck;
	if (stuck) {
		s->stuck_at = s->relay->turn_at;
		TAILQ_INSERT_TAIL(&s->relay->stuck, s, stuck);
	} else {
		TAILQ_REMOVE(&s->relay->stuck, s, stuck);
	}
}

static struct queue *
next_queue(struct session *s)
{
	if (s->control.head != NULL)
		return &s->control;
	if (s->disco.head != NULL)
		return &s->disco;
	return s->packets.head != NULL ? &s->packets : NULL;
}

static bool
write_out(struct session *s, const uint8_t *data, size_t len)
{
	return s->websocket ? websocket_write(s->websocket, data, len) : stream_write(&s->stream, data, len);
}

void
session_flush(struct session *s)
{
	struct chunk_pool *pool = &s->relay->chunks;
	struct queue *q;
	if (s->state == SESSION_DEAD || !stream_ready(&s->stream))
		return;
	while (!stream_blocked(&s->stream) && (q = next_queue(s)) != NULL) {
		const struct chunk *c = q->head;
		if (!write_out(s, c->data + c->begin, c->end - c->begin)) {
			session_kill(s);
			return;
		}
		queue_sent(q, pool);
	}
	if (!stream_push(&s->stream)) {
		session_kill(s);
		return;
	}
	set_stuck(s, stream_blocked(&s->stream));
	if (s->closing && !stream_blocked(&s->stream))
		session_kill(s);
}

uint8_t *
session_frame(struct session *s, struct queue *queue, enum frame_type type, uint32_t len)
{
	if (s->state == SESSION_DEAD)
		return NULL;
	if (queue == &s->control && queue->bytes > (s->mesh ? MESH_CONTROL_MAX : CONTROL_MAX)) {
		relay_count(s->relay, CLIENTS_SLOW, 1);
		session_kill(s);
		return NULL;
	}
	uint8_t *p = queue_add(queue, &s->relay->chunks, FRAME_HEADER + len);
	if (p == NULL)
		return NULL;
	mark_dirty(s);
	return frame_header(p, type, len);
}

/* Raw bytes, before there are frames. */
static void
send_raw(struct session *s, const void *data, size_t len)
{
	uint8_t *p = queue_add(&s->control, &s->relay->chunks, (uint32_t)len);
	if (p == NULL) {
		session_kill(s);
		return;
	}
	memcpy(p, data, len);
	mark_dirty(s);
}

void
session_packet(struct session *s, const uint8_t source[32], const uint8_t *packet, uint32_t len)
{
	struct relay *r = s->relay;
	const bool disco = frame_is_disco(packet, len);
	struct queue *q = disco ? &s->disco : &s->packets;
	while (q->bytes > QUEUE_MAX || r->chunks.bytes > POOL_MAX) {
		if (queue_drop(q, &r->chunks) == 0)
			break;
		relay_count(r, DROP_FULL, 1);
	}
	uint8_t *p = r->chunks.bytes > POOL_MAX ? NULL : session_frame(s, q, FRAME_RECV, FRAME_KEY + len);
	if (p == NULL) {
		relay_count(r, DROP_FULL, 1);
		return;
	}
	memcpy(p, source, FRAME_KEY);
	memcpy(p + FRAME_KEY, packet, len);
	relay_count(r, PACKETS_OUT, 1);
	relay_count(r, BYTES_OUT, len);
	relay_count(r, DISCO, disco);
	if (q->bytes > FLUSH_AT && !stream_blocked(&s->stream))
		session_flush(s);
}

void
session_keep_alive(struct session *s)
{
	session_frame(s, &s->control, FRAME_KEEP_ALIVE, 0);
}

/* ---- The handshake ---- */

static void
start_frames(struct session *s)
{
	uint8_t frame[FRAME_HEADER + 8 + FRAME_KEY], *p = frame_header(frame, FRAME_SERVER_KEY, 8 + FRAME_KEY);
	memcpy(p, FRAME_MAGIC, 8);
	memcpy(p + 8, s->relay->identity.public_key, FRAME_KEY);
	send_raw(s, frame, sizeof(frame));
	s->state = SESSION_HELLO;
	s->since = s->relay->turn_at;
	TAILQ_REMOVE(&s->relay->young, s, life); /* younger than all again */
	TAILQ_INSERT_TAIL(&s->relay->young, s, life);
}

static void
answer(struct session *s, const char *text, size_t len, bool keep)
{
	relay_count(s->relay, HTTP_REQUESTS, 1);
	send_raw(s, text, len);
	s->closing = !keep || len == 0;
}

/* One request. Bytes taken; 0: it is not complete; -1: the connection ends. */
static ssize_t
take_head(struct session *s, const uint8_t *data, size_t len)
{
	struct head h;
	char text[HEAD_ANSWER];
	bool refused = false;
	enum head_status status = head_read(&h, data, len);
	if (status == HEAD_MORE)
		return 0;
	if (status == HEAD_BAD) {
		answer(s, text, head_bad_request(text), false);
		return (ssize_t)len;
	}
	if (s->stream.ssl == NULL) { /* port 80 */
		answer(s, text, head_redirect(text, &h), h.keep_alive);
		return (ssize_t)h.size;
	}
	if (h.path != HEAD_DERP || h.upgrade == HEAD_UPGRADE_NONE) {
		answer(s, text, head_answer(text, &h), h.keep_alive);
		return (ssize_t)h.size;
	}
	const bool websocket = h.upgrade == HEAD_UPGRADE_WEBSOCKET && h.protocol_derp;
	s->not_ideal = h.not_ideal;
	if (!h.fast_start || websocket)
		send_raw(s, text, head_upgrade(text, &h, s->relay->identity.public_key, &refused));
	s->closing = refused;
	if (refused)
		return (ssize_t)h.size;
	if (websocket) {
		session_flush(s); /* the last that is no message */
		s->websocket = websocket_new(&s->stream);
		if (s->websocket == NULL)
			return -1;
	}
	start_frames(s);
	return (ssize_t)h.size;
}

void
session_announce(struct session *s, struct session *watcher)
{
	uint8_t *p = session_frame(watcher, &watcher->control, FRAME_PEER_PRESENT, FRAME_KEY + 16 + 2 + 1);
	uint8_t flags = (s->mesh ? FRAME_PRESENT_MESH : 0) | (s->prober ? FRAME_PRESENT_PROBER : 0) |
			(s->not_ideal ? FRAME_PRESENT_NOT_IDEAL : 0);
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	if (p == NULL)
		return;
	memcpy(p, s->member.party->key, FRAME_KEY);
	p += FRAME_KEY;
	if (s->from.addr.family == 4) {
		memcpy(p, mapped, 12);
		memcpy(p + 12, s->from.addr.ip, 4);
	} else {
		memcpy(p, s->from.addr.ip, 16);
	}
	p[16] = (uint8_t)(s->from.port >> 8);
	p[17] = (uint8_t)s->from.port;
	p[18] = flags ? flags : FRAME_PRESENT_REGULAR;
}

/* A client of this key from now on. */
static bool
enter(struct session *s, const struct info_client *info, const uint8_t shared[32])
{
	struct relay *r = s->relay;
	uint8_t sealed[INFO_MAX];
	const struct info_server mine = {0};
	if (!registry_join(&r->registry, &s->member, info->key))
		return false;
	s->state = SESSION_OPEN;
	s->entered = r->turn_at;
	s->prober = info->prober;
	TAILQ_REMOVE(&r->young, s, life);
	s->slot = (uint8_t)((r->turn_at / 1000000000u + 60 + randombytes_uniform(4)) % PULSE_SLOTS);
	s->pulse_at = r->turn_at / 1000000000u;
	TAILQ_INSERT_TAIL(&r->pulse[s->slot], s, life);
	atomic_fetch_add_explicit(&r->n_clients, 1, memory_order_relaxed);
	relay_count(r, CLIENTS, 1);
	const size_t len = info_seal_server(sealed, &mine, shared);
	uint8_t *p = session_frame(s, &s->control, FRAME_SERVER_INFO, (uint32_t)len);
	if (p == NULL)
		return false;
	memcpy(p, sealed, len);
	struct session *w;
	TAILQ_FOREACH(w, &r->watchers, watchers)
		session_announce(s, w);
	return true;
}

static bool
take_hello(struct session *s, const struct frame *f)
{
	struct relay *r = s->relay;
	struct info_client info = {0};
	uint8_t shared[32];
	bool good = false;
	if (!info_shared(shared, INFO_CLIENT_KEY(f->body), r->self.secret) || !info_open_client(&info, f->body, f->len, shared)) {
		relay_count(r, CLIENTS_BAD, 1);
	} else {
		s->mesh = info.has_mesh_key && r->self.has_mesh_key && sodium_memcmp(info.mesh_key, r->self.mesh_key, 32) == 0;
		if (!s->mesh && !relay_admits(r, info.key))
			relay_count(r, CLIENTS_REFUSED, 1);
		else
			good = enter(s, &info, shared);
	}
	sodium_memzero(shared, sizeof(shared));
	sodium_memzero(info.mesh_key, sizeof(info.mesh_key));
	return good;
}

/* ---- Receiving ---- */

/* Frames, and heads before them. Bytes taken, or -1: the connection ends. */
static ssize_t
consume(struct session *s, const uint8_t *data, size_t len)
{
	struct tr_reader r = tr_reader(data, len);
	while (s->state == SESSION_HTTP && tr_left(&r) > 0 && !s->closing) {
		const ssize_t n = take_head(s, r.p, tr_left(&r));
		if (n < 0)
			return -1;
		if (n == 0)
			return r.p - data;
		tr_take(&r, (size_t)n);
	}
	while (s->state != SESSION_DEAD && !s->closing) {
		const size_t skipped = s->skip < tr_left(&r) ? s->skip : tr_left(&r);
		struct frame f;
		tr_take(&r, skipped);
		s->skip -= (uint32_t)skipped;
		if (s->skip > 0)
			break;
		enum frame_status status = frame_read(&f, &r, s->state == SESSION_HELLO ? FRAME_HELLO : FRAME_SERVER);
		if (status == FRAME_MORE)
			return r.p - data;
		if (status == FRAME_BAD) {
			relay_count(s->relay, CLIENTS_BAD, 1);
			return -1;
		}
		if (status == FRAME_SKIP)
			s->skip = f.len;
		if (s->state == SESSION_OPEN)
			session_spoke(s);
		if (status == FRAME_SKIP)
			relay_count(s->relay, UNKNOWN_FRAMES, 1);
		else if (s->state == SESSION_HELLO ? !take_hello(s, &f) : !session_act(s, &f))
			return -1;
	}
	return (ssize_t)len; /* whatever comes after the end is nobody's */
}

static bool
keep_rest(struct session *s, const uint8_t *data, size_t len)
{
	if (len == 0)
		return true;
	s->rest = malloc(len);
	if (s->rest == NULL)
		return false;
	memcpy(s->rest, data, len);
	s->rest_len = (uint32_t)len;
	return true;
}

static void
spend(struct session *s, size_t bytes)
{
	struct relay *r = s->relay;
	if (r->now.rate == 0 || s->mesh || s->state != SESSION_OPEN)
		return;
	const int64_t burst = FRAME_PACKET_MAX + FRAME_KEY > r->now.rate ? FRAME_PACKET_MAX + FRAME_KEY : (int64_t)r->now.rate;
	s->tokens += (int64_t)((double)(r->turn_at - s->tokens_at) * 1e-9 * (double)r->now.rate);
	s->tokens_at = r->turn_at;
	if (s->tokens > burst)
		s->tokens = burst;
	s->tokens -= (int64_t)bytes;
	if (s->tokens >= 0 || s->on_throttled)
		return;
	s->on_throttled = true;
	stream_reading(&s->stream, false);
	TAILQ_INSERT_TAIL(&r->throttled, s, throttled);
	relay_throttle(r);
	relay_count(r, THROTTLED, 1);
}

void
session_resume(struct session *s)
{
	spend(s, 0);
	if (s->tokens < 0 && s->relay->now.rate != 0)
		return;
	TAILQ_REMOVE(&s->relay->throttled, s, throttled);
	s->on_throttled = false;
	stream_reading(&s->stream, true);
}

/* Everything that the last look at the socket brought. False: the connection ends. */
static bool
take_all(struct session *s)
{
	struct relay *r = s->relay;
	size_t have = s->rest_len, total = 0;
	ssize_t n, taken;
	memcpy(r->wire.plain, s->rest ? s->rest : r->wire.plain, have);
	free(s->rest);
	s->rest = NULL;
	s->rest_len = 0;
	do {
		uint8_t *to = r->wire.plain + have;
		const size_t room = WIRE_PLAIN - have;
		n = s->websocket ? websocket_read(s->websocket, to, room) : stream_read(&s->stream, to, room);
		if (r->wire.out_len > 0 && !stream_push(&s->stream))
			return false;
		have += n > 0 ? (size_t)n : 0;
		total += n > 0 ? (size_t)n : 0;
		if (n > 0 && WIRE_PLAIN - have > CHUNK_DATA)
			continue;
		taken = consume(s, r->wire.plain, have);
		if (taken < 0 || s->state == SESSION_DEAD)
			return false;
		have -= (size_t)taken;
		memmove(r->wire.plain, r->wire.plain + taken, have);
	} while (n > 0);
	spend(s, total);
	return n == 0 && keep_rest(s, r->wire.plain, have);
}

static void
on_event(void *arg, int events)
{
	struct session *s = arg;
	struct relay *r = s->relay;
	if (s->state == SESSION_DEAD)
		return;
	if (!r->turn_posted)
		r->turn_at = r->host->now(r->instance);
	if ((events & TR_WATCH_WRITE) && stream_blocked(&s->stream)) {
		if (!stream_push(&s->stream)) {
			session_kill(s);
			return;
		}
		s->stuck_at = r->turn_at;
		if (!stream_blocked(&s->stream))
			mark_dirty(s);
	}
	if (!(events & TR_WATCH_READ) || s->on_throttled)
		return;
	const bool young = !stream_ready(&s->stream);
	if (young && r->handshakes >= HANDSHAKES_PER_TURN)
		return; /* the next turn finds it again */
	const ssize_t n = stream_fill(&s->stream);
	if (n > 0 && young) {
		r->handshakes++;
		relay_turn_soon(r);
	}
	if (n < 0 || (n > 0 && !take_all(s))) {
		if (!stream_ready(&s->stream))
			relay_count(r, TLS_FAILED, 1);
		session_kill(s);
	}
}

/* ---- Life ---- */

struct session *
session_new(struct relay *r, int fd, SSL_CTX *tls, const struct tr_sockaddr *from, struct source *source)
{
	struct session *s = calloc(1, sizeof(*s));
	if (s == NULL || !stream_open(&s->stream, &r->wire, r->host, r->instance, fd, tls, true, on_event, s)) {
		if (s == NULL)
			close(fd);
		free(s);
		sources_leave(&r->sources, source, r->turn_at);
		return NULL;
	}
	s->relay = r;
	s->from = *from;
	s->source = source;
	s->since = r->turn_at;
	s->tokens = FRAME_PACKET_MAX;
	s->tokens_at = r->turn_at;
	TAILQ_INSERT_TAIL(&r->young, s, life);
	atomic_fetch_add_explicit(&r->n_sessions, 1, memory_order_relaxed);
	return s;
}

void
session_kill(struct session *s)
{
	struct relay *r = s->relay;
	if (s->state == SESSION_DEAD)
		return;
	if (s->state == SESSION_OPEN)
		TAILQ_REMOVE(&r->pulse[s->slot], s, life);
	else
		TAILQ_REMOVE(&r->young, s, life);
	s->state = SESSION_DEAD;
	if (s->on_watchers)
		TAILQ_REMOVE(&r->watchers, s, watchers);
	if (s->on_dirty)
		TAILQ_REMOVE(&r->dirty, s, dirty);
	if (s->on_stuck)
		TAILQ_REMOVE(&r->stuck, s, stuck);
	if (s->on_throttled)
		TAILQ_REMOVE(&r->throttled, s, throttled);
	s->on_watchers = s->on_dirty = s->on_stuck = s->on_throttled = false;
	stream_reading(&s->stream, false);
	TAILQ_INSERT_TAIL(&r->dying, s, life);
	relay_turn_soon(r);
}

void
session_free(struct session *s)
{
	struct relay *r = s->relay;
	if (s->member.party != NULL) {
		session_left(s);
		atomic_fetch_sub_explicit(&r->n_clients, 1, memory_order_relaxed);
		relay_count(r, CLIENTS_GONE, 1);
	}
	sources_leave(&r->sources, s->source, r->turn_at);
	websocket_free(s->websocket);
	queue_clear(&s->control, &r->chunks);
	queue_clear(&s->disco, &r->chunks);
	queue_clear(&s->packets, &r->chunks);
	stream_close(&s->stream);
	free(s->rest);
	free(s);
	atomic_fetch_sub_explicit(&r->n_sessions, 1, memory_order_relaxed);
}
