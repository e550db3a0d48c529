/* SPDX-License-Identifier: BSD-3-Clause */
#include "device.h"

#include "guard.h"
#include "interrupt.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <tailrace/packet.h>
#include <unistd.h>

/* Makes RSS of both directions of a flow agree: every 16 bits of the key are the same (Woo and Park, 2012). */
static uint8_t symmetric_key[52];

static _Atomic uint8_t removed[RTE_MAX_ETHPORTS]; /* set by DPDK's event thread */

bool
device_arg(const char *device, const char *key, char *out, size_t size)
{
	const size_t n = strlen(key);
	for (const char *at = strchr(device, ','); at != NULL; at = strchr(at + 1, ',')) {
		if (strncmp(at + 1, key, n) != 0 || at[1 + n] != '=')
			continue;
		snprintf(out, size, "%.*s", (int)strcspn(at + 2 + n, ","), at + 2 + n);
		return true;
	}
	return false;
}

static bool
driver_is(const char *device, const char *driver)
{
	return strncmp(device, driver, strlen(driver)) == 0;
}

static void *
fail(char *why, size_t size, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	vsnprintf(why, size, format, ap);
	va_end(ap);
	return NULL;
}

static int
on_removal(uint16_t id, enum rte_eth_event_type type, void *arg, void *ret)
{
	atomic_store(&removed[id], 1);
	return 0;
}

/* The device string with what `queues` means to its driver, where the operator has not said it. */
static void
arguments(const struct appliance_port *cfg, char *out, size_t size)
{
	char value[16];
	const char *key = driver_is(cfg->device, "net_af_packet") ? "qpairs"
	                  : driver_is(cfg->device, "net_af_xdp")  ? "queue_count"
	                                                          : NULL;
	if (key != NULL && cfg->queues > 1 && !device_arg(cfg->device, key, value, sizeof(value)))
		snprintf(out, size, "%s,%s=%u", cfg->device, key, (unsigned)cfg->queues);
	else
		snprintf(out, size, "%s", cfg->device);
}

/* Drivers say -1 of whatever failed, which is not EPERM: what it was they have logged. */
static const char *
refusal(const char *device, int r)
{
	if (r == -ENODEV)
		return "no such device, or no driver for it";
	if (r != -1)
		return rte_strerror(-r);
	return driver_is(device, "net_af_packet") ? "its driver can't (it says why above): is NET_RAW missing, or is LimitMEMLOCK= too small?"
	                                          : "its driver can't (it says why above)";
}

static bool
plug(const struct appliance_port *cfg, struct device *d, char *why, size_t size)
{
	char args[512];
	snprintf(d->name, sizeof(d->name), "%.*s", (int)strcspn(cfg->device, ","), cfg->device);
	if (rte_eth_dev_get_port_by_name(d->name, &d->id) == 0)
		return true;
	arguments(cfg, args, sizeof(args));
	int r = rte_dev_probe(args);
	if (r != 0)
		return fail(why, size, "%s: %s", d->name, refusal(cfg->device, r)), false;
	if (rte_eth_dev_get_port_by_name(d->name, &d->id) != 0)
		return fail(why, size, "%s is not an Ethernet device", d->name), false;
	return true;
}

/*
 * Bytes of one of a memif's buffers. A packet that needs several is written over itself by DPDK 22.11's receiver, and one
 * that lacks its last makes it read beyond the ring.
 */
static uint32_t
memif_buffer(const char *device)
{
	char value[16];
	const unsigned long size = device_arg(device, "bsize", value, sizeof(value)) ? strtoul(value, NULL, 10) : 2048;
	return size > 64 && size <= UINT16_MAX ? (uint32_t)size : 2048;
}

/* Largest IP packet: what device, its kernel interface and the packet buffers take. */
static uint16_t
max_mtu(const struct device *d, const char *device, const struct rte_eth_dev_info *info, struct rte_mempool *pool)
{
	const uint32_t l2 = RTE_ETHER_HDR_LEN + 4;
	uint32_t mtu = rte_pktmbuf_data_room_size(pool) - RTE_PKTMBUF_HEADROOM - TR_TAILROOM - l2;
	unsigned kernel = 0;
	if (info->max_mtu != 0 && info->max_mtu != UINT16_MAX && info->max_mtu < mtu)
		mtu = info->max_mtu;
	if (!d->memif && info->max_rx_pktlen > l2 && info->max_rx_pktlen - RTE_ETHER_HDR_LEN < mtu)
		mtu = info->max_rx_pktlen - RTE_ETHER_HDR_LEN;
	if (d->memif && memif_buffer(device) - l2 < mtu)
		mtu = memif_buffer(device) - l2;
	if (d->iface[0] != 0) {
		char path[64];
		snprintf(path, sizeof(path), "/sys/class/net/%s/mtu", d->iface);
		FILE *f = fopen(path, "r");
		if (f != NULL && fscanf(f, "%u", &kernel) == 1 && kernel < mtu)
			mtu = kernel;
		if (f != NULL)
			fclose(f);
	}
	return (uint16_t)mtu;
}

/* Asks for what the device has, and for nothing else. */
static int
configure(struct device *d, const struct rte_eth_dev_info *info)
{
	struct rte_eth_conf conf = {0};
	const uint64_t tx_csum = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
	memset(symmetric_key, 0x6d, sizeof(symmetric_key));
	for (unsigned i = 1; i < sizeof(symmetric_key); i += 2)
		symmetric_key[i] = 0x5a;
	conf.rxmode.offloads = info->rx_offload_capa & (RTE_ETH_RX_OFFLOAD_UDP_CKSUM | RTE_ETH_RX_OFFLOAD_IPV4_CKSUM);
	conf.txmode.offloads = info->tx_offload_capa & (tx_csum | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
	/* memif and AF_XDP take any frame that fits, but refuse to be told so. */
	if (!d->memif && d->mtu > RTE_ETHER_MTU && d->iface[0] == 0)
		conf.rxmode.mtu = d->mtu;
	if (d->rx_queues > 1 && info->flow_type_rss_offloads != 0) {
		conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
		conf.rx_adv_conf.rss_conf.rss_hf =
		        info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP);
		if (info->hash_key_size != 0 && info->hash_key_size <= sizeof(symmetric_key)) {
			conf.rx_adv_conf.rss_conf.rss_key = symmetric_key;
			conf.rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
		}
	}
	d->csum_offload = (conf.txmode.offloads & tx_csum) != 0;
	int r = rte_eth_dev_configure(d->id, d->rx_queues, d->tx_queues, &conf);
	if (r == -EINVAL && conf.rxmode.mtu != 0) {
		conf.rxmode.mtu = 0;
		d->mtu = RTE_ETHER_MTU;
		r = rte_eth_dev_configure(d->id, d->rx_queues, d->tx_queues, &conf);
	}
	return r;
}

static int
start(struct device *d, const struct appliance_port *cfg, struct rte_mempool *pool, const uint8_t *mac)
{
	int r = 0, socket = rte_eth_dev_socket_id(d->id);
	for (uint16_t q = 0; r == 0 && q < d->rx_queues; q++)
		r = rte_eth_rx_queue_setup(d->id, q, (uint16_t)cfg->descriptors, (unsigned)socket, NULL, pool);
	for (uint16_t q = 0; r == 0 && q < d->tx_queues; q++)
		r = rte_eth_tx_queue_setup(d->id, q, (uint16_t)cfg->descriptors, (unsigned)socket, NULL);
	if (r != 0)
		return r;
	if (mac != NULL)
		rte_eth_dev_default_mac_addr_set(d->id, (struct rte_ether_addr *)(uintptr_t)mac);
	r = rte_eth_dev_start(d->id);
	if (r == 0)
		rte_eth_allmulticast_enable(
		        d->id); /* neighbour solicitations; drivers without the call get them anyway */
	return r;
}

static bool
share_queues(struct device *d, uint16_t workers)
{
	const ssize_t bytes = rte_ring_get_memsize(DEVICE_RING);
	if (d->tx_queues >= workers)
		return true;
	d->shared = calloc(d->tx_queues, sizeof(*d->shared));
	for (uint16_t q = 0; d->shared != NULL && q < d->tx_queues; q++) {
		d->shared[q] = aligned_alloc(RTE_CACHE_LINE_SIZE, (size_t)bytes);
		if (d->shared[q] == NULL || rte_ring_init(d->shared[q], d->name, DEVICE_RING, RING_F_MP_HTS_ENQ | RING_F_SC_DEQ) != 0)
			return false;
	}
	return d->shared != NULL;
}

static void
halt(void *device)
{
	const struct device *d = device;
	rte_eth_dev_stop(d->id);
	rte_eth_dev_close(d->id);
}

static void
unplug(struct device *d)
{
	struct rte_eth_dev_info info;
	struct rte_device *dev = rte_eth_dev_info_get(d->id, &info) == 0 ? info.device : NULL;
	/* If the other side leaves while this one is closed on another thread, both free the connection (DPDK 22.11). */
	if (d->memif)
		interrupt_call(halt, d);
	else
		halt(d);
	if (dev != NULL)
		rte_dev_remove(dev);
}

void
device_close(void *device)
{
	struct device *d = device;
	unplug(d);
	for (uint16_t q = 0; d->shared != NULL && q < d->tx_queues; q++) {
		struct rte_mbuf *m;
		while (d->shared[q] != NULL && rte_ring_dequeue(d->shared[q], (void **)&m) == 0)
			rte_pktmbuf_free(m);
		free(d->shared[q]);
	}
	free(d->shared);
	free(d);
}

bool
device_gone(const struct device *d)
{
	if (atomic_load(&removed[d->id]) != 0)
		return true;
	if (d->ifindex == 0)
		return false;
	const unsigned now = if_nametoindex(d->iface);
	return now != 0 ? now != d->ifindex : errno == ENODEV; /* not, say, for want of a descriptor to ask with */
}

/* Of drivers on kernel interfaces none looks: they say what they said when they were started. */
static bool
kernel_link(const struct device *d)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK}; /* not IFF_RUNNING, which may come a second after the carrier */
	struct ifreq r = {.ifr_data = (char *)&link};
	memcpy(r.ifr_name, d->iface, RTE_MIN(sizeof(r.ifr_name) - 1, strlen(d->iface)));
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	const bool known = fd >= 0 && ioctl(fd, SIOCETHTOOL, &r) == 0;
	if (fd >= 0)
		close(fd);
	return !known || link.data != 0;
}

/* A memif always has one: asking it unmaps memory that a polling worker may be using. */
bool
device_link(const struct device *d)
{
	struct rte_eth_link link = {.link_status = 1};
	if (d->ifindex != 0)
		return kernel_link(d);
	if (!d->memif)
		rte_eth_link_get_nowait(d->id, &link);
	return link.link_status != 0;
}

struct device *
device_open(const struct appliance_port *cfg, struct rte_mempool *pool, uint16_t workers, const uint8_t *mac, char *why,
        size_t size)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr own;
	struct device *d = calloc(1, sizeof(*d));
	if (d == NULL)
		return fail(why, size, "out of memory");
	if (!guard_iface(cfg->device, d->iface, sizeof(d->iface)) || !driver_is(cfg->device, "net_"))
		d->iface[0] = 0; /* a NIC's kernel interface ends when DPDK takes it */
	d->ifindex = d->iface[0] != 0 ? if_nametoindex(d->iface) : 0;
	if (d->iface[0] != 0 && d->ifindex == 0) {
		fail(why, size, "%s: no such interface", d->iface);
		free(d);
		return NULL;
	}
	if (!plug(cfg, d, why, size)) {
		free(d);
		return NULL;
	}
	atomic_store(&removed[d->id], 0);
	rte_eth_dev_callback_register(d->id, RTE_ETH_EVENT_INTR_RMV, on_removal, NULL);
	int r = rte_eth_dev_info_get(d->id, &info);
	if (r == 0) {
		snprintf(d->driver, sizeof(d->driver), "%s", info.driver_name);
		d->memif = driver_is(d->driver, "net_memif");
		d->rx_queues = (uint16_t)RTE_MIN(cfg->queues, (uint64_t)info.max_rx_queues);
		/* Both sides of a memif must have the same number of rings. */
		d->tx_queues = RTE_MIN(d->memif ? d->rx_queues : workers, info.max_tx_queues);
		d->mtu = max_mtu(d, cfg->device, &info, pool);
		r = configure(d, &info);
	}
	if (r == 0)
		r = start(d, cfg, pool, mac);
	if (r == 0)
		r = rte_eth_macaddr_get(d->id, &own);
	if (r != 0 || !share_queues(d, workers)) {
		fail(why, size, "%s: %s", d->name, r != 0 ? rte_strerror(-r) : "out of memory");
		device_close(d);
		return NULL;
	}
	memcpy(d->mac, &own, 6);
	return d;
}
