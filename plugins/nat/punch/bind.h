/* SPDX-License-Identifier: BSD-3-Clause */
/* The handshake of a client with a relay, and what goes through it. The peer's owner. */
#pragma once

#include "via.h"

static inline struct vias *
vias_of(const struct punch *punch, uint32_t id)
{
	return tr_block(punch->vias, id);
}

bool bind_begin(struct tr_node *node, uint32_t id, struct via *via); /* false: too busy; via is free then */
void bind_step(struct tr_node *node, uint32_t id, struct peer *p, struct via *via); /* it takes too long: once more */
void bind_end(struct punch *punch, uint32_t id, const struct via *via); /* no challenge is awaited any more */
void bind_ping(struct tr_node *node, struct peer *p, struct via *via);
struct via *bind_find(struct vias *v, const struct tr_endpoint *at); /* that is bound there; NULL */
void bind_call(struct tr_node *node, uint32_t id, struct peer *p, const struct disco_relay *path); /* tells the peer of it */
