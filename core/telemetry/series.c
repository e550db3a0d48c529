/* SPDX-License-Identifier: BSD-3-Clause */
#include "series.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define MINUTE 60 /* samples */
#define DEPTH 16
#define PATH_SIZE 256

struct counter {
	struct counter *next;
	uint32_t hash;
	uint64_t round; /* the last that sampled it */
	uint64_t value;
	double rate;
	uint64_t increase[MINUTE]; /* by round */
	char name[];
};

/* Where the walk of a shown tree is. */
struct walk {
	struct tr_show show;
	char path[PATH_SIZE];
	struct level {
		size_t len; /* of the path at this level */
		bool list, named;
	} level[DEPTH];
	unsigned depth, skipped;
};

struct series {
	struct counter **bucket;
	uint32_t mask, n;
	uint64_t round;
	uint64_t now, before; /* ns of this round and the last */
	struct walk walk;
};

static uint32_t
hash_of(const char *name)
{
	uint32_t h = 2166136261u; /* FNV-1a */
	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	return h;
}

static struct counter *
find(const struct series *s, const char *name, uint32_t hash)
{
	struct counter *c = s->bucket[hash & s->mask];
	while (c && (c->hash != hash || strcmp(c->name, name) != 0))
		c = c->next;
	return c;
}

static void
grow(struct series *s)
{
	uint32_t mask = s->mask * 2 + 1;
	struct counter **b = calloc((size_t)mask + 1, sizeof(*b));
	if (!b)
		return; /* longer chains will do */
	for (uint32_t i = 0; i <= s->mask; i++) {
		for (struct counter *c = s->bucket[i], *next; c; c = next) {
			next = c->next;
			c->next = b[c->hash & mask];
			b[c->hash & mask] = c;
		}
	}
	free(s->bucket);
	s->bucket = b;
	s->mask = mask;
}

struct series *
series_new(void)
{
	struct series *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->mask = 255;
	s->bucket = calloc(s->mask + 1, sizeof(*s->bucket));
	if (!s->bucket) {
		free(s);
		return NULL;
	}
	return s;
}

/* Frees counters that the current round has not seen (all: every one). */
static void
sweep(struct series *s, bool all)
{
	for (uint32_t i = 0; i <= s->mask; i++) {
		for (struct counter **p = &s->bucket[i], *c; (c = *p);) {
			if (all || c->round != s->round) {
				*p = c->next;
				free(c);
				s->n--;
			} else {
				p = &c->next;
			}
		}
	}
}

void
series_free(struct series *s)
{
	if (!s)
		return;
	sweep(s, true);
	free(s->bucket);
	free(s);
}

void
series_begin(struct series *s, uint64_t now)
{
	s->round++;
	s->before = s->now;
	s->now = now;
}

void
series_sample(struct series *s, const char *name, uint64_t value)
{
	uint32_t hash = hash_of(name);
	struct counter *c = find(s, name, hash);
	if (!c) {
		size_t len = strlen(name) + 1;
		if (s->n > s->mask)
			grow(s);
		c = calloc(1, sizeof(*c) + len);
		if (!c)
			return;
		memcpy(c->name, name, len);
		c->hash = hash;
		c->next = s->bucket[hash & s->mask];
		s->bucket[hash & s->mask] = c;
		s->n++;
	}
	uint64_t increase = value >= c->value ? value - c->value : value;
	uint64_t ns = s->now - s->before;
	c->rate = s->before && ns ? (double)increase * 1e9 / (double)ns : 0;
	c->increase[s->round % MINUTE] = increase;
	c->value = value;
	c->round = s->round;
}

void
series_end(struct series *s)
{
	sweep(s, false);
}

double
series_rate(const struct series *s, const char *name)
{
	const struct counter *c = find(s, name, hash_of(name));
	return c ? c->rate : 0;
}

uint64_t
series_minute(const struct series *s, const char *name)
{
	const struct counter *c = find(s, name, hash_of(name));
	uint64_t sum = 0;
	for (unsigned i = 0; c && i < MINUTE; i++)
		sum += c->increase[i];
	return sum;
}

/* ---- Sampling what is shown ---- */

static void
push_name(struct walk *w, const char *name)
{
	size_t at = w->level[w->depth].len;
	int n = snprintf(w->path + at, PATH_SIZE - at, "%s%s", at ? "/" : "", name);
	w->level[w->depth].len = at + (size_t)n < PATH_SIZE ? at + (size_t)n : PATH_SIZE - 1;
}

static void
enter(struct series *s, const char *key, bool list)
{
	struct walk *w = &s->walk;
	if (w->skipped || w->depth + 1 == DEPTH) {
		w->skipped++;
		return;
	}
	const struct level *outer = &w->level[w->depth++];
	/* An element of a list gets its name from its members. */
	w->level[w->depth] = (struct level){.len = outer->len, .list = list, .named = list || !outer->list};
	w->path[outer->len] = 0;
	if (key)
		push_name(w, key);
}

static void
on_begin(struct tr_show *show, const char *key)
{
	enter(show->ctx, key, false);
}

static void
on_list(struct tr_show *show, const char *key)
{
	enter(show->ctx, key, true);
}

static void
on_end(struct tr_show *show)
{
	struct walk *w = &((struct series *)show->ctx)->walk;
	if (w->skipped)
		w->skipped--;
	else if (w->depth)
		w->depth--;
}

static void
on_text(struct tr_show *show, const char *key, const char *value)
{
	struct walk *w = &((struct series *)show->ctx)->walk;
	if (!w->skipped && !w->level[w->depth].named && value)
		push_name(w, value);
}

static void
on_uint(struct tr_show *show, const char *key, uint64_t value)
{
	struct series *s = show->ctx;
	struct walk *w = &s->walk;
	struct level *l = &w->level[w->depth];
	if (w->skipped || l->list)
		return;
	if (!l->named) {
		l->named = true;
		if (l->len == l[-1].len) {
			char name[24];
			snprintf(name, sizeof(name), "%lu", value);
			push_name(w, name);
			return;
		}
	}
	size_t len = l->len;
	push_name(w, key);
	series_sample(s, w->path, value);
	l->len = len;
	w->path[len] = 0;
}

static void
on_real(struct tr_show *show, const char *key, double value)
{
}

static void
on_flag(struct tr_show *show, const char *key, bool value)
{
}

static void
on_addr(struct tr_show *show, const char *key, const struct tr_addr *value)
{
}

static void
on_key(struct tr_show *show, const char *key, const uint8_t value[32])
{
}

static void __attribute__((format(printf, 2, 3))) on_error(struct tr_show *show, const char *format, ...)
{
}

struct tr_show *
series_show(struct series *s, const char *prefix)
{
	struct walk *w = &s->walk;
	*w = (struct walk){.level[0].named = true};
	if (*prefix)
		push_name(w, prefix);
	w->show = (struct tr_show){
		.ctx = s,
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
	return &w->show;
}
