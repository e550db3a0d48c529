/* SPDX-License-Identifier: BSD-3-Clause */
/* The other servers of the region: each is dialled, says who is connected to it, and takes packets for them. Service loop. */
#pragma once

#include "dial.h"
#include "registry.h"

struct relay;

#define MESH_MAX 16

struct neighbour {
	struct member member; /* what the registry knows it by; never registered itself */
	struct relay *relay;
	struct dial_target target;
	struct dial dial;
	struct tr_watch *retry;
	bool is_me; /* the relay dialled itself: not again */
};

/* "HOST@ADDRESS:PORT". */
bool mesh_parse(struct dial_target *out, const char *text);
void mesh_open(struct relay *r);
void mesh_close(struct relay *r);
/* A packet for a key that is not here. False: no neighbour has it. */
bool mesh_forward(struct relay *r, const struct party *target, const uint8_t source[32], const uint8_t *packet, uint32_t len);
void mesh_flush(struct relay *r); /* at the end of a turn */
