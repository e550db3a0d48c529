/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Structured data for the operator: a class writes objects, lists and values; the core renders them as JSON or text.
 * Control thread. Functions are reached through the vtable in struct tr_show, so that a plugin links nothing.
 * Inside an object `key` is the member's name; inside a list it is NULL. Unbalanced calls are a programming error
 * (assert in debug builds).
 */
#pragma once

#include <tailrace/types.h>

struct tr_show {
	void *ctx;
	void (*begin)(struct tr_show *s, const char *key); /* an object */
	void (*list)(struct tr_show *s, const char *key);
	void (*end)(struct tr_show *s); /* of either */
	void (*text)(struct tr_show *s, const char *key, const char *value);
	void (*uint)(struct tr_show *s, const char *key, uint64_t value);
	void (*real)(struct tr_show *s, const char *key, double value);
	void (*flag)(struct tr_show *s, const char *key, bool value);
	void (*addr)(struct tr_show *s, const char *key, const struct tr_addr *value);
	void (*key)(struct tr_show *s, const char *key, const uint8_t value[32]); /* public keys only: base64 */
	void (*error)(struct tr_show *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
};
