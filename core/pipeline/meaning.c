/* SPDX-License-Identifier: BSD-3-Clause */
#include "meaning.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* libyaml 0.2 forgets the aliases and anchors of a document that it refuses, in a call chain that LeakSanitizer does not always get
 * to the end of. Our own use of libyaml is watched by all other tests. */
const char *__lsan_default_suppressions(void);

const char *
__lsan_default_suppressions(void)
{
	return "leak:yaml_parser_load\nleak:libyaml-0.so\n";
}

static bool
blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static void add(struct meaning *m, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void
add(struct meaning *m, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	m->fact = realloc(m->fact, (m->n + 1) * sizeof(*m->fact));
	if (m->fact == NULL || vasprintf(&m->fact[m->n++], format, ap) < 0)
		abort();
	va_end(ap);
	char *to = m->fact[m->n - 1]; /* words are what counts, not the blanks between them */
	for (const char *c = to; *c != '\0'; c++)
		if (!blank(*c) || (!blank(c[1]) && c[1] != '\0'))
			*to++ = blank(*c) ? ' ' : *c;
	*to = '\0';
}

static const char *
text_of(const yaml_node_t *n)
{
	return n != NULL && n->type == YAML_SCALAR_NODE ? (const char *)n->data.scalar.value : "?";
}

static void
value(struct meaning *m, yaml_document_t *d, const char *unit, const char *key, int id, int depth)
{
	const yaml_node_t *n = yaml_document_get_node(d, id);
	if (n == NULL || depth > 8) {
		return;
	} else if (n->type == YAML_SCALAR_NODE) {
		char address[INET6_ADDRSTRLEN];
		unsigned char b[16];
		if (inet_pton(AF_INET6, text_of(n), b) == 1) /* has many spellings */
			add(m, "%s|%s=%s", unit, key, inet_ntop(AF_INET6, b, address, sizeof(address)));
		else
			add(m, "%s|%s=%s", unit, key, text_of(n));
	} else if (n->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
			value(m, d, unit, key, *i, depth + 1);
	} else {
		for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
			char *deeper;
			if (asprintf(&deeper, "%s/%s", key, text_of(yaml_document_get_node(d, p->key))) < 0)
				abort();
			value(m, d, unit, deeper, p->value, depth + 1);
			free(deeper);
		}
	}
}

/* A map of units of one kind, each a map of keys. */
static void
units(struct meaning *m, yaml_document_t *d, const char *kind, const yaml_node_t *map)
{
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *unit = yaml_document_get_node(d, p->value);
		char *name;
		if (asprintf(&name, "%s %s", kind, text_of(yaml_document_get_node(d, p->key))) < 0)
			abort();
		if (unit != NULL && unit->type == YAML_MAPPING_NODE)
			for (yaml_node_pair_t *q = unit->data.mapping.pairs.start; q < unit->data.mapping.pairs.top; q++)
				value(m, d, name, text_of(yaml_document_get_node(d, q->key)), q->value, 0);
		free(name);
	}
}

static void
link_item(struct meaning *m, const char *text)
{
	const char *arrow = strstr(text, "->"), *to = arrow != NULL ? arrow + 2 + strspn(arrow + 2, " \t") : "";
	int from = arrow != NULL ? (int)(arrow - text) : (int)strlen(text);
	while (from > 0 && blank(text[from - 1]))
		from--;
	add(m, "link %.*s -> %s", from, text, strcmp(to, "drop.in") == 0 ? "drop" : to);
}

static void
section(struct meaning *m, yaml_document_t *d, const char *key, const yaml_node_t *n)
{
	if (n == NULL) {
		return;
	} else if (strcmp(key, "instances") == 0 && n->type == YAML_MAPPING_NODE) {
		units(m, d, "instance", n);
	} else if (strcmp(key, "links") == 0 && n->type == YAML_SEQUENCE_NODE) {
		for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++)
			link_item(m, text_of(yaml_document_get_node(d, *i)));
	} else if (strcmp(key, "netmap") == 0 && n->type == YAML_MAPPING_NODE) {
		for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top; p++) {
			const char *part = text_of(yaml_document_get_node(d, p->key));
			const yaml_node_t *of = yaml_document_get_node(d, p->value);
			if (strcmp(part, "peers") == 0 && of != NULL && of->type == YAML_MAPPING_NODE)
				units(m, d, "peer", of);
			else
				value(m, d, "netmap", part, p->value, 0);
		}
	} else {
		add(m, "section %s", key);
	}
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

bool
meaning_read(const char *text, size_t len, struct meaning *m)
{
	yaml_parser_t parser;
	yaml_document_t d;
	*m = (struct meaning){0};
	if (!yaml_parser_initialize(&parser))
		abort();
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	const bool loaded = yaml_parser_load(&parser, &d);
	const yaml_node_t *root = loaded ? yaml_document_get_root_node(&d) : NULL;
	const bool map = root != NULL && root->type == YAML_MAPPING_NODE;
	for (yaml_node_pair_t *p = map ? root->data.mapping.pairs.start : NULL; map && p < root->data.mapping.pairs.top; p++)
		section(m, &d, text_of(yaml_document_get_node(&d, p->key)), yaml_document_get_node(&d, p->value));
	bool alone = loaded;
	if (loaded) {
		yaml_document_delete(&d);
		alone = yaml_parser_load(&parser, &d) && yaml_document_get_root_node(&d) == NULL;
		if (alone)
			yaml_document_delete(&d);
	}
	yaml_parser_delete(&parser);
	if (m->n != 0)
		qsort(m->fact, m->n, sizeof(*m->fact), by_text);
	return map && alone;
}

void
meaning_free(struct meaning *m)
{
	for (unsigned i = 0; i < m->n; i++)
		free(m->fact[i]);
	free(m->fact);
	*m = (struct meaning){0};
}

const char **
meaning_minus(const struct meaning *a, const struct meaning *b, unsigned *n)
{
	const char **v = calloc(a->n + 1, sizeof(*v));
	if (v == NULL)
		abort();
	*n = 0;
	for (unsigned i = 0, j = 0; i < a->n; i++) {
		while (j < b->n && strcmp(b->fact[j], a->fact[i]) < 0)
			j++;
		if (j < b->n && strcmp(b->fact[j], a->fact[i]) == 0)
			j++;
		else
			v[(*n)++] = a->fact[i];
	}
	return v;
}

bool
meaning_about(const char *fact, const char *kind, const char *name)
{
	const size_t k = strlen(kind), n = strlen(name);
	return strncmp(fact, kind, k) == 0 && fact[k] == ' ' && strncmp(fact + k + 1, name, n) == 0 &&
	       (fact[k + 1 + n] == '|' || fact[k + 1 + n] == '\0');
}
