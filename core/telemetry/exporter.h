/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The HTTP server for Prometheus: GET /metrics on a TCP or UNIX socket. HTTP runs on a thread of the library's own
 * (libmicrohttpd), which a slow or hostile client can hold up and nothing else; it knows nothing of the engine. A scrape is
 * posted to the control thread, which hands back the samples when it has them all.
 */
#pragma once

#include "../runtime/loop.h"

#include <stddef.h>

struct exporter;
struct scrape;
struct metrics;

/* `address`: 127.0.0.1:9586, [::1]:9586, or the path of a UNIX socket (mode 0660, of `group`). render() is called on the loop
 * for each scrape and owes it one scrape_finish(), at once or later. NULL after `why`. */
struct exporter *exporter_new(struct loop *l, const char *address, const char *group,
	void (*render)(void *arg, struct scrape *s), void *arg, char *why, size_t size);
/* The loop's thread. Scrapes that are still open are answered with 503; no scrape_finish() may follow. */
void exporter_free(struct exporter *e);

bool scrape_openmetrics(const struct scrape *s); /* the client asked for OpenMetrics; false: the older text format */
/* `m` is taken: metrics_end() runs on the server's thread. NULL: 503. */
void scrape_finish(struct scrape *s, struct metrics *m);
