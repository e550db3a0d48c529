/* SPDX-License-Identifier: BSD-3-Clause */
/* First byte: who reads. The rest: a stream of frames; each that is whole must lie within it, and its box be tried. */
#include "frame.h"
#include "info.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const uint8_t shared[32] = {1};
	struct frame f;
	if (len == 0)
		return 0;
	/* A heap block of exactly this size: AddressSanitizer sees a byte too many. */
	uint8_t *stream = malloc(len - 1 ? len - 1 : 1);
	memcpy(stream, data + 1, len - 1);
	struct tr_reader r = tr_reader(stream, len - 1);
	enum frame_reader who = data[0] % 3;
	for (enum frame_status s; (s = frame_read(&f, &r, who)) == FRAME_GOOD || s == FRAME_SKIP;) {
		uint8_t sum = 0;
		if (s == FRAME_SKIP) {
			tr_take(&r, f.len < tr_left(&r) ? f.len : tr_left(&r));
			continue;
		}
		for (uint32_t i = 0; i < f.len; i++)
			sum = (uint8_t)(sum + f.body[i]);
		struct info_client c;
		struct info_server v;
		if (f.type == FRAME_CLIENT_INFO && info_open_client(&c, f.body, f.len, shared) && sum == 0)
			abort(); /* a forgery */
		if (f.type == FRAME_SERVER_INFO && info_open_server(&v, f.body, f.len, shared) && sum == 0)
			abort();
	}
	free(stream);
	return 0;
}
