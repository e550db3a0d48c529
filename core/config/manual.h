/* SPDX-License-Identifier: BSD-3-Clause */
/* The keys of appliance.cfg, for its manual. */
#pragma once

#include <tailrace/option.h>

/* Those of a port have the section "ports = { NAME = { ... }; }", those of the top "". */
void appliance_each_key(void (*fn)(void *arg, const char *section, const struct tr_option *o), void *arg);
