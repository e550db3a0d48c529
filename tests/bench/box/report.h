/* SPDX-License-Identifier: BSD-3-Clause */
/* Files of figures: read, compared, drawn. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define REPORT_VERSION 1

/* A file of this version, or NULL after a message that names it. */
json_t *report_read(const char *path);
/* XHTML with a drawing and nothing from elsewhere, or, if the path ends in .svg, the drawing. false: could not be written; said. */
bool report_write(const json_t *file, const char *path);
void report_print(const json_t *file, FILE *f);

/* Why two files can't be compared, into `why`; NULL: they can. */
const char *compare_refuses(const json_t *a, const json_t *b, char why[200]);
/* A table of what both have. Returns how many figures differ by more than their spreads. */
unsigned compare_print(const json_t *a, const json_t *b, FILE *f);
enum compare { COMPARE_SAME, COMPARE_LESS, COMPARE_MORE };
/* b against a, of which each is uncertain by a share of itself. */
enum compare compare_values(double a, double b, double uncertain_a, double uncertain_b);
