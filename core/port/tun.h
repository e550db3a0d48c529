/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host port: a network device of this machine's kernel, whose other end is ours. What the kernel sends by it is
 * read, what is written to it the kernel receives: IP packets, each behind a virtio header, by which one of up to 64 kB
 * may stand for many segments and checksums may be left to the other side.
 */
#pragma once

#include <linux/virtio_net.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TUN_NAME 16                                      /* with its end */
#define TUN_READ (sizeof(struct virtio_net_hdr) + 65535) /* most that one read gives */

struct tun {
	int fd; /* non-blocking; read and written by one thread, that of whoever claimed it */
	unsigned ifindex;
	char name[TUN_NAME];
	const void *claimed; /* control thread; NULL: nobody's */
	/* Written by that thread. */
	_Atomic uint64_t rx, rx_bytes, tx, tx_bytes, tx_dropped; /* rx: from the kernel, packets as they go on */
};

/* Makes the kernel's device, which is gone with tun_close(). Needs NET_ADMIN. NULL after a text in `why`. */
struct tun *tun_open(const char *name, char *why, size_t size);
void tun_close(struct tun *t);

/* Can this process make one, and what does the kernel leave to us? For doctor; makes nothing. false: `why`. */
bool tun_available(char *why, size_t size);
