/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding, STUN, MagicDNS and Packet Too Big: clocks per packet above ports with nothing between them. 4,096 packets from as many
 * sources (those that are too big: from one), bursts of 32, with UDP checksums; a thousand names in the netmap, asked for in turn.
 */
#include "bench.h"
#include "box_figure.h"
#include "plugin/loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <tailrace/udp.h>

#define NAMES 1000

static const char pipeline[] =
	"instances:\n"
	"  wan: {class: interface, address: 198.51.100.7/24, gateway: 198.51.100.1, mtu: 1480}\n"
	"  lan: {class: interface, address: 10.20.0.1/16, neighbours: ['10.20.9.9 02:ff:00:00:00:01']}\n"
	"  mux: {class: mux}\n"
	"  stun: {class: stun, listen: 3478, rate: 0}\n"
	"  limited: {class: stun, listen: 3479, rate: 1000k}\n"
	"  derper: {class: stun, listen: 3480, rate: 0, clients: tailscale}\n"
	"  dns: {class: magicdns, listen: 53}\n"
	"  router: {class: route, routes: {0.0.0.0/0: wan.ip, 10.20.0.0/16: lan.ip}}\n"
	"  none: {class: drop}\n"
	"links:\n"
	"  - wan.udp -> mux.in\n"
	"  - wan.ip -> router.in\n"
	"  - mux.stun -> stun.in\n"
	"  - mux.limited -> limited.in\n"
	"  - mux.derper -> derper.in\n"
	"  - mux.dns -> dns.in\n"
	"  - stun.out -> wan.ip\n"
	"  - limited.out -> wan.ip\n"
	"  - derper.out -> wan.ip\n"
	"  - dns.out -> wan.ip\n"
	"  - lan.ip -> router.in\n"
	"  - lan.udp -> none.in\n"
	"  - router.udp -> none.in\n"
	"netmap:\n"
	"  domain: mesh.example\n"
	"  names:\n";

#define COOKIE 0x21, 0x12, 0xa4, 0x42

/* Binding requests: as short as can be; as Tailscale's client sends them, with SOFTWARE and FINGERPRINT. */
static const uint8_t stun_request[] = {0, 1, 0, 0, COOKIE, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t tailscale_request[] = {0, 1, 0, 20, COOKIE, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0x80, 0x22, 0, 8, 't',
	'a', 'i', 'l', 'n', 'o', 'd', 'e', 0x80, 0x28, 0, 4, 0x8a, 0xab, 0xad, 0x90};
/* A question for the address of n000.mesh.example; the digits are filled in. */
static const uint8_t dns_question[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 'n', '0', '0', '0', 4, 'm', 'e', 's', 'h',
	7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
#define DIGITS 14

struct kind {
	const char *figure, *goal;
	enum box_port in, out;
	uint16_t port;
	const uint8_t *payload;
	uint16_t len;
	enum box_fate fate;
};

static void
put_digits(uint8_t *at, uint32_t n)
{
	char text[4];
	snprintf(text, sizeof(text), "%03u", n % 1000);
	memcpy(at, text, 3);
}

static void
do_not_fragment(uint8_t *ip)
{
	ip[6] |= 0x40;
	memset(ip + 10, 0, 2);
	const uint16_t sum = tr_sum_fold(tr_sum(0, ip, 20));
	memcpy(ip + 10, &sum, 2);
}

static const char *
pipeline_text(void)
{
	static char text[sizeof(pipeline) + NAMES * 32];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s", pipeline);
	for (uint32_t i = 0; i < NAMES; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "    n%03u: 10.20.%u.%u\n", i, i >> 8, i & 255);
	return text;
}

static void
prepare(const void *arg, struct rte_mbuf **pkts)
{
	const struct kind *k = arg;
	static const struct tr_addr own = {.family = 4, .ip = {198, 51, 100, 7}};

	for (uint32_t i = 0; i < BOX_PACKETS; i++) {
		struct tr_addr far = {.family = 4, .ip = {203, 0, (uint8_t)(i >> 8), (uint8_t)i}};
		struct tr_addr near = {.family = 4, .ip = {10, 20, (uint8_t)(i >> 8), (uint8_t)(i | 2)}};
		if (k->fate != PASSED)
			near = (struct tr_addr){.family = 4, .ip = {10, 20, 9, 9}};
		pkts[i] = box_packet(i);
		uint8_t *p = box_udp(pkts[i], k->in, k->in == BOX_LAN ? &near : &far, (uint16_t)(1024 + i),
			k->in == BOX_LAN ? &far : &own, k->port, k->len);
		if (k->payload)
			memcpy(p, k->payload, k->len);
		if (k->payload == dns_question)
			put_digits(p + DIGITS, i * 7 % NAMES);
		if (k->fate != PASSED)
			do_not_fragment(rte_pktmbuf_mtod_offset(pkts[i], uint8_t *, 14));
		if (!k->payload)
			continue;
		struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(p - sizeof(*udp));
		udp->dgram_cksum = tr_udp_checksum(udp, (uint8_t *)udp - 8, 8, (uint16_t)(sizeof(*udp) + k->len));
	}
}

int
main(int argc, char **argv)
{
	static struct kind kinds[] = {
		{"forward 64 B", NULL, BOX_LAN, BOX_WAN, 9, NULL, 64 - 28},
		{"forward 1420 B", NULL, BOX_LAN, BOX_WAN, 9, NULL, 1420 - 28},
		{"STUN request", "<= 250", BOX_WAN, BOX_WAN, 3478, stun_request, sizeof(stun_request)},
		{"STUN request, counted per source", NULL, BOX_WAN, BOX_WAN, 3479, stun_request, sizeof(stun_request)},
		{"STUN request of a tailscale client", NULL, BOX_WAN, BOX_WAN, 3480, tailscale_request, sizeof(tailscale_request)},
		{"MagicDNS hit", "<= 400", BOX_WAN, BOX_WAN, 53, dns_question, sizeof(dns_question)},
		{"Packet Too Big, answered", NULL, BOX_LAN, BOX_LAN, 9, NULL, 1500 - 28, ANSWERED},
		{"Packet Too Big, above the allowance", NULL, BOX_LAN, BOX_LAN, 9, NULL, 1500 - 28, REFUSED},
	};
	if (argc == 2 && strcmp(argv[1], "--preflight") == 0)
		return plugin_preflight_main();
	const bool memif = box_option(&argc, argv);
	box_start(PLUGINS, pipeline_text(), 1000, 1); /* before the pinning, which threads inherit */
	bench_init(memif ? "services-memif" : "services", argc, argv);
	bench_note(box_port_kind());
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (memif || kinds[i].fate != ANSWERED) /* without a driver the pool of packets is the tests', which asks the heap for each */
			box_above_ports(&(struct box_figure){kinds[i].figure, kinds[i].goal, kinds[i].in, kinds[i].out, prepare, &kinds[i],
				kinds[i].fate});
	box_stop();
	return bench_end();
}
