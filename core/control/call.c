/* SPDX-License-Identifier: BSD-3-Clause */
/* The parser of requests on the management socket. */
#include "management.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 64

static bool
collect(json_t *root, struct management_call *out, char *why, size_t size)
{
	json_t *command = json_object_get(root, "command"), *args = json_object_get(root, "args");
	const char *key;
	json_t *value;
	json_object_foreach(root, key, value)
	{
		if (value != command && value != args) {
			snprintf(why, size, "unknown member \"%.40s\" (expected command, args)", key);
			return false;
		}
	}
	if (!json_is_string(command)) {
		snprintf(why, size, "\"command\" must be a string");
		return false;
	}
	if (args && (!json_is_array(args) || json_array_size(args) > MAX_ARGS)) {
		snprintf(why, size, "\"args\" must be a list of at most %d strings", MAX_ARGS);
		return false;
	}
	size_t n = json_array_size(args);
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: no room for the end of the list */
	out->argv = calloc(n + 1, sizeof(*out->argv));
#else
	out->argv = calloc(n + 2, sizeof(*out->argv));
#endif
	if (!out->argv) {
		snprintf(why, size, "out of memory");
		return false;
	}
	out->argv[out->argc++] = (char *)(uintptr_t)json_string_value(command);
	for (size_t i = 0; i < n; i++) {
		const char *s = json_string_value(json_array_get(args, i));
		if (!s) {
			snprintf(why, size, "argument %zu is not a string", i + 1);
			return false;
		}
		out->argv[out->argc++] = (char *)(uintptr_t)s;
	}
	return true;
}

bool
management_parse(const char *line, size_t len, struct management_call *out, char *why, size_t size)
{
	json_error_t e;
	*out = (struct management_call){.root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &e)};
	if (!out->root) {
		snprintf(why, size, "not JSON: %s (column %d)", e.text, e.column);
		return false;
	}
	if (json_is_object(out->root) && collect(out->root, out, why, size))
		return true;
	if (!json_is_object(out->root))
		snprintf(why, size, "a request is an object: {\"command\": \"status\", \"args\": []}");
	management_call_free(out);
	return false;
}

void
management_call_free(struct management_call *c)
{
	free(c->argv);
	json_decref(c->root);
	*c = (struct management_call){.root = NULL};
}
