/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* After the EAL has started, once: our commands on DPDK's telemetry socket. They ask the management socket at this path. */
void telemetry_start(const char *socket_path);
