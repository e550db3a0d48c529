/* SPDX-License-Identifier: BSD-3-Clause */
/* First byte: which clients. The rest: a datagram. What is accepted must be answered in bounds, with the id kept. */
#include "message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct crc32 crc;
	static const struct tr_endpoint client = {.family = 6, .remote_port = 1};
	if (crc.table[0][1] == 0)
		crc32_init(&crc);
	if (len == 0)
		return 0;

	struct stun_request r;
	if (stun_parse(&r, &crc, data[0] & 1 ? STUN_TAILSCALE : STUN_ANY, data + 1, len - 1) != STUN_ACCEPTED)
		return 0;
	uint8_t *msg = malloc(STUN_ANSWER_MAX);
	memcpy(msg, data + 1, STUN_HEADER);
	size_t size = stun_answer(msg, &r, &crc, &client);
	if (size > STUN_ANSWER_MAX || size % 4 != 0 || memcmp(msg + 4, data + 5, 16) != 0 ||
		(size_t)(msg[2] << 8 | msg[3]) != size - STUN_HEADER)
		abort();
	free(msg);
	return 0;
}
