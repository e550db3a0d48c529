/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The gateway inside a benchmark: the real engine, classes and plugins on ports that cost nothing, without EAL. A
 * pipeline is applied while the worker's own thread runs; then that thread is parked inside port_rx(), and the
 * benchmark makes the worker's turns itself, on its own pinned core, in the pauses between reference runs.
 *
 * Ports are "wan" and "lan". What a figure includes: everything from port_rx() to port_tx(), the loop around it, and
 * the clock; a driver only with --port memif (box_port.c).
 *
 * box_rings() puts a ring each way between the ports and another thread, which offers packets and takes what comes out
 * while this one makes turns.
 */
#pragma once

#include <rte_mbuf.h>
#include <stdbool.h>
#include <tailrace/udp.h>

#define BOX_BURST 32
#define BOX_PACKETS 4096
#define BOX_ROOM 2304

enum box_port { BOX_WAN, BOX_LAN, BOX_PORTS };

/* Takes `--port memif` (or none) out of the arguments, before box_start(). True: memif. */
bool box_option(int *argc, char **argv);
const char *box_port_kind(void); /* in words */

/* Before box_start(): packets of up to 9,000 bytes. */
void box_jumbo(void);
uint16_t box_mtu(void);

/*
 * Plugins are looked for in `plugins` (a build's plugins folder, or where they are installed). Ends the process with a message when anything fails. The
 * benchmark drives the first worker; the others run by themselves, without a rest, each pinned to a CPU, the first of those
 * that there are for the second worker. They get nothing by a port.
 */
void box_start(const char *plugins, const char *pipeline, uint32_t max_peers, uint16_t workers);
void box_stop(void);

/* One loop of the worker. Returns how much work was found. */
unsigned box_turn(void);
/* The first worker gives what it has to seal and open to the others, or keeps it. */
void box_spread(bool on);
/* Bursts that are out; not_done: and that nobody has finished. */
uint32_t box_spread_out(bool not_done);
/* Ports are rings, or not; the driver's thread. */
#define BOX_RING 1024
void box_rings(bool on);
/* The thread at the other end. How many found room; what came out (box_mine() tells whose it is). */
uint32_t box_offer(enum box_port port, struct rte_mbuf **pkts, uint32_t n);
uint32_t box_take(enum box_port port, struct rte_mbuf **pkts, uint32_t n);
bool box_mine(const struct rte_mbuf *m);
uint32_t box_number(const struct rte_mbuf *m); /* i of box_packet(i) */
/* The gateway has let go of the packet: it was dropped, or it came out. */
bool box_free(uint32_t i);

/* Packets that come in by a port; the array must stay until they were taken. */
void box_feed(enum box_port port, struct rte_mbuf **pkts, uint32_t n);
/* Turns until all that was fed has been taken and nothing more happens; answers ARP and ND for every address asked. */
void box_settle(void);
/* Packets that went out of a port that costs nothing since the last call of the next. */
uint32_t box_left(enum box_port port);
/* What went out of a port since the last call. The engine's own packets among them are given back by
 * box_release(), which returns how many of them were box_packet()s. */
uint32_t box_sent(enum box_port port, struct rte_mbuf ***pkts);
uint32_t box_release(struct rte_mbuf **pkts, uint32_t n);
/*
 * Clocks that BOX_PACKETS packets take until they have left by `out`: those of the median burst, times the bursts. A burst
 * is short enough that few are interrupted, whatever else the machine does.
 */
uint64_t box_through(struct rte_mbuf **pkts, enum box_port in, enum box_port out);
/* The same of packets of which none comes out; *errors: how many others the gateway sends back by `in`. as_they_come: else their bursts
 * are as far apart in time, as the gateway has it, that each may have an error. */
uint64_t box_refused(struct rte_mbuf **pkts, enum box_port in, bool as_they_come, uint32_t *errors);
/* run(), `runs` times (at most BOX_RUNS), each with BOX_PACKETS packets that prepare() makes, and where the clocks of its turns went: lower
 * quartiles per packet, into an array of BOX_NODES. Returns how many there are. */
#define BOX_RUNS 61
#define BOX_NODES 64
struct box_node {
	char name[64];
	double clocks;
};
unsigned box_nodes(void (*prepare)(void *arg), void (*run)(void *arg), void *arg, unsigned runs, struct box_node *node);
/* What has left each port comes in by the other. Only packets of the pool, by ports that cost nothing. */
void box_cable(void);
/* Clocks are accounted for by node, from zero, or no more; their sums since, into an array of BOX_NODES, always in the same order.
 * Returns how many there are. */
void box_clock(bool on);
unsigned box_clocks(struct box_node *node);
void *box_self(const char *instance); /* a class's own object */
uint32_t box_jobs(void); /* of the worker, that are not done */
/* Lets control's thread run meanwhile. */
void box_control(void (*during)(void *arg), void *arg);
uint64_t box_port_alone(struct rte_mbuf **pkts, enum box_port in); /* box_through() with nothing between the ports */

const uint8_t *box_mac(enum box_port port);
/* A peer's id, its state block of this type, and a receiver index that leads to it: to give it a session by hand. */
uint32_t box_peer(const char *instance, const uint8_t public_key[32]);
void *box_block(const char *instance, const char *type, uint32_t peer);
uint32_t box_index(const char *instance, uint32_t peer);
uint64_t box_drops(void); /* of the whole graph */

/* The i-th of BOX_PACKETS packets, empty, its data at an address that is no multiple of anything. */
struct rte_mbuf *box_packet(uint32_t i);
/* Ethernet, IP and UDP headers before and around `len` bytes of payload, from address and port to address and port. */
uint8_t *box_udp(struct rte_mbuf *m, enum box_port to, const struct tr_addr *from, uint16_t from_port,
	const struct tr_addr *dst, uint16_t dst_port, uint16_t len);
/* The checksum of a packet made by box_udp() over IPv6, when its payload stands. */
void box_udp6_checksum(uint8_t *payload, uint16_t len);
