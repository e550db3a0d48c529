/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes as text: arguments of a command, lines of a file. */
#include "net/route.h"

#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define WORDS 5

bool
route_parse(char *const *word, unsigned n, route_gate_fn *gate, void *arg, struct route_text *out, char *why, size_t size)
{
	*out = (struct route_text){.gate = -1};
	if ((n != 2 && n != 4) || (n == 4 && strcmp(word[2], "via") != 0)) {
		snprintf(why, size, "expected PREFIX INSTANCE.GATE [via ADDRESS]");
		return false;
	}
	if (!parse_prefix(word[0], &out->prefix, false)) {
		snprintf(why, size, "`%.60s` is no prefix such as 10.0.0.0/8", word[0]);
		return false;
	}
	if (n == 4 && !parse_addr(word[3], &out->via)) {
		snprintf(why, size, "`%.60s` is no address", word[3]);
		return false;
	}
	out->gate = gate(arg, word[1]);
	if (out->gate < 0)
		snprintf(why, size, "no route of the pipeline leads to `%.60s`", word[1]);
	return out->gate >= 0;
}

static unsigned
split(char *line, char *word[WORDS])
{
	unsigned n = 0;
	char *rest;
	line[strcspn(line, "#\r\n")] = 0;
	for (char *w = strtok_r(line, " \t", &rest); w != NULL && n < WORDS; w = strtok_r(NULL, " \t", &rest))
		word[n++] = w;
	return n;
}

static bool
read_line(struct route_table *t, char *line, route_gate_fn *gate, void *arg, char *why, size_t size)
{
	struct route_text r;
	char *word[WORDS];
	unsigned n = split(line, word);
	if (n == 0)
		return true;
	if (!route_parse(word, n, gate, arg, &r, why, size))
		return false;
	switch (route_table_add(t, &r.prefix, (uint32_t)r.gate, &r.via)) {
	case 0:
		return true;
	case -EEXIST:
		snprintf(why, size, "%.60s is a route of the pipeline", word[0]);
		return false;
	case -ENOSPC:
		snprintf(why, size, "more routes than limits.routes of appliance.cfg allows, or than %u next hops", ROUTE_HOPS);
		return false;
	default:
		snprintf(why, size, "out of memory");
		return false;
	}
}

bool
route_file_read(struct route_table *t, const char *path, route_gate_fn *gate, void *arg, char *why, size_t size)
{
	char *line = NULL, text[200];
	size_t room = 0;
	unsigned number = 0;
	bool ok = true;
	FILE *f = fopen(path, "re");
	if (f == NULL) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return false;
	}
	while (ok && getline(&line, &room, f) >= 0) {
		number++;
		ok = read_line(t, line, gate, arg, text, sizeof(text));
		if (!ok)
			snprintf(why, size, "%s:%u: %s", path, number, text);
	}
	free(line);
	fclose(f);
	return ok;
}
