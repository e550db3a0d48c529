/* SPDX-License-Identifier: BSD-3-Clause */
#include "mesh.h"

#include "relay.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#define RETRY_MS 5000
#define FORWARD_QUEUE_MAX (1u << 20)

bool
mesh_parse(struct dial_target *out, const char *text)
{
	char addr[64], *end;
	const char *at = strrchr(text, '@'), *colon = strrchr(text, ':');
	*out = (struct dial_target){0};
	if (at == NULL || colon == NULL || colon < at || at == text || (size_t)(at - text) >= sizeof(out->host))
		return false;
	memcpy(out->host, text, (size_t)(at - text));
	const bool v6 = at[1] == '[' && colon[-1] == ']';
	snprintf(addr, sizeof(addr), "%.*s", (int)(colon - at - 1 - (v6 ? 2 : 0)), at + 1 + (v6 ? 1 : 0));
	const unsigned long port = strtoul(colon + 1, &end, 10);
	out->addr.addr.family = v6 ? 6 : 4;
	out->addr.port = (uint16_t)port;
	return colon[1] != '\0' && *end == '\0' && port > 0 && port < 65536 &&
	       inet_pton(v6 ? AF_INET6 : AF_INET, addr, out->addr.addr.ip) == 1;
}

static struct neighbour *
neighbour_of(struct dial *d)
{
	return (struct neighbour *)((char *)d - offsetof(struct neighbour, dial));
}

static void dial_again(void *arg);

static void
retry_later(struct neighbour *n)
{
	if (n->retry == NULL && !n->is_me)
		n->retry = n->relay->host->watch_timer(n->relay->instance, RETRY_MS, 0, dial_again, n);
}

/* Its key is known, ours is underway: watch. */
static void
on_opened(struct dial *d)
{
	struct neighbour *n = neighbour_of(d);
	n->is_me = memcmp(d->relay_key, n->relay->identity.public_key, 32) == 0;
	dial_frame(d, &d->control, FRAME_WATCH, 0);
}

static void
lose(struct relay *r, struct party *p, struct neighbour *n)
{
	registry_renounce(&r->registry, p, &n->member);
	if (registry_empty(p))
		registry_bury(&r->registry, p, relay_tell_gone, NULL);
}

static bool
on_frame(struct dial *d, const struct frame *f)
{
	struct neighbour *n = neighbour_of(d);
	struct relay *r = n->relay;
	struct party *p;
	if (n->is_me)
		return false;
	switch (f->type) {
	case FRAME_PEER_PRESENT:
		if (memcmp(f->body, r->identity.public_key, FRAME_KEY) != 0)
			registry_announce(&r->registry, f->body, &n->member);
		break;
	case FRAME_PEER_GONE:
		p = registry_find(&r->registry, f->body);
		if (p != NULL)
			lose(r, p, n);
		break;
	case FRAME_PING: {
		uint8_t *pong = dial_frame(d, &d->control, FRAME_PONG, 8);
		if (pong != NULL)
			memcpy(pong, f->body, 8);
		break;
	}
	default:
		break;
	}
	return true;
}

static void
on_closed(struct dial *d, const char *why)
{
	struct neighbour *n = neighbour_of(d);
	struct relay *r = n->relay;
	struct party *p, *next;
	HASH_ITER(hh, r->registry.parties, p, next)
		lose(r, p, n);
	relay_turn_soon(r);
	if (!n->is_me)
		r->host->log(r->instance, TR_LOG_WARNING, "mesh: %s: %s", n->target.host, why);
	retry_later(n);
}

static void
dial_again(void *arg)
{
	struct neighbour *n = arg;
	if (n->retry != NULL)
		n->relay->host->watch_close(n->retry);
	n->retry = NULL;
	if (!dial_start(&n->dial, &n->target))
		retry_later(n);
}

void
mesh_open(struct relay *r)
{
	for (unsigned i = 0; i < r->n_neighbours; i++) {
		struct neighbour *n = &r->neighbour[i];
		n->relay = r;
		n->dial = (struct dial){.instance = r->instance, .host = r->host, .wire = &r->wire, .chunks = &r->chunks,
			.tls = r->tls_out, .self = &r->self, .opened = on_opened, .frame = on_frame, .closed = on_closed};
		dial_again(n);
	}
}

void
mesh_close(struct relay *r)
{
	struct party *p, *next;
	for (unsigned i = 0; i < r->n_neighbours; i++) {
		struct neighbour *n = &r->neighbour[i];
		if (n->retry != NULL)
			r->host->watch_close(n->retry);
		n->retry = NULL;
		dial_stop(&n->dial);
		HASH_ITER(hh, r->registry.parties, p, next)
			lose(r, p, n);
	}
}

bool
mesh_forward(struct relay *r, const struct party *target, const uint8_t source[32], const uint8_t *packet, uint32_t len)
{
	if (target->announced == NULL)
		return false;
	struct neighbour *n = (struct neighbour *)target->announced->neighbour;
	struct dial *d = &n->dial;
	uint8_t *p = d->packets.bytes > FORWARD_QUEUE_MAX ? NULL
			 : dial_frame(d, &d->packets, FRAME_FORWARD, 2 * FRAME_KEY + len);
	if (p == NULL) {
		relay_count(r, DROP_FULL, 1);
		return true;
	}
	memcpy(p, source, FRAME_KEY);
	memcpy(p + FRAME_KEY, target->key, FRAME_KEY);
	memcpy(p + 2 * FRAME_KEY, packet, len);
	relay_count(r, FORWARDED_OUT, 1);
	relay_turn_soon(r);
	return true;
}

void
mesh_flush(struct relay *r)
{
	for (unsigned i = 0; i < r->n_neighbours; i++)
		if (r->neighbour[i].dial.packets.head != NULL)
			dial_flush(&r->neighbour[i].dial);
}
