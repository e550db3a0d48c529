/* SPDX-License-Identifier: BSD-3-Clause */
/* First byte even: the payload of a box that was right. Odd: a datagram, which nobody here has sealed. */
#include "message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
write_again(const struct disco_message *m)
{
	uint8_t payload[DISCO_MAX];
	struct disco_message again = {0};
	size_t n = 0;
	if (m->type == DISCO_PING && m->has_node)
		n = disco_ping(payload, m->txid, m->node);
	else if (m->type == DISCO_PONG)
		n = disco_pong(payload, m->txid, &m->address[0]);
	else if (m->type == DISCO_CALL_ME_MAYBE && m->n > 0)
		n = disco_call_me_maybe(payload, m->address, m->n);
	if (n > 0 && (!disco_parse(&again, payload, n) || again.type != m->type || again.n != m->n ||
			     memcmp(again.address, m->address, m->n * sizeof(m->address[0])) != 0))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t key[DISCO_KEY] = {1};
	if (len == 0)
		return 0;
	uint8_t *copy = malloc(len);
	memcpy(copy, data + 1, len - 1);
	copy = realloc(copy, len - 1 ? len - 1 : 1);
	struct disco_message m;
	if (data[0] % 2 == 0) {
		if (disco_parse(&m, copy, len - 1))
			write_again(&m);
	} else if (disco_is(copy, len - 1) && disco_open(copy, len - 1, key) >= 0) {
		abort();
	}
	free(copy);
	return 0;
}
