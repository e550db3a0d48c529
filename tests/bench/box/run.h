/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define RUN_LIST 32

struct run {
	bool quick, json;
	const char *plugins, *output, *report;
	double trial; /* seconds; 0: by what `quick` says */
	const struct scenario *scenario[RUN_LIST];
	uint32_t size[RUN_LIST], peers[RUN_LIST];
	unsigned n_scenarios, n_sizes, n_peers;
};

/* Measures, prints, writes files. An exit status. */
int run_all(struct run *r);
