/* SPDX-License-Identifier: BSD-3-Clause */
/* What an AEAD engine makes of many bursts, in a few numbers, on any machine and without an operating system. */
#pragma once

#include "../../core/crypto/aead.h"

#define DIGESTS 8

/*
 * Seals and opens bursts of 3 to 64 packets of all lengths from 0 to 2,048 and of some up to 9,000, at all alignments, each
 * with a key of its own, every fifth of them forged before it is opened. Each of out[DIGESTS] is a hash over what a part of
 * the bursts was sealed to, what was found right, and that opened: equal engines give equal numbers.
 */
void digest_engine(const struct aead_engine *e, void *worker, uint64_t out[DIGESTS]);
