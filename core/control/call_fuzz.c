/* SPDX-License-Identifier: BSD-3-Clause */
#include "management.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct management_call c;
	char why[256] = "";
	if (len > MANAGEMENT_LINE)
		return 0;
	if (!management_parse((const char *)data, len, &c, why, sizeof(why))) {
		if (!why[0] || c.argv || c.root)
			abort(); /* a refusal says why and leaves nothing behind */
		return 0;
	}
	size_t sum = 0;
	for (int i = 0; i < c.argc; i++)
		sum += strlen(c.argv[i]);
	if (sum > len || c.argc < 1 || c.argv[c.argc])
		abort();
	management_call_free(&c);
	return 0;
}
