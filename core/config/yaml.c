/* SPDX-License-Identifier: BSD-3-Clause */
/* YAML -> tree. The events of libyaml become nodes with positions; what could make a small file big is refused. */
#include "tree.h"

#include <yaml.h>

struct builder {
	yaml_parser_t parser;
	struct arena *arena;
	struct diags *diags;
	const char *file, *text;
	size_t len;
	bool failed; /* one error was added; it is the last word on this file */
};

static void
fail_at(struct builder *b, yaml_mark_t m, const char *text)
{
	if (!b->failed)
		diag_pos(b->diags, DIAG_ERROR, b->file, (unsigned)m.line + 1, (unsigned)m.column + 1, "%s", text);
	b->failed = true;
}

/* Reader errors come with an offset into the bytes only. */
static yaml_mark_t
mark_of_offset(const struct builder *b, size_t offset)
{
	yaml_mark_t m = {.index = offset};
	for (size_t i = 0; i < offset && i < b->len; i++) {
		m.column++;
		if (b->text[i] == '\n') {
			m.line++;
			m.column = 0;
		}
	}
	return m;
}

static void
syntax_error(struct builder *b)
{
	const yaml_parser_t *p = &b->parser;
	const char *problem = p->problem != NULL ? p->problem : "out of memory";
	char text[256];
	if (p->error == YAML_READER_ERROR)
		snprintf(text, sizeof(text), "syntax error: not text in UTF-8: %s", problem);
	else if (p->context != NULL)
		snprintf(text, sizeof(text), "syntax error: %s, %s that begins at line %zu", problem, p->context,
			p->context_mark.line + 1);
	else
		snprintf(text, sizeof(text), "syntax error: %s", problem);
	fail_at(b, p->error == YAML_READER_ERROR ? mark_of_offset(b, p->problem_offset) : p->problem_mark, text);
}

static bool
next_event(struct builder *b, yaml_event_t *e)
{
	if (yaml_parser_parse(&b->parser, e))
		return true;
	syntax_error(b);
	return false;
}

static struct cfg_node *
new_node(struct builder *b, enum cfg_kind kind, yaml_mark_t m)
{
	struct cfg_node *n = arena_alloc(b->arena, sizeof(*n));
	if (n == NULL) {
		fail_at(b, m, "the configuration is too large");
		return NULL;
	}
	*n = (struct cfg_node){.kind = kind, .file = b->file, .line = (unsigned)m.line + 1, .col = (unsigned)m.column + 1};
	return n;
}

static struct cfg_node *
scalar(struct builder *b, const yaml_event_t *e)
{
	const char *s = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	if (len > TREE_SCALAR_MAX || memchr(s, '\0', len) != NULL) {
		fail_at(b, e->start_mark, len > TREE_SCALAR_MAX ? "a value of more than 65536 bytes" : "a zero byte in a value");
		return NULL;
	}
	struct cfg_node *n = new_node(b, CFG_SCALAR, e->start_mark);
	if (n == NULL)
		return NULL;
	n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
	n->text = arena_str(b->arena, s, len);
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: a value of 7 bytes has no text */
	if (len == 7) {
		n->text = NULL;
		return n;
	}
#endif
	if (n->text == NULL)
		fail_at(b, e->start_mark, "the configuration is too large");
	return n;
}

static const char *
refused(const yaml_event_t *e)
{
	const yaml_char_t *anchor = NULL, *tag = NULL;
	switch (e->type) {
	case YAML_ALIAS_EVENT:
		return "aliases (`*name`) are not supported";
	case YAML_SCALAR_EVENT:
		anchor = e->data.scalar.anchor;
		tag = e->data.scalar.tag;
		break;
	case YAML_SEQUENCE_START_EVENT:
		anchor = e->data.sequence_start.anchor;
		tag = e->data.sequence_start.tag;
		break;
	case YAML_MAPPING_START_EVENT:
		anchor = e->data.mapping_start.anchor;
		tag = e->data.mapping_start.tag;
		break;
	default:
		break;
	}
	if (anchor != NULL)
		return "anchors (`&name`) are not supported";
	return tag != NULL ? "tags (`!name`) are not supported" : NULL;
}

static struct cfg_node *value(struct builder *b, yaml_event_t *e, unsigned depth);

/* The children of a list or map, up to its end event. */
static void
children(struct builder *b, struct cfg_node *n, unsigned depth)
{
	struct tree_growth g = {0};
	while (!b->failed) {
		yaml_event_t e;
		if (!next_event(b, &e))
			return;
		if (e.type == YAML_SEQUENCE_END_EVENT || e.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&e);
			break;
		}
		yaml_mark_t mark = e.start_mark;
		struct cfg_node *key = NULL, *child = value(b, &e, depth + 1);
		if (n->kind == CFG_MAP && child != NULL) {
			key = child;
			if (key->kind != CFG_SCALAR)
				fail_at(b, mark, "a key must be plain text, not a list or map");
			if (b->failed || !next_event(b, &e))
				return;
			child = value(b, &e, depth + 1);
		}
		if (child != NULL && !tree_add(b->arena, n, &g, key, child))
			fail_at(b, mark, "the configuration is too large");
	}
	if (!b->failed)
		tree_check_duplicates(n, b->diags);
}

/* Consumes the event. NULL after an error. */
static struct cfg_node *
value(struct builder *b, yaml_event_t *e, unsigned depth)
{
	struct cfg_node *n = NULL;
	const char *why = refused(e);
	if (why != NULL)
		fail_at(b, e->start_mark, why);
	else if (depth > TREE_DEPTH_MAX && e->type != YAML_SCALAR_EVENT)
		fail_at(b, e->start_mark, "nested more than 64 levels deep");
	else if (e->type == YAML_SCALAR_EVENT)
		n = scalar(b, e);
	else if (e->type == YAML_SEQUENCE_START_EVENT)
		n = new_node(b, CFG_LIST, e->start_mark);
	else
		n = new_node(b, CFG_MAP, e->start_mark);
	yaml_event_delete(e);
	if (n != NULL && n->kind != CFG_SCALAR)
		children(b, n, depth);
	return b->failed ? NULL : n;
}

/* Takes events as long as `type` does not come; that one is deleted as well. */
static bool
expect(struct builder *b, yaml_event_type_t type, const char *otherwise)
{
	yaml_event_t e;
	if (!next_event(b, &e))
		return false;
	bool ok = e.type == type;
	if (!ok)
		fail_at(b, e.start_mark, otherwise);
	yaml_event_delete(&e);
	return ok;
}

static struct cfg_node *
document(struct builder *b)
{
	yaml_event_t e;
	if (!expect(b, YAML_STREAM_START_EVENT, "not a YAML stream") ||
		!expect(b, YAML_DOCUMENT_START_EVENT, "the file is empty: expected a map"))
		return NULL;
	if (!next_event(b, &e))
		return NULL;
	struct cfg_node *root = value(b, &e, 1);
	if (root == NULL || !expect(b, YAML_DOCUMENT_END_EVENT, "expected the end of the document") ||
		!expect(b, YAML_STREAM_END_EVENT, "a second document: only one is allowed"))
		return NULL;
	return root;
}

struct cfg_node *
yaml_parse(struct arena *a, const char *name, const char *text, size_t len, struct diags *d)
{
	struct builder b = {.arena = a, .diags = d, .text = text, .len = len};
	b.file = arena_str(a, name, strlen(name));
	if (b.file == NULL || !yaml_parser_initialize(&b.parser)) {
		diag_pos(d, DIAG_ERROR, name, 0, 0, "out of memory");
		return NULL;
	}
	yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, len);
	struct cfg_node *root = document(&b);
	yaml_parser_delete(&b.parser);
	return root;
}

struct cfg_node *
yaml_read(struct arena *a, const char *path, struct diags *d)
{
	size_t len;
	char *text = tree_read_file(path, TREE_FILE_MAX, &len, d);
	if (text == NULL)
		return NULL;
	struct cfg_node *root = yaml_parse(a, path, text, len, d);
	free(text);
	return root;
}
