/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * operator.jsonl: the operator's layer as a log of whole entries, the last one of a key counts. A change costs one
 * appended line and one fdatasync() whatever the size of the layer; the log is rewritten (temporary file, fsync, rename,
 * fsync of the directory) at start and when most of it is history.
 *
 * Its first line says the version that wrote it and, as `reads`, the oldest that can read it. A file of a later version that
 * this one can read may have fields and lines that it does not know: they are kept, and written again.
 */
#include "internal.h"

#include "../config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define VERSION 1
#define FILE_NAME "operator.jsonl"
#define REWRITE_ABOVE (1 << 20)

static int fd = -1;
static int directory = -1; /* locked, so that no other process takes it for its own */
static off_t end, rewritten; /* bytes that count; size after the last rewrite */
static struct { /* lines of a later version */
	char **line;
	unsigned n;
	json_int_t version, reads;
} kept;

static void
trouble(int error)
{
	snprintf(nm.state_problem, sizeof(nm.state_problem), "%.160s/%s can't be written: %s; what `wg set` would change is refused until it can",
		nm.state_dir, FILE_NAME, strerror(error));
}

static char *
path_of(const char *suffix)
{
	char *path;
	return asprintf(&path, "%s/%s%s", nm.state_dir, FILE_NAME, suffix) < 0 ? NULL : path;
}

static bool
write_all(int to, const char *text, size_t len, off_t at)
{
	while (len) {
		ssize_t n = pwrite(to, text, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
		at += n;
	}
	return true;
}

static bool
put_line(FILE *f, json_t *line)
{
	bool ok = line && json_dumpf(line, f, JSON_COMPACT) == 0 && fputc('\n', f) != EOF;
	json_decref(line);
	return ok;
}

/* While it holds a later version's lines it says so. They come first: what this version knows better comes after. */
static bool
put_head(FILE *f)
{
	bool ok = put_line(f, kept.n ? json_pack("{ss sI sI}", "tailrace", "operator", "version", kept.version, "reads", kept.reads)
				     : json_pack("{ss si}", "tailrace", "operator", "version", VERSION));

	for (unsigned i = 0; i < kept.n; i++)
		ok = ok && fputs(kept.line[i], f) != EOF && fputc('\n', f) != EOF;
	return ok;
}

static bool
put_layer(FILE *f)
{
	bool ok = put_head(f);

	for (const struct netmap_table *t = nm.tables; t; t = t->next) {
		for (unsigned i = 0; i < t->n_options; i++)
			ok = ok && put_line(f, option_json(t->name, t->option[i].key, t->option[i].value));
		for (const struct entry *e = t->entries; e; e = e->next) {
			if (e->overlay)
				ok = ok && put_line(f, overlay_json(t, e->key, e->overlay));
		}
	}
	return fflush(f) == 0 && ok;
}

static void
sync_dir(void)
{
	int dir = open(nm.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0) {
		fsync(dir);
		close(dir);
	}
}

/* The layer as it is now replaces the file. */
static int
rewrite(void)
{
	char *tmp = path_of(".tmp"), *path = path_of("");
	int to = tmp && path ? open(tmp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	FILE *f = to >= 0 ? fdopen(dup(to), "w") : NULL;
	bool ok = f && put_layer(f);
	int rc;

	ok = ok && fsync(to) == 0 && rename(tmp, path) == 0;
	rc = ok ? 0 : -errno;
	if (f)
		fclose(f);
	if (ok) {
		sync_dir();
		if (fd >= 0)
			close(fd);
		fd = to;
		end = rewritten = lseek(fd, 0, SEEK_END);
		nm.state_problem[0] = '\0';
	} else {
		trouble(-rc);
		if (to >= 0)
			close(to);
		if (tmp)
			unlink(tmp);
	}
	free(tmp);
	free(path);
	return rc;
}

int
state_append(json_t *const *lines, unsigned n)
{
	char *text = NULL;
	size_t len = 0;

	if (!nm.state_dir)
		return 0;
	int rc = fd < 0 ? rewrite() : 0;
	if (rc)
		return rc;
	FILE *f = open_memstream(&text, &len);
	bool ok = f;
	for (unsigned i = 0; i < n && ok; i++)
		ok = put_line(f, json_incref(lines[i]));
	if (f)
		ok = fclose(f) == 0 && ok;
	ok = ok && write_all(fd, text, len, end) && fdatasync(fd) == 0;
	rc = ok ? 0 : errno ? -errno : -EIO;
	if (ok) {
		end += (off_t)len;
		nm.state_problem[0] = '\0';
	} else {
		trouble(-rc);
		/* What was not acknowledged must not come back after a restart. */
		if (ftruncate(fd, end) || fsync(fd))
			trouble(errno);
	}
	if (text)
		sodium_memzero(text, len);
	free(text);
	return rc;
}

void
state_tidy(void)
{
	if (end > REWRITE_ABOVE && end > 2 * rewritten && rewrite())
		rewritten = end; /* tried again when it has doubled */
}

static bool
keep(const char *text, size_t len)
{
	char **v = realloc(kept.line, (kept.n + 1) * sizeof(*v));

	if (v)
		kept.line = v;
	return v && (v[kept.n] = strndup(text, len)) && ++kept.n;
}

static bool
take_head(const json_t *j)
{
	const char *kind = json_string_value(json_object_get(j, "tailrace"));
	const json_t *reads = json_object_get(j, "reads");

	kept.version = json_integer_value(json_object_get(j, "version"));
	kept.reads = reads ? json_integer_value(reads) : kept.version;
	return kind && !strcmp(kind, "operator") && kept.reads > 0 && kept.reads <= kept.version;
}

/* One line; false: damaged. `first`: the head. */
static bool
take_line(const char *text, size_t len, bool first)
{
	json_t *j = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	bool ok;

	if (first)
		ok = take_head(j);
	else if (kept.version > VERSION && json_is_object(j) && !operator_knows_json(j))
		ok = keep(text, len);
	else
		ok = j && operator_apply_json(j);
	json_decref(j);
	return ok;
}

/* The number of the damaged line, or 0. An unfinished last line was never acknowledged: dropped in silence. */
static unsigned
take_text(const char *text, size_t len)
{
	unsigned line = 0;

	for (const char *p = text, *stop = text + len; p < stop;) {
		const char *eol = memchr(p, '\n', (size_t)(stop - p));
		if (!eol)
			return line ? 0 : 1;
		line++;
		if (!take_line(p, (size_t)(eol - p), line == 1))
			return line;
		if (kept.reads > VERSION)
			return 0;
		p = eol + 1;
	}
	return 0;
}

static char *
read_all(int from, size_t *len)
{
	struct stat st;
	char *text = fstat(from, &st) == 0 ? malloc((size_t)st.st_size + 1) : NULL;
	size_t n = 0;

	while (text && n < (size_t)st.st_size) {
		ssize_t got = read(from, text + n, (size_t)st.st_size - n);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	*len = n;
	return text;
}

/* The file as far as it can be taken; else it goes aside, and why says so. */
static void
take_file(int from, const char *path, char *why, size_t size)
{
	char *aside = NULL;
	size_t len = 0;
	char *text = read_all(from, &len);
	const unsigned damaged = text ? take_text(text, len) : 1;
	const bool newer = !damaged && kept.reads > VERSION;

	if ((damaged || newer) && (aside = path_of(newer ? ".newer" : ".bad")) && rename(path, aside) == 0) {
		if (newer)
			why_append(why, size, "%s is of version %lld, this tailrace reads up to %d: set aside as %s, nothing of it counts", path,
				(long long)kept.version, VERSION, aside);
		else
			why_append(why, size, "%s: line %u is damaged: set aside as %s; what stands before it was kept", path, damaged, aside);
	}
	if (text)
		sodium_memzero(text, len);
	free(text);
	free(aside);
}

bool
state_lock(char *why, size_t size)
{
	if (!nm.state_dir)
		return true;
	mkdir(nm.state_dir, 0700);
	/* The directory itself: that leaves no file, and can be had where nothing can be written. */
	directory = open(nm.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0 || flock(directory, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
		return true;
	why_append(why, size, "%s is in use: another tailraced runs with it (`state` of appliance.cfg); end that one first", nm.state_dir);
	return false;
}

bool
state_load(char *why, size_t size)
{
	char *path = nm.state_dir ? path_of("") : NULL;
	bool ok = true;

	if (!nm.state_dir)
		return true;
	if (!path)
		return false;
	int from = open(path, O_RDONLY | O_CLOEXEC);
	if (from < 0 && errno != ENOENT) {
		why_append(why, size, "%s: %s", path, strerror(errno));
		ok = false;
	} else if (from >= 0) {
		take_file(from, path, why, size);
		close(from);
	}
	free(path);
	if (ok && rewrite())
		why_append(why, size, "%s", nm.state_problem);
	return ok;
}

void
state_fini(void)
{
	if (fd >= 0)
		close(fd);
	if (directory >= 0)
		close(directory);
	fd = directory = -1;
	end = rewritten = 0;
	for (unsigned i = 0; i < kept.n; i++)
		free(kept.line[i]);
	free(kept.line);
	memset(&kept, 0, sizeof(kept));
}
