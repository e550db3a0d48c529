/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The client: asks several servers, from a port of this box, what that port is called outside, and draws conclusions about
 * the NATs in between (RFC 5780 section 4.3). Everything but client_show() is for the instance's service loop.
 */
#pragma once

#include "binding.h"

#include <pthread.h>
#include <tailrace/host.h>
#include <tailrace/show.h>

#define SERVERS_MAX 16
#define TARGETS_MAX (SERVERS_MAX + 2) /* and the two other addresses of a server that has them */
#define CLIENT_TRIES 3

enum { CLIENT_DROP_FOREIGN, CLIENT_DROP_MALFORMED, CLIENT_DROP_UNEXPECTED, CLIENT_DROP_CONSUMED };
enum { CLIENT_REQUESTS, CLIENT_ANSWERS, CLIENT_ERRORS, CLIENT_ROUNDS, CLIENT_MOVED, CLIENT_NO_PACKET };
enum { CLIENT_OUT };

/* How the NATs on the way choose the outside port, in RFC 4787's words. */
enum mapping {
	MAPPING_UNKNOWN,  /* fewer than two servers have answered */
	MAPPING_NONE,     /* no NAT: we are called outside what we are called inside */
	MAPPING_ENDPOINT, /* endpoint-independent */
	MAPPING_ADDRESS,
	MAPPING_PORT,     /* address-and-port-dependent */
	MAPPING_VARIES,   /* one of the last two: no server with other addresses has said which */
};

struct client_settings {
	uint16_t listen, probe_ports; /* probe_ports: 0: none */
	uint32_t n;
	struct tr_sockaddr server[SERVERS_MAX];
};

/* Who may send in by a mapping, in RFC 4787's words. */
enum filtering { FILTERING_UNKNOWN, FILTERING_ENDPOINT, FILTERING_ADDRESS, FILTERING_PORT };

/* RFC 5780 section 4.4, from a port that has never sent to any of the server's addresses: all that it may hear is what it has asked
 * for at the first of them. */
enum { FILTER_PLAIN, FILTER_BOTH, FILTER_OTHER_PORT, FILTER_TESTS };
struct filter_test {
	struct tr_sockaddr server, other; /* a server that can serve it; family 0: none yet */
	uint16_t port;   /* ours */
	uint8_t turn;    /* which of probe_ports is next */
	uint8_t tries;   /* sent */
	uint64_t due;    /* the next, or the end; 0: none is going on */
	uint8_t txid[FILTER_TESTS][BINDING_TXID];
	bool answered[FILTER_TESTS];
	enum filtering found;
};

/* Why a target is asked: as a server of the options, or as another address of one (the tests II and III of RFC 5780). */
enum target_kind { TARGET_SERVER, TARGET_OTHER_ADDRESS, TARGET_OTHER_BOTH };

struct target {
	struct tr_sockaddr address;
	enum target_kind kind;
	bool answered; /* in this round */
	uint8_t tries;
	uint64_t due;  /* the next try */
	uint8_t txid[CLIENT_TRIES][BINDING_TXID];
	uint64_t sent[CLIENT_TRIES];
	uint16_t error; /* of the last answer */
	uint64_t answered_at; /* 0: never */
	uint64_t latency;
	struct tr_sockaddr mapped, local; /* by the last answer */
};

struct client {
	struct tr_instance *instance;
	const struct tr_host *host;
	struct crc32 crc;
	struct client_settings settings;
	struct tr_watch *timer;

	bool probing;
	uint64_t started, next_round;
	uint32_t n;
	struct target target[TARGETS_MAX];

	enum mapping mapping; /* IPv4 */
	struct tr_sockaddr mapped4, mapped6, local4; /* the last round's; family 0: none */
	uint64_t asked_hairpin; /* 0: no answer is awaited */
	uint8_t hairpin_txid[BINDING_TXID];
	enum { HAIRPIN_UNKNOWN, HAIRPIN_NO, HAIRPIN_YES } hairpin;

	struct filter_test filter;

	pthread_mutex_t lock; /* between the service loop, which writes what is above, and client_show() */
};

void client_init(struct client *c, struct tr_instance *instance, const struct tr_host *host);
void client_settings(struct client *c, const struct client_settings *s); /* a new round begins */
void client_probe(struct client *c);                                      /* the same, now */
uint16_t client_answer(struct client *c, struct tr_node *node, struct rte_mbuf *m); /* a verdict */
void client_fini(struct client *c);
void client_show(struct client *c, struct tr_show *out); /* [C] */
