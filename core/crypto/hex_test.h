/* SPDX-License-Identifier: BSD-3-Clause */
/* Hexadecimal text in tests; blanks are skipped. */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline size_t
unhex(uint8_t *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text; text++) {
		unsigned v;
		if (*text == ' ')
			continue;
		assert(n < size && sscanf(text, "%2x", &v) == 1);
		out[n++] = (uint8_t)v;
		text++;
	}
	return n;
}

#define HEX(name, text)                                                                                                \
	uint8_t name[sizeof(text)];                                                                                    \
	size_t name##_len = unhex(name, sizeof(name), text);                                                           \
	(void)name##_len
