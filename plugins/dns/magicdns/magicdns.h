/* SPDX-License-Identifier: BSD-3-Clause */
/* What the two nodes of an instance share: `in` on the workers, `forward` on the service loop. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <tailrace/host.h>

#define UPSTREAMS_MAX 8
#define STREAM_LISTENERS 8

enum magicdns_in { IN, FORWARD_IN, ASKED_IN, TOLD_IN };
enum magicdns_out { OUT, FORWARD_OUT, ASKED_OUT, TOLD_OUT };

enum magicdns_drop { DROP_SHORT, DROP_NOT_QUERY, DROP_DUPLICATE, DROP_TOO_MANY, DROP_NO_ROOM, DROP_STOPPED, DROP_STREAM, DROPS };

enum magicdns_count {
	ANSWERED,
	NXDOMAIN,
	NODATA,
	REFUSED,
	FORWARDED,
	CACHED,
	COALESCED,
	SERVFAIL,
	UPSTREAM_QUERIES,
	UPSTREAM_TCP,
	UPSTREAM_SILENT,
	UPSTREAM_REFUSED,
	UPSTREAM_FOREIGN,
	STREAMS,
	STREAMS_PAUSED,
	COUNTS,
};

/* Options as the service loop reads them: a copy, taken under the lock. */
struct settings {
	struct tr_sockaddr upstream[UPSTREAMS_MAX];
	uint32_t n_upstreams, cache;
	uint64_t timeout_ms;
};

struct forward;
struct streams;

struct magicdns {
	struct tr_instance *instance;
	const struct tr_host *host;
	_Atomic uint32_t ttl;      /* seconds; written by control, read by workers */
	_Atomic uint32_t upstreams; /* how many there are; likewise */
	pthread_mutex_t lock;      /* of settings: control writes, the service loop reads; never taken by a worker */
	struct settings settings;
	struct forward *forward; /* the service loop's, */
	struct streams *streams; /* and this */
};

void magicdns_settings(struct magicdns *d, struct settings *out);
