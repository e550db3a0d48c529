/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernel is told about the device of a host port, by rtnetlink. Control thread; a request takes some 20 us. */
#pragma once

#include <tailrace/types.h>

struct kernel_device {
	struct tr_list address; /* struct tr_prefix, with host bits; the first is the source of what the kernel sends by
	                           a route */
	struct tr_list routes;  /* struct tr_prefix: what it sends by this device, besides the addresses' networks */
	uint16_t mtu;
};

/* Makes the device up, and what it has of `was` (NULL: nothing) into `now`. false: `why` says what could not be done;
 * the rest is done all the same. */
bool kernel_configure(
        unsigned ifindex, const struct kernel_device *was, const struct kernel_device *now, char *why, size_t size);
/* Takes back what kernel_configure() did. */
void kernel_withdraw(unsigned ifindex, const struct kernel_device *was);
/* The kernel sees what comes in on a network interface that a port reads by a socket, and owns the gateway's addresses:
 * it would answer, too. It is told to keep still there. false: it could not be. */
bool kernel_hush(const char *device);
