/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <tailrace/plugin.h>

extern const struct tr_class stream_class;
