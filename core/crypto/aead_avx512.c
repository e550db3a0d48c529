/* SPDX-License-Identifier: BSD-3-Clause */
/* AVX-512 without 52-bit multiplication: the stream engine with 16 lanes. */
#include "lanes_avx512.h"

#include "aead_stream.h"

/* A vector of 16 blocks is about as dear as two short packets of ipsec-mb's. */
static bool
stream_few(const struct tr_aead *p, unsigned n)
{
	return n == 0 || (n < 3 && p[0].len <= 2048 && p[n - 1].len <= 2048);
}

#ifdef LANES_EMULATED
static bool
usable(void)
{
	return __builtin_cpu_supports("bmi2");
}

const struct aead_engine aead_emulated_avx512 = {
	.name = "avx512, emulated",
#else
static bool
usable(void)
{
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("bmi2");
}

const struct aead_engine aead_avx512 = {
	.name = "avx512",
#endif
	.usable = usable,
	.worker_new = stream_worker_new,
	.worker_free = stream_worker_free,
	.seal = stream_seal,
	.open = stream_open,
};
