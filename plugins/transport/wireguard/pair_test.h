/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two instances of the plugin, each on a fake host of its own, and the network between them: what leaves one's gate
 * `cipher` is carried to the other's, inside IP and UDP, unless a test takes it away first.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <tailrace/fakehost.h>

#include "message.h"

#define KEY_A "e06Qm75//kTEZaIgA31gjuNYl9Me+XLwf3SJLLD3PxM=" /* of 32 x 11 */
#define KEY_B "D6poTtKIZ7l/Smot7l34zpdOdrcBjj8iocTPJnhXDyA=" /* of 32 x 22 */
#define SECONDS(n) ((n) * 1000000000ull)

enum { MAX_WIRE = 600 };

struct datagram {
	uint8_t data[2048];
	uint32_t len;
	struct tr_endpoint to;
	uint8_t tos;
};

struct side {
	struct fh *h;
	uint8_t octet;   /* 192.0.2.octet or 2001:db8::octet; inside 10.0.0.octet and fd00::octet */
	uint16_t port;   /* it sends from */
	bool v6;         /* outside */
	uint16_t worker; /* receives on */
	uint8_t gate;    /* of its endpoints: 0 is UDP; else a fake relay, which knows it by `octet` */
	uint8_t tos;     /* put on datagrams on their way to it, if not 0 */
	uint16_t mtu;    /* of the path to it, as others know it; 0: unknown */
	struct datagram wire[MAX_WIRE]; /* sent, not yet carried */
	unsigned wire_n;
	struct datagram plain[MAX_WIRE]; /* came out of the tunnel */
	unsigned plain_n;
};

struct network {
	struct side a, b;
};

extern const struct tr_plugin tr_plugin;

extern bool room_elsewhere; /* other workers do all the AEAD; what they have is taken back whenever a side is looked at */

struct network_config {
	const char *a_peer, *b_peer; /* more of the peer's YAML */
	uint16_t workers;
	bool v6;
	uint16_t packet_size;
	uint64_t a_wall;
};

static inline struct fh *
side_new(uint8_t secret, const char *key, uint8_t octet, bool v6, const char *more, const struct network_config *c)
{
	struct tr_secret s;
	char options[256], netmap[1024], address[64];
	memset(s.b, secret, sizeof(s.b));
	snprintf(options, sizeof(options), "private_key: %s", fh_secret(s.b));
	snprintf(address, sizeof(address), v6 ? "'[2001:db8::%u]:51820'" : "192.0.2.%u:51820", octet);
	snprintf(netmap, sizeof(netmap), "peers: {other: {public_key: %s, allowed_ips: [10.0.0.%u/32, 'fd00::%u/128']%s%s%s}}",
		key, octet, octet, more && strstr(more, "endpoint") ? "" : ", endpoint: ",
		more && strstr(more, "endpoint") ? "" : address, more ? more : "");
	struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .name = secret == 0x11 ? "wga" : "wgb",
		.options = options, .netmap = netmap, .workers = c->workers, .packet_size = c->packet_size,
		.wall = secret == 0x11 ? c->a_wall : 0});
	if (!h)
		fail_msg("%s", fh_failure());
	fh_spread(h, room_elsewhere);
	return h;
}

static inline struct network *
network_new(struct network_config c)
{
	struct network *n = test_calloc(1, sizeof(*n));
	n->a = (struct side){.octet = 1, .port = 51820, .v6 = c.v6};
	n->b = (struct side){.octet = 2, .port = 51820, .v6 = c.v6};
	n->a.h = side_new(0x11, KEY_B, 2, c.v6, c.a_peer, &c);
	n->b.h = side_new(0x22, KEY_A, 1, c.v6, c.b_peer, &c);
	return n;
}

static inline void
network_free(struct network *n)
{
	fh_free(n->a.h);
	fh_free(n->b.h);
	test_free(n);
}

/* Takes what has come out. */
static inline void
side_take(struct side *s)
{
	const struct fh_out *o;
	if (room_elsewhere)
		fh_spread_back(s->h);
	while ((o = fh_next(s->h))) {
		if (!o->gate)
			continue; /* drops are counted by the host */
		struct datagram *d = strcmp(o->gate, "cipher") == 0 ? &s->wire[s->wire_n++] : &s->plain[s->plain_n++];
		assert_true(s->wire_n < MAX_WIRE && s->plain_n < MAX_WIRE);
		assert_in_range(o->len, 1, sizeof(d->data));
		memcpy(d->data, o->data, o->len);
		d->len = o->len;
		d->to = o->meta.endpoint;
		d->tos = o->meta.tos;
	}
}

/* A message as the fake relay hands it over: sent to it, or to a direct path that is not trusted, of which it gets a copy. */
static inline void
side_receive_relayed(struct side *to, const struct side *from, const struct datagram *d)
{
	struct rte_mbuf *m = fh_packet(to->h, d->data, d->len);
	if (!(d->to.flags & TR_ENDPOINT_TWICE)) {
		assert_int_equal(d->to.gate, from->gate);
		assert_int_equal(d->to.remote[0], to->octet);
	}
	tr_meta(m)->endpoint = (struct tr_endpoint){.family = 4, .gate = from->gate, .remote = {from->octet}, .local_port = 7};
	fh_send_mbufs(to->h, to->worker, "relay", &m, 1);
	side_take(to);
}

/* A datagram in its IP and UDP headers, as an interface would give it to `to`. */
static inline void
side_receive(struct side *to, const struct side *from, const struct datagram *d)
{
	uint8_t p[2100] = {0}, *l4 = p + (from->v6 ? 40 : 20);
	uint16_t udp = (uint16_t)(d->len + 8), total = (uint16_t)(udp + 20), dport = d->to.remote_port ? d->to.remote_port : 51820;
	uint8_t tos = to->tos ? to->tos : d->tos;

	if (from->v6) {
		uint8_t head[] = {(uint8_t)(0x60 | tos >> 4), (uint8_t)(tos << 4), 0, 0, (uint8_t)(udp >> 8), (uint8_t)udp, 17, 64,
			0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, from->octet,
			0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, to->octet};
		memcpy(p, head, sizeof(head));
	} else {
		uint8_t head[] = {0x45, tos, (uint8_t)(total >> 8), (uint8_t)total, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, from->octet,
			192, 0, 2, to->octet};
		memcpy(p, head, sizeof(head));
	}
	l4[0] = (uint8_t)(from->port >> 8), l4[1] = (uint8_t)from->port;
	l4[2] = (uint8_t)(dport >> 8), l4[3] = (uint8_t)dport;
	l4[4] = (uint8_t)(udp >> 8), l4[5] = (uint8_t)udp;
	memcpy(l4 + 8, d->data, d->len);

	size_t head = (size_t)(l4 - p);
	struct rte_mbuf *m = fh_packet(to->h, p, head + 8 + d->len);
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = (uint8_t)head;
	meta->l4 = 17;
	meta->tos = tos;
	meta->endpoint = (struct tr_endpoint){.family = from->v6 ? 6 : 4, .mtu = from->mtu, .remote_port = from->port, .local_port = dport};
	memcpy(meta->endpoint.remote, p + (from->v6 ? 8 : 12), from->v6 ? 16 : 4);
	memcpy(meta->endpoint.local, p + (from->v6 ? 24 : 16), from->v6 ? 16 : 4);
	fh_send_mbufs(to->h, to->worker, "cipher", &m, 1);
	side_take(to);
}

/* Carries everything that `from` has sent. Returns how many. */
static inline unsigned
carry(struct side *from, struct side *to)
{
	side_take(from);
	unsigned n = from->wire_n;
	struct datagram *d = test_malloc(sizeof(*d) * (n + 1));
	memcpy(d, from->wire, sizeof(*d) * n);
	from->wire_n = 0;
	for (unsigned i = 0; i < n; i++)
		(from->gate ? side_receive_relayed : side_receive)(to, from, &d[i]);
	test_free(d);
	return n;
}

/* Until the network is quiet. */
static inline void
settle(struct network *n)
{
	unsigned moved;
	do {
		moved = fh_run_jobs(n->a.h) + fh_run_jobs(n->b.h);
		moved += carry(&n->a, &n->b);
		moved += carry(&n->b, &n->a);
	} while (moved);
}

/* Time passes for both, in steps that let datagrams be carried between them. */
static inline void
pass(struct network *n, uint64_t ns)
{
	while (ns) {
		uint64_t step = ns < 50000000 ? ns : 50000000;
		fh_advance(n->a.h, step);
		fh_advance(n->b.h, step);
		settle(n);
		ns -= step;
	}
}

/* An IPv4 packet of `len` bytes into the tunnel; its payload says `number`. */
static inline void
say_from(struct side *s, uint8_t source, uint8_t destination, uint16_t len, uint8_t number)
{
	uint8_t p[2000] = {0x45, 0, (uint8_t)(len >> 8), (uint8_t)len, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, source, 10, 0, 0,
		destination, number};
	fh_send(s->h, "plain", p, len);
	side_take(s);
}

static inline void
say(struct side *s, uint16_t len, uint8_t number)
{
	say_from(s, s->octet, (uint8_t)(3 - s->octet), len, number);
}

/* The oldest packet that came out of s's tunnel. */
static inline struct datagram
hear(struct side *s)
{
	assert_int_not_equal(s->plain_n, 0);
	struct datagram d = s->plain[0];
	memmove(&s->plain[0], &s->plain[1], --s->plain_n * sizeof(d));
	return d;
}

static inline void
expect(struct side *s, uint16_t len, uint8_t number)
{
	struct datagram d = hear(s);
	assert_int_equal(d.len, len);
	assert_int_equal(d.data[20], number);
}

/* A session exists in both directions afterwards. */
static inline void
connect_both(struct network *n)
{
	say(&n->a, 60, 1);
	settle(n);
	expect(&n->b, 60, 1);
	say(&n->b, 60, 2);
	settle(n);
	expect(&n->a, 60, 2);
}

static inline uint8_t
wire_type(const struct side *s, unsigned i)
{
	assert_true(i < s->wire_n);
	return s->wire[i].data[0];
}
