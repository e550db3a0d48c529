/* SPDX-License-Identifier: BSD-3-Clause */
/* For the tests of configuration: an arena, diagnostics, and what they print. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "config.h"

struct fixture {
	struct arena *arena;
	struct diags d;
};

static inline struct fixture
begin(void)
{
	return (struct fixture){.arena = arena_new(32u << 20)};
}

static inline char *
printed(const struct diags *d)
{
	char *text;
	size_t size;
	FILE *m = open_memstream(&text, &size);
	diags_print(d, m);
	fclose(m);
	return text;
}

static inline void
end(struct fixture *f, const char *expected)
{
	char *text = printed(&f->d);
	assert_string_equal(text, expected);
	free(text);
	diags_free(&f->d);
	arena_free(f->arena);
}
