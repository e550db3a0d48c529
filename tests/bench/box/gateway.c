/* SPDX-License-Identifier: BSD-3-Clause */
#include "gateway.h"

#include "box_port.h"
#include "message.h"

#include <stdlib.h>
#include <unistd.h>

#define NAMES 1000
#define ROOM_LIMIT 200000

struct session *sessions;
static uint32_t n_sessions;
const struct tr_addr session_gateway = {.family = 4, .ip = {198, 51, 100, 7}};
const struct tr_addr session_far = {.family = 4, .ip = {198, 51, 100, 2}};

static const char pipeline[] =
	"instances:\n"
	"  wan: {class: interface, address: [198.51.100.7/24, '2001:db8::7/64'], gateway: [198.51.100.1, '2001:db8::1'], mtu: %u}\n"
	"  lan: {class: interface, address: [10.20.0.1/16, '2001:db8:0:1::1/64'], mtu: %u}\n"
	"  mux: {class: mux}\n"
	"  stun: {class: stun, listen: 3478, rate: 0}\n"
	"  dns: {class: magicdns, listen: 53}\n"
	"  wg0: {class: wireguard, listen: 51820, private_key: 'file:%s', mtu: %u}\n"
	"  path: {class: path}\n"
	"  router: {class: route, routes: {0.0.0.0/0: wan.ip, '::/0': wan.ip, 100.64.0.0/10: wg0.plain, 10.20.0.0/16: lan.ip}}\n"
	"  none: {class: drop}\n"
	"links:\n"
	"  - wan.udp -> mux.in\n"
	"  - mux.stun -> stun.in\n"
	"  - mux.dns -> dns.in\n"
	"  - mux.wireguard -> wg0.cipher\n"
	"  - stun.out -> wan.ip\n"
	"  - dns.out -> wan.ip\n"
	"  - wg0.cipher -> path.in\n"
	"  - path.udp -> wan.ip\n"
	"  - wg0.plain -> router.in\n"
	"  - wan.ip -> router.in\n"
	"  - lan.ip -> router.in\n"
	"  - lan.udp -> none.in\n"
	"  - router.udp -> none.in\n"
	"netmap:\n"
	"  domain: mesh.example\n"
	"  names:\n";

static char *
pipeline_text(const char *key_file)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, pipeline, box_mtu(), box_mtu(), key_file, box_mtu() - 80u);
	for (uint32_t i = 0; i < NAMES; i++)
		fprintf(f, "    n%03u: 10.20.%u.%u\n", i, i >> 8, i & 255);
	session_list(f, sessions, n_sessions);
	fclose(f);
	return text;
}

static void
open_session(uint32_t peer)
{
	struct tr_endpoint e = {.family = 4, .remote_port = 20000, .local_port = 51820};

	memcpy(e.remote, session_far.ip, 16);
	memcpy(e.local, session_gateway.ip, 16);
	session_open(&sessions[peer], peer, &e);
}

void
gateway_start(const char *plugins, uint32_t peers)
{
	char key_file[] = "/tmp/tailrace-key-XXXXXX";

	if (crypto_init() != 0)
		give_up("no cryptography");
	session_key_file(key_file);
	n_sessions = peers;
	sessions = session_new(peers);
	char *text = pipeline_text(key_file);
	box_start(plugins, text, ROOM_LIMIT, 1);
	remove(key_file);
	free(text);
	box_settle();
	for (uint32_t i = 0; i < peers; i++)
		open_session(i);
	for (int port = 0; port < BOX_PORTS; port++) {
		struct rte_mbuf **sent;
		uint32_t n = box_sent(port, &sent);
		box_release(sent, n);
	}
}

bool
session_proves(enum load_kind kind, struct rte_mbuf *m)
{
	static uint8_t plain[16384];
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t peer;
	uint64_t counter;

	if (kind == LOAD_STUN)
		return p[42] == 1 && p[43] == 1;
	if (kind == LOAD_DNS)
		return (p[42 + 2] & 0x80) != 0 && (p[42 + 3] & 15) == 0 && p[42 + 7] == 1;
	if (kind != LOAD_ENCRYPT && kind != LOAD_TUNNEL)
		return kind == LOAD_L3_IPV6 ? p[14] >> 4 == 6 : p[14] == 0x45 && p[14 + 9] == IPPROTO_UDP;
	memcpy(&peer, p + 42 + 4, 4);
	memcpy(&counter, p + 42 + 8, 8);
	return p[42] == MESSAGE_DATA && peer - 1 < n_sessions && m->data_len > 58 + 16 &&
	       core_crypto.open(plain, sessions[peer - 1].seals, counter, p + 58, m->data_len - 58u, NULL, 0);
}
