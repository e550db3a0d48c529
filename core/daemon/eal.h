/* SPDX-License-Identifier: BSD-3-Clause */
/* DPDK's environment, from appliance.cfg alone. */
#pragma once

#include "../config/appliance.h"

int eal_start(const struct appliance *a); /* once, before ports; 0 or -errno after a line in the log */
void eal_thread_start(void); /* a worker or service thread gets an lcore id: caches of the packet pool need one */
