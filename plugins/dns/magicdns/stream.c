/* SPDX-License-Identifier: BSD-3-Clause */
#include "stream.h"

#include "exchange.h"
#include "question.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <tailrace/udp.h>
#include <unistd.h>

#define CONNECTIONS 128
#define PER_CLIENT 16
#define QUESTION_MAX 1024 /* bytes: a question, and EDNS options */
#define IDLE_MS 10000     /* RFC 7766 §6.2.3 */
#define SLOT_BITS 8
#define PAUSE_MS 100 /* the kernel can't give us the connection that waits: it would be ready for ever */

struct connection {
	struct streams *streams;
	struct tr_watch *watch, *timer;
	int fd;
	uint32_t serial; /* of this client: what was marked for the one before is not for it */
	bool waiting;    /* its question is on its way */
	struct tr_endpoint ends;
	size_t got, sent, size; /* of in; of out, which has `size` bytes */
	uint8_t *out;
	uint8_t in[2 + QUESTION_MAX];
};

struct listener {
	struct streams *streams;
	struct tr_sockaddr at;
	struct tr_watch *watch, *pause;
	int fd;
};

struct streams {
	struct magicdns *dns;
	uint32_t serial, n_listeners;
	struct listener listener[STREAM_LISTENERS];
	struct connection connection[CONNECTIONS];
};

static void
close_connection(struct connection *c)
{
	const struct tr_host *host = c->streams->dns->host;
	if (c->watch != NULL)
		host->watch_close(c->watch);
	if (c->timer != NULL)
		host->watch_close(c->timer);
	if (c->fd >= 0)
		close(c->fd);
	free(c->out);
	*c = (struct connection){.streams = c->streams, .fd = -1};
}

static void
on_idle(void *connection)
{
	close_connection(connection);
}

static bool
rearm(struct connection *c)
{
	struct magicdns *d = c->streams->dns;
	if (c->timer != NULL)
		d->host->watch_close(c->timer);
	c->timer = d->host->watch_timer(d->instance, IDLE_MS, 0, on_idle, c);
	return c->timer != NULL;
}

/* The question as a datagram, for the nodes that answer those. */
static bool
ask(struct connection *c, size_t len)
{
	struct magicdns *d = c->streams->dns;
	struct tr_node *node = d->host->service_node(d->instance);
	struct rte_mbuf *m = node != NULL ? d->host->packet_new(node) : NULL;
	const size_t before = sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_udp_hdr);
	if (m == NULL)
		return false;
	uint8_t *p = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(before + len));
	if (p == NULL) {
		d->host->packet_drop(node, m, DROP_NO_ROOM);
		return false;
	}
	memset(p, 0, before);
	p[0] = RTE_IPV4_VHL_DEF;
	p[9] = IPPROTO_UDP;
	((struct rte_udp_hdr *)(p + sizeof(struct rte_ipv4_hdr)))->dgram_len =
	        rte_cpu_to_be_16((uint16_t)(sizeof(struct rte_udp_hdr) + len));
	memcpy(p + before, c->in + 2, len);
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = sizeof(struct rte_ipv4_hdr);
	meta->l4 = IPPROTO_UDP;
	meta->endpoint = c->ends;
	meta->mark = c->serial << SLOT_BITS | (uint32_t)(c - c->streams->connection);
	c->waiting = true;
	d->host->emit(node, ASKED_OUT, &m, 1);
	return true;
}

/* Asks the question that has come whole; one at a time. */
static bool
next_question(struct connection *c)
{
	if (c->got < 2 || c->waiting || c->out != NULL)
		return true;
	const size_t len = (size_t)c->in[0] << 8 | c->in[1];
	if (len > QUESTION_MAX || len < DNS_HEADER)
		return false;
	return c->got < 2 + len || ask(c, len);
}

static void
on_readable(struct connection *c)
{
	const ssize_t n = recv(c->fd, c->in + c->got, sizeof(c->in) - c->got, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_connection(c);
		return;
	}
	c->got += (size_t)n;
	if (!rearm(c) || !next_question(c))
		close_connection(c);
	else if (c->got == sizeof(c->in)) /* it asks faster than it is answered */
		c->streams->dns->host->watch_events(c->watch, 0);
}

/* Sends what is left; then the next question. */
static void
on_writable(struct connection *c)
{
	const struct tr_host *host = c->streams->dns->host;
	const ssize_t n = send(c->fd, c->out + c->sent, c->size - c->sent, MSG_NOSIGNAL);
	if (n < 0 && errno != EAGAIN && errno != EINTR) {
		close_connection(c);
		return;
	}
	c->sent += n > 0 ? (size_t)n : 0;
	if (c->sent < c->size) {
		host->watch_events(c->watch, TR_WATCH_WRITE);
		return;
	}
	free(c->out);
	c->out = NULL;
	host->watch_events(c->watch, TR_WATCH_READ);
	if (!next_question(c))
		close_connection(c);
}

static void
on_connection(void *connection, int events)
{
	struct connection *c = connection;
	if (c->out != NULL && (events & TR_WATCH_WRITE) != 0)
		on_writable(c);
	else if ((events & TR_WATCH_READ) != 0)
		on_readable(c);
}

void
streams_answer(struct streams *s, uint32_t mark, const uint8_t *msg, size_t len)
{
	struct connection *c = &s->connection[(mark & ((1u << SLOT_BITS) - 1)) % CONNECTIONS];
	if (c->fd < 0 || c->serial != mark >> SLOT_BITS || !c->waiting || len > UINT16_MAX)
		return;
	const size_t asked = 2 + ((size_t)c->in[0] << 8 | c->in[1]);
	c->got -= asked;
	memmove(c->in, c->in + asked, c->got);
	c->waiting = false;
	c->out = malloc(2 + len);
	if (c->out == NULL || !rearm(c)) {
		close_connection(c);
		return;
	}
	c->out[0] = (uint8_t)(len >> 8);
	c->out[1] = (uint8_t)len;
	memcpy(c->out + 2, msg, len);
	c->size = 2 + len;
	c->sent = 0;
	on_writable(c);
}

void
streams_told(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct magicdns *d = node->self;
	for (uint16_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *msg = tr_udp_payload(pkts[i], &len);
		streams_answer(d->streams, tr_meta(pkts[i])->mark, msg, len);
		gate[i] = TR_DROP(DROP_STREAM);
	}
}

/* ---- Listening ---- */

static struct tr_endpoint
ends_of(const struct sockaddr_storage *from)
{
	struct tr_endpoint e = {.family = from->ss_family == AF_INET ? 4 : 6};
	if (e.family == 4) {
		const struct sockaddr_in *in = (const void *)from;
		memcpy(e.remote, &in->sin_addr, 4);
		e.remote_port = ntohs(in->sin_port);
	} else {
		const struct sockaddr_in6 *in6 = (const void *)from;
		memcpy(e.remote, &in6->sin6_addr, 16);
		e.remote_port = ntohs(in6->sin6_port);
	}
	return e;
}

/* NULL: too many, of all or of this client. */
static struct connection *
free_connection(struct streams *s, const struct tr_endpoint *from)
{
	struct connection *found = NULL;
	unsigned same = 0;
	for (unsigned i = 0; i < CONNECTIONS; i++) {
		struct connection *c = &s->connection[i];
		if (c->fd < 0)
			found = c;
		else
			same += c->ends.family == from->family && memcmp(c->ends.remote, from->remote, 16) == 0;
	}
	return same < PER_CLIENT ? found : NULL;
}

static void
end_pause(void *listener)
{
	struct listener *l = listener;
	const struct tr_host *host = l->streams->dns->host;
	host->watch_close(l->pause);
	l->pause = NULL;
	host->watch_events(l->watch, TR_WATCH_READ);
}

static void
pause_listening(struct listener *l)
{
	const struct magicdns *d = l->streams->dns;
	struct tr_node *node = d->host->service_node(d->instance);
	l->pause = d->host->watch_timer(d->instance, PAUSE_MS, 0, end_pause, l);
	if (l->pause == NULL)
		return;
	d->host->watch_events(l->watch, 0);
	if (node != NULL)
		node->count[STREAMS_PAUSED]++;
}

static void
on_client(void *listener, int events)
{
	struct listener *l = listener;
	struct streams *s = l->streams;
	struct magicdns *d = s->dns;
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	(void)events;
	const int fd = accept4(l->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listening(l);
		return;
	}
	const struct tr_endpoint ends = ends_of(&from);
	struct connection *c = free_connection(s, &ends);
	if (c == NULL) {
		close(fd);
		return;
	}
	s->serial = (s->serial + 1) & (UINT32_MAX >> SLOT_BITS);
	s->serial += s->serial == 0; /* no mark is 0 */
	c->fd = fd;
	c->serial = s->serial;
	c->ends = ends;
	c->watch = d->host->watch_fd(d->instance, fd, TR_WATCH_READ, on_connection, c);
	struct tr_node *node = d->host->service_node(d->instance);
	if (c->watch == NULL || !rearm(c) || node == NULL)
		close_connection(c);
	else
		node->count[STREAMS]++;
}

/* The address may come later (a host port's), and the instance before this one may still listen. */
static bool
listen_at(struct listener *l)
{
	struct magicdns *d = l->streams->dns;
	struct sockaddr_storage at;
	const socklen_t size = exchange_address(&at, &l->at);
	const int on = 1, family = at.ss_family;
	l->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (l->fd < 0)
		return false;
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(l->fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
	setsockopt(l->fd, family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6,
	        family == AF_INET ? IP_FREEBIND : IPV6_FREEBIND, &on, sizeof(on));
	if (bind(l->fd, (struct sockaddr *)&at, size) != 0 || listen(l->fd, CONNECTIONS) != 0)
		return false;
	l->watch = d->host->watch_fd(d->instance, l->fd, TR_WATCH_READ, on_client, l);
	return l->watch != NULL;
}

void
streams_start(struct tr_node *node)
{
	struct magicdns *d = node->self;
	for (uint32_t i = 0; i < d->streams->n_listeners; i++)
		if (!listen_at(&d->streams->listener[i]))
			d->host->log(d->instance, TR_LOG_ERROR, "no questions over TCP (`tcp`, entry %u): %s", i + 1,
			        strerror(errno));
}

void
streams_fini(struct tr_node *node)
{
	struct magicdns *d = node->self;
	struct streams *s = d->streams;
	for (uint32_t i = 0; i < s->n_listeners; i++) {
		struct listener *l = &s->listener[i];
		if (l->watch != NULL)
			d->host->watch_close(l->watch);
		if (l->pause != NULL)
			d->host->watch_close(l->pause);
		if (l->fd >= 0)
			close(l->fd);
		l->watch = l->pause = NULL;
		l->fd = -1;
	}
	for (unsigned i = 0; i < CONNECTIONS; i++)
		close_connection(&s->connection[i]);
}

struct streams *
streams_new(struct magicdns *d, const struct tr_list *listen_on)
{
	const struct tr_sockaddr *at = listen_on->items;
	struct streams *s = calloc(1, sizeof(*s));
	if (s == NULL)
		return NULL;
	s->dns = d;
	s->n_listeners = listen_on->n;
	for (uint32_t i = 0; i < s->n_listeners; i++)
		s->listener[i] = (struct listener){.streams = s, .at = at[i], .fd = -1};
	for (unsigned i = 0; i < CONNECTIONS; i++)
		s->connection[i] = (struct connection){.streams = s, .fd = -1};
	return s;
}

void
streams_free(struct streams *s)
{
	free(s);
}
