/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The log: one line an event, on stderr, after time and level. Where stderr is systemd's journal (JOURNAL_STREAM) an event
 * goes there by its own protocol instead, with the fields PRIORITY, TAILRACE_SUBJECT and MESSAGE. Any thread but workers.
 * Never blocks: what can't be taken at once is lost and counted. A message (subject and format) that comes more than LOG_BURST times in LOG_WINDOW seconds is suppressed and
 * its number reported at the end of the window.
 */
#pragma once

#include <stdarg.h>
#include <tailrace/host.h>

#define LOG_BURST 10
#define LOG_WINDOW 10 /* s */

void log_open(int fd, enum tr_log_level level); /* before threads start; default: stderr, info */
/* Sends events to a journal's socket instead; NULL: to the descriptor again. false: nobody listens there. */
bool log_journal(const char *path);
bool log_wants(enum tr_log_level level);

/* subject: the instance, port or part of the daemon that speaks ("wg0", "port wan", "config"). */
void log_line(enum tr_log_level level, const char *subject, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void log_vline(enum tr_log_level level, const char *subject, const char *format, va_list args)
	__attribute__((format(printf, 3, 0)));
#define log_error(subject, ...) log_line(TR_LOG_ERROR, subject, __VA_ARGS__)
#define log_warning(subject, ...) log_line(TR_LOG_WARNING, subject, __VA_ARGS__)
#define log_info(subject, ...) log_line(TR_LOG_INFO, subject, __VA_ARGS__)
#define log_debug(subject, ...) log_line(TR_LOG_DEBUG, subject, __VA_ARGS__)

/* Control thread, once a second: reports what was suppressed or lost. */
void log_tick(void);
/* A worker says so at its start: log_line() on this thread is then a bug (assert). */
void log_forbid(void);
