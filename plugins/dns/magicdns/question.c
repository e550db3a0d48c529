/* SPDX-License-Identifier: BSD-3-Clause */
#include "question.h"

#include <tailrace/reader.h>

static bool
parse_name(struct question *q, struct tr_reader *r)
{
	const uint8_t *start = r->p;
	char *text = q->text;
	for (;;) {
		const uint8_t len = tr_u8(r);
		const uint8_t *label = tr_take(r, len);
		if (label == NULL || len > 63 || (size_t)(r->p - start) + (len > 0) > DNS_NAME_MAX)
			return false;
		if (len == 0)
			break;
		if (text != q->text)
			*text++ = '.';
		for (unsigned i = 0; i < len; i++) {
			const uint8_t c = label[i], upper = (uint8_t)(c - 'A') < 26;
			text[i] = (char)(c == '.' ? 0x7f : c | upper << 5);
		}
		text += len;
	}
	q->name_len = (uint8_t)(r->p - start);
	q->text_len = (uint8_t)(text - q->text);
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
	tr_be16(&r); /* id: stays where it is */
	q->flags = tr_be16(&r);
	const uint16_t questions = tr_be16(&r), answers = tr_be16(&r), authority = tr_be16(&r), additional = tr_be16(&r);
	if (r.bad)
		return QUESTION_SHORT;
	if (q->flags & DNS_QR)
		return QUESTION_NOT_QUERY;

	q->end = DNS_HEADER;
	q->room = DNS_ROOM_PLAIN;
	q->edns = q->dnssec_ok = false;
	q->name_len = q->text_len = 0;
	if (q->flags & DNS_OPCODE)
		return DNS_NOTIMP;
	if (questions != 1 || answers != 0 || authority != 0 || !parse_name(q, &r))
		return DNS_FORMERR;
	q->type = tr_be16(&r);
	q->class_ = tr_be16(&r);
	if (r.bad)
		return DNS_FORMERR;
	q->end = (uint16_t)(DNS_HEADER + q->name_len + 4);
	if (additional > 0) {
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
