/* SPDX-License-Identifier: BSD-3-Clause */
/* The drawing of a report: what was measured on what, and for each family of scenarios costs and rates beside the AEAD alone. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

/* One SVG element, drawn by gnuplot, and nothing from elsewhere. false: there is no gnuplot, or it could not; said. */
bool plot_print(const json_t *file, FILE *f);
/* What gnuplot is told: no text of the file is more to it than text. */
void plot_script(const json_t *file, FILE *f);

/* A string or number of an object, "" or 0 if there is none; plot_of(): of an object in it. */
const char *plot_word(const json_t *o, const char *key);
double plot_of(const json_t *o, const char *part, const char *key);
