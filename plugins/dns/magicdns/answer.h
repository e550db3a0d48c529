/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Answers, written over the query that they answer: id and question section stay where they are. `room` is what the
 * buffer takes; the client's own limit is in the question. Each returns the size of the answer, at most `room`, or 0 when
 * not even the question fits. What doesn't fit is left out and TC says so.
 */
#pragma once

#include "question.h"

#include <tailrace/netmap.h>

/* A or AAAA records (both for ANY) out of the addresses; none of the type: see answer_negative(). */
size_t answer_addresses(uint8_t *msg, size_t room, const struct question *q, const struct tr_name *found, uint32_t ttl);
size_t answer_pointer(uint8_t *msg, size_t room, const struct question *q, const char *name, size_t len, uint32_t ttl);
/* NXDOMAIN, or NOERROR without data; with the SOA of the zone whose name begins at `zone` in the question. */
size_t answer_negative(uint8_t *msg, size_t room, const struct question *q, enum dns_rcode rcode, uint16_t zone,
	uint32_t serial, uint32_t ttl);
size_t answer_error(uint8_t *msg, size_t room, const struct question *q, enum dns_rcode rcode);

/* An upstream's answer as it is kept: without its OPT record. */
struct stored {
	const uint8_t *wire;
	uint16_t len;
	uint16_t n_ttl;
	const uint16_t *ttl_at; /* where its TTLs stand, ascending */
};

/* Every TTL less `age` seconds. The question in `stored` is the same as in `q`, but for upper and lower case. */
size_t answer_stored(uint8_t *msg, size_t room, const struct question *q, const struct stored *stored, uint32_t age);

/* Does the found name have an address of this type? */
bool answer_has(const struct tr_name *found, uint16_t type);
