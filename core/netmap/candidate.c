/* SPDX-License-Identifier: BSD-3-Clause */
#include "candidate.h"

#define MS 1000000ull
#define HEARD_LEAST (600 * MS)  /* trust of an address that the peer was heard from */
#define HEARD_MOST (11000 * MS) /* a WireGuard peer that receives sends a keepalive after 10 s */
#define TRIAL (10000 * MS)      /* a direct path that is not heard of is given up after it */
#define RENEW (200 * MS)        /* at most this often a trusted path asks whether the peer is heard */
#define RENEW_PROBED (150 * MS) /* the same of one that is probed; one and a half round trips, if that is more */
#define HOLD (1000 * MS)        /* packets by the relay that were on their way when a path was answered on */
#define HOLD_MOST (4000 * MS)

bool
endpoint_same(const struct tr_endpoint *a, const struct tr_endpoint *b)
{
	return a->gate == b->gate && a->family == b->family && a->remote_port == b->remote_port &&
	       memcmp(a->remote, b->remote, sizeof(a->remote)) == 0 &&
	       (a->gate == TR_KIND_UDP || memcmp(a->local, b->local, sizeof(a->local)) == 0);
}

static bool
direct(const struct tr_endpoint *e)
{
	return e->gate == TR_KIND_UDP;
}

/* Used alone while it is trusted: a direct path, or one by a peer relay. The others are relays that need no proof. */
static bool
provable(const struct tr_endpoint *e)
{
	return e->gate == TR_KIND_UDP || e->gate == TR_KIND_RELAY;
}

void
candidates_init(struct candidates *c)
{
	*c = (struct candidates){.best = CANDIDATES_NONE, .relay = CANDIDATES_NONE};
}

static uint8_t
find(const struct candidates *c, const struct tr_endpoint *e)
{
	for (uint8_t i = 0; i < c->n; i++)
		if (endpoint_same(&c->path[i].endpoint, e))
			return i;
	return CANDIDATES_NONE;
}

static bool
trusted(const struct candidates *c, uint8_t i, uint64_t now)
{
	return i != CANDIDATES_NONE && c->path[i].state == TR_PATH_ALIVE && c->path[i].until > now;
}

/* Less is less worth keeping: what was tried in vain, then what nobody has heard of, then what was heard long ago. */
static uint64_t
worth(const struct tr_path *p)
{
	const unsigned rank = p->state == TR_PATH_DEAD ? 0 : p->origin == TR_PATH_CONFIGURED ? 2 : 1;
	return (uint64_t)rank << 62 | p->heard >> 2;
}

static uint8_t
add(struct candidates *c, const struct tr_endpoint *e, enum tr_path_origin origin)
{
	uint8_t i = c->n;
	if (c->n < TR_PATHS) {
		c->n++;
	} else {
		uint8_t least = CANDIDATES_NONE;
		for (i = 0; i < c->n; i++)
			if (i != c->best && i != c->relay &&
				(least == CANDIDATES_NONE || worth(&c->path[i]) < worth(&c->path[least])))
				least = i;
		i = least;
	}
	c->path[i] = (struct tr_path){.endpoint = *e, .origin = (uint8_t)origin};
	c->path[i].endpoint.flags = e->flags & TR_ENDPOINT_BOUND;
	return i;
}

static uint8_t
get(struct candidates *c, const struct tr_endpoint *e, enum tr_path_origin origin)
{
	const uint8_t i = find(c, e);
	return i != CANDIDATES_NONE ? i : add(c, e, origin);
}

static void
use(struct candidates *c, uint8_t i, enum tr_path_why why)
{
	c->best = i;
	c->why = (uint8_t)why;
}

/* ---- Which direct path ---- */

static unsigned
address_points(const struct tr_endpoint *e)
{
	const uint8_t *a = e->remote;
	if (e->family == 6) {
		static const uint8_t loopback[16] = {[15] = 1};
		return 10 + (memcmp(a, loopback, 16) == 0 ? 50u : a[0] == 0xfe && (a[1] & 0xc0) == 0x80 ? 30u : (a[0] & 0xfe) == 0xfc ? 20u : 0u);
	}
	const bool private = a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168);
	return a[0] == 127 ? 50u : a[0] == 169 && a[1] == 254 ? 30u : private ? 20u : 0u;
}

/* Is `a`, which has just been answered on, better than `b`, which is trusted? */
static bool
better(const struct tr_path *a, const struct tr_path *b)
{
	if (direct(&a->endpoint) != direct(&b->endpoint))
		return direct(&a->endpoint);
	const uint64_t fast = a->latency_us < b->latency_us ? a->latency_us : b->latency_us;
	const uint64_t slow = a->latency_us < b->latency_us ? b->latency_us : a->latency_us;
	const unsigned saved = slow ? (unsigned)(100 - 100 * fast / slow) : 0;
	const unsigned mine = address_points(&a->endpoint) + (a->latency_us < b->latency_us ? saved : 0);
	const unsigned theirs = address_points(&b->endpoint) + (b->latency_us < a->latency_us ? saved : 0);
	return (mine > 1 || theirs > 0) && mine > theirs;
}

/* The best of the paths that are trusted; none: none. */
static void
choose(struct candidates *c, uint64_t now)
{
	uint8_t best = CANDIDATES_NONE;
	for (uint8_t i = 0; i < c->n; i++)
		if (provable(&c->path[i].endpoint) && trusted(c, i, now) &&
			(best == CANDIDATES_NONE || better(&c->path[i], &c->path[best])))
			best = i;
	use(c, best, TR_PATH_BETTER);
}

/* The peer's home, else where it was heard last. */
static void
choose_relay(struct candidates *c)
{
	c->relay = CANDIDATES_NONE;
	for (uint8_t i = 0; i < c->n; i++) {
		const struct tr_path *p = &c->path[i], *r = c->relay == CANDIDATES_NONE ? NULL : &c->path[c->relay];
		if (provable(&p->endpoint))
			continue;
		const bool home = p->origin == TR_PATH_CONFIGURED;
		if (!r || home || (r->origin != TR_PATH_CONFIGURED && p->heard > r->heard))
			c->relay = i;
	}
}

static void
forget(struct candidates *c, uint8_t i, uint64_t now)
{
	const bool was_best = c->best == i, was_relay = c->relay == i;
	const uint8_t last = --c->n;
	c->path[i] = c->path[last];
	c->path[last] = (struct tr_path){0};
	if (c->best == last)
		c->best = i;
	if (c->relay == last)
		c->relay = i;
	if (was_best)
		choose(c, now);
	if (was_relay)
		choose_relay(c);
}

/* ---- What is told ---- */

static void
try_out(struct candidates *c, uint8_t i, uint64_t now)
{
	c->path[i].state = TR_PATH_TRIED;
	c->path[i].until = now + TRIAL;
	use(c, i, TR_PATH_TRYING);
}

void
candidates_configure(struct candidates *c, const struct tr_endpoint *e, enum tr_path_origin origin, uint64_t now)
{
	const uint8_t i = get(c, e, origin);
	c->path[i].origin = (uint8_t)origin;
	if (!c->probed)
		try_out(c, i, now);
}

void
candidates_home(struct candidates *c, uint16_t region, const uint8_t key[32])
{
	for (uint8_t i = 0; i < c->n; i++)
		if (c->path[i].endpoint.gate == TR_KIND_DERP && c->path[i].origin == TR_PATH_CONFIGURED)
			c->path[i].origin = TR_PATH_HEARD; /* where the peer lived before */
	if (region) {
		const struct tr_endpoint e = tr_endpoint_derp(region, key);
		c->path[get(c, &e, TR_PATH_CONFIGURED)].origin = TR_PATH_CONFIGURED;
	}
	choose_relay(c);
}

static void
answered(struct candidates *c, uint8_t i, const struct tr_path *news, uint64_t now)
{
	struct tr_path *p = &c->path[i];
	const bool alive = p->state == TR_PATH_ALIVE, held = trusted(c, i, now), larger = alive && p->endpoint.mtu && news->endpoint.mtu > p->endpoint.mtu;
	p->state = TR_PATH_ALIVE;
	p->heard = now;
	if (news->latency_us)
		p->latency_us = news->latency_us;
	if (news->endpoint.mtu)
		p->endpoint.mtu = news->endpoint.mtu;
	if (!held)
		c->calm = now + (c->hold ? c->hold : HOLD);
	p->endpoint.local_port = news->endpoint.local_port;
	p->endpoint.flags = news->endpoint.flags & TR_ENDPOINT_BOUND;
	if (!alive || news->until > p->until)
		p->until = news->until;
	if (!provable(&p->endpoint))
		choose_relay(c);
	else if (c->best == i && (larger || c->why == TR_PATH_TRYING || c->why == TR_PATH_LAST_HEARD))
		c->why = larger ? TR_PATH_LARGER : TR_PATH_FIRST;
	else if (c->best != i && !trusted(c, c->best, now))
		use(c, i, TR_PATH_FIRST);
	else if (c->best != i && better(p, &c->path[c->best]))
		use(c, i, TR_PATH_BETTER);
}

void
candidates_tell(struct candidates *c, const struct tr_path *news, uint64_t now)
{
	uint8_t i = find(c, &news->endpoint);
	if (news->state == TR_PATH_GONE) {
		if (i != CANDIDATES_NONE)
			forget(c, i, now);
		return;
	}
	if (i == CANDIDATES_NONE)
		i = add(c, &news->endpoint, news->origin);
	const bool probed = c->probed;
	if (news->state != TR_PATH_UNTRIED && provable(&news->endpoint))
		c->probed = true;
	if (news->state == TR_PATH_ALIVE)
		answered(c, i, news, now);
	else if (news->state == TR_PATH_TRIED && !trusted(c, i, now))
		c->path[i].state = TR_PATH_TRIED;
	else if (news->state == TR_PATH_TRIED && probed)
		c->path[i].until = now; /* an answer is overdue: it goes on, but no longer alone */
	else if (news->state == TR_PATH_DEAD && !trusted(c, i, now)) {
		c->path[i].state = TR_PATH_DEAD;
		if (c->best == i)
			choose(c, now);
	}
	if (!provable(&news->endpoint))
		choose_relay(c);
}

/* ---- What is heard ---- */

/* The peer sends by the relay, so it does not trust the path that we do. Whoever probes it is to ask at once; until the answer
 * the relay has copies. A peer that sends by the relay although all is well is believed less and less. */
static void
doubt_probed(struct candidates *c, uint64_t now)
{
	if (!trusted(c, c->best, now) || now < c->calm)
		return;
	const bool again = c->doubted && now < c->doubted + 4 * HOLD_MOST;
	c->hold = !again ? HOLD : c->hold < HOLD_MOST / 2 ? 2 * c->hold : HOLD_MOST;
	c->doubted = now;
	c->path[c->best].until = now;
}

/* By the relay. The peer may have sent it by both, and then the direct copy did not come, or came later: so the direct path
 * is not trusted until the peer is heard from it again. Nobody else tells that it is dead. */
static void
doubt(struct candidates *c, uint64_t now)
{
	struct tr_path *best = c->best == CANDIDATES_NONE ? NULL : &c->path[c->best];
	if (c->probed)
		doubt_probed(c, now);
	if (c->probed || !best)
		return;
	if (trusted(c, c->best, now))
		best->until = now;
	if (best->until > now)
		return;
	if (best->state == TR_PATH_ALIVE) {
		try_out(c, c->best, now);
		return;
	}
	best->state = TR_PATH_DEAD;
	choose(c, now);
}

static void
heard_relay(struct candidates *c, const struct tr_endpoint *from, const uint8_t key[32], uint64_t now)
{
	if (from->family == TR_FAMILY_KEY && (memcmp(from->remote, key, 16) || memcmp(from->local, key + 16, 16)))
		return;
	struct tr_path *p = &c->path[get(c, from, TR_PATH_HEARD)];
	p->state = TR_PATH_ALIVE;
	p->heard = now;
	choose_relay(c);
	doubt(c, now);
}

/* Twice the longest silence. A single packet tells less of it than those before, each of which counts for a quarter less. */
static uint64_t
trust_after(struct candidates *c, uint64_t silent)
{
	if (silent >= RENEW)
		c->silence -= c->silence / 4;
	if (silent > c->silence)
		c->silence = silent;
	const uint64_t trust = 2 * c->silence;
	return trust < HEARD_LEAST ? HEARD_LEAST : trust < HEARD_MOST ? trust : HEARD_MOST;
}

void
candidates_heard(struct candidates *c, const struct tr_endpoint *from, const uint8_t key[32], uint64_t now)
{
	if (!provable(from)) {
		heard_relay(c, from, key, now);
		return;
	}
	if (!direct(from)) { /* by a peer relay: nobody has bound to what is not known */
		const uint8_t known = find(c, from);
		if (known != CANDIDATES_NONE)
			c->path[known].heard = now;
		return;
	}
	const uint8_t i = get(c, from, TR_PATH_HEARD);
	struct tr_path *p = &c->path[i];
	const uint64_t silent = p->heard ? now - p->heard : HEARD_MOST;
	memcpy(p->endpoint.local, from->local, sizeof(from->local)); /* answers leave from where the peer sends to */
	p->endpoint.local_port = from->local_port;
	p->endpoint.flags = from->flags & TR_ENDPOINT_BOUND;
	if (from->mtu)
		p->endpoint.mtu = from->mtu;
	p->heard = now;
	if (!c->probed) {
		p->state = TR_PATH_ALIVE;
		p->until = now + trust_after(c, silent);
	}
	if (!c->probed || !trusted(c, c->best, now))
		use(c, i, TR_PATH_LAST_HEARD);
}

/* A trial that is over, of which nobody has said so: nothing has come since, by no way. */
static bool
given_up(const struct candidates *c, uint64_t now)
{
	return !c->probed && c->best != CANDIDATES_NONE && c->relay != CANDIDATES_NONE && c->path[c->best].state == TR_PATH_TRIED &&
	       c->path[c->best].until <= now;
}

void
candidates_session(struct candidates *c, uint64_t now)
{
	uint8_t again = CANDIDATES_NONE;
	if (c->probed || (c->best != CANDIDATES_NONE && !given_up(c, now)))
		return;
	for (uint8_t i = 0; i < c->n; i++) {
		const struct tr_path *p = &c->path[i];
		if (direct(&p->endpoint) && (again == CANDIDATES_NONE || p->heard > c->path[again].heard))
			again = i;
	}
	if (again != CANDIDATES_NONE)
		try_out(c, again, now);
}

/* ---- The choice ---- */

/* Without a trusted path or a relay: what is likeliest to work. */
static uint8_t
last_resort(const struct candidates *c)
{
	uint8_t best = CANDIDATES_NONE;
	for (uint8_t i = 0; i < c->n; i++)
		if (best == CANDIDATES_NONE || c->path[i].heard > c->path[best].heard)
			best = i;
	return best;
}

struct choice
candidates_choice(const struct candidates *c, uint64_t now)
{
	struct choice v = {.renew = UINT64_MAX};
	uint8_t i = c->best != CANDIDATES_NONE && !given_up(c, now) ? c->best : c->relay != CANDIDATES_NONE ? c->relay : last_resort(c);
	if (i == CANDIDATES_NONE)
		return v;
	v.endpoint = c->path[i].endpoint;
	v.relayed = i == c->best && c->relay != CANDIDATES_NONE;
	if (!v.relayed)
		return v;
	if (c->path[i].state == TR_PATH_ALIVE)
		v.until = c->path[i].until;
	const uint64_t rtts = 1500ull * c->path[i].latency_us;
	if (v.until > now)
		v.renew = c->path[i].heard + (!c->probed ? RENEW : rtts > RENEW_PROBED ? rtts : RENEW_PROBED);
	return v;
}

uint16_t
candidates_list(const struct candidates *c, uint64_t now, struct tr_path *out, uint16_t max)
{
	const struct choice v = candidates_choice(c, now);
	uint16_t n = 0;
	for (unsigned turn = 0; turn < 2; turn++) {
		for (uint8_t i = 0; i < c->n && n < max; i++) {
			const struct tr_path *p = &c->path[i];
			const bool in_use = endpoint_same(&p->endpoint, &v.endpoint);
			if (in_use != (turn == 0))
				continue;
			out[n] = *p;
			if (i == c->best && given_up(c, now))
				out[n].state = TR_PATH_DEAD;
			out[n].use = in_use ? TR_PATH_IN_USE : i == c->relay && v.relayed && v.until <= now ? TR_PATH_COPIES : TR_PATH_UNUSED;
			out[n].why = !in_use ? 0 : i == c->best ? c->why : c->n == 1 ? TR_PATH_ONLY : TR_PATH_NO_DIRECT;
			n++;
		}
	}
	return n;
}
