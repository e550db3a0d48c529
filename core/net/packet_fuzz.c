/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Packets into a route instance: header checks, extension headers, TCP options, ICMP errors about them. The first byte
 * chooses the MTU. Checksums of IPv4 headers are put right, or little would get past them.
 */
#include "net/classes.h"
#include "net/ip.h"
#include "net/rig.h"
#include "net/route.h"
#include "runtime/rcu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t mtu;
static const struct tr_option mtu_option[] = {{"mtu", TR_OPT_UINT, .flags = TR_OPT_MTU}, {0}};
static const struct tr_class target = {.name = "target", .options = mtu_option};

static void
plan(struct rig *g)
{
	g->pi[1] = (struct plan_instance){.name = "t", .class_ = &target, .options = &mtu};
	g->gate[0] = (struct plan_gate){.name = "udp", .to = -1};
	g->gate[1] = (struct plan_gate){.name = "host", .to = 1};
	g->gate[2] = (struct plan_gate){.name = "t", .to = 1};
	g->pi[0].n_out = 3;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct rig r;
	static uint8_t packet[1600];
	struct tr_addr own[2];
	struct tr_route_option route[2] = {{.gate = 2}, {.gate = 2}};
	struct route_options options = {.address = {2, own}, .routes = {2, route}, .clamp_mss = true};
	rcu_init();
	if (size < 2 || size > sizeof(packet))
		return 0;
	mtu = 68 + data[0] * 6u;
	parse_addr("100.64.0.1", &own[0]);
	parse_addr("fd00::1", &own[1]);
	parse_prefix("0.0.0.0/0", &route[0].prefix, false);
	parse_prefix("::/0", &route[1].prefix, false);
	if (!rig_open(&r, &class_route, "r", &options, plan))
		return 0;
	memcpy(packet, data + 1, --size);
	unsigned words = packet[0] & 15;
	if (packet[0] >> 4 == 4 && words >= 5 && words * 4 <= size) {
		put_16(packet + 10, 0);
		put_16(packet + 10, csum_ipv4(packet, words));
	}
	rig_send(&r, "in", packet, size, NULL);
	rig_close(&r);
	return 0;
}
