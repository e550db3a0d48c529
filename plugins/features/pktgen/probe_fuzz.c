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
	uint8_t ip[PROBE_MIN(4)];

	if (!probe_read(&p, data, size))
		return 0;
	probe_write(ip, sizeof(ip), &a, &a, &p);
	assert(probe_read(&again, ip, sizeof(ip)));
	assert(again.seq == p.seq && again.time == p.time && again.flow == p.flow && again.run == p.run &&
		again.direction == p.direction);
	return 0;
}
