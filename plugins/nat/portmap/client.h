/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client of one router's port mapping server: finds out what the router speaks, asks for mappings, renews them, and asks
 * anew when the router has lost its state. Everything but client_show() is for the instance's service loop.
 */
#pragma once

#include "message.h"
#include "upnp.h"

#include <pthread.h>
#include <tailrace/host.h>
#include <tailrace/show.h>

#define PORTS_MAX UPNP_PORTS

enum { DROP_FOREIGN, DROP_MALFORMED, DROP_UNEXPECTED, DROP_CONSUMED };
enum { REQUESTS, ANSWERS, REFUSALS, STATE_LOST, NO_PACKET };
enum { OUT };

/* What the options say. */
struct settings {
	struct tr_addr router;
	uint16_t listen;
	uint32_t lifetime; /* seconds */
	uint32_t n_ports;
	uint16_t port[PORTS_MAX];
};

/* What a later build or instance goes on with: the nonce that the router knows a mapping by, and what it gave last. */
struct saved {
	uint16_t port, external_port; /* port 0: free */
	uint8_t nonce[PCP_NONCE];
	struct tr_addr external;
};

enum mapping_state { MAPPING_ASKED, MAPPING_HELD, MAPPING_REFUSED, MAPPING_RELEASED };

struct mapping {
	struct saved *saved;
	enum mapping_state state;
	uint16_t result; /* of a refusal */
	unsigned tries;  /* since the last answer */
	bool asked;      /* in the next exchange of UPnP */
	uint64_t due;    /* ns: the next request */
	uint64_t expires; /* MAPPING_HELD */
	struct tr_sockaddr told; /* to the core: what the port is called outside; family 0: nothing */
};

struct client {
	struct tr_instance *instance;
	const struct tr_host *host;
	struct saved *saved; /* PORTS_MAX, the state block */
	struct settings settings;
	struct tr_watch *timer;

	bool known; /* the router has answered: */
	enum portmap_version version;
	struct tr_addr local;    /* our address as it sees it */
	struct tr_addr external; /* NAT-PMP, UPnP: its own */
	uint32_t epoch;
	uint64_t epoch_at;
	unsigned probes; /* since the last answer */
	uint64_t probe_due;

	struct upnp_exchange *upnp; /* one that goes on; NULL: none */
	enum upnp_status upnp_status; /* of the last */
	char location[UPNP_URL];

	unsigned n;
	struct mapping mapping[PORTS_MAX];

	pthread_mutex_t lock; /* between the service loop, which writes what is above, and client_show() */
};

void client_init(struct client *c, struct tr_instance *instance, const struct tr_host *host, struct saved *saved);
void client_settings(struct client *c, const struct settings *s); /* begins, goes on, gives up what is no longer asked for */
uint16_t client_answer(struct client *c, struct tr_node *node, struct rte_mbuf *m); /* a verdict */
void client_probe(struct client *c); /* looks at the router now */
void client_fini(struct client *c);
void client_show(struct client *c, struct tr_show *out); /* [C] */
