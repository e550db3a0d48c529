/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <jansson.h>
#include <tailrace/show.h>

/* struct tr_show that builds a json_t object; json_show_end() returns it (new reference), or NULL and the text that was
 * given to error(). A first call without a key makes that object or list the whole. */
struct json_show;
struct tr_show *json_show_begin(struct json_show **out);
json_t *json_show_end(struct json_show *j, char *error, size_t size);
