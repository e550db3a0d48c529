/* SPDX-License-Identifier: BSD-3-Clause */
/* The class punch: finds direct paths to the peers of a transport, by disco, as Tailscale's clients do and a little more. */
#include "geneve.h"
#include "report.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/reader.h>
#include <tailrace/show.h>

struct options {
	uint64_t listen, probe_ports;
	struct tr_secret private_key;
	struct tr_key node_key;
	const char *peers;
};

static void
punch_reconfigure(void *self, const void *options)
{
	struct punch *p = self;
	const struct options *o = options;
	atomic_store_explicit(&p->listen, (uint16_t)o->listen, memory_order_relaxed);
	atomic_store_explicit(&p->probe_ports, (uint16_t)o->probe_ports, memory_order_relaxed);
}

/* The options' key, or one of our own that lives as long as the process. */
static void
take_key(struct punch *p, const struct options *o)
{
	static const struct tr_secret none;
	struct self *s = p->self;
	const struct tr_crypto *c = p->host->crypto;
	uint8_t key[DISCO_KEY];
	const bool given = !c->equal(&o->private_key, &none, sizeof(none));
	if (given)
		disco_public(key, o->private_key.b);
	if (given && (s->epoch == 0 || memcmp(key, s->key, DISCO_KEY) != 0)) {
		memcpy(s->secret, o->private_key.b, DISCO_KEY);
		memcpy(s->key, key, DISCO_KEY);
		s->epoch++;
	} else if (!given && s->epoch == 0) {
		c->keypair(s->secret, s->key);
		s->epoch++;
	}
	memcpy(s->node, o->node_key.b, DISCO_KEY);
}

static void *
punch_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct tr_blocks *self = host->blocks(instance, "self", 1, sizeof(struct self), false);
	const struct tr_blocks *peers = self ? host->blocks(instance, "peers", 1, sizeof(struct peer), true) : NULL;
	const struct tr_blocks *probes = peers ? host->blocks(instance, "probes", 1, sizeof(struct probe), true) : NULL;
	const struct tr_blocks *vias = probes ? host->blocks(instance, "vias", 1, sizeof(struct vias), true) : NULL;
	const struct tr_blocks *names = vias ? host->blocks(instance, "via_names", 1, sizeof(struct via_names), true) : NULL;
	const struct tr_blocks *relays = names ? host->blocks(instance, "relays", 1, sizeof(struct relays), false) : NULL;
	const struct tr_blocks *reports = relays ? host->blocks(instance, "reports", 1, sizeof(struct reports), false) : NULL;
	struct punch *p = reports ? calloc(1, sizeof(*p)) : NULL;
	if (p == NULL) {
		if (reports != NULL)
			host->fail(instance, "out of memory");
		return NULL;
	}
	p->instance = instance;
	p->host = host;
	p->self = tr_block(self, 0);
	p->peers = peers;
	p->probes = probes;
	p->vias = vias;
	p->via_names = names;
	p->relays = tr_block(relays, 0);
	p->reports = tr_block(reports, 0);
	take_key(p, options);
	punch_reconfigure(p, options);
	return p;
}

static void
punch_peer(struct tr_node *node, enum tr_peer_event event, uint32_t peer)
{
	if (event == TR_PEER_WANTED) {
		peer_wanted(node, peer);
		return;
	}
	via_peer(node, event, peer);
	if (event == TR_PEER_REMOVED)
		peer_forget(node, peer);
}

static void
punch_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct tr_reader in = tr_reader(data, len);
	tr_take(&in, meta->l3_len ? meta->l3_len + 8u : 0);
	const uint8_t *message = in.p;
	if (!disco_is(message, tr_left(&in))) {
		snprintf(text, size, "not disco");
		return;
	}
	const uint8_t *key = disco_sender(message);
	snprintf(text, size, "disco, %zu bytes, sender %02x%02x%02x%02x…", tr_left(&in), key[0], key[1], key[2], key[3]);
}

static void
geneve_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct tr_reader in = tr_reader(data, len);
	struct geneve g;
	tr_take(&in, meta->l3_len + 8u);
	if (geneve_read(&g, in.p, tr_left(&in)))
		snprintf(text, size, "relay's path %u, %s, %zu bytes", g.vni, g.protocol == GENEVE_DISCO ? "disco" : "wireguard", tr_left(&in));
	else
		snprintf(text, size, "not by a relay");
}

static void
other_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	snprintf(text, size, "peer %u, type %u, %u bytes", meta->peer, len > 0 ? data[0] : 0, len);
}

static bool
punch_check(const void *options, char *text, size_t size)
{
	const struct options *o = options;
	if (o->probe_ports != 0 && o->listen >= o->probe_ports && o->listen < o->probe_ports + SEARCH_PORTS) {
		snprintf(text, size, "`listen` is one of the %u ports from `probe_ports` on", SEARCH_PORTS);
		return false;
	}
	return true;
}

static void
punch_show(void *self, struct tr_show *out)
{
	static const char *const kinds[] = {"local", "stun", "portmap"};
	struct punch *p = self;
	struct tr_own_endpoint own[TR_OWN_ENDPOINTS];
	const uint16_t n = p->host->own_endpoints(p->instance, atomic_load(&p->listen), own, TR_OWN_ENDPOINTS);
	bool hard = false;
	out->key(out, "disco_key", p->self->key);
	out->list(out, "own_endpoints");
	for (uint16_t i = 0; i < n; i++) {
		out->begin(out, NULL);
		out->addr(out, "address", &own[i].address.addr);
		out->uint(out, "port", own[i].address.port);
		out->text(out, "kind", kinds[own[i].kind]);
		out->end(out);
		hard = hard || own[i].varies;
	}
	out->end(out);
	out->flag(out, "hard_nat", hard);
	report_relays(p, out);
}

/* For the core, which knows of such a path the relay's address and `local`, whose meaning is ours. */
static int
run_relay(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct punch *p = self;
	uint8_t vni[4];
	char *end = NULL;
	const unsigned long id = argc == 2 ? strtoul(argv[0], &end, 10) : 0;
	const struct tr_peer *peer = end != NULL && *end == 0 && id > 0 && id <= UINT32_MAX ? p->host->peer(p->instance, (uint32_t)id) : NULL;
	if (peer == NULL || strlen(argv[1]) < 8 || sodium_hex2bin(vni, sizeof(vni), argv[1], 8, NULL, NULL, NULL) != 0) {
		out->error(out, "expected: relay PEER-ID PATH");
		return -EINVAL;
	}
	const struct tr_endpoint e = {.local = {vni[0], vni[1], vni[2], vni[3]}};
	const struct tr_peer *relay = p->host->peer(p->instance, via_relay(p, (uint32_t)id, wrap_vni(&e)));
	out->text(out, "relay", relay != NULL && relay->name != NULL ? relay->name : "");
	return 0;
}

static const struct tr_command punch_commands[] = {
	{"netcheck", "[start]", "The peer relays, and whether they answer.", report_netcheck},
	{"relay", "PEER-ID PATH", "Which peer relays a path by a peer relay; both as the core has them.", run_relay},
	{"status", "", "How many peer relays answer, and by how many paths they carry.", report_status},
	{0},
};

static const struct tr_option punch_options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_LISTEN | TR_OPT_REQUIRED, .min = 1, .max = 65535,
		.offset = offsetof(struct options, listen), .doc = "UDP port of the transport, which is shared with it."},
	{.key = "peers", .type = TR_OPT_STRING, .change = TR_RESTART, .flags = TR_OPT_PEERS | TR_OPT_REQUIRED,
		.offset = offsetof(struct options, peers), .doc = "The transport: the instance whose peers are to be reached."},
	{.key = "node_key", .type = TR_OPT_KEY, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED,
		.offset = offsetof(struct options, node_key), .doc = "Public key of the transport, which pings name."},
	{.key = "private_key", .type = TR_OPT_SECRET, .change = TR_RECREATE, .offset = offsetof(struct options, private_key),
		.doc = "Disco key; peers must know its public key. Without: a new one at each start, which `show` says."},
	{.key = "probe_ports", .type = TR_OPT_UINT, .change = TR_RECREATE, .flags = TR_OPT_LISTEN_ALSO, .min = 1024, .max = 65280,
		.offset = offsetof(struct options, probe_ports),
		.doc = "The first of 256 UDP ports to search from when this box is behind a hard NAT; without: no search."},
	{0},
};

static const struct tr_match punch_match[] = {
	{.offset = 0, .min_len = DISCO_HEAD, .mask = 0xffffffffffff0000, .value = 0x5453f09f92ac0000},
	{0},
};

static const struct tr_match geneve_match[] = {
	{.offset = 0, .min_len = GENEVE_HEAD, .mask = 0xff7fffff000000ff, .value = (uint64_t)GENEVE_DISCO << 32},
	{.offset = 0, .min_len = GENEVE_HEAD, .mask = 0xff7fffff000000ff, .value = (uint64_t)GENEVE_WIREGUARD << 32},
	{0},
};

static const struct tr_in_gate punch_in[] = {
	[IN_UDP] = {.name = "in", .type = TR_TYPE_UDP, .process = receive_udp, .trace = punch_trace, .match = punch_match,
		.doc = "Disco messages by UDP."},
	[IN_RELAYED] = {.name = "relay", .type = TR_TYPE_ENDPOINT, .reads = TR_META_ENDPOINT, .process = receive_relayed,
		.trace = punch_trace, .match = punch_match, .doc = "Disco messages by a relay, and where they come from."},
	[IN_GENEVE] = {.name = "geneve", .type = TR_TYPE_UDP, .process = wrap_in, .trace = geneve_trace, .match = geneve_match,
		.doc = "What came by peer relays."},
	[IN_WRAP] = {.name = "wrap", .type = TR_TYPE_ENDPOINT, .reads = TR_META_ENDPOINT, .process = wrap_out, .trace = other_trace,
		.doc = "The transport's packets that go by peer relays."},
	[IN_ANSWERS] = {.name = "answers", .type = TR_TYPE_ENDPOINT, .reads = TR_META_PEER | TR_META_ENDPOINT, .process = wrap_answers,
		.trace = other_trace, .doc = "Answers of our own peer relay (class udp-relay), to be sealed."},
	[IN_PEER] = {.name = "peer", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = receive_peer,
		.trace = punch_trace, .doc = "Messages of known peers, at the peer's owner."},
	[IN_SEAL] = {.name = "seal", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = send_sealed, .trace = other_trace,
		.doc = "Messages to peers about peer relays, at the owner of the peer that they go to."},
	[IN_ALLOCATED] = {.name = "allocated", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = via_allocations,
		.trace = other_trace, .doc = "Paths that relays have given us, at the owner of the peer that they lead to."},
	[IN_CHALLENGE] = {.name = "challenge", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = via_challenges,
		.trace = punch_trace, .doc = "Challenges of relays, at the owner of the peer that the path leads to."},
	{0},
};

static const struct tr_out_gate punch_out[] = {
	[OUT] = {.name = "out", .type = TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT, .doc = "Messages to peers."},
	[OUT_WIREGUARD] = {.name = "wireguard", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_OPTIONAL, .writes = TR_META_ENDPOINT,
		.doc = "The transport's packets that came by peer relays."},
	[OUT_REQUESTS] = {.name = "requests", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_OPTIONAL, .writes = TR_META_PEER | TR_META_ENDPOINT,
		.doc = "Requests of peers for a path, opened, for our own peer relay (class udp-relay)."},
	[OUT_PEER] = {.name = "peer", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.writes = TR_META_PEER | TR_META_ENDPOINT, .doc = "Messages of known peers."},
	[OUT_SEAL] = {.name = "seal", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER, .writes = TR_META_PEER,
		.doc = "Messages to peers about peer relays."},
	[OUT_ALLOCATED] = {.name = "allocated", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.writes = TR_META_PEER, .doc = "Paths that relays have given us."},
	[OUT_CHALLENGE] = {.name = "challenge", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.writes = TR_META_PEER, .doc = "Challenges of relays."},
	{0},
};

static const struct tr_drop_reason punch_drops[] = {
	[DROP_NOT_DISCO] = {"not_disco", "Too short, or without disco's magic."},
	[DROP_UNKNOWN] = {"unknown_sender", "No peer has this disco key."},
	[DROP_FORGED] = {"forged", "The box does not open: forged, damaged, or sealed for an older key."},
	[DROP_SHORT] = {"too_short", "Shorter than a message of its type."},
	[DROP_OTHER] = {"other_type", "A type of message that is not known here."},
	[DROP_REPLAYED] = {"replayed", "A pong to nothing that was asked, or a ping once more."},
	[DROP_RATE] = {"rate", "The peer sends more than it may: 50 pings or 2 calls per second, and a few at once."},
	[DROP_BY_UDP] = {"call_by_udp", "A call-me-maybe that did not come by a relay."},
	[DROP_WRONG_NODE] = {"wrong_node", "A call-me-maybe by a relay from another node than the key's."},
	[DROP_BUSY] = {"busy", "The key that is shared with the peer is not made yet."},
	[DROP_PEER_GONE] = {"peer_gone", "The peer has left the netmap, or has another key by now."},
	[DROP_NO_TARGET] = {"no_target", "A ping, answered, whose source has no room among the peer's addresses."},
	[DROP_NO_ROOM] = {"no_room", "A padded ping of ours that is larger than a packet buffer, or a packet without room for a header."},
	[DROP_NOT_GENEVE] = {"not_geneve", "No Geneve header with disco or WireGuard behind it."},
	[DROP_NO_HANDSHAKE] = {"no_handshake", "A message of a relay with which no handshake is under way, or not the challenge that was asked for."},
	[DROP_NOT_ASKED] = {"not_asked", "A path that no relay was asked for."},
	[DROP_NOT_OURS] = {"not_ours", "A path that is not between the peer and us, or for which there is no room."},
	[DROP_NO_RELAY] = {"no_derp", "A message that goes by DERP only, and no region of the peer is known."},
	[DROP_CONSUMED] = {"consumed", "Messages that were taken in."},
	{0},
};

static const struct tr_counter punch_counters[] = {
	[COUNT_PINGS_SENT] = {"pings_sent", "Pings sent."},
	[COUNT_PINGS] = {"pings", "Pings of peers."},
	[COUNT_PONGS_SENT] = {"pongs_sent", "Pings answered."},
	[COUNT_PONGS] = {"pongs", "Answers to our pings."},
	[COUNT_CALLS_SENT] = {"calls_sent", "Call-me-maybe messages sent."},
	[COUNT_CALLS] = {"calls", "Call-me-maybe messages of peers."},
	[COUNT_TIMEOUTS] = {"timeouts", "Pings not answered within 5 s."},
	[COUNT_DOUBTS] = {"doubts", "Times that the path in use was given a copy by DERP, because a pong was overdue."},
	[COUNT_DIRECT] = {"found", "Addresses that answered for the first time."},
	[COUNT_SEARCHES] = {"searches", "Searches for a way through a hard NAT of ours."},
	[COUNT_SEARCH_HITS] = {"search_hits", "Of these, successful."},
	[COUNT_PREDICTIONS] = {"predictions", "Calls that named ports which a hard NAT of ours gives next."},
	[COUNT_PROBES_SENT] = {"probes_sent", "Pings that were padded, to see what the path carries."},
	[COUNT_KEYS] = {"keys", "Shared keys made."},
	[COUNT_NO_PACKET] = {"no_packet", "Messages not sent: no packet was free."},
	[COUNT_ASKED] = {"relays_asked", "Requests to peers that may relay."},
	[COUNT_VIA_CALLS_SENT] = {"relay_calls_sent", "Peers told of a path by a peer relay."},
	[COUNT_VIA_CALLS] = {"relay_calls", "The same of peers."},
	[COUNT_BINDS_SENT] = {"binds_sent", "Handshake messages sent to peer relays."},
	[COUNT_BOUND] = {"bound", "Challenges of peer relays answered."},
	[COUNT_VIA_FOUND] = {"relays_found", "Paths by peer relays that the peer answered on for the first time."},
	[COUNT_WRAPPED] = {"relayed_out", "Packets of the transport sent by peer relays."},
	[COUNT_UNWRAPPED] = {"relayed_in", "Packets for the transport that came by peer relays."},
	[COUNT_SEEN] = {"seen_elsewhere", "Pongs that show us at an address that nobody has told of: STUN servers are asked at once."},
	{0},
};

static const struct tr_class punch_class = {
	.name = "punch",
	.summary = "Finds direct paths to a transport's peers through NATs and firewalls: disco",
	.flags = TR_CLASS_PROBES,
	.options = punch_options,
	.options_size = sizeof(struct options),
	.in = punch_in,
	.out = punch_out,
	.drops = punch_drops,
	.counters = punch_counters,
	.commands = punch_commands,
	.create = punch_create,
	.reconfigure = punch_reconfigure,
	.destroy = free,
	.check = punch_check,
	.peer = punch_peer,
	.timer = peer_tick,
	.show = punch_show,
};

static const struct tr_class *const classes[] = {&punch_class, &relay_class, NULL};

TR_PLUGIN(.name = "punch", .version = TR_VERSION, .summary = "Hole punching and peer relay: disco", .classes = classes);
