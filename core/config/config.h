/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Configuration text -> typed values. YAML (libyaml) and .cfg (libconfig) become one kind of tree with positions;
 * option tables turn tree nodes into structs; every mistake lands in one list of diagnostics.
 */
#pragma once

#include <stdio.h>
#include <tailrace/option.h>

/* ---- Diagnostics ---- */
enum diag_severity { DIAG_ERROR, DIAG_WARNING };
struct diag {
	enum diag_severity severity;
	const char *file;
	unsigned line, col; /* from 1; col 0: not known (.cfg) */
	char *text;         /* "unknown key `listn` (did you mean `listen`?)"; what was expected included */
};
struct diags {
	struct diag *v;
	unsigned n, errors;
};
struct cfg_node;
void diag_at(struct diags *d, enum diag_severity s, const struct cfg_node *where, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void diag_pos(struct diags *d, enum diag_severity s, const char *file, unsigned line, unsigned col, const char *format, ...)
	__attribute__((format(printf, 6, 7)));
void diags_print(const struct diags *d, FILE *f); /* FILE:LINE:COL: error: …, sorted by position */
void diags_free(struct diags *d);
/* The closest of `names` (NULL-terminated) by edit distance, or NULL when nothing is near. */
const char *did_you_mean(const char *word, const char *const *names);

/* ---- Arena: one per configuration; everything parsed lives and dies with it ---- */
struct arena;
struct arena *arena_new(size_t limit); /* bytes; allocations beyond it return NULL */
void *arena_alloc(struct arena *a, size_t size); /* zeroed, aligned 16 */
char *arena_str(struct arena *a, const char *s, size_t len);
void arena_free(struct arena *a);

/* ---- Trees ---- */
enum cfg_kind { CFG_SCALAR, CFG_LIST, CFG_MAP };
struct cfg_node {
	enum cfg_kind kind;
	bool quoted; /* scalar written in quotes: never a number or boolean */
	const char *file;
	unsigned line, col;
	const char *text;        /* scalar */
	unsigned n;              /* children */
	struct cfg_node **child; /* list elements, or map values */
	struct cfg_node **key;   /* map keys (scalars), parallel to child */
};
/* NULL after adding one error (a syntax error is reported alone). Bounds: 64 levels, 256 MiB file, no aliases. Duplicate
 * keys are added to `d` and the tree is returned all the same: callers look at d->errors when they have checked the rest. */
struct cfg_node *yaml_read(struct arena *a, const char *path, struct diags *d);
struct cfg_node *yaml_parse(struct arena *a, const char *name, const char *text, size_t len, struct diags *d);
struct cfg_node *cfg_read(struct arena *a, const char *path, struct diags *d); /* libconfig */
struct cfg_node *cfg_parse(struct arena *a, const char *name, const char *text, struct diags *d);
struct cfg_node *cfg_get(const struct cfg_node *map, const char *key);          /* child or NULL */

/* ---- Option tables ---- */
struct opt_context {
	struct arena *arena;
	struct diags *diags;
	bool secrets; /* read secret files now (start); false: only warn when absent or readable by others (check) */
	/* resolves TR_OPT_ROUTES targets: out-gate index for "INSTANCE.GATE", or UINT32_MAX after a diagnostic */
	uint32_t (*gate)(void *arg, const struct cfg_node *where, const char *target);
	void *arg;
	const char *const *foreign; /* keys of another file, named when one is met here; NULL: none */
	const char *foreign_file;
};
/* Fills `out` (zeroed, size bytes) from map `node` (NULL: all defaults), skipping the keys in `ignore`. Every mistake
 * is reported; returns true if none. `what` names the thing for messages: "class stun". */
bool options_parse(const struct opt_context *c, const char *what, const struct tr_option *table, const struct cfg_node *node,
		   const char *const *ignore, const struct cfg_node *where, void *out);
/* One value in text form, for host->option_set(). Error text to `why`. */
bool option_parse_text(struct arena *a, const struct tr_option *o, const char *text, void *out, char *why, size_t size);
/* Do two parsed structs agree in this option? (by value) */
bool option_equal(const struct tr_option *o, const void *a, const void *b);
/* Text form, for show, diff, persist. Secrets: "(secret)". */
char *option_text(const struct tr_option *o, const void *options); /* malloc()ed */
/* JSON Schema of a table, as text of one JSON object; malloc()ed. */
char *options_schema(const struct tr_option *table);

bool parse_addr(const char *s, struct tr_addr *out);
bool parse_prefix(const char *s, struct tr_prefix *out, bool allow_host_bits);
bool parse_sockaddr(const char *s, struct tr_sockaddr *out, uint16_t default_port);
bool parse_base64_32(const char *s, uint8_t out[32]);
void format_addr(const struct tr_addr *a, char out[46]);
void format_prefix(const struct tr_prefix *p, char out[50]);
void format_base64_32(const uint8_t in[32], char out[45]);
