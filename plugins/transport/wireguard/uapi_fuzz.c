/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of the UAPI; each is parsed from a heap block of its own size. What is accepted must be in its bounds. */
#include "uapi_line.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check(const struct uapi_line *l)
{
	switch (l->key) {
	case UAPI_ENDPOINT:
		if (!l->endpoint.remote_port || (l->endpoint.family != 4 && l->endpoint.family != 6))
			abort();
		break;
	case UAPI_ALLOWED_IP:
		if (l->prefix.len > (l->prefix.addr.family == 4 ? 32 : 128))
			abort();
		break;
	case UAPI_LISTEN_PORT:
	case UAPI_KEEPALIVE:
		if (l->number > 65535)
			abort();
		break;
	default:
		break;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct uapi_line l;
	while (len) {
		const uint8_t *end = memchr(data, '\n', len);
		size_t n = end ? (size_t)(end - data) : len;
		char *line = malloc(n + !n);
		memcpy(line, data, n);
		if (uapi_parse(line, n, &l))
			check(&l);
		free(line);
		data += n + !!end;
		len -= n + !!end;
	}
	return 0;
}
