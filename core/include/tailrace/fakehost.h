/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host for tests, without root, hugepages or EAL: one thread, a simulated clock, any number of pretended workers.
 * Packets come from a pool whose every mbuf is its own heap block, with head- and tailroom and freed mbufs poisoned,
 * so that AddressSanitizer sees an overrun of one byte. Installed as libtailrace-fakehost.
 *
 *     struct fh *h = fh_new(&(struct fh_config){.plugin = &tr_plugin, .class_ = "stun", .options = "listen: 3478"});
 *     fh_send(h, "in", FH_BYTES("45 00 …"));          // data, then process() runs
 *     fh_expect(h, "out", FH_BYTES("45 00 …"));       // or fh_expect_drop(h, "bad_cookie")
 *     fh_free(h);                                     // fails the test if a packet, block, timer, job or watch leaks
 */
#pragma once

#include <tailrace/host.h>

struct fh;

struct fh_config {
	const struct tr_plugin *plugin;
	const char *class_;  /* NULL: the plugin's first */
	const char *name;    /* instance name; NULL: class name */
	const char *options; /* YAML of the options map, as in pipeline.yaml; NULL: none */
	const char *netmap;  /* YAML of the netmap: map (domain, names, peers); NULL: none */
	uint16_t workers;    /* 0: 1 */
	uint64_t wall;       /* Unix ns at start; 0: 1700000000 s */
	uint16_t packet_size; /* data room of a packet, headroom included; 0: 2176 */
	uint32_t max_peers;   /* 0: 1024 */
	const char *const *gates; /* what a TR_GATE_DYNAMIC gate stands for; NULL-terminated; NULL: none */
	const struct plan *plan;  /* the core's own tests: class, options and gates are those of the instance `name` in it */
	struct fh *blocks_of; /* share the state blocks, netmap, indexes, clock and timers of this live one (a generation swap) */
};

/* Creates, inits all workers and starts; on failure prints why and returns NULL (see fh_failure()). */
struct fh *fh_new(const struct fh_config *config);
void fh_free(struct fh *h);
const char *fh_failure(void); /* text of the last host->fail() */
/* What a failed expectation, a leak or a host call from the wrong thread does, instead of print and abort(). */
void fh_on_failure(void (*fn)(const char *text));

/* Bytes written in hexadecimal, blanks allowed: FH_BYTES("45 00") stands for two arguments, pointer and length. The memory
 * is used again after eight more. */
struct fh_bytes {
	const void *data;
	size_t len;
};
struct fh_bytes fh_hex(const char *hex);
#define FH_BYTES(hex) fh_hex(hex).data, fh_hex(hex).len
/* "file:PATH" of a new file that holds this secret, for options of that type; gone when the process ends. */
const char *fh_secret(const uint8_t secret[32]);

/* One packet into an in gate of worker 0 (or of `worker`); process() runs at once, alone or with others of a burst. */
struct rte_mbuf *fh_packet(struct fh *h, const void *data, size_t len); /* for callers that set metadata themselves */
/* A datagram over IPv4, without a UDP checksum; with metadata as fh_send() makes it. */
struct rte_mbuf *fh_udp4(struct fh *h, const uint8_t from[4], uint16_t from_port, const uint8_t to[4], uint16_t to_port,
	const void *payload, size_t len);
/* Metadata is what an interface would have written (l3_len, l4, tos; for type udp the endpoint) from the headers. */
void fh_send(struct fh *h, const char *in_gate, const void *data, size_t len);
void fh_send_mbufs(struct fh *h, uint16_t worker, const char *in_gate, struct rte_mbuf **pkts, uint16_t n);

/* What came out, oldest first. Internal gates are followed inside and never seen here. NULL gate: any. */
struct fh_out {
	const char *gate; /* NULL: dropped */
	const char *drop; /* reason's name, when dropped */
	const uint8_t *data;
	uint32_t len;
	struct tr_meta meta;
};
const struct fh_out *fh_next(struct fh *h);     /* takes the oldest; NULL: nothing. Valid until the next call */
void fh_expect(struct fh *h, const char *gate, const void *data, size_t len); /* takes the oldest, which must be this */
void fh_expect_drop(struct fh *h, const char *reason);
void fh_expect_nothing(struct fh *h);
uint32_t fh_drops(struct fh *h, const char *reason);
uint64_t fh_counter(struct fh *h, const char *name);
uint32_t fh_held(struct fh *h);

/* Time: advances the clock in steps, firing timers (4 ms), jobs, posts, polls and loop timers as they come due. */
void fh_advance(struct fh *h, uint64_t ns);
uint64_t fh_now(struct fh *h);
/* Jobs run when fh_run_jobs() or fh_advance() is called, never inside process(). Returns jobs run. */
unsigned fh_run_jobs(struct fh *h);
void fh_jobs_full(struct fh *h, bool full); /* job_new() returns NULL; backlog 256 */
void fh_backlog(struct fh *h, uint32_t in_256); /* what job_backlog() says */
/* Other workers have room: what is given to spread() from now on stays out until fh_advance() or fh_spread_back(), which
 * returns how many packets came back. */
void fh_spread(struct fh *h, bool room);
unsigned fh_spread_back(struct fh *h);

/* Netmap: as host->peer_set, from outside; and merging `peers:` YAML into the provider's layer. */
uint32_t fh_peer_add(struct fh *h, const char *peer_yaml); /* "{public_key: …, allowed_ips: […]}" */
void fh_peer_remove(struct fh *h, uint32_t peer);
void fh_path(struct fh *h, uint32_t peer, struct tr_endpoint *out);
void fh_resume(struct fh *h, uint32_t peer); /* TR_PEER_RESUME */
void fh_own_endpoints(struct fh *h, const struct tr_own_endpoint *list, uint16_t n); /* what own_endpoints() says */
void fh_wanted(struct fh *h, uint32_t peer); /* a transport sends to the peer: path_sent() is now; TR_PEER_WANTED */

/* Where host->listen_unix() has put NAME.sock; NULL: never called. */
const char *fh_unix_dir(struct fh *h);

void *fh_self(struct fh *h);
struct tr_node *fh_node(struct fh *h, uint16_t worker, const char *in_gate);
char *fh_show_json(struct fh *h); /* class->show() rendered; caller frees */
int fh_command(struct fh *h, const char *name, int argc, char *const *argv, char **json);
int fh_reconfigure(struct fh *h, const char *options_yaml);
