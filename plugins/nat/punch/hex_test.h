/* SPDX-License-Identifier: BSD-3-Clause */
/* Vectors of the tests, written in hexadecimal; blanks are skipped. */
#pragma once

#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* In a heap block of just this size, so that AddressSanitizer sees a step beyond it. Caller frees. */
static inline uint8_t *
hex(const char *text, size_t *len)
{
	const size_t room = strlen(text) / 2 + 1;
	uint8_t *out = malloc(room);
	assert_int_equal(sodium_hex2bin(out, room, text, strlen(text), " ", len, NULL), 0);
	return realloc(out, *len);
}
