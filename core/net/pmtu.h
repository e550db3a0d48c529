/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Path MTUs that are smaller than the link's: learned from ICMP (RFC 1191, RFC 8201) and from packets of this box that
 * had to be split, forgotten after ten minutes. One small table for all workers: readers never wait, writers that meet
 * give up (the next error tells it again). Where nothing is learned, a look-up costs one load.
 */
#pragma once

#include "net/ip.h"

#include <stdatomic.h>
#include <tailrace/types.h>

#define PMTU_ENTRIES 1024
#define PMTU_AGE_NS (600 * UINT64_C(1000000000)) /* RFC 1191 §6.3, RFC 8201 §4 */
#define PMTU_MIN4 576
#define PMTU_MIN6 1280 /* RFC 8201 §4: never below */

extern _Atomic uint32_t pmtu_known; /* entries ever made: 0 = nothing to look for */

uint16_t pmtu_look_up(const struct tr_addr *to, uint64_t now); /* 0: nothing known */
/* Of IP packets to this address. Only ever lowers what is known and not yet old. */
void pmtu_learn(const struct tr_addr *to, uint32_t mtu, uint64_t now);
/* An ICMP message for this box, checked: true when it says that a UDP datagram of ours, from one of the addresses that
 * owns() knows, was too big; then *to and *mtu say of what. */
bool pmtu_read(const uint8_t *p, const struct ip_view *v, bool (*owns)(const void *arg, uint8_t version, const uint8_t *a),
	const void *arg, struct tr_addr *to, uint32_t *mtu);
/* Control thread: entries that are not old. */
void pmtu_each(uint64_t now, void (*fn)(void *arg, const struct tr_addr *to, uint16_t mtu, uint64_t until), void *arg);

static inline uint16_t
pmtu_of(const struct tr_addr *to, uint64_t now)
{
	return likely(atomic_load_explicit(&pmtu_known, memory_order_relaxed) == 0) ? 0 : pmtu_look_up(to, now);
}
