/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include "cli.h"

/* The program as the daemon reads it, malloc()ed; NULL after the error has been printed. */
char *filter_compile(const char *expression);
