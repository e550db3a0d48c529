/* SPDX-License-Identifier: BSD-3-Clause */
/* What a client's frames do: relay a packet, answer, and for servers of the mesh watch, forward and close. */
#include "relay.h"
#include "session.h"

#define SECOND 1000000000ull
#define NOT_HERE_BURST 3
#define TWINS_AFTER (5 * SECOND) /* what a client that has come again left behind has arrived by then */
#define TWINS "another connection uses this node's key: packets go to the one that spoke last"

static struct session *
session_of(struct member *m)
{
	return (struct session *)m;
}

static void
send_gone(struct session *to, const uint8_t key[32], enum frame_gone reason)
{
	uint8_t *p = session_frame(to, &to->control, FRAME_PEER_GONE, FRAME_KEY + 1);
	if (p == NULL)
		return;
	memcpy(p, key, FRAME_KEY);
	p[FRAME_KEY] = (uint8_t)reason;
	relay_count(to->relay, PEER_GONE, 1);
}

/* Only for path discovery, and not often: an answer to every packet would double a flood. */
static void
not_here(struct session *s, const uint8_t key[32], const uint8_t *packet, uint32_t len)
{
	const uint64_t now = s->relay->turn_at;
	relay_count(s->relay, DROP_UNKNOWN, 1);
	if (!frame_is_disco(packet, len))
		return;
	/* A bucket of three, one more each second; not_here_at is when it was, or will be, full. */
	if (s->not_here_at < now)
		s->not_here_at = now;
	if (s->not_here_at + SECOND > now + NOT_HERE_BURST * SECOND)
		return;
	s->not_here_at += SECOND;
	send_gone(s, key, FRAME_GONE_NOT_HERE);
	relay_count(s->relay, NOT_HERE, 1);
}

/* The local connection that packets for a key go to; remembers that `source` reaches it. */
static struct session *
find_target(struct session *s, struct party *source, const struct party *p)
{
	struct registry *g = &s->relay->registry;
	struct member *m = p ? TAILQ_FIRST(&p->members) : NULL;
	if (m != NULL && source != NULL)
		registry_reached(g, source, m);
	return m ? session_of(m) : NULL;
}

static void
relay_packet(struct session *s, const struct frame *f)
{
	struct relay *r = s->relay;
	const uint8_t *packet = f->body + FRAME_KEY;
	const uint32_t len = f->len - FRAME_KEY;
	relay_count(r, PACKETS_IN, 1);
	relay_count(r, BYTES_IN, len);
	if (s->epoch != r->registry.epoch || memcmp(s->to_key, f->body, FRAME_KEY) != 0) {
		s->far = registry_find(&r->registry, f->body);
		s->to = find_target(s, s->member.party, s->far);
		memcpy(s->to_key, f->body, FRAME_KEY);
		s->epoch = r->registry.epoch;
	}
	if (s->to != NULL)
		session_packet(s->to, s->member.party->key, packet, len);
	else if (s->far == NULL || !mesh_forward(r, s->far, s->member.party->key, packet, len))
		not_here(s, f->body, packet, len);
}

/* A neighbour's packet is for a client here, or nobody's: it is never forwarded again. */
static bool
take_forwarded(struct session *s, const struct frame *f)
{
	const uint8_t *packet = f->body + 2 * FRAME_KEY;
	const uint32_t len = f->len - 2 * FRAME_KEY;
	if (!s->mesh)
		return false;
	relay_count(s->relay, FORWARDED_IN, 1);
	const struct registry *g = &s->relay->registry;
	struct session *to = find_target(s, registry_find(g, f->body), registry_find(g, f->body + FRAME_KEY));
	if (to != NULL)
		session_packet(to, f->body, packet, len);
	else
		not_here(s, f->body + FRAME_KEY, packet, len);
	return true;
}

static bool
watch(struct session *s)
{
	struct relay *r = s->relay;
	if (!s->mesh)
		return false;
	if (!s->on_watchers) {
		s->on_watchers = true;
		TAILQ_INSERT_TAIL(&r->watchers, s, watchers);
	}
	for (unsigned i = 0; i < PULSE_SLOTS; i++) {
		struct session *other;
		TAILQ_FOREACH(other, &r->pulse[i], life)
			session_announce(other, s);
	}
	return true;
}

static bool
close_peer(struct session *s, const uint8_t key[32])
{
	if (!s->mesh)
		return false;
	struct party *p = registry_find(&s->relay->registry, key);
	struct member *m;
	if (p != NULL)
		TAILQ_FOREACH(m, &p->members, link)
			session_kill(session_of(m));
	return s->state != SESSION_DEAD;
}

static void
pong(struct session *s, const uint8_t data[8])
{
	relay_count(s->relay, PINGS, 1);
	uint8_t *p = s->control.bytes > CONTROL_MAX / 2 ? NULL : session_frame(s, &s->control, FRAME_PONG, 8);
	if (p != NULL)
		memcpy(p, data, 8);
}

bool
session_act(struct session *s, const struct frame *f)
{
	switch (f->type) {
	case FRAME_SEND:
		relay_packet(s, f);
		return true;
	case FRAME_FORWARD:
		return take_forwarded(s, f);
	case FRAME_NOTE_PREFERRED:
		s->preferred = f->body[0] != 0;
		return true;
	case FRAME_WATCH:
		return watch(s);
	case FRAME_CLOSE_PEER:
		return close_peer(s, f->body);
	case FRAME_PING:
		pong(s, f->body);
		return true;
	default:
		return true;
	}
}

void
relay_tell_gone(void *arg, struct member *target, const uint8_t key[32])
{
	(void)arg;
	struct session *to = session_of(target);
	if (!to->on_watchers) /* watchers are told of everyone */
		send_gone(to, key, FRAME_GONE_DISCONNECTED);
}

/* ---- Health: two machines with one key ---- */

static void
tell_health(struct session *to, bool twin)
{
	const uint32_t len = twin ? sizeof(TWINS) - 1 : 0; /* no text: it is well again */
	if (to->twin == twin || to->mesh)
		return;
	uint8_t *p = session_frame(to, &to->control, FRAME_HEALTH, len);
	if (p == NULL)
		return;
	memcpy(p, TWINS, len);
	to->twin = twin;
	relay_count(to->relay, HEALTH, 1);
}

/* Both are alive if one speaks after the other, long after they have come. */
void
session_spoke(struct session *s)
{
	struct relay *r = s->relay;
	struct members *all = &s->member.party->members;
	const struct session *other = session_of(TAILQ_FIRST(all));
	struct member *m;
	if (other == s)
		return;
	registry_spoke(&r->registry, &s->member);
	if (r->turn_at - s->entered < TWINS_AFTER || r->turn_at - other->entered < TWINS_AFTER)
		return;
	TAILQ_FOREACH(m, all, link)
		tell_health(session_of(m), true);
}

void
session_left(struct session *s)
{
	struct relay *r = s->relay;
	struct party *p = registry_leave(&r->registry, &s->member);
	struct member *last = TAILQ_FIRST(&p->members);
	if (last != NULL && TAILQ_NEXT(last, link) == NULL)
		tell_health(session_of(last), false);
	struct session *w;
	if (TAILQ_EMPTY(&p->members))
		TAILQ_FOREACH(w, &r->watchers, watchers)
			send_gone(w, p->key, FRAME_GONE_DISCONNECTED);
	if (registry_empty(p))
		registry_bury(&r->registry, p, relay_tell_gone, NULL);
}
