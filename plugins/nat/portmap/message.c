/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <netinet/in.h>
#include <tailrace/reader.h>

enum { OP_ADDRESS = 0, OP_ANNOUNCE = 0, OP_MAP = 1, ANSWER = 0x80 };

/* ---- Requests ---- */

static uint8_t *
put_be16(uint8_t *p, uint16_t v)
{
	*p++ = (uint8_t)(v >> 8);
	*p++ = (uint8_t)v;
	return p;
}

static uint8_t *
put_be32(uint8_t *p, uint32_t v)
{
	return put_be16(put_be16(p, (uint16_t)(v >> 16)), (uint16_t)v);
}

/* IPv4 as ::ffff:a.b.c.d, none as the unspecified address (RFC 6887 section 5). */
static uint8_t *
put_address(uint8_t *p, const struct tr_addr *a)
{
	memset(p, 0, 16);
	if (a->family == 6) {
		memcpy(p, a->ip, 16);
	} else if (a->family == 4) {
		memset(p + 10, 0xff, 2);
		memcpy(p + 12, a->ip, 4);
	}
	return p + 16;
}

static uint8_t *
pcp_header(uint8_t *p, uint8_t opcode, uint32_t lifetime, const struct tr_addr *client)
{
	*p++ = PCP;
	*p++ = opcode;
	return put_address(put_be32(put_be16(p, 0), lifetime), client);
}

size_t
portmap_address(uint8_t *out)
{
	put_be16(out, NAT_PMP << 8 | OP_ADDRESS);
	return 2;
}

size_t
portmap_announce(uint8_t *out, const struct tr_addr *client)
{
	return (size_t)(pcp_header(out, OP_ANNOUNCE, 0, client) - out);
}

/* RFC 6886 section 3.3. */
static size_t
nat_pmp_map(uint8_t *out, const struct portmap_request *r)
{
	uint8_t *p = put_be16(put_be16(out, NAT_PMP << 8 | OP_MAP), 0);
	p = put_be16(p, r->internal_port);
	p = put_be16(p, r->lifetime ? r->external_port : 0);
	return (size_t)(put_be32(p, r->lifetime) - out);
}

/* RFC 6887 section 11.1. Any external address is asked for as the unspecified one of the client's family. */
static size_t
pcp_map(uint8_t *out, const struct portmap_request *r)
{
	struct tr_addr external = r->external;
	if (external.family == 0)
		external.family = r->client.family;
	uint8_t *p = pcp_header(out, OP_MAP, r->lifetime, &r->client);
	memcpy(p, r->nonce, PCP_NONCE);
	p = put_be32(p + PCP_NONCE, (uint32_t)IPPROTO_UDP << 24);
	p = put_be16(put_be16(p, r->internal_port), r->external_port);
	return (size_t)(put_address(p, &external) - out);
}

size_t
portmap_map(uint8_t *out, enum portmap_version version, const struct portmap_request *r)
{
	return version == NAT_PMP ? nat_pmp_map(out, r) : pcp_map(out, r);
}

/* ---- Answers ---- */

static struct tr_addr
take_address(struct tr_reader *in)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct tr_addr a = {0};
	const uint8_t *p = tr_take(in, 16);
	if (p != NULL && memcmp(p, mapped, sizeof(mapped)) == 0) {
		a.family = 4;
		memcpy(a.ip, p + sizeof(mapped), 4);
	} else if (p != NULL) {
		a.family = 6;
		memcpy(a.ip, p, 16);
	}
	return a;
}

/* An error to what the server does not know has no more than the first 8 bytes. */
static bool
parse_nat_pmp(struct portmap_answer *a, uint8_t opcode, struct tr_reader *in)
{
	a->result = tr_be16(in);
	a->epoch = tr_be32(in);
	if (in->bad)
		return false;
	if (opcode == OP_ADDRESS && tr_left(in) >= 4) {
		a->kind = PORTMAP_ADDRESS;
		a->external.family = 4;
		memcpy(a->external.ip, tr_take(in, 4), 4);
	} else if (opcode == OP_MAP && tr_left(in) >= 8) {
		a->kind = PORTMAP_MAPPING;
		a->internal_port = tr_be16(in);
		a->external_port = tr_be16(in);
		a->lifetime = tr_be32(in);
	} else {
		a->kind = PORTMAP_REFUSAL;
		return a->result != 0;
	}
	return true;
}

static bool
parse_pcp(struct portmap_answer *a, uint8_t opcode, struct tr_reader *in)
{
	tr_u8(in);
	a->result = tr_u8(in);
	a->lifetime = tr_be32(in);
	a->epoch = tr_be32(in);
	tr_take(in, 12);
	if (in->bad)
		return false;
	a->kind = opcode == OP_ANNOUNCE ? PORTMAP_ANNOUNCE : PORTMAP_REFUSAL;
	if (opcode != OP_MAP || tr_left(in) < 36)
		return opcode == OP_ANNOUNCE || a->result != 0;
	a->kind = PORTMAP_MAPPING;
	memcpy(a->nonce, tr_take(in, PCP_NONCE), PCP_NONCE);
	if (tr_be32(in) >> 24 != IPPROTO_UDP)
		return false;
	a->internal_port = tr_be16(in);
	a->external_port = tr_be16(in);
	a->external = take_address(in);
	return true;
}

bool
portmap_parse(struct portmap_answer *a, const void *data, size_t len)
{
	struct tr_reader in = tr_reader(data, len);
	memset(a, 0, sizeof(*a));
	const uint8_t version = tr_u8(&in), opcode = tr_u8(&in);
	if (in.bad || (version != NAT_PMP && version != PCP) || !(opcode & ANSWER))
		return false;
	a->version = version;
	return version == NAT_PMP ? parse_nat_pmp(a, opcode & ~ANSWER, &in) : parse_pcp(a, opcode & ~ANSWER, &in);
}
