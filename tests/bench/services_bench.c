/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding, STUN and MagicDNS: clocks per packet above ports with nothing between them. 4,096 packets from as many
 * sources, bursts of 32.
 */
#include "bench.h"
#include "box.h"
#include "plugin/loader.h"

#include <stdio.h>
#include <stdlib.h>

static const char pipeline[] =
	"instances:\n"
	"  wan: {class: interface, address: 198.51.100.7/24, gateway: 198.51.100.1}\n"
	"  lan: {class: interface, address: 10.20.0.1/16}\n"
	"  mux: {class: mux}\n"
	"  stun: {class: stun, listen: 3478, rate: 0}\n"
	"  dns: {class: magicdns, listen: 53}\n"
	"  router: {class: route, routes: {0.0.0.0/0: wan.ip, 10.20.0.0/16: lan.ip}}\n"
	"  none: {class: drop}\n"
	"links:\n"
	"  - wan.udp -> mux.in\n"
	"  - wan.ip -> router.in\n"
	"  - mux.stun -> stun.in\n"
	"  - mux.dns -> dns.in\n"
	"  - stun.out -> wan.ip\n"
	"  - dns.out -> wan.ip\n"
	"  - lan.ip -> router.in\n"
	"  - lan.udp -> none.in\n"
	"  - router.udp -> none.in\n"
	"netmap:\n"
	"  domain: mesh.example\n"
	"  names: {nas: 10.20.0.5}\n";

/* A Binding request with the transaction id 1..12, and a question for the address of nas.mesh.example. */
static const uint8_t stun_request[] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t dns_question[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 'n', 'a', 's', 4, 'm', 'e', 's', 'h', 7,
	'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};

struct kind {
	const char *figure, *goal;
	enum box_port in, out;
	uint16_t port;
	const uint8_t *payload;
	uint16_t len;
};

static struct rte_mbuf *pkts[BOX_PACKETS];

static void
prepare(const struct kind *k)
{
	static const struct tr_addr own = {.family = 4, .ip = {198, 51, 100, 7}};

	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		struct tr_addr far = {.family = 4, .ip = {203, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		struct tr_addr near = {.family = 4, .ip = {10, 20, (uint8_t)(i >> 8), (uint8_t)(i | 2)}};
		pkts[i] = box_packet(i);
		uint8_t *p = box_udp(pkts[i], k->in, k->in == BOX_LAN ? &near : &far, (uint16_t)(1024 + i),
			k->in == BOX_LAN ? &far : &own, k->port, k->len);
		if (k->payload)
			memcpy(p, k->payload, k->len);
	}
}

static uint64_t
ours(void *arg, uint64_t ops)
{
	const struct kind *k = arg;
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare(k);
		clocks += box_through(pkts, k->in, k->out);
	}
	return clocks;
}

static uint64_t
alone(void *arg, uint64_t ops)
{
	uint64_t clocks = 0;

	for (; ops > 0; ops -= BOX_PACKETS) {
		prepare(arg);
		clocks += box_port_alone(pkts);
	}
	return clocks;
}

int
main(int argc, char **argv)
{
	static struct kind kinds[] = {
		{"forward 64 B", NULL, BOX_LAN, BOX_WAN, 9, NULL, 64 - 28},
		{"forward 1420 B", NULL, BOX_LAN, BOX_WAN, 9, NULL, 1420 - 28},
		{"STUN request", "<= 250", BOX_WAN, BOX_WAN, 3478, stun_request, sizeof(stun_request)},
		{"MagicDNS hit", "<= 400", BOX_WAN, BOX_WAN, 53, dns_question, sizeof(dns_question)},
	};
	struct rte_mbuf **sent;

	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	box_start(PLUGINS, pipeline, 1000); /* before the pinning, which threads inherit */
	bench_init("services", argc, argv);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		if (!bench_wanted(kinds[i].figure))
			continue;
		prepare(&kinds[i]);
		box_feed(kinds[i].in, pkts, 1); /* resolves the neighbour */
		box_settle();
		uint32_t n = box_sent(BOX_WAN, &sent);
		box_release(sent, n);
		bench_pair(&(struct bench_pair){.figure = kinds[i].figure, .goal = kinds[i].goal, .step = BOX_PACKETS,
			.ours = {"gateway", ours, &kinds[i]}, .reference = {"ports alone", alone, &kinds[i]}});
	}
	box_stop();
	return bench_end();
}
