/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A new build first runs in a child: exec of this very program, so that the child begins with one thread and no memory
 * of ours. Descriptors of the child: 3 the specification, 4 the plugin's file, 5 the report: lines `stage WHAT`, then
 * `ok` or `fail TEXT`.
 */
#include "loader.h"

#include "../config/config.h"
#include "../sdk/fake.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN
#endif
#endif

#define SECONDS 5
#define SPEC_MAX (16u << 20)

enum { FD_SPEC = 3, FD_PLUGIN, FD_REPORT, FD_END };

extern char **environ;

/* ---- The specification ---- */

static void
write_scalar(FILE *f, const struct cfg_node *n)
{
	if (!n->quoted && n->text[0] && !strpbrk(n->text, "\n\r\t")) {
		fputs(n->text, f);
		return;
	}
	fputc('"', f);
	for (const char *p = n->text; *p; p++)
		if ((unsigned char)*p < 32 || *p == '"' || *p == '\\')
			fprintf(f, "\\x%02x", (unsigned char)*p);
		else
			fputc(*p, f);
	fputc('"', f);
}

/* Block style: there a plain scalar is what it was wherever it stood before. */
static void
write_node(FILE *f, const struct cfg_node *n, const char *skip, int indent)
{
	if (n->kind == CFG_SCALAR) {
		write_scalar(f, n);
		fputc('\n', f);
		return;
	}
	if (n->n == 0)
		fputs(n->kind == CFG_MAP ? "{}" : "[]", f);
	fputc('\n', f);
	for (unsigned i = 0; i < n->n; i++) {
		if (n->kind == CFG_MAP && skip && strcmp(n->key[i]->text, skip) == 0)
			continue;
		fprintf(f, "%*s", indent, "");
		if (n->kind == CFG_MAP) {
			write_scalar(f, n->key[i]);
			fputs(": ", f);
		} else {
			fputs("- ", f);
		}
		write_node(f, n->child[i], NULL, indent + 2);
	}
}

static char *
node_text(const struct cfg_node *n, const char *skip)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort();
	write_node(f, n, skip, 0);
	if (fclose(f) != 0)
		abort();
	return text + strspn(text, "\n"); /* lives as long as the process */
}

char *
plugin_preflight_spec(const struct loaded_plugin *p, const char *class_name, const char *name, const struct cfg_node *options)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		abort();
	fprintf(f, "plugin: /proc/self/fd/%d\nfile: \"%s\"\nclass: %s\nname: %s\n", p->memfd, p->path, class_name, name);
	if (options && options->kind == CFG_MAP && options->n > (cfg_get(options, "class") ? 1u : 0u)) {
		fputs("options: ", f);
		write_node(f, options, "class", 2);
	}
	if (fclose(f) != 0)
		abort();
	return text;
}

static const char *
text_of(const struct cfg_node *spec, const char *key)
{
	const struct cfg_node *n = cfg_get(spec, key);

	return n && n->kind == CFG_SCALAR ? n->text : NULL;
}

/* ---- The child ---- */

static void
report(const char *word, const char *text)
{
	char line[1024];

	snprintf(line, sizeof(line), "%s", text);
	for (char *p = line; *p; p++)
		if (*p == '\n')
			*p = ' ';
	dprintf(FD_REPORT, "%s %s\n", word, line);
}

static void
report_stage(const char *stage)
{
	report("stage", stage);
}

static void
report_failure(const char *text)
{
	report("fail", text);
	_exit(1);
}

static void
limit(int resource, rlim_t value)
{
	setrlimit(resource, &(struct rlimit){value, value});
}

/* A crash ends the child by its signal, whatever a sanitizer or a parent made of it. */
static void
default_signals(void)
{
	static const int crash[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
	for (unsigned i = 0; i < sizeof(crash) / sizeof(crash[0]); i++)
		signal(crash[i], SIG_DFL);
}

static void
confine(void)
{
	default_signals();
	close_range(FD_END, ~0u, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	setpriority(PRIO_PROCESS, 0, 10); /* what carries traffic comes first */
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, SECONDS + 1);
	limit(RLIMIT_FSIZE, 256u << 20); /* the copy of the plugin, debug information and all */
#if !defined(TR_ASAN) && !defined(TSAN) /* their shadows are larger than any limit */
	limit(RLIMIT_AS, 8ull << 30);
#endif
}

static struct cfg_node *
read_spec(struct arena *a)
{
	char *text = malloc(SPEC_MAX);
	struct diags d = {0};
	ssize_t n = text ? pread(FD_SPEC, text, SPEC_MAX, 0) : -1;
	struct cfg_node *spec = n > 0 ? yaml_parse(a, "preflight", text, (size_t)n, &d) : NULL;

	free(text);
	return spec;
}

int
plugin_preflight_main(void)
{
	char path[32], why[1024];
	const struct loaded_plugin *p;
	struct arena *a = arena_new(SPEC_MAX);
	struct cfg_node *spec = read_spec(a), *options, *netmap;
	struct fh *h;

	confine();
	if (!spec)
		report_failure("the specification is not readable");
	fh_on_failure(report_failure);
	fake_stage = report_stage;
	report_stage("load");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", FD_PLUGIN);
	p = plugin_open(path, why, sizeof(why));
	if (!p)
		report_failure(why + strlen(path) + strlen(": "));
	options = cfg_get(spec, "options");
	netmap = cfg_get(spec, "netmap");
	h = fh_new(&(struct fh_config){.plugin = p->desc, .class_ = text_of(spec, "class"), .name = text_of(spec, "name"),
		.options = options ? node_text(options, "class") : NULL, .netmap = netmap ? node_text(netmap, NULL) : NULL});
	if (!h)
		report_failure(fh_failure());
	fh_free(h);
	report("ok", "");
	_exit(0);
}

/* ---- The parent ---- */

struct child {
	pid_t pid;
	int report; /* our end */
	char stage[32], failure[1024];
	bool ok;
	char line[1100];
	size_t len;
};

/* Above the child's numbers, so that putting one into place never overwrites another. */
static int
lift(int fd)
{
	int high = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, FD_END + 10) : -1;

	if (fd >= 0)
		close(fd);
	return high;
}

static int
spec_file(const char *spec)
{
	int fd = memfd_create("preflight", MFD_CLOEXEC);
	size_t len = strlen(spec);

	if (fd >= 0 && write(fd, spec, len) != (ssize_t)len) {
		close(fd);
		return -1;
	}
	return lift(fd);
}

static int
spawn(struct child *c, const char *spec, const char *plugin)
{
	char *argv[] = {(char[]){"tailraced"}, (char[]){"--preflight"}, NULL};
	int s = spec_file(spec), p = lift(open(plugin, O_RDONLY | O_CLOEXEC)), out[2] = {-1, -1}, write_end, r = EIO;
	posix_spawn_file_actions_t actions;

	if (p < 0)
		r = errno ? errno : EIO;
	if (pipe2(out, O_CLOEXEC) != 0)
		out[0] = out[1] = -1;
	write_end = lift(out[1]);
	c->report = out[0];
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, s, FD_SPEC);
	posix_spawn_file_actions_adddup2(&actions, p, FD_PLUGIN);
	posix_spawn_file_actions_adddup2(&actions, write_end, FD_REPORT);
	if (s >= 0 && p >= 0 && write_end >= 0)
		r = posix_spawn(&c->pid, "/proc/self/exe", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	for (int *fd = (int[]){s, p, write_end, -2}; *fd != -2; fd++)
		if (*fd >= 0)
			close(*fd);
	return r;
}

static void
take_line(struct child *c)
{
	c->line[c->len] = 0;
	if (strncmp(c->line, "stage ", 6) == 0)
		snprintf(c->stage, sizeof(c->stage), "%.31s", c->line + 6);
	else if (strncmp(c->line, "fail ", 5) == 0)
		snprintf(c->failure, sizeof(c->failure), "%.1000s", c->line + 5);
	else if (strncmp(c->line, "ok", 2) == 0)
		c->ok = true;
	c->len = 0;
}

/* false: end of file. */
static bool
take_report(struct child *c)
{
	char buffer[1024];
	ssize_t n = read(c->report, buffer, sizeof(buffer));

	for (ssize_t i = 0; i < n; i++)
		if (buffer[i] == '\n')
			take_line(c);
		else if (c->len < sizeof(c->line) - 1)
			c->line[c->len++] = buffer[i];
	return n > 0;
}

static int64_t
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Until the child has ended, and its report is read. false: time is over, and it was killed. */
static bool
watch_child(struct child *c)
{
	int64_t end = now_ms() + SECONDS * 1000;
	int pidfd = pidfd_open(c->pid, 0);
	struct pollfd p[2] = {{.fd = pidfd, .events = POLLIN}, {.fd = c->report, .events = POLLIN}};

	while (!(p[0].revents & POLLIN)) {
		int64_t left = end - now_ms();

		if (left <= 0 || (poll(p, 2, (int)left) < 0 && errno != EINTR))
			break;
		if (p[1].revents && !take_report(c))
			p[1].fd = -1;
	}
	if (p[0].revents & POLLIN)
		while (take_report(c))
			;
	else
		kill(c->pid, SIGKILL);
	if (pidfd >= 0)
		close(pidfd);
	return (p[0].revents & POLLIN) != 0;
}

/* How it ended, as a sentence; NULL: well. */
static const char *
verdict(const struct child *c, bool in_time, int status, char *text, size_t size)
{
	if (!in_time)
		snprintf(text, size, "%s hangs (%d s)", c->stage, SECONDS);
	else if (c->failure[0])
		snprintf(text, size, "%s fails: %s", c->stage, c->failure);
	else if (WIFSIGNALED(status))
		snprintf(text, size, "%s crashes: SIG%s (%s)", c->stage, sigabbrev_np(WTERMSIG(status)), strsignal(WTERMSIG(status)));
	else if (!c->ok || WEXITSTATUS(status) != 0)
		snprintf(text, size, "%s ends the process with status %d", c->stage, WEXITSTATUS(status));
	else
		return NULL;
	return text;
}

bool
plugin_preflight(const char *spec, char *why, size_t size)
{
	struct arena *a = arena_new(SPEC_MAX);
	struct diags d = {0};
	struct cfg_node *n = yaml_parse(a, "preflight", spec, strlen(spec), &d);
	const char *plugin = n ? text_of(n, "plugin") : NULL, *file = n ? text_of(n, "file") : NULL;
	struct child c = {.stage = "load"};
	char text[1200];
	const char *bad = text;
	int r = plugin ? spawn(&c, spec, plugin) : EINVAL, status = 0;

	if (r != 0) {
		snprintf(text, sizeof(text), "cannot run: %s", strerror(r));
	} else {
		bool in_time = watch_child(&c);

		waitpid(c.pid, &status, 0);
		bad = verdict(&c, in_time, status, text, sizeof(text));
	}
	if (bad)
		snprintf(why, size, "%s: preflight of %s: %s", file ? file : plugin ? plugin : "?",
			n && text_of(n, "name") ? text_of(n, "name") : "its class", bad);
	if (c.report > 0)
		close(c.report);
	diags_free(&d);
	arena_free(a);
	return bad == NULL;
}
