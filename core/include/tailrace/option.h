/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options: what a class may be told in pipeline.yaml. A class declares a table; the core parses, checks
 * bounds, fills a struct of the class's own, documents it (JSON Schema, README) and decides by `change`
 * what a new value costs. No class ever sees YAML.
 */
#pragma once

#include <tailrace/types.h>

enum tr_option_type {
	TR_OPT_BOOL,     /* bool */
	TR_OPT_UINT,     /* uint64_t, in `unit` */
	TR_OPT_STRING,   /* const char * (NULL when absent) */
	TR_OPT_ENUM,     /* uint32_t: index into `names` */
	TR_OPT_ADDR,     /* struct tr_addr: 192.0.2.1, 2001:db8::1 */
	TR_OPT_PREFIX,   /* struct tr_prefix: 10.0.0.0/8; set host bits are an error */
	TR_OPT_IFADDR,   /* struct tr_prefix with host bits: 10.20.0.1/16 */
	TR_OPT_SOCKADDR, /* struct tr_sockaddr: 192.0.2.1:53, [2001:db8::1]:53; the port may be left out if def gives one */
	TR_OPT_MAC,      /* uint8_t[6] */
	TR_OPT_KEY,      /* struct tr_key: base64 of 32 bytes */
	TR_OPT_SECRET,   /* struct tr_secret: `file:PATH` whose first line is base64 of 32 bytes; all zero when absent */
	TR_OPT_ROUTES,   /* struct tr_list of struct tr_route_option: {PREFIX: INSTANCE.GATE [via ADDRESS]}; core classes only */
	TR_OPT_NAMES,    /* struct tr_list of struct tr_name_option: {NAME: ADDRESS or [ADDRESS, …]}; netmap only */
};

enum tr_option_unit {
	TR_UNIT_NONE,
	TR_UNIT_MS,      /* 500ms, 10s, 2m, 1h: a suffix is required */
	TR_UNIT_BYTES,   /* 64, 64k, 1M, 1G (powers of 1024) */
	TR_UNIT_PER_SEC, /* 200, 200k, 1M (powers of 1000) */
};

/* What applying a changed value costs. */
enum tr_option_change {
	TR_LIVE,     /* reconfigure() takes it; the instance goes on */
	TR_RECREATE, /* a new instance is created beside the old one; state blocks carry over */
	TR_RESTART,  /* apply refuses: only a restart takes it */
};

enum tr_option_flag {
	TR_OPT_REQUIRED = 1u << 0,
	TR_OPT_LIST = 1u << 1,   /* struct tr_list of the type */
	TR_OPT_LISTEN = 1u << 2, /* TR_OPT_UINT: the UDP port of this instance; mux reads it */
	TR_OPT_MTU = 1u << 3,    /* TR_OPT_UINT: largest IP packet its in gates of type ip take; route reads it */
	/*
	 * TR_OPT_UINT: from this UDP port on TR_LISTEN_ALSO_PORTS more stand for the port of this instance, also for those that
	 * share it; what comes to them has TR_ENDPOINT_BOUND. 0: none. mux reads it.
	 */
	TR_OPT_LISTEN_ALSO = 1u << 4,
	TR_OPT_PEERS = 1u << 5,  /* TR_OPT_STRING: the instance whose peers this one follows (TR_CLASS_PROBES) */
	TR_OPT_ADOPT = 1u << 6,  /* list of TR_OPT_IFADDR, absent: the addresses (option `address`) of those that link to this instance */
};

#define TR_LISTEN_ALSO_PORTS 256

struct tr_option {
	const char *key;
	enum tr_option_type type;
	enum tr_option_unit unit;
	enum tr_option_change change;
	uint32_t flags;           /* enum tr_option_flag */
	uint64_t min, max;        /* TR_OPT_UINT: bounds (both 0: none). Lists: number of elements (max 0: none) */
	const char *def;          /* default, in the text form of the type; NULL: zero */
	const char *const *names; /* TR_OPT_ENUM: NULL-terminated */
	uint32_t offset;          /* into the class's options struct */
	const char *doc;          /* one sentence */
	const void *reserved[2];
};

struct tr_route_option {
	struct tr_prefix prefix;
	uint32_t gate;      /* index of the out gate that the pipeline made for this target */
	struct tr_addr via; /* family 0: the destination itself is the next hop */
};

struct tr_name_option {
	const char *name;
	struct tr_addr addr;
};
