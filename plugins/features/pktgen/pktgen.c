/* SPDX-License-Identifier: BSD-3-Clause */
#include "pktgen.h"

#include "set.h"
#include "stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <tailrace/show.h>
#include <tailrace/udp.h>

/* ---- Worker ---- */

static uint32_t
pktgen_poll(struct tr_node *node)
{
	struct pktgen *g = node->self;

	if (node->worker != 0)
		return 0;
	traffic_watch(g, *node->now);
	sessions_tick(node, g, *node->now);
	return traffic_out(node, g, *node->now);
}

static void
cipher_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	if (node->worker == 0) {
		traffic_in(node, node->self, pkts, n, gate);
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		tr_meta(pkts[i])->peer = TR_NO_PEER; /* which worker 0 owns */
		gate[i] = OUT_OWN_CIPHER;
	}
}

static void
own_cipher_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	traffic_in(node, node->self, pkts, n, gate);
}

static void
plain_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	if (node->worker == 0) {
		plain_in(node, node->self, pkts, n, gate);
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		tr_meta(pkts[i])->peer = TR_NO_PEER;
		gate[i] = OUT_OWN_PLAIN;
	}
}

static void
own_plain_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	plain_in(node, node->self, pkts, n, gate);
}

/* ---- Lifecycle ---- */

static void
pktgen_reconfigure(void *self, const void *options)
{
	struct pktgen *g = self;
	const struct options *o = options;

	const struct {
		_Atomic uint64_t *to;
		uint64_t value;
	} numbers[] = {{&g->rate, o->rate}, {&g->forge, o->forge}, {&g->replay, o->replay}, {&g->swap, o->swap}, {&g->roam, o->roam},
		{&g->flood, o->flood}};
	char why[1];

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		atomic_store_explicit(numbers[i].to, numbers[i].value, memory_order_relaxed);
	sizes_set(&g->sizes, o->size, PROBE_MIN(o->inside.family), (uint32_t)o->mtu, why, sizeof(why)); /* check() has agreed */
	atomic_store_explicit(&g->mode, o->direction, memory_order_relaxed);
	atomic_store_explicit(&g->flood_mac1, o->flood_mac1, memory_order_relaxed);
	g->live = *o;
}

static bool
pktgen_check(const void *options, char *text, size_t size)
{
	const struct options *o = options;

	if (o->inside.family != o->sink.family) {
		snprintf(text, size, "inside and sink are of different families");
		return false;
	}
	const struct tr_addr *from = o->from.items;
	for (uint32_t i = 0; i < o->from.n; i++) {
		if (from[i].family != o->target.addr.family) {
			snprintf(text, size, "from and target are of different families");
			return false;
		}
	}
	return sizes_set(NULL, o->size, PROBE_MIN(o->inside.family), (uint32_t)o->mtu, text, size);
}

/* In huge pages: with many sessions in turn the TLB would miss as often as the cache. NULL: no memory. */
static struct hot *
hot_new(uint64_t sessions)
{
	const size_t size = sessions * sizeof(struct hot);
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	madvise(p, size, MADV_HUGEPAGE);
	madvise(p, size, MADV_DONTDUMP); /* keys */
	return p;
}

static void
hot_free(struct hot *hot, uint64_t sessions)
{
	if (hot)
		munmap(hot, sessions * sizeof(*hot));
}

static void *
pktgen_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct options *o = options;
	struct pktgen *g = calloc(1, sizeof(*g));

	if (g) {
		g->session = calloc(o->sessions, sizeof(*g->session));
		g->hot = hot_new(o->sessions);
	}
	if (!g || !g->session || !g->hot) {
		host->fail(instance, "out of memory for %lu sessions", (unsigned long)o->sessions);
		if (g) {
			hot_free(g->hot, o->sessions);
			free(g->session);
		}
		free(g);
		return NULL;
	}
	g->host = host;
	g->instance = instance;
	g->o = *o;
	g->gateway.family = o->target.addr.family;
	g->gateway.remote_port = o->target.port;
	memcpy(g->gateway.remote, o->target.addr.ip, sizeof(g->gateway.remote));
	g->jitter = o->seed;
	pattern_init(&g->pattern);
	host->crypto->blake2s(g->mac1_key, 32, NULL, 0, (const void *[]){"mac1----", o->public_key.b}, (const size_t[]){8, 32}, 2);
	pktgen_reconfigure(g, options);
	if (o->autostart)
		g->run.wanted = g->run.runs = 1;
	return g;
}

static void
pktgen_fini(struct tr_node *node)
{
	if (node->worker == 0)
		faults_drop(node, node->self);
}

static void
pktgen_destroy(void *self)
{
	struct pktgen *g = self;

	g->host->crypto->wipe(g->session, g->o.sessions * sizeof(*g->session));
	g->host->crypto->wipe(g->hot, g->o.sessions * sizeof(*g->hot));
	hot_free(g->hot, g->o.sessions);
	g->host->crypto->wipe(&g->o, sizeof(g->o));
	g->host->crypto->wipe(&g->live, sizeof(g->live));
	free(g->size_text);
	free(g->session);
	free(g);
}

/* ---- Options ---- */

#define OPTION(field) .offset = offsetof(struct options, field)

static const char *const mode_names[] = {"up", "down", "both", "through", NULL};
static const char *const mac1_names[] = {"bad", "good", NULL};

static const struct tr_option pktgen_options[] = {
	{.key = "target", .type = TR_OPT_SOCKADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, .def = ":51820",
		OPTION(target), .doc = "Where the gateway listens."},
	{.key = "public_key", .type = TR_OPT_KEY, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, OPTION(public_key),
		.doc = "The gateway's public key."},
	{.key = "preshared_key", .type = TR_OPT_SECRET, .change = TR_RECREATE, OPTION(preshared_key),
		.doc = "Preshared key of every session."},
	{.key = "port", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 65535, .def = "20000", OPTION(port),
		.doc = "UDP port of the first session; each has the next one, and after 65535 they begin here again."},
	{.key = "sessions", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 200000, .def = "1",
		OPTION(sessions), .doc = "How many identities, each with its own key and session."},
	{.key = "seed", .type = TR_OPT_UINT, .change = TR_RECREATE, .def = "1", OPTION(seed),
		.doc = "All private keys are derived from it. They are for tests only: whoever knows the seed knows them."},
	{.key = "inside", .type = TR_OPT_ADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, OPTION(inside),
		.doc = "Address of the first session inside the tunnel; each has the next one."},
	{.key = "sink", .type = TR_OPT_ADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, OPTION(sink),
		.doc = "Address behind the gateway that up packets go to and down packets come from."},
	{.key = "initiate", .type = TR_OPT_BOOL, .change = TR_RECREATE, .def = "true", OPTION(initiate),
		.doc = "Whether sessions are opened by us; else we wait for the gateway's initiations."},
	{.key = "open_rate", .type = TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .change = TR_RECREATE, .min = 1, .max = 1000000,
		.def = "1k", OPTION(open_rate), .doc = "Initiations sent per second."},
	{.key = "mtu", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 576, .max = PROBE_MAX, .def = "1420", OPTION(mtu),
		.doc = "Largest packet inside the tunnel: padding ends there."},
	{.key = "direction", .type = TR_OPT_ENUM, .change = TR_LIVE, .names = mode_names, .def = "up", OPTION(direction),
		.doc = "up: sealed here, expected at the plain gate. down: the reverse. both: in turn. through: from each session "
		       "to the next."},
	{.key = "rate", .type = TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .change = TR_LIVE, .min = 1, .max = 100000000,
		.def = "1k", OPTION(rate), .doc = "Packets sent per second, over all sessions."},
	{.key = "size", .type = TR_OPT_STRING, .change = TR_LIVE, .def = "512", OPTION(size),
		.doc = "Length of the packets inside the tunnel, IP header included; or a mix of them: 28x64,16x570,4x1420."},
	{.key = "forge", .type = TR_OPT_UINT, .change = TR_LIVE, .max = 1000000000, .def = "0", OPTION(forge),
		.doc = "Before every Nth data packet goes a copy of it with a wrong tag; 0: never."},
	{.key = "replay", .type = TR_OPT_UINT, .change = TR_LIVE, .max = 1000000000, .def = "0", OPTION(replay),
		.doc = "Every Nth data packet is sent twice; 0: none."},
	{.key = "swap", .type = TR_OPT_UINT, .change = TR_LIVE, .max = 1000000000, .def = "0", OPTION(swap),
		.doc = "Every Nth data packet is held back until the next one of its session has gone; 0: none."},
	{.key = "roam", .type = TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .change = TR_LIVE, .max = 1000000, .def = "0", OPTION(roam),
		.doc = "This often per second a session, each in turn, goes on from the next port and the next of the addresses in from."},
	{.key = "from", .type = TR_OPT_ADDR, .flags = TR_OPT_LIST, .change = TR_RECREATE, OPTION(from),
		.doc = "Own addresses that sessions send from, the next one from the next; without them, the interface's."},
	{.key = "flood", .type = TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .change = TR_LIVE, .max = 10000000, .def = "0", OPTION(flood),
		.doc = "Initiations of nobody, per second, from random ports, while a measurement runs."},
	{.key = "flood_mac1", .type = TR_OPT_ENUM, .change = TR_LIVE, .names = mac1_names, .def = "bad", OPTION(flood_mac1),
		.doc = "Whether they know the gateway's public key, as their mac1 shows."},
	{.key = "autostart", .type = TR_OPT_BOOL, .change = TR_RECREATE, .def = "false", OPTION(autostart),
		.doc = "Begin to send at once, without the start command."},
	{0},
};

/* ---- Operator ---- */

static void
show_run(struct pktgen *g, struct tr_show *out)
{
	static const char *const names[DIRECTIONS] = {"up", "down", "through"};

	run_show(&g->run, out);
	out->uint(out, "counters_seen_twice", meter_get(&g->counter_twice));
	out->uint(out, "counters_too_old", meter_get(&g->counter_old));
	for (int d = 0; d < DIRECTIONS; d++)
		meter_show(&g->meter[d], names[d], out);
}

static void
pktgen_show(void *self, struct tr_show *out)
{
	struct pktgen *g = self;

	out->uint(out, "sessions", g->o.sessions);
	out->uint(out, "sessions_up", meter_get(&g->up));
	out->uint(out, "all_up_after_ns", meter_get(&g->all_up_ns));
	out->text(out, "direction", mode_names[atomic_load_explicit(&g->mode, memory_order_relaxed)]);
	out->uint(out, "rate", meter_get(&g->rate));
	out->uint(out, "size", sizes_mean(&g->sizes));
	show_run(g, out);
}

static int
command_start(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct pktgen *g = self;

	return run_start(&g->run, argc, argv, out);
}

static int
command_stop(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct pktgen *g = self;

	run_stop(&g->run);
	show_run(g, out);
	return 0;
}

static int
command_report(void *self, int argc, char *const *argv, struct tr_show *out)
{
	show_run(self, out);
	return 0;
}

static int
command_peers(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct pktgen *g = self;
	uint8_t secret[32], public_key[32];

	out->list(out, "peers");
	for (uint32_t n = 0; n < g->o.sessions && n < 1000; n++) {
		struct tr_addr inside = probe_address(&g->o.inside, n);
		session_secret(g->host->crypto, g->o.seed, n, secret);
		g->host->crypto->public_key(public_key, secret);
		out->begin(out, NULL);
		out->key(out, "public_key", public_key);
		out->addr(out, "address", &inside);
		out->end(out);
	}
	out->end(out);
	g->host->crypto->wipe(secret, sizeof(secret));
	return 0;
}

static int
command_reconnect(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct pktgen *g = self;

	atomic_fetch_add_explicit(&g->wanted_epoch, 1, memory_order_relaxed);
	out->uint(out, "sessions", g->o.sessions);
	return 0;
}

static int
command_set(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct pktgen *g = self;
	struct options o = g->live;
	int rc = set_command(&(struct settings){pktgen_options, pktgen_check, pktgen_reconfigure, g, &o, &o.size, &g->size_text}, argc,
		argv, out);

	g->host->crypto->wipe(&o, sizeof(o));
	return rc;
}

static const struct tr_command commands[] = {
	{"start", "[SECONDS]", "Begins a measurement from zero; without SECONDS it runs until stop.", command_start},
	{"stop", "", "Stops the sender and reports; packets under way count as lost until the next report.", command_stop},
	{"report", "", "What the current or last measurement counted.", command_report},
	{"reconnect", "", "All sessions are forgotten and opened anew, as after a restart.", command_reconnect},
	{"set", "OPTION VALUE", "Changes a live option until the next reload or restart.", command_set},
	{"peers", "", "Public keys and addresses of the first 1,000 sessions, for the gateway's netmap.", command_peers},
	{0},
};

/* ---- The tables ---- */

static const struct tr_in_gate in_gates[] = {
	[IN_CIPHER] = {.name = "cipher", .type = TR_TYPE_UDP, .process = cipher_process,
		.doc = "WireGuard datagrams to any of the sessions' ports."},
	[IN_PLAIN] = {.name = "plain", .type = TR_TYPE_ANY, .process = plain_process,
		.doc = "Up packets as they come out of the gateway; links of type ip and udp."},
	[IN_OWN_CIPHER] = {.name = "own_cipher", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL, .process = own_cipher_process,
		.doc = "The same on the one worker that keeps the books."},
	[IN_OWN_PLAIN] = {.name = "own_plain", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = own_plain_process,
		.doc = "The same on the one worker that keeps the books."},
	{0},
};

static const struct tr_out_gate out_gates[] = {
	[OUT_CIPHER] = {.name = "cipher", .type = TR_TYPE_ENDPOINT, .writes = TR_META_ENDPOINT,
		.doc = "WireGuard messages to the gateway."},
	[OUT_PLAIN] = {.name = "plain", .type = TR_TYPE_IP, .flags = TR_GATE_OPTIONAL,
		.writes = TR_META_L3 | TR_META_NEXT_HOP, .doc = "Down packets, in clear, towards the gateway's other side."},
	[OUT_OWN_CIPHER] = {.name = "own_cipher", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.doc = "To the worker that keeps the books."},
	[OUT_OWN_PLAIN] = {.name = "own_plain", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.doc = "To the worker that keeps the books."},
	{0},
};

static const struct tr_drop_reason drops[] = {
	[DROP_RECEIVED] = {"received", "Took part in the handshake or was measured: the normal end of a packet here."},
	[DROP_MALFORMED] = {"malformed", "No WireGuard message, or of a wrong length."},
	[DROP_UNKNOWN] = {"unknown", "For no session of ours, or for one that is over."},
	[DROP_FORGED] = {"forged", "A MAC or tag is wrong."},
	[DROP_REPLAY] = {"replay", "Its counter was seen before under this receiver index, or is too old to tell."},
	[DROP_BUSY] = {"busy", "A handshake message that came while no job was free, or one of this session was under way."},
	[DROP_NO_ROOM] = {"no_room", "The packet pool's buffers are too small for the configured size."},
	{0},
};

static const struct tr_counter counters[] = {
	[INITIATIONS] = {"initiations", "Initiations sent."},
	[RESPONSES] = {"responses", "The gateway's initiations answered."},
	[COOKIES] = {"cookies", "Cookie replies taken."},
	[SESSIONS] = {"sessions", "Keypairs made, in either role."},
	[KEEPALIVES] = {"keepalives", "Keepalives sent."},
	[OTHER] = {"other", "Authentic or plain packets that are none of ours."},
	[STALE] = {"stale", "Packets of an earlier measurement."},
	[FOREIGN] = {"foreign", "Packets sealed for another session than the one they were sent to."},
	[NO_PACKET] = {"no_packet", "Not sent: the packet pool was empty."},
	[NO_SESSION] = {"no_session", "Not sent: no session was up."},
	[FORGERIES] = {"forgeries", "Copies with a wrong tag sent."},
	[REPLAYS] = {"replays", "Packets sent a second time."},
	[SWAPS] = {"swaps", "Packets that the next one of their session overtook here."},
	[ROAMS] = {"roams", "Changes of a session's port."},
	[FLOODED] = {"flooded", "Initiations of nobody sent."},
	[FLOOD_COOKIES] = {"flood_cookies", "Cookie replies to them."},
	[CORRUPT] = {"corrupt", "Packets of ours whose contents were changed on the way; they count as lost, too."},
	{0},
};

static const struct tr_class pktgen_class = {
	.name = "pktgen",
	.summary = "Test peer: many WireGuard identities, an open-loop sender, a receiver that keeps books",
	.options = pktgen_options,
	.options_size = sizeof(struct options),
	.in = in_gates,
	.out = out_gates,
	.drops = drops,
	.counters = counters,
	.commands = commands,
	.create = pktgen_create,
	.reconfigure = pktgen_reconfigure,
	.worker_fini = pktgen_fini,
	.destroy = pktgen_destroy,
	.check = pktgen_check,
	.poll = pktgen_poll,
	.show = pktgen_show,
};

static const struct tr_class *const classes[] = {&pktgen_class, &stream_class, NULL};

TR_PLUGIN(.name = "pktgen", .version = TR_VERSION, .summary = "Test peer and traffic generator", .classes = classes);
