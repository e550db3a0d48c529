/* SPDX-License-Identifier: BSD-3-Clause */
#include "relay_message.h"

#include "wire.h"

bool
disco_parse_bind(struct disco_bind *b, const void *payload, size_t len)
{
	struct tr_reader in = tr_reader(payload, len);
	const uint8_t type = tr_u8(&in);
	tr_u8(&in);
	b->vni = tr_be32(&in);
	b->generation = tr_be32(&in);
	wire_take(b->remote, &in, DISCO_KEY);
	wire_take(b->challenge, &in, DISCO_CHALLENGE);
	return !in.bad && type >= DISCO_BIND && type <= DISCO_BIND_ANSWER;
}

bool
disco_parse_allocate(struct disco_allocate *a, const void *payload, size_t len)
{
	struct tr_reader in = tr_reader(payload, len);
	const uint8_t type = tr_u8(&in);
	tr_u8(&in);
	wire_take(a->client[0], &in, DISCO_KEY);
	wire_take(a->client[1], &in, DISCO_KEY);
	a->generation = tr_be32(&in);
	return !in.bad && type == DISCO_ALLOCATE;
}

bool
disco_parse_relay(struct disco_relay *r, const void *payload, size_t len)
{
	struct tr_reader in = tr_reader(payload, len);
	const uint8_t type = tr_u8(&in);
	tr_u8(&in);
	r->generation = type == DISCO_ALLOCATED ? tr_be32(&in) : 0;
	wire_take(r->server, &in, DISCO_KEY);
	wire_take(r->client[0], &in, DISCO_KEY);
	wire_take(r->client[1], &in, DISCO_KEY);
	r->id = wire_be64(&in);
	r->vni = tr_be32(&in);
	r->bind_ns = wire_be64(&in);
	r->idle_ns = wire_be64(&in);
	if (in.bad || (type != DISCO_ALLOCATED && type != DISCO_CALL_ME_MAYBE_VIA) || tr_left(&in) == 0 ||
		tr_left(&in) % WIRE_ADDRESS != 0)
		return false;
	for (r->n = 0; tr_left(&in) > 0 && r->n < DISCO_RELAY_ADDRESSES; r->n++)
		wire_take_address(&in, &r->address[r->n]);
	return true;
}

size_t
disco_bind(uint8_t *payload, enum disco_type type, const struct disco_bind *b)
{
	uint8_t *p = wire_put_be(wire_put_type(payload, type), b->vni, 4);
	p = wire_put(wire_put_be(p, b->generation, 4), b->remote, DISCO_KEY);
	return (size_t)(wire_put(p, b->challenge, DISCO_CHALLENGE) - payload);
}

size_t
disco_allocate(uint8_t *payload, const struct disco_allocate *a)
{
	uint8_t *p = wire_put(wire_put_type(payload, DISCO_ALLOCATE), a->client, sizeof(a->client));
	return (size_t)(wire_put_be(p, a->generation, 4) - payload);
}

size_t
disco_relay(uint8_t *payload, enum disco_type type, const struct disco_relay *r)
{
	uint8_t *p = wire_put_type(payload, type);
	if (type == DISCO_ALLOCATED)
		p = wire_put_be(p, r->generation, 4);
	p = wire_put(wire_put(p, r->server, DISCO_KEY), r->client, sizeof(r->client));
	p = wire_put_be(wire_put_be(p, r->id, 8), r->vni, 4);
	p = wire_put_be(wire_put_be(p, r->bind_ns, 8), r->idle_ns, 8);
	for (uint16_t i = 0; i < r->n; i++)
		p = wire_put_address(p, &r->address[i]);
	return (size_t)(p - payload);
}
