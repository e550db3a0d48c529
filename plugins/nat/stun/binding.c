/* SPDX-License-Identifier: BSD-3-Clause */
#include "binding.h"

#include <tailrace/reader.h>

#define COOKIE 0x2112a442u
#define HEADER 20
#define FINGERPRINT_XOR 0x5354554eu

enum { REQUEST = 0x0001, SUCCESS = 0x0101, FAILURE = 0x0111 };
enum {
	MAPPED_ADDRESS = 0x0001,
	CHANGE_REQUEST = 0x0003,
	CHANGED_ADDRESS = 0x0005, /* RFC 3489's word for OTHER-ADDRESS */
	ERROR_CODE = 0x0009,
	XOR_MAPPED_ADDRESS = 0x0020,
	REQUIRED_KNOWN = 0x0030, /* below it all types are assigned, and none changes what a mapped address means */
	OPTIONAL = 0x8000,
	XOR_MAPPED_ADDRESS_OLD = 0x8020,
	SOFTWARE = 0x8022,
	FINGERPRINT = 0x8028,
	OTHER_ADDRESS = 0x802c,
};

static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static uint8_t *
put_head(uint8_t *msg, size_t size, const uint8_t txid[BINDING_TXID])
{
	put32(put32(msg, (uint32_t)REQUEST << 16 | (uint32_t)(size - HEADER)), COOKIE);
	memcpy(msg + 8, txid, BINDING_TXID);
	uint8_t *p = put32(msg + HEADER, (uint32_t)SOFTWARE << 16 | 8);
	memcpy(p, "tailnode", 8);
	return p + 8;
}

static void
put_fingerprint(uint8_t *p, const uint8_t *msg, const struct crc32 *crc)
{
	const size_t before = (size_t)(p - msg);
	p = put32(p, (uint32_t)FINGERPRINT << 16 | 4);
	put32(p, crc32_sum(crc, msg, before) ^ FINGERPRINT_XOR);
}

void
binding_request(uint8_t msg[BINDING_SIZE], const struct crc32 *crc, const uint8_t txid[BINDING_TXID])
{
	put_fingerprint(put_head(msg, BINDING_SIZE, txid), msg, crc);
}

void
binding_change_request(uint8_t msg[BINDING_CHANGE_SIZE], const struct crc32 *crc, const uint8_t txid[BINDING_TXID], uint32_t change)
{
	uint8_t *p = put_head(msg, BINDING_CHANGE_SIZE, txid);
	put_fingerprint(put32(put32(p, (uint32_t)CHANGE_REQUEST << 16 | 4), change), msg, crc);
}

/* `mask`: the 16 bytes of cookie and transaction id, or NULL. Family 2 may hold an IPv4 address. */
static void
take_address(struct tr_sockaddr *a, const uint8_t *value, uint16_t len, const uint8_t *mask)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct tr_reader in = tr_reader(value, len);
	const uint16_t family = tr_be16(&in) & 0xff, port = tr_be16(&in);
	const size_t n = family == 1 ? 4 : 16;
	const uint8_t *ip = tr_take(&in, n);
	uint8_t plain[16];
	if (ip == NULL || (family != 1 && family != 2))
		return;
	for (size_t i = 0; i < n; i++)
		plain[i] = ip[i] ^ (mask ? mask[i] : 0);
	const bool is4 = n == 4 || memcmp(plain, mapped, sizeof(mapped)) == 0;
	*a = (struct tr_sockaddr){.addr.family = is4 ? 4 : 6, .port = mask ? port ^ (COOKIE >> 16) : port};
	memcpy(a->addr.ip, is4 ? plain + n - 4 : plain, is4 ? 4 : 16);
}

/* False: the answer must be ignored. Plain addresses give way to masked ones, which no NAT has meddled with. */
static bool
take_attribute(struct binding *b, uint16_t type, const uint8_t *value, uint16_t len, const uint8_t *mask, bool *masked)
{
	if (type == XOR_MAPPED_ADDRESS || (type == XOR_MAPPED_ADDRESS_OLD && !*masked)) {
		take_address(&b->mapped, value, len, mask);
		*masked = true;
	} else if (type == MAPPED_ADDRESS && !*masked) {
		take_address(&b->mapped, value, len, NULL);
	} else if (type == OTHER_ADDRESS || (type == CHANGED_ADDRESS && b->other.addr.family == 0)) {
		take_address(&b->other, value, len, NULL);
	} else if (type == ERROR_CODE && len >= 4) {
		b->error = (uint16_t)((value[2] & 7) * 100 + value[3]);
	}
	return type < REQUIRED_KNOWN || type >= OPTIONAL;
}

/* Bytes behind the length are nobody's, and are let be. */
bool
binding_parse(struct binding *b, const struct crc32 *crc, const void *data, size_t len)
{
	struct tr_reader in = tr_reader(data, len);
	const uint16_t type = tr_be16(&in), length = tr_be16(&in);
	const uint8_t *mask = in.p;
	const uint32_t cookie = tr_be32(&in);
	const uint8_t *txid = tr_take(&in, BINDING_TXID);
	bool masked = false;
	if (txid == NULL || cookie != COOKIE || (type != SUCCESS && type != FAILURE) || length % 4 != 0)
		return false;
	*b = (struct binding){0};
	memcpy(b->txid, txid, BINDING_TXID);
	const uint8_t *body = tr_take(&in, length);
	if (body == NULL)
		return false;
	in = tr_reader(body, length);
	while (tr_left(&in) > 0) {
		const uint16_t at = (uint16_t)(in.p - body), kind = tr_be16(&in), size = tr_be16(&in);
		const uint8_t *value = tr_take(&in, (size + 3u) & ~3u);
		if (value == NULL || (!take_attribute(b, kind, value, size, mask, &masked) && type == SUCCESS))
			return false;
		if (kind != FINGERPRINT || size != 4)
			continue;
		uint8_t right[4];
		put32(right, crc32_sum(crc, data, HEADER + at) ^ FINGERPRINT_XOR);
		if (tr_left(&in) > 0 || memcmp(right, value, 4) != 0)
			return false;
	}
	if (type == FAILURE && (b->error < 300 || b->error > 699))
		b->error = 500;
	else if (type == SUCCESS)
		b->error = 0;
	return true;
}

bool
binding_is_request(const void *data, size_t len, const uint8_t txid[BINDING_TXID])
{
	struct tr_reader in = tr_reader(data, len);
	const uint16_t type = tr_be16(&in);
	tr_be16(&in);
	const uint32_t cookie = tr_be32(&in);
	const uint8_t *id = tr_take(&in, BINDING_TXID);
	return id != NULL && type == REQUEST && cookie == COOKIE && memcmp(id, txid, BINDING_TXID) == 0;
}
