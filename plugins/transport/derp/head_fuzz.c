/* SPDX-License-Identifier: BSD-3-Clause */
/* A request: whatever is taken is answered in bounds, by one head. */
#include "head.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
one_head(const char *text, size_t n)
{
	if (n == 0 || n > HEAD_ANSWER || memcmp(text, "HTTP/1.1 ", 9) != 0 || memmem(text, n, "\r\n\r\n", 4) == NULL)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t key[32];
	char out[HEAD_ANSWER];
	struct head h;
	unsigned code;
	size_t size;
	bool refused;
	char *text = malloc(len ? len : 1);
	memcpy(text, data, len);
	head_response(text, len, &code, &size);
	if (head_read(&h, text, len) == HEAD_GOOD) {
		if (h.size > len)
			abort();
		one_head(out, head_answer(out, &h));
		one_head(out, head_redirect(out, &h));
		if (h.upgrade != HEAD_UPGRADE_NONE)
			one_head(out, head_upgrade(out, &h, key, &refused));
	}
	free(text);
	return 0;
}
