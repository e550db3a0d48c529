/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A handshake flood over memif: initiations of nobody with a right mac1, from 4,096 addresses, by the clock. What it costs
 * the one that is flooded is the worst that somebody who knows its public key can ask for without a cookie.
 *
 * usage: handshake-flood MEMIF-SOCKET MAC ADDRESS PUBLIC-KEY PER-SECOND SECONDS
 *   MAC, ADDRESS: whom the frames are for, IPv4, UDP port 51820. The memif has id 2; this end is its client.
 * Prints how many were sent and how many cookie replies came back, as JSON. The ring may be full: that is not sent.
 */
#include "crypto/aead.h"

#include "../../plugins/transport/wireguard/cookie.h"

#include <arpa/inet.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>
#include <sched.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <tailrace/udp.h>
#include <time.h>

enum { BURST = 32, RING = 2048, FRAME = 14 + 20 + 8 + sizeof(struct message_initiation), SOURCES = 4096, LATE = 4096 };

static uint8_t frames[SOURCES][FRAME];
static struct rte_mempool *pool;
static uint64_t sent, cookies;

_Noreturn static void
give_up(const char *what)
{
	fprintf(stderr, "handshake-flood: %s\n", what);
	exit(1);
}

static uint64_t
now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* From 198.18.0.0/15, which is set aside for measurements (RFC 2544). */
static void
make_frames(const struct rte_ether_addr *to, in_addr_t address, const uint8_t public_key[32])
{
	const struct tr_crypto *c = &core_crypto;
	uint8_t mac1_key[32];

	noise_mac1_key(c, mac1_key, public_key);
	for (uint32_t i = 0; i < SOURCES; i++) {
		struct rte_ether_hdr *eth = (struct rte_ether_hdr *)frames[i];
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)(eth + 1);
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(ip + 1);
		struct message_initiation *m = (struct message_initiation *)(udp + 1);
		struct cookie_held none = {0};
		*eth = (struct rte_ether_hdr){.dst_addr = *to, .src_addr.addr_bytes = {2, 0, 0, 0, 0, 0xf1},
			.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)};
		*ip = (struct rte_ipv4_hdr){.version_ihl = RTE_IPV4_VHL_DEF, .total_length = RTE_BE16(FRAME - 14), .time_to_live = 64,
			.next_proto_id = IPPROTO_UDP, .src_addr = rte_cpu_to_be_32(RTE_IPV4(198, 18, 0, 1) + i), .dst_addr = address};
		ip->hdr_checksum = tr_sum_fold(tr_sum(0, ip, sizeof(*ip)));
		*udp = (struct rte_udp_hdr){.src_port = RTE_BE16(51820), .dst_port = RTE_BE16(51820), .dgram_len = RTE_BE16(FRAME - 34)};
		c->random(m, sizeof(*m));
		m->type = MESSAGE_INITIATION;
		cookie_add_macs(c, &none, mac1_key, 1, m, &m->macs);
	}
}

static void
open_port(const char *socket)
{
	const struct rte_eth_conf conf = {0};
	struct rte_eth_link link = {0};
	char vdev[256], lcore[16];

	snprintf(lcore, sizeof(lcore), "0@%d", sched_getcpu());
	snprintf(vdev, sizeof(vdev), "net_memif0,role=client,id=2,socket=%s,socket-abstract=no,rsize=11", socket);
	char *eal[] = {"handshake-flood", "--no-huge", "-m", "64", "--no-pci", "--no-telemetry", "--file-prefix", "flood", "--lcores",
		lcore, "--log-level", "1", "--vdev", vdev, NULL};
	if (rte_eal_init(sizeof(eal) / sizeof(*eal) - 1, eal) < 0 || !rte_eth_dev_is_valid_port(0))
		give_up("no memif");
	pool = rte_pktmbuf_pool_create("flood", 4 * RING, 64, 0, 2176, SOCKET_ID_ANY);
	if (!pool || rte_eth_dev_configure(0, 1, 1, &conf) || rte_eth_rx_queue_setup(0, 0, RING, SOCKET_ID_ANY, NULL, pool) ||
		rte_eth_tx_queue_setup(0, 0, RING, SOCKET_ID_ANY, NULL) || rte_eth_dev_start(0))
		give_up("the memif does not start");
	for (int i = 0; i < 1000 && !link.link_status; i++) {
		rte_eth_link_get_nowait(0, &link);
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	}
	if (!link.link_status)
		give_up("nobody at the other end of the memif");
}

static void
send_burst(void)
{
	struct rte_mbuf *m[BURST];

	if (rte_pktmbuf_alloc_bulk(pool, m, BURST))
		return;
	for (unsigned i = 0; i < BURST; i++)
		memcpy(rte_pktmbuf_append(m[i], FRAME), frames[(sent + i) % SOURCES], FRAME);
	const uint16_t n = rte_eth_tx_burst(0, 0, m, BURST);
	rte_pktmbuf_free_bulk(&m[n], BURST - n);
	sent += n;
}

static void
receive(void)
{
	struct rte_mbuf *m[BURST];
	uint16_t n;

	while ((n = rte_eth_rx_burst(0, 0, m, BURST)) > 0) {
		for (uint16_t i = 0; i < n; i++)
			cookies += m[i]->data_len == 42 + sizeof(struct message_cookie) &&
				   *rte_pktmbuf_mtod_offset(m[i], uint8_t *, 42) == MESSAGE_COOKIE;
		rte_pktmbuf_free_bulk(m, n);
	}
}

/* By the clock: what was late is made up for, but no more than a ring's worth of it. */
static void
flood(uint64_t per_second, uint64_t seconds)
{
	const uint64_t start = now_ns(), end = start + seconds * 1000000000;
	uint64_t tried = 0;

	prctl(PR_SET_TIMERSLACK, 1);
	for (uint64_t now = start; now < end; now = now_ns()) {
		const uint64_t due = (uint64_t)((double)(now - start) * 1e-9 * (double)per_second);
		if (tried + LATE < due)
			tried = due - LATE;
		for (; tried + BURST <= due; tried += BURST)
			send_burst();
		receive();
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
}

int
main(int argc, char **argv)
{
	struct rte_ether_addr to;
	uint8_t key[32];
	size_t n;
	in_addr_t address;

	if (argc != 7 || rte_ether_unformat_addr(argv[2], &to) || inet_pton(AF_INET, argv[3], &address) != 1 ||
		sodium_base642bin(key, 32, argv[4], strlen(argv[4]), NULL, &n, NULL, sodium_base64_VARIANT_ORIGINAL) || n != 32) {
		fprintf(stderr, "usage: handshake-flood MEMIF-SOCKET MAC ADDRESS PUBLIC-KEY PER-SECOND SECONDS\n");
		return 2;
	}
	if (crypto_init() != 0)
		give_up("no cryptography");
	make_frames(&to, address, key);
	open_port(argv[1]);
	const uint64_t seconds = strtoull(argv[6], NULL, 10);
	flood(strtoull(argv[5], NULL, 10), seconds);
	nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
	receive();
	printf("{\"sent\": %lu, \"cookies\": %lu, \"seconds\": %lu}\n", sent, cookies, seconds);
	return 0;
}
