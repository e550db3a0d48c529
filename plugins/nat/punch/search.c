/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A way through a hard NAT of ours (address-dependent mapping) to a peer behind a NAT that lets in only whom it has sent
 * to: neither knows which port of ours the peer would have to send to. We open SEARCH_PORTS ports of our NAT towards the
 * peer, one for each of as many local ports, and call the peer with guesses, which it pings as it pings any address that
 * it is called with: a stock peer helps without knowing. One that hits is answered from the local port that it reached,
 * and the path is found. With N ports to guess from, a of them open and b guesses, none twice,
 *
 *     P = 1 - C(N - a, b) / C(N, b)
 *
 * Both behind hard NATs would have to guess each other's port at once: for that a relay is there.
 */
#include "punch.h"

#include <math.h>
#include <stdlib.h>

#define FIRST_PORT 1024
#define PORTS (65536 - FIRST_PORT) /* = 2^10 * 3^2 * 7 */
#define STEP_MAX 16    /* between the ports that a NAT gives one after the other; more looks like chance */
#define PREDICTIONS 20 /* flows of others that may have begun since */
#define PATIENCE SECOND         /* what works without a search works by then */
#define OPEN_AT_ONCE 32
#define OPEN_INTERVAL (160 * MS) /* 200 packets per second */
#define ROUND SECOND             /* at most DISCO_ADDRESSES guesses, hence pings of the peer, per second */
#define ROUNDS 14
#define AGAIN (60 * SECOND)      /* after a failure; twice as long after each */
#define AGAIN_DOUBLINGS 6

double
search_chance(unsigned ports, unsigned opened, unsigned guesses)
{
	double miss = 1;
	for (unsigned i = 0; i < guesses; i++)
		miss *= 1 - (double)opened / (ports - i);
	return 1 - miss;
}

unsigned
search_predict(const struct tr_own_endpoint *own, unsigned n, struct tr_sockaddr *guess, unsigned max)
{
	const struct tr_own_endpoint *last = NULL;
	unsigned pairs = 0, made = 0;
	int step = 0;
	for (unsigned i = 0; i < n; i++) {
		if (own[i].kind != TR_OWN_STUN || !own[i].varies || own[i].address.addr.family != 4)
			continue;
		if (last != NULL && !tr_addr_eq(&last->address.addr, &own[i].address.addr))
			return 0; /* a pool of addresses */
		const int d = last == NULL ? step : (int16_t)(own[i].address.port - last->address.port);
		if (last != NULL && ((pairs != 0 && d != step) || d == 0 || abs(d) > STEP_MAX))
			return 0;
		pairs += last != NULL;
		step = d;
		last = &own[i];
	}
	for (int k = 1; pairs != 0 && k <= PREDICTIONS && made < max; k++) {
		const int port = last->address.port + k * step;
		if (port >= FIRST_PORT && port <= UINT16_MAX)
			guess[made++] = (struct tr_sockaddr){last->address.addr, (uint16_t)port};
	}
	return made;
}

/* Our address outside, if the NAT in front of it chooses ports by destination. */
static bool
hard_address(struct tr_node *node, struct tr_addr *outside)
{
	struct punch *punch = node->self;
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	const uint16_t n = node->host->own_endpoints(punch->instance, atomic_load_explicit(&punch->listen, memory_order_relaxed), own,
		TR_OWN_ENDPOINTS);
	for (uint16_t i = 0; i < n; i++)
		if (own[i].varies && own[i].address.addr.family == 4) {
			*outside = own[i].address.addr;
			return true;
		}
	return false;
}

static bool
is_private(const uint8_t *a)
{
	return a[0] == 10 || (a[0] == 172 && a[1] >> 4 == 1) || (a[0] == 192 && a[1] == 168) || (a[0] == 100 && a[1] >> 6 == 1) ||
	       (a[0] == 169 && a[1] == 254);
}

/* Where the peer is called outside. */
static const struct target *
outside_of(const struct peer *p)
{
	for (uint16_t i = 0; i < p->n; i++)
		if (p->target[i].from != 0 && p->target[i].family == 4 && !is_private(p->target[i].ip) && p->target[i].local_port == 0)
			return &p->target[i];
	return NULL;
}

static uint32_t
greatest_common_divisor(uint32_t a, uint32_t b)
{
	while (b != 0) {
		const uint32_t rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

void
search_consider(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct punch *punch = node->self;
	struct search *s = &p->search;
	struct tr_addr outside;
	(void)id;
	if (atomic_load_explicit(&punch->probe_ports, memory_order_relaxed) == 0 || s->due != 0 || *node->now < s->again || p->hard ||
		!hard_address(node, &outside))
		return;
	s->due = *node->now + PATIENCE;
	s->opened = s->rounds = 0;
	node->host->crypto->random(&s->guess, sizeof(s->guess));
	do /* steps through all ports before it comes back to the first */
		node->host->crypto->random(&s->step, sizeof(s->step));
	while (greatest_common_divisor(PORTS, s->step % PORTS) != 1);
	s->guess %= PORTS;
	s->step %= PORTS;
	node->count[COUNT_SEARCHES]++;
}

static void
open_ports(struct tr_node *node, struct peer *p, const struct target *to)
{
	struct punch *punch = node->self;
	const uint16_t first = atomic_load_explicit(&punch->probe_ports, memory_order_relaxed);
	struct tr_endpoint e = peer_endpoint(punch, to);
	uint8_t txid[DISCO_TXID]; /* its pong would teach nothing that the peer's own ping does not */
	e.flags = TR_ENDPOINT_BOUND;
	for (unsigned i = 0; i < OPEN_AT_ONCE && p->search.opened < SEARCH_PORTS; i++) {
		e.local_port = (uint16_t)(first + p->search.opened++);
		send_ping(node, p, &e, txid);
	}
	p->search.due = *node->now + OPEN_INTERVAL;
}

static void
guess(struct tr_node *node, uint32_t id, struct peer *p, const struct tr_addr *outside)
{
	struct tr_sockaddr guesses[DISCO_ADDRESSES];
	struct search *s = &p->search;
	for (unsigned i = 0; i < DISCO_ADDRESSES; i++) {
		guesses[i] = (struct tr_sockaddr){*outside, (uint16_t)(FIRST_PORT + s->guess)};
		s->guess = (s->guess + s->step) % PORTS;
	}
	send_call(node, id, p, guesses, DISCO_ADDRESSES);
	s->rounds++;
	s->due = *node->now + ROUND;
}

void
search_step(struct tr_node *node, uint32_t id, struct peer *p)
{
	struct search *s = &p->search;
	struct tr_path best;
	struct tr_addr outside;
	const struct target *to = outside_of(p);
	if (peer_direct(node, id, &best) || !hard_address(node, &outside) || to == NULL || p->hard)
		search_end(p, true, *node->now);
	else if (s->opened < SEARCH_PORTS)
		open_ports(node, p, to);
	else if (s->rounds < ROUNDS)
		guess(node, id, p, &outside);
	else
		search_end(p, false, *node->now);
}

void
search_end(struct peer *p, bool found, uint64_t now)
{
	struct search *s = &p->search;
	if (s->due == 0)
		return;
	s->due = 0;
	s->failures = found ? 0 : (uint16_t)(s->failures + 1);
	s->again = found ? 0 : now + (AGAIN << (s->failures < AGAIN_DOUBLINGS ? s->failures - 1 : AGAIN_DOUBLINGS));
}
