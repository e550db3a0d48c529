/* SPDX-License-Identifier: BSD-3-Clause */
#include "message.h"

#include <tailrace/reader.h>

#define FINGERPRINT_XOR 0x5354554eu
#define FINGERPRINT_SIZE 8 /* attribute header and value */

enum message_type { BINDING_REQUEST = 0x0001, BINDING_SUCCESS = 0x0101, BINDING_ERROR = 0x0111 };
#define TYPE_ZERO_BITS 0xc000u
#define TYPE_CLASS_BITS 0x0110u

enum attribute {
	MAPPED_ADDRESS = 0x0001,
	CHANGE_REQUEST = 0x0003,
	SOURCE_ADDRESS = 0x0004, /* RFC 3489 only */
	USERNAME = 0x0006,
	MESSAGE_INTEGRITY = 0x0008,
	ERROR_CODE = 0x0009,
	UNKNOWN_ATTRIBUTES = 0x000a,
	REALM = 0x0014,
	NONCE = 0x0015,
	MESSAGE_INTEGRITY_SHA256 = 0x001c,
	PASSWORD_ALGORITHM = 0x001d,
	USERHASH = 0x001e,
	XOR_MAPPED_ADDRESS = 0x0020,
	SOFTWARE = 0x8022,
	FINGERPRINT = 0x8028,
};
#define OPTIONAL_ATTRIBUTE 0x8000u

static uint32_t
get32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, 4);
	return __builtin_bswap32(v);
}

/* What one pass over the attributes finds. */
struct attributes {
	const uint8_t *fingerprint; /* value of the last attribute, if that is a FINGERPRINT of the right size */
	unsigned fingerprints;
	bool tailnode;       /* a SOFTWARE attribute that is exactly the Tailscale client's */
	bool integrity;      /* after MESSAGE-INTEGRITY only FINGERPRINT counts */
	bool change_wanted;  /* a CHANGE-REQUEST that asks for an answer from another address */
};

/* Required types that may stand in a Binding request; without credentials of our own those of authentication say nothing. */
static bool
is_known(uint16_t type)
{
	switch (type) {
	case MAPPED_ADDRESS:
	case CHANGE_REQUEST:
	case USERNAME:
	case MESSAGE_INTEGRITY:
	case ERROR_CODE:
	case UNKNOWN_ATTRIBUTES:
	case REALM:
	case NONCE:
	case MESSAGE_INTEGRITY_SHA256:
	case PASSWORD_ALGORITHM:
	case USERHASH:
	case XOR_MAPPED_ADDRESS:
		return true;
	default:
		return false;
	}
}

static void
add_unknown(struct stun_request *r, uint16_t type)
{
	if (r->n_unknown < STUN_UNKNOWN_MAX)
		r->unknown[r->n_unknown++] = type;
}

static void
see_attribute(struct stun_request *r, struct attributes *a, uint16_t type, const uint8_t *value, uint16_t len)
{
	a->fingerprint = NULL;
	if (type == SOFTWARE) {
		a->tailnode |= len == 8 && memcmp(value, "tailnode", 8) == 0;
	} else if (type == FINGERPRINT) {
		a->fingerprints++;
		a->fingerprint = len == 4 ? value : NULL;
	} else if (type < OPTIONAL_ATTRIBUTE && !a->integrity) {
		if (type == CHANGE_REQUEST)
			a->change_wanted |= len != 4 || (value[3] & 0x6) != 0;
		else if (!is_known(type))
			add_unknown(r, type);
		a->integrity = type == MESSAGE_INTEGRITY || type == MESSAGE_INTEGRITY_SHA256;
	}
}

/* Is the FINGERPRINT at the end of the message right? */
static bool
fingerprint_ok(const struct attributes *a, const struct crc32 *crc, const uint8_t *msg, size_t len)
{
	if (a->fingerprint == NULL)
		return false;
	return get32(a->fingerprint) == (crc32_sum(crc, msg, len - FINGERPRINT_SIZE) ^ FINGERPRINT_XOR);
}

/* As the Tailscale project's derper filters: nothing but its own clients, and no error answers. */
static int
judge_tailscale(struct stun_request *r, const struct attributes *a, const struct crc32 *crc, const uint8_t *msg, size_t len)
{
	if (r->classic)
		return STUN_BAD_COOKIE;
	if (!a->tailnode)
		return STUN_BAD_SOFTWARE;
	if (a->fingerprints == 0)
		return STUN_NO_FINGERPRINT;
	if (!fingerprint_ok(a, crc, msg, len))
		return STUN_BAD_FINGERPRINT;
	r->n_unknown = 0;
	return STUN_ACCEPTED;
}

static int
judge_any(struct stun_request *r, const struct attributes *a, const struct crc32 *crc, const uint8_t *msg, size_t len)
{
	if (r->classic) /* an error would tell an old client what a success does: that packets from elsewhere come in */
		return a->change_wanted ? STUN_CHANGE_REQUEST : STUN_ACCEPTED;
	if (a->fingerprints > 0) {
		if (a->fingerprints > 1 || !fingerprint_ok(a, crc, msg, len))
			return STUN_BAD_FINGERPRINT;
		r->fingerprint = true;
	}
	if (a->change_wanted)
		add_unknown(r, CHANGE_REQUEST);
	return STUN_ACCEPTED;
}

int
stun_parse(struct stun_request *r, const struct crc32 *crc, enum stun_clients clients, const void *data, size_t len)
{
	struct tr_reader in = tr_reader(data, len);
	const uint8_t *head = tr_take(&in, STUN_HEADER);
	if (head == NULL || (head[0] & TYPE_ZERO_BITS >> 8) != 0)
		return STUN_NOT_STUN;
	const uint16_t type = (uint16_t)(get32(head) >> 16), length = (uint16_t)get32(head);
	if (length != tr_left(&in) || length % 4 != 0)
		return STUN_BAD_LENGTH;
	if (type != BINDING_REQUEST)
		return type & TYPE_CLASS_BITS ? STUN_NOT_REQUEST : STUN_OTHER_METHOD;

	struct attributes a = {0};
	r->classic = get32(head + 4) != STUN_COOKIE;
	r->fingerprint = false;
	r->n_unknown = 0;
	while (tr_left(&in) > 0) {
		const uint32_t attribute = tr_be32(&in); /* type, size */
		const uint16_t size = (uint16_t)attribute;
		const uint8_t *value = tr_take(&in, (size + 3u) & ~3u);
		if (value == NULL)
			return STUN_BAD_ATTRIBUTE;
		see_attribute(r, &a, (uint16_t)(attribute >> 16), value, size);
	}
	return clients == STUN_TAILSCALE ? judge_tailscale(r, &a, crc, data, len) : judge_any(r, &a, crc, data, len);
}

static uint8_t *
put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	return p + 2;
}

/* Whole words wherever it can be: crc32_sum() reads words, and two halves just written make it wait. */
static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, 4);
	return p + 4;
}

static uint8_t *
put_attribute(uint8_t *p, uint16_t type, size_t len)
{
	return put32(p, (uint32_t)type << 16 | (uint32_t)len);
}

static void
put_header(uint8_t *msg, enum message_type type, size_t len)
{
	put32(msg, (uint32_t)type << 16 | (uint32_t)(len - STUN_HEADER));
}

/* `mask`: the 16 bytes of cookie and transaction id that hide the address from meddling NATs, or NULL. */
static uint8_t *
put_address(uint8_t *p, uint16_t type, uint8_t family, const uint8_t *ip, uint16_t port, const uint8_t *mask)
{
	const unsigned words = family == 4 ? 1 : 4;
	p = put_attribute(p, type, 4 + 4 * words);
	p = put32(p, (family == 4 ? 1u : 2u) << 16 | (mask ? port ^ (STUN_COOKIE >> 16) : port));
	for (unsigned i = 0; i < words; i++, p += 4) {
		uint32_t word, hide = 0;
		memcpy(&word, ip + 4 * i, 4);
		if (mask)
			memcpy(&hide, mask + 4 * i, 4);
		word ^= hide;
		memcpy(p, &word, 4);
	}
	return p;
}

static uint8_t *
put_unknown(uint8_t *p, const struct stun_request *r)
{
	static const char reason[] = "Unknown Attribute";
	const uint16_t reason_len = sizeof(reason) - 1;
	p = put_attribute(p, ERROR_CODE, 4 + reason_len);
	p = put16(put16(p, 0), 4 << 8 | 20);
	memset(p + (reason_len & ~3u), 0, 4);
	memcpy(p, reason, reason_len);
	p += (reason_len + 3u) & ~3u;

	/* To a multiple of 4 bytes: RFC 8489 pads with zeros outside the length, RFC 3489 names the last type twice. */
	const bool odd = r->n_unknown % 2 != 0;
	p = put_attribute(p, UNKNOWN_ATTRIBUTES, (uint16_t)(2 * (r->n_unknown + (odd && r->classic))));
	for (unsigned i = 0; i < r->n_unknown; i++)
		p = put16(p, r->unknown[i]);
	return odd ? put16(p, r->classic ? r->unknown[r->n_unknown - 1] : 0) : p;
}

size_t
stun_answer(uint8_t *msg, const struct stun_request *r, const struct crc32 *crc, const struct tr_endpoint *client)
{
	uint8_t *p = msg + STUN_HEADER;
	if (r->n_unknown > 0) {
		p = put_unknown(p, r);
	} else if (r->classic) {
		p = put_address(p, MAPPED_ADDRESS, client->family, client->remote, client->remote_port, NULL);
		p = put_address(p, SOURCE_ADDRESS, client->family, client->local, client->local_port, NULL);
	} else {
		p = put_address(p, XOR_MAPPED_ADDRESS, client->family, client->remote, client->remote_port, msg + 4);
	}
	const size_t len = (size_t)(p - msg), size = len + (r->fingerprint ? FINGERPRINT_SIZE : 0);
	put_header(msg, r->n_unknown > 0 ? BINDING_ERROR : BINDING_SUCCESS, size);
	if (r->fingerprint)
		put32(put_attribute(p, FINGERPRINT, 4), crc32_sum(crc, msg, len) ^ FINGERPRINT_XOR);
	return size;
}
