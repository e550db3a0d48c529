/* SPDX-License-Identifier: BSD-3-Clause */
/* First byte even: what a relay's port gets, a Geneve header and what follows. Odd: the payload of a box that was right. */
#include "geneve.h"
#include "relay_message.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
written_again(const uint8_t *before, size_t before_len, const uint8_t *again, size_t len)
{
	if (len > before_len || memcmp(before + 2, again + 2, len - 2) != 0 || before[0] != again[0])
		abort();
}

static void
payload(const uint8_t *p, size_t len)
{
	struct disco_bind b;
	struct disco_allocate a;
	struct disco_relay r;
	uint8_t again[DISCO_RELAY_MAX];
	if (disco_parse_bind(&b, p, len))
		written_again(p, len, again, disco_bind(again, (enum disco_type)p[0], &b));
	if (disco_parse_allocate(&a, p, len))
		written_again(p, len, again, disco_allocate(again, &a));
	if (!disco_parse_relay(&r, p, len))
		return;
	struct disco_relay same;
	const size_t n = disco_relay(again, (enum disco_type)p[0], &r);
	if (!disco_parse_relay(&same, again, n) || same.n != r.n || same.id != r.id || same.vni != r.vni ||
		memcmp(same.address, r.address, r.n * sizeof(r.address[0])) != 0)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len == 0)
		return 0;
	const size_t n = len - 1;
	uint8_t *copy = malloc(n ? n : 1);
	memcpy(copy, data + 1, n);
	struct geneve g;
	if (data[0] % 2 != 0) {
		payload(copy, n);
	} else if (geneve_read(&g, copy, n)) {
		uint8_t head[GENEVE_HEAD];
		geneve_write(head, &g);
		if (memcmp(head, copy, GENEVE_HEAD) != 0)
			abort();
	}
	free(copy);
	return 0;
}
