/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which of a peer's paths is used, by the rules of <tailrace/netmap.h>. Pure: the caller owns the candidates (path.c: the
 * peer's owner worker) and acts on the choice.
 */
#pragma once

#include <tailrace/netmap.h>

#define CANDIDATES_NONE 0xff

/* Zeroed but for best and relay: nothing is known. */
struct candidates {
	uint8_t n;
	uint8_t best;   /* direct path or peer relay in use, trusted or not; CANDIDATES_NONE */
	uint8_t relay;  /* the DERP relay to use; CANDIDATES_NONE */
	uint8_t why;    /* enum tr_path_why, of `best` */
	bool probed;    /* somebody probes: what is heard is no proof */
	uint8_t pad[3];
	uint64_t silence; /* ns: the longest of the peer's of late; it fades */
	uint64_t calm;    /* until then what comes by the relay casts no doubt on a path that is probed */
	uint64_t doubted; /* when it has done so last */
	uint64_t hold;    /* for how long it can't again, after an answer */
	uint8_t rest[24];
	struct tr_path path[TR_PATHS];
};
_Static_assert(sizeof(struct candidates) == 1024, "16 cache lines");

/* What the fast path needs of it. */
struct choice {
	struct tr_endpoint endpoint; /* family 0: there is none */
	bool relayed;   /* there is a relay beside it: then it is used alone until `until` */
	uint64_t until; /* ns; 0: not trusted */
	uint64_t renew; /* ns: from then on the next packet heard is wanted; UINT64_MAX: never */
};

void candidates_init(struct candidates *c);
/* What the netmap says (region 0: none). An endpoint replaces the one in use, as `wg set` expects, unless somebody probes. */
void candidates_configure(struct candidates *c, const struct tr_endpoint *direct, enum tr_path_origin origin, uint64_t now);
void candidates_home(struct candidates *c, uint16_t region, const uint8_t key[32]);
void candidates_tell(struct candidates *c, const struct tr_path *news, uint64_t now);
/* `key`: the peer's; nothing is learned from a relay that names another. */
void candidates_heard(struct candidates *c, const struct tr_endpoint *from, const uint8_t key[32], uint64_t now);
void candidates_session(struct candidates *c, uint64_t now); /* a session began: what was given up is tried again */
struct choice candidates_choice(const struct candidates *c, uint64_t now);
uint16_t candidates_list(const struct candidates *c, uint64_t now, struct tr_path *out, uint16_t max);

/* Same kind, family, remote address and port (key); local address and MTU may differ. */
bool endpoint_same(const struct tr_endpoint *a, const struct tr_endpoint *b);
