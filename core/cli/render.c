/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS 16
#define CELL 256
#define LIST_WIDTH 60

/* One value as a cell; lists of scalars are joined. */
static void
scalar_text(json_t *v, char *buf, size_t size)
{
	if (json_is_string(v)) {
		snprintf(buf, size, "%s", json_string_value(v));
	} else if (json_is_integer(v)) {
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	} else if (json_is_real(v)) {
		snprintf(buf, size, "%.3f", json_real_value(v));
	} else if (json_is_array(v)) {
		size_t n = 0, i;
		json_t *e;
		buf[0] = 0;
		json_array_foreach(v, i, e)
		{
			if (n + 2 >= size)
				break;
			if (i)
				n += (size_t)snprintf(buf + n, size - n, ", ");
			scalar_text(e, buf + n, size - n);
			n += strlen(buf + n);
		}
		if (!buf[0])
			snprintf(buf, size, "-");
	} else {
		snprintf(buf, size, "%s", json_is_true(v) ? "yes" : json_is_false(v) ? "no" : "-");
	}
}

static bool
is_flat(json_t *v)
{
	if (json_is_object(v))
		return false;
	size_t i;
	json_t *e;
	json_array_foreach(v, i, e) if (json_is_object(e) || json_is_array(e)) return false;
	return true;
}

/* A list of objects with flat values: columns are the keys of all, in the order of first use. */
static bool
is_table(json_t *v)
{
	size_t i;
	json_t *e;
	if (!json_is_array(v) || json_array_size(v) == 0)
		return false;
	json_array_foreach(v, i, e)
	{
		if (!json_is_object(e))
			return false;
		const char *key;
		json_t *value;
		json_object_foreach(e, key, value) if (!is_flat(value)) return false;
	}
	return true;
}

static size_t
find_columns(json_t *list, const char *keys[COLUMNS])
{
	size_t n = 0, i;
	json_t *e;
	json_array_foreach(list, i, e)
	{
		const char *key;
		json_t *value;
		json_object_foreach(e, key, value)
		{
			size_t k = 0;
			while (k < n && strcmp(keys[k], key) != 0)
				k++;
			if (k == n && n < COLUMNS)
				keys[n++] = key;
		}
	}
	return n;
}

static void
render_table(FILE *f, json_t *list, unsigned indent)
{
	const char *keys[COLUMNS], *heads[COLUMNS + 1] = {NULL};
	char names[COLUMNS][64];
	size_t n = find_columns(list, keys), i;
	for (size_t k = 0; k < n; k++) {
		const json_t *first = json_object_get(json_array_get(list, 0), keys[k]);
		snprintf(names[k], sizeof(names[k]), "%s%s",
			json_is_number(first)  ? ">"
			: json_is_array(first) ? "~"
					       : "<",
			keys[k]);
		for (char *p = names[k]; *p; p++)
			*p = *p == '_' ? ' ' : *p >= 'a' && *p <= 'z' ? (char)(*p - 32) : *p;
		heads[k] = names[k];
	}
	struct table *t = table_new(heads);
	json_t *e;
	json_array_foreach(list, i, e)
	{
		char text[COLUMNS][CELL];
		const char *cells[COLUMNS];
		for (size_t k = 0; k < n; k++) {
			scalar_text(json_object_get(e, keys[k]), text[k], CELL);
			cells[k] = text[k];
		}
		table_row(t, cells);
	}
	table_print(t, f, indent);
}

/* A list too long for one line has a line for each entry. */
static void
render_list(FILE *f, json_t *list, unsigned indent)
{
	size_t i;
	json_t *e;
	char text[CELL];
	json_array_foreach(list, i, e)
	{
		scalar_text(e, text, sizeof(text));
		fprintf(f, "%*s%s\n", (int)indent, "", text);
	}
}

static void
render_object(FILE *f, json_t *o, unsigned indent)
{
	int width = 0;
	const char *key;
	json_t *v;
	json_object_foreach(o, key, v) if (is_flat(v) && (int)strlen(key) > width) width = (int)strlen(key);
	json_object_foreach(o, key, v)
	{
		char text[4096] = "";
		if (is_flat(v))
			scalar_text(v, text, sizeof(text));
		if (json_is_array(v) && strlen(text) > LIST_WIDTH) {
			fprintf(f, "%*s%s:\n", (int)indent, "", key);
			render_list(f, v, indent + 2);
		} else if (is_flat(v)) {
			fprintf(f, "%*s%-*s  %s\n", (int)indent, "", width, key, text);
		} else {
			fprintf(f, "%*s%s:\n", (int)indent, "", key);
			render_json(f, v, indent + 2);
		}
	}
}

void
render_json(FILE *f, json_t *v, unsigned indent)
{
	if (is_table(v)) {
		render_table(f, v, indent);
	} else if (json_is_object(v)) {
		render_object(f, v, indent);
	} else if (json_is_array(v) && !is_flat(v)) {
		size_t i;
		json_t *e;
		json_array_foreach(v, i, e)
		{
			if (i)
				fputc('\n', f);
			render_json(f, e, indent);
		}
	} else if (!json_is_null(v)) {
		char text[4096];
		scalar_text(v, text, sizeof(text));
		fprintf(f, "%*s%s\n", (int)indent, "", text);
	}
}
