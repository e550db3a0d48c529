/* SPDX-License-Identifier: BSD-3-Clause */
/* The class udp-relay: carries datagrams between two clients that can't reach each other, and can reach us. */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <tailrace/reader.h>
#include <tailrace/show.h>

struct options {
	uint64_t listen, paths, rate;
	const char *peers;
	struct tr_list addresses; /* struct tr_sockaddr */
};

static void
relay_reconfigure(void *self, const void *options)
{
	struct relay *r = self;
	const struct options *o = options;
	atomic_store_explicit(&r->listen, (uint16_t)o->listen, memory_order_relaxed);
	atomic_store_explicit(&r->max_paths, (uint32_t)o->paths, memory_order_relaxed);
	atomic_store_explicit(&r->rate, o->rate, memory_order_relaxed);
}

static void *
relay_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct options *o = options;
	const struct tr_blocks *self = host->blocks(instance, "self", 1, sizeof(struct relay_self), false);
	const struct tr_blocks *owners = self ? host->blocks(instance, "owners", 1, sizeof(struct relay_owner), true) : NULL;
	struct relay *r = owners ? calloc(1, sizeof(*r)) : NULL;
	if (r == NULL) {
		if (owners != NULL)
			host->fail(instance, "out of memory");
		return NULL;
	}
	r->instance = instance;
	r->host = host;
	r->self = tr_block(self, 0);
	r->owners = owners;
	if (!r->self->made)
		host->crypto->keypair(r->self->secret, r->self->key);
	r->self->made = 1;
	r->n_addresses = (uint16_t)o->addresses.n;
	if (o->addresses.n != 0)
		memcpy(r->address, o->addresses.items, o->addresses.n * sizeof(r->address[0]));
	relay_reconfigure(r, options);
	return r;
}

static void
relay_peer(struct tr_node *node, enum tr_peer_event event, uint32_t peer)
{
	if (event == TR_PEER_REMOVED)
		relay_forget(node, peer);
}

static void
relay_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct tr_reader in = tr_reader(data, len);
	struct geneve g;
	tr_take(&in, meta->l3_len ? meta->l3_len + 8u : 0);
	if (geneve_read(&g, in.p, tr_left(&in)))
		snprintf(text, size, "path %u, %s, %zu bytes", g.vni, g.control ? "handshake" : g.protocol == GENEVE_DISCO ? "disco" : "wireguard",
			tr_left(&in));
	else
		snprintf(text, size, "no path's number");
}

static void
request_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct disco_allocate a;
	snprintf(text, size, "peer %u %s", meta->peer, disco_parse_allocate(&a, data, len) ? "asks for a path" : "asks for something else");
}

static void
relay_show(void *self, struct tr_show *out)
{
	struct relay *r = self;
	out->key(out, "disco_key", r->self->key);
	out->uint(out, "paths", atomic_load_explicit(&r->self->paths, memory_order_relaxed));
	out->uint(out, "paths_at_most", atomic_load_explicit(&r->max_paths, memory_order_relaxed));
}

static int
relay_status(void *self, int argc, char *const *argv, struct tr_show *out)
{
	const struct relay *r = self;
	const uint32_t paths = atomic_load_explicit(&r->self->paths, memory_order_relaxed);
	char state[64];
	(void)argc;
	(void)argv;
	snprintf(state, sizeof(state), "relays on %u of at most %u path%s", paths, atomic_load_explicit(&r->max_paths, memory_order_relaxed),
		atomic_load_explicit(&r->max_paths, memory_order_relaxed) == 1 ? "" : "s");
	out->text(out, "state", state);
	return 0;
}

static const struct tr_command relay_commands[] = {
	{"status", "", "How many paths it relays on.", relay_status},
	{0},
};

static const struct tr_option relay_options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_LISTEN | TR_OPT_REQUIRED, .min = 1, .max = 65535,
		.offset = offsetof(struct options, listen), .doc = "UDP port that the clients send to."},
	{.key = "peers", .type = TR_OPT_STRING, .change = TR_RESTART, .flags = TR_OPT_PEERS | TR_OPT_REQUIRED,
		.offset = offsetof(struct options, peers),
		.doc = "The transport whose peers may be relayed: those with `relay_client` may ask, for a path between themselves and another."},
	{.key = "addresses", .type = TR_OPT_SOCKADDR, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = DISCO_RELAY_ADDRESSES,
		.offset = offsetof(struct options, addresses),
		.doc = "Where clients reach `listen`, beside what `stun-client` and `portmap` find out and this box's own addresses."},
	{.key = "paths", .type = TR_OPT_UINT, .change = TR_LIVE, .min = 1, .max = GENEVE_VNI_MAX, .def = "1000",
		.offset = offsetof(struct options, paths), .doc = "Paths at most, of all clients; of one peer 16."},
	{.key = "rate", .type = TR_OPT_UINT, .unit = TR_UNIT_BYTES, .change = TR_LIVE, .max = UINT64_C(1) << 40,
		.offset = offsetof(struct options, rate), .doc = "Bytes per second that one client may send on one path; 0: any number."},
	{0},
};

static const struct tr_match relay_match[] = {
	{.offset = 0, .min_len = GENEVE_HEAD, .mask = 0xff7fffff000000ff, .value = (uint64_t)GENEVE_DISCO << 32},
	{.offset = 0, .min_len = GENEVE_HEAD, .mask = 0xff7fffff000000ff, .value = (uint64_t)GENEVE_WIREGUARD << 32},
	{0},
};

static const struct tr_in_gate relay_in[] = {
	[RELAY_IN] = {.name = "in", .type = TR_TYPE_UDP, .process = relay_receive, .trace = relay_trace, .match = relay_match,
		.doc = "Datagrams of clients."},
	[RELAY_REQUESTS] = {.name = "requests", .type = TR_TYPE_ENDPOINT, .reads = TR_META_PEER, .process = relay_requests,
		.trace = request_trace, .doc = "Requests for a path, opened, and the peers that sent them."},
	[RELAY_PATH] = {.name = "path", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = relay_forward,
		.trace = relay_trace, .doc = "Datagrams, at the path's owner."},
	[RELAY_PAIR] = {.name = "pair", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = relay_pairs,
		.trace = request_trace, .doc = "Requests that are permitted, at the path's owner."},
	{0},
};

static const struct tr_out_gate relay_out[] = {
	[RELAY_OUT] = {.name = "out", .type = TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT, .doc = "Datagrams to clients."},
	[RELAY_ANSWERS] = {.name = "answers", .type = TR_TYPE_ENDPOINT, .writes = TR_META_PEER | TR_META_ENDPOINT,
		.doc = "Answers to requests, to be sealed."},
	[RELAY_OUT_PATH] = {.name = "path", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER, .writes = TR_META_PEER,
		.doc = "Datagrams of clients."},
	[RELAY_OUT_PAIR] = {.name = "pair", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER, .writes = TR_META_PEER,
		.doc = "Requests that are permitted."},
	{0},
};

static const struct tr_drop_reason relay_drops[] = {
	[RELAY_NOT_GENEVE] = {"not_geneve", "No Geneve header with disco or WireGuard behind it."},
	[RELAY_UNKNOWN_VNI] = {"unknown_path", "No path has this number, or not any more."},
	[RELAY_UNKNOWN_SOURCE] = {"unknown_source", "Neither client of the path is bound where it came from."},
	[RELAY_NOT_BOUND] = {"not_bound", "The client at the other end is not bound yet."},
	[RELAY_RATE] = {"rate", "The client has used up its rate."},
	[RELAY_UNKNOWN_SENDER] = {"unknown_sender", "A handshake message without the disco key of a client of the path."},
	[RELAY_FORGED] = {"forged", "A handshake message whose box does not open."},
	[RELAY_WRONG] = {"wrong", "A handshake message for another path or client, or with a challenge that was not given to this address."},
	[RELAY_REPLAYED] = {"replayed", "An answer once more."},
	[RELAY_BINDS_RATE] = {"handshake_rate", "More than 10 handshake messages of a client per second."},
	[RELAY_BAD_REQUEST] = {"bad_request", "A request that is too short, or names one client twice."},
	[RELAY_NOT_ALLOWED] = {"not_allowed", "Its peer has no `relay_client`, is no client of the path, or the other client is no peer of ours."},
	[RELAY_FULL] = {"full", "All paths are in use: of the peer 16, or of all as many as `paths` says."},
	[RELAY_BUSY] = {"busy", "The keys of the path are being made, or too many others."},
	[RELAY_NO_ADDRESS] = {"no_address", "No address is known that clients could reach us at."},
	[RELAY_GONE] = {"gone", "A peer has left the netmap, or has a key that is none, and the path with it."},
	[RELAY_CONSUMED] = {"consumed", "Messages that were taken in."},
	{0},
};

static const struct tr_counter relay_counters[] = {
	[RELAY_PACKETS] = {"packets", "Datagrams relayed."},
	[RELAY_BYTES] = {"bytes", "Bytes in these, Geneve header included."},
	[RELAY_ALLOCATED] = {"allocated", "Paths made."},
	[RELAY_ASKED_AGAIN] = {"asked_again", "Requests answered with a path that there was."},
	[RELAY_CHALLENGES] = {"challenges", "Challenges sent."},
	[RELAY_BOUND] = {"bound", "Clients bound to a path."},
	[RELAY_MOVED] = {"moved", "Clients bound from another address or anew."},
	[RELAY_EXPIRED] = {"expired", "Paths not bound within 30 s, or with a client that was silent for 5 minutes."},
	{0},
};

const struct tr_class relay_class = {
	.name = "udp-relay",
	.summary = "Peer relay: carries packets between two peers that can't reach each other directly",
	.flags = TR_CLASS_PROBES,
	.options = relay_options,
	.options_size = sizeof(struct options),
	.in = relay_in,
	.out = relay_out,
	.drops = relay_drops,
	.counters = relay_counters,
	.commands = relay_commands,
	.create = relay_create,
	.reconfigure = relay_reconfigure,
	.destroy = free,
	.peer = relay_peer,
	.timer = relay_tick,
	.show = relay_show,
};
