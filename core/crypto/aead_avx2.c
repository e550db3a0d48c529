/* SPDX-License-Identifier: BSD-3-Clause */
/* AVX2: 8 lanes. Compiled with flags of its own; nothing here runs before usable() said yes. */
#include "lanes_avx2.h"

#include "aead_stream.h"

static bool
usable(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

/*
 * One packet leaves lanes idle. What both take then, fitted to 64 to 1424 bytes on AMD EPYC 7003, in clocks of its TSC:
 * ipsec-mb 450 + 1.85 a byte, a packet; here 450 + 550 a vector + 0.5 a byte, a burst.
 */
static bool
stream_few(const struct tr_aead *p, unsigned n)
{
	uint32_t len = 0, rows = n;

	if (n > 2)
		return false;
	for (unsigned i = 0; i < n; i++) {
		if (p[i].len > 2048)
			return false;
		len += p[i].len;
		rows += blocks_of(&p[i]);
	}
	return 450 * n + 135 * len / 100 < 450 + 550 * ((rows + LANES - 1) / LANES);
}

const struct aead_engine aead_avx2 = {
	.name = "avx2",
	.usable = usable,
	.worker_new = stream_worker_new,
	.worker_free = stream_worker_free,
	.seal = stream_seal,
	.open = stream_open,
};
