/* SPDX-License-Identifier: BSD-3-Clause */
#include "loader.h"

#include "descriptor.h"
#include "elf.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (256u << 20)

/* Everything ever mapped, refused builds included: nothing is closed, so nothing is loaded twice. */
static struct build {
	struct build *next;
	struct loaded_plugin plugin;
	char *refused; /* NULL: fit for use */
} *builds;

static const char *
base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool
copy(int from, int to, size_t size)
{
	char buffer[65536];

	while (size) {
		ssize_t n = read(from, buffer, sizeof(buffer));

		if (n <= 0 || (size_t)n > size || write(to, buffer, (size_t)n) != n)
			return false;
		size -= (size_t)n;
	}
	return true;
}

/* A sealed copy that nobody can change any more: a later write to the operator's file changes nothing here. */
static int
copy_to_memfd(const char *path, size_t *size, char *why, size_t why_size)
{
	int from = open(path, O_RDONLY | O_CLOEXEC), to = -1;
	struct stat st;

	if (from < 0 || fstat(from, &st) != 0)
		snprintf(why, why_size, "%s", strerror(errno));
	else if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > FILE_MAX)
		snprintf(why, why_size, "not a regular file, empty, or above %u MiB", FILE_MAX >> 20);
	else if ((to = memfd_create(base_name(path), MFD_CLOEXEC | MFD_ALLOW_SEALING)) < 0)
		snprintf(why, why_size, "memfd_create: %s", strerror(errno));
	else if (!copy(from, to, (size_t)st.st_size) || fcntl(to, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) != 0) {
		snprintf(why, why_size, "the file changed while it was read, or there is no memory for it");
		close(to);
		to = -1;
	}
	*size = to >= 0 ? (size_t)st.st_size : 0;
	if (from >= 0)
		close(from);
	return to;
}

/* The checks that need no code of the plugin's to run. */
static bool
check_file(const struct elf_file *f, char build_id[41], char *why, size_t size)
{
	size_t symbol_size;
	const void *symbol;

	if (!elf_check(f, why, size))
		return false;
	if (!elf_build_id(f, build_id)) {
		snprintf(why, size, "no build-id: link it with -Wl,--build-id");
		return false;
	}
	symbol = elf_symbol(f, "tr_plugin", &symbol_size);
	if (!symbol) {
		snprintf(why, size, "no symbol tr_plugin: not a plugin (it comes from TR_PLUGIN())");
		return false;
	}
	return descriptor_check_head(symbol, symbol_size, why, size);
}

static struct build *
find_build(const char *build_id)
{
	struct build *b = builds;

	while (b && strcmp(b->plugin.build_id, build_id) != 0)
		b = b->next;
	return b;
}

/* The dynamic linker names the file it was given, which is not the one the operator knows. */
static void
linker_error(char *why, size_t size)
{
	const char *text = dlerror(), *rest = text ? strstr(text, ": ") : NULL;

	snprintf(why, size, "%s", rest && strncmp(text, "/proc/", 6) == 0 ? rest + 2 : text ? text : "dlopen failed");
}

static struct build *
load(const char *path, int memfd, const char *build_id)
{
	struct build *b = calloc(1, sizeof(*b));
	char name[64], why[512] = "";

	if (!b)
		abort();
	b->plugin.path = strdup(path);
	b->plugin.memfd = memfd;
	memcpy(b->plugin.build_id, build_id, sizeof(b->plugin.build_id));
	/* With our own number instead of `self`, a debugger finds the file behind the name that the dynamic linker keeps. */
	snprintf(name, sizeof(name), "/proc/%d/fd/%d", getpid(), memfd);
	b->plugin.handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	if (!b->plugin.handle)
		linker_error(why, sizeof(why));
	else
		b->plugin.desc = dlsym(b->plugin.handle, "tr_plugin");
	if (!why[0] && b->plugin.desc)
		descriptor_check(b->plugin.desc, why, sizeof(why));
	if (why[0])
		b->refused = strdup(why);
	b->next = builds;
	builds = b;
	return b;
}

const struct loaded_plugin *
plugin_open(const char *path, char *why, size_t size)
{
	char build_id[41] = "", text[512] = "";
	struct elf_file f = {0};
	struct build *b = NULL;
	int memfd = copy_to_memfd(path, &f.size, text, sizeof(text));

	if (memfd >= 0)
		f.data = mmap(NULL, f.size, PROT_READ, MAP_PRIVATE, memfd, 0);
	if (f.data && f.data != MAP_FAILED) {
		if (check_file(&f, build_id, text, sizeof(text)))
			b = find_build(build_id);
		munmap((void *)(uintptr_t)f.data, f.size);
	}
	if (!b && !text[0])
		b = load(path, memfd, build_id);
	if (memfd >= 0 && (!b || b->plugin.memfd != memfd))
		close(memfd);
	if (b && !b->refused)
		return &b->plugin;
	snprintf(why, size, "%s: %s", path, b ? b->refused : text);
	return NULL;
}

void
plugin_each(void (*fn)(void *arg, const struct loaded_plugin *), void *arg)
{
	for (const struct build *b = builds; b; b = b->next)
		if (!b->refused)
			fn(arg, &b->plugin);
}

void
plugin_symbols(const struct loaded_plugin *p, char *text, size_t size)
{
	struct link_map *map = NULL;

	dlinfo(p->handle, RTLD_DI_LINKMAP, &map);
	snprintf(text, size, "add-symbol-file %s -o 0x%lx", p->path, map ? (unsigned long)map->l_addr : 0);
}
