/* SPDX-License-Identifier: BSD-3-Clause */
#include "question.h"

#include <tailrace/reader.h>

typedef uint8_t step __attribute__((vector_size(QUESTION_STEP)));

/* Text for a step of the message: length bytes are no letters, dots are put in their places afterwards. */
static void
fold(char *text, const uint8_t *wire)
{
	step v;
	memcpy(&v, wire, sizeof(v));
	v |= (step)(v - 'A' < 26) & 0x20;
	v ^= (step)(v == '.') & ('.' ^ 0x7f);
	memcpy(text, &v, sizeof(v));
}

/*
 * Folds what may be the name's text, n bytes from `wire`, and maybe more behind it. The last step ends where the message
 * does; it overlaps the one before, or what precedes wire and text.
 */
static void
fold_all(struct question *q, const uint8_t *wire, size_t n)
{
	for (size_t i = 0; i + QUESTION_STEP <= n; i += QUESTION_STEP)
		fold(q->text + i, wire + i);
	fold(q->text + n - QUESTION_STEP, wire + n - QUESTION_STEP);
}

static bool
parse_name(struct question *q, struct tr_reader *r)
{
	const uint8_t *start = r->p;
	const size_t left = tr_left(r);
	if (left < 5) /* the root, type and class */
		return false;
	fold_all(q, start + 1, left <= DNS_NAME_MAX ? left - 1 : DNS_NAME_MAX);
	for (;;) {
		const uint8_t len = tr_u8(r);
		if (tr_take(r, len) == NULL || len > 63 || (size_t)(r->p - start) + (len > 0) > DNS_NAME_MAX)
			return false;
		if (len == 0)
			break;
		q->text[r->p - start - 1] = '.'; /* behind the label; behind the last one it is no part of the text */
	}
	q->name_len = (uint8_t)(r->p - start);
	q->text_len = (uint8_t)(q->name_len > 1 ? q->name_len - 2 : 0);
	return true;
}

/* The first additional record, if it is an OPT. Others (a signature of a transaction) mean nothing here. */
static int
parse_edns(struct question *q, struct tr_reader *r)
{
	uint8_t root = tr_u8(r);
	uint16_t type = tr_be16(r), payload = tr_be16(r);
	uint32_t ttl = tr_be32(r);
	uint16_t len = tr_be16(r);
	tr_take(r, len);
	if (root != 0 || type != DNS_OPT)
		return DNS_NOERROR;
	if (r->bad)
		return DNS_FORMERR;
	q->edns = true;
	q->dnssec_ok = (ttl & 0x8000) != 0;
	if (payload > DNS_ROOM_PLAIN)
		q->room = payload < DNS_ROOM_EDNS ? payload : DNS_ROOM_EDNS;
	return (ttl >> 16 & 0xff) != 0 ? DNS_BADVERS : DNS_NOERROR;
}

int
question_parse(struct question *q, const void *msg, size_t len)
{
	struct tr_reader r = tr_reader(msg, len);
	const uint8_t *head = tr_take(&r, DNS_HEADER);
	if (head == NULL)
		return QUESTION_SHORT;
	uint16_t flags;
	uint64_t counts; /* of questions, answers, authority and additional records */
	memcpy(&flags, head + 2, sizeof(flags));
	memcpy(&counts, head + 4, sizeof(counts));
	q->flags = __builtin_bswap16(flags);
	counts = __builtin_bswap64(counts);
	if (q->flags & DNS_QR)
		return QUESTION_NOT_QUERY;

	q->end = DNS_HEADER;
	q->room = DNS_ROOM_PLAIN;
	q->edns = q->dnssec_ok = false;
	q->name_len = q->text_len = 0;
	if (q->flags & DNS_OPCODE)
		return DNS_NOTIMP;
	if (counts >> 16 != UINT64_C(1) << 32 || !parse_name(q, &r))
		return DNS_FORMERR;
	q->type = tr_be16(&r);
	q->class_ = tr_be16(&r);
	if (r.bad)
		return DNS_FORMERR;
	q->end = (uint16_t)(DNS_HEADER + q->name_len + 4);
	if ((counts & 0xffff) != 0) {
		int rcode = parse_edns(q, &r);
		if (rcode != DNS_NOERROR)
			return rcode;
	}
	return q->class_ == DNS_IN ? DNS_NOERROR : DNS_REFUSED;
}

/* The last label of text[0..*len): its start and size; *len becomes what lies before it. */
static size_t
last_label(const char *text, size_t *len, const char **label)
{
	size_t end = *len, start = end;
	while (start > 0 && text[start - 1] != '.')
		start--;
	*label = text + start;
	*len = start > 0 ? start - 1 : 0;
	return end - start;
}

static int
octet(const char *s, size_t n)
{
	unsigned v = 0;
	if (n == 0 || n > 3 || (n > 1 && s[0] == '0'))
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return -1;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	return v < 256 ? (int)v : -1;
}

static int
nibble(const char *s, size_t n)
{
	if (n != 1)
		return -1;
	return s[0] >= '0' && s[0] <= '9' ? s[0] - '0' : s[0] >= 'a' && s[0] <= 'f' ? s[0] - 'a' + 10 : -1;
}

static bool
ends_with(const char *text, size_t *len, const char *suffix, size_t n)
{
	if (*len < n || memcmp(text + *len - n, suffix, n) != 0)
		return false;
	if (*len > n && text[*len - n - 1] != '.')
		return false;
	*len -= *len > n ? n + 1 : n;
	return true;
}

enum reverse
reverse_parse(const char *text, size_t len, struct tr_addr *addr)
{
	*addr = (struct tr_addr){0};
	if (len < 4 || memcmp(text + len - 4, "arpa", 4) != 0)
		return REVERSE_NOT;
	if (ends_with(text, &len, "in-addr.arpa", 12))
		addr->family = 4;
	else if (ends_with(text, &len, "ip6.arpa", 8))
		addr->family = 6;
	else
		return REVERSE_NOT;

	const unsigned parts = addr->family == 4 ? 4 : 32;
	unsigned n = 0;
	for (; n < parts && len > 0; n++) {
		const char *label;
		size_t rest = len, size = last_label(text, &rest, &label);
		int v = addr->family == 4 ? octet(label, size) : nibble(label, size);
		if (v < 0)
			break;
		if (addr->family == 4)
			addr->ip[n] = (uint8_t)v;
		else
			addr->ip[n / 2] |= (uint8_t)(n % 2 ? v : v << 4);
		len = rest;
	}
	return len > 0 ? REVERSE_BELOW : n == parts ? REVERSE_ADDRESS : REVERSE_PARTIAL;
}
