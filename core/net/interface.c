/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/interface.h"

#include "config/config.h"
#include "net/classes.h"
#include "netmap/own.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/show.h>

#define INTERFACES_MAX 1024

bool
interface_on_link(const struct interface *i, const struct tr_addr *a)
{
	uint32_t v;
	memcpy(&v, a->ip, 4);
	if (a->family == 4) {
		for (unsigned k = 0; k < i->n4; k++)
			if (((i->own4[k].addr ^ v) & i->own4[k].mask) == 0)
				return true;
		return false;
	}
	for (unsigned k = 0; k < i->n6; k++)
		if (prefix_covers(&i->own6[k], a->ip))
			return true;
	return false;
}

const uint8_t *
interface_source(const struct interface *i, const struct tr_addr *to)
{
	uint32_t v;
	memcpy(&v, to->ip, 4);
	if (to->family == 4) {
		for (unsigned k = 0; k < i->n4; k++)
			if (((i->own4[k].addr ^ v) & i->own4[k].mask) == 0)
				return (const uint8_t *)&i->own4[k].addr;
		return i->n4 > 0 ? (const uint8_t *)&i->own4[0].addr : NULL;
	}
	for (unsigned k = 0; k < i->n6; k++)
		if (prefix_covers(&i->own6[k], to->ip))
			return i->own6[k].addr.ip;
	return i->n6 > 0 ? i->own6[0].addr.ip : NULL;
}

bool
interface_csum_offload(const struct plan_instance *p)
{
	const struct interface_options *o = p->options;
	if (p->class_ != &class_interface)
		return false;
	const struct port *port = port_find(o->port != NULL ? o->port : p->name);
	return port != NULL && port_csum_offload(port);
}

/* The number of an interface of this name, for the life of the process. */
static uint16_t
number_of(const char *name)
{
	static char *names[INTERFACES_MAX];
	for (uint16_t k = 0; k < INTERFACES_MAX; k++) {
		if (names[k] == NULL && (names[k] = strdup(name)) == NULL)
			break;
		if (strcmp(names[k], name) == 0)
			return k;
	}
	return TR_IN_SELF;
}

/* FNV-1a: which link a neighbour entry belongs to. */
static uint32_t
link_id_of(const char *port, uint16_t tag)
{
	uint32_t h = 2166136261u ^ tag;
	for (; *port != 0; port++)
		h = (h ^ (uint8_t)*port) * 16777619u;
	return h;
}

static void
add_address(struct interface *i, const struct tr_prefix *p)
{
	if (p->addr.family == 6) {
		i->own6[i->n6++] = *p;
		return;
	}
	const uint32_t addr = get_32(p->addr.ip), mask = p->len == 0 ? 0 : htonl(UINT32_MAX << (32 - p->len));
	i->own4[i->n4].addr = addr;
	i->own4[i->n4].mask = mask;
	i->own4[i->n4++].broadcast = p->len < 31 ? addr | ~mask : UINT32_MAX; /* RFC 3021: /31 has none */
}

/* RFC 4291 appendix A: neighbours expect every IPv6 interface to have one. */
static void
add_link_local(struct interface *i)
{
	struct tr_prefix p = {.addr = {.family = 6, .ip = {0xfe, 0x80}}, .len = 64};
	memcpy(p.addr.ip + 8, i->mac, 3);
	p.addr.ip[8] ^= 2;
	p.addr.ip[11] = 0xff;
	p.addr.ip[12] = 0xfe;
	memcpy(p.addr.ip + 13, i->mac + 3, 3);
	add_address(i, &p);
}

static bool
set_gateways(struct interface *i)
{
	const struct tr_addr *gw = i->options->gateway.items;
	for (uint32_t k = 0; k < i->options->gateway.n; k++) {
		char text[46];
		format_addr(&gw[k], text);
		struct tr_addr *to = gw[k].family == 4 ? &i->gateway4 : &i->gateway6;
		if (!interface_on_link(i, &gw[k]))
			return i->host->fail(i->instance, "gateway %s is not in any of the interface's networks", text), false;
		if (to->family != 0)
			return i->host->fail(i->instance, "a second IPv%u gateway, %s", gw[k].family, text), false;
		*to = gw[k];
	}
	return true;
}

static bool
attach(struct interface *i)
{
	struct port_info info;
	const char *name = i->options->port != NULL ? i->options->port : tr_instance_name(i->instance);
	i->port = port_find(name);
	if (i->port == NULL)
		return i->host->fail(i->instance, "appliance.cfg has no port `%s`", name), false;
	if (port_tun(i->port) != NULL)
		return i->host->fail(i->instance, "port `%s` is the kernel's (`device = \"host\"`): it takes class host", name), false;
	port_show(i->port, &info);
	if (info.mtu != 0 && i->options->mtu > info.mtu)
		return i->host->fail(i->instance, "mtu %u is more than port `%s` carries, %u", (unsigned)i->options->mtu, name,
			       info.mtu), false;
	memcpy(i->mac, info.mac, 6);
	i->mac_high = i->tag == 0 ? neighbour_link(i->mac, 0) << 16 : 1;
	i->mtu = (uint16_t)i->options->mtu;
	i->offload = port_csum_offload(i->port);
	i->link_id = link_id_of(name, i->tag);
	i->trunk = trunk_join(i->port, i->host->workers, i->tag, &i->slot);
	if (i->trunk == NULL)
		return i->host->fail(i->instance, "more than %u VLANs on port `%s`", TRUNK_SLOTS, name), false;
	return true;
}

/* ---- Where peers reach our services on the link itself ---- */

static void
tell_own(struct interface *i, const struct tr_own_endpoint *list, uint16_t n)
{
	void *old = own_tell(i, 0, list, n);
	if (old != NULL)
		i->host->defer(i->instance, free, old);
}

/* Without a mux behind it nothing listens there that peers are told of. */
static void
tell_addresses(struct interface *i)
{
	const struct plan_instance *me = i->instance->plan_instance;
	const struct tr_prefix *address = i->options->address.items;
	struct tr_own_endpoint own[INTERFACE_ADDRESSES];
	uint16_t n = 0;
	if (me == NULL || me->n_out <= INTERFACE_UDP || me->out[INTERFACE_UDP].to < 0 ||
		i->instance->plan->instance[me->out[INTERFACE_UDP].to].class_ != &class_mux)
		return;
	for (uint32_t k = 0; k < i->options->address.n && n < INTERFACE_ADDRESSES; k++)
		own[n++] = (struct tr_own_endpoint){.address.addr = address[k].addr, .kind = TR_OWN_LOCAL};
	tell_own(i, own, n);
	i->told = true;
	engine_stir(i->instance->engine);
}

static void
interface_destroy(void *self)
{
	struct interface *i = self;
	if (i->told)
		tell_own(i, NULL, 0);
	if (i->trunk != NULL)
		trunk_leave(i->trunk, i->slot);
	free(i);
}

static void *
interface_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct interface *i = calloc(1, sizeof(*i));
	if (i == NULL)
		return host->fail(instance, "out of memory"), NULL;
	i->instance = instance;
	i->host = host;
	i->options = options;
	i->tag = (uint16_t)i->options->vlan;
	i->l2_len = i->tag != 0 ? RTE_ETHER_HDR_LEN + 4 : RTE_ETHER_HDR_LEN;
	i->number = number_of(tr_instance_name(instance));
	const struct tr_blocks *b = host->blocks(instance, "neighbours", NEIGHBOUR_LAYOUT, sizeof(struct neighbours), false);
	if (b == NULL || !attach(i))
		goto failed;
	i->neighbours = tr_block(b, 0);
	while (i->neighbours->seed == 0)
		host->crypto->random(&i->neighbours->seed, sizeof(i->neighbours->seed));
	const struct tr_prefix *address = i->options->address.items;
	for (uint32_t k = 0; k < i->options->address.n; k++)
		add_address(i, &address[k]);
	add_link_local(i);
	if (!set_gateways(i))
		goto failed;
	return i;
failed:
	interface_destroy(i);
	return NULL;
}

static bool
parse_neighbour(const char *text, struct tr_addr *a, uint8_t mac[6])
{
	char address[46], rest;
	unsigned b[6];
	if (sscanf(text, "%45s %2x:%2x:%2x:%2x:%2x:%2x%c", address, &b[0], &b[1], &b[2], &b[3], &b[4], &b[5], &rest) != 7 ||
		!parse_addr(address, a))
		return false;
	for (unsigned k = 0; k < 6; k++)
		mac[k] = (uint8_t)b[k];
	return (mac[0] & 1) == 0;
}

static bool
is_configured(const struct interface *i, const struct tr_addr *a)
{
	const char *const *text = i->options->neighbours.items;
	struct tr_addr b;
	uint8_t mac[6];
	for (uint32_t k = 0; k < i->options->neighbours.n; k++)
		if (parse_neighbour(text[k], &b, mac) && tr_addr_eq(a, &b))
			return true;
	return false;
}

/* Configured neighbours into the table, and those out that no longer are. */
static int
interface_start(void *self)
{
	struct interface *i = self;
	const char *const *text = i->options->neighbours.items;
	struct tr_addr a;
	uint8_t mac[6];
	for (unsigned k = 0; k < NEIGHBOURS; k++) {
		struct neighbour *e = &i->neighbours->entry[k];
		if (neighbour_state(atomic_load(&e->link)) == NEIGHBOUR_RESOLVED && e->link_id == i->link_id &&
			atomic_load(&e->confirmed) == NEIGHBOUR_STATIC && !is_configured(i, &e->addr))
			neighbour_kill(e, i->host, i->instance);
	}
	for (uint32_t k = 0; k < i->options->neighbours.n; k++) {
		struct neighbour *e = NULL;
		if (!parse_neighbour(text[k], &a, mac) || !interface_on_link(i, &a) ||
			(e = neighbour_get(i->neighbours, i->link_id, &a, i->host->now(i->instance))) == NULL) {
			i->host->fail(i->instance, "neighbour `%s` is not \"ADDRESS MAC\" with an address of the interface's networks", text[k]);
			return -EINVAL;
		}
		neighbour_fix(e, mac);
	}
	tell_addresses(i);
	return 0;
}

static void *
interface_worker_init(void *self, uint16_t worker)
{
	struct interface_worker *w = calloc(1, sizeof(*w));
	const struct interface *i = self;
	if (w == NULL)
		return NULL;
	gather_init(&w->gather);
	i->host->crypto->random(&w->datagram, sizeof(w->datagram));
	return w;
}

static void
interface_worker_fini(struct tr_node *node)
{
	struct interface_worker *w = node->local;
	for (unsigned k = 0; k < w->n_pending; k++)
		for (uint16_t j = 0; j < w->pending[k].n; j++)
			node->host->packet_drop(node, w->pending[k].pkt[j], INTERFACE_DROP_NEIGHBOUR);
	gather_clear(node, &w->gather, INTERFACE_DROP_FRAGMENT + GATHER_LOST);
	free(w);
}

static void
trace_frame(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	if (len < RTE_ETHER_HDR_LEN) {
		snprintf(text, size, "%u bytes", len);
		return;
	}
	snprintf(text, size, "frame to %02x:%02x:%02x:%02x:%02x:%02x, type %04x, %u bytes", data[0], data[1], data[2], data[3],
		data[4], data[5], get_be16(data + 12), len);
}

static const struct tr_option interface_options[] = {
	{"port", TR_OPT_STRING, .change = TR_RECREATE, .offset = offsetof(struct interface_options, port),
		.doc = "port of appliance.cfg; default: the instance's name"},
	{"address", TR_OPT_IFADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED | TR_OPT_LIST, .min = 1,
		.max = INTERFACE_ADDRESSES, .offset = offsetof(struct interface_options, address),
		.doc = "this box's addresses on the link, with the length of their network"},
	{"gateway", TR_OPT_ADDR, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = 2,
		.offset = offsetof(struct interface_options, gateway),
		.doc = "next hop for destinations outside these networks, one per family"},
	{"neighbours", TR_OPT_STRING, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = 1024,
		.offset = offsetof(struct interface_options, neighbours),
		.doc = "neighbours that are not asked: a list of \"ADDRESS MAC\", such as \"192.0.2.9 02:00:00:00:00:09\""},
	{"vlan", TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 4094, .offset = offsetof(struct interface_options, vlan),
		.doc = "802.1Q tag; absent: untagged"},
	{"mtu", TR_OPT_UINT, .change = TR_RECREATE, .flags = TR_OPT_MTU, .min = 68, .max = 9600, .def = "1500",
		.offset = offsetof(struct interface_options, mtu), .doc = "largest IP packet sent here"},
	{0},
};
static const struct tr_in_gate interface_in[] = {
	{"ip", TR_TYPE_IP, .process = interface_send, .trace = trace_ip, .doc = "packets to send on the link"},
	{"reply", TR_TYPE_IP, TR_GATE_INTERNAL, .process = interface_send, .trace = trace_ip,
		.doc = "answers to echo requests, errors about packets for this box"},
	{"frame", TR_TYPE_IP, TR_GATE_INTERNAL, .process = interface_send_frames, .trace = trace_frame,
		.doc = "complete frames: ARP, ND, packets that waited for a neighbour"},
	{0},
};
static const struct tr_out_gate interface_out[] = {
	[INTERFACE_IP] = {"ip", TR_TYPE_IP, .writes = TR_META_L3, .doc = "packets that are not for this box"},
	[INTERFACE_UDP] = {"udp", TR_TYPE_UDP, .writes = TR_META_L3 | TR_META_ENDPOINT, .doc = "datagrams for our addresses"},
	[INTERFACE_ICMP] = {"icmp", TR_TYPE_IP, TR_GATE_OPTIONAL, TR_META_L3,
		"errors about packets to be sent: no answer from the neighbour, no gateway, larger than the mtu; "
		"answers to echo requests that were routed here"},
	[INTERFACE_HOST] = {"host", TR_TYPE_IP, TR_GATE_OPTIONAL, TR_META_L3,
		"packets for our addresses that are neither datagrams nor echo requests: for the kernel of this box (class host)"},
	[INTERFACE_REPLY] = {"reply", TR_TYPE_IP, TR_GATE_INTERNAL, .doc = "answers to echo requests, errors about packets for this box"},
	[INTERFACE_FRAME] = {"frame", TR_TYPE_IP, TR_GATE_INTERNAL, .doc = "complete frames"},
	{0},
};
static const struct tr_drop_reason interface_drops[] = {
	IP_FAULT_REASONS,
	UDP_FAULT_REASONS,
	GATHER_REASON_TEXTS,
	{"frame_short", "shorter than an Ethernet header and the least of payloads"},
	{"segmented", "does not fit one packet buffer"},
	{"no_room", "too little room for headers or trailers in the packet buffer"},
	{"vlan", "tag of a VLAN that no interface of this port has, or none where one is expected"},
	{"not_for_us", "unicast frame to another station"},
	{"ethertype", "neither IPv4, IPv6 nor ARP"},
	{"link_multicast", "unicast packet in a broadcast or multicast frame"},
	{"multicast", "multicast or broadcast that this box takes no part in"},
	{"consumed", "ARP, ND or path MTU message that was taken in"},
	{"arp", "malformed ARP message"},
	{"nd", "malformed or forged ND message"},
	{"icmp_checksum", "ICMP checksum wrong"},
	{"icmp", "ICMP message for this box that it does not answer"},
	{"protocol", "for this box, but neither UDP nor ICMP, and gate host leads nowhere"},
	{"options", "for this box: source route, malformed IPv4 options, IPv6 options or a routing header that it does not take"},
	{"too_big", "larger than the mtu"},
	{"probe", "larger than the mtu, to see whether it would pass"},
	{"no_source", "no address of this family for a packet made here"},
	{"broadcast", "multicast or broadcast of others: not sent on"},
	{"no_gateway", "destination outside the networks, and no gateway of the family"},
	{"neighbour_queue", "too many packets wait for neighbours"},
	{"neighbour_table", "too many neighbours"},
	{"neighbour", "the neighbour does not answer"},
	{"tx_full", "the port took no more"},
	{0},
};
static const struct tr_counter interface_counters[] = {
	[INTERFACE_ARP_SENT] = {"arp_sent", "ARP requests and replies"},
	[INTERFACE_ND_SENT] = {"nd_sent", "neighbour solicitations and advertisements"},
	[INTERFACE_ECHO] = {"echo", "echo requests answered"},
	[INTERFACE_PATH_MTU] = {"path_mtu", "ICMP messages that told the MTU of a path"},
	[INTERFACE_CONFLICT] = {"conflict", "ARP and ND messages of others who claim one of our addresses"},
	{0},
};

_Static_assert(sizeof(interface_drops) / sizeof(*interface_drops) == INTERFACE_DROP_TX_FULL + 2, "one text per reason");

const struct tr_class class_interface = {
	.name = "interface",
	.summary = "Ethernet, ARP, ND and this box's addresses on one port or VLAN",
	.options = interface_options,
	.options_size = sizeof(struct interface_options),
	.in = interface_in,
	.out = interface_out,
	.drops = interface_drops,
	.counters = interface_counters,
	.create = interface_create,
	.worker_init = interface_worker_init,
	.start = interface_start,
	.worker_fini = interface_worker_fini,
	.destroy = interface_destroy,
	.poll = interface_poll,
	.show = interface_show,
	.commands = interface_commands,
};
