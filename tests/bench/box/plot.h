/* SPDX-License-Identifier: BSD-3-Clause */
/* The drawing of a report: what was measured on what, and for each family of scenarios costs and rates beside the AEAD alone. */
#pragma once

#include <jansson.h>
#include <stdio.h>

/* One SVG element, with its style, and nothing from elsewhere. */
void plot_print(const json_t *file, FILE *f);

/* For text between tags and in attributes; characters that XML has not are left out. */
void plot_text(FILE *f, const char *text);
/* A string or number of an object, "" or 0 if there is none; plot_of(): of an object in it. */
const char *plot_word(const json_t *o, const char *key);
double plot_of(const json_t *o, const char *part, const char *key);
