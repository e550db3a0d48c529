/* SPDX-License-Identifier: BSD-3-Clause */
/* Whatever is read as one of ours, written again, reads the same. */
#include "probe.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct tr_addr a = {.family = 4, .ip = {10, 0, 0, 1}};
	struct probe p, again;
	const struct probe_path path = {&a, &a, PROBE_PORT, PROBE_PORT};
	static struct pattern pattern;
	uint8_t ip[PROBE_MIN(4) + 1];

	if (!pattern.sum[1])
		pattern_init(&pattern);
	if (probe_read(&p, &pattern, data, size) == PROBE_NONE)
		return 0;
	probe_write(ip, sizeof(ip), &path, &pattern, &p);
	assert(probe_read(&again, &pattern, ip, sizeof(ip)) == PROBE_OURS);
	assert(again.seq == p.seq && again.time == p.time && again.flow == p.flow && again.run == p.run &&
		again.direction == p.direction);
	return 0;
}
