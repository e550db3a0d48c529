/* SPDX-License-Identifier: BSD-3-Clause */
/* Queries to upstreams and what comes back. Answers of any shape are read with libresolv's parser. No state, no I/O. */
#pragma once

#include "question.h"

#define WIRE_KEY_MAX (3 + DNS_NAME_MAX)
#define WIRE_QUERY_MAX (DNS_HEADER + DNS_NAME_MAX + 4 + DNS_OPT_SIZE)
#define WIRE_TTLS_MAX 256 /* records; an answer with more is passed on, not kept */
#define WIRE_TTL_LIMIT 86400
#define WIRE_NEGATIVE_LIMIT 3600

/* What is asked, apart from case: two queries with equal keys get the same answer. */
struct wire_key {
	uint16_t len;
	uint8_t bytes[WIRE_KEY_MAX]; /* type, flags (DNSSEC OK, checking disabled), name in lower case */
};

/* `msg` is the query that `q` was parsed from. */
void wire_key(struct wire_key *k, const struct question *q, const uint8_t *msg);

/* The query to an upstream; letters take upper or lower case by the bits of `salt`, of which there are name_len. */
size_t wire_query(uint8_t out[WIRE_QUERY_MAX], const struct wire_key *k, uint16_t id, const uint8_t salt[DNS_NAME_MAX / 8 + 1]);

enum wire_status {
	WIRE_FOREIGN,   /* not the answer to this query: forged, or late */
	WIRE_CASE,      /* all is right but the case of letters: a forgery, or a server that doesn't keep it */
	WIRE_TRUNCATED, /* ask again over TCP */
	WIRE_FAILED,    /* the upstream can't or won't say; or what it says can't be read */
	WIRE_GOOD,
};

struct wire_answer {
	uint16_t len; /* without OPT, which is cut off and no longer counted in the header */
	uint16_t n_ttl;
	uint32_t ttl; /* seconds it may be kept; 0: not */
	uint16_t ttl_at[WIRE_TTLS_MAX];
};

/* `query` is what was sent. Over TCP the case of letters proves nothing more. Changes msg's header when it cuts. */
enum wire_status wire_read(struct wire_answer *a, uint8_t *msg, size_t len, const uint8_t *query, size_t query_len, bool tcp);
