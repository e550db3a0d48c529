/* SPDX-License-Identifier: BSD-3-Clause */
#include "answer.h"

#define POINTER 0xc000u

struct writer {
	uint8_t *p, *end;
	bool full; /* something did not fit: nothing more is written */
};

/* Whole words wherever it can be: the checksum reads words, and pieces that were just written make it wait. */
static uint8_t *
put16(uint8_t *p, unsigned value)
{
	const uint16_t v = __builtin_bswap16((uint16_t)value);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *
put32(uint8_t *p, uint32_t v)
{
	v = __builtin_bswap32(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint8_t *
put64(uint8_t *p, uint64_t v)
{
	v = __builtin_bswap64(v);
	memcpy(p, &v, sizeof(v));
	return p + sizeof(v);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* A record's head, its owner a pointer; NULL when head and data don't fit. The caller writes the data. */
static uint8_t *
record(struct writer *w, uint16_t owner, uint16_t type, uint32_t ttl, size_t len)
{
	if (w->full || (size_t)(w->end - w->p) < 12 + len) {
		w->full = true;
		return NULL;
	}
	uint8_t *p = put64(w->p, (uint64_t)(POINTER | owner) << 48 | (uint64_t)type << 32 | DNS_IN << 16 | ttl >> 16);
	p = put32(p, ttl << 16 | (uint32_t)len);
	w->p = p + len;
	return p;
}

/* Behind the question; room for an OPT record is set aside. */
static bool
begin(struct writer *w, uint8_t *msg, size_t room, const struct question *q)
{
	const size_t opt = q->edns ? DNS_OPT_SIZE : 0, limit = room < q->room ? room : q->room;
	if (limit < q->end + opt)
		return false;
	*w = (struct writer){.p = msg + q->end, .end = msg + limit - opt};
	return true;
}

static size_t
finish(struct writer *w, uint8_t *msg, const struct question *q, unsigned flags, unsigned rcode, unsigned answers,
	unsigned authority)
{
	flags |= DNS_QR | (q->flags & (DNS_OPCODE | DNS_RD | DNS_CD)) | (w->full ? DNS_TC : 0);
	put16(msg + 2, flags | (rcode & DNS_RCODE));
	put64(msg + 4, (uint64_t)(q->end > DNS_HEADER) << 48 | (uint64_t)answers << 32 | authority << 16 | q->edns);
	if (q->edns) {
		*w->p++ = 0;
		w->p = put16(put16(w->p, DNS_OPT), DNS_ROOM_EDNS);
		w->p = put16(put32(w->p, (uint32_t)rcode >> 4 << 24 | (q->dnssec_ok ? 0x8000 : 0)), 0);
	}
	return (size_t)(w->p - msg);
}

/* What we say of names of our own: recursion is as available as it was asked for. */
static unsigned
own(const struct question *q)
{
	return DNS_AA | (q->flags & DNS_RD ? DNS_RA : 0);
}

static bool
wanted(const struct tr_addr *a, uint16_t type)
{
	return type == DNS_ANY || (type == DNS_A && a->family == 4) || (type == DNS_AAAA && a->family == 6);
}

bool
answer_has(const struct tr_name *found, uint16_t type)
{
	for (unsigned i = 0; i < found->n; i++)
		if (wanted(&found->addr[i], type))
			return true;
	return false;
}

size_t
answer_addresses(uint8_t *msg, size_t room, const struct question *q, const struct tr_name *found, uint32_t ttl)
{
	struct writer w;
	unsigned n = 0;
	if (!begin(&w, msg, room, q))
		return 0;
	for (unsigned i = 0; i < found->n; i++) {
		const struct tr_addr *a = &found->addr[i];
		if (!wanted(a, q->type))
			continue;
		const size_t size = a->family == 4 ? 4 : 16;
		uint8_t *data = record(&w, DNS_HEADER, a->family == 4 ? DNS_A : DNS_AAAA, ttl, size);
		if (data == NULL)
			break;
		memcpy(data, a->ip, size);
		n++;
	}
	return finish(&w, msg, q, own(q), DNS_NOERROR, n, 0);
}

size_t
answer_pointer(uint8_t *msg, size_t room, const struct question *q, const char *name, size_t len, uint32_t ttl)
{
	struct writer w;
	if (!begin(&w, msg, room, q))
		return 0;
	uint8_t *data = record(&w, DNS_HEADER, DNS_PTR, ttl, len + 2);
	if (data != NULL) {
		uint8_t *size = data; /* labels, each with its size before it */
		memcpy(data + 1, name, len);
		for (uint8_t *p = data + 1; p < data + 1 + len; p++) {
			if (*p != '.')
				continue;
			*size = (uint8_t)(p - size - 1);
			size = p;
		}
		*size = (uint8_t)(data + len - size);
		data[len + 1] = 0;
	}
	return finish(&w, msg, q, own(q), DNS_NOERROR, data != NULL, 0);
}

size_t
answer_negative(uint8_t *msg, size_t room, const struct question *q, enum dns_rcode rcode, uint16_t zone, uint32_t serial,
	uint32_t ttl)
{
	struct writer w;
	if (!begin(&w, msg, room, q))
		return 0;
	uint8_t *data = record(&w, zone, DNS_SOA, ttl, 2 + 2 + 5 * 4);
	if (data != NULL) {
		data = put16(put16(data, POINTER | zone), POINTER | zone); /* server and mailbox: the zone itself */
		data = put32(put32(data, serial), ttl);
		put32(put32(put32(data, ttl), ttl), ttl);
	}
	return finish(&w, msg, q, own(q), rcode, 0, data != NULL);
}

size_t
answer_error(uint8_t *msg, size_t room, const struct question *q, enum dns_rcode rcode)
{
	struct writer w;
	if (!begin(&w, msg, room, q))
		return 0;
	return finish(&w, msg, q, q->flags & DNS_RD ? DNS_RA : 0, rcode, 0, 0);
}

size_t
answer_stored(uint8_t *msg, size_t room, const struct question *q, const struct stored *s, uint32_t age)
{
	struct writer w;
	if (!begin(&w, msg, room, q))
		return 0;
	const uint16_t flags = (uint16_t)(s->wire[2] << 8 | s->wire[3]);
	unsigned keep = DNS_RA | (q->dnssec_ok || q->flags & DNS_AD ? flags & DNS_AD : 0);
	const size_t body = (size_t)s->len - q->end;
	if (body > (size_t)(w.end - w.p)) {
		w.full = true;
		return finish(&w, msg, q, keep, flags & DNS_RCODE, 0, 0);
	}
	memcpy(w.p, s->wire + q->end, body);
	w.p += body;
	for (unsigned i = 0; i < s->n_ttl; i++) {
		uint8_t *ttl = msg + s->ttl_at[i];
		uint32_t left = get32(ttl);
		put32(ttl, left > age ? left - age : 0);
	}
	const unsigned additional = (unsigned)(s->wire[10] << 8 | s->wire[11]);
	size_t size = finish(&w, msg, q, keep, flags & DNS_RCODE, (unsigned)(s->wire[6] << 8 | s->wire[7]),
		(unsigned)(s->wire[8] << 8 | s->wire[9]));
	put16(msg + 10, additional + q->edns);
	return size;
}
