/* SPDX-License-Identifier: BSD-3-Clause */
#include "cookie.h"

#include <string.h>

#define PACKET_COST 50000000ull /* ns: 20 a second */
#define BURST 5
#define IDLE 1000000000ull

static void
mac(const struct tr_crypto *c, uint8_t out[16], const uint8_t *key, size_t key_len, const void *p, size_t len)
{
	c->blake2s(out, 16, key, key_len, &p, &len, 1);
}

static size_t
before(const void *m, const uint8_t *field)
{
	return (size_t)(field - (const uint8_t *)m);
}

bool
cookie_mac1_ok(const struct tr_crypto *c, const uint8_t mac1_key[32], const void *m, const struct message_macs *macs)
{
	uint8_t want[16];
	mac(c, want, mac1_key, 32, m, before(m, macs->mac1));
	return c->equal(want, macs->mac1, sizeof(want));
}

bool
cookie_mac2_ok(const struct tr_crypto *c, const uint8_t cookie[16], const void *m, const struct message_macs *macs)
{
	uint8_t want[16];
	mac(c, want, cookie, 16, m, before(m, macs->mac2));
	return c->equal(want, macs->mac2, sizeof(want));
}

void
cookie_add_macs(const struct tr_crypto *c, struct cookie_held *held, const uint8_t mac1_key[32], uint64_t now,
	const void *m, struct message_macs *macs)
{
	mac(c, macs->mac1, mac1_key, 32, m, before(m, macs->mac1));
	memcpy(held->mac1, macs->mac1, sizeof(held->mac1));
	held->sent = true;
	if (held->born && now - held->born < COOKIE_LIFE)
		mac(c, macs->mac2, held->cookie, 16, m, before(m, macs->mac2));
	else
		memset(macs->mac2, 0, sizeof(macs->mac2));
}

void
cookie_make(const struct tr_crypto *c, struct cookie_issuer *i, uint64_t now, const struct tr_endpoint *from,
	uint8_t cookie[16])
{
	if (!i->born || now - i->born >= COOKIE_LIFE) {
		c->random(i->secret, sizeof(i->secret));
		i->born = now + !now;
	}
	uint8_t source[18];
	size_t n = from->family == 4 ? 4 : 16;
	memcpy(source, from->remote, n);
	source[n] = (uint8_t)(from->remote_port >> 8);
	source[n + 1] = (uint8_t)from->remote_port;
	mac(c, cookie, i->secret, sizeof(i->secret), source, n + 2);
}

void
cookie_reply(const struct tr_crypto *c, const uint8_t cookie_key[32], const uint8_t cookie[16], const uint8_t mac1[16],
	uint32_t receiver, struct message_cookie *m)
{
	m->type = MESSAGE_COOKIE;
	m->receiver = receiver;
	c->random(m->nonce, sizeof(m->nonce));
	c->xseal(m->cookie, cookie_key, m->nonce, cookie, 16, mac1, 16);
}

bool
cookie_take(const struct tr_crypto *c, struct cookie_held *held, const uint8_t peer_cookie_key[32], uint64_t now,
	const struct message_cookie *m)
{
	uint8_t cookie[16];
	if (!held->sent ||
		!c->xopen(cookie, peer_cookie_key, m->nonce, m->cookie, sizeof(m->cookie), held->mac1, sizeof(held->mac1)))
		return false;
	memcpy(held->cookie, cookie, sizeof(cookie));
	held->born = now + !now;
	held->sent = false; /* one reply per message: a second one is a replay */
	c->wipe(cookie, sizeof(cookie));
	return true;
}

/* IPv4 and IPv6 share the number space: an IPv4 address is marked in bits that no /64 of 2000::/3 has. */
static uint64_t
source_of(const struct tr_endpoint *from)
{
	uint64_t v = 0;
	if (from->family == 4) {
		uint32_t a;
		memcpy(&a, from->remote, 4);
		return 0xffull | (uint64_t)a << 32;
	}
	memcpy(&v, from->remote, 8);
	return v ? v : 1;
}

bool
limiter_allow(const struct tr_crypto *c, struct limiter *l, uint64_t now, const struct tr_endpoint *from)
{
	if (!l->seed) {
		c->random(&l->seed, sizeof(l->seed));
		l->seed |= 1;
	}
	uint64_t source = source_of(from), mixed = (source ^ l->seed) * 0x9e3779b97f4a7c15ull;
	mixed = (mixed ^ mixed >> 32 ^ l->seed) * 0xd6e8feb86659fd93ull;
	struct limiter_entry *set = l->set[mixed >> 32 & (LIMITER_SETS - 1)], *e = NULL;

	for (unsigned i = 0; i < LIMITER_WAYS; i++)
		if (set[i].source == source)
			e = &set[i];
	for (unsigned i = 0; i < LIMITER_WAYS && !e; i++)
		if (!set[i].source || now - set[i].at > IDLE) {
			e = &set[i];
			*e = (struct limiter_entry){.source = source, .at = now, .tokens = BURST * PACKET_COST};
		}
	if (!e)
		return false;
	uint64_t tokens = e->tokens + (now - e->at);
	e->tokens = tokens < BURST * PACKET_COST ? tokens : BURST * PACKET_COST;
	e->at = now;
	if (e->tokens < PACKET_COST)
		return false;
	e->tokens -= PACKET_COST;
	return true;
}
