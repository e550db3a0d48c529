/* SPDX-License-Identifier: BSD-3-Clause */
/* The relay's service loop: listeners, turns, and what happens once a second. */
#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define ACCEPTS_PER_EVENT 32
#define HTTP_PATIENCE (30 * SECOND) /* TLS and a request */
#define HELLO_PATIENCE (10 * SECOND)
#define MESH_PATIENCE (30 * SECOND)
#define TCP_TIMEOUT_MS 15000 /* unanswered: what finds the dead, since keepalives ask for an answer */
#define UNSENT_MAX (256 << 10) /* in the kernel: beyond it packets wait here, where they can be dropped */
#define META_RENEWAL (TLS_META_DAYS / 2 * 86400ull * SECOND)
#define THROTTLE_MS 10
#define RESTART_MS_EACH 1 /* a thousand clients a second can be taken */
#define RESTART_TRY_MS 60000
#define PAUSE_MS 100 /* without descriptors, not even a spare one */

void
relay_count(struct relay *r, enum relay_count what, uint64_t n)
{
	r->node->count[what] += n;
}

/* ---- Turns ---- */

static void
bury_dying(struct relay *r)
{
	for (struct session *s; (s = TAILQ_FIRST(&r->dying)) != NULL;) {
		TAILQ_REMOVE(&r->dying, s, life);
		session_free(s);
	}
}

static void
turn(void *self, void *unused)
{
	struct relay *r = self;
	(void)unused;
	r->turn_posted = false;
	r->handshakes = 0;
	if (r->node == NULL)
		return;
	for (struct session *s; (s = TAILQ_FIRST(&r->dirty)) != NULL;) {
		TAILQ_REMOVE(&r->dirty, s, dirty);
		s->on_dirty = false;
		session_flush(s);
	}
	mesh_flush(r);
	bury_dying(r);
	r->turn_at = r->host->now(r->instance);
}

void
relay_turn_soon(struct relay *r)
{
	/* A full inbox: the next event tries again. */
	if (!r->turn_posted)
		r->turn_posted = r->host->post(r->instance, TR_THREAD_SERVICE, turn, NULL) == 0;
}

/* ---- Admission ---- */

static void
take_settings(struct relay *r)
{
	pthread_mutex_lock(&r->lock);
	r->now = r->settings;
	pthread_mutex_unlock(&r->lock);
}

bool
relay_admits(struct relay *r, const uint8_t key[32])
{
	static const uint8_t zero[32];
	if (memcmp(key, zero, 32) == 0)
		return false;
	if (r->now.clients == CLIENTS_ANY)
		return true;
	for (uint32_t i = 0; i < r->now.n_allow; i++)
		if (memcmp(key, r->now.allow[i].b, 32) == 0)
			return true;
	return false;
}

/* ---- Accepting ---- */

static struct tr_sockaddr
from_kernel(const struct sockaddr_storage *a)
{
	struct tr_sockaddr out = {0};
	const struct sockaddr_in *in = (const struct sockaddr_in *)a;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)a;
	if (a->ss_family == AF_INET) {
		out.addr.family = 4;
		memcpy(out.addr.ip, &in->sin_addr, 4);
		out.port = ntohs(in->sin_port);
	} else if (a->ss_family == AF_INET6) {
		const bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
		out.addr.family = mapped ? 4 : 6;
		memcpy(out.addr.ip, (const uint8_t *)&in6->sin6_addr + (mapped ? 12 : 0), mapped ? 4 : 16);
		out.port = ntohs(in6->sin6_port);
	}
	return out;
}

static void
listen_to_all(struct relay *r, int events)
{
	for (unsigned i = 0; i < r->n_listeners; i++)
		if (r->listener[i].watch != NULL)
			r->host->watch_events(r->listener[i].watch, events);
}

static void
end_pause(void *arg)
{
	struct relay *r = arg;
	r->host->watch_close(r->pause);
	r->pause = NULL;
	listen_to_all(r, TR_WATCH_READ);
}

/* A listener that can't be emptied is ready for ever: it is not looked at for a while. */
static void
pause_listening(struct relay *r)
{
	if (r->pause == NULL && (r->pause = r->host->watch_timer(r->instance, PAUSE_MS, 0, end_pause, r)) != NULL)
		listen_to_all(r, 0);
}

/* No descriptors: the waiting connection is taken with the spare one and closed. */
static void
refuse(struct relay *r, int listener)
{
	if (r->spare_fd >= 0)
		close(r->spare_fd);
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd >= 0)
		close(fd);
	else if (errno != EAGAIN)
		pause_listening(r); /* another thread has got the spare one */
	r->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	relay_count(r, NO_DESCRIPTORS, 1);
	if (r->turn_at - atomic_load_explicit(&r->refused_at, memory_order_relaxed) > 60 * SECOND)
		r->host->log(r->instance, TR_LOG_WARNING, "no descriptors are left: connections are refused");
	atomic_store_explicit(&r->refused_at, r->turn_at, memory_order_relaxed);
}

/* Before TLS, by a reset, so that it leaves nothing here: a flood costs no more than the kernel's part of it. */
static bool
crowded(struct relay *r, int fd, const struct tr_addr *from, struct source **source)
{
	static const struct linger reset = {.l_onoff = 1};
	const enum source_verdict v = sources_enter(&r->sources, from, r->now.per_address, r->now.per_address_second, r->turn_at, source);
	if (v == SOURCE_GOOD)
		return false;
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	relay_count(r, v == SOURCE_MANY ? ADDRESS_FULL : ADDRESS_FAST, 1);
	pthread_mutex_lock(&r->lock);
	r->crowd = *from;
	r->crowd_at = r->turn_at;
	pthread_mutex_unlock(&r->lock);
	return true;
}

/* Connections inherit it all from their listener. */
static void
set_up_socket(int fd)
{
	const int on = 1, timeout = TCP_TIMEOUT_MS, unsent = UNSENT_MAX, idle = 600;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
}

static void
on_listener(void *arg, int events)
{
	struct listener *l = arg;
	struct relay *r = l->relay;
	(void)events;
	r->turn_at = r->host->now(r->instance);
	for (unsigned i = 0; i < ACCEPTS_PER_EVENT; i++) {
		struct sockaddr_storage a;
		socklen_t len = sizeof(a);
		int fd = accept4(l->fd, (struct sockaddr *)&a, &len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0 && errno == ECONNABORTED)
			continue;
		if (fd < 0 && (errno == EMFILE || errno == ENFILE))
			refuse(r, l->fd);
		else if (fd < 0 && (errno == ENOMEM || errno == ENOBUFS))
			pause_listening(r);
		if (fd < 0)
			return;
		const struct tr_sockaddr from = from_kernel(&a);
		struct source *source;
		if (crowded(r, fd, &from.addr, &source))
			continue;
		if (session_new(r, fd, l->plain ? NULL : r->tls, &from, source) != NULL)
			relay_count(r, CONNECTIONS, 1);
	}
}

/* ---- The certificate ---- */

static uint64_t
files_state(const struct tls_identity *id)
{
	struct stat a = {0}, b = {0};
	if (id->certificate == NULL || stat(id->certificate, &a) != 0 || stat(id->key, &b) != 0)
		return 0;
	return (uint64_t)a.st_mtim.tv_sec * SECOND + (uint64_t)a.st_mtim.tv_nsec + (uint64_t)a.st_ino +
	       ((uint64_t)b.st_mtim.tv_sec * SECOND + (uint64_t)b.st_mtim.tv_nsec + (uint64_t)b.st_ino) * 3;
}

bool
relay_make_tls(struct relay *r, char *why, size_t size)
{
	char pin[65];
	int64_t not_after;
	r->files_seen = files_state(&r->identity);
	SSL_CTX *fresh = tls_server(&r->identity, why, size);
	if (fresh == NULL)
		return false;
	tls_describe(fresh, pin, &not_after);
	SSL_CTX_free(r->tls); /* connections keep their own reference */
	r->tls = fresh;
	r->tls_made = r->host->now(r->instance);
	pthread_mutex_lock(&r->lock);
	memcpy(r->pin, pin, sizeof(r->pin));
	r->not_after = not_after;
	r->bad_files[0] = '\0';
	pthread_mutex_unlock(&r->lock);
	return true;
}

/* New files, or the meta certificate's age: new connections get what is there now; a bad pair changes nothing. */
static void
renew_tls(struct relay *r)
{
	char why[256];
	const bool changed = files_state(&r->identity) != r->files_seen;
	const bool old = r->identity.certificate != NULL && r->turn_at - r->tls_made > META_RENEWAL;
	if (!changed && !old)
		return;
	if (relay_make_tls(r, why, sizeof(why))) {
		relay_count(r, CERTIFICATES, 1);
		r->host->log(r->instance, TR_LOG_INFO, "certificate loaded anew");
	} else {
		relay_count(r, CERTIFICATES_BAD, 1);
		r->host->log(r->instance, TR_LOG_WARNING, "the old certificate stays: %s", why);
		pthread_mutex_lock(&r->lock);
		snprintf(r->bad_files, sizeof(r->bad_files), "%s", why);
		pthread_mutex_unlock(&r->lock);
	}
}

/* ---- Once a second ---- */

static void
give_up_young(struct relay *r)
{
	struct session *s, *next;
	for (s = TAILQ_FIRST(&r->young); s != NULL; s = next) {
		next = TAILQ_NEXT(s, life);
		const uint64_t age = r->turn_at - s->since;
		if (age < HELLO_PATIENCE)
			return;
		if (age < HTTP_PATIENCE && s->state == SESSION_HTTP)
			continue;
		relay_count(r, CLIENTS_TIMED_OUT, 1);
		session_kill(s);
	}
}

static void
give_up_stuck(struct relay *r)
{
	struct session *s, *next;
	if (r->now.write_timeout_ms == 0)
		return;
	for (s = TAILQ_FIRST(&r->stuck); s != NULL; s = next) {
		next = TAILQ_NEXT(s, stuck);
		const uint64_t patience = s->mesh ? MESH_PATIENCE : r->now.write_timeout_ms * 1000000;
		if (r->turn_at - s->stuck_at < patience)
			continue;
		relay_count(r, CLIENTS_SLOW, 1);
		session_kill(s);
	}
}

static void
each_second(void *arg)
{
	struct relay *r = arg;
	struct session *s, *next;
	r->turn_at = r->host->now(r->instance);
	take_settings(r);
	renew_tls(r);
	give_up_young(r);
	give_up_stuck(r);
	sources_second(&r->sources, r->turn_at);
	for (s = TAILQ_FIRST(&r->pulse[r->turn_at / SECOND % PULSE_SLOTS]); s != NULL; s = next) {
		next = TAILQ_NEXT(s, life);
		if (r->turn_at / SECOND != s->pulse_at)
			session_keep_alive(s);
		s->pulse_at = r->turn_at / SECOND;
	}
	relay_turn_soon(r);
}

static void
resume_throttled(void *arg)
{
	struct relay *r = arg;
	struct session *s, *next;
	r->turn_at = r->host->now(r->instance);
	for (s = TAILQ_FIRST(&r->throttled); s != NULL; s = next) {
		next = TAILQ_NEXT(s, throttled);
		session_resume(s);
	}
	if (!TAILQ_EMPTY(&r->throttled) || r->throttle == NULL)
		return;
	r->host->watch_close(r->throttle);
	r->throttle = NULL;
}

void
relay_throttle(struct relay *r)
{
	if (r->throttle == NULL)
		r->throttle = r->host->watch_timer(r->instance, THROTTLE_MS, THROTTLE_MS, resume_throttled, r);
}

/* ---- Life on the loop ---- */

void
relay_open(struct relay *r, struct tr_node *node)
{
	r->node = node;
	r->turn_at = r->host->now(r->instance);
	take_settings(r);
	r->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r->second = r->host->watch_timer(r->instance, 1000, 1000, each_second, r);
	for (unsigned i = 0; i < r->n_listeners; i++) {
		struct listener *l = &r->listener[i];
		set_up_socket(l->fd);
		if (listen(l->fd, 4096) == 0)
			l->watch = r->host->watch_fd(r->instance, l->fd, TR_WATCH_READ, on_listener, l);
		if (l->watch == NULL)
			r->host->log(r->instance, TR_LOG_ERROR, "listen: %s", strerror(errno));
	}
	mesh_open(r);
}

static void
close_watch(struct relay *r, struct tr_watch **w)
{
	if (*w != NULL)
		r->host->watch_close(*w);
	*w = NULL;
}

/* We go, perhaps to come again at once: clients may, too, but not all in the same moment. */
static void
tell_restart(struct relay *r)
{
	const uint32_t when[2] = {htonl(HASH_COUNT(r->registry.parties) * RESTART_MS_EACH), htonl(RESTART_TRY_MS)};
	for (unsigned i = 0; i < PULSE_SLOTS; i++) {
		struct session *s, *next;
		for (s = TAILQ_FIRST(&r->pulse[i]); s != NULL; s = next) {
			next = TAILQ_NEXT(s, life);
			uint8_t *p = session_frame(s, &s->control, FRAME_RESTARTING, 8);
			if (p == NULL)
				continue;
			memcpy(p, when, sizeof(when));
			session_flush(s);
		}
	}
}

static void
kill_all(struct relay *r)
{
	for (struct session *s; (s = TAILQ_FIRST(&r->young)) != NULL;)
		session_kill(s);
	for (unsigned i = 0; i < PULSE_SLOTS; i++)
		for (struct session *s; (s = TAILQ_FIRST(&r->pulse[i])) != NULL;)
			session_kill(s);
	bury_dying(r);
}

void
relay_close(struct relay *r)
{
	if (r->node == NULL)
		return;
	for (unsigned i = 0; i < r->n_listeners; i++) {
		close_watch(r, &r->listener[i].watch);
		close(r->listener[i].fd);
		r->listener[i].fd = -1;
	}
	close_watch(r, &r->second);
	close_watch(r, &r->pause);
	close_watch(r, &r->throttle);
	mesh_close(r);
	tell_restart(r);
	kill_all(r);
	if (r->spare_fd >= 0)
		close(r->spare_fd);
	r->node = NULL;
}
