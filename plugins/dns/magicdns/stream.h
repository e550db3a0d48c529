/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Clients that ask over TCP (RFC 7766): kernel sockets on the service loop. A question becomes a packet, marked with
 * its connection, that takes the way of all questions: to a worker, which knows the netmap, and from there, when it is
 * not ours, to the cache and the upstreams.
 */
#pragma once

#include "magicdns.h"

struct streams *streams_new(struct magicdns *d, const struct tr_list *listen); /* control; NULL: out of memory */
void streams_free(struct streams *s);                                          /* control, after streams_fini() */
void streams_start(struct tr_node *node);                                      /* service loop: listens */
void streams_fini(struct tr_node *node);                                       /* service loop */

/* Service loop: the answer to a question that was marked so. Whoever is gone meanwhile gets none. */
void streams_answer(struct streams *s, uint32_t mark, const uint8_t *msg, size_t len);
tr_process streams_told; /* service loop: packets that hold their answers */
