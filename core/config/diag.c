/* SPDX-License-Identifier: BSD-3-Clause */
/* Diagnostics: gathered while a configuration is checked, printed together, in the order of the text. */
#include "config.h"

#include <stdarg.h>
#include <stdlib.h>

#define DIAG_MAX 500  /* more are counted, not kept */
#define DIAG_TEXT 600 /* bytes of one message: scalars of the user's may be huge */

/* A message is one line of printable text, whatever the configuration contains. */
static void
make_printable(char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

/* Cuts a UTF-8 sequence that the buffer's end has torn. */
static void
cut_cleanly(char *s, size_t len)
{
	size_t i = len;
	while (i > 0 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
		i--;
	if (i > 0 && (unsigned char)s[i - 1] >= 0xc0)
		i--;
	memcpy(s + i, "…", sizeof("…"));
}

static void
add(struct diags *d, enum diag_severity s, const char *file, unsigned line, unsigned col, const char *format, va_list ap)
{
	if (s == DIAG_ERROR)
		d->errors++;
	if (d->n >= DIAG_MAX)
		return;
	char text[DIAG_TEXT + 8];
	int len = vsnprintf(text, DIAG_TEXT, format, ap);
	if (len >= DIAG_TEXT)
		cut_cleanly(text, DIAG_TEXT - 1);
	make_printable(text);
	if ((d->n & (d->n - 1)) == 0) { /* grows at powers of two */
		struct diag *v = realloc(d->v, (d->n != 0 ? d->n * 2 : 1) * sizeof(*v));
		if (v == NULL)
			return;
		d->v = v;
	}
	/* A copy of the name: diagnostics outlive the arena of the configuration that they are about. */
	d->v[d->n++] = (struct diag){.severity = s, .file = file != NULL ? strdup(file) : NULL, .line = line, .col = col,
		.text = strdup(text)};
}

void
diag_pos(struct diags *d, enum diag_severity s, const char *file, unsigned line, unsigned col, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	add(d, s, file, line, col, format, ap);
	va_end(ap);
}

void
diag_at(struct diags *d, enum diag_severity s, const struct cfg_node *where, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	add(d, s, where ? where->file : NULL, where ? where->line : 0, where ? where->col : 0, format, ap);
	va_end(ap);
}

struct order {
	const struct diag *d;
	unsigned index;
};

static int
by_position(const void *pa, const void *pb)
{
	const struct order *a = pa, *b = pb;
	int c = strcmp(a->d->file ? a->d->file : "", b->d->file ? b->d->file : "");
	if (c != 0)
		return c;
	if (a->d->line != b->d->line)
		return a->d->line < b->d->line ? -1 : 1;
	if (a->d->col != b->d->col)
		return a->d->col < b->d->col ? -1 : 1;
	return a->index < b->index ? -1 : 1;
}

static void
print_one(const struct diag *d, FILE *f)
{
	if (d->file != NULL)
		fprintf(f, "%s:", d->file);
	if (d->line != 0)
		fprintf(f, "%u:", d->line);
	if (d->col != 0)
		fprintf(f, "%u:", d->col);
	fprintf(f, "%s%s: %s\n", d->file != NULL ? " " : "", d->severity == DIAG_ERROR ? "error" : "warning",
		d->text != NULL ? d->text : "out of memory");
}

void
diags_print(const struct diags *d, FILE *f)
{
	struct order *o = d->n != 0 ? calloc(d->n, sizeof(*o)) : NULL;
	if (o == NULL)
		return;
	unsigned errors = 0;
	for (unsigned i = 0; i < d->n; i++)
		o[i] = (struct order){&d->v[i], i};
	qsort(o, d->n, sizeof(*o), by_position);
	for (unsigned i = 0; i < d->n; i++) {
		errors += o[i].d->severity == DIAG_ERROR;
		print_one(o[i].d, f);
	}
	if (errors < d->errors)
		fprintf(f, "… and %u more errors\n", d->errors - errors);
	free(o);
}

void
diags_free(struct diags *d)
{
	for (unsigned i = 0; i < d->n; i++) {
		free((char *)d->v[i].file);
		free(d->v[i].text);
	}
	free(d->v);
	*d = (struct diags){0};
}

#define WORD_MAX 40

/* Edit distance with swaps of neighbours counted once. Both words are at most WORD_MAX bytes long. */
static unsigned
distance(const char *a, size_t la, const char *b, size_t lb)
{
	unsigned row[3][WORD_MAX + 1];
	for (size_t j = 0; j <= lb; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *now = row[i % 3], *last = row[(i + 2) % 3], *before = row[(i + 1) % 3];
		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			unsigned best = last[j - 1] + (a[i - 1] != b[j - 1]);
			if (last[j] + 1 < best)
				best = last[j] + 1;
			if (now[j - 1] + 1 < best)
				best = now[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best)
				best = before[j - 2] + 1;
			now[j] = best;
		}
	}
	return row[la % 3][lb];
}

const char *
did_you_mean(const char *word, const char *const *names)
{
	size_t len = strlen(word);
	const char *best = NULL;
	unsigned nearest = len < 3 ? 2 : 1 + (unsigned)len / 3; /* first distance that is too far, at most 4 */
	if (nearest < 2)
		nearest = 2;
	if (nearest > 4)
		nearest = 4;
	for (; len <= WORD_MAX && *names != NULL; names++) {
		size_t n = strlen(*names);
		unsigned d = n <= WORD_MAX ? distance(word, len, *names, n) : WORD_MAX;
		if (d < nearest && d < len) {
			nearest = d;
			best = *names;
		}
	}
	return best;
}
