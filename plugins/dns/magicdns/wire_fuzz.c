/* SPDX-License-Identifier: BSD-3-Clause */
/* First byte: over TCP? The rest: an upstream's answer to a fixed query, id 0x1234. What is good goes into a client's. */
#include "answer.h"
#include "wire.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
hand_out(const uint8_t *query, size_t query_len, const uint8_t *msg, const struct wire_answer *a)
{
	struct question q;
	const size_t room = DNS_ROOM_EDNS;
	uint8_t *out = malloc(room);
	memcpy(out, query, query_len);
	if (question_parse(&q, out, query_len) != DNS_NOERROR)
		abort();
	const struct stored s = {.wire = msg, .len = a->len, .n_ttl = a->n_ttl, .ttl_at = a->ttl_at};
	for (unsigned i = 0; i < a->n_ttl; i++)
		if (a->ttl_at[i] < q.end || a->ttl_at[i] + 4 > a->len)
			abort();
	if (answer_stored(out, room, &q, &s, 3) > room)
		abort();
	free(out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t client[] = {0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'w', 'w', 'w', 2, 'e', 'x', 0, 0, 1, 0, 1};
	static const uint8_t salt[DNS_NAME_MAX / 8 + 1];
	struct question q;
	struct wire_key key;
	struct wire_answer answer;
	uint8_t query[WIRE_QUERY_MAX];
	if (len == 0 || question_parse(&q, client, sizeof(client)) != DNS_NOERROR)
		return 0;
	wire_key(&key, &q, client);
	const size_t query_len = wire_query(query, &key, 0x1234, salt);

	uint8_t *msg = malloc(len);
	memcpy(msg, data + 1, len - 1);
	if (wire_read(&answer, msg, len - 1, query, query_len, data[0] & 1) == WIRE_GOOD) {
		if (answer.len > len - 1 || answer.n_ttl > WIRE_TTLS_MAX || answer.ttl > WIRE_TTL_LIMIT)
			abort();
		hand_out(query, query_len, msg, &answer);
	}
	free(msg);
	return 0;
}
