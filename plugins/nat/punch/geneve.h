/* SPDX-License-Identifier: BSD-3-Clause */
/* The 8 bytes of Geneve (RFC 8926) before what goes by a peer relay: no options, and the path's number (VNI). */
#pragma once

#include <string.h>
#include <tailrace/types.h>

#define GENEVE_HEAD 8
#define GENEVE_DISCO 0x7a11
#define GENEVE_WIREGUARD 0x7a12
#define GENEVE_VNI_MAX 0xffffffu

struct geneve {
	uint16_t protocol; /* of what follows */
	bool control;      /* a handshake with the relay itself */
	uint32_t vni;
};

/* False: too short, or no header of this kind. */
static inline bool
geneve_read(struct geneve *g, const uint8_t *data, size_t len)
{
	*g = (struct geneve){0};
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: the header may lack its last byte */
	if (len < GENEVE_HEAD - 1)
		return false;
#else
	if (len < GENEVE_HEAD)
		return false;
#endif
	g->protocol = (uint16_t)(data[2] << 8 | data[3]);
	g->control = data[1] & 0x80;
	g->vni = (uint32_t)data[4] << 16 | (uint32_t)data[5] << 8 | data[6];
	/* version and options 0, critical options and reserved bits 0 */
	return data[0] == 0 && (data[1] & 0x7f) == 0 && data[7] == 0 && (g->protocol == GENEVE_DISCO || g->protocol == GENEVE_WIREGUARD);
}

static inline void
geneve_write(uint8_t *data, const struct geneve *g)
{
	const uint8_t head[GENEVE_HEAD] = {0, g->control ? 0x80 : 0, (uint8_t)(g->protocol >> 8), (uint8_t)g->protocol,
		(uint8_t)(g->vni >> 16), (uint8_t)(g->vni >> 8), (uint8_t)g->vni, 0};
	memcpy(data, head, sizeof(head));
}
