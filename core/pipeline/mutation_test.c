/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thousand one-token mutations of each example pipeline, and what hostile text can do to it anywhere: each is accepted
 * with the meaning that it has by meaning.h, or refused at the line that was changed or at one that speaks of it; none takes
 * long, or much memory. The plugins of the build tree are used.
 */
#include "test.h"

#include "config/paths.h"
#include "meaning.h"

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

struct example { /* what is mutated */
	char *text;
	struct plan *plan;
	struct meaning meaning;
	const struct catalogue *catalogue;
};

struct mutant {
	char *text;
	size_t size, at, before, after; /* at byte `at`, `before` bytes became `after` */
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

static struct mutant
mutate(const struct token *t, unsigned n)
{
	struct mutant m = {0};
	FILE *f = open_memstream(&m.text, &m.size);
	const uint32_t at = below(n), how = below(5), other = below(n);
	m.at = (size_t)(t[at].s - t[0].s);
	m.before = t[at].len;
	fwrite(t[0].s, 1, m.at, f);
	if (how == 1) { /* 0: left out */
		put(f, &t[at]);
		put(f, &t[at]);
	} else if (how == 2) {
		fputs(strange[below(sizeof(strange) / sizeof(strange[0]))], f);
	} else if (how == 3) {
		put(f, &t[other]);
	} else if (how == 4) {
		fprintf(f, "%c%.*s", 'a' + (int)below(26), (int)t[at].len - 1, t[at].s + 1);
	}
	m.after = (size_t)ftell(f) - m.at;
	fputs(t[at].s + t[at].len, f);
	fclose(f);
	return m;
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

static struct plan *
read_plan(const char *text, size_t len, const struct catalogue *c, struct diags *d)
{
	*d = (struct diags){0};
	struct plan *p = plan_parse("m.yaml", text, len, c, NULL, false, d);
	const unsigned lines = lines_of(text, len);
	if ((p == NULL) != (d->errors != 0))
		fail_msg("neither accepted nor refused:\n%.4000s", text);
	for (unsigned i = 0; i < d->n; i++)
		if (d->v[i].line == 0 || d->v[i].line > lines)
			fail_msg("a message at line %u of %u: %s\n%.4000s", d->v[i].line, lines, d->v[i].text, text);
	return p;
}

/* ---- Refused: at the right line? ---- */

/* Is a word of the one line (a name, not a blank or sign) in the other? */
static bool
share_word(const char *a, size_t a_len, const char *b, size_t b_len)
{
	for (size_t i = 0, len; i < a_len; i += len) {
		for (len = 1; kind(a[i]) == 1 && i + len < a_len && kind(a[i + len]) == 1;)
			len++;
		if (kind(a[i]) == 1 && len > 1 && memmem(b, b_len, a + i, len) != NULL)
			return true;
	}
	return false;
}

/* The lines (from 1) that the bytes [at, at + len] of the text lie in. */
static void
lines_at(const char *text, size_t at, size_t len, unsigned *first, unsigned *last)
{
	*first = *last = 1;
	for (size_t i = 0; i < at + len && text[i] != '\0'; i++) {
		*first += text[i] == '\n' && i < at;
		*last += text[i] == '\n';
	}
}

static const char *
line_text(const char *text, unsigned line, size_t *len)
{
	while (--line > 0 && strchr(text, '\n') != NULL)
		text = strchr(text, '\n') + 1;
	*len = strcspn(text, "\n");
	return text;
}

/* Is one line of the text the head of a block that the other is in, by their indentation? */
static bool
is_head(const char *text, unsigned head, unsigned line)
{
	size_t len;
	const char *t = line_text(text, line, &len);
	size_t indent = strspn(t, " -");
	while (--line >= head && line > 0) {
		t = line_text(text, line, &len);
		const size_t less = strspn(t, " -");
		if (less < indent && less < len) {
			indent = less;
			if (line == head)
				return true;
		}
	}
	return false;
}

/* Was the mutant changed at the message's line, or does the changed line, as it is or was, share a name with that, or is part of it? */
static bool
right_line(const struct example *e, const struct mutant *m, const struct diag *d)
{
	const unsigned line = d->line;
	const struct {
		const char *text;
		size_t len;
	} as[] = {{m->text, m->after}, {e->text, m->before}};
	size_t len, other_len;
	const char *at = line_text(m->text, line, &len);
	for (unsigned i = 0; i < 2; i++) {
		unsigned first, last;
		lines_at(as[i].text, m->at, as[i].len, &first, &last);
		if (i == 0 && line >= first && line <= last)
			return true;
		for (unsigned k = first; k <= last; k++) {
			const char *other = line_text(as[i].text, k, &other_len);
			if (share_word(other, other_len, at, len) || is_head(as[i].text, line, k))
				return true;
			if (k == line + 1 && share_word(other, other_len, d->text, strlen(d->text))) /* a text goes on there */
				return true;
		}
	}
	return false;
}

/* The first mistake at a right line is enough: what else is wrong may follow from that. */
static bool
right_lines(const struct example *e, const struct mutant *m, const struct diags *d)
{
	for (unsigned i = 0; i < d->n; i++)
		if (d->v[i].severity == DIAG_ERROR && right_line(e, m, &d->v[i]))
			return true;
	return false;
}

static void
refused(const struct example *e, const struct mutant *m, const struct diags *d)
{
	struct meaning now;
	unsigned first, last;
	lines_at(m->text, m->at, m->after, &first, &last);
	const bool yaml = meaning_read(m->text, m->size, &now);
	meaning_free(&now);
	/* Where a sentence that is not YAML goes wrong is known where it stops making sense, not where it was changed. */
	const bool right = yaml ? right_lines(e, m, d) : d->v[0].line >= first || d->n > 1;
	if (!right) {
		diags_print(d, stderr);
		fail_msg("changed at line %u to `%.*s`, and refused elsewhere:\n%.4000s", first, (int)m->after, m->text + m->at, m->text);
	}
}

/* ---- Accepted: with the right meaning? ---- */

static bool
is_peer(enum plan_verb verb)
{
	return verb == PLAN_PEER_ADD || verb == PLAN_PEER_CHANGE || verb == PLAN_PEER_REMOVE;
}

/* Does the action concern what the fact says? */
static bool
concerns(const struct plan_action *a, const struct plan *from, const struct plan *to, const char *fact)
{
	if (a->verb == PLAN_KEEP)
		return false;
	if (a->verb == PLAN_LINK || a->verb == PLAN_UNLINK)
		return strncmp(fact, "link ", 5) == 0 && strstr(a->text, fact + 5) != NULL;
	if (a->verb == PLAN_NAMES)
		return strncmp(fact, "netmap|", 7) == 0;
	if (is_peer(a->verb))
		return (a->from >= 0 && meaning_about(fact, "peer", from->peer[a->from].name)) ||
		       (a->to >= 0 && meaning_about(fact, "peer", to->peer[a->to].name));
	return (a->from >= 0 && meaning_about(fact, "instance", from->instance[a->from].name)) ||
	       (a->to >= 0 && meaning_about(fact, "instance", to->instance[a->to].name));
}

static bool
adopts(const struct tr_class *c)
{
	for (const struct tr_option *o = c->options; o != NULL && o->key != NULL; o++)
		if (o->flags & TR_OPT_ADOPT)
			return true;
	return false;
}

/* An instance with gates by its links and routes is made again when these, or what they lead to, change; `drop` is there as
 * long as links lead to it; the kernel's device has the addresses of what links to it. */
static bool
follows(const struct plan_action *a, const struct plan *to, const char *fact)
{
	const struct plan_instance *i = a->to >= 0 ? &to->instance[a->to] : NULL;
	char name[100];
	if (a->verb == PLAN_CREATE || a->verb == PLAN_REMOVE)
		return strstr(a->text, " drop: ") != NULL && strncmp(fact, "link ", 5) == 0 && strstr(fact, " -> drop") != NULL;
	if (a->verb == PLAN_RECONFIGURE && i != NULL && adopts(i->class_))
		return strncmp(fact, "link ", 5) == 0 || strstr(fact, "|address=") != NULL;
	if (a->verb != PLAN_RECREATE || strstr(a->text, "gate") == NULL || i == NULL)
		return false;
	snprintf(name, sizeof(name), "link %s.", i->name);
	if (strncmp(fact, name, strlen(name)) == 0)
		return true;
	for (unsigned g = 0; g < i->n_out; g++)
		if (i->out[g].to >= 0 && meaning_about(fact, "instance", to->instance[i->out[g].to].name))
			return true;
	return false;
}

/* What a new fact says of an option stands in the action's text: the key, and the value unless it is secret. */
static bool
tells(const struct plan_action *a, const char *fact)
{
	const char *key = strchr(fact, '|'), *value = key != NULL ? strchr(key, '=') : NULL;
	if (value == NULL || a->verb != PLAN_RECONFIGURE || strncmp(value, "=file:", 6) == 0)
		return true;
	char word[200];
	snprintf(word, sizeof(word), "%.*s", (int)strcspn(key + 1, "/="), key + 1);
	return strstr(a->text, word) != NULL && (key[1 + strlen(word)] == '/' || strstr(a->text, value + 1) != NULL);
}

static void
accepted(const struct example *e, const struct mutant *m, const struct plan *p)
{
	struct meaning now;
	struct plan_diff diff;
	unsigned n[2];
	if (!meaning_read(m->text, m->size, &now))
		fail_msg("accepted, and not YAML:\n%.4000s", m->text);
	const char **facts[] = {meaning_minus(&now, &e->meaning, &n[0]), meaning_minus(&e->meaning, &now, &n[1])};
	plan_diff(e->plan, p, &diff);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned f = 0; f < n[k]; f++) {
			bool told = false;
			for (unsigned i = 0; i < diff.n; i++)
				told |= concerns(&diff.v[i], e->plan, p, facts[k][f]) && (k == 1 || tells(&diff.v[i], facts[k][f]));
			if (!told)
				fail_msg("%s `%s`, and the plan does not know of it:\n%.4000s", k == 0 ? "it says" : "it no longer says",
					facts[k][f], m->text);
		}
	for (unsigned i = 0; i < diff.n; i++) {
		bool caused = diff.v[i].verb == PLAN_KEEP;
		for (unsigned k = 0; k < 2; k++)
			for (unsigned f = 0; f < n[k]; f++)
				caused |= concerns(&diff.v[i], e->plan, p, facts[k][f]) || follows(&diff.v[i], p, facts[k][f]);
		if (!caused)
			fail_msg("`%s`, and the text does not say that:\n%.4000s", diff.v[i].text, m->text);
	}
	plan_diff_free(&diff);
	meaning_free(&now);
	free(facts[0]);
	free(facts[1]);
}

static bool
judge(const struct example *e, const struct mutant *m)
{
	struct diags d;
	struct plan *p = read_plan(m->text, m->size, e->catalogue, &d);
	const bool yes = p != NULL;
	if (yes)
		accepted(e, m, p);
	else
		refused(e, m, &d);
	plan_free(p);
	diags_free(&d);
	return yes;
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
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* what others take of the CPU does not count */
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
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
		struct diags d;
		plan_free(read_plan(m, size + more, c, &d));
		diags_free(&d);
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
	struct example e = {.text = read_text(path), .catalogue = c};
	struct timespec from;
	unsigned yes = 0, n = split(e.text, t);
	e.plan = plan_parse(path, e.text, strlen(e.text), c, NULL, false, &d);
	if (e.plan == NULL) {
		diags_print(&d, stderr);
		fail_msg("%s is refused", path);
	}
	assert_true(meaning_read(e.text, strlen(e.text), &e.meaning));
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
	for (unsigned i = 0; i < MUTATIONS; i++) {
		struct mutant m = mutate(t, n);
		yes += judge(&e, &m);
		free(m.text);
	}
	print_message("%s: %u of %u accepted\n", path, yes, MUTATIONS);
	assert_true(yes < MUTATIONS);
	assert_true(seconds_since(&from) < 20);
	hostile_text(path, e.text, t, n, c);
	meaning_free(&e.meaning);
	plan_free(e.plan);
	diags_free(&d);
	free(e.text);
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
