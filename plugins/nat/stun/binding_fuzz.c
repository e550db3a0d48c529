/* SPDX-License-Identifier: BSD-3-Clause */
/* An answer from anybody. First byte odd: with a right FINGERPRINT put behind it, so that one is met at all. */
#include "binding.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct crc32 crc;
	if (crc.table[0][1] == 0)
		crc32_init(&crc);
	if (len == 0)
		return 0;
	const bool seal = data[0] % 2 != 0;
	uint8_t *copy = malloc(len - 1 + (seal ? 8 : 0) + (len == 1));
	memcpy(copy, data + 1, --len);
	if (seal) {
		uint32_t v = __builtin_bswap32(crc32_sum(&crc, copy, len) ^ 0x5354554eu);
		memcpy(copy + len, (const uint8_t[]){0x80, 0x28, 0, 4}, 4);
		memcpy(copy + len + 4, &v, 4);
		len += 8;
	}
	struct binding b;
	if (binding_parse(&b, &crc, copy, len) && (b.mapped.addr.family % 2 != 0 || b.error > 699))
		abort();
	binding_is_request(copy, len, b.txid);
	free(copy);
	return 0;
}
