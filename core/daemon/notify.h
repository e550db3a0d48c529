/* SPDX-License-Identifier: BSD-3-Clause */
/* The service manager (systemd's protocol of datagrams to $NOTIFY_SOCKET), if there is one. Control thread. */
#pragma once

#include <stdint.h>

void notify_open(void); /* before privileges and limits change; forgets the environment's word for children */
void notify_send(const char *state); /* "READY=1\nSTATUS=…"; nothing without a manager */
uint64_t notify_watchdog_ns(void); /* within which the next WATCHDOG=1 is due; 0: nobody waits for one */
