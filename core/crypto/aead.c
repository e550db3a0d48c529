/* SPDX-License-Identifier: BSD-3-Clause */
#include "aead_engines.h"

#include <string.h>

const struct aead_engine *const aead_engines[] = {&aead_avx2, &aead_ipsec_mb, &aead_sodium, NULL};

const struct aead_engine *
aead_choose(const char *name)
{
	for (const struct aead_engine *const *e = aead_engines; *e; e++) {
		if (name ? strcmp((*e)->name, name) == 0 : (*e)->usable())
			return (*e)->usable() ? *e : NULL;
	}
	return NULL;
}
