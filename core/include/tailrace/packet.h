/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet is an rte_mbuf, one segment, modified in place. Beside it, in the mbuf's private area, lies one
 * cache line of metadata. Which nodes read and write which field is declared with the gates (TR_META_*).
 *
 * Where the data starts: ip and udp: the IP header. endpoint: the payload that is to be carried to `endpoint` (outer headers
 * not yet there).
 */
#pragma once

#include <tailrace/guard.h>
#include <tailrace/types.h>

/* Bytes of headroom and tailroom that every packet offers when it enters a graph. */
#define TR_HEADROOM 128
#define TR_TAILROOM 64

#define TR_NO_PEER 0u /* peer ids start at 1 */

/* Kinds of endpoints: the first out gates of `path`, in this order. Gates of other names follow. */
enum tr_endpoint_kind {
	TR_KIND_UDP,   /* addresses and ports */
	TR_KIND_DERP,  /* family TR_FAMILY_KEY: a client of a DERP region */
	TR_KIND_RELAY, /* addresses and ports of a peer relay; `local` is the relay's to define */
};

#define TR_FAMILY_KEY 1 /* remote and local together are a public key, remote_port is the DERP region */

/* Set by host->paths(), so that such an endpoint equals none that a packet was received from. A receiver sets none
 * but BOUND. */
enum tr_endpoint_flag {
	TR_ENDPOINT_TWICE = 1u << 0, /* not trusted: `path` sends a copy by the peer's relay */
	TR_ENDPOINT_ASK = 1u << 1,   /* path_learn() wants to be told of the next packet from it */
	TR_ENDPOINT_BOUND = 1u << 2, /* local_port is not the transport's (TR_OPT_LISTEN_ALSO), and is kept. Set by mux, too */
};

/* Where a transport's packet goes: a send gate of `path` and what that gate needs. */
struct tr_endpoint {
	uint8_t family : 4; /* 4, 6 or TR_FAMILY_KEY; 0: no endpoint. Of both addresses, IPv4 in the first four bytes */
	uint8_t flags : 4;  /* enum tr_endpoint_flag */
	uint8_t gate;       /* enum tr_endpoint_kind, or the number of another of path's out gates */
	uint16_t mtu;       /* largest payload that the path carries; 0: unknown */
	uint16_t remote_port, local_port; /* host byte order */
	uint8_t remote[16];
	uint8_t local[16]; /* all zero: the sender's interface chooses */
};
_Static_assert(sizeof(struct tr_endpoint) == 40, "an endpoint must fit into the packet metadata");

static inline struct tr_endpoint
tr_endpoint_derp(uint16_t region, const uint8_t key[32])
{
	struct tr_endpoint e = {.family = TR_FAMILY_KEY, .gate = TR_KIND_DERP, .remote_port = region};
	memcpy(e.remote, key, 16);
	memcpy(e.local, key + 16, 16);
	return e;
}

enum tr_meta_field { /* for the declared reads and writes of a gate */
	TR_META_L3 = 1u << 0,       /* l3_len, l4 */
	TR_META_PEER = 1u << 1,     /* peer */
	TR_META_ENDPOINT = 1u << 2, /* endpoint */
	TR_META_NEXT_HOP = 1u << 3, /* next_hop */
};

struct tr_meta {
	/* The runner's own. */
	uint8_t passes; /* edges taken to a node that comes earlier; above TR_MAX_PASSES: dropped as graph_loop */
	uint8_t trace;  /* 0, or the trace slot that follows this packet */
	/* Written by interface and route, read by all after them. */
	uint8_t l3_len; /* bytes from the IP header to the L4 header, extension headers included; 0: unknown */
	uint8_t l4;     /* IP protocol of the L4 header */
	uint16_t in;    /* number of the interface that received it; TR_IN_SELF: made here */
	uint8_t tos;    /* DSCP and ECN of the outer header: as received (udp), or to be sent (endpoint) */
	uint8_t flags;  /* enum tr_meta_flag */
	uint32_t peer;  /* the peer that it came from or goes to; TR_NO_PEER */
	uint32_t mark;  /* free for the instance that holds the packet */
	uint64_t time;  /* ns of the worker's clock when received or made */
	union {
		struct tr_endpoint endpoint; /* endpoint: where to. udp: where from (remote) and to (local) */
		struct tr_addr next_hop;     /* ip towards an interface, with TR_META_VIA: the neighbour to send to */
		uint64_t scratch[5];         /* between two nodes of one instance */
	};
};
_Static_assert(sizeof(struct tr_meta) == 64, "packet metadata is one cache line");

#define TR_IN_SELF 0xffffu
#define TR_MAX_PASSES 8

enum tr_meta_flag {
	TR_META_CSUM_OK = 1u << 0, /* L4 checksum verified (by the NIC or by us) */
	TR_META_OWN = 1u << 1,     /* made by this box: no ICMP error is sent about it, no hop counted */
	TR_META_VIA = 1u << 2,     /* next_hop is set; without it an interface sends to the destination or its gateway */
	TR_META_AUTHENTIC = 1u << 3, /* comes back from host->spread(), opened: the tag is right */
	TR_META_HOST = 1u << 4, /* with TR_META_OWN: made by this box's kernel, which is told by ICMP what becomes of it */
	TR_META_WHOLE = 1u << 5, /* with TR_META_OWN: a probe of what its path carries. Never split, neither here nor on the way */
};

#define TR_PRIV_SIZE sizeof(struct tr_meta) /* private area of every packet pool */

static inline struct tr_meta *
tr_meta(struct rte_mbuf *m)
{
	return (struct tr_meta *)rte_mbuf_to_priv(m);
}
