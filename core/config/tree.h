/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two readers of configuration text (YAML, .cfg) share. */
#pragma once

#include "config.h"

#include <stdlib.h>

#define TREE_DEPTH_MAX 64
#define TREE_FILE_MAX (256u << 20) /* a million peers are 100 MiB */
#define TREE_SCALAR_MAX 65536

/* The whole file, zero-terminated, malloc()ed; NULL after one error. */
char *tree_read_file(const char *path, size_t max, size_t *len, struct diags *d);

struct tree_growth {
	unsigned capacity;
};
/* Appends a child (map: with its key). false: the arena is full. */
bool tree_add(struct arena *a, struct cfg_node *parent, struct tree_growth *g, struct cfg_node *key,
	struct cfg_node *child);
/* A copy in another arena, without the map entry whose value is the very node `but`; NULL: no room. `file` lives there. */
struct cfg_node *tree_copy(struct arena *a, const char *file, const struct cfg_node *n, const struct cfg_node *but);
/* An error at each key of the map that was there before. O(n log n). */
void tree_check_duplicates(const struct cfg_node *map, struct diags *d);
