/* SPDX-License-Identifier: BSD-3-Clause */
/* The class: its life on the control thread, its tables. */
#include "wireguard.h"

#include <tailrace/show.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void
wipe_identity(void *ptr)
{
	struct identity *id = ptr;
	explicit_bzero(id, sizeof(*id));
	free(id);
}

static bool
is_zero(const struct wg *wg, const struct tr_secret *s)
{
	static const struct tr_secret zero;
	return wg->crypto->equal(s, &zero, sizeof(zero));
}

/* NULL for a zero key. False: out of memory. */
static bool
make_identity(struct wg *wg, const struct tr_secret *key, struct identity **out)
{
	*out = NULL;
	if (is_zero(wg, key))
		return true;
	*out = calloc(1, sizeof(**out));
	if (!*out)
		return false;
	noise_identity(wg->crypto, &(*out)->noise, key);
	(*out)->epoch = wg->shared->epoch;
	return true;
}

static bool
find_blocks(struct wg *wg)
{
	const struct tr_host *host = wg->host;
	const struct tr_blocks *shared = host->blocks(wg->instance, "shared", 1, sizeof(struct shared), false);
	wg->hot = host->blocks(wg->instance, "hot", 1, sizeof(struct hot), true);
	wg->pairs = host->blocks(wg->instance, "pairs", 2, sizeof(struct pairs), true);
	wg->peers = host->blocks(wg->instance, "peer", 1, sizeof(struct peer), true);
	wg->workers = host->blocks(wg->instance, "worker", 1, host->workers * sizeof(struct worker), false);
	if (!shared || !wg->hot || !wg->pairs || !wg->peers || !wg->workers)
		return false;
	wg->shared = tr_block(shared, 0);
	return true;
}

static void *
wg_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct wg_options *o = options;
	struct wg *wg = calloc(1, sizeof(*wg));
	if (!wg) {
		host->fail(instance, "out of memory");
		return NULL;
	}
	wg->host = host;
	wg->crypto = host->crypto;
	wg->instance = instance;
	wg->listen = (uint16_t)o->listen;
	wg->mtu = (uint32_t)o->mtu;
	wg->fwmark = (uint32_t)o->fwmark;
	if (!find_blocks(wg) || !make_identity(wg, &o->private_key, &wg->identity)) {
		free(wg);
		return NULL;
	}
	wg->shared->users++;
	return wg;
}

static int
wg_start(void *self)
{
	struct wg *wg = self;
	wg->uapi = uapi_new(wg);
	return wg->uapi ? 0 : -EADDRINUSE;
}

static void
wg_stop(void *self)
{
	struct wg *wg = self;
	uapi_free(wg->uapi);
	wg->uapi = NULL;
	if (wg->expire_timer)
		wg->host->watch_close(wg->expire_timer);
	wg->expire_timer = NULL;
}

/* The last object to use the state blocks leaves no packet and no key in them. */
static void
wg_worker_fini(struct tr_node *node)
{
	struct wg *wg = node->self;
	struct worker *w = worker_of(node);
	if (wg->shared->users > 1)
		return;
	for (uint32_t id = w->active; id; id = peer_of(wg, id)->active_next) {
		peer_drop_staged(node, id, DROP_PEER_GONE);
		wg->crypto->wipe(&hot_of(wg, id)->send, sizeof(struct sending));
		wg->crypto->wipe(tr_block(wg->pairs, id), sizeof(struct pairs));
		wg->crypto->wipe(&peer_of(wg, id)->handshake, sizeof(struct noise_handshake));
		wg->crypto->wipe(&peer_of(wg, id)->cookie, sizeof(struct cookie_held));
		wg->crypto->wipe(peer_of(wg, id)->next_key, 32);
	}
	wg->crypto->wipe(&w->cookies, sizeof(w->cookies));
}

static void
wg_destroy(void *self)
{
	struct wg *wg = self;
	wg->shared->users--;
	if (wg->identity)
		wipe_identity(wg->identity);
	free(wg);
}

/* ---- A new private key ends every session ---- */

static void
expire_peer(struct tr_node *node, uint32_t id, uint64_t arg)
{
	const struct peer *p = peer_of(node->self, id);
	if (p->active)
		peer_erase(node, id);
	if (p->staged_n || p->keepalive)
		send_keepalive(node, id); /* asks for a session */
}

/* Tells the owners, a batch at a time: an inbox that is full is tried again. */
static void
expire_some(void *arg)
{
	struct wg *wg = arg;
	uint32_t end = wg->expire_next + 65536;
	for (; wg->expire_next && wg->expire_next < wg->peers->count && wg->expire_next < end; wg->expire_next++)
		if (wg->host->peer(wg->instance, wg->expire_next) &&
			wg->host->post_peer(wg->instance, wg->expire_next, expire_peer, 0) != 0)
			return;
	if (wg->expire_next < wg->peers->count)
		return;
	wg->expire_next = 0;
	wg->host->watch_close(wg->expire_timer);
	wg->expire_timer = NULL;
}

static void
new_identity(struct wg *wg, struct identity *id)
{
	struct identity *old = wg->identity;
	__atomic_store_n(&wg->identity, id, __ATOMIC_RELEASE);
	if (old)
		wg->host->defer(wg->instance, wipe_identity, old);
	wg->expire_next = 1;
	if (!wg->expire_timer)
		wg->expire_timer = wg->host->watch_timer(wg->instance, 1, 4, expire_some, wg);
}

static void
wg_reconfigure(void *self, const void *options)
{
	struct wg *wg = self;
	const struct wg_options *o = options;
	struct identity *id;
	struct tr_secret none = {0};
	const struct tr_secret *now = wg->identity ? &wg->identity->noise.private_key : &none;

	__atomic_store_n(&wg->listen, (uint16_t)o->listen, __ATOMIC_RELAXED);
	__atomic_store_n(&wg->mtu, (uint32_t)o->mtu, __ATOMIC_RELAXED);
	wg->fwmark = (uint32_t)o->fwmark;
	if (wg->crypto->equal(now, &o->private_key, sizeof(none)))
		return;
	wg->shared->epoch++;
	if (make_identity(wg, &o->private_key, &id))
		new_identity(wg, id);
	else
		wg->host->log(wg->instance, TR_LOG_ERROR, "private_key: out of memory, the old one stays");
}

/* ---- What the operator sees ---- */

struct show_peers {
	struct wg *wg;
	struct tr_show *out;
	uint64_t rx, tx;
	uint32_t n, up;
};

static const char *
peer_state(const struct wg *wg, uint32_t id, const struct tr_endpoint *to)
{
	if (wg->host->now(wg->instance) < __atomic_load_n(&hot_of(wg, id)->send.reject_at, __ATOMIC_RELAXED))
		return "up";
	if (!to->family)
		return "no endpoint";
	if (__atomic_load_n(&peer_of(wg, id)->state, __ATOMIC_RELAXED) != HANDSHAKE_NONE)
		return "handshaking";
	return "idle";
}

static void
show_endpoint(struct tr_show *s, const struct tr_endpoint *e)
{
	struct tr_addr a = {.family = e->family};
	if (!e->family || e->gate)
		return;
	memcpy(a.ip, e->remote, e->family == 4 ? 4 : 16);
	s->begin(s, "endpoint");
	s->addr(s, "address", &a);
	s->uint(s, "port", e->remote_port);
	s->end(s);
}

static void
show_peer(void *arg, const struct tr_peer *p)
{
	struct show_peers *v = arg;
	const struct wg *wg = v->wg;
	struct tr_show *s = v->out;
	struct tr_endpoint to;
	uint64_t session, wall = wg->host->wall(wg->instance);
	uint64_t rx = __atomic_load_n(&hot_of(wg, p->id)->t.rx_bytes, __ATOMIC_RELAXED);
	uint64_t tx = __atomic_load_n(&hot_of(wg, p->id)->t.tx_bytes, __ATOMIC_RELAXED);

	wg->host->path_show(wg->instance, p->id, &to, &session);
	const char *state = peer_state(wg, p->id, &to);
	s->begin(s, NULL);
	s->key(s, "public_key", p->public_key);
	if (p->name)
		s->text(s, "name", p->name);
	s->text(s, "state", state);
	show_endpoint(s, &to);
	if (session)
		s->uint(s, "handshake_age_s", wall > session ? (wall - session) / SECOND : 0);
	s->uint(s, "rx_bytes", rx);
	s->uint(s, "tx_bytes", tx);
	s->end(s);
	v->rx += rx;
	v->tx += tx;
	v->n++;
	v->up += state[0] == 'u';
}

static void
wg_show(void *self, struct tr_show *s)
{
	struct show_peers v = {.wg = self, .out = s};
	const struct wg *wg = self;

	if (wg->identity)
		s->key(s, "public_key", wg->identity->noise.public_key);
	s->uint(s, "listen", wg->listen);
	s->uint(s, "mtu", wg->mtu);
	if (wg->fwmark)
		s->uint(s, "fwmark", wg->fwmark);
	s->list(s, "peers");
	wg->host->peer_each(wg->instance, show_peer, &v);
	s->end(s);
	s->uint(s, "peers_total", v.n);
	s->uint(s, "peers_up", v.up);
	s->uint(s, "rx_bytes", v.rx);
	s->uint(s, "tx_bytes", v.tx);
}

struct find_peer {
	const char *name;
	uint32_t id;
};

static void
match_name(void *arg, const struct tr_peer *p)
{
	struct find_peer *f = arg;
	if (p->name && strcmp(p->name, f->name) == 0)
		f->id = p->id;
}

static void
post_handshake(struct tr_node *node, uint32_t id, uint64_t arg)
{
	handshake_start(node, id, false);
}

static int
handshake_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct wg *wg = self;
	struct find_peer f = {.name = argc == 1 ? argv[0] : ""};
	if (argc != 1) {
		out->error(out, "expected: handshake PEER");
		return -EINVAL;
	}
	wg->host->peer_each(wg->instance, match_name, &f);
	if (!f.id) {
		out->error(out, "no peer is named %s", f.name);
		return -ENOENT;
	}
	return wg->host->post_peer(wg->instance, f.id, post_handshake, 0);
}

/* By number, not by name: an exporter asks for every peer in turn. */
static int
traffic_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct wg *wg = self;
	uint32_t id = argc == 1 ? (uint32_t)strtoul(argv[0], NULL, 10) : 0;
	if (id == 0 || id >= wg->peers->count) {
		out->error(out, "expected: traffic NUMBER");
		return -EINVAL;
	}
	out->uint(out, "rx_bytes", __atomic_load_n(&hot_of(wg, id)->t.rx_bytes, __ATOMIC_RELAXED));
	out->uint(out, "tx_bytes", __atomic_load_n(&hot_of(wg, id)->t.tx_bytes, __ATOMIC_RELAXED));
	return 0;
}

/* ---- Trace ---- */

static void
trace_relay(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	static const char *const names[] = {"not WireGuard", "initiation", "response", "cookie reply", "data"};
	enum message_type type = message_type(data, len);
	if (type == MESSAGE_DATA) {
		const struct message_data *h = (const struct message_data *)data;
		snprintf(text, size, "data, receiver %08x, counter %llu, %u bytes", h->receiver,
			(unsigned long long)h->counter, len);
	} else {
		snprintf(text, size, "%s, %u bytes", names[type], len);
	}
}

static void
trace_cipher(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	uint32_t skip = meta->l3_len + 8u;
	trace_relay(data + RTE_MIN(skip, len), len > skip ? len - skip : 0, meta, text, size);
}

static void
trace_plain(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	snprintf(text, size, "IPv%d, %u bytes", len ? data[0] >> 4 : 0, len);
}

static void
trace_peer(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	snprintf(text, size, "peer %u, %u bytes", meta->peer, len);
}

/* ---- Tables ---- */

static const struct tr_option options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .flags = TR_OPT_LISTEN, .min = 1, .max = 65535, .def = "51820",
		.offset = offsetof(struct wg_options, listen), .doc = "UDP port that peers send to."},
	{.key = "private_key", .type = TR_OPT_SECRET, .offset = offsetof(struct wg_options, private_key),
		.doc = "Our static private key; without it no handshake is answered or begun."},
	{.key = "mtu", .type = TR_OPT_UINT, .flags = TR_OPT_MTU, .min = 576, .max = 9500, .def = "1420",
		.offset = offsetof(struct wg_options, mtu), .doc = "Largest IP packet that goes into the tunnel."},
	{.key = "fwmark", .type = TR_OPT_UINT, .max = UINT32_MAX, .offset = offsetof(struct wg_options, fwmark),
		.doc = "Shown by `wg`; no packet passes a kernel whose rules could ask for it."},
	{.key = NULL},
};

/* A message type and three zero bytes, as the first of 8 bytes. */
#define MATCH(type) {.min_len = MESSAGE_DATA_MIN, .mask = 0xffffffffull << 32, .value = (uint64_t)(type) << 56}
static const struct tr_match match[] = {
	MATCH(MESSAGE_DATA), MATCH(MESSAGE_INITIATION), MATCH(MESSAGE_RESPONSE), MATCH(MESSAGE_COOKIE), {.mask = 0}};

static const struct tr_in_gate in_gates[] = {
	[IN_CIPHER] = {.name = "cipher", .type = TR_TYPE_UDP, .process = cipher_process, .trace = trace_cipher,
		.match = match, .doc = "Datagrams of peers."},
	[IN_RELAY] = {.name = "relay", .type = TR_TYPE_ENDPOINT, .reads = TR_META_ENDPOINT, .process = relay_process,
		.trace = trace_relay, .doc = "Messages of peers that came another way than UDP, and the endpoints they are from."},
	[IN_PLAIN] = {.name = "plain", .type = TR_TYPE_IP, .process = plain_process, .trace = trace_plain,
		.doc = "IP packets for peers, chosen by destination address."},
	[IN_OPEN] = {.name = "open", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = open_process,
		.trace = trace_peer, .doc = "Data messages, on the worker that owns the peer."},
	[IN_OPENED] = {.name = "opened", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = opened_process,
		.trace = trace_peer, .doc = "Data messages that another worker, or this one later, has decrypted; back in order."},
	[IN_HANDSHAKE] = {.name = "handshake", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL,
		.process = handshake_process, .trace = trace_peer,
		.doc = "Other messages that passed the cheap checks, on the worker that owns the peer."},
	[IN_SEAL] = {.name = "seal", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = seal_process,
		.trace = trace_peer, .doc = "IP packets whose peer is known, on the worker that owns it."},
	[IN_SEALED] = {.name = "sealed", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL, .process = sealed_process,
		.trace = trace_peer, .doc = "Data messages that another worker, or this one later, has encrypted; back in order."},
	{.name = NULL},
};

static const struct tr_out_gate out_gates[] = {
	[OUT_CIPHER] = {.name = "cipher", .type = TR_TYPE_ENDPOINT, .writes = TR_META_PEER | TR_META_ENDPOINT,
		.doc = "Messages and the endpoints that they go to."},
	[OUT_PLAIN] = {.name = "plain", .type = TR_TYPE_IP, .writes = TR_META_PEER,
		.doc = "IP packets from peers, their source address checked."},
	[OUT_ICMP] = {.name = "icmp", .type = TR_TYPE_IP, .flags = TR_GATE_OPTIONAL, .writes = TR_META_L3,
		.doc = "Errors to senders of packets: for no peer, for one whose address is not known, too big for the path to it."},
	[OUT_OPEN] = {.name = "open", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.writes = TR_META_PEER, .doc = "To the peer's owner."},
	[OUT_OPENED] = {.name = "opened", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL,
		.doc = "Decrypted by whichever worker has room, when this one has too little."},
	[OUT_HANDSHAKE] = {.name = "handshake", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.writes = TR_META_PEER, .doc = "To the peer's owner."},
	[OUT_SEAL] = {.name = "seal", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.writes = TR_META_PEER, .doc = "To the peer's owner."},
	[OUT_SEALED] = {.name = "sealed", .type = TR_TYPE_ENDPOINT, .flags = TR_GATE_INTERNAL,
		.writes = TR_META_PEER | TR_META_ENDPOINT, .doc = "Encrypted by whichever worker has room, when this one has too little."},
	{.name = NULL},
};

static const struct tr_drop_reason drops[] = {
	[DROP_MALFORMED] = {"malformed", "No WireGuard message, or one of a wrong size."},
	[DROP_NO_PRIVATE_KEY] = {"no_private_key", "A handshake message, and there is no private key, or a new one by now."},
	[DROP_BAD_MAC1] = {"bad_mac1", "A handshake message by someone who does not know our public key."},
	[DROP_RATE_LIMITED] = {"rate_limited", "Under load: more than 20 handshake messages a second from one address."},
	[DROP_BUSY] = {"busy", "A handshake message, and all jobs are in use."},
	[DROP_UNKNOWN_INDEX] = {"unknown_index", "For a session or a handshake that does not exist (any more)."},
	[DROP_UNKNOWN_PEER] = {"unknown_peer", "An initiation by someone who is not a peer."},
	[DROP_BAD_HANDSHAKE] = {"bad_handshake", "A handshake message that fails authentication: another key or preshared key."},
	[DROP_STALE_TIMESTAMP] = {"stale_timestamp", "An initiation not newer than one seen: replayed, or the peer's clock went back."},
	[DROP_INITIATION_FLOOD] = {"initiation_flood", "An initiation within 20 ms of this peer's last one."},
	[DROP_UNEXPECTED_RESPONSE] = {"unexpected_response", "A response to no initiation of ours that is still waiting."},
	[DROP_BAD_COOKIE] = {"bad_cookie", "A cookie reply that does not answer our last handshake message."},
	[DROP_INDEXES_FULL] = {"indexes_full", "No receiver index is left for a new session."},
	[DROP_EXPIRED] = {"expired", "For a session older than 180 s, or beyond its number of messages."},
	[DROP_FORGED] = {"forged", "A data message that fails authentication."},
	[DROP_REPLAYED] = {"replayed", "A counter seen before, or more than 8128 behind the greatest."},
	[DROP_BAD_ECN] = {"bad_ecn", "Congestion was marked outside, and the inner packet does not know ECN (RFC 6040)."},
	[DROP_BAD_INNER] = {"bad_inner", "What was encrypted is no IP packet, or a cut one."},
	[DROP_WRONG_SOURCE] = {"wrong_source", "The inner source address is not among the peer's allowed IPs."},
	[DROP_TAKEN_IN] = {"taken_in", "A handshake message or cookie reply that has done its work."},
	[DROP_KEEPALIVE] = {"keepalive", "An empty data message that has done its work."},
	[DROP_BAD_IP] = {"bad_ip", "To be sent: no IP packet, or a cut one."},
	[DROP_NO_PEER] = {"no_peer", "To be sent: no peer is allowed this destination address."},
	[DROP_NO_ENDPOINT] = {"no_endpoint", "To be sent: the peer's address is not known."},
	[DROP_STAGED_FULL] = {"staged_full", "Waited for a session, and 128 newer packets of the peer, or too many in all, wait too."},
	[DROP_NO_ANSWER] = {"no_answer", "Waited for a session, and the peer did not answer for 90 s."},
	[DROP_NO_ROOM] = {"no_room", "No head- or tailroom left in the packet's buffer."},
	[DROP_PEER_GONE] = {"peer_gone", "Waited, and the peer was removed."},
	[DROP_TOO_BIG] = {"too_big", "Sealed it would be larger than the path to the peer carries; the sender is told the MTU."},
	{.name = NULL},
};

static const struct tr_counter counters[] = {
	[COUNT_INITIATIONS_SENT] = {"initiations_sent", "Handshakes begun by us, retries included."},
	[COUNT_INITIATIONS_TAKEN] = {"initiations_taken", "Handshakes begun by peers and answered."},
	[COUNT_RESPONSES_SENT] = {"responses_sent", "Answers to initiations."},
	[COUNT_RESPONSES_TAKEN] = {"responses_taken", "Answers to our initiations."},
	[COUNT_COOKIES_SENT] = {"cookies_sent", "Under load: handshake messages answered by a cookie."},
	[COUNT_COOKIES_TAKEN] = {"cookies_taken", "Cookies that peers under load gave us."},
	[COUNT_SESSIONS] = {"sessions", "Sessions begun, by either side."},
	[COUNT_KEEPALIVES_SENT] = {"keepalives_sent", "Empty data messages."},
	[COUNT_HANDSHAKES_GIVEN_UP] = {"handshakes_given_up", "Handshakes given up after 20 initiations."},
	[COUNT_JOBS_DEFERRED] = {"jobs_deferred", "Own initiations that waited for their turn on the job threads."},
	[COUNT_UNANSWERED] = {"unanswered", "New sessions in which nothing came back for 15 s: the peer answers handshakes, and nothing larger."},
	{.name = NULL},
};

static const struct tr_command commands[] = {
	{.name = "traffic", .args = "NUMBER", .doc = "Bytes from and to a peer, by its number; the exporter asks for them.",
		.run = traffic_command},
	{.name = "handshake", .args = "PEER", .doc = "Begins a new session with a peer, by its name.", .run = handshake_command},
	{.name = NULL},
};

static const char *const requires[] = {"netmap/1", NULL};

static const struct tr_class class_ = {
	.name = "wireguard",
	.summary = "WireGuard: encrypted tunnels to the peers of the netmap, driven by YAML and by `wg`",
	.flags = TR_CLASS_PEERS,
	.options = options,
	.options_size = sizeof(struct wg_options),
	.in = in_gates,
	.out = out_gates,
	.drops = drops,
	.counters = counters,
	.commands = commands,
	.requires = requires,
	.create = wg_create,
	.start = wg_start,
	.reconfigure = wg_reconfigure,
	.stop = wg_stop,
	.worker_fini = wg_worker_fini,
	.destroy = wg_destroy,
	.peer = timers_peer,
	.timer = timers_fire,
	.show = wg_show,
};

static const struct tr_class *const classes[] = {&class_, NULL};

TR_PLUGIN(.name = "wireguard", .version = TR_VERSION, .summary = "The WireGuard transport", .classes = classes);
