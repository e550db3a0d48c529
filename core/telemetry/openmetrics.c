/* SPDX-License-Identifier: BSD-3-Clause */
#include "openmetrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct metrics_family {
	struct metrics_family *next;
	struct metrics *all;
	enum metrics_kind kind;
	const char *name, *help;
	char *text;
	size_t len;
	FILE *samples; /* into text */
	bool any;
};

struct metrics {
	bool openmetrics, failed;
	struct metrics_family *first, **last;
};

struct metrics *
metrics_new(bool openmetrics)
{
	struct metrics *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->openmetrics = openmetrics;
	m->last = &m->first;
	return m;
}

struct metrics_family *
metrics_family(struct metrics *m, enum metrics_kind kind, const char *name, const char *help)
{
	struct metrics_family *f = calloc(1, sizeof(*f));
	if (!f || !(f->samples = open_memstream(&f->text, &f->len))) {
		free(f);
		m->failed = true;
		return NULL;
	}
	f->all = m;
	f->kind = kind;
	f->name = name;
	f->help = help;
	*m->last = f;
	m->last = &f->next;
	return f;
}

static void
put_escaped(FILE *f, const char *s)
{
	for (; *s; s++) {
		if (*s == '\n')
			fputs("\\n", f);
		else if (*s == '"' || *s == '\\')
			fprintf(f, "\\%c", *s);
		else
			fputc(*s, f);
	}
}

static void
put_head(struct metrics_family *f, const char *const *labels)
{
	const char *before = "{";
	fprintf(f->samples, "%s%s", f->name, f->kind == METRICS_COUNTER ? "_total" : "");
	for (; labels && *labels; labels += 2) {
		if (!labels[1])
			continue;
		fprintf(f->samples, "%s%s=\"", before, labels[0]);
		put_escaped(f->samples, labels[1]);
		fputc('"', f->samples);
		before = ",";
	}
	if (*before == ',')
		fputc('}', f->samples);
	f->any = true;
}

void
metrics_count(struct metrics_family *f, uint64_t value, const char *const *labels)
{
	if (!f)
		return;
	put_head(f, labels);
	fprintf(f->samples, " %" PRIu64 "\n", value);
}

void
metrics_real(struct metrics_family *f, double value, const char *const *labels)
{
	if (!f)
		return;
	put_head(f, labels);
	fprintf(f->samples, " %.15g\n", value);
}

static void
put_family(FILE *out, const struct metrics_family *f)
{
	const char *suffix = f->kind == METRICS_COUNTER && !f->all->openmetrics ? "_total" : "";
	if (!f->any)
		return;
	fprintf(out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, suffix, f->help, f->name, suffix,
		f->kind == METRICS_COUNTER ? "counter" : "gauge");
	fwrite(f->text, 1, f->len, out);
}

char *
metrics_end(struct metrics *m, size_t *len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	bool ok = out && !m->failed;
	for (struct metrics_family *f = m->first, *next; f; f = next) {
		next = f->next;
		ok = fclose(f->samples) == 0 && ok;
		if (ok)
			put_family(out, f);
		free(f->text);
		free(f);
	}
	if (out && m->openmetrics)
		fputs("# EOF\n", out);
	ok = out && fclose(out) == 0 && ok;
	free(m);
	if (ok)
		return text;
	free(text);
	return NULL;
}
