/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What plugins see of the netmap: peers, names. The core owns it; workers and jobs read records under RCU: a record
 * obtained in a callback stays valid until that callback returns.
 */
#pragma once

#include <tailrace/packet.h>

/* A peer as the layers merge to (provider below, operator above). Immutable; a change publishes a new record. */
struct tr_peer {
	uint32_t id;              /* 1..limits.peers: index of blocks; reused only after a grace period */
	uint16_t keepalive;       /* persistent keepalive, seconds; 0: off */
	uint16_t n_allowed;       /* allowed IPs */
	uint8_t public_key[32];
	uint8_t preshared_key[32]; /* all zero: none */
	struct tr_endpoint endpoint; /* configured; family 0: none. The one in use is path()'s */
	const char *name;         /* NULL: none */
	const struct tr_prefix *allowed;
	const char *origin;       /* who wrote it: "pipeline.yaml", "operator", … */
	uint16_t derp;            /* home region: the DERP relay that the peer keeps a connection to; 0: unknown */
	uint8_t disco_key[32];    /* all zero: none */
	bool relay;               /* (1.1) it may relay for us: it is asked for a relayed path to others */
	bool relay_client;        /* (1.1) it may ask our own peer relay for one */
};

/*
 * Paths: the ways to a peer that somebody knows of. One record per peer; its owner worker alone writes it, others post.
 * The core chooses the endpoint in use, by these rules:
 *
 *   - A direct path (UDP) that is trusted is used alone. One that is not is used together with the relay, each packet by
 *     both; the receiver's replay window drops the second copy. Without a relay it is used alone.
 *   - Whoever probes paths tells of answers (TR_PATH_ALIVE and until when to trust it). An answer is taken up if there is
 *     no trusted path, or if it is better: lower latency in percent, plus 10 points for IPv6, 20 for a private, 30
 *     for a link-local, 50 for a loopback address; same address: larger MTU. From then on packets heard teach only
 *     candidates.
 *   - As long as nobody probes, the address that the peer was last heard from is used, and trusted for twice its longest
 *     silence of late, at least 0.6 s and at most 11 s (a live WireGuard peer is silent for 10 s at most), and no longer
 *     when the peer is heard by the relay: that ends the trust of a probed path, too, until the next answer. A direct path on
 *     which nothing is heard is given up 10 s after that, and tried again with every session.
 *   - A path by a peer relay is probed, trusted and doubled as a direct one, but any direct one that is answered on is better.
 *   - Otherwise the relay: the peer's home region, or the one that it was last heard from.
 */
enum tr_path_state {
	TR_PATH_UNTRIED, /* known of */
	TR_PATH_TRIED,   /* being tried: nothing has come back yet */
	TR_PATH_ALIVE,   /* it was answered on, or the peer was heard from it */
	TR_PATH_DEAD,    /* tried in vain */
	TR_PATH_GONE,    /* to path_tell(): forget it */
};

enum tr_path_origin {
	TR_PATH_CONFIGURED, /* netmap or operator */
	TR_PATH_SAVED,      /* in use when the core ran before */
	TR_PATH_HEARD,      /* an authenticated packet came from it */
	TR_PATH_PROBED,     /* a valid probe came from it */
	TR_PATH_CALLED,     /* the peer told of it */
};

enum tr_path_use { TR_PATH_UNUSED, TR_PATH_IN_USE, TR_PATH_COPIES /* relay of an untrusted direct path */ };

enum tr_path_why { /* the endpoint in use was chosen */
	TR_PATH_ONLY,       /* there is no other */
	TR_PATH_LAST_HEARD,
	TR_PATH_FIRST,      /* answered when there was no trusted one */
	TR_PATH_BETTER,     /* by points */
	TR_PATH_LARGER,     /* same address, larger MTU */
	TR_PATH_TRYING,     /* not known to work yet; the relay carries a copy */
	TR_PATH_NO_DIRECT,  /* the relay: no direct path works */
};

struct tr_path {
	struct tr_endpoint endpoint; /* its mtu: of the path, less the outer headers */
	uint64_t heard;      /* ns of the core's clock: last sign of life; 0: never. Not read by path_tell() */
	uint64_t until;      /* ns: trusted until then (ALIVE) */
	uint32_t latency_us; /* last round trip; 0: unknown */
	uint8_t state;       /* enum tr_path_state */
	uint8_t origin;      /* enum tr_path_origin: who told of it first */
	uint8_t use;         /* enum tr_path_use. Not read by path_tell() */
	uint8_t why;         /* enum tr_path_why, of the one in use. Not read by path_tell() */
};
_Static_assert(sizeof(struct tr_path) == 64, "one cache line");

/* What a UDP port of this box is called outside. TR_OWN_SEEN is not kept: a peer sees us where nobody has said that we are. */
enum tr_own_kind { TR_OWN_LOCAL, TR_OWN_STUN, TR_OWN_MAPPED, TR_OWN_KINDS, TR_OWN_SEEN = TR_OWN_KINDS };

struct tr_own_endpoint {
	struct tr_sockaddr address;
	uint8_t kind;   /* enum tr_own_kind */
	bool varies;    /* by whom we send to: a NAT with address-dependent mapping lies in between */
};

#define TR_OWN_ENDPOINTS 16 /* at most, of one port */

#define TR_PATHS 15 /* candidates of one peer; a new one pushes out the least useful */

enum tr_peer_field {
	TR_PEER_PSK = 1u << 0,
	TR_PEER_ENDPOINT = 1u << 1,
	TR_PEER_KEEPALIVE = 1u << 2,
	TR_PEER_REPLACE_ALLOWED = 1u << 3, /* drop all allowed IPs first */
	TR_PEER_UPDATE_ONLY = 1u << 4,     /* do nothing if the peer does not exist */
	TR_PEER_REMOVE = 1u << 5,          /* operator layer: absent */
};

/* A change to the operator's layer (what `wg set` does). */
struct tr_peer_change {
	uint8_t public_key[32];
	uint32_t fields; /* enum tr_peer_field */
	uint16_t keepalive;
	uint8_t preshared_key[32];
	struct tr_endpoint endpoint;
	uint32_t n_add, n_remove; /* allowed IPs; adding one that another peer of the interface holds moves it */
	const struct tr_prefix *add, *remove;
};

/* A relay server of the DERP map. The nodes of a region stand in the order in which they are to be tried. */
struct tr_derp_node {
	const char *name, *host;
	const char *certificate;  /* another name in its certificate, or "sha256-raw:…" which it must be; NULL: `host` */
	uint64_t region, port;    /* region: 1..65535 */
	struct tr_list address;   /* struct tr_addr; none: to be looked up */
};

struct tr_derp_map {
	uint32_t serial; /* grows with every change; 0: no plan has been taken yet */
	uint32_t n;
	const struct tr_derp_node *node;
};

/* The answer to a name. */
struct tr_name {
	uint16_t n;
	const struct tr_addr *addr;
};

enum tr_name_status {
	TR_NAME_FOREIGN, /* not below the netmap's domain, not in its ranges: ask an upstream */
	TR_NAME_NONE,    /* ours, and there is no such name */
	TR_NAME_FOUND,
};

/* A name to look up, of a burst. */
struct tr_name_find {
	const char *name; /* lower case, labels joined by dots, without the last dot; not terminated */
	uint16_t len;
	enum tr_name_status status; /* the answer; `found` when TR_NAME_FOUND */
	struct tr_name found;
};
