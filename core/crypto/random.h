/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

#include <stddef.h>

int random_init(void); /* fetches the seeds of future threads from the kernel; 0 or -errno */
/*
 * Any thread; no syscall, no lock. Each thread has a generator of its own with fast key erasure: what it gave out can't
 * be computed again from what it holds now.
 */
void random_fill(void *p, size_t n);
