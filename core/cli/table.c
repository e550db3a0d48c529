/* SPDX-License-Identifier: BSD-3-Clause */
#include "cli.h"

#include <libsmartcols.h>
#include <stdlib.h>
#include <string.h>

struct table {
	struct libscols_table *t;
	unsigned rows;
};

struct table *
table_new(const char *const *columns)
{
	struct table *t = calloc(1, sizeof(*t));
	if (!t || !(t->t = scols_new_table())) {
		free(t);
		return NULL;
	}
	for (; *columns; columns++) {
		const char *name = *columns;
		int flags = 0;
		if (*name == '>')
			flags = SCOLS_FL_RIGHT;
		else if (*name == '~')
			flags = SCOLS_FL_TRUNC;
		name += strchr("<>~", *name) && *name;
		scols_table_new_column(t->t, name, 0, flags);
	}
	return t;
}

void
table_row(struct table *t, const char *const *cells)
{
	struct libscols_line *line = t ? scols_table_new_line(t->t, NULL) : NULL;
	if (!line)
		return;
	t->rows++;
	for (size_t i = 0; i < scols_table_get_ncols(t->t); i++)
		scols_line_set_data(line, i, cells[i] ? cells[i] : "-");
}

void
table_print(struct table *t, FILE *f, unsigned indent)
{
	char *text = NULL;
	if (!t)
		return;
	size_t width = scols_table_get_termwidth(t->t);
	if (width > indent)
		scols_table_set_termwidth(t->t, width - indent);
	if (t->rows && scols_print_table_to_string(t->t, &text) == 0)
		for (char *save, *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			fprintf(f, "%*s%s\n", (int)indent, "", line);
	free(text);
	scols_unref_table(t->t);
	free(t);
}
