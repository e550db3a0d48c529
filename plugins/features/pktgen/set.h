/* SPDX-License-Identifier: BSD-3-Clause */
/* The command `set OPTION VALUE`: live options, until the next reload, so that a search for a rate leaves nothing behind. */
#pragma once

#include <tailrace/plugin.h>

struct settings {
	const struct tr_option *table;
	bool (*check)(const void *options, char *text, size_t size);
	void (*reconfigure)(void *self, const void *options);
	void *self;
	void *options;     /* a copy of those in force, to be changed */
	const char **size; /* the one text among them */
	char **kept;       /* and its memory, the instance's */
};
int set_command(const struct settings *s, int argc, char *const *argv, struct tr_show *out);
