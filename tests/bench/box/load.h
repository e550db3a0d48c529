/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a gateway is loaded with: scenarios, and their packets. All scenarios are one pipeline, that of a gateway with
 * everything: two networks, a mux, WireGuard, STUN, MagicDNS, routes. Sessions are laid into the peers' state blocks by hand.
 */
#pragma once

#include "box.h"
#include "crypto/aead.h"

enum load_kind { LOAD_L3, LOAD_L3_IPV6, LOAD_ENCRYPT, LOAD_DECRYPT, LOAD_TUNNEL, LOAD_STUN, LOAD_DNS };

struct scenario {
	const char *name, *doc;
	enum load_kind kind;
	enum box_port in, out;
	bool sized; /* else there is but one size of packet */
	bool peers;
};
extern const struct scenario scenarios[]; /* an end without name */
const struct scenario *scenario_find(const char *name);

#define SIZE_IMIX 0
#define SIZE_JUMBO 1
/* A number, "imix" or "jumbo"; false: it is none, or out of bounds. And back. */
bool size_parse(const char *text, uint32_t *size);
const char *size_text(uint32_t size); /* overwritten by the next call */

struct shape {
	uint8_t head[192];       /* what is written anew for each packet; the rest of its bytes may be anything */
	uint16_t head_len, len;  /* Ethernet included */
	uint16_t sealed;         /* bytes for the AEAD, padding included */
	uint64_t sum;            /* of the IP header without its checksum and what differs */
};

struct load {
	const struct scenario *scenario;
	uint32_t peers;
	const struct aead_engine *engine;
	void *worker; /* the engine's, for who makes sealed packets */
	uint32_t seed;
	unsigned n_shapes; /* of IMIX: three */
	struct shape shape[3];
	double bytes;      /* of a packet's IP length, the mean */
};

/* Starts the gateway with so many peers; box_jumbo() before. Ends the process when that does not work. */
void gateway_start(const char *plugins, uint32_t peers);

void load_init(struct load *l, const struct scenario *s, uint32_t size, uint32_t peers, const struct aead_engine *engine, uint32_t seed);
void load_free(struct load *l);
/* n packets, at most a burst, whose numbers follow each other from `first` (modulo BOX_PACKETS), ready to come in. `aead`, if
 * it is not NULL, gets what an engine alone would have to do with them. */
void load_burst(struct load *l, const uint32_t *number, uint32_t n, struct rte_mbuf **pkts, struct tr_aead *aead);
/* Clocks that the engine alone takes for packets made by load_burst(): to seal, to open, or both, as the scenario does. */
uint64_t load_raw(const struct load *l, struct tr_aead *aead, uint32_t n);
const char *load_raw_what(const struct scenario *s);
/* What went in came out as it should; else the process ends. Neighbours are known from then on. */
void load_prove(struct load *l);
