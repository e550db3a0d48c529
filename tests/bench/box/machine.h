/* SPDX-License-Identifier: BSD-3-Clause */
/* The box that figures are of, and whether it is quiet. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct machine {
	int gateway, generator; /* CPUs; generator -1: there is but one */
	bool taken;             /* a gateway runs on all of them */
	json_t *warnings;       /* sentences */
};

/* Looks for a fifth of a second, and chooses the CPUs that are least busy. */
void machine_look(struct machine *m);
json_t *machine_json(const struct machine *m);
