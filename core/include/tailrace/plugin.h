/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plugin ABI: what a plugin declares. A shared object exports exactly one symbol, `tr_plugin`, and links no
 * symbol of the core: services come as the `struct tr_host` that create() is given (host.h).
 *
 * Version 1. A minor version only appends: it gives reserved members a name (zero in older plugins: absent), adds enumerators, and
 * members at the end of what only the core makes (struct tr_host, tr_node, tr_show, tr_crypto, tr_peer). A plugin runs in a core of
 * the same major version and of its own minor or a later one. `abi`, `size` and `layout` are compared before any call, and
 * a plugin that does not match is refused with both sides named. tests/abi/ lists what is promised; the build is judged by it.
 */
#pragma once

#include <rte_version.h>
#include <tailrace/option.h>
#include <tailrace/packet.h>

#define TR_ABI_MAJOR 1
#define TR_ABI_MINOR 1

/* ---- Gates ---------------------------------------------------------------------------------------------- */

enum tr_gate_type {
	TR_TYPE_IP,       /* an IPv4 or IPv6 packet */
	TR_TYPE_UDP,      /* a UDP datagram for this box; data at the IP header, meta l3_len and endpoint set, length checked */
	TR_TYPE_ENDPOINT, /* a payload and the endpoint that it goes to */
	TR_TYPE_ANY,      /* in gates only (drop) */
};

enum tr_gate_flag {
	TR_GATE_INTERNAL = 1u << 0, /* joins two nodes of one instance; not seen in YAML. Out gate and in gate of one name */
	/*
	 * Out gate, internal: the packet is processed by the in gate of the same name on the worker that owns
	 * meta->peer. All packets of one peer that leave one node keep their order. Same worker: no ring.
	 */
	TR_GATE_BY_PEER = 1u << 1,
	TR_GATE_SERVICE = 1u << 2,  /* in gate: process() runs on the instance's service loop, never on a worker */
	TR_GATE_OPTIONAL = 1u << 3, /* out gate: may stay unlinked (drop reason: unlinked) */
	TR_GATE_DYNAMIC = 1u << 4,  /* out gate, last in the table: stands for any number of gates named by links; core classes */
};

struct tr_node;

/*
 * Processes a burst. For each packet i writes to gate[i] the number of an out gate, TR_DROP(reason) or TR_HELD.
 * Worker thread (or the service loop for TR_GATE_SERVICE): must not lock, allocate, log or make a syscall.
 * n is 1..TR_BURST. The array of packets is the runner's; an entry may be replaced by another packet.
 */
typedef void tr_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate);

#define TR_BURST 64
#define TR_DROP(reason) ((uint16_t)(0x8000u | (reason)))
#define TR_HELD ((uint16_t)0xffffu) /* kept by the node: later emit()ted or drop()ped, until then counted as held */

/* Recognises a protocol by its first bytes: a datagram matches if (8 bytes at `offset`, big-endian) & mask == value. */
struct tr_match {
	uint8_t offset;
	uint8_t min_len;
	uint64_t mask, value;
};

struct tr_in_gate {
	const char *name;
	enum tr_gate_type type;
	uint32_t flags;  /* enum tr_gate_flag */
	uint32_t reads;  /* enum tr_meta_field: what an upstream node must have written (beyond what `type` says) */
	tr_process *process;
	/* Renders what the node saw in this packet (before process()); for `tailrace trace`. Control thread; pkt is a copy. */
	void (*trace)(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size);
	const struct tr_match *match; /* type udp on a shared port: any of these (terminated by mask 0); NULL: everything */
	const char *doc;
	const void *reserved[2]; /* as all that is called so: zero, for later minor versions */
};

struct tr_out_gate {
	const char *name;
	enum tr_gate_type type;
	uint32_t flags;
	uint32_t writes; /* enum tr_meta_field */
	const char *doc;
	const void *reserved[2];
};

struct tr_drop_reason {
	const char *name; /* snake_case */
	const char *doc;
};

struct tr_counter {
	const char *name; /* snake_case */
	const char *doc;
};

/* ---- Nodes ---------------------------------------------------------------------------------------------- */

struct tr_host;
struct tr_instance; /* the core's view of an instance; handed back to host calls */

/* One in gate of one instance on one worker. Valid only during the callback that was given it. */
struct tr_node {
	void *self;  /* what create() returned */
	void *local; /* what worker_init() returned on this worker */
	const struct tr_host *host;
	struct tr_instance *instance;
	uint64_t *count;     /* this worker's counters, in the class's order: node->count[X] += n */
	const uint64_t *now; /* ns, monotonic, updated once per loop of the worker */
	uint16_t worker;     /* 0..workers-1; TR_NO_WORKER on a service loop */
	uint16_t gate;       /* which in gate */
};

#define TR_NO_WORKER 0xffffu

/* ---- Classes -------------------------------------------------------------------------------------------- */

enum tr_peer_event {
	TR_PEER_ADDED,
	TR_PEER_CHANGED, /* key stays the same; sessions go on */
	TR_PEER_REMOVED, /* the record and this peer's blocks vanish after the callback and a grace period */
	TR_PEER_RESUME,  /* after a restart: had a session in the last 180 s; posted newest first */
	/* TR_CLASS_PROBES only: something was sent to the peer, and nothing had been for a second, or it is not sent directly
	 * by a trusted path: at most once a second; or the path is silent: three times. What was sent is on its way. */
	TR_PEER_WANTED,
};

struct tr_show; /* show.h */
struct tr_timer;

struct tr_command {
	const char *name, *args, *doc;
	/* Control thread. Returns 0 or -errno after tr_show_error(). Runs while workers run. */
	int (*run)(void *self, int argc, char *const *argv, struct tr_show *out);
	const void *reserved[2];
};

enum tr_class_flag {
	TR_CLASS_PEERS = 1u << 0,   /* netmap peers may name this instance as their `interface`; gets peer events */
	TR_CLASS_SERVICE = 1u << 1, /* wants a service loop (implied by a TR_GATE_SERVICE gate) */
	/* Probes paths to the peers of the instance that its option with TR_OPT_PEERS names: host calls about peers mean these,
	 * and it gets their events, of TR_PEER_ADDED to TR_PEER_REMOVED before that instance. */
	TR_CLASS_PROBES = 1u << 2,
};

/*
 * Lifecycle, all on the control thread unless said otherwise:
 *   create -> (worker_init per worker) -> start -> (service_init) -> … reconfigure … -> stop -> (worker_fini) -> destroy
 * destroy() comes after a create() that returned an object, from any depth: with or without start. create() cleans
 * up after itself when it fails. Between stop and destroy lies a grace period: no callback runs any more.
 */
struct tr_class {
	const char *name;
	const char *summary;
	uint32_t flags; /* enum tr_class_flag */

	const struct tr_option *options; /* terminated by key NULL */
	uint32_t options_size;

	const struct tr_in_gate *in;        /* terminated by name NULL */
	const struct tr_out_gate *out;      /* terminated by name NULL */
	const struct tr_drop_reason *drops; /* terminated by name NULL */
	const struct tr_counter *counters;  /* terminated by name NULL */
	const struct tr_command *commands;  /* terminated by name NULL; may be NULL */

	const char *const *requires; /* services, "netmap/1"; NULL-terminated; may be NULL */
	const char *const *provides;

	/* `options` stays valid and unchanged until reconfigure() or destroy(). NULL on failure after host->fail(). */
	void *(*create)(struct tr_instance *instance, const struct tr_host *host, const void *options);
	void *(*worker_init)(void *self, uint16_t worker); /* may be NULL; NULL result = failure */
	int (*start)(void *self);                          /* may be NULL; 0 or -errno after host->fail() */
	/* On the service loop, once, when the generation with this instance runs: the place to open watches. `node` is what
	 * service_node() returns until worker_fini(); its counters may be kept that long. Not called in preflight. */
	void (*service_init)(struct tr_node *node); /* may be NULL */
	/* New values of live options; must not fail: bounds are checked, check() has agreed. Old struct valid until return. */
	void (*reconfigure)(void *self, const void *options); /* NULL: no live options */
	void (*stop)(void *self);                             /* may be NULL */
	/* After the grace period; only packet_drop() may be called. A class with a service loop (TR_CLASS_SERVICE, or a
	 * TR_GATE_SERVICE gate) also gets it once there, with its node (worker TR_NO_WORKER, local NULL): the place to close
	 * watches and sockets. There is no worker_init() for the service loop, but service_init() below. */
	void (*worker_fini)(struct tr_node *node);
	void (*destroy)(void *self);

	/* What options alone can't say (two of them contradict): write a reason to text and return false. No side effects. */
	bool (*check)(const void *options, char *text, size_t size); /* may be NULL */

	/* Worker that owns the peer (worker 0 when there is none). */
	void (*peer)(struct tr_node *node, enum tr_peer_event event, uint32_t peer); /* TR_CLASS_PEERS, TR_CLASS_PROBES */
	/* Worker on which it was armed. */
	void (*timer)(struct tr_node *node, struct tr_timer *timer); /* whoever arms timers */
	/* Every worker, once per loop; emit()s packets that it makes by host->packet_new(). Returns the work it found. */
	uint32_t (*poll)(struct tr_node *node); /* sources only */

	/* Control thread: state of this instance as structured data. */
	void (*show)(void *self, struct tr_show *out); /* may be NULL */

	const void *reserved[8];
};

/* ---- The descriptor ------------------------------------------------------------------------------------- */

/* Sizes that both sides must agree on; compared member by member, so that a refusal names the one that differs. */
struct tr_layout {
	uint16_t dpdk; /* DPDK's ABI version: it changes every November */
	uint16_t mbuf, meta, endpoint, option, in_gate, out_gate, command, class_;
};

#define TR_LAYOUT                                                                                                      \
	{                                                                                                              \
		.dpdk = RTE_VER_YEAR + (RTE_VER_MONTH >= 11), .mbuf = sizeof(struct rte_mbuf),                         \
		.meta = sizeof(struct tr_meta), .endpoint = sizeof(struct tr_endpoint),                                  \
		.option = sizeof(struct tr_option), .in_gate = sizeof(struct tr_in_gate),                              \
		.out_gate = sizeof(struct tr_out_gate), .command = sizeof(struct tr_command),                          \
		.class_ = sizeof(struct tr_class)                                                                      \
	}

struct tr_plugin {
	uint16_t abi_major, abi_minor;
	uint32_t size; /* sizeof(struct tr_plugin) of the plugin's build */
	struct tr_layout layout;
	const char *name, *version, *summary;
	const struct tr_class *const *classes; /* NULL-terminated */
};

/* TR_PLUGIN(.name = "stun", .version = TR_VERSION, .summary = "…", .classes = classes); once per plugin. */
#define TR_PLUGIN(...)                                                                                                 \
	__attribute__((visibility("default"))) const struct tr_plugin tr_plugin = {                                    \
		.abi_major = TR_ABI_MAJOR,                                                                             \
		.abi_minor = TR_ABI_MINOR,                                                                             \
		.size = sizeof(struct tr_plugin),                                                                      \
		.layout = TR_LAYOUT,                                                                                   \
		__VA_ARGS__,                                                                                           \
	}
