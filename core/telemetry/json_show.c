/* SPDX-License-Identifier: BSD-3-Clause */
#include "json_show.h"

#include <arpa/inet.h>
#include <assert.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEPTH 32

struct json_show {
	struct tr_show show;
	json_t *root;
	json_t *open[DEPTH]; /* borrowed: containers that begin() and list() have opened */
	unsigned depth;
	unsigned skipped; /* levels beyond DEPTH: left out */
	bool failed;
	char error[512];
};

/* Takes the reference. false: it is gone (no memory, or a key that is not UTF-8). */
static bool
put(struct json_show *j, const char *key, json_t *value)
{
	if (!j->root) {
		j->root = key ? json_object() : value;
		j->open[0] = j->root;
		if (!key)
			return true;
	}
	json_t *in = j->open[j->depth];
	if (j->skipped) {
		json_decref(value);
		return false;
	}
	assert(json_is_array(in) == !key);
	if (json_is_array(in))
		return json_array_append_new(in, value) == 0;
	return json_object_set_new(in, key ? key : "", value) == 0;
}

static void
open_container(struct json_show *j, const char *key, json_t *c)
{
	bool is_root = !j->root && !key;
	if (is_root) {
		put(j, NULL, c);
	} else if (j->depth + 1 == DEPTH) {
		json_decref(c);
		j->skipped++;
	} else if (put(j, key, c)) {
		j->open[++j->depth] = c;
	} else {
		j->skipped++;
	}
}

static void
on_begin(struct tr_show *s, const char *key)
{
	open_container(s->ctx, key, json_object());
}

static void
on_list(struct tr_show *s, const char *key)
{
	open_container(s->ctx, key, json_array());
}

static void
on_end(struct tr_show *s)
{
	struct json_show *j = s->ctx;
	if (j->skipped)
		j->skipped--;
	else if (j->depth)
		j->depth--;
}

static void
on_text(struct tr_show *s, const char *key, const char *value)
{
	json_t *v = value ? json_string(value) : json_null();
	put(s->ctx, key, v ? v : json_string("(not UTF-8)"));
}

static void
on_uint(struct tr_show *s, const char *key, uint64_t value)
{
	/* jansson's integers are signed; what lies above is a counter nobody reaches. */
	put(s->ctx, key, json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value));
}

static void
on_real(struct tr_show *s, const char *key, double value)
{
	json_t *v = json_real(value); /* NULL: not a number */
	put(s->ctx, key, v ? v : json_null());
}

static void
on_flag(struct tr_show *s, const char *key, bool value)
{
	put(s->ctx, key, json_boolean(value));
}

static void
on_addr(struct tr_show *s, const char *key, const struct tr_addr *value)
{
	char text[INET6_ADDRSTRLEN];
	if (value->family == 0) {
		put(s->ctx, key, json_null());
		return;
	}
	inet_ntop(value->family == 4 ? AF_INET : AF_INET6, value->ip, text, sizeof(text));
	on_text(s, key, text);
}

static void
on_key(struct tr_show *s, const char *key, const uint8_t value[32])
{
	char text[sodium_base64_ENCODED_LEN(32, sodium_base64_VARIANT_ORIGINAL)];
	sodium_bin2base64(text, sizeof(text), value, 32, sodium_base64_VARIANT_ORIGINAL);
	on_text(s, key, text);
}

static void __attribute__((format(printf, 2, 3))) on_error(struct tr_show *s, const char *format, ...)
{
	struct json_show *j = s->ctx;
	va_list args;
	va_start(args, format);
	vsnprintf(j->error, sizeof(j->error), format, args);
	va_end(args);
	j->failed = true;
}

struct tr_show *
json_show_begin(struct json_show **out)
{
	struct json_show *j = calloc(1, sizeof(*j));
	*out = j;
	if (!j)
		return NULL;
	j->show = (struct tr_show){
		.ctx = j,
		.begin = on_begin,
		.list = on_list,
		.end = on_end,
		.text = on_text,
		.uint = on_uint,
		.real = on_real,
		.flag = on_flag,
		.addr = on_addr,
		.key = on_key,
		.error = on_error,
	};
	return &j->show;
}

json_t *
json_show_end(struct json_show *j, char *error, size_t size)
{
	json_t *root = j->root ? j->root : json_object();
	assert(j->failed || j->depth == 0);
	if (j->failed) {
		snprintf(error, size, "%s", j->error);
		json_decref(root);
		root = NULL;
	}
	free(j);
	return root;
}
