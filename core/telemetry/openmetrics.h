/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One answer to a scrape, in the OpenMetrics format or in Prometheus's older one. Samples of a family stand together in
 * the answer, in whatever order they are added. No thread of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct metrics;
struct metrics_family;

enum metrics_kind { METRICS_COUNTER, METRICS_GAUGE };

struct metrics *metrics_new(bool openmetrics); /* false: text format 0.0.4. NULL: out of memory */
/* A family, in the order of the answer. `name` without the `_total` that a counter's samples get. NULL, which every function
 * below takes, when memory is out: the answer then lacks it, and metrics_end() says so. */
struct metrics_family *metrics_family(struct metrics *m, enum metrics_kind kind, const char *name, const char *help);
/* `labels`: name, value, name, value, …, NULL. A label with value NULL is left out. */
void metrics_count(struct metrics_family *f, uint64_t value, const char *const *labels);
void metrics_real(struct metrics_family *f, double value, const char *const *labels);
/* The text, malloc()ed, and frees `m`; NULL: out of memory. Families without samples are left out. */
char *metrics_end(struct metrics *m, size_t *len);

/* Labels written as they come. */
#define METRICS_LABELS(...) ((const char *const[]){__VA_ARGS__, NULL})
