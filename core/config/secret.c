/* SPDX-License-Identifier: BSD-3-Clause */
/* Secrets: never in the configuration, always in a file that others cannot read. The text of one is never printed. */
#include "value.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

/* PATH is relative to the file that names it. */
static bool
resolve(const struct cfg_node *n, const char *path, char out[PATH_MAX])
{
	const char *slash = n->file != NULL ? strrchr(n->file, '/') : NULL;
	int dir = path[0] != '/' && slash != NULL ? (int)(slash - n->file) + 1 : 0;
	return snprintf(out, PATH_MAX, "%.*s%s", dir, n->file != NULL ? n->file : "", path) < PATH_MAX;
}

/* The first line of fd is base64 of 32 bytes. */
static bool
read_key(int fd, struct tr_secret *out)
{
	char line[64];
	ssize_t n = read(fd, line, sizeof(line) - 1);
	bool ok = false;
	if (n >= 44 && (n == 44 || strchr(" \t\r\n", line[44]) != NULL)) {
		line[44] = '\0';
		ok = parse_base64_32(line, out->b) && !sodium_is_zero(out->b, sizeof(out->b));
	}
	sodium_memzero(line, sizeof(line));
	if (!ok)
		sodium_memzero(out, sizeof(*out));
	return ok;
}

bool
secret_read(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, struct tr_secret *out)
{
	enum diag_severity severity = c->secrets ? DIAG_ERROR : DIAG_WARNING;
	char path[PATH_MAX];
	struct stat st;
	if (n->kind != CFG_SCALAR || strncmp(n->text, "file:", 5) != 0 || n->text[5] == '\0' ||
		!resolve(n, n->text + 5, path)) {
		char expected[200];
		value_expected(o, expected, sizeof(expected));
		diag_at(c->diags, DIAG_ERROR, n, "`%s`: expected %s", o->key, expected);
		return false;
	}
	/* Not to be held up by a FIFO, nor to make a terminal ours. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		diag_at(c->diags, severity, n, "`%s`: key file %s: %s", o->key, path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		diag_at(c->diags, severity, n, "`%s`: key file %s is not a regular file", o->key, path);
	else if (st.st_mode & S_IROTH)
		diag_at(c->diags, severity, n, "`%s`: key file %s is readable by everyone (mode %04o): chmod o-rwx it", o->key,
			path, st.st_mode & 07777);
	else if (c->secrets && !read_key(fd, out))
		diag_at(c->diags, severity, n, "`%s`: the first line of %s is not base64 of 32 bytes (44 characters)", o->key,
			path);
	else
		severity = DIAG_WARNING;
	if (fd >= 0)
		close(fd);
	return severity == DIAG_WARNING;
}
