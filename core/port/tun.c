/* SPDX-License-Identifier: BSD-3-Clause */
#include "tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLONE "/dev/net/tun"
#define QUEUE 4096 /* packets for us, mostly of 64 kB: beyond it the kernel drops, and TCP waits for its timers */
#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

static bool
lengthen_queue(const struct tun *t)
{
	struct ifreq r = {.ifr_qlen = QUEUE};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	strcpy(r.ifr_name, t->name);
	const bool good = s >= 0 && ioctl(s, SIOCSIFTXQLEN, &r) == 0;
	if (s >= 0)
		close(s);
	return good;
}

static bool
make(struct tun *t, char *why, size_t size)
{
	struct ifreq r = {.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", t->name);
	if (if_nametoindex(t->name) != 0) {
		snprintf(why, size, "the kernel has a device %s already (name another: `device = \"host,iface=NAME\"`)",
		        t->name);
		return false;
	}
	if (ioctl(t->fd, TUNSETIFF, &r) != 0) {
		snprintf(why, size, "device %s: %s%s", t->name, strerror(errno),
		        errno == EPERM ? " (needs NET_ADMIN)" : "");
		return false;
	}
	if (ioctl(t->fd, TUNSETOFFLOAD, (unsigned long)OFFLOADS) != 0) {
		snprintf(why, size, "device %s has no segmentation offload: %s", t->name, strerror(errno));
		return false;
	}
	if (!lengthen_queue(t)) {
		snprintf(why, size, "device %s keeps a short queue: %s", t->name, strerror(errno));
		return false;
	}
	t->ifindex = if_nametoindex(t->name);
	return true;
}

struct tun *
tun_open(const char *name, char *why, size_t size)
{
	struct tun *t = calloc(1, sizeof(*t));
	if (t == NULL || strlen(name) >= sizeof(t->name)) {
		snprintf(why, size,
		        t == NULL ? "out of memory" : "`%.40s` is too long for a device: at most %u characters", name,
		        TUN_NAME - 1);
		free(t);
		return NULL;
	}
	strcpy(t->name, name);
	t->fd = open(CLONE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->fd < 0)
		snprintf(why, size, CLONE ": %s", strerror(errno));
	else if (make(t, why, size))
		return t;
	tun_close(t);
	return NULL;
}

void
tun_close(struct tun *t)
{
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

bool
tun_available(char *why, size_t size)
{
	unsigned features = 0;
	int fd = open(CLONE, O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, size, CLONE ": %s", strerror(errno));
		return false;
	}
	bool ok = ioctl(fd, TUNGETFEATURES, &features) == 0 && (features & IFF_VNET_HDR) != 0;
	if (!ok)
		snprintf(why, size, CLONE " has no virtio headers");
	close(fd);
	return ok;
}
