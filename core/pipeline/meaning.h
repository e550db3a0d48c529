/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * For tests: what the text of a pipeline says, read by libyaml's own document loader and without any code of config/ and
 * pipeline/, as a sorted list of facts:
 *
 *   instance wg0|listen=51820        link wg0.cipher -> path.in        peer anna|allowed_ips=100.64.0.2/32
 *
 * A list is a fact per element, so that one element is the same as a list of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct meaning {
	char **fact;
	unsigned n;
};

bool meaning_read(const char *text, size_t len, struct meaning *m); /* false: not one YAML document, or no map */
void meaning_free(struct meaning *m);
/* Facts of a that b lacks; pointers into a. The caller frees the array. */
const char **meaning_minus(const struct meaning *a, const struct meaning *b, unsigned *n);
/* Do the unit (what stands before `|`, or all) of the fact and this one agree? */
bool meaning_about(const char *fact, const char *kind, const char *name);
