/* SPDX-License-Identifier: BSD-3-Clause */
#include "uapi_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_PREFIXES 65535 /* of one peer in one request */

struct list { /* of prefixes or keys */
	void *items;
	uint32_t n, capacity;
};

struct uapi_set {
	struct wg *wg;
	int error; /* 0 or -errno */
	bool replace_peers, in_peer, own_key;
	struct tr_peer_change change;
	struct list add, remove; /* struct tr_prefix */
	struct list named;       /* keys, 32 bytes each */
};

static int
append(struct list *l, const void *item, size_t size, uint32_t max)
{
	if (l->n >= max)
		return -ENOSPC;
	if (l->n == l->capacity) {
		uint32_t capacity = l->capacity ? l->capacity * 2 : 16;
		void *grown = realloc(l->items, capacity * size);
		if (!grown)
			return -ENOMEM;
		l->items = grown;
		l->capacity = capacity;
	}
	memcpy((uint8_t *)l->items + l->n++ * size, item, size);
	return 0;
}

struct uapi_set *
uapi_set_new(struct wg *wg)
{
	struct uapi_set *s = calloc(1, sizeof(*s));
	if (s)
		s->wg = wg;
	return s;
}

void
uapi_set_abort(struct uapi_set *s)
{
	if (!s)
		return;
	free(s->add.items);
	free(s->remove.items);
	free(s->named.items);
	explicit_bzero(s, sizeof(*s));
	free(s);
}

/* ---- The device ---- */

static void
base64(char out[45], const uint8_t in[32])
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *p = out;
	for (unsigned i = 0; i < 30; i += 3) {
		uint32_t v = (uint32_t)in[i] << 16 | (uint32_t)in[i + 1] << 8 | in[i + 2];
		for (int shift = 18; shift >= 0; shift -= 6)
			*p++ = digit[v >> shift & 63];
	}
	uint32_t v = (uint32_t)in[30] << 10 | (uint32_t)in[31] << 2;
	*p++ = digit[v >> 12];
	*p++ = digit[v >> 6 & 63];
	*p++ = digit[v & 63];
	*p++ = '=';
	*p = 0;
}

/* A peer with our own key would be ourselves. */
static int
drop_own_peer(struct wg *wg, const uint8_t private_key[32])
{
	struct tr_peer_change c = {.fields = TR_PEER_REMOVE};
	wg->crypto->public_key(c.public_key, private_key);
	return wg->host->peer_by_key(wg->instance, c.public_key) ? wg->host->peer_set(wg->instance, &c) : 0;
}

static int
set_private_key(struct wg *wg, const uint8_t key[32])
{
	char text[45];
	base64(text, key);
	int r = drop_own_peer(wg, key);
	if (!r)
		r = wg->host->option_set(wg->instance, "private_key", text);
	explicit_bzero(text, sizeof(text));
	return r;
}

/* Port 0: any that no other instance has. */
static int
set_listen(struct wg *wg, uint32_t port)
{
	char text[16];
	int r = -EADDRINUSE;
	for (int tries = port ? 1 : 100; tries && r == -EADDRINUSE; tries--) {
		uint16_t any;
		wg->crypto->random(&any, sizeof(any));
		snprintf(text, sizeof(text), "%u", port ? port : 32768u + any % 28232u);
		r = wg->host->option_set(wg->instance, "listen", text);
	}
	return r;
}

static int
set_fwmark(struct wg *wg, uint32_t mark)
{
	char text[16];
	snprintf(text, sizeof(text), "%u", mark);
	return wg->host->option_set(wg->instance, "fwmark", text);
}

static int
device_line(struct uapi_set *s, const struct uapi_line *l)
{
	switch (l->key) {
	case UAPI_PRIVATE_KEY:
		return set_private_key(s->wg, l->secret);
	case UAPI_LISTEN_PORT:
		return set_listen(s->wg, l->number);
	case UAPI_FWMARK:
		return set_fwmark(s->wg, l->number);
	case UAPI_REPLACE_PEERS:
		s->replace_peers = true;
		return 0;
	default:
		return -EINVAL;
	}
}

/* ---- Peers ---- */

/* The later of two lines about one prefix wins; the change itself has no order. */
static void
forget_prefix(struct list *l, const struct tr_prefix *p)
{
	struct tr_prefix *v = l->items;
	for (uint32_t i = 0; i < l->n; i++)
		if (v[i].len == p->len && tr_addr_eq(&v[i].addr, &p->addr))
			v[i--] = v[--l->n];
}

static int
prefix_line(struct uapi_set *s, const struct uapi_line *l)
{
	forget_prefix(l->minus ? &s->add : &s->remove, &l->prefix);
	return append(l->minus ? &s->remove : &s->add, &l->prefix, sizeof(l->prefix), MAX_PREFIXES);
}

static int
peer_line(struct uapi_set *s, const struct uapi_line *l)
{
	struct tr_peer_change *c = &s->change;
	switch (l->key) {
	case UAPI_REMOVE:
		c->fields |= TR_PEER_REMOVE;
		return 0;
	case UAPI_UPDATE_ONLY:
		c->fields |= TR_PEER_UPDATE_ONLY;
		return 0;
	case UAPI_PRESHARED_KEY:
		c->fields |= TR_PEER_PSK;
		memcpy(c->preshared_key, l->secret, 32);
		return 0;
	case UAPI_ENDPOINT:
		c->fields |= TR_PEER_ENDPOINT;
		c->endpoint = l->endpoint;
		return 0;
	case UAPI_KEEPALIVE:
		c->fields |= TR_PEER_KEEPALIVE;
		c->keepalive = (uint16_t)l->number;
		return 0;
	case UAPI_REPLACE_ALLOWED_IPS:
		c->fields |= TR_PEER_REPLACE_ALLOWED;
		s->add.n = s->remove.n = 0;
		return 0;
	case UAPI_ALLOWED_IP:
		return prefix_line(s, l);
	case UAPI_PROTOCOL_VERSION:
		return 0;
	default:
		return -EINVAL;
	}
}

/* Applies what the lines since `public_key` have said. */
static int
peer_end(struct uapi_set *s)
{
	struct tr_peer_change *c = &s->change;
	int r = 0;
	if (s->in_peer && !s->own_key) {
		if (c->fields & TR_PEER_REMOVE)
			c->fields = TR_PEER_REMOVE;
		c->n_add = c->fields & TR_PEER_REMOVE ? 0 : s->add.n;
		c->n_remove = c->fields & TR_PEER_REMOVE ? 0 : s->remove.n;
		c->add = s->add.items;
		c->remove = s->remove.items;
		r = s->wg->host->peer_set(s->wg->instance, c);
	}
	explicit_bzero(c, sizeof(*c));
	s->add.n = s->remove.n = 0;
	s->in_peer = false;
	return r;
}

static int
peer_begin(struct uapi_set *s, const uint8_t key[32])
{
	const struct identity *me = s->wg->identity;
	int r = peer_end(s);
	if (r)
		return r;
	s->in_peer = true;
	s->own_key = me && memcmp(key, me->noise.public_key, 32) == 0;
	memcpy(s->change.public_key, key, 32);
	if (!s->replace_peers)
		return 0;
	s->change.fields = TR_PEER_PSK | TR_PEER_KEEPALIVE | TR_PEER_REPLACE_ALLOWED;
	return append(&s->named, key, 32, s->wg->peers->count);
}

void
uapi_set_line(struct uapi_set *s, const char *text, size_t len)
{
	struct uapi_line l;
	if (s->error)
		return;
	if (!uapi_parse(text, len, &l))
		s->error = -EINVAL;
	else if (l.key == UAPI_PUBLIC_KEY)
		s->error = peer_begin(s, l.secret);
	else if (s->in_peer)
		s->error = peer_line(s, &l);
	else
		s->error = device_line(s, &l);
	explicit_bzero(&l, sizeof(l));
}

/* ---- replace_peers ---- */

static int
compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, 32);
}

struct unnamed {
	const struct uapi_set *set;
	struct list keys;
	int error;
};

static void
collect_unnamed(void *arg, const struct tr_peer *p)
{
	struct unnamed *u = arg;
	const struct list *named = &u->set->named;
	if (!named->n || !bsearch(p->public_key, named->items, named->n, 32, compare_keys))
		u->error = u->error ? u->error : append(&u->keys, p->public_key, 32, UINT32_MAX);
}

static int
remove_unnamed(struct uapi_set *s)
{
	struct unnamed u = {.set = s};
	if (s->named.n)
		qsort(s->named.items, s->named.n, 32, compare_keys);
	s->wg->host->peer_each(s->wg->instance, collect_unnamed, &u);
	for (uint32_t i = 0; i < u.keys.n && !u.error; i++) {
		struct tr_peer_change c = {.fields = TR_PEER_REMOVE};
		memcpy(c.public_key, (uint8_t *)u.keys.items + i * 32u, 32);
		u.error = s->wg->host->peer_set(s->wg->instance, &c);
	}
	free(u.keys.items);
	return u.error;
}

int
uapi_set_finish(struct uapi_set *s)
{
	int r = peer_end(s), error = s->error ? s->error : r;
	if (!error && s->replace_peers)
		error = remove_unnamed(s);
	uapi_set_abort(s);
	return error;
}
