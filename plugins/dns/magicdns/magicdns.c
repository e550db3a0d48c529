/* SPDX-License-Identifier: BSD-3-Clause */
/* MagicDNS: names of the netmap are answered on the worker that received the question; others go to the service loop. */
#include "magicdns.h"

#include "answer.h"
#include "forward.h"
#include "stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <tailrace/show.h>
#include <tailrace/udp.h>

#define NOT_OURS SIZE_MAX

struct options {
	uint64_t listen;
	struct tr_list upstreams, tcp; /* struct tr_sockaddr */
	uint64_t timeout, cache, ttl;
};

/*
 * Where in the question the name of its zone begins: the shortest tail that is still ours. A whole name that has no
 * such tail but itself is the zone.
 */
static uint16_t
zone_of(struct tr_node *node, const struct question *q)
{
	size_t at = 0, zone = 0;
	for (;;) {
		const char *dot = memchr(q->text + at, '.', q->text_len - at);
		if (dot == NULL)
			break;
		at = (size_t)(dot + 1 - q->text);
		struct tr_name_find tail = {.name = q->text + at, .len = (uint16_t)(q->text_len - at)};
		node->host->names_find(node, &tail, 1);
		if (tail.status == TR_NAME_FOREIGN)
			break;
		zone = at;
	}
	return (uint16_t)(DNS_HEADER + zone); /* a label takes as many bytes in the message as its text and a dot */
}

static size_t
negative(struct tr_node *node, const struct question *q, uint8_t *msg, size_t room, bool exists, uint16_t zone)
{
	struct magicdns *d = node->self;
	node->count[exists ? NODATA : NXDOMAIN]++;
	return answer_negative(msg, room, q, exists ? DNS_NOERROR : DNS_NXDOMAIN, zone,
		(uint32_t)(node->host->wall(node->instance) / 1000000000), atomic_load_explicit(&d->ttl, memory_order_relaxed));
}

static size_t
answer_name(struct tr_node *node, const struct question *q, uint8_t *msg, size_t room, const struct tr_name_find *name)
{
	struct magicdns *d = node->self;
	if (name->status == TR_NAME_FOREIGN)
		return NOT_OURS;
	if (name->status == TR_NAME_FOUND && answer_has(&name->found, q->type)) {
		node->count[ANSWERED]++;
		return answer_addresses(msg, room, q, &name->found, atomic_load_explicit(&d->ttl, memory_order_relaxed));
	}
	const uint16_t zone = zone_of(node, q);
	return negative(node, q, msg, room, name->status == TR_NAME_FOUND || zone == DNS_HEADER, zone);
}

static size_t
answer_reverse(struct tr_node *node, const struct question *q, uint8_t *msg, size_t room, enum reverse kind,
	const struct tr_addr *addr)
{
	struct magicdns *d = node->self;
	const char *name;
	size_t len;
	enum tr_name_status status = node->host->name_reverse(node, addr, &name, &len);
	if (status == TR_NAME_FOREIGN)
		return NOT_OURS;
	if (kind == REVERSE_ADDRESS && status == TR_NAME_FOUND && (q->type == DNS_PTR || q->type == DNS_ANY)) {
		node->count[ANSWERED]++;
		return answer_pointer(msg, room, q, name, len, atomic_load_explicit(&d->ttl, memory_order_relaxed));
	}
	const bool exists = kind == REVERSE_PARTIAL || (kind == REVERSE_ADDRESS && status == TR_NAME_FOUND);
	return negative(node, q, msg, room, exists, DNS_HEADER);
}

/* What is known of a packet between the steps. */
struct asked {
	struct question q;
	int rcode; /* question_parse()'s */
};

static void
read_question(struct asked *a, struct tr_name_find *name, const uint8_t *msg, size_t len)
{
	a->rcode = question_parse(&a->q, msg, len);
	*name = (struct tr_name_find){.name = a->q.text, .len = a->rcode == DNS_NOERROR ? a->q.text_len : 0};
}

/* Writes the answer over the question: OUT, and its size; or another gate, or a drop. */
static uint16_t
answer(struct tr_node *node, struct rte_mbuf *m, const struct asked *a, const struct tr_name_find *name, uint16_t *answer_size)
{
	struct magicdns *d = node->self;
	const struct question *q = &a->q;
	struct tr_addr addr;
	size_t len, size = NOT_OURS;
	uint8_t *msg = tr_udp_payload(m, &len);
	const size_t room = tr_udp_room(m);

	if (a->rcode < 0)
		return TR_DROP(a->rcode == QUESTION_SHORT ? DROP_SHORT : DROP_NOT_QUERY);
	if (a->rcode == DNS_NOERROR) {
		const enum reverse kind = reverse_parse(q->text, q->text_len, &addr);
		size = kind == REVERSE_NOT ? answer_name(node, q, msg, room, name)
					   : answer_reverse(node, q, msg, room, kind, &addr);
		if (size == NOT_OURS && q->flags & DNS_RD && atomic_load_explicit(&d->upstreams, memory_order_relaxed) > 0) {
			node->count[FORWARDED]++;
			return FORWARD_OUT;
		}
	}
	if (size == NOT_OURS) {
		node->count[REFUSED]++;
		size = answer_error(msg, room, q, a->rcode == DNS_NOERROR ? DNS_REFUSED : (enum dns_rcode)a->rcode);
	}
	if (size == 0)
		return TR_DROP(DROP_NO_ROOM);
	*answer_size = (uint16_t)size;
	return OUT;
}

/* Packets that go through each step together: what one step wrote has reached the cache when the next one reads it. */
#define TOGETHER 8

static void
answer_some(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct asked asked[TOGETHER];
	struct tr_name_find name[TOGETHER];
	uint16_t size[TOGETHER];
	for (uint16_t i = 0; i < n; i++) {
		size_t len;
		const uint8_t *msg = tr_udp_payload(pkts[i], &len);
		read_question(&asked[i], &name[i], msg, len);
	}
	node->host->names_find(node, name, n);
	for (uint16_t i = 0; i < n; i++)
		gate[i] = answer(node, pkts[i], &asked[i], &name[i], &size[i]);
	for (uint16_t i = 0; i < n; i++)
		if (gate[i] == OUT)
			tr_udp_reply(pkts[i], size[i]);
}

static void
magicdns_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i += TOGETHER)
		answer_some(node, pkts + i, RTE_MIN(n - i, TOGETHER), gate + i);
}

/* Of clients over TCP: answers go back to their connections. */
static void
magicdns_asked(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	uint32_t mark[TR_BURST];
	for (uint16_t i = 0; i < n; i++)
		mark[i] = tr_meta(pkts[i])->mark;
	magicdns_process(node, pkts, n, gate);
	for (uint16_t i = 0; i < n; i++) {
		if (gate[i] != OUT)
			continue;
		tr_meta(pkts[i])->mark = mark[i];
		gate[i] = TOLD_OUT;
	}
}

static void
magicdns_trace(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct question q;
	const uint32_t before = meta->l3_len + (uint32_t)sizeof(struct rte_udp_hdr);
	int rcode = len < before ? QUESTION_SHORT : question_parse(&q, data + before, len - before);
	if (rcode == DNS_NOERROR)
		snprintf(text, size, "%.*s type %u%s", q.text_len, q.text, q.type, q.edns ? " edns" : "");
	else
		snprintf(text, size, "no query that can be answered (%d)", rcode);
}

void
magicdns_settings(struct magicdns *d, struct settings *out)
{
	pthread_mutex_lock(&d->lock);
	*out = d->settings;
	pthread_mutex_unlock(&d->lock);
}

static void
magicdns_reconfigure(void *self, const void *options)
{
	struct magicdns *d = self;
	const struct options *o = options;
	struct settings s = {.n_upstreams = o->upstreams.n, .cache = (uint32_t)o->cache, .timeout_ms = o->timeout};
	if (s.n_upstreams > 0)
		memcpy(s.upstream, o->upstreams.items, s.n_upstreams * sizeof(*s.upstream));
	pthread_mutex_lock(&d->lock);
	d->settings = s;
	pthread_mutex_unlock(&d->lock);
	atomic_store_explicit(&d->ttl, (uint32_t)(o->ttl / 1000), memory_order_relaxed);
	atomic_store_explicit(&d->upstreams, s.n_upstreams, memory_order_relaxed);
	if (d->forward != NULL)
		forward_changed(d->forward);
}

static void
magicdns_destroy(void *self)
{
	struct magicdns *d = self;
	forward_free(d->forward);
	streams_free(d->streams);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

static void *
magicdns_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	struct magicdns *d = calloc(1, sizeof(*d));
	if (d == NULL) {
		host->fail(instance, "out of memory");
		return NULL;
	}
	d->instance = instance;
	d->host = host;
	pthread_mutex_init(&d->lock, NULL);
	magicdns_reconfigure(d, options);
	d->forward = forward_new(d);
	d->streams = streams_new(d, &((const struct options *)options)->tcp);
	if (d->forward == NULL || d->streams == NULL) {
		host->fail(instance, "out of memory");
		magicdns_destroy(d);
		return NULL;
	}
	return d;
}

static void
magicdns_worker_fini(struct tr_node *node)
{
	if (node->worker != TR_NO_WORKER)
		return;
	streams_fini(node);
	forward_fini(node);
}

static void
magicdns_show(void *self, struct tr_show *out)
{
	struct magicdns *d = self;
	out->uint(out, "ttl", atomic_load_explicit(&d->ttl, memory_order_relaxed));
	forward_show(d->forward, out);
}

static int
status_command(void *self, int argc, char *const *argv, struct tr_show *out)
{
	(void)argc;
	(void)argv;
	forward_status(((struct magicdns *)self)->forward, out);
	return 0;
}

static const struct tr_command magicdns_commands[] = {
	{.name = "status", .args = "", .doc = "Says how the upstreams do.", .run = status_command},
	{0},
};

static const struct tr_option magicdns_options[] = {
	{.key = "listen", .type = TR_OPT_UINT, .change = TR_LIVE, .flags = TR_OPT_LISTEN, .min = 1, .max = 65535, .def = "53",
		.offset = offsetof(struct options, listen), .doc = "UDP port that questions come to."},
	{.key = "upstreams", .type = TR_OPT_SOCKADDR, .change = TR_LIVE, .flags = TR_OPT_LIST, .max = UPSTREAMS_MAX,
		.def = ":53", .offset = offsetof(struct options, upstreams),
		.doc = "Recursive servers for names that aren't the netmap's, in order of preference; none: those are refused."},
	{.key = "tcp", .type = TR_OPT_SOCKADDR, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = STREAM_LISTENERS, .def = ":53",
		.offset = offsetof(struct options, tcp),
		.doc = "Addresses of this box's kernel where questions come by TCP, too: the host port's; none: UDP only."},
	{.key = "timeout", .type = TR_OPT_UINT, .unit = TR_UNIT_MS, .change = TR_LIVE, .min = 50, .max = 30000, .def = "1500ms",
		.offset = offsetof(struct options, timeout), .doc = "How long an upstream may take before the next one is asked."},
	{.key = "cache", .type = TR_OPT_UINT, .change = TR_LIVE, .max = 1000000, .def = "10000",
		.offset = offsetof(struct options, cache), .doc = "Answers of upstreams that are kept, at most; 0: none."},
	{.key = "ttl", .type = TR_OPT_UINT, .unit = TR_UNIT_MS, .change = TR_LIVE, .min = 1000, .max = 86400000, .def = "5s",
		.offset = offsetof(struct options, ttl),
		.doc = "How long clients may keep an answer about a name of the netmap, also that there is none; whole seconds."},
	{0},
};

static const struct tr_in_gate magicdns_in[] = {
	[IN] = {.name = "in", .type = TR_TYPE_UDP, .process = magicdns_process, .trace = magicdns_trace,
		.doc = "Questions. Whoever can reach this gate is answered, recursion included: link trusted networks only."},
	[FORWARD_IN] = {.name = "forward", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL | TR_GATE_SERVICE,
		.process = forward_process, .trace = magicdns_trace, .doc = "Questions for the cache and the upstreams."},
	[ASKED_IN] = {.name = "asked", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL, .process = magicdns_asked,
		.trace = magicdns_trace, .doc = "Questions that came by TCP."},
	[TOLD_IN] = {.name = "told", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL | TR_GATE_SERVICE, .process = streams_told,
		.trace = magicdns_trace, .doc = "Answers to these."},
	{0},
};

static const struct tr_out_gate magicdns_out[] = {
	[OUT] = {.name = "out", .type = TR_TYPE_IP, .writes = TR_META_L3, .doc = "The answers."},
	[FORWARD_OUT] = {.name = "forward", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL,
		.doc = "Questions for the cache and the upstreams."},
	[ASKED_OUT] = {.name = "asked", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL, .doc = "Questions that came by TCP."},
	[TOLD_OUT] = {.name = "told", .type = TR_TYPE_UDP, .flags = TR_GATE_INTERNAL, .doc = "Answers to these."},
	{0},
};

static const struct tr_drop_reason magicdns_drops[] = {
	[DROP_SHORT] = {"short", "Shorter than a DNS header."},
	[DROP_NOT_QUERY] = {"not_query", "An answer, not a question: never answered, lest two servers talk for ever."},
	[DROP_DUPLICATE] = {"duplicate", "The same query of the same client is waiting for an upstream already."},
	[DROP_TOO_MANY] = {"too_many", "Too many questions wait for upstreams (256; 64 of one client)."},
	[DROP_NO_ROOM] = {"no_room", "The packet's buffer is too small for an answer."},
	[DROP_STOPPED] = {"stopped", "Waited for an upstream when the instance was taken down."},
	[DROP_STREAM] = {"stream", "Question of a client over TCP, answered there."},
	{0},
};

static const struct tr_counter magicdns_counters[] = {
	[ANSWERED] = {"answered", "Names and addresses of the netmap that were found."},
	[NXDOMAIN] = {"nxdomain", "Names below the netmap's domain, or addresses in its ranges, that don't exist."},
	[NODATA] = {"nodata", "Names of the netmap without a record of the type asked for."},
	[REFUSED] = {"refused", "Answered with an error: malformed, unsupported, or no upstream may be asked."},
	[FORWARDED] = {"forwarded", "Questions handed to the cache and the upstreams."},
	[CACHED] = {"cached", "Questions answered from the cache."},
	[COALESCED] = {"coalesced", "Questions that joined one that was being asked already."},
	[SERVFAIL] = {"servfail", "Questions to which no upstream had an answer."},
	[UPSTREAM_QUERIES] = {"upstream_queries", "Queries sent to upstreams."},
	[UPSTREAM_TCP] = {"upstream_tcp", "Of these, repeated over TCP."},
	[UPSTREAM_SILENT] = {"upstream_silent", "Of these, without an answer in time, or nobody there."},
	[UPSTREAM_REFUSED] = {"upstream_refused", "Of these, answered with an error."},
	[UPSTREAM_FOREIGN] = {"upstream_foreign", "Datagrams that were no answer to a query of ours."},
	[STREAMS] = {"streams", "Connections of clients over TCP."},
	[STREAMS_PAUSED] = {"streams_paused", "Times that none was accepted for 100 ms, for want of descriptors or memory."},
	{0},
};

static const struct tr_class magicdns_class = {
	.name = "magicdns",
	.summary = "DNS server: names of the netmap on the packet path, all others by upstreams and a cache",
	.flags = TR_CLASS_SERVICE,
	.options = magicdns_options,
	.options_size = sizeof(struct options),
	.in = magicdns_in,
	.out = magicdns_out,
	.drops = magicdns_drops,
	.counters = magicdns_counters,
	.create = magicdns_create,
	.reconfigure = magicdns_reconfigure,
	.worker_fini = magicdns_worker_fini,
	.destroy = magicdns_destroy,
	.show = magicdns_show,
	.commands = magicdns_commands,
	.service_init = streams_start,
};

static const struct tr_class *const classes[] = {&magicdns_class, NULL};

TR_PLUGIN(.name = "magicdns", .version = TR_VERSION, .summary = "DNS server for the names of a mesh network",
	.classes = classes);
