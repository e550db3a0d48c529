/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client: a connection to the relay of each region that is needed. The home region's is kept, because peers reach us
 * there; others are made when a packet must go there, and closed after a minute in which none did. Service loop.
 */
#pragma once

#include "dial.h"
#include "resolve.h"
#include "route.h"

#include <pthread.h>
#include <stdatomic.h>

#define REGIONS_MAX 64
#define WAITING_MAX 32 /* packets that wait for a connection: the oldest is dropped */
#define ADDRESSES_MAX 8

enum client_gate { CLIENT_IN };
enum client_out { CLIENT_WIREGUARD, CLIENT_DISCO };

enum client_drop {
	CLIENT_SENT,
	CLIENT_NO_REGION,
	CLIENT_NO_CONNECTION,
	CLIENT_WAITED,
	CLIENT_RATE,
	CLIENT_FULL,
	CLIENT_TOO_BIG,
};

enum client_count {
	CLIENT_OUT,
	CLIENT_OUT_BYTES,
	CLIENT_RECEIVED,
	CLIENT_RECEIVED_BYTES,
	CLIENT_CONNECTED,
	CLIENT_FAILED,
	CLIENT_GONE,
	CLIENT_PINGS,
};

struct node { /* a relay server: a copy of the DERP map's */
	char name[64], host[254], certificate[80];
	uint16_t region, port;
	uint8_t n_addresses;
	struct tr_addr address[ADDRESSES_MAX];
};

struct map { /* made by control, handed to the loop, which frees it */
	uint32_t n;
	struct node node[];
};

/* What show() and netcheck tell of a region: the loop writes it, under the client's lock. */
struct report {
	uint16_t id;
	bool home, open, trying;
	uint32_t latency_us;    /* 0: not measured */
	uint64_t since;         /* ns: of this state */
	uint32_t failures;      /* in a row */
	char node[64];          /* connected to, or tried last */
	char failure[128];      /* why it is not open; "" = nothing has gone wrong */
	char health[128];       /* what the relay says is wrong */
};

struct bucket { /* the relay's rate limit */
	uint64_t rate, burst, tokens, at;
};

struct client;

struct region {
	struct client *client;
	uint16_t id;
	struct dial dial;
	struct resolve *resolve;
	struct tr_watch *retry;
	struct tr_addr address[ADDRESSES_MAX]; /* of the node that is being tried */
	int n_addresses, at_address;
	uint32_t at_node; /* of the region's nodes: the one being tried */
	bool wanted;      /* measured, or packets wait */
	bool dirty;       /* has frames to send */
	bool good;        /* something was received on this connection */
	uint32_t restart_ms; /* the relay said: come back within; 0: nothing */
	uint64_t used;    /* ns: the last packet was written */
	uint64_t pinged;  /* ns; 0: no ping is out */
	uint64_t ping_id;
	struct bucket bucket;
	struct rte_mbuf *waiting[WAITING_MAX];
	unsigned n_waiting;
	struct report report;
	char logged[128]; /* the failure that the log has */
};

struct client {
	struct tr_instance *instance;
	const struct tr_host *host;
	struct dial_self self;
	uint64_t home_option; /* 0: the region that answers fastest */
	uint32_t serial;      /* control: of the map that was handed over last */
	struct tr_watch *watch_map; /* control */
	_Atomic(struct map *) coming;
	pthread_mutex_t lock; /* of `shown` */
	struct report shown[REGIONS_MAX];
	unsigned n_shown;

	/* The loop's. */
	uint64_t *count; /* until worker_fini(); NULL: the loop has not begun */
	struct map *map;
	SSL_CTX *tls;
	struct wire wire;
	struct chunk_pool chunks;
	struct region *region[REGIONS_MAX];
	unsigned n_regions;
	struct region *home;
	struct routes routes;
	struct tr_watch *second;
	uint64_t measure_until, measured; /* ns: regions are compared then; when they were last */
	bool closed;
};

/* region.c */
struct region *region_new(struct client *c, uint16_t id);
void region_free(struct region *r);
void region_start(struct region *r); /* dials unless it is open, being dialled, or waits after a failure */
void region_stop(struct region *r);
void region_send(struct region *r, struct rte_mbuf *m, uint16_t *verdict); /* or keeps it until connected */
void region_flush(struct region *r);
void region_ping(struct region *r);
void region_second(struct region *r, uint64_t now);
void region_prefer(struct region *r); /* says whether it is our home */
void region_report(struct region *r);
static inline bool
region_open(const struct region *r)
{
	return r->dial.state >= DIAL_WAITING;
}

/* client.c */
void client_received(struct region *r, const uint8_t source[32], const uint8_t *packet, uint32_t len);
extern const struct tr_class client_class;

/* report.c: `self` is the client */
void report_show(void *self, struct tr_show *out);
void report_regions(struct client *c, struct tr_show *out);
int report_status(void *self, int argc, char *const *argv, struct tr_show *out);
