/* SPDX-License-Identifier: BSD-3-Clause */
#include "box_port.h"
#include "config/config.h"
#include "load.h"
#include "measure.h"

#include <rte_ether.h>
#include <stdlib.h>

#include "gateway.h"

#define TUNNEL_ROOM 80 /* between the largest packet of a network and of a tunnel through it */

const struct scenario scenarios[] = {
	{"l3", "IPv4 forwarded by a route, nothing encrypted", LOAD_L3, BOX_LAN, BOX_WAN, true, false},
	{"l3-ipv6", "the same with IPv6", LOAD_L3_IPV6, BOX_LAN, BOX_WAN, true, false},
	{"encrypt", "from the LAN into the tunnels of peers", LOAD_ENCRYPT, BOX_LAN, BOX_WAN, true, true},
	{"decrypt", "out of the tunnels of peers to the LAN", LOAD_DECRYPT, BOX_WAN, BOX_LAN, true, true},
	{"tunnel", "out of one peer's tunnel into another's", LOAD_TUNNEL, BOX_WAN, BOX_WAN, true, true},
	{"stun", "STUN binding requests answered", LOAD_STUN, BOX_WAN, BOX_WAN, false, false},
	{"dns", "questions for a name of the mesh answered", LOAD_DNS, BOX_WAN, BOX_WAN, false, false},
	{.name = NULL},
};

static const struct tr_addr host = {.family = 4, .ip = {10, 20, 0, 99}};
static const struct tr_addr host6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, 0, 1, [15] = 99}};
static const struct tr_addr away = {.family = 4, .ip = {203, 0, 113, 9}};
static const struct tr_addr away6 = {.family = 6, .ip = {0x20, 1, 0xd, 0xb8, 0, 2, [15] = 9}};

static const uint8_t stun_request[] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
/* A question for the address of n000.mesh.example; the digits are filled in. */
static const uint8_t dns_question[] = {0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 4, 'n', '0', '0', '0', 4, 'm', 'e', 's', 'h',
	7, 'e', 'x', 'a', 'm', 'p', 'l', 'e', 0, 0, 1, 0, 1};
#define DIGITS 14

const struct scenario *
scenario_find(const char *name)
{
	for (const struct scenario *s = scenarios; s->name; s++)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

bool
size_parse(const char *text, uint32_t *size)
{
	char *end;
	const unsigned long n = strtoul(text, &end, 10);

	if (strcmp(text, "imix") == 0 || strcmp(text, "IMIX") == 0)
		return *size = SIZE_IMIX, true;
	if (strcmp(text, "jumbo") == 0)
		return *size = SIZE_JUMBO, true;
	*size = (uint32_t)n;
	return *end == '\0' && n >= 64 && n <= 1420;
}

const char *
size_text(uint32_t size)
{
	static char text[16];

	snprintf(text, sizeof(text), size == SIZE_IMIX ? "imix" : size == SIZE_JUMBO ? "jumbo" : "%u", size);
	return text;
}

static uint32_t
random_below(struct load *l, uint32_t n)
{
	l->seed = l->seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)l->seed * n >> 32);
}

/* ---- Shapes ---- */

static uint16_t
padded(uint16_t size)
{
	const uint16_t up = (uint16_t)((size + 15) / 16 * 16), mtu = (uint16_t)(box_mtu() - TUNNEL_ROOM);

	return up > mtu ? size : up;
}

/* The whole of a packet, into `m`. Returns the bytes that are its head. */
static uint16_t
draw(enum load_kind kind, struct rte_mbuf *m, uint16_t size)
{
	const struct tr_addr first = session_inside(0);
	uint8_t *p;

	switch (kind) {
	case LOAD_L3:
		box_udp(m, BOX_LAN, &host, 9, &away, 9, (uint16_t)(size - 28));
		return 14 + 28;
	case LOAD_L3_IPV6:
		box_udp(m, BOX_LAN, &host6, 9, &away6, 9, (uint16_t)(size - 48));
		return 14 + 48;
	case LOAD_ENCRYPT:
		box_udp(m, BOX_LAN, &host, 9, &first, 9, (uint16_t)(size - 28));
		return 14 + 28;
	case LOAD_STUN:
	case LOAD_DNS:
		p = box_udp(m, BOX_WAN, &away, 4000, &session_gateway, kind == LOAD_STUN ? 3478 : 53, (uint16_t)(size - 28));
		memcpy(p, kind == LOAD_STUN ? stun_request : dns_question, (size_t)(size - 28));
		return (uint16_t)(14 + size);
	default:
		p = box_udp(m, BOX_WAN, &session_far, 20000, &session_gateway, 51820, (uint16_t)(padded(size) + 32));
		memcpy(p, &(uint32_t){4}, 4);
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF, .time_to_live = 64, .next_proto_id = IPPROTO_UDP,
			.total_length = rte_cpu_to_be_16(size)};
		memcpy(&ip.src_addr, first.ip, 4);
		memcpy(&ip.dst_addr, host.ip, 4);
		memcpy(p + 16, &ip, sizeof(ip));
		return 14 + 28 + 16 + 20;
	}
}

/* Where in a packet the IP header is whose addresses differ, and which they are. */
#define OUTER 14
#define MESSAGE (OUTER + 28)
#define INNER (MESSAGE + 16)

static void
make_shape(struct shape *s, enum load_kind kind, uint16_t size)
{
	static const uint8_t zero[4];
	struct rte_mbuf *m = box_packet(0);
	const uint16_t at = kind == LOAD_DECRYPT || kind == LOAD_TUNNEL ? INNER : OUTER;

	s->head_len = draw(kind, m, size);
	s->len = m->data_len;
	s->sealed = padded(size);
	memcpy(s->head, rte_pktmbuf_mtod(m, uint8_t *), s->head_len);
	if (kind == LOAD_L3_IPV6)
		return;
	memcpy(s->head + at + 10, zero, 2);
	if (kind != LOAD_ENCRYPT && kind != LOAD_L3)
		memcpy(s->head + at + 12, zero, 4);
	if (kind == LOAD_ENCRYPT || kind == LOAD_TUNNEL || kind == LOAD_L3)
		memcpy(s->head + at + 16, zero, 4);
	s->sum = tr_sum(0, s->head + at, 20);
}

void
load_init(struct load *l, const struct scenario *s, uint32_t size, uint32_t peers, const struct aead_engine *engine, uint32_t seed)
{
	const bool open_air = s->kind == LOAD_L3 || s->kind == LOAD_L3_IPV6;
	const uint16_t largest = (uint16_t)(box_mtu() - (open_air ? 0 : TUNNEL_ROOM));

	*l = (struct load){.scenario = s, .peers = peers, .engine = engine, .worker = engine->worker_new(), .seed = seed, .n_shapes = 1};
	if (!l->worker)
		give_up("out of memory");
	if (!s->sized) {
		l->bytes = 28 + (s->kind == LOAD_STUN ? sizeof(stun_request) : sizeof(dns_question));
		make_shape(&l->shape[0], s->kind, (uint16_t)l->bytes);
	} else if (size == SIZE_IMIX) {
		const uint16_t large = open_air ? 1500 : 1420;
		const uint16_t sizes[] = {64, 570, large};
		l->n_shapes = 3;
		for (unsigned i = 0; i < 3; i++)
			make_shape(&l->shape[i], s->kind, sizes[i]);
		l->bytes = (28 * 64 + 16 * 570 + 4 * large) / 48.0;
	} else {
		l->bytes = size == SIZE_JUMBO ? largest : size;
		make_shape(&l->shape[0], s->kind, (uint16_t)l->bytes);
	}
}

void
load_free(struct load *l)
{
	l->engine->worker_free(l->worker);
}

/* ---- Packets ---- */

static const struct shape *
pick_shape(struct load *l)
{
	if (l->n_shapes == 1)
		return &l->shape[0];
	const uint32_t k = random_below(l, 48);
	return &l->shape[k < 28 ? 0 : k < 44 ? 1 : 2];
}

static void
put_address(uint8_t *p, uint16_t at, const uint8_t ip[4], uint64_t *sum)
{
	memcpy(p + at, ip, 4);
	*sum = tr_sum(*sum, ip, 4);
}

static void
differ(struct load *l, const struct shape *s, uint8_t *p)
{
	const enum load_kind kind = l->scenario->kind;
	const uint16_t ip = kind == LOAD_DECRYPT || kind == LOAD_TUNNEL ? INNER : OUTER;
	uint32_t r = random_below(l, 1 << 16);
	uint64_t sum = s->sum;

	if (kind == LOAD_L3_IPV6) {
		memcpy(p + OUTER + 24 + 12, &r, 4);
		return;
	}
	if (kind == LOAD_L3)
		put_address(p, ip + 16, (uint8_t[]){203, 0, (uint8_t)(r >> 8), (uint8_t)r}, &sum);
	else if (kind == LOAD_STUN || kind == LOAD_DNS)
		put_address(p, ip + 12, (uint8_t[]){203, 0, (uint8_t)(r >> 8), (uint8_t)r}, &sum);
	if (kind == LOAD_ENCRYPT || kind == LOAD_TUNNEL)
		put_address(p, ip + 16, session_inside(random_below(l, l->peers)).ip, &sum);
	uint16_t check = tr_sum_fold(sum);
	memcpy(p + ip + 10, &check, 2);
	if (kind != LOAD_STUN && kind != LOAD_DNS)
		return;
	if (kind == LOAD_DNS)
		for (unsigned i = 0; i < 3; i++, r /= 10)
			p[MESSAGE + DIGITS + i] = (uint8_t)('0' + r % 10);
	struct rte_udp_hdr *udp = (struct rte_udp_hdr *)(p + OUTER + 20);
	udp->dgram_cksum = 0;
	udp->dgram_cksum = tr_udp_checksum(udp, p + OUTER + 12, 8, (uint16_t)(s->len - OUTER - 20));
}

/* A message of a peer's, still in clear. */
static struct tr_aead
message(struct load *l, const struct shape *s, uint8_t *p)
{
	struct session *from = &sessions[random_below(l, l->peers)];
	const struct tr_addr inside = session_inside((uint32_t)(from - sessions));
	struct tr_aead a = {.key = from->opens, .counter = from->counter++, .data = p + INNER, .len = s->sealed};
	uint16_t check;

	memcpy(p + MESSAGE + 4, &from->theirs, 4);
	memcpy(p + MESSAGE + 8, &a.counter, 8);
	memcpy(p + INNER + 12, inside.ip, 4);
	memcpy(&check, p + INNER + 10, 2);
	check = tr_sum_fold(tr_sum((uint16_t)~check, inside.ip, 4));
	memcpy(p + INNER + 10, &check, 2);
	return a;
}

void
load_burst(struct load *l, const uint32_t *number, uint32_t n, struct rte_mbuf **pkts, struct tr_aead *aead)
{
	struct tr_aead own[BOX_BURST], *a = aead ? aead : own;
	const enum load_kind kind = l->scenario->kind;
	const bool sealed = kind == LOAD_DECRYPT || kind == LOAD_TUNNEL;

	for (uint32_t i = 0; i < n; i++) {
		const struct shape *s = pick_shape(l);
		struct rte_mbuf *m = pkts[i] = box_packet(number[i]);
		uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
		m->data_len = s->len;
		m->pkt_len = s->len;
		memcpy(p, s->head, s->head_len);
		differ(l, s, p);
		if (sealed)
			a[i] = message(l, s, p);
		else if (aead)
			a[i] = (struct tr_aead){.key = sessions[random_below(l, l->peers)].seals, .counter = i, .data = p + OUTER, .len = s->sealed};
	}
	if (sealed)
		l->engine->seal(l->worker, a, (uint16_t)n);
}

uint64_t
load_raw(const struct load *l, struct tr_aead *aead, uint32_t n)
{
	const enum load_kind kind = l->scenario->kind;
	const uint64_t begin = bench_clock();

	if (kind == LOAD_DECRYPT || kind == LOAD_TUNNEL)
		l->engine->open(l->worker, aead, (uint16_t)n);
	if (kind != LOAD_DECRYPT)
		l->engine->seal(l->worker, aead, (uint16_t)n);
	return bench_clock() - begin;
}

const char *
load_raw_what(const struct scenario *s)
{
	return s->kind == LOAD_DECRYPT ? "open" : s->kind == LOAD_TUNNEL ? "open and seal" : "seal";
}

void
load_prove(struct load *l)
{
	struct rte_mbuf *pkts[BOX_BURST], **sent;
	struct tr_aead a[BOX_BURST];
	uint32_t number[BOX_BURST];

	for (uint32_t i = 0; i < BOX_BURST; i++)
		number[i] = i;
	load_burst(l, number, BOX_BURST, pkts, a);
	box_feed(l->scenario->in, pkts, BOX_BURST);
	box_settle();
	uint32_t n = box_sent(l->scenario->out, &sent), got = 0;
	for (uint32_t i = 0; i < n; i++)
		got += box_mine(sent[i]);
	if (got != BOX_BURST) {
		fprintf(stderr, "tailrace bench: %s: %u of %u packets came out\n", l->scenario->name, got, BOX_BURST);
		exit(1);
	}
	for (uint32_t i = 0; i < n; i++)
		if (box_mine(sent[i]) && !session_proves(l->scenario->kind, sent[i]))
			give_up("tailrace bench: what came out is not what went in");
	box_release(sent, n);
}
