/* SPDX-License-Identifier: BSD-3-Clause */
/* Single values of option tables: text -> value, value -> text, and what to call them in messages. */
#pragma once

#include "config.h"

#include <jansson.h>

enum value_result { VALUE_OK, VALUE_TYPE, VALUE_BOUNDS, VALUE_TEXT }; /* TYPE: "expected …"; else `why` says it all */

/* One element of a scalar type. Strings point into `text`, which must outlive `out`. Secrets: base64. */
enum value_result value_parse(const struct tr_option *o, const char *text, bool quoted, void *out, char *why, size_t size);
struct tr_option value_element(const struct tr_option *list); /* of a list: its bounds count elements, these have none */
size_t value_size(enum tr_option_type type); /* of one element */
/* "a number from 1 to 65535", "one of `any`, `tailscale`"; with_bounds: UINT only. */
void value_expected(const struct tr_option *o, char *text, size_t size);
void value_format_uint(enum tr_option_unit unit, uint64_t v, char text[32]);
/* Default port of a TR_OPT_SOCKADDR option (`def` = ":53" or "192.0.2.1:53"); 0: none. */
uint16_t value_default_port(const struct tr_option *o);
/* A host name of labels of 1..63 letters, digits, `-` and `_`; at most 253 bytes. Copied in lower case. */
bool value_dns_name(const char *text, char out[254]);
/* {PREFIX: …} key of routes: text -> prefix, with the reason when it is none. */
bool value_prefix(const char *text, struct tr_prefix *out, bool host_bits, char *why, size_t size);

/* A `file:PATH` reference. true when nothing is wrong, or nothing that `check` refuses. */
bool secret_read(const struct opt_context *c, const struct tr_option *o, const struct cfg_node *n, struct tr_secret *out);

json_t *options_schema_json(const struct tr_option *table, json_t *extra);
