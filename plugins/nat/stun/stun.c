/* SPDX-License-Identifier: BSD-3-Clause */
/* The STUN server: a request becomes its own answer, in place, on the worker that received it. */
#include "limit.h"
#include "message.h"
#include "stun_client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/host.h>
#include <tailrace/reader.h>
#include <tailrace/show.h>
#include <tailrace/udp.h>

enum { IN };
enum { OUT };
enum { ANSWERED, ANSWERED_CLASSIC, REFUSED };

struct options {
	uint64_t listen;
	uint32_t clients;
	uint64_t rate;
};

struct stun {
	const struct tr_host *host;
	struct crc32 crc;
	/* Written by control (reconfigure), read by workers; each makes sense alone. */
	_Atomic uint32_t clients;
	_Atomic uint64_t interval; /* ns between two answers to one source; 0: no limit */
};

/* Writes the answer over the request: OUT, and its size; or a drop. */
static uint16_t
answer(struct tr_node *node, struct rte_mbuf *m, enum stun_clients clients, uint64_t interval, uint16_t *size)
{
	struct stun *s = node->self;
	const struct tr_endpoint *client = &tr_meta(m)->endpoint;
	struct stun_request r;
	size_t len;
	uint8_t *msg = tr_udp_payload(m, &len);

	int drop = stun_parse(&r, &s->crc, clients, msg, len);
	if (drop != STUN_ACCEPTED)
		return TR_DROP(drop);
	struct limit *l = node->local;
	if (interval > 0 && !limit_pass(l, limit_source(l, client), *node->now, interval))
		return TR_DROP(STUN_RATE);
	if (tr_udp_room(m) < STUN_ANSWER_MAX)
		return TR_DROP(STUN_NO_ROOM);

	*size = (uint16_t)stun_answer(msg, &r, &s->crc, client);
	node->count[r.n_unknown > 0 ? REFUSED : r.classic ? ANSWERED_CLASSIC : ANSWERED]++;
	return OUT;
}

static void
stun_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct stun *s = node->self;
	const enum stun_clients clients = atomic_load_explicit(&s->clients, memory_order_relaxed);
	const uint64_t interval = atomic_load_explicit(&s->interval, memory_order_relaxed);
	uint16_t size[TR_BURST];
	for (uint16_t i = 0; i < n; i++)
		gate[i] = answer(node, pkts[i], clients, interval, &size[i]);
	for (uint16_t i = 0; i < n; i++)
		if (gate[i] == OUT)
			tr_udp_reply(pkts[i], size[i]);
}

static void
stun_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct tr_reader in = tr_reader(data, len);
	tr_take(&in, meta->l3_len + sizeof(struct rte_udp_hdr));
	uint16_t type = tr_be16(&in), length = tr_be16(&in);
	uint32_t cookie = tr_be32(&in);
	snprintf(text, size, "type 0x%04x, length %u, %s%s", type, length, cookie == STUN_COOKIE ? "cookie" : "no cookie",
		in.bad ? ", cut short" : "");
}

static void
stun_reconfigure(void *self, const void *options)
{
	struct stun *s = self;
	const struct options *o = options;
	atomic_store_explicit(&s->clients, o->clients, memory_order_relaxed);
	atomic_store_explicit(&s->interval, o->rate ? LIMIT_BURST_NS / o->rate : 0, memory_order_relaxed);
}

static void *
stun_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct stun *s = calloc(1, sizeof(*s));
	if (s == NULL) {
		host->fail(instance, "out of memory");
		return NULL;
	}
	s->host = host;
	crc32_init(&s->crc);
	stun_reconfigure(s, options);
	return s;
}

static void *
stun_worker_init(void *self, uint16_t worker)
{
	(void)worker;
	struct stun *s = self;
	struct limit *l = aligned_alloc(64, RTE_ALIGN_CEIL(sizeof(*l), 64));
	if (l == NULL)
		return NULL;
	memset(l, 0, sizeof(*l));
	s->host->crypto->random(l->secret, sizeof(l->secret));
	return l;
}

static void
stun_worker_fini(struct tr_node *node)
{
	free(node->local);
}

static void
stun_show(void *self, struct tr_show *out)
{
	static const char *const names[] = {"any", "tailscale"};
	struct stun *s = self;
	uint64_t interval = atomic_load_explicit(&s->interval, memory_order_relaxed);
	out->text(out, "clients", names[atomic_load_explicit(&s->clients, memory_order_relaxed)]);
	out->uint(out, "rate_per_source", interval ? LIMIT_BURST_NS / interval : 0);
}

static const char *const clients_names[] = {"any", "tailscale", NULL};

static const struct tr_option stun_options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_LISTEN, .min = 1, .max = 65535,
		.def = "3478", .offset = offsetof(struct options, listen), .doc = "UDP port that requests come to."},
	{.key = "clients", .type = TR_OPT_ENUM, .change = TR_LIVE, .def = "any", .names = clients_names,
		.offset = offsetof(struct options, clients),
		.doc = "Who is answered: every STUN client, or Tailscale's only (as its derper does)."},
	{.key = "rate", .type = TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .change = TR_LIVE, .min = 0, .max = 1000000,
		.def = "1k", .offset = offsetof(struct options, rate),
		.doc = "Answers per second to one source (IPv4 /32, IPv6 /64), on each worker; 0: no limit."},
	{0},
};

/* Binding requests only: answers to a neighbour's own probes on a shared port are not ours. Length: a multiple of 4. */
static const struct tr_match stun_match[] = {
	{.offset = 0, .min_len = STUN_HEADER, .mask = 0xffff0003ffffffff, .value = 0x0001000000000000 | STUN_COOKIE},
	{0},
};

static const struct tr_in_gate stun_in[] = {
	[IN] = {.name = "in", .type = TR_TYPE_UDP, .process = stun_process, .trace = stun_trace, .match = stun_match,
		.doc = "STUN requests. On a port of its own also those of RFC 3489, which carry no cookie."},
	{0},
};

static const struct tr_out_gate stun_out[] = {
	[OUT] = {.name = "out", .type = TR_TYPE_IP, .writes = TR_META_L3, .doc = "The answers."},
	{0},
};

static const struct tr_drop_reason stun_drops[] = {
	[STUN_NOT_STUN] = {"not_stun", "Shorter than a header, or the top bits of the first byte are set."},
	[STUN_BAD_LENGTH] = {"bad_length", "The length field is no multiple of 4 or differs from the datagram's length."},
	[STUN_NOT_REQUEST] = {"not_request", "An indication or an answer: never answered, lest two servers talk for ever."},
	[STUN_OTHER_METHOD] = {"other_method", "A request other than Binding."},
	[STUN_BAD_ATTRIBUTE] = {"bad_attribute", "An attribute runs past the end."},
	[STUN_BAD_COOKIE] = {"bad_cookie", "clients: tailscale, and no magic cookie."},
	[STUN_BAD_SOFTWARE] = {"bad_software", "clients: tailscale, and no SOFTWARE attribute of its client."},
	[STUN_NO_FINGERPRINT] = {"no_fingerprint", "clients: tailscale, and no FINGERPRINT."},
	[STUN_BAD_FINGERPRINT] = {"bad_fingerprint", "FINGERPRINT is wrong, or not the last attribute."},
	[STUN_CHANGE_REQUEST] = {"change_request", "An RFC 3489 client wants the answer from another address; there is none."},
	[STUN_RATE] = {"rate", "This source has used up its rate."},
	[STUN_NO_ROOM] = {"no_room", "The packet's buffer is too small for an answer."},
	{0},
};

static const struct tr_counter stun_counters[] = {
	[ANSWERED] = {"answered", "Requests answered with the client's address."},
	[ANSWERED_CLASSIC] = {"answered_classic", "The same, for RFC 3489 clients."},
	[REFUSED] = {"refused", "Requests answered with error 420: unknown attributes."},
	{0},
};

static const struct tr_class stun_class = {
	.name = "stun",
	.summary = "STUN server: tells clients the address and port that they are seen from",
	.options = stun_options,
	.options_size = sizeof(struct options),
	.in = stun_in,
	.out = stun_out,
	.drops = stun_drops,
	.counters = stun_counters,
	.create = stun_create,
	.worker_init = stun_worker_init,
	.reconfigure = stun_reconfigure,
	.worker_fini = stun_worker_fini,
	.destroy = free,
	.show = stun_show,
};

static const struct tr_class *const classes[] = {&stun_class, &stun_client_class, NULL};

TR_PLUGIN(.name = "stun", .version = TR_VERSION, .summary = "STUN (RFC 8489): a server on the fast path, and a client", .classes = classes);
