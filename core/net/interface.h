/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * interface: Ethernet, ARP and ND, and the addresses of this box on one link. Parts of one class:
 * interface.c (options, life), interface_rx.c (port -> graph), interface_tx.c (graph -> port), arp.c, nd.c.
 */
#pragma once

#include "engine.h"
#include "net/fragment.h"
#include "net/neighbour.h"
#include "net/trunk.h"

enum interface_out { INTERFACE_IP, INTERFACE_UDP, INTERFACE_ICMP, INTERFACE_HOST, INTERFACE_REPLY, INTERFACE_FRAME };

enum interface_drop {
	INTERFACE_DROP_IP = 0,
	INTERFACE_DROP_UDP = INTERFACE_DROP_IP + IP_FAULTS - 1,
	INTERFACE_DROP_FRAGMENT = INTERFACE_DROP_UDP + UDP_FAULTS - 1,
	INTERFACE_DROP_FRAME_SHORT = INTERFACE_DROP_FRAGMENT + GATHER_REASONS,
	INTERFACE_DROP_SEGMENTED,
	INTERFACE_DROP_NO_ROOM,
	INTERFACE_DROP_VLAN,
	INTERFACE_DROP_NOT_FOR_US,
	INTERFACE_DROP_ETHERTYPE,
	INTERFACE_DROP_LINK_MULTICAST,
	INTERFACE_DROP_MULTICAST,
	INTERFACE_DROP_CONSUMED,
	INTERFACE_DROP_ARP,
	INTERFACE_DROP_ND,
	INTERFACE_DROP_ICMP_CHECKSUM,
	INTERFACE_DROP_ICMP,
	INTERFACE_DROP_PROTOCOL,
	INTERFACE_DROP_OPTIONS,
	INTERFACE_DROP_TOO_BIG,
	INTERFACE_DROP_PROBE,
	INTERFACE_DROP_NO_SOURCE,
	INTERFACE_DROP_BROADCAST,
	INTERFACE_DROP_NO_GATEWAY,
	INTERFACE_DROP_NEIGHBOUR_QUEUE,
	INTERFACE_DROP_NEIGHBOUR_TABLE,
	INTERFACE_DROP_NEIGHBOUR,
	INTERFACE_DROP_TX_FULL,
};

enum interface_count { INTERFACE_ARP_SENT, INTERFACE_ND_SENT, INTERFACE_ECHO, INTERFACE_PATH_MTU, INTERFACE_CONFLICT };

#define INTERFACE_ADDRESSES 16

struct interface_options {
	const char *port; /* NULL: as the instance */
	struct tr_list address;
	struct tr_list gateway;
	struct tr_list neighbours; /* "ADDRESS MAC" */
	uint64_t vlan, mtu;
};

/* What was seen last, for `status`. Any worker writes; one of two that write at once is lost. */
struct sighting {
	_Atomic uint32_t turn; /* odd: being written; 0: nothing yet */
	_Atomic uint64_t at;   /* ns */
	_Atomic uint64_t addr[2], rest; /* the address; the MAC, the family above it */
};

struct interface {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct interface_options *options;
	struct port *port;
	struct trunk *trunk;
	unsigned slot;
	struct neighbours *neighbours;
	uint8_t mac[6];
	uint64_t mac_high; /* of untagged frames to us: the first 8 bytes, shifted left by 16; tagged interfaces: none */
	uint16_t tag;
	uint16_t l2_len;
	uint16_t number;
	uint16_t mtu;
	uint32_t link_id;
	bool offload; /* the port computes UDP checksums */
	bool told;    /* where peers reach us */
	unsigned n4, n6;
	struct {
		uint32_t addr, mask, broadcast; /* as in the packet; without a broadcast address: the limited one */
	} own4[INTERFACE_ADDRESSES];
	struct tr_prefix own6[INTERFACE_ADDRESSES + 1]; /* the last is the link-local one */
	struct tr_addr gateway4, gateway6; /* family 0: none */
	struct sighting silent;  /* the neighbour that was asked in vain */
	struct sighting claimed; /* who claims an address of ours, and which */
};

/*
 * Packets that wait for a neighbour on one worker. All peers may lie behind one router: after a start their handshakes wait
 * for it, and one that is lost costs its peer 5 s. The sum is bounded because whoever names addresses that nobody has could
 * else make us keep the whole pool.
 */
#define PENDING_NEIGHBOURS 64
#define PENDING_PACKETS 128 /* for each */
#define PENDING_ALL 512
struct pending {
	struct tr_addr addr;
	uint64_t since;
	uint16_t n;
	struct rte_mbuf *pkt[PENDING_PACKETS];
};

struct interface_worker {
	struct neighbour *last; /* of the last packet sent; checked again before use */
	uint64_t sweep_at, announce_at;
	unsigned sweep, announced, n_pending;
	unsigned waiting; /* packets, of all that is pending */
	struct pending pending[PENDING_NEIGHBOURS];
	uint32_t datagram; /* number of the last that was split, for IPv6 */
	struct gather gather;
};

/* ---- interface_rx.c ---- */
uint32_t interface_poll(struct tr_node *node);
uint16_t interface_receive_self(struct tr_node *node, struct rte_mbuf *m);

/* ---- interface_tx.c ---- */
void interface_send(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void interface_send_frames(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);
void interface_pending(struct tr_node *node); /* sends what was resolved, asks again, gives up */
/* Prepends the link-layer header. false: no headroom. */
bool interface_frame(const struct interface *i, struct rte_mbuf *m, const uint8_t dst[6], uint16_t type);
/* Asks for a neighbour: mac NULL = everyone. Called when neighbour_probe() said so. */
void interface_solicit(struct tr_node *node, const struct tr_addr *a, const uint8_t *mac);

/* ---- arp.c, nd.c ---- */
/* A frame's payload: learns, answers in place (then with link-layer header: INTERFACE_FRAME), or a drop. */
uint16_t arp_receive(struct tr_node *node, struct rte_mbuf *m);
uint16_t nd_receive(struct tr_node *node, struct rte_mbuf *m, const struct ip_view *v);
/* Fill a new packet, link-layer header included. announce: `target` is ours and everyone is told. */
void arp_request(const struct interface *i, struct rte_mbuf *m, const struct tr_addr *target, const uint8_t *mac);
void nd_solicit(const struct interface *i, struct rte_mbuf *m, const struct tr_addr *target, const uint8_t *mac);
void nd_announce(const struct interface *i, struct rte_mbuf *m, const struct tr_addr *own);

/* ---- interface_show.c ---- */
void interface_saw(struct sighting *s, const struct tr_addr *a, const uint8_t mac[6], uint64_t now);
void interface_show(void *self, struct tr_show *out);
extern const struct tr_command interface_commands[];

/* ---- interface.c ---- */
bool interface_on_link(const struct interface *i, const struct tr_addr *a);
/* Our address on the link towards `to`, else the first of the family; NULL: none. 4 or 16 bytes. */
const uint8_t *interface_source(const struct interface *i, const struct tr_addr *to);
/* Does this instance of the plan send through a port that computes UDP checksums? (path asks) */
bool interface_csum_offload(const struct plan_instance *p);

static inline bool
interface_owns4(const struct interface *i, const uint8_t *a)
{
	const uint32_t v = get_32(a);
	for (unsigned k = 0; k < i->n4; k++)
		if (i->own4[k].addr == v)
			return true;
	return false;
}

static inline bool
interface_owns6(const struct interface *i, const uint8_t *a)
{
	for (unsigned k = 0; k < i->n6; k++)
		if (memcmp(i->own6[k].addr.ip, a, 16) == 0)
			return true;
	return false;
}

/* Of a subnet, or the limited one. */
static inline bool
interface_is_broadcast(const struct interface *i, const uint8_t *a)
{
	const uint32_t v = get_32(a);
	for (unsigned k = 0; k < i->n4; k++)
		if (v == i->own4[k].broadcast)
			return true;
	return v == UINT32_MAX;
}

static inline struct tr_addr
tr_addr4(const uint8_t *a)
{
	struct tr_addr r = {.family = 4};
	memcpy(r.ip, a, 4);
	return r;
}

/* Somebody else says that an address of ours is theirs. */
static inline void
interface_conflict(struct tr_node *node, struct tr_addr own, const uint8_t mac[6])
{
	struct interface *i = node->self;
	node->count[INTERFACE_CONFLICT]++;
	interface_saw(&i->claimed, &own, mac, *node->now);
}

static inline struct tr_addr
tr_addr6(const uint8_t *a)
{
	struct tr_addr r = {.family = 6};
	memcpy(r.ip, a, 16);
	return r;
}
