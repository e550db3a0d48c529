/* SPDX-License-Identifier: BSD-3-Clause */
/* Nothing but the ABI's types, for abidiff: what a plugin declares, and what it is given. */
#include <tailrace/host.h>
#include <tailrace/show.h>

extern const struct tr_plugin tr_plugin;
extern const struct tr_host *tr_probe_host;
extern const struct tr_meta *tr_probe_meta;
extern const struct tr_show *tr_probe_show;
const struct tr_plugin tr_plugin = {.abi_major = TR_ABI_MAJOR};
const struct tr_host *tr_probe_host;
const struct tr_meta *tr_probe_meta;
const struct tr_show *tr_probe_show;
