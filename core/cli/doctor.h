/* SPDX-License-Identifier: BSD-3-Clause */
/* What a box offers to an appliance.cfg, by what the kernel says in /proc and /sys. Reads only. */
#pragma once

#include "config/appliance.h"

enum doctor_grade { DOCTOR_GOOD, DOCTOR_NOTE, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct finding {
	enum doctor_grade grade;
	char area[48];    /* "memory", "port wan", … */
	char text[200];   /* what was found */
	char advice[240]; /* what to do; empty: nothing */
};

struct doctor {
	const char *root; /* before /proc and /sys: "" but in tests */
	const struct appliance *appliance;
	unsigned n;
	struct finding v[96]; /* more are not kept */
};

void doctor_examine(struct doctor *d);
