/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thousand one-token mutations of each example pipeline: each is accepted, or refused at a line; none takes long. The
 * plugins of the build tree are used; an example whose plugin has not been built is skipped by name.
 */
#include "test.h"

#include "config/paths.h"

#include <glob.h>
#include <time.h>

#define MUTATIONS 1000
#define TOKENS_MAX 4096

struct token {
	const char *s;
	size_t len;
};

static uint64_t seed;

static uint32_t
below(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 32) % n;
}

static int
kind(char c)
{
	if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '+')
		return 1;
	return c == ' ' ? 2 : 0;
}

/* Words, runs of blanks, and single other characters. */
static unsigned
split(const char *text, struct token *t)
{
	unsigned n = 0;
	while (*text != '\0' && n < TOKENS_MAX) {
		size_t len = 1;
		while (kind(*text) != 0 && kind(text[len]) == kind(*text))
			len++;
		t[n++] = (struct token){text, len};
		text += len;
	}
	return n;
}

static const char *const strange[] = {"{", "}", "[", "]", "- ", ": ", "\n", "\t", "&a ", "*a", "'", "\"", "!!int ", "|\n", "? ",
	"-1", "0", "99999999999999999999", "true", "null", "~", "#", "--- ", "\n---\n", "::", "/", "\xff", "\x01", "drop", "->", "%",
	"2001:db8::1", "10.0.0.0/8", "file:", "in", "wan", "class"};

static void
put(FILE *f, const struct token *t)
{
	fwrite(t->s, 1, t->len, f);
}

static char *
mutate(const struct token *t, unsigned n)
{
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	uint32_t at = below(n), how = below(5), other = below(n);
	for (unsigned i = 0; i < n; i++) {
		if (i != at)
			put(f, &t[i]);
		else if (how == 1) /* 0: left out */
			fprintf(f, "%.*s%.*s", (int)t[i].len, t[i].s, (int)t[i].len, t[i].s);
		else if (how == 2)
			fputs(strange[below(sizeof(strange) / sizeof(strange[0]))], f);
		else if (how == 3)
			put(f, &t[other]);
		else if (how == 4)
			fprintf(f, "%c%.*s", 'a' + (int)below(26), (int)t[i].len - 1, t[i].s + 1);
	}
	fclose(f);
	return text;
}

static void
try(const char *text, const struct catalogue *c, unsigned *accepted)
{
	struct diags d = {0};
	struct plan *p = plan_parse("m.yaml", text, strlen(text), c, NULL, false, &d);
	if ((p == NULL) != (d.errors != 0))
		fail_msg("neither accepted nor refused:\n%s", text);
	for (unsigned i = 0; i < d.n; i++)
		if (d.v[i].line == 0)
			fail_msg("a message without a line: %s\n%s", d.v[i].text, text);
	*accepted += p != NULL;
	plan_free(p);
	diags_free(&d);
}

static char *
read_text(const char *path)
{
	char *text = calloc(1, 65536);
	FILE *f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, 65535, f) > 0);
	fclose(f);
	return text;
}

static void
mutations_of(const char *path, const struct catalogue *c)
{
	static struct token t[TOKENS_MAX];
	struct diags d = {0};
	char *text = read_text(path);
	struct plan *p = plan_parse(path, text, strlen(text), c, NULL, false, &d);
	struct timespec from, to;
	unsigned accepted = 0, n = split(text, t);
	if (p == NULL) {
		diags_print(&d, stderr);
		print_message("skipped: %s (its plugins are not built)\n", path);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; p != NULL && i < MUTATIONS; i++) {
		char *m = mutate(t, n);
		try(m, c, &accepted);
		free(m);
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	if (p != NULL) {
		print_message("%s: %u of %u accepted\n", path, accepted, MUTATIONS);
		assert_true(accepted < MUTATIONS);
		assert_true(to.tv_sec - from.tv_sec < 20);
	}
	plan_free(p);
	diags_free(&d);
	free(text);
}

static void
examples(void **state)
{
	glob_t plugins = {0}, files = {0};
	struct catalogue c = {0};
	for (const struct tr_class *const *k = core_classes; *k != NULL; k++)
		catalogue_add(&c, *k, NULL);
	if (glob(TAILRACE_BUILD "/plugins/*/*/", 0, NULL, &plugins) == 0)
		catalogue_scan(&c, (const char *const *)plugins.gl_pathv, (unsigned)plugins.gl_pathc);
	assert_int_equal(glob(TAILRACE_SOURCE_CONFIGS "/*.yaml", 0, NULL, &files), 0);
	seed = 0x7a11aceull;
	for (size_t i = 0; i < files.gl_pathc; i++)
		mutations_of(files.gl_pathv[i], &c);
	globfree(&plugins);
	globfree(&files);
	catalogue_free(&c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(examples)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
