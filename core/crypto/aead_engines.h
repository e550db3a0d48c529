/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "aead.h"

#include <string.h>

extern const struct aead_engine aead_ifma, aead_avx512, aead_avx2, aead_ipsec_mb, aead_sodium;

/* 12 bytes: 4 zero, then the counter little-endian (DPDK supports this project's hosts little-endian only). */
static inline void
aead_nonce(uint8_t nonce[12], uint64_t counter)
{
	memset(nonce, 0, 4);
	memcpy(nonce + 4, &counter, 8);
}
