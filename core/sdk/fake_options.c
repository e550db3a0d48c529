/* SPDX-License-Identifier: BSD-3-Clause */
/* Options and failures of the fake host: YAML text to a class's struct, by the same code as in the daemon. */
#include "fake.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char failure[1024];
static void (*on_failure)(const char *text);

void
fake_set_failure(const char *format, va_list args)
{
	vsnprintf(failure, sizeof(failure), format, args);
}

static void __attribute__((format(printf, 1, 2)))
set_failure(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fake_set_failure(format, args);
	va_end(args);
}

const char *
fh_failure(void)
{
	return failure;
}

void
fh_on_failure(void (*fn)(const char *text))
{
	on_failure = fn;
}

void
fake_failed(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (on_failure) {
		on_failure(text);
		return;
	}
	fprintf(stderr, "fake host: %s\n", text);
	abort();
}

bool
fake_allow(struct tr_instance *i, enum calling who, const char *call)
{
	static const char *const name[] = {[BY_CONTROL] = "the control thread", [BY_WORKER] = "a worker",
		[BY_SERVICE] = "a service loop", [BY_JOB] = "a job thread"};
	enum calling now = fake_of(i)->world->calling;

	if (now & who)
		return true;
	fake_failed("class %s calls %s() on %s", i->class_->name, call, name[now]);
	return false;
}

/* The first mistake becomes the failure's text; always false. */
bool
fake_diags(struct diags *d)
{
	for (unsigned i = d->n; i-- > 0;) /* the first is set last */
		if (d->v[i].severity == DIAG_ERROR)
			set_failure("%s:%u:%u: %s", d->v[i].file, d->v[i].line, d->v[i].col, d->v[i].text);
	diags_free(d);
	return false;
}

static uint32_t
dynamic_gate(void *arg, const struct cfg_node *where, const char *target)
{
	struct fh *h = arg;

	for (uint32_t i = 0; i < h->n_out; i++)
		if (strcmp(h->gate[i], target) == 0)
			return i;
	diag_at(&h->diags, DIAG_ERROR, where, "no gate %s (fh_config.gates)", target);
	return UINT32_MAX;
}

/* A map in YAML to a struct, and to its tree. NULL or an empty text: all defaults. */
bool
fake_map(const char *what, const char *yaml, const struct tr_option *table, const char *const *ignore, struct opt_context *c,
	void *out, struct cfg_node **root)
{
	struct cfg_node *node = NULL;
	struct cfg_node nowhere = {.kind = CFG_MAP, .file = what, .line = 1, .col = 1};
	bool ok;

	if (yaml && yaml[strspn(yaml, " \n")]) {
		node = yaml_parse(c->arena, what, yaml, strlen(yaml), c->diags);
		if (!node)
			return fake_diags(c->diags);
	}
	ok = options_parse(c, what, table, node, ignore, node ? node : &nowhere, out);
	if (root)
		*root = node;
	if (!ok || c->diags->errors)
		return fake_diags(c->diags);
	return true;
}

/* The options of h's class; their arena is the caller's to free, also on failure. */
bool
fake_options(struct fh *h, const char *yaml, void **out, struct arena **arena)
{
	static const struct tr_option none[] = {{.key = NULL}};
	const struct tr_class *c = h->instance.class_;
	struct opt_context context = {.diags = &h->diags, .secrets = true, .gate = dynamic_gate, .arg = h};
	char text[256] = "";

	context.arena = *arena = arena_new(64u << 20);
	*out = arena_alloc(*arena, c->options_size ? c->options_size : 1);
	if (!*out || !fake_map("options", yaml, c->options ? c->options : none, NULL, &context, *out, NULL))
		return false;
	if (c->check && !c->check(*out, text, sizeof(text))) {
		set_failure("%s", text);
		return false;
	}
	diags_free(&h->diags);
	return true;
}

/* Options that only a new instance could take must not change in fh_reconfigure(). */
static bool
live(struct fh *h, const void *new)
{
	for (const struct tr_option *o = h->instance.class_->options; o && o->key; o++)
		if (o->change != TR_LIVE && !option_equal(o, h->instance.options, new)) {
			set_failure("option %s is not live", o->key);
			return false;
		}
	return true;
}

static void
reconfigure(struct fh *h, void *options)
{
	if (h->instance.class_->reconfigure)
		h->instance.class_->reconfigure(h->instance.self, options);
	h->instance.options = options;
}

int
fh_reconfigure(struct fh *h, const char *options_yaml)
{
	struct arena *arena;
	void *options;

	if (!fake_options(h, options_yaml, &options, &arena) || !live(h, options)) {
		arena_free(arena);
		return -EINVAL;
	}
	reconfigure(h, options);
	h->pipeline_options = options;
	arena_free(h->arena);
	h->arena = arena;
	return 0;
}

/* host->option_set(): one value in text form over the present ones; NULL: the pipeline's again. */
int
fake_option_set(struct tr_instance *i, const char *key, const char *value)
{
	const struct tr_option *o = i->class_->options;
	struct fh *h = fake_of(i);
	uint8_t *copy;

	if (!fake_allow(i, BY_CONTROL, "option_set"))
		return -EINVAL;
	while (o && o->key && strcmp(o->key, key) != 0)
		o++;
	if (!o || !o->key || o->change != TR_LIVE) {
		set_failure("no live option %s", key);
		return -EINVAL;
	}
	copy = arena_alloc(h->arena, i->class_->options_size);
	if (!copy)
		return -EIO;
	memcpy(copy, value ? i->options : h->pipeline_options, i->class_->options_size);
	if (value && !option_parse_text(h->arena, o, value, copy + o->offset, failure, sizeof(failure)))
		return -EINVAL;
	reconfigure(h, copy);
	return 0;
}

/* ---- Helpers for tests ---- */

static int
nibble(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

struct fh_bytes
fh_hex(const char *hex)
{
	static uint8_t ring[8][65536];
	static unsigned turn;
	uint8_t *out = ring[turn++ % 8];
	size_t n = 0;

	for (const char *p = hex; *p; p++) {
		int high = nibble(*p), low = high >= 0 ? nibble(p[1]) : -1;

		if (*p == ' ' || *p == '\n' || *p == '\t')
			continue;
		if (low < 0 || n == sizeof(ring[0])) {
			fake_failed("FH_BYTES: not hexadecimal at `%.20s`", p);
			break;
		}
		out[n++] = (uint8_t)(high << 4 | low);
		p++;
	}
	return (struct fh_bytes){.data = out, .len = n};
}

static void
print_hex(const char *what, const uint8_t *p, size_t n)
{
	fprintf(stderr, "%s %zu bytes:", what, n);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "%s%02x", i % 16 ? " " : "\n  ", p[i]);
	fputc('\n', stderr);
}

void
fh_expect(struct fh *h, const char *gate, const void *data, size_t len)
{
	const struct fh_out *o = fh_next(h);

	if (!o)
		fake_failed("expected a packet out of %s, but nothing came", gate);
	else if (!o->gate || (gate && strcmp(o->gate, gate) != 0))
		fake_failed("expected a packet out of %s, but it %s %s", gate ? gate : "any gate",
			o->gate ? "left by" : "was dropped:", o->gate ? o->gate : o->drop);
	else if (o->len != len || memcmp(o->data, data, len) != 0) {
		print_hex("expected", data, len);
		print_hex("got", o->data, o->len);
		fake_failed("another packet than expected out of %s", o->gate);
	}
}

void
fh_expect_drop(struct fh *h, const char *reason)
{
	const struct fh_out *o = fh_next(h);

	if (!o || !o->drop || strcmp(o->drop, reason) != 0)
		fake_failed("expected a drop for %s, but %s %s", reason, !o ? "nothing" : o->drop ? "it was" : "it left by",
			!o ? "came" : o->drop ? o->drop : o->gate);
}

void
fh_expect_nothing(struct fh *h)
{
	const struct fh_out *o = fh_next(h);

	if (o)
		fake_failed("expected nothing, but a packet of %u bytes %s %s", o->len, o->drop ? "was dropped:" : "left by",
			o->drop ? o->drop : o->gate);
}

/* Secret files live as long as the process. */
static struct secret_file {
	struct secret_file *next;
	char text[64];
} *secret_files;

static void
unlink_secrets(void)
{
	for (struct secret_file *s = secret_files, *next; s; s = next) {
		next = s->next;
		unlink(s->text + strlen("file:"));
		free(s);
	}
	secret_files = NULL;
}

const char *
fh_secret(const uint8_t secret[32])
{
	struct secret_file *s = calloc(1, sizeof(*s));
	char base64[45];
	int fd;

	if (!s)
		abort();
	snprintf(s->text, sizeof(s->text), "file:/tmp/tailrace-secret-XXXXXX");
	fd = mkstemp(s->text + strlen("file:"));
	format_base64_32(secret, base64);
	if (fd < 0 || dprintf(fd, "%s\n", base64) < 0)
		fake_failed("%s: cannot be written", s->text);
	close(fd);
	if (!secret_files)
		atexit(unlink_secrets);
	s->next = secret_files;
	secret_files = s;
	return s->text;
}
