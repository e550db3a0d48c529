/* SPDX-License-Identifier: BSD-3-Clause */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static char *
read_all(int fd, size_t max, size_t *len)
{
	size_t size = 65536, n = 0;
	char *text = malloc(size + 1);
	while (text != NULL) {
		ssize_t got = read(fd, text + n, size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			break;
		n += (size_t)got;
		if (got == 0) {
			text[n] = '\0';
			*len = n;
			return text;
		}
		if (n > max) {
			errno = EFBIG;
			break;
		}
		if (n < size)
			continue;
		size *= 2;
		char *more = realloc(text, size + 1);
		if (more == NULL)
			break;
		text = more;
	}
	int e = errno;
	free(text);
	errno = e;
	return NULL;
}

char *
tree_read_file(const char *path, size_t max, size_t *len, struct diags *d)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	char *text = fd >= 0 ? read_all(fd, max, len) : NULL;
	if (text == NULL && errno == EFBIG)
		diag_pos(d, DIAG_ERROR, path, 0, 0, "the file is larger than %zu MiB", max >> 20);
	else if (text == NULL)
		diag_pos(d, DIAG_ERROR, path, 0, 0, "cannot be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	return text;
}

static bool
grow(struct arena *a, struct cfg_node ***v, unsigned n, unsigned capacity)
{
	struct cfg_node **more = arena_alloc(a, capacity * sizeof(*more));
	if (more == NULL)
		return false;
	if (n != 0)
		memcpy(more, *v, n * sizeof(*more));
	*v = more;
	return true;
}

bool
tree_add(struct arena *a, struct cfg_node *parent, struct tree_growth *g, struct cfg_node *key, struct cfg_node *child)
{
	if (parent->n == g->capacity) {
		unsigned capacity = g->capacity != 0 ? g->capacity * 2 : 4;
		if (!grow(a, &parent->child, parent->n, capacity) ||
			(parent->kind == CFG_MAP && !grow(a, &parent->key, parent->n, capacity)))
			return false;
		g->capacity = capacity;
	}
	if (parent->kind == CFG_MAP)
		parent->key[parent->n] = key;
	parent->child[parent->n++] = child;
	return true;
}

struct cfg_node *
tree_copy(struct arena *a, const char *file, const struct cfg_node *n, const struct cfg_node *but)
{
	struct cfg_node *copy = arena_alloc(a, sizeof(*copy));
	if (copy == NULL)
		return NULL;
	*copy = *n;
	copy->file = file;
	copy->text = n->text != NULL ? arena_str(a, n->text, strlen(n->text)) : NULL;
	copy->n = 0;
	copy->child = arena_alloc(a, n->n * sizeof(struct cfg_node *));
	copy->key = n->key != NULL ? arena_alloc(a, n->n * sizeof(struct cfg_node *)) : NULL;
	if ((n->text != NULL && copy->text == NULL) || copy->child == NULL || (n->key != NULL && copy->key == NULL))
		return NULL;
	for (unsigned i = 0; i < n->n; i++) {
		if (n->child[i] == but)
			continue;
		if (n->kind == CFG_MAP && (copy->key[copy->n] = tree_copy(a, file, n->key[i], but)) == NULL)
			return NULL;
		if ((copy->child[copy->n] = tree_copy(a, file, n->child[i], but)) == NULL)
			return NULL;
		copy->n++;
	}
	return copy;
}

static int
by_text(const void *pa, const void *pb)
{
	const struct cfg_node *a = *(struct cfg_node *const *)pa, *b = *(struct cfg_node *const *)pb;
	int c = strcmp(a->text, b->text);
	if (c != 0)
		return c;
	if (a->line != b->line)
		return a->line < b->line ? -1 : 1;
	return a->col < b->col ? -1 : a->col > b->col;
}

void
tree_check_duplicates(const struct cfg_node *map, struct diags *d)
{
	if (map->kind != CFG_MAP || map->n < 2)
		return;
	struct cfg_node **sorted = malloc(map->n * sizeof(struct cfg_node *));
	if (sorted == NULL) {
		diag_at(d, DIAG_ERROR, map, "out of memory");
		return;
	}
	memcpy(sorted, map->key, map->n * sizeof(struct cfg_node *));
	qsort(sorted, map->n, sizeof(struct cfg_node *), by_text);
	for (unsigned i = 1, first = 0; i < map->n; i++) {
		if (strcmp(sorted[i]->text, sorted[first]->text) != 0)
			first = i;
		else
			diag_at(d, DIAG_ERROR, sorted[i], "duplicate key `%.80s` (first on line %u)", sorted[i]->text,
				sorted[first]->line);
	}
	free(sorted);
}

struct cfg_node *
cfg_get(const struct cfg_node *map, const char *key)
{
	for (unsigned i = 0; map != NULL && map->kind == CFG_MAP && i < map->n; i++)
		if (strcmp(map->key[i]->text, key) == 0)
			return map->child[i];
	return NULL;
}
