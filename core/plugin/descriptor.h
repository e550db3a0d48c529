/* SPDX-License-Identifier: BSD-3-Clause */
/* May this descriptor be used? In the order of trust: numbers first, pointers only when the numbers agree. */
#pragma once

#include <tailrace/plugin.h>

/* The fixed head of a descriptor as it stands in the file, before the code is loaded: ABI version, size, layout. */
bool descriptor_check_head(const void *head, size_t head_size, char *why, size_t size);
/* Everything behind the pointers of a loaded descriptor: classes, tables, names, functions. */
bool descriptor_check(const struct tr_plugin *p, char *why, size_t size);
/* One class; `why` begins with its name. Also for the core's own classes, in tests. */
bool descriptor_check_class(const struct tr_class *c, char *why, size_t size);
