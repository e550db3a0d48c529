/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A peer's addresses, and when which of them is pinged. While the transport sends to the peer, the address in use is
 * pinged every 3 s, and all of them as long as none is trusted. The core chooses; what is told it here is what answered.
 */
#include "via.h"

void
peer_forget(struct tr_node *node, uint32_t id)
{
	const struct punch *punch = node->self;
	struct peer *p = peer_of(punch, id);
	probe_forget(node, id);
	via_forget(node, id);
	node->host->timer_cancel(node, &p->timer);
	node->host->crypto->wipe(p, sizeof(*p));
}

struct peer *
peer_get(struct tr_node *node, uint32_t id, const struct tr_peer **record)
{
	struct punch *punch = node->self;
	const struct tr_peer *r = node->host->peer(punch->instance, id);
	static const uint8_t none[DISCO_KEY];
	struct peer *p = peer_of(punch, id);
	*record = r;
	if (r != NULL && memcmp(p->public_key, r->public_key, DISCO_KEY) == 0 && memcmp(r->disco_key, none, DISCO_KEY) != 0)
		return p;
	if (memcmp(p->public_key, none, DISCO_KEY) != 0)
		peer_forget(node, id);
	if (r == NULL || memcmp(r->disco_key, none, DISCO_KEY) == 0)
		return NULL;
	memcpy(p->public_key, r->public_key, DISCO_KEY);
	return p;
}

/* ---- Addresses ---- */

struct tr_endpoint
peer_endpoint(const struct punch *punch, const struct target *t)
{
	const uint16_t listen = atomic_load_explicit(&punch->listen, memory_order_relaxed);
	struct tr_endpoint e = {.family = t->family & 0xf, .remote_port = t->port, .local_port = t->local_port ? t->local_port : listen,
		.flags = t->local_port ? TR_ENDPOINT_BOUND : 0};
	memcpy(e.remote, t->ip, sizeof(e.remote));
	return e;
}

static struct target *
find(struct peer *p, const struct tr_endpoint *e)
{
	for (uint16_t i = 0; i < p->n; i++) {
		struct target *t = &p->target[i];
		if (t->from != 0 && t->port == e->remote_port && t->local_port == e->local_port && t->family == e->family &&
			memcmp(t->ip, e->remote, sizeof(t->ip)) == 0)
			return t;
	}
	return NULL;
}

static void
tell(struct tr_node *node, uint32_t id, const struct target *t, enum tr_path_state state, uint64_t latency)
{
	const struct punch *punch = node->self;
	struct tr_path news = {.endpoint = peer_endpoint(punch, t), .state = (uint8_t)state,
		.until = state == TR_PATH_ALIVE ? *node->now + TRUST : 0, .latency_us = (uint32_t)(latency / 1000 + (latency != 0)),
		.origin = t->from & FROM_CALL ? TR_PATH_CALLED : TR_PATH_PROBED};
	news.endpoint.mtu = probe_payload(node, id, &news.endpoint);
	node->host->path_tell(node, id, &news);
}

void
peer_untarget(struct tr_node *node, uint32_t id, struct target *t)
{
	if (t->told)
		tell(node, id, t, TR_PATH_GONE, 0);
	memset(t, 0, sizeof(*t));
}

/* The least useful: a guess, or what was called, that has never answered; longest ago first. */
static struct target *
displace(struct peer *p)
{
	struct target *least = NULL;
	for (uint16_t i = 0; i < TARGETS; i++) {
		struct target *t = &p->target[i];
		if (t->answered == 0 && t->from == FROM_CALL && (least == NULL || t->pinged < least->pinged))
			least = t;
	}
	return least;
}

struct target *
peer_target(struct peer *p, const struct tr_endpoint *e, enum target_source from)
{
	struct target *t = find(p, e), *room = NULL;
	if (t != NULL) {
		t->from |= (uint8_t)from;
		return t;
	}
	for (uint16_t i = 0; i < p->n && room == NULL; i++)
		if (p->target[i].from == 0)
			room = &p->target[i];
	if (room == NULL)
		room = p->n < TARGETS ? &p->target[p->n++] : displace(p);
	if (room == NULL)
		return NULL;
	*room = (struct target){.family = e->family, .port = e->remote_port, .local_port = e->local_port, .from = (uint8_t)from};
	memcpy(room->ip, e->remote, sizeof(room->ip));
	return room;
}

/* Takes up what the core knows of the peer's paths, and lets go of what it knows no more. */
static void
sync_netmap(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct punch *punch = node->self;
	struct tr_path path[TR_PATHS];
	bool seen[TARGETS] = {false};
	const uint16_t n = node->host->path_list(punch->instance, id, path, TR_PATHS);
	for (uint16_t i = 0; i < n; i++) {
		struct tr_endpoint e = path[i].endpoint;
		if (e.gate != TR_KIND_UDP || e.remote_port == 0 || path[i].origin >= TR_PATH_PROBED) /* these are ours */
			continue;
		if ((e.flags & TR_ENDPOINT_BOUND) == 0)
			e.local_port = 0;
		struct target *t = peer_target(p, &e, FROM_NETMAP);
		if (t != NULL) {
			t->told = true;
			seen[t - p->target] = true;
		}
	}
	for (uint16_t i = 0; i < p->n; i++) {
		struct target *t = &p->target[i];
		if (!seen[i] && (t->from & FROM_NETMAP) != 0) {
			t->from &= (uint8_t)~FROM_NETMAP;
			t->told = false;
		}
	}
}

/* Called addresses stay until a later call leaves them out; learned ones for a while after their last ping. */
static bool
expired(const struct target *t, uint64_t now)
{
	return t->from != 0 && (t->from & (FROM_CALL | FROM_NETMAP)) == 0 && now > t->heard + LEARNED &&
	       (t->answered == 0 || now > t->answered + TRUST);
}

/* ---- Pings ---- */

void
peer_ping(struct tr_node *node, uint32_t id, struct peer *p, struct target *t)
{
	const struct tr_endpoint e = peer_endpoint(node->self, t);
	struct attempt *a = &t->attempt[0], *b = &t->attempt[1];
	const bool works = t->answered != 0; /* then the oldest stays: its timeout tells that the path is dead */
	if (a->open && (!b->open || (works ? a->sent < b->sent : b->sent < a->sent)))
		a = b;
	send_ping(node, p, &e, a->txid);
	a->open = 1;
	a->sent = t->pinged = *node->now;
	if (t->told && t->answered == 0)
		tell(node, id, t, TR_PATH_TRIED, 0);
}

void
peer_try_all(struct tr_node *node, uint32_t id, struct peer *p, bool call)
{
	const uint64_t now = *node->now;
	struct tr_path best;
	sync_netmap(node, id, p);
	for (uint16_t i = 0; i < p->n; i++) {
		struct target *t = &p->target[i];
		if (t->from == 0 || expired(t, now)) {
			if (t->from != 0)
				peer_untarget(node, id, t);
			continue;
		}
		if (t->pinged == 0 || now >= t->pinged + PING_GAP)
			peer_ping(node, id, p, t);
	}
	p->full = now;
	/* Unlike stock also when we know no address of the peer: it may know ours by no other way. Pings come first, so that
	 * our own NAT is open when the peer's arrive. */
	const bool due = p->called == 0 || now >= p->called + CALL_GAP || (now >= p->called + NEWS_GAP && send_news(node, p));
	if (call && due && send_call(node, id, p, NULL, 0)) {
		p->again = now + AGAIN_AFTER;
		search_consider(node, id, p);
	}
	if (call && !peer_direct(node, id, &best))
		via_consider(node, id, p);
}

/* What was sent before the call came to NATs that were shut. */
static void
try_again(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct tr_path best;
	unsigned n = 0;
	p->again = 0;
	if (peer_direct(node, id, &best))
		return;
	sync_netmap(node, id, p);
	for (uint16_t i = 0; i < p->n; i++)
		if (p->target[i].from != 0 && n++ < AGAIN_MAX)
			peer_ping(node, id, p, &p->target[i]);
}

bool
peer_direct(struct tr_node *node, uint32_t id, struct tr_path *best)
{
	struct punch *punch = node->self;
	*best = (struct tr_path){0};
	return node->host->path_list(punch->instance, id, best, 1) == 1 && best->endpoint.gate == TR_KIND_UDP &&
	       best->state == TR_PATH_ALIVE && best->until > *node->now && best->use == TR_PATH_IN_USE;
}

/* ---- Time ---- */

void
peer_schedule(struct tr_node *node, uint32_t id, struct peer *p)
{
	uint64_t next = p->heartbeat;
	for (uint16_t i = 0; i < p->n; i++)
		for (unsigned k = 0; k < 2; k++)
			if (p->target[i].attempt[k].open && (next == 0 || p->target[i].attempt[k].sent + PING_TIMEOUT < next))
				next = p->target[i].attempt[k].sent + PING_TIMEOUT;
	for (uint16_t i = 0; i < p->n; i++) {
		const struct target *t = &p->target[i];
		const uint64_t late = t->pinged + patience(t->rtt);
		if (t->answered != 0 && t->answered < t->pinged && *node->now < late && (next == 0 || late < next))
			next = late;
	}
	if (p->search.due != 0 && (next == 0 || p->search.due < next))
		next = p->search.due;
	if (p->again != 0 && (next == 0 || p->again < next))
		next = p->again;
	next = via_next(node->self, id, next, *node->now);
	if (next != 0)
		node->host->timer_arm(node, &p->timer, next);
}

unsigned
peer_doubt(struct peer *p, const struct tr_path *path, uint64_t pinged, uint64_t answered, uint8_t rtt, uint64_t now)
{
	const uint64_t gap = p->quiet != 0 ? p->quiet * MS : QUIET;
	if (answered == 0 || now >= answered + TRUST)
		return DOUBT_LOST;
	if (answered < pinged) /* a pong is awaited */
		return now < pinged + patience(rtt) ? 0 : DOUBT_LOST | DOUBT_PING;
	if (path->until <= now) /* the peer does not trust it */
		return DOUBT_PING;
	if (now < path->heard + QUIET || now < pinged + gap)
		return 0;
	p->quiet = (uint16_t)((2 * gap < HEARTBEAT ? 2 * gap : HEARTBEAT) / MS);
	p->asked = true;
	return DOUBT_PING;
}

void
peer_lively(struct peer *p, const struct tr_path *path, uint64_t answered)
{
	if (!p->asked && path->heard > answered)
		p->quiet = 0;
	p->asked = false;
}

/* Of a direct path in use, as the core has it. NULL: none is. */
static struct target *
target_in_use(struct peer *p, struct tr_path *best)
{
	if (best->endpoint.family == 0 || best->endpoint.gate != TR_KIND_UDP)
		return NULL;
	if ((best->endpoint.flags & TR_ENDPOINT_BOUND) == 0)
		best->endpoint.local_port = 0;
	return find(p, &best->endpoint);
}

/* Is it enough to wait for the pong of the path in use? */
static bool
doubt(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct tr_path best;
	const bool direct = peer_direct(node, id, &best);
	struct target *t = target_in_use(p, &best);
	if (best.endpoint.gate == TR_KIND_RELAY)
		via_wanted(node, id, p, &best);
	if (t == NULL)
		return direct;
	const unsigned d = peer_doubt(p, &best, t->pinged, t->answered, t->rtt, *node->now);
	if (d & DOUBT_PING)
		peer_ping(node, id, p, t);
	return direct || (d & DOUBT_LOST) == 0;
}

/* Something was sent to a peer that has no trusted direct path, or one that is silent, or to one that had been left alone. */
void
peer_wanted(struct tr_node *node, uint32_t id)
{
	const struct tr_peer *record;
	struct punch *punch = node->self;
	struct peer *p = peer_get(node, id, &record);
	if (p == NULL)
		return;
	if (!send_ready(punch, p, record)) {
		p->wanted = true;
		if (p->computing == 0 && !send_key(node, id, p, record, NULL, OUT_PEER))
			p->wanted = false; /* the next packet asks again */
		return;
	}
	if (!doubt(node, id, p))
		peer_try_all(node, id, p, true);
	if (!p->active) {
		p->active = true;
		p->heartbeat = *node->now + HEARTBEAT;
	}
	peer_schedule(node, id, p);
}

void
peer_key_ready(struct tr_node *node, uint32_t id)
{
	const struct tr_peer *record;
	struct peer *p = peer_get(node, id, &record);
	if (p == NULL || !p->wanted)
		return;
	p->wanted = false;
	peer_wanted(node, id);
}

static void
time_out(struct tr_node *node, uint32_t id, struct peer *p)
{
	const uint64_t now = *node->now;
	for (uint16_t i = 0; i < p->n; i++) {
		struct target *t = &p->target[i];
		for (unsigned k = 0; k < 2; k++) {
			struct attempt *a = &t->attempt[k];
			if (!a->open || now < a->sent + PING_TIMEOUT)
				continue;
			a->open = 0;
			node->count[COUNT_TIMEOUTS]++;
			if (t->told && t->answered < a->sent)
				tell(node, id, t, TR_PATH_DEAD, 0);
		}
	}
}

/* The last ping over the path in use has no pong yet, although it is time for it: copies by DERP from now on. */
static void
lose_patience(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct tr_path best;
	if (!peer_direct(node, id, &best))
		return;
	struct target *t = target_in_use(p, &best);
	if (t == NULL || t->answered == 0 || t->answered >= t->pinged || *node->now < t->pinged + patience(t->rtt))
		return;
	tell(node, id, t, TR_PATH_TRIED, 0);
	node->count[COUNT_DOUBTS]++;
	peer_ping(node, id, p, t); /* a single one may get lost */
}

static void
beat(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct tr_path best;
	const uint64_t now = *node->now;
	if (now >= node->host->path_sent(node, id) + ACTIVE) {
		p->active = false;
		p->heartbeat = 0;
		search_end(p, false, now);
		return;
	}
	const bool direct = peer_direct(node, id, &best);
	struct target *t = target_in_use(p, &best);
	if (t != NULL) {
		peer_lively(p, &best, t->answered);
		peer_ping(node, id, p, t);
	}
	if (t != NULL && direct) {
		const struct tr_endpoint path = peer_endpoint(node->self, t);
		probe_beat(node, id, p, &path);
	}
	if (best.endpoint.gate == TR_KIND_RELAY)
		via_beat(node, id, p, &best);
	if (!direct || (best.latency_us > GOOD_ENOUGH_US && now >= p->full + UPGRADE))
		peer_try_all(node, id, p, true);
	p->heartbeat = now + HEARTBEAT;
}

void
peer_tick(struct tr_node *node, struct tr_timer *timer)
{
	struct punch *punch = node->self;
	const uint32_t id = (uint32_t)(((uint8_t *)timer - punch->peers->base) / punch->peers->stride);
	const struct tr_peer *record;
	struct peer *p = peer_get(node, id, &record);
	if (p == NULL)
		return;
	time_out(node, id, p);
	if (!send_ready(punch, p, record)) { /* the peer has started anew: nothing is sealed with the old key */
		p->wanted = p->active;
		p->active = false;
		p->heartbeat = 0;
		if (p->wanted && p->computing == 0)
			send_key(node, id, p, record, NULL, OUT_PEER);
		return;
	}
	via_tick(node, id, p);
	lose_patience(node, id, p);
	if (p->heartbeat != 0 && *node->now >= p->heartbeat)
		beat(node, id, p);
	if (p->again != 0 && *node->now >= p->again)
		try_again(node, id, p);
	if (p->search.due != 0 && *node->now >= p->search.due)
		search_step(node, id, p);
	peer_schedule(node, id, p);
}
