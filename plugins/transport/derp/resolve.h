/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks up a relay's name by the system's resolver, which blocks, on a thread that ends with the look-up (glibc's
 * getaddrinfo_a has threads that TSan can't see). One thread starts it and looks for the answer.
 */
#pragma once

#include <tailrace/types.h>

struct resolve;

/* NULL: out of memory. */
struct resolve *resolve_start(const char *host);
/* -1: not yet. Else how many addresses, at most max; 0: none, or the look-up failed. */
int resolve_answer(struct resolve *r, struct tr_addr *out, int max);
void resolve_end(struct resolve *r); /* also one that has not been answered; NULL: nothing */
