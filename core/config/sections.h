/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <tailrace/option.h>

/* The option tables of appliance.cfg's sections, one after the other; NULL behind the last. */
const struct tr_option *appliance_table(unsigned i);
