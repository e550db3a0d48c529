/* SPDX-License-Identifier: BSD-3-Clause */
#include "log.h"

#include <assert.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_ 1024 /* below PIPE_BUF: a line is written whole or not at all */
#define SITES 256
#define PROBES 8

/* One message in its current window. */
struct site {
	const char *format; /* compared by address: a format string is a call site */
	char subject[24];
	enum tr_log_level level;
	uint64_t until; /* end of the window, s */
	uint32_t said, suppressed;
};

static struct {
	pthread_mutex_t lock; /* everything below but fd, level and journal, which are set before threads start */
	int fd;
	enum tr_log_level level;
	int journal; /* socket; -1: none */
	uint64_t lost;
	struct site site[SITES];
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .fd = STDERR_FILENO, .journal = -1, .level = TR_LOG_INFO};

static _Thread_local bool forbidden;

void
log_open(int fd, enum tr_log_level level)
{
	the_log.fd = fd;
	the_log.level = level;
	log_journal(NULL);
	/* The manager says by device and inode which descriptor is the journal's: a shell below it may have another. */
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long device, inode;
	struct stat st;
	if (stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 && fstat(fd, &st) == 0 && st.st_dev == device && st.st_ino == inode)
		log_journal("/run/systemd/journal/socket");
}

bool
log_journal(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (the_log.journal >= 0)
		close(the_log.journal);
	the_log.journal = -1;
	if (!path || strlen(path) >= sizeof(a.sun_path))
		return false;
	strcpy(a.sun_path, path);
	int s = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s >= 0 && connect(s, (struct sockaddr *)&a, sizeof(a)) == 0)
		the_log.journal = s;
	else if (s >= 0)
		close(s);
	return the_log.journal >= 0;
}

bool
log_wants(enum tr_log_level level)
{
	return level <= the_log.level;
}

void
log_forbid(void)
{
	forbidden = true;
}

static uint64_t
seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
	return (uint64_t)t.tv_sec;
}

static const int priority[] = {3, 4, 6, 7}; /* syslog's */

static size_t
write_head(char *line, size_t size, enum tr_log_level level, const char *subject)
{
	static const char *const names[] = {"error", "warning", "info", "debug"};
	struct timespec t;
	struct tm tm;
	char date[32];
	clock_gettime(CLOCK_REALTIME, &t);
	gmtime_r(&t.tv_sec, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	return (size_t)snprintf(
		line, size, "%s.%03dZ %-7s %.64s: ", date, (int)(t.tv_nsec / 1000000), names[level], subject);
}

/* Text may hold what came from the network: a line stays one line and holds nothing that a terminal obeys. */
static void
defuse(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			*s = '?';
}

/* In the journal's own protocol: a field a line, so that `journalctl TAILRACE_SUBJECT=wg0` finds what one instance said. */
static bool
put_journal(enum tr_log_level level, const char *subject, const char *format, va_list args)
{
	char text[LINE_MAX_ + 200];
	int head = snprintf(text, sizeof(text), "SYSLOG_IDENTIFIER=tailraced\nPRIORITY=%d\nTAILRACE_SUBJECT=%.64s\nMESSAGE=%.64s: ",
		priority[level], subject, subject);
	char *message = strstr(text, "\nMESSAGE=") + 1;
	int n = vsnprintf(text + head, sizeof(text) - (size_t)head - 1, format, args);
	if (n < 0)
		return false;
	defuse(message);
	size_t len = strlen(text);
	text[len++] = '\n';
	return send(the_log.journal, text, len, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

static void
put(enum tr_log_level level, const char *subject, const char *format, va_list args)
{
	char line[LINE_MAX_];
	if (the_log.journal >= 0) {
		the_log.lost += !put_journal(level, subject, format, args);
		return;
	}
	size_t head = write_head(line, sizeof(line), level, subject);
	int n = vsnprintf(line + head, sizeof(line) - head - 1, format, args);
	if (n < 0)
		return;
	size_t len = head + (size_t)n;
	if (len > sizeof(line) - 2) { /* cut */
		len = sizeof(line) - 2;
		memcpy(line + len - 3, "...", 3);
	}
	line[len] = 0;
	defuse(line);
	line[len++] = '\n';
	struct pollfd p = {.fd = the_log.fd, .events = POLLOUT};
	if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT) || write(the_log.fd, line, len) != (ssize_t)len)
		the_log.lost++;
}

static void __attribute__((format(printf, 3, 4)))
say(enum tr_log_level level, const char *subject, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	put(level, subject, format, args);
	va_end(args);
}

static void
close_window(struct site *s)
{
	if (s->suppressed)
		say(s->level, s->subject, "%u more messages like \"%.100s\" suppressed", s->suppressed, s->format);
	*s = (struct site){.format = NULL};
}

/* The site of a message; the one whose window ends first makes room when there are too many. */
static struct site *
find_site(const char *subject, const char *format, uint64_t now)
{
	uint64_t h = (uintptr_t)format;
	for (const char *p = subject; *p; p++)
		h = (h ^ (unsigned char)*p) * 0x9e3779b97f4a7c15u;
	struct site *victim = NULL;
	for (unsigned i = 0; i < PROBES; i++) {
		struct site *s = &the_log.site[((h >> 32) + i) % SITES];
		if (s->format == format && strncmp(s->subject, subject, sizeof(s->subject) - 1) == 0)
			return s;
		if (!victim || s->until < victim->until)
			victim = s;
	}
	close_window(victim);
	victim->format = format;
	strncpy(victim->subject, subject, sizeof(victim->subject) - 1);
	victim->until = now + LOG_WINDOW;
	return victim;
}

void
log_vline(enum tr_log_level level, const char *subject, const char *format, va_list args)
{
	assert(!forbidden);
	if (forbidden || !log_wants(level))
		return;
	pthread_mutex_lock(&the_log.lock);
	uint64_t now = seconds();
	struct site *s = find_site(subject, format, now);
	if (now >= s->until) {
		close_window(s);
		s = find_site(subject, format, now);
	}
	s->level = level;
	if (s->said < LOG_BURST) {
		s->said++;
		put(level, subject, format, args);
	} else {
		s->suppressed++;
	}
	pthread_mutex_unlock(&the_log.lock);
}

void
log_line(enum tr_log_level level, const char *subject, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	log_vline(level, subject, format, args);
	va_end(args);
}

void
log_tick(void)
{
	pthread_mutex_lock(&the_log.lock);
	uint64_t now = seconds();
	for (unsigned i = 0; i < SITES; i++)
		if (the_log.site[i].format && now >= the_log.site[i].until)
			close_window(&the_log.site[i]);
	uint64_t lost = the_log.lost;
	if (lost) {
		the_log.lost = 0;
		say(TR_LOG_WARNING, "log", "%lu lines lost: the reader of the log was too slow", lost);
		if (the_log.lost) /* not even that: keep the sum for the next second */
			the_log.lost = lost;
	}
	pthread_mutex_unlock(&the_log.lock);
}
