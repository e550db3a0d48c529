/* SPDX-License-Identifier: BSD-3-Clause */
/* appliance.cfg: what this box is. Read once, at start. Every member is documented in configs/appliance.cfg. */
#pragma once

#include "config.h"

#define APPLIANCE_MAX_PORTS 64
#define APPLIANCE_MAX_LCORES 64

struct appliance_port {
	const char *name;
	const char *device;  /* "0000:3b:00.0", a vdev string: "net_af_packet0,iface=eth1", or "host": the kernel of this box */
	uint64_t queues;     /* 1..64 */
	uint64_t descriptors; /* ring size, 0: the driver's default */
	bool take;           /* take the NIC even though it holds the default route or the SSH session */
	unsigned line;
};

/* No device of DPDK's: the kernel gets one whose other end is ours. */
static inline bool
appliance_is_host(const char *device)
{
	return strncmp(device, "host", 4) == 0 && (device[4] == '\0' || device[4] == ',');
}

struct appliance {
	const char *file;
	struct appliance_port port[APPLIANCE_MAX_PORTS];
	unsigned n_ports;
	uint16_t lcore[APPLIANCE_MAX_LCORES]; /* workers; default: one, the last CPU of the process's affinity */
	unsigned n_lcores;
	bool busy;                  /* workers.poll = "busy" */
	uint64_t job_threads;       /* 1 */
	uint64_t service_threads;   /* 1 */
	bool hugepages;             /* memory.hugepages: true (falls back with a warning when there are none) */
	uint64_t memory_mb;         /* memory.mb */
	uint64_t packets;           /* memory.packets: mbufs of the pool, 16384 */
	uint64_t packet_size;       /* memory.packet_size: data room, 2176 */
	uint64_t max_peers;         /* limits.peers, 100000 */
	uint64_t max_routes;        /* limits.routes, 100000 */
	struct tr_list plugin_dirs; /* const char * */
	const char *run_dir;        /* sockets.run: /run/tailrace; management socket is RUN/tailrace.sock */
	const char *uapi_dir;       /* sockets.uapi: /run/wireguard */
	const char *group;          /* sockets.group: of the management socket; "tailrace" */
	const char *metrics;        /* sockets.metrics: where Prometheus asks; NULL: nowhere */
	const char *state_dir;      /* state: /var/lib/tailrace */
	const char *pipeline;       /* pipeline.yaml's path; relative to this file */
	const char *user;           /* whom a root daemon becomes; NULL: nobody else */
	const char *eal;            /* extra EAL arguments, space separated */
	uint64_t log_level;         /* enum tr_log_level */
};

/* false: diagnostics were added. Defaults where keys are absent. */
bool appliance_parse(struct arena *a, const char *name, const char *text, struct appliance *out, struct diags *d);
bool appliance_load(struct arena *a, const char *path, struct appliance *out, struct diags *d);

extern const char *const appliance_keys[]; /* every key of the file: pipeline.yaml says of them where they belong */
