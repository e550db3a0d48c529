/* SPDX-License-Identifier: BSD-3-Clause */
/* The catalogue of the tests: the core's classes and those of sample.c. */
#pragma once

#include "config/test.h"
#include "plan.h"

extern const struct tr_plugin tr_plugin; /* sample.c */

#define TEST_CLASSES 64

static inline struct catalogue
test_catalogue(struct catalogue_entry entries[TEST_CLASSES])
{
	struct catalogue c = {.v = entries};
	for (const struct tr_class *const *k = core_classes; *k != NULL; k++)
		entries[c.n++] = (struct catalogue_entry){.class_ = *k};
	for (const struct tr_class *const *k = tr_plugin.classes; *k != NULL; k++)
		entries[c.n++] = (struct catalogue_entry){.class_ = *k};
	return c;
}

static inline struct plan *
test_plan(const char *text, struct diags *d)
{
	struct catalogue_entry entries[TEST_CLASSES];
	struct catalogue c = test_catalogue(entries);
	return plan_parse("t", text, strlen(text), &c, NULL, false, d);
}
