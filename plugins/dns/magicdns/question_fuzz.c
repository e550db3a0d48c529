/* SPDX-License-Identifier: BSD-3-Clause */
/* A datagram from a client; what is understood must be answered within bounds, keeping id and question. */
#include "answer.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check(const uint8_t *msg, const uint8_t *data, const struct question *q, size_t size, size_t room)
{
	if (size > room || (size > 0 && (memcmp(msg, data, 2) != 0 || memcmp(msg + 12, data + 12, q->end - 12u) != 0)))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const struct tr_addr addr[] = {{.family = 4, .ip = {100, 64, 0, 2}}, {.family = 6, .ip = {0xfd, 1}}};
	struct question q;
	struct tr_addr a;
	int rcode = question_parse(&q, data, len);
	if (rcode < 0)
		return 0;
	if (q.end > len || q.text_len > DNS_NAME_MAX || q.room > DNS_ROOM_EDNS)
		abort();
	reverse_parse(q.text, q.text_len, &a);

	const size_t room = len + (len ? data[len - 1] : 0);
	uint8_t *msg = malloc(room);
	memcpy(msg, data, len);
	check(msg, data, &q, answer_error(msg, room, &q, DNS_REFUSED), room);
	check(msg, data, &q, answer_addresses(msg, room, &q, &(struct tr_name){2, addr}, 5), room);
	check(msg, data, &q, answer_pointer(msg, room, &q, "host.example", 12, 5), room);
	check(msg, data, &q, answer_negative(msg, room, &q, DNS_NXDOMAIN, DNS_HEADER, 1, 5), room);
	free(msg);
	return 0;
}
