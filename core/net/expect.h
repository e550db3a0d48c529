/* SPDX-License-Identifier: BSD-3-Clause */
/* For tests with cmocka: the rig of the program, and what must come out of it next. Fuzz targets use rig.h alone. */
#pragma once

#include "net/rig.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct rig r;

static inline const struct rig_out *
expect(const char *verdict)
{
	const struct rig_out *o = rig_next(&r);
	assert_string_equal(rig_verdict(&r, o), verdict);
	return o;
}

static inline void
drain(void)
{
	while (rig_next(&r) != NULL)
		;
}
