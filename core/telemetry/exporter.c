/* SPDX-License-Identifier: BSD-3-Clause */
#include "exporter.h"
#include "openmetrics.h"

#include "../config/config.h"
#include "../runtime/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define CLIENTS 16
#define PATIENCE 10 /* s without progress in receiving or sending */

#define TYPE_OPENMETRICS "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define TYPE_TEXT "text/plain; version=0.0.4; charset=utf-8"

/* From the first look at a request until the library has done with it. Linked and marked under the lock; while it is with
 * the control thread its connection is suspended, and the library does not touch it. */
struct scrape {
	struct scrape *next, **prev;
	struct exporter *e;
	struct MHD_Connection *connection;
	enum { SCRAPE_NEW, SCRAPE_ASKED, SCRAPE_DONE } state;
	bool openmetrics;
	struct metrics *metrics; /* the answer; NULL: there is none */
};

struct exporter {
	struct loop *loop;
	void (*render)(void *arg, struct scrape *s);
	void *arg;
	struct MHD_Daemon *http;
	int fd;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* "": TCP */
	pthread_mutex_t lock;
	struct scrape *scrapes;
	bool closing;
};

/* ---- The library's thread ---- */

static enum MHD_Result
answer(struct MHD_Connection *c, unsigned status, const char *type, char *text, size_t len)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_FREE);
	if (!r) {
		free(text);
		return MHD_NO;
	}
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	enum MHD_Result done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result
refuse(struct MHD_Connection *c, unsigned status, const char *text)
{
	char *copy = strdup(text);
	return copy ? answer(c, status, "text/plain; charset=utf-8", copy, strlen(copy)) : MHD_NO;
}

/* Loop's thread. */
static void
ask(void *a, void *b)
{
	struct scrape *s = a;
	(void)b;
	s->e->render(s->e->arg, s);
}

void
scrape_finish(struct scrape *s, struct metrics *m)
{
	struct exporter *e = s->e;
	pthread_mutex_lock(&e->lock);
	s->metrics = m;
	s->state = SCRAPE_DONE;
	pthread_mutex_unlock(&e->lock);
	MHD_resume_connection(s->connection); /* the last use of s here */
}

static struct scrape *
scrape_new(struct exporter *e, struct MHD_Connection *c)
{
	struct scrape *s = calloc(1, sizeof(*s));
	const char *accept = MHD_lookup_connection_value(c, MHD_HEADER_KIND, MHD_HTTP_HEADER_ACCEPT);
	if (!s)
		return NULL;
	s->e = e;
	s->connection = c;
	s->openmetrics = accept && strstr(accept, "application/openmetrics-text");
	pthread_mutex_lock(&e->lock);
	s->next = e->scrapes;
	s->prev = &e->scrapes;
	if (s->next)
		s->next->prev = &s->next;
	e->scrapes = s;
	pthread_mutex_unlock(&e->lock);
	return s;
}

/* Hands a new scrape to the control thread; true: it is there. The connection is suspended first, as the answer may come
 * before loop_post() returns. */
static bool
hand_over(struct scrape *s)
{
	struct exporter *e = s->e;
	pthread_mutex_lock(&e->lock);
	bool wanted = s->state == SCRAPE_NEW && !e->closing;
	if (wanted) {
		s->state = SCRAPE_ASKED;
		MHD_suspend_connection(s->connection);
	}
	pthread_mutex_unlock(&e->lock);
	if (wanted && loop_post(e->loop, ask, s, NULL) != 0)
		scrape_finish(s, NULL);
	return wanted;
}

static enum MHD_Result
on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method, const char *version, const char *upload,
	size_t *upload_size, void **own)
{
	struct scrape *s = *own;
	(void)version, (void)upload;
	if (!s) {
		*own = scrape_new(arg, c);
		return *own ? MHD_YES : MHD_NO;
	}
	if (*upload_size) { /* a body: nobody wants it */
		*upload_size = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return refuse(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (strcmp(url, "/metrics") != 0)
		return refuse(c, MHD_HTTP_NOT_FOUND, "metrics are at /metrics\n");
	if (hand_over(s))
		return MHD_YES;
	size_t len;
	char *text = s->metrics ? metrics_end(s->metrics, &len) : NULL;
	s->metrics = NULL;
	return text ? answer(c, MHD_HTTP_OK, s->openmetrics ? TYPE_OPENMETRICS : TYPE_TEXT, text, len)
		    : refuse(c, MHD_HTTP_SERVICE_UNAVAILABLE, "tailraced ends, or has no memory left\n");
}

static void
on_completed(void *arg, struct MHD_Connection *c, void **own, enum MHD_RequestTerminationCode why)
{
	struct exporter *e = arg;
	struct scrape *s = *own;
	(void)c, (void)why;
	if (!s)
		return;
	pthread_mutex_lock(&e->lock);
	*s->prev = s->next;
	if (s->next)
		s->next->prev = s->prev;
	pthread_mutex_unlock(&e->lock);
	if (s->metrics) /* the client has gone */
		free(metrics_end(s->metrics, &(size_t){0}));
	free(s);
}

/* ---- The socket ---- */

static int
listen_tcp(const struct tr_sockaddr *at)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(at->port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(at->port)};
	bool is6 = at->addr.family == 6;
	memcpy(&v6.sin6_addr, at->addr.ip, 16);
	memcpy(&v4.sin_addr, at->addr.ip, 4);
	int fd = socket(is6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, is6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, is6 ? sizeof(v6) : sizeof(v4)) == 0 &&
		listen(fd, CLIENTS) == 0)
		return fd;
	int saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

/* What a killed daemon left behind is replaced; a socket that somebody answers at is not. */
static int
listen_unix(const char *path, const char *group)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct group *g = group ? getgrnam(group) : NULL;
	strcpy(a.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
	if (rc != 0 && errno == ECONNREFUSED)
		unlink(path);
	fchmod(fd, 0600);
	if (rc != 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && (!g || chown(path, (uid_t)-1, g->gr_gid) == 0) &&
		chmod(path, 0660) == 0 && listen(fd, CLIENTS) == 0)
		return fd;
	int saved = rc == 0 ? EADDRINUSE : errno;
	close(fd);
	errno = saved;
	return -1;
}

static bool
open_socket(struct exporter *e, const char *address, const char *group, char *why, size_t size)
{
	struct tr_sockaddr at;
	if (address[0] == '/' && strlen(address) >= sizeof(e->path)) {
		snprintf(why, size, "%s: longer than %zu bytes", address, sizeof(e->path) - 1);
		return false;
	}
	if (address[0] == '/') {
		e->fd = listen_unix(address, group);
		if (e->fd >= 0)
			strcpy(e->path, address);
	} else if (parse_sockaddr(address, &at, 0)) {
		e->fd = listen_tcp(&at);
	} else {
		errno = EINVAL;
	}
	if (e->fd < 0)
		snprintf(why, size, "%s: %s", address, strerror(errno));
	return e->fd >= 0;
}

/* ---- Life ---- */

struct exporter *
exporter_new(struct loop *l, const char *address, const char *group, void (*render)(void *arg, struct scrape *s), void *arg,
	char *why, size_t size)
{
	struct exporter *e = calloc(1, sizeof(*e));
	if (!e) {
		snprintf(why, size, "no memory");
		return NULL;
	}
	e->loop = l;
	e->render = render;
	e->arg = arg;
	e->fd = -1;
	pthread_mutex_init(&e->lock, NULL);
	if (open_socket(e, address, group, why, size)) {
		e->http = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, e,
			MHD_OPTION_LISTEN_SOCKET, e->fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, e, MHD_OPTION_CONNECTION_LIMIT,
			(unsigned)CLIENTS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)PATIENCE, MHD_OPTION_END);
		if (!e->http)
			snprintf(why, size, "%s: the HTTP server does not start", address);
	}
	if (!e->http) {
		exporter_free(e);
		return NULL;
	}
	return e;
}

void
exporter_free(struct exporter *e)
{
	if (!e)
		return;
	pthread_mutex_lock(&e->lock);
	e->closing = true;
	for (struct scrape *s = e->scrapes; s; s = s->next) {
		if (s->state != SCRAPE_ASKED)
			continue;
		s->state = SCRAPE_DONE;
		MHD_resume_connection(s->connection);
	}
	pthread_mutex_unlock(&e->lock);
	if (e->http)
		MHD_stop_daemon(e->http); /* closes the socket */
	else if (e->fd >= 0)
		close(e->fd);
	if (e->path[0])
		unlink(e->path);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

bool
scrape_openmetrics(const struct scrape *s)
{
	return s->openmetrics;
}
