/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The socket that the `wg` tool speaks to: NAME.sock, requests of lines, on the control loop. Nothing blocks: requests are
 * handled as their lines come, answers are made as the client takes them. The listening socket outlives the object that
 * made it, so that a reload leaves no moment without one.
 */
#include "uapi_set.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define MAX_CLIENTS 8         /* more wait in the backlog */
#define PATIENCE (5 * SECOND) /* of no progress, then a client is cut off */
#define CHUNK 65536           /* bytes of an answer made ahead of the client */
#define CHUNK_PEERS 4096      /* ids looked at in one turn of the loop */

enum mode { MODE_IDLE, MODE_GET_HEAD, MODE_GET, MODE_SET };

struct client {
	LIST_ENTRY(client) link;
	struct uapi *uapi;
	struct tr_watch *watch;
	int fd;
	enum mode mode;
	uint64_t heard; /* ns of the last progress */
	char line[UAPI_LINE_MAX];
	uint32_t line_n;
	bool line_long;
	struct uapi_set *set;
	uint32_t next_peer; /* get: id to be written next */
	char *out;
	size_t out_n, out_at, out_size;
};

struct uapi {
	struct wg *wg;
	int fd; /* a descriptor of our own for the shared listening socket */
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	ino_t inode; /* of the socket file; given to no other file while we listen */
	struct tr_watch *listen_watch, *timer;
	LIST_HEAD(, client) clients;
	unsigned n_clients;
};

static void
client_free(struct client *c)
{
	struct uapi *u = c->uapi;
	const struct tr_host *host = u->wg->host;
	LIST_REMOVE(c, link);
	host->watch_close(c->watch);
	close(c->fd);
	uapi_set_abort(c->set);
	if (c->out)
		explicit_bzero(c->out, c->out_size);
	free(c->out);
	explicit_bzero(c, sizeof(*c));
	free(c);
	if (u->n_clients-- == MAX_CLIENTS && u->listen_watch)
		host->watch_events(u->listen_watch, TR_WATCH_READ);
}

/* ---- Answers ---- */

static bool
reserve(struct client *c, size_t n)
{
	if (c->out_at && c->out_at == c->out_n)
		c->out_at = c->out_n = 0;
	if (c->out_size - c->out_n >= n)
		return true;
	size_t size = (c->out_n + n) * 2;
	char *grown = malloc(size);
	if (!grown)
		return false;
	if (c->out) { /* not realloc(): it would leave keys behind */
		memcpy(grown, c->out, c->out_n);
		explicit_bzero(c->out, c->out_size);
		free(c->out);
	}
	c->out = grown;
	c->out_size = size;
	return true;
}

static void __attribute__((format(printf, 2, 3)))
say(struct client *c, const char *format, ...)
{
	va_list args;
	if (!reserve(c, 512))
		return;
	va_start(args, format);
	int n = vsnprintf(c->out + c->out_n, 512, format, args);
	va_end(args);
	c->out_n += (size_t)n;
}

static void
say_key(struct client *c, const char *name, const uint8_t key[32])
{
	char hex[65];
	for (unsigned i = 0; i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	say(c, "%s=%s\n", name, hex);
	explicit_bzero(hex, sizeof(hex));
}

static void
say_address(char text[INET6_ADDRSTRLEN], uint8_t family, const uint8_t *ip)
{
	inet_ntop(family == 4 ? AF_INET : AF_INET6, ip, text, INET6_ADDRSTRLEN);
}

static void
say_device(struct client *c)
{
	const struct wg *wg = c->uapi->wg;
	if (wg->identity)
		say_key(c, "private_key", wg->identity->noise.private_key.b);
	say(c, "listen_port=%u\n", wg->listen);
	if (wg->fwmark)
		say(c, "fwmark=%u\n", wg->fwmark);
}

static void
say_peer(struct client *c, const struct tr_peer *p)
{
	const struct wg *wg = c->uapi->wg;
	const struct traffic *t = &hot_of(wg, p->id)->t;
	struct tr_endpoint to;
	char ip[INET6_ADDRSTRLEN];
	uint64_t session;

	wg->host->path_show(wg->instance, p->id, &to, &session);
	say_key(c, "public_key", p->public_key);
	say_key(c, "preshared_key", p->preshared_key);
	say(c, "protocol_version=1\n");
	if (to.family && !to.gate) {
		say_address(ip, to.family, to.remote);
		say(c, to.family == 4 ? "endpoint=%s:%u\n" : "endpoint=[%s]:%u\n", ip, to.remote_port);
	}
	say(c, "last_handshake_time_sec=%llu\nlast_handshake_time_nsec=%llu\n", (unsigned long long)(session / SECOND),
		(unsigned long long)(session % SECOND));
	say(c, "tx_bytes=%llu\nrx_bytes=%llu\npersistent_keepalive_interval=%u\n",
		(unsigned long long)__atomic_load_n(&t->tx_bytes, __ATOMIC_RELAXED),
		(unsigned long long)__atomic_load_n(&t->rx_bytes, __ATOMIC_RELAXED), p->keepalive);
	for (uint32_t i = 0; i < p->n_allowed; i++) {
		say_address(ip, p->allowed[i].addr.family, p->allowed[i].addr.ip);
		say(c, "allowed_ip=%s/%u\n", ip, p->allowed[i].len);
	}
}

/* Makes more of an answer; the answer as a whole is no snapshot. */
static void
fill(struct client *c)
{
	const struct wg *wg = c->uapi->wg;
	uint32_t end = c->next_peer + CHUNK_PEERS;

	for (; c->next_peer < wg->peers->count && c->next_peer < end && c->out_n - c->out_at < CHUNK; c->next_peer++) {
		const struct tr_peer *p = wg->host->peer(wg->instance, c->next_peer);
		if (p)
			say_peer(c, p);
	}
	if (c->next_peer < wg->peers->count)
		return;
	say(c, "errno=0\n\n");
	c->mode = MODE_IDLE;
}

/* False: the client is gone. */
static bool
flush(struct client *c)
{
	const struct wg *wg = c->uapi->wg;
	for (;;) {
		if (c->mode == MODE_GET && c->out_n == c->out_at)
			fill(c);
		if (c->out_n == c->out_at)
			break;
		ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) {
			client_free(c);
			return false;
		}
		c->out_at += (size_t)n;
		c->heard = wg->host->now(wg->instance);
	}
	bool waiting = c->out_n > c->out_at || c->mode == MODE_GET;
	wg->host->watch_events(c->watch, waiting ? TR_WATCH_WRITE : TR_WATCH_READ);
	return true;
}

/* ---- Requests ---- */

/* The first line of a request. False: it is none. */
static bool
begin(struct client *c, const char *line, size_t len)
{
	if (!len)
		return true;
	if (len == 5 && memcmp(line, "get=1", 5) == 0) {
		c->mode = MODE_GET_HEAD;
		return true;
	}
	if (len == 5 && memcmp(line, "set=1", 5) == 0) {
		c->mode = MODE_SET;
		c->set = uapi_set_new(c->uapi->wg);
		return c->set != NULL;
	}
	return false;
}

static bool
take_line(struct client *c, const char *line, size_t len)
{
	switch (c->mode) {
	case MODE_GET_HEAD:
		if (len)
			return false;
		c->mode = MODE_GET;
		c->next_peer = 1;
		say_device(c);
		return true;
	case MODE_SET:
		if (len) {
			uapi_set_line(c->set, line, len);
			return true;
		}
		say(c, "errno=%d\n\n", uapi_set_finish(c->set)); /* negative: what `wg` expects of a set */
		c->set = NULL;
		c->mode = MODE_IDLE;
		return true;
	default:
		return begin(c, line, len);
	}
}

/* Splits what came into lines. A line that is too long is cut, which no key survives. */
static bool
take_bytes(struct client *c, const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] != '\n') {
			if (c->line_n < sizeof(c->line))
				c->line[c->line_n++] = p[i];
			else
				c->line_long = true;
			continue;
		}
		bool ok = take_line(c, c->line, c->line_long ? 1 : c->line_n);
		c->line_n = 0;
		c->line_long = false;
		if (!ok)
			return false;
	}
	return true;
}

static void
client_event(void *arg, int events)
{
	struct client *c = arg;
	const struct wg *wg = c->uapi->wg;
	char buffer[8192];

	if (events & TR_WATCH_READ) {
		ssize_t n = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			c->heard = wg->host->now(wg->instance);
		bool ok = n > 0 && take_bytes(c, buffer, (size_t)n);
		explicit_bzero(buffer, sizeof(buffer));
		if (!ok) {
			client_free(c);
			return;
		}
	}
	flush(c);
}

/* ---- Clients and the socket ---- */

static void
add_client(struct uapi *u, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	if (c) {
		c->uapi = u;
		c->fd = fd;
		c->heard = u->wg->host->now(u->wg->instance);
		c->watch = u->wg->host->watch_fd(u->wg->instance, fd, TR_WATCH_READ, client_event, c);
	}
	if (!c || !c->watch) {
		free(c);
		close(fd);
		return;
	}
	LIST_INSERT_HEAD(&u->clients, c, link);
	if (++u->n_clients == MAX_CLIENTS)
		u->wg->host->watch_events(u->listen_watch, 0);
}

static void
accept_clients(void *arg, int events)
{
	struct uapi *u = arg;
	while (u->n_clients < MAX_CLIENTS) {
		int fd = accept4(u->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0)
			return; /* none, or the other generation was faster */
		add_client(u, fd);
	}
}

static void
stop_listening(struct uapi *u)
{
	if (u->listen_watch)
		u->wg->host->watch_close(u->listen_watch);
	u->listen_watch = NULL;
	if (u->fd >= 0)
		close(u->fd);
	u->fd = -1;
}

/* Our descriptor for the shared socket, which is made if there is none. 0 or -errno. */
static int
start_listening(struct uapi *u)
{
	struct wg *wg = u->wg;
	char name[TR_INSTANCE_NAME_MAX + 8];
	struct sockaddr_un a = {0};
	socklen_t len = sizeof(a);

	if (!wg->shared->uapi_fd) {
		snprintf(name, sizeof(name), "%s.sock", tr_instance_name(wg->instance));
		int fd = wg->host->listen_unix(wg->instance, name);
		if (fd < 0)
			return fd;
		wg->shared->uapi_fd = fd + 1;
	}
	u->fd = fcntl(wg->shared->uapi_fd - 1, F_DUPFD_CLOEXEC, 3);
	if (u->fd < 0 || getsockname(u->fd, (struct sockaddr *)&a, &len) != 0)
		return -errno;
	memcpy(u->path, a.sun_path, sizeof(u->path));
	struct stat st;
	u->inode = lstat(u->path, &st) == 0 ? st.st_ino : 0;
	u->listen_watch = wg->host->watch_fd(wg->instance, u->fd, TR_WATCH_READ, accept_clients, u);
	return u->listen_watch ? 0 : -ENOMEM;
}

static void
close_shared(struct wg *wg)
{
	if (wg->shared->uapi_fd)
		close(wg->shared->uapi_fd - 1);
	wg->shared->uapi_fd = 0;
}

/* Is the file at our path no longer our socket? */
static bool
socket_gone(const struct uapi *u)
{
	struct stat st;
	return lstat(u->path, &st) != 0 || st.st_ino != u->inode;
}

/* Once a second: slow clients are cut off, a deleted socket file is made again. */
static void
tick(void *arg)
{
	struct uapi *u = arg;
	struct wg *wg = u->wg;
	uint64_t now = wg->host->now(wg->instance);
	struct client *next;

	for (struct client *c = LIST_FIRST(&u->clients); c; c = next) {
		next = LIST_NEXT(c, link);
		if (now - c->heard > PATIENCE)
			client_free(c);
	}
	if (u->fd >= 0 && !socket_gone(u))
		return;
	stop_listening(u);
	close_shared(wg);
	int r = start_listening(u);
	if (r == 0)
		wg->host->log(wg->instance, TR_LOG_INFO, "%s was deleted, and is there again", u->path);
	else
		stop_listening(u);
}

struct uapi *
uapi_new(struct wg *wg)
{
	struct uapi *u = calloc(1, sizeof(*u));
	if (!u) {
		wg->host->fail(wg->instance, "out of memory");
		return NULL;
	}
	u->wg = wg;
	u->fd = -1;
	LIST_INIT(&u->clients);
	int r = start_listening(u);
	if (!r) {
		u->timer = wg->host->watch_timer(wg->instance, 1000, 1000, tick, u);
		r = u->timer ? 0 : -ENOMEM;
	}
	if (!r)
		return u;
	wg->host->fail(wg->instance, "the socket for `wg`, %s.sock: %s", tr_instance_name(wg->instance),
		r == -EADDRINUSE ? "another program answers on it" : strerror(-r));
	uapi_free(u);
	return NULL;
}

void
uapi_free(struct uapi *u)
{
	if (!u)
		return;
	struct wg *wg = u->wg;
	while (!LIST_EMPTY(&u->clients))
		client_free(LIST_FIRST(&u->clients));
	if (u->timer)
		wg->host->watch_close(u->timer);
	stop_listening(u);
	if (wg->shared->users == 1) {
		if (u->path[0] && !socket_gone(u))
			unlink(u->path);
		close_shared(wg);
	}
	free(u);
}
