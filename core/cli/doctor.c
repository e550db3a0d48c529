/* SPDX-License-Identifier: BSD-3-Clause */
/* doctor: what this box offers to an appliance.cfg, and what to do about the rest. */
#include "doctor.h"
#include "offline.h"

#include <unistd.h>

static const char *const grades[] = {"good", "note", "warning", "problem"};

static int
print(const struct cli *c, const struct doctor *d)
{
	static const char *const colours[] = {"32", "36", "33", "31"};
	const bool colour = isatty(STDOUT_FILENO);
	enum doctor_grade worst = DOCTOR_GOOD;
	json_t *list = json_array();
	for (unsigned i = 0; i < d->n; i++) {
		const struct finding *f = &d->v[i];
		if (f->grade > worst)
			worst = f->grade;
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}", "area", f->area, "grade", grades[f->grade], "text", f->text,
						    "advice", f->advice));
		if (c->json)
			continue;
		printf(colour ? "\033[%sm%-8s\033[0m %s: %s\n" : "%.0s%-8s %s: %s\n", colours[f->grade], grades[f->grade], f->area,
			f->text);
		if (f->advice[0] != '\0')
			printf("         -> %s\n", f->advice);
	}
	if (c->json)
		cli_print_json(list);
	else
		json_decref(list);
	return worst == DOCTOR_PROBLEM ? CLI_FAILED : CLI_OK;
}

static int
doctor_run(const struct cli *c)
{
	struct diags said = {0};
	struct appliance a;
	struct arena *arena = arena_new(64u << 20);
	const char *file = c->argc > 0 ? c->argv[0] : "/etc/tailrace/appliance.cfg";
	int rc = CLI_CONFIGURATION;
	if (arena != NULL && appliance_load(arena, file, &a, &said)) {
		struct doctor d = {.root = "", .appliance = &a};
		doctor_examine(&d);
		rc = print(c, &d);
	} else {
		offline_print(&said);
	}
	diags_free(&said);
	arena_free(arena);
	return rc;
}

const struct cli_command cli_doctor = {
	.name = "doctor",
	.args = "[APPLIANCE.CFG]",
	.min_args = 0,
	.max_args = 1,
	.word = CLI_WORD_FILE,
	.doc = "look at the box: memory, NICs, cores, clock, and what to do about them",
	.more = "Reads /proc and /sys, changes nothing. Exit status 1 when something keeps the daemon from starting.",
	.run = doctor_run,
};
