/* SPDX-License-Identifier: BSD-3-Clause */
/* .cfg (libconfig) -> tree. Positions are lines; libconfig knows no columns. */
#include "tree.h"

#include <libconfig.h>

#define CFG_FILE_MAX (1u << 20)

static bool
scalar(struct arena *a, const config_setting_t *s, struct cfg_node *n)
{
	char number[40];
	const char *text = number;
	switch (config_setting_type(s)) {
	case CONFIG_TYPE_INT:
		snprintf(number, sizeof(number), "%d", config_setting_get_int(s));
		break;
	case CONFIG_TYPE_INT64:
		snprintf(number, sizeof(number), "%lld", config_setting_get_int64(s));
		break;
	case CONFIG_TYPE_FLOAT:
		snprintf(number, sizeof(number), "%#g", config_setting_get_float(s));
		break;
	case CONFIG_TYPE_BOOL:
		text = config_setting_get_bool(s) ? "true" : "false";
		break;
	default:
		text = config_setting_get_string(s);
		n->quoted = true;
		break;
	}
	n->text = text != NULL ? arena_str(a, text, strlen(text)) : NULL;
	return n->text != NULL;
}

/* NULL: the arena is full, or the nesting too deep. */
static struct cfg_node *
convert(struct arena *a, const char *file, const config_setting_t *s, unsigned depth)
{
	struct cfg_node *n = depth <= TREE_DEPTH_MAX ? arena_alloc(a, sizeof(*n)) : NULL;
	if (n == NULL)
		return NULL;
	n->file = file;
	n->line = config_setting_source_line(s);
	if (!config_setting_is_aggregate(s))
		return scalar(a, s, n) ? n : NULL;
	n->kind = config_setting_is_group(s) ? CFG_MAP : CFG_LIST;
	struct tree_growth g = {0};
	for (int i = 0; i < config_setting_length(s); i++) {
		const config_setting_t *c = config_setting_get_elem(s, (unsigned)i);
		struct cfg_node *key = NULL, *child = convert(a, file, c, depth + 1);
		if (child != NULL && n->kind == CFG_MAP) {
			const char *name = config_setting_name(c);
			key = arena_alloc(a, sizeof(*key));
			if (key == NULL)
				return NULL;
			*key = (struct cfg_node){.file = file, .line = child->line, .text = arena_str(a, name, strlen(name))};
		}
		if (child == NULL || (key != NULL && key->text == NULL) || !tree_add(a, n, &g, key, child))
			return NULL;
	}
	return n;
}

static const char *
line_start(const char *text, unsigned line)
{
	for (; line > 1 && text != NULL; line--)
		text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL;
	return text != NULL ? text + strspn(text, " \t{") : "";
}

/* libconfig stops at a setting that was there before and does not name it: its line does. */
static void
syntax_error(const config_t *c, const char *name, const char *text, struct diags *d)
{
	unsigned line = (unsigned)config_error_line(c);
	const char *why = config_error_text(c), *key = line_start(text, line);
	int len = (int)strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-*");
	if (why != NULL && strstr(why, "duplicate") != NULL && len > 0)
		diag_pos(d, DIAG_ERROR, name, line, 0, "duplicate key `%.*s`", len < 80 ? len : 80, key);
	else if (why == NULL || strcmp(why, "syntax error") == 0)
		diag_pos(d, DIAG_ERROR, name, line, 0, "syntax error: expected `name = value;`");
	else
		diag_pos(d, DIAG_ERROR, name, line, 0, "syntax error: %s", why);
}

/* Another file's lines would be reported as this one's. */
static bool
has_include(const char *name, const char *text, struct diags *d)
{
	for (unsigned line = 1; text != NULL; line++) {
		if (strncmp(text + strspn(text, " \t"), "@include", 8) == 0) {
			diag_pos(d, DIAG_ERROR, name, line, 0, "@include is not supported");
			return true;
		}
		text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL;
	}
	return false;
}

struct cfg_node *
cfg_parse(struct arena *a, const char *name, const char *text, struct diags *d)
{
	config_t c;
	if (has_include(name, text, d))
		return NULL;
	config_init(&c);
	struct cfg_node *root = NULL;
	const char *file = arena_str(a, name, strlen(name));
	if (!config_read_string(&c, text))
		syntax_error(&c, name, text, d);
	else if (file == NULL || (root = convert(a, file, config_root_setting(&c), 1)) == NULL)
		diag_pos(d, DIAG_ERROR, name, 0, 0, "too large, or nested more than 64 levels deep");
	config_destroy(&c);
	return root;
}

struct cfg_node *
cfg_read(struct arena *a, const char *path, struct diags *d)
{
	size_t len;
	char *text = tree_read_file(path, CFG_FILE_MAX, &len, d);
	if (text == NULL)
		return NULL;
	struct cfg_node *root = NULL;
	if (strlen(text) != len)
		diag_pos(d, DIAG_ERROR, path, 0, 0, "not a text file");
	else
		root = cfg_parse(a, path, text, d);
	free(text);
	return root;
}
