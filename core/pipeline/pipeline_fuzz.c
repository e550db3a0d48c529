/* SPDX-License-Identifier: BSD-3-Clause */
/* A pipeline.yaml from anywhere: a plan, or errors that each have a place in it; never a crash, a hang or a flood. */
#include "plan.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct catalogue catalogue;
	struct diags d = {0};

	for (unsigned i = 0; catalogue.n == 0 || core_classes[i]; i++)
		if (catalogue.n <= i)
			catalogue_add(&catalogue, core_classes[i], NULL);
	struct plan *p = plan_parse("fuzz.yaml", (const char *)data, len, &catalogue, NULL, false, &d);
	if (!p && d.errors == 0)
		abort();
	if (p && d.errors > 0)
		abort();
	for (unsigned i = 0; i < d.n; i++)
		if (!d.v[i].text || !d.v[i].text[0])
			abort();
	plan_free(p);
	diags_free(&d);
	return 0;
}
