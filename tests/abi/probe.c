/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing but the ABI's types and values: what a plugin declares, and what it is given. */
#include <tailrace/host.h>
#include <tailrace/show.h>

#include <tailrace/reader.h>
#include <tailrace/udp.h>

/* Macros are not in debug information. */
enum tr_value {
	TR_VALUE_BURST = TR_BURST,
	TR_VALUE_DROP_0 = TR_DROP(0),
	TR_VALUE_HELD = TR_HELD,
	TR_VALUE_NO_WORKER = TR_NO_WORKER,
	TR_VALUE_HEADROOM = TR_HEADROOM,
	TR_VALUE_TAILROOM = TR_TAILROOM,
	TR_VALUE_IN_SELF = TR_IN_SELF,
	TR_VALUE_SPREAD_HERE = TR_SPREAD_HERE,
	TR_VALUE_LISTEN_ALSO = TR_LISTEN_ALSO_PORTS,
	TR_VALUE_OWN_ENDPOINTS = TR_OWN_ENDPOINTS,
	TR_VALUE_PATHS = TR_PATHS,
};
extern enum tr_value tr_probe_value;
enum tr_value tr_probe_value;

extern const struct tr_plugin tr_plugin;
extern const struct tr_host *tr_probe_host;
extern const struct tr_meta *tr_probe_meta;
extern const struct tr_show *tr_probe_show;
const struct tr_plugin tr_plugin = {.abi_major = TR_ABI_MAJOR};
const struct tr_host *tr_probe_host;
const struct tr_meta *tr_probe_meta;
const struct tr_show *tr_probe_show;
