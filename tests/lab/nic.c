/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into a gateway, its ports are NICs that take rules (rte_flow), all but every third: what is made and what is destroyed is
 * a line each in the file $LAB_RULES. The rules themselves are core/port/steer_test.c's.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct flow {
	unsigned number;
};

static void
say(const char *what, uint16_t port, unsigned number)
{
	FILE *f = fopen(getenv("LAB_RULES"), "ae");
	if (!f)
		return;
	fprintf(f, "%s %u on port %u\n", what, number, port);
	fclose(f);
}

int
rte_flow_validate(uint16_t port, const void *attr, const void *pattern, const void *actions, void *error)
{
	static unsigned asked;
	return ++asked % 3 ? 0 : -ENOSPC;
}

void *
rte_flow_create(uint16_t port, const void *attr, const void *pattern, const void *actions, void *error)
{
	static unsigned made;
	struct flow *f = malloc(sizeof(*f));
	if (f)
		say("made", port, f->number = ++made);
	return f;
}

int
rte_flow_destroy(uint16_t port, void *flow, void *error)
{
	struct flow *f = flow;
	say("destroyed", port, f->number);
	free(f);
	return 0;
}
