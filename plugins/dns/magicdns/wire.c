/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <arpa/nameser.h>
#include <tailrace/reader.h>

enum { KEY_DNSSEC_OK = 1, KEY_CHECKING_DISABLED = 2 };
#define KEY_NAME 3

static uint8_t
lower(uint8_t c) /* sizes of labels are below 'A' and stay as they are */
{
	return c | ((uint8_t)(c - 'A') < 26) << 5;
}

static bool
is_letter(uint8_t c)
{
	return (uint8_t)((c | 0x20) - 'a') < 26;
}

void
wire_key(struct wire_key *k, const struct question *q, const uint8_t *msg)
{
	k->len = (uint16_t)(KEY_NAME + q->name_len);
	k->bytes[0] = (uint8_t)(q->type >> 8);
	k->bytes[1] = (uint8_t)q->type;
	k->bytes[2] = (uint8_t)((q->dnssec_ok ? KEY_DNSSEC_OK : 0) | (q->flags & DNS_CD ? KEY_CHECKING_DISABLED : 0));
	for (unsigned i = 0; i < q->name_len; i++)
		k->bytes[KEY_NAME + i] = lower(msg[DNS_HEADER + i]);
}

size_t
wire_query(uint8_t out[WIRE_QUERY_MAX], const struct wire_key *k, uint16_t id, const uint8_t salt[DNS_NAME_MAX / 8 + 1])
{
	const unsigned name_len = k->len - KEY_NAME;
	const unsigned flags = DNS_RD | DNS_AD | (k->bytes[2] & KEY_CHECKING_DISABLED ? DNS_CD : 0);
	const uint8_t header[DNS_HEADER] = {id >> 8, id & 0xff, flags >> 8, flags & 0xff, 0, 1, 0, 0, 0, 0, 0, 1};
	memcpy(out, header, DNS_HEADER);
	uint8_t *p = out + DNS_HEADER;
	for (unsigned i = 0; i < name_len; i++) {
		const uint8_t c = k->bytes[KEY_NAME + i];
		*p++ = is_letter(c) && (salt[i / 8] >> i % 8 & 1) ? c ^ 0x20 : c;
	}
	const uint8_t rest[4 + DNS_OPT_SIZE] = {k->bytes[0], k->bytes[1], 0, DNS_IN, 0, 0, DNS_OPT, DNS_ROOM_EDNS >> 8,
		DNS_ROOM_EDNS & 0xff, 0, 0, k->bytes[2] & KEY_DNSSEC_OK ? 0x80 : 0};
	memcpy(p, rest, sizeof(rest));
	return (size_t)(p - out) + sizeof(rest);
}

/* Same id, and the same question behind the header? */
static enum wire_status
match(const uint8_t *msg, size_t len, const uint8_t *query, size_t query_len)
{
	const size_t question_len = query_len - DNS_HEADER - DNS_OPT_SIZE;
	if (len < DNS_HEADER + question_len || memcmp(msg, query, 2) != 0)
		return WIRE_FOREIGN;
	const unsigned flags = (unsigned)(msg[2] << 8 | msg[3]);
	if ((flags & DNS_QR) == 0 || (flags & DNS_OPCODE) != 0 || msg[4] != 0 || msg[5] != 1)
		return WIRE_FOREIGN;
	const uint8_t *a = msg + DNS_HEADER, *b = query + DNS_HEADER;
	if (memcmp(a, b, question_len) == 0)
		return WIRE_GOOD;
	for (size_t i = 0; i < question_len - 4; i++)
		if (lower(a[i]) != lower(b[i]))
			return WIRE_FOREIGN;
	return memcmp(a + question_len - 4, b + question_len - 4, 4) == 0 ? WIRE_CASE : WIRE_FOREIGN;
}

/* How long a negative answer may be kept: by its SOA (RFC 2308 §5). */
static uint32_t
soa_ttl(const ns_rr *rr)
{
	if (ns_rr_rdlen(*rr) < 2 + 5 * 4)
		return 0;
	const uint8_t *end = ns_rr_rdata(*rr) + ns_rr_rdlen(*rr);
	struct tr_reader r = tr_reader(end - 4, 4);
	uint32_t minimum = tr_be32(&r);
	return minimum < ns_rr_ttl(*rr) ? minimum : ns_rr_ttl(*rr);
}

struct walk {
	struct wire_answer *answer;
	const uint8_t *msg;
	uint32_t lowest, negative;
	bool soa;
};

static void
see_record(struct walk *w, const ns_rr *rr, ns_sect section)
{
	struct wire_answer *a = w->answer;
	/* RFC 2181 §8: a TTL with the top bit set means 0. */
	uint32_t ttl = ns_rr_ttl(*rr) > INT32_MAX ? 0 : ns_rr_ttl(*rr);
	if (ttl < w->lowest)
		w->lowest = ttl;
	if (section == ns_s_ns && ns_rr_type(*rr) == ns_t_soa) {
		w->soa = true;
		w->negative = soa_ttl(rr);
	}
	if (a->n_ttl < WIRE_TTLS_MAX)
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: the TTL is looked for behind the data */
		a->ttl_at[a->n_ttl] = (uint16_t)(ns_rr_rdata(*rr) + 6 - w->msg);
#else
		a->ttl_at[a->n_ttl] = (uint16_t)(ns_rr_rdata(*rr) - 6 - w->msg);
#endif
	a->n_ttl++;
}

/* All records of a section; at an OPT the message is cut. False: unreadable, or an error by OPT's part of the rcode. */
static bool
see_section(struct walk *w, ns_msg *m, ns_sect section, uint8_t *msg)
{
	for (int i = 0; i < ns_msg_count(*m, section); i++) {
		ns_rr rr;
		if (ns_parserr(m, section, i, &rr) != 0)
			return false;
		if (ns_rr_type(rr) != ns_t_opt) {
			see_record(w, &rr, section);
			continue;
		}
		const uint8_t *start = ns_rr_rdata(rr) - 11; /* root owner, type, class, TTL, size */
		if (section != ns_s_ar || ns_rr_ttl(rr) >> 24 != 0 || start < msg || *start != 0)
			return false;
		w->answer->len = (uint16_t)(start - msg);
		msg[10] = (uint8_t)(i >> 8);
		msg[11] = (uint8_t)i;
		return true;
	}
	return true;
}

enum wire_status
wire_read(struct wire_answer *a, uint8_t *msg, size_t len, const uint8_t *query, size_t query_len, bool tcp)
{
	enum wire_status status = match(msg, len, query, query_len);
	if (status == WIRE_FOREIGN || (status == WIRE_CASE && !tcp))
		return status;
	if (msg[2] & DNS_TC >> 8)
		return tcp ? WIRE_FAILED : WIRE_TRUNCATED;
	const unsigned rcode = msg[3] & DNS_RCODE;
	ns_msg m;
	if ((rcode != DNS_NOERROR && rcode != DNS_NXDOMAIN) || len > UINT16_MAX || ns_initparse(msg, (int)len, &m) != 0)
		return WIRE_FAILED;

	struct walk w = {.answer = a, .msg = msg, .lowest = WIRE_TTL_LIMIT};
	a->len = (uint16_t)len;
	a->n_ttl = 0;
	const bool positive = rcode == DNS_NOERROR && ns_msg_count(m, ns_s_an) > 0;
	for (ns_sect s = ns_s_an; s <= ns_s_ar; s++)
		if (!see_section(&w, &m, s, msg))
			return WIRE_FAILED;

	a->ttl = w.lowest;
	if (!positive) {
		const uint32_t negative = w.negative < WIRE_NEGATIVE_LIMIT ? w.negative : WIRE_NEGATIVE_LIMIT;
		a->ttl = w.soa && negative < w.lowest ? negative : w.soa ? w.lowest : 0;
	}
	if (a->n_ttl > WIRE_TTLS_MAX) {
		a->n_ttl = WIRE_TTLS_MAX;
		a->ttl = 0;
	}
	return WIRE_GOOD;
}
