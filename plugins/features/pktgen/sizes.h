/* SPDX-License-Identifier: BSD-3-Clause */
/* A mix of packet sizes: `512`, or `28x64,16x570,4x1518`: how many of which. Control sets it, a worker takes from it. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZES_MAX 256 /* packets until a mix repeats itself */

/* In the order in which they are sent: of each size the share, spread evenly. */
struct sizes {
	_Atomic uint32_t n;
	_Atomic uint16_t size[SIZES_MAX];
	uint32_t at; /* the worker's own */
};

/* Each from min to max; else false, with a reason. `s` may be NULL. While a worker takes from it, a few packets may have
 * sizes of the mix before. */
bool sizes_set(struct sizes *s, const char *text, uint32_t min, uint32_t max, char *why, size_t why_size);
uint16_t sizes_next(struct sizes *s);
uint32_t sizes_mean(const struct sizes *s);
