/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the ports of this box are called outside: told by whoever finds out (STUN, port mapping), listed to peers by whoever
 * calls them. Few entries, rarely changed: replaced as a whole, read under rcu.h.
 *
 * Of TR_OWN_SEEN, a peer's word, nothing is kept: those who find out look anew, soon and not too often.
 */
#pragma once

#include <tailrace/netmap.h>

/* Replaces what `teller` has said of that port (0: of all) before. Any thread but workers. Returns what readers may still see, to be freed after a
 * grace period; NULL: nothing. */
void *own_tell(const void *teller, uint16_t port, const struct tr_own_endpoint *list, uint16_t n);
bool own_told_by(const void *teller); /* control or a service loop */
/* Of that port, each once: port mappings first, then what servers see, then local addresses. Any reader. */
uint16_t own_list(uint16_t port, struct tr_own_endpoint *out, uint16_t max);
