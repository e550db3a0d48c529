/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thousand one-token mutations of each example pipeline, and what hostile text can do to it anywhere: each is accepted,
 * or refused at one of its lines; none takes long, or much memory. The plugins of the build tree are used; an example whose
 * plugin has not been built is skipped by name.
 */
#include "test.h"

#include "config/paths.h"

#include <glob.h>
#include <sys/resource.h>
#include <time.h>

#define MUTATIONS 1000
#define HOSTILE_EACH 3
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#define HOSTILE_MB 64 /* that the whole test may take at once: 8 MiB of text, libyaml's buffers, the arena's 16 MiB */
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

/* As YAML 1.1 counts them: NEL, LS and PS end a line too. */
static unsigned
lines_of(const char *text, size_t len)
{
	unsigned lines = 1;
	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n' || text[i] == '\r' || (i > 0 && memcmp(text + i - 1, "\xc2\x85", 2) == 0) ||
			 (i > 1 && memcmp(text + i - 2, "\xe2\x80", 2) == 0 && ((unsigned char)text[i] & 0xfe) == 0xa8);
	return lines;
}

static bool
try(const char *text, size_t len, const struct catalogue *c)
{
	struct diags d = {0};
	struct plan *p = plan_parse("m.yaml", text, len, c, NULL, false, &d);
	const unsigned lines = lines_of(text, len);
	if ((p == NULL) != (d.errors != 0))
		fail_msg("neither accepted nor refused:\n%.4000s", text);
	for (unsigned i = 0; i < d.n; i++)
		if (d.v[i].line == 0 || d.v[i].line > lines)
			fail_msg("a message at line %u of %u: %s\n%.4000s", d.v[i].line, lines, d.v[i].text, text);
	const bool accepted = p != NULL;
	plan_free(p);
	diags_free(&d);
	return accepted;
}

/* Times the unit, at a random place of the text. */
static const struct {
	const char *unit;
	size_t len, n;
} hostile[] = {
	{"x", 1, 8 << 20},
	{"[", 1, 1 << 20},
	{"{a: ", 4, 1 << 18},
	{"- ", 2, 1 << 20},
	{"? ", 2, 1 << 20},
	{"\n", 1, 1 << 20},
	{"\n#", 2, 1 << 20},
	{"\n  ", 3, 1 << 18},
	{"\nb: &b [*b, *b, *b, *b]", 24, 1 << 14},
	{"\n<<: *a", 7, 1 << 16},
	{"\0", 1, 1 << 16},
	{"\xff\xfe\x80\xc0", 4, 1 << 16},
	{"\x7f" "ELF\x02\x01\x01\0", 8, 1 << 16},
	{"\xe2\x80\xa8", 3, 1 << 18},
	{"!!binary |\n  ", 13, 1 << 16},
	{"'", 1, 1 << 20},
};

static double
seconds_since(const struct timespec *from)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - from->tv_sec) + (double)(now.tv_nsec - from->tv_nsec) / 1e9;
}

static void
hostile_text(const char *path, const char *text, const struct token *t, unsigned n, const struct catalogue *c)
{
	const size_t size = strlen(text);
	for (unsigned i = 0; i < sizeof(hostile) / sizeof(*hostile) * HOSTILE_EACH; i++) {
		const unsigned h = i / HOSTILE_EACH;
		const size_t at = (size_t)(t[below(n)].s - text), more = hostile[h].len * hostile[h].n;
		char *m = malloc(size + more);
		struct timespec from;
		assert_non_null(m);
		memcpy(m, text, at);
		for (size_t k = 0; k < hostile[h].n; k++)
			memcpy(m + at + k * hostile[h].len, hostile[h].unit, hostile[h].len);
		memcpy(m + at + more, text + at, size - at);
		clock_gettime(CLOCK_MONOTONIC, &from);
		try(m, size + more, c);
		if (seconds_since(&from) > 10)
			fail_msg("%s with much of `%s` at byte %zu takes %.1f s", path, hostile[h].unit, at, seconds_since(&from));
		free(m);
	}
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
	struct timespec from;
	unsigned accepted = 0, n = split(text, t);
	if (p == NULL) {
		diags_print(&d, stderr);
		print_message("skipped: %s (its plugins are not built)\n", path);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (unsigned i = 0; p != NULL && i < MUTATIONS; i++) {
		char *m = mutate(t, n);
		accepted += try(m, strlen(m), c);
		free(m);
	}
	if (p != NULL) {
		print_message("%s: %u of %u accepted\n", path, accepted, MUTATIONS);
		assert_true(accepted < MUTATIONS);
		assert_true(seconds_since(&from) < 20);
		hostile_text(path, text, t, n, c);
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
	assert_int_equal(glob(TAILRACE_SOURCE_CONFIGS "/pktgen/*.yaml", GLOB_APPEND, NULL, &files), 0);
	seed = 0x7a11aceull;
	for (size_t i = 0; i < files.gl_pathc; i++)
		mutations_of(files.gl_pathv[i], &c);
	struct rusage usage;
	getrusage(RUSAGE_SELF, &usage);
	print_message("at most %ld MB\n", usage.ru_maxrss >> 10);
#ifndef SANITIZED /* which keeps what was freed */
	assert_true(usage.ru_maxrss >> 10 < HOSTILE_MB);
#endif
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
