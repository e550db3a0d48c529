/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters over time: sampled once a second, they give a rate over the last second and an increase over the last
 * minute. Named by path, "instances/wg0/in/cipher". Control thread.
 */
#pragma once

#include <stdint.h>
#include <tailrace/show.h>

struct series;

struct series *series_new(void);
void series_free(struct series *s);

/* One round: begin, every counter, end. A counter that is not sampled in a round is forgotten; one that is new, or has
 * gone back (a port reopened), counts from zero. `now`: ns, monotonic. */
void series_begin(struct series *s, uint64_t now);
void series_sample(struct series *s, const char *name, uint64_t value);
void series_end(struct series *s);

/* Samples every number that is shown, under prefix/KEY/KEY. An element of a list is named by the texts it shows before
 * its first number ("drops/wg0/replay/packets"), or by that number if there is none. Valid until the next call. */
struct tr_show *series_show(struct series *s, const char *prefix);

double series_rate(const struct series *s, const char *name);     /* per second; 0: not known */
uint64_t series_minute(const struct series *s, const char *name); /* increase over the last 60 s (or since start) */
