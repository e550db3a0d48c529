/* SPDX-License-Identifier: BSD-3-Clause */
#include "management.h"

#include "../runtime/clock.h"
#include "../runtime/log.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define COMMANDS 64

struct client {
	struct client *next;
	struct management *m;
	int fd;
	struct loop_watch *watch;
	uint32_t uid;
	char *in; /* MANAGEMENT_LINE bytes */
	size_t in_len;
	char *out; /* not sent yet: out + out_sent … out + out_len */
	size_t out_len, out_sent;
	uint64_t moved;          /* ms: when its answer last got on */
	uint64_t heard;          /* ms: when it last said anything */
	struct request *request; /* being answered: the next one waits */
	bool ended;              /* sends no more */
};

struct management {
	struct loop *loop;
	int fd;
	struct loop_watch *watch, *tick;
	struct sockaddr_un path;
	ino_t inode; /* of our socket: another's at the same path is left alone */
	struct management_command command[COMMANDS];
	unsigned n_commands;
	struct client *clients;
	struct loop_watch *again; /* soon, when nobody may take a place; NULL: not */
	struct management_counts counts;
};

struct request {
	struct client *client; /* NULL: gone */
	struct management_call call;
	uint32_t uid;
};

static void client_events(struct client *c);

static uint64_t
now_ms(void)
{
	return clock_ns() / 1000000;
}

/* ---- Clients ---- */

static void
client_close(struct client *c)
{
	struct client **p = &c->m->clients;
	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	if (c->m->counts.clients-- == MANAGEMENT_CLIENTS)
		loop_fd_events(c->m->watch, TR_WATCH_READ);
	if (c->request)
		c->request->client = NULL;
	loop_watch_close(c->watch);
	close(c->fd);
	free(c->in);
	free(c->out);
	free(c);
}

/* false: the client is gone. */
static bool
client_send(struct client *c)
{
	while (c->out_sent < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_sent, c->out_len - c->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n < 0) {
			client_close(c);
			return false;
		}
		c->out_sent += (size_t)n;
		c->moved = now_ms();
	}
	if (c->out_sent == c->out_len) {
		free(c->out);
		c->out = NULL;
		c->out_len = c->out_sent = 0;
		if (c->ended && !c->request && !memchr(c->in, '\n', c->in_len)) {
			client_close(c);
			return false;
		}
	}
	return true;
}

/* Appends `line` (taken) and its newline. */
static void
client_queue(struct client *c, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
	json_decref(line);
	size_t len = text ? strlen(text) : 0;
	size_t left = c->out_len - c->out_sent;
	if (!left)
		c->moved = now_ms();
	char *grown = text ? malloc(left + len + 1) : NULL;
	if (grown) {
		if (left)
			memcpy(grown, c->out + c->out_sent, left);
		memcpy(grown + left, text, len);
		grown[left + len] = '\n';
		free(c->out);
		c->out = grown;
		c->out_len = left + len + 1;
		c->out_sent = 0;
	} else {
		log_error("management", "no memory for an answer");
	}
	free(text);
}

/* Refuses what can't even be read as a request; the connection ends after it. */
static void
client_refuse(struct client *c, const char *why)
{
	c->in_len = 0;
	c->ended = true;
	client_queue(c, json_pack("{s:b, s:s}", "ok", 0, "error", why));
}

static void
dispatch(struct management *m, struct request *r)
{
	const struct management_command *rest = NULL;
	for (unsigned i = 0; i < m->n_commands; i++) {
		const struct management_command *c = &m->command[i];
		if (!c->name) {
			rest = c;
		} else if (strcmp(c->name, r->call.argv[0]) == 0) {
			c->run(c->arg, r, r->call.argc - 1, r->call.argv + 1);
			return;
		}
	}
	if (rest)
		rest->run(rest->arg, r, r->call.argc, r->call.argv);
	else
		management_error(r, "unknown command `%s`", r->call.argv[0]);
}

/* Takes the first line of the input as a request. false: there is none, or it was refused. */
static struct request *
next_request(struct client *c)
{
	char *end = memchr(c->in, '\n', c->in_len);
	if (!end) {
		if (c->in_len == MANAGEMENT_LINE)
			client_refuse(c, "request longer than 64 KiB");
		return NULL;
	}
	size_t len = (size_t)(end - c->in);
	struct request *r = calloc(1, sizeof(*r));
	char why[256] = "no memory";
	if (!r || !management_parse(c->in, len, &r->call, why, sizeof(why))) {
		free(r);
		client_refuse(c, why);
		return NULL;
	}
	c->in_len -= len + 1;
	memmove(c->in, end + 1, c->in_len);
	r->client = c;
	r->uid = c->uid;
	c->request = r;
	return r;
}

/* Runs requests while each is answered and its answer sent at once. The client may be gone afterwards. */
static void
client_serve(struct client *c)
{
	while (!c->request && c->out_len == 0) {
		struct request *r = next_request(c);
		if (r)
			dispatch(c->m, r); /* never closes the client */
		if (!client_send(c))
			return;
		if (!r && c->out_len == 0)
			break;
	}
	client_events(c);
}

static void
client_read(struct client *c)
{
	if (c->in_len == MANAGEMENT_LINE)
		return;
	ssize_t n = recv(c->fd, c->in + c->in_len, MANAGEMENT_LINE - c->in_len, MSG_DONTWAIT);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			client_close(c);
		return;
	}
	c->heard = now_ms();
	struct pollfd p = {.fd = c->fd};
	if (n == 0) {
		/* Half closed (`echo … | socat`) still wants its answers; closed does not. */
		c->ended = true;
		if (poll(&p, 1, 0) == 1 && (p.revents & POLLHUP)) {
			client_close(c);
			return;
		}
		if (!c->request && c->out_len == 0) {
			client_send(c);
			return;
		}
	}
	c->in_len += (size_t)n;
	client_serve(c);
}

static void
client_events(struct client *c)
{
	int events = 0;
	if (!c->ended && c->in_len < MANAGEMENT_LINE)
		events |= TR_WATCH_READ;
	if (c->out_len)
		events |= TR_WATCH_WRITE;
	loop_fd_events(c->watch, events);
}

static void
on_client(void *arg, int events)
{
	struct client *c = arg;
	if (events & TR_WATCH_WRITE) {
		if (!client_send(c))
			return;
		if (c->out_len == 0) {
			client_serve(c); /* the next request may have waited in the input */
			return;
		}
	}
	if (events & TR_WATCH_READ)
		client_read(c);
}

static bool
client_new(struct management *m, int fd)
{
	struct client *c = calloc(1, sizeof(*c));
	char *in = malloc(MANAGEMENT_LINE);
	struct loop_watch *w = c && in ? loop_fd(m->loop, fd, TR_WATCH_READ, on_client, c) : NULL;
	if (!w) {
		free(in);
		free(c);
		return false;
	}
	struct ucred cred = {.uid = (uid_t)-1};
	socklen_t len = sizeof(cred);
	getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len);
	*c = (struct client){.next = m->clients, .m = m, .fd = fd, .watch = w, .uid = cred.uid, .in = in,
		.heard = now_ms()};
	m->clients = c;
	m->counts.clients++;
	return true;
}

/*
 * Whoever holds a connection and asks nothing does not keep the operator out: half a request is nothing. Nor does, if there is
 * no such one, whoever has not read a byte of its answer for a while. false: there is none of either, and all are new, or being
 * answered.
 */
static bool
evict(struct management *m)
{
	const uint64_t before = now_ms() - MANAGEMENT_GLANCE;
	struct client *idle = NULL, *slow = NULL;
	for (struct client *c = m->clients; c; c = c->next) {
		if (!c->request && c->out_len == 0 && c->heard <= (idle ? idle->heard : before))
			idle = c;
		if (c->out_len && c->moved <= (slow ? slow->moved : before))
			slow = c;
	}
	struct client *found = idle ? idle : slow;
	if (!found)
		return false;
	log_warning("management", "connections are wanted, and none is left: one of uid %u that %s is closed", found->uid,
		idle ? "asks nothing" : "does not read its answer");
	(*(idle ? &m->counts.idle : &m->counts.slow))++;
	client_close(found);
	return true;
}

static void
listen_again(void *arg)
{
	struct management *m = arg;
	loop_watch_close(m->again);
	m->again = NULL;
	if (m->counts.clients < MANAGEMENT_CLIENTS || evict(m))
		loop_fd_events(m->watch, TR_WATCH_READ);
	else
		m->again = loop_timer(m->loop, MANAGEMENT_GLANCE, 0, listen_again, m);
}

/* The others wait in the backlog. */
static void
listen_later(struct management *m)
{
	loop_fd_events(m->watch, 0);
	if (!m->again)
		m->again = loop_timer(m->loop, MANAGEMENT_GLANCE, 0, listen_again, m);
}

/* No descriptor is left, of this process or of the box: one of ours may be worth less than what waits. */
static void
no_descriptor(struct management *m)
{
	m->counts.refused++;
	log_warning("management", "cannot accept a client: %m");
	if (!evict(m))
		listen_later(m); /* it would fire at once again */
}

static void
on_listen(void *arg, int events)
{
	struct management *m = arg;
	int fd = accept4(m->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			no_descriptor(m);
		return;
	}
	if (!client_new(m, fd))
		close(fd);
	if (m->counts.clients == MANAGEMENT_CLIENTS && !evict(m))
		listen_later(m);
}

static void
on_tick(void *arg)
{
	struct management *m = arg;
	for (struct client *c = m->clients, *next; c; c = next) {
		next = c->next;
		struct pollfd p = {.fd = c->fd};
		bool hung_up = c->ended && poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
		bool slow = c->out_len && now_ms() - c->moved > MANAGEMENT_PATIENCE * 1000;
		m->counts.slow += slow;
		if (slow)
			log_info("management", "a client of uid %u reads too slowly: cut off", c->uid);
		if (slow || hung_up)
			client_close(c);
	}
}

struct management_counts
management_counts(const struct management *m)
{
	return m->counts;
}

/* ---- Requests ---- */

/* Takes both references. */
static void
answer(struct request *r, json_t *line)
{
	struct client *c = r->client;
	management_call_free(&r->call);
	free(r);
	if (!c) {
		json_decref(line);
		return;
	}
	c->request = NULL;
	client_queue(c, line);
	/* From within dispatch() client_serve() goes on; a late answer is sent by the event that it asks for here. */
	client_events(c);
}

void
management_reply(struct request *r, json_t *result)
{
	answer(r, json_pack("{s:b, s:o}", "ok", 1, "result", result ? result : json_null()));
}

static void
refuse(struct request *r, json_t *details, const char *format, va_list args)
{
	char *text = NULL;
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	json_t *error = json_string(text ? text : "no memory");
	json_t *line = json_pack("{s:b, s:o}", "ok", 0, "error", error ? error : json_string("(not UTF-8)"));
	if (details)
		json_object_set_new(line, "details", details);
	free(text);
	answer(r, line);
}

void
management_error(struct request *r, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	refuse(r, NULL, format, args);
	va_end(args);
}

void
management_error_details(struct request *r, json_t *details, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	refuse(r, details, format, args);
	va_end(args);
}

void
management_progress(struct request *r, json_t *progress)
{
	if (!r->client) {
		json_decref(progress);
		return;
	}
	client_queue(r->client, json_pack("{s:o}", "progress", progress));
	client_events(r->client);
}

bool
management_gone(const struct request *r)
{
	return !r->client;
}

bool
management_waiting(const struct request *r)
{
	return r->client && r->client->out_len > 0;
}

uint32_t
management_uid(const struct request *r)
{
	return r->uid;
}

/* ---- The socket ---- */

static bool
make_socket(struct management *m, const char *group, char *why, size_t size)
{
	const char *path = m->path.sun_path;
	struct group *g = group ? getgrnam(group) : NULL;
	if (group && !g) {
		snprintf(why, size, "no such group: %s", group);
		return false;
	}
	m->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (m->fd < 0) {
		snprintf(why, size, "socket: %m");
		return false;
	}
	if (connect(m->fd, (struct sockaddr *)&m->path, sizeof(m->path)) == 0) {
		snprintf(why, size, "%s: another tailraced answers there", path);
		return false;
	}
	if (errno == ECONNREFUSED)
		unlink(path); /* left by one that was killed */
	/* Nobody else can connect between bind and chown: it takes write permission. */
	fchmod(m->fd, 0600);
	if (bind(m->fd, (struct sockaddr *)&m->path, sizeof(m->path)) != 0 || (g && chown(path, -1, g->gr_gid) != 0) ||
		chmod(path, 0660) != 0 || listen(m->fd, MANAGEMENT_CLIENTS) != 0) {
		snprintf(why, size, "%s: %m", path);
		return false;
	}
	struct stat st;
	if (stat(path, &st) == 0)
		m->inode = st.st_ino;
	return true;
}

struct management *
management_new(struct loop *l, const char *path, const char *group, char *why, size_t size)
{
	struct management *m = calloc(1, sizeof(*m));
	if (!m) {
		snprintf(why, size, "no memory");
		return NULL;
	}
	*m = (struct management){.loop = l, .fd = -1, .path.sun_family = AF_UNIX};
	if (strlen(path) >= sizeof(m->path.sun_path)) {
		snprintf(why, size, "%s: longer than %zu bytes", path, sizeof(m->path.sun_path) - 1);
		free(m);
		return NULL;
	}
	strcpy(m->path.sun_path, path);
	if (!make_socket(m, group, why, size)) {
		management_free(m);
		return NULL;
	}
	m->watch = loop_fd(l, m->fd, TR_WATCH_READ, on_listen, m);
	m->tick = loop_timer(l, 1000, 1000, on_tick, m);
	if (!m->watch || !m->tick) {
		snprintf(why, size, "no memory");
		management_free(m);
		return NULL;
	}
	return m;
}

void
management_add(struct management *m, const struct management_command *c)
{
	assert(m->n_commands < COMMANDS);
	m->command[m->n_commands++] = *c;
}

void
management_free(struct management *m)
{
	if (!m)
		return;
	while (m->clients)
		client_close(m->clients);
	if (m->watch)
		loop_watch_close(m->watch);
	if (m->tick)
		loop_watch_close(m->tick);
	if (m->again)
		loop_watch_close(m->again);
	struct stat st;
	if (m->inode && stat(m->path.sun_path, &st) == 0 && st.st_ino == m->inode)
		unlink(m->path.sun_path);
	if (m->fd >= 0)
		close(m->fd);
	free(m);
}
