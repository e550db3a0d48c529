/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include "wire.h"

#include <sodium.h>

static const uint8_t magic[6] = {'T', 'S', 0xf0, 0x9f, 0x92, 0xac};
static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

_Static_assert(DISCO_KEY == crypto_box_PUBLICKEYBYTES && DISCO_KEY == crypto_box_BEFORENMBYTES, "keys are NaCl's");
_Static_assert(DISCO_NONCE == crypto_box_NONCEBYTES && DISCO_PAYLOAD - DISCO_HEAD == crypto_box_MACBYTES, "boxes too");

bool
disco_is(const void *data, size_t len)
{
	struct tr_reader in = tr_reader(data, len);
	const uint8_t *head = tr_take(&in, DISCO_HEAD);
	return head != NULL && memcmp(head, magic, sizeof(magic)) == 0;
}

bool
disco_shared(uint8_t shared[DISCO_KEY], const uint8_t secret[DISCO_KEY], const uint8_t peer[DISCO_KEY])
{
	return crypto_box_beforenm(shared, peer, secret) == 0;
}

void
disco_public(uint8_t key[DISCO_KEY], const uint8_t secret[DISCO_KEY])
{
	crypto_scalarmult_base(key, secret);
}

int
disco_open(uint8_t *data, size_t len, const uint8_t shared[DISCO_KEY])
{
	if (len < DISCO_PAYLOAD || len - DISCO_PAYLOAD > UINT16_MAX)
		return -1;
	uint8_t *payload = data + DISCO_PAYLOAD;
	const uint8_t *tag = data + DISCO_HEAD, *nonce = data + DISCO_HEAD - DISCO_NONCE;
	if (crypto_box_open_detached_afternm(payload, payload, tag, len - DISCO_PAYLOAD, nonce, shared) != 0)
		return -1;
	return (int)(len - DISCO_PAYLOAD);
}

void
wire_take_address(struct tr_reader *in, struct tr_sockaddr *a)
{
	const uint8_t *ip = tr_take(in, 16);
	*a = (struct tr_sockaddr){.port = tr_be16(in)};
	if (ip == NULL)
		return;
	const bool is4 = memcmp(ip, mapped, sizeof(mapped)) == 0;
	a->addr.family = is4 ? 4 : 6;
	memcpy(a->addr.ip, is4 ? ip + sizeof(mapped) : ip, is4 ? 4 : 16);
}

/* A list that is no list of addresses counts as empty, and so does one of another version. */
static void
take_addresses(struct disco_message *m, struct tr_reader *in, uint8_t version)
{
	if (version != 0 || tr_left(in) % WIRE_ADDRESS != 0)
		return;
	while (tr_left(in) > 0 && m->n < DISCO_ADDRESSES)
		wire_take_address(in, &m->address[m->n++]);
}

bool
disco_parse(struct disco_message *m, const void *payload, size_t len)
{
	struct tr_reader in = tr_reader(payload, len);
	const uint8_t type = tr_u8(&in), version = tr_u8(&in);
	m->type = type < DISCO_TYPES ? (enum disco_type)type : DISCO_OTHER;
	m->has_node = false;
	m->n = m->padding = 0;
	if (m->type == DISCO_PING || m->type == DISCO_PONG) {
		const uint8_t *txid = tr_take(&in, DISCO_TXID);
		if (txid != NULL)
			memcpy(m->txid, txid, DISCO_TXID);
	}
	if (m->type == DISCO_PING && tr_left(&in) >= DISCO_KEY) {
		memcpy(m->node, tr_take(&in, DISCO_KEY), DISCO_KEY);
		m->has_node = true;
		m->padding = (uint16_t)tr_left(&in);
	} else if (m->type == DISCO_PONG) {
		wire_take_address(&in, &m->address[m->n++]);
	} else if (m->type == DISCO_CALL_ME_MAYBE && !in.bad) {
		take_addresses(m, &in, version);
	}
	return !in.bad;
}

uint8_t *
wire_put_address(uint8_t *p, const struct tr_sockaddr *a)
{
	const bool is4 = a->addr.family == 4;
	if (is4)
		p = wire_put(p, mapped, sizeof(mapped));
	p = wire_put(p, a->addr.ip, is4 ? 4 : 16);
	*p++ = (uint8_t)(a->port >> 8);
	*p++ = (uint8_t)a->port;
	return p;
}

size_t
disco_ping(uint8_t *payload, const uint8_t txid[DISCO_TXID], const uint8_t node[DISCO_KEY])
{
	uint8_t *p = wire_put(wire_put_type(payload, DISCO_PING), txid, DISCO_TXID);
	return (size_t)(wire_put(p, node, DISCO_KEY) - payload);
}

size_t
disco_pong(uint8_t *payload, const uint8_t txid[DISCO_TXID], const struct tr_sockaddr *seen)
{
	uint8_t *p = wire_put(wire_put_type(payload, DISCO_PONG), txid, DISCO_TXID);
	return (size_t)(wire_put_address(p, seen) - payload);
}

size_t
disco_call_me_maybe(uint8_t *payload, const struct tr_sockaddr *address, unsigned n)
{
	uint8_t *p = wire_put_type(payload, DISCO_CALL_ME_MAYBE);
	for (unsigned i = 0; i < n; i++)
		p = wire_put_address(p, &address[i]);
	return (size_t)(p - payload);
}

size_t
disco_seal(uint8_t *data, size_t len, const uint8_t sender[DISCO_KEY], const uint8_t nonce[DISCO_NONCE],
	const uint8_t shared[DISCO_KEY])
{
	uint8_t *payload = data + DISCO_PAYLOAD;
	wire_put(wire_put(wire_put(data, magic, sizeof(magic)), sender, DISCO_KEY), nonce, DISCO_NONCE);
	crypto_box_detached_afternm(payload, data + DISCO_HEAD, payload, len, nonce, shared);
	return DISCO_PAYLOAD + len;
}
