/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Plain streams: a source of UDP in IPv4 or IPv6, or of the packets of a capture, and a sink that keeps the books of what comes
 * back. Worker 0 does it all, by one clock; packets that other workers receive are handed to it.
 */
#include "stream.h"

#include "probe.h"
#include "replay.h"
#include "run.h"
#include "set.h"
#include "sizes.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/host.h>
#include <tailrace/udp.h>

#define FRAME 18 /* Ethernet header and checksum: sizes are those of frames, as in RFC 2544 */
#define FIRST_PORT 1024

enum stream_in { STREAM_IN, STREAM_IN_OWN };
enum stream_out { STREAM_OUT, STREAM_OUT_OWN };
enum stream_drop { STREAM_RECEIVED, STREAM_NO_ROOM };
enum stream_counter { STREAM_OTHER, STREAM_STALE, STREAM_CORRUPT, STREAM_NO_PACKET, STREAM_REPLAYED };

struct stream_options {
	struct tr_addr from, to;
	uint64_t sources, destinations, flows, port, rate;
	const char *size, *pcap;
	bool timed, autostart;
};

struct stream_flow {
	uint32_t run; /* seq and arrived are of this run */
	uint64_t seq;
	struct window arrived;
};

struct stream {
	const struct tr_host *host;
	struct tr_instance *instance;
	struct stream_options o, live;
	char *size_text;
	struct replay *replay;
	struct stream_flow *flow;
	struct window_rest *rest; /* of arrived, of each flow */
	struct pattern pattern;
	struct run run;
	struct sizes sizes;
	_Atomic uint64_t rate;
	uint32_t next, packet; /* worker 0's: flow, packet of the capture */
	uint64_t round;        /* rounds through the capture since the run began */
	uint64_t looked_at, watched;
	struct meter meter;
};

static void
watch(struct stream *s, uint64_t now)
{
	uint64_t loop = now - s->looked_at;

	s->watched += loop < RUN_LOOP_MAX ? loop : RUN_LOOP_MAX;
	s->looked_at = now;
}

/* ---- The source ---- */

static struct stream_flow *
flow_of(struct stream *s, uint32_t n)
{
	struct stream_flow *f = &s->flow[n];

	if (f->run != s->run.number) {
		memset(f, 0, sizeof(*f));
		f->run = s->run.number;
	}
	return f;
}

/* An empty packet of type ip with this much in it. */
static struct rte_mbuf *
packet_of(struct tr_node *node, const struct stream *s, uint16_t len, uint8_t l3_len, uint8_t l4)
{
	struct rte_mbuf *m = s->host->packet_new(node);

	if (!m || !rte_pktmbuf_append(m, len)) {
		if (m)
			s->host->packet_drop(node, m, STREAM_NO_ROOM);
		node->count[STREAM_NO_PACKET]++;
		return NULL;
	}
	struct tr_meta *meta = tr_meta(m);
	meta->l3_len = l3_len;
	meta->l4 = l4;
	meta->in = TR_IN_SELF;
	meta->flags = TR_META_OWN | TR_META_CSUM_OK;
	meta->next_hop = (struct tr_addr){0};
	return m;
}

static struct rte_mbuf *
made(struct tr_node *node, struct stream *s, uint64_t due)
{
	const uint32_t n = s->next;
	const uint16_t size = (uint16_t)(sizes_next(&s->sizes) - FRAME);
	struct rte_mbuf *m = packet_of(node, s, size, s->o.from.family == 4 ? 20 : 40, IPPROTO_UDP);

	if (!m)
		return NULL;
	s->next = n + 1 == s->o.flows ? 0 : n + 1;
	struct stream_flow *f = flow_of(s, n);
	const struct tr_addr from = probe_address(&s->o.from, n % (uint32_t)s->o.sources);
	const struct tr_addr to = probe_address(&s->o.to, n % (uint32_t)s->o.destinations);
	const struct probe_path path = {&from, &to, (uint16_t)(FIRST_PORT + n % (65536 - FIRST_PORT)), (uint16_t)s->o.port};
	const struct probe p = {.direction = DOWN, .flow = n, .run = (uint16_t)s->run.number, .seq = f->seq++, .time = due};
	probe_write(rte_pktmbuf_mtod(m, uint8_t *), size, &path, &s->pattern, &p);
	meter_add(&s->meter.sent, 1);
	return m;
}

static struct rte_mbuf *
recorded(struct tr_node *node, struct stream *s)
{
	const struct recorded *r = &s->replay->packet[s->packet];
	struct rte_mbuf *m = packet_of(node, s, r->len, r->l3_len, r->l4);

	if (!m)
		return NULL;
	memcpy(rte_pktmbuf_mtod(m, uint8_t *), r->ip, r->len);
	if (++s->packet == s->replay->n) {
		s->packet = 0;
		s->round++;
	}
	node->count[STREAM_REPLAYED]++;
	return m;
}

/* Whether the next packet is due, by the rate or by when it was recorded. */
static bool
due_now(struct stream *s, uint64_t now, uint64_t *due)
{
	if (!s->o.timed)
		return run_due(&s->run, meter_get(&s->rate), now, due);
	*due = s->run.begin + s->round * s->replay->span + s->replay->packet[s->packet].at;
	if (*due > now) {
		s->run.next_tick = *due;
		return false;
	}
	meter_max(&s->run.late_max, now - *due);
	return true;
}

static uint32_t
stream_poll(struct tr_node *node)
{
	struct stream *s = node->self;
	struct rte_mbuf *out[BURST];
	const uint64_t now = *node->now;
	uint64_t due;
	uint16_t n = 0;

	if (node->worker != 0)
		return 0;
	watch(s, now);
	const enum run_state state = run_state(&s->run, now);
	if (state == RUN_NONE || state == RUN_ENDS)
		return 0;
	if (state == RUN_BEGINS) {
		meter_clear(&s->meter);
		s->packet = s->next = 0;
		s->round = 0;
	}
	if (now < s->run.next_tick)
		return 0;
	for (unsigned i = 0; i < BURST && due_now(s, now, &due); i++) {
		out[n] = s->replay ? recorded(node, s) : made(node, s, due);
		if (!out[n])
			break;
		n++;
	}
	if (n > 0)
		s->host->emit(node, STREAM_OUT, out, n);
	return n;
}

/* ---- The sink ---- */

static void
measure(struct tr_node *node, struct stream *s, const struct rte_mbuf *m)
{
	struct probe p;
	const enum probe_kind kind = probe_read(&p, &s->pattern, rte_pktmbuf_mtod(m, const uint8_t *), rte_pktmbuf_data_len(m));

	if (kind == PROBE_NONE || p.flow >= s->o.flows) {
		node->count[STREAM_OTHER]++;
		return;
	}
	if (kind == PROBE_CORRUPT) {
		node->count[STREAM_CORRUPT]++;
		return;
	}
	if (p.run != (uint16_t)s->run.number) {
		node->count[STREAM_STALE]++;
		return;
	}
	const uint64_t now = s->host->now(s->instance);
	meter_arrival(&s->meter, &flow_of(s, p.flow)->arrived, &s->rest[p.flow], p.seq, now - probe_age(p.time, now), now);
	watch(s, *node->now);
	meter_watched(&s->meter, s->watched);
}

static void
own_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	for (uint16_t i = 0; i < n; i++) {
		measure(node, node->self, pkts[i]);
		gate[i] = TR_DROP(STREAM_RECEIVED);
	}
}

static void
in_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	if (node->worker == 0) {
		own_process(node, pkts, n, gate);
		return;
	}
	for (uint16_t i = 0; i < n; i++) {
		tr_meta(pkts[i])->peer = TR_NO_PEER; /* which worker 0 owns */
		gate[i] = STREAM_OUT_OWN;
	}
}

/* ---- Lifecycle ---- */

static bool
stream_check(const void *options, char *text, size_t size)
{
	const struct stream_options *o = options;

	if (o->from.family != o->to.family) {
		snprintf(text, size, "from and to are of different families");
		return false;
	}
	if (o->timed && !o->pcap) {
		snprintf(text, size, "timed is about the packets of a pcap");
		return false;
	}
	return sizes_set(NULL, o->size, PROBE_MIN(o->from.family) + FRAME, PROBE_MAX + FRAME, text, size);
}

static void
stream_reconfigure(void *self, const void *options)
{
	struct stream *s = self;
	char why[1];

	s->live = *(const struct stream_options *)options;
	atomic_store_explicit(&s->rate, s->live.rate, memory_order_relaxed);
	sizes_set(&s->sizes, s->live.size, 0, UINT16_MAX, why, sizeof(why)); /* check() has agreed */
}

static void
stream_destroy(void *self)
{
	struct stream *s = self;

	replay_free(s->replay);
	free(s->size_text);
	free(s->flow);
	free(s->rest);
	free(s);
}

static void *
stream_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct stream_options *o = options;
	struct stream *s = calloc(1, sizeof(*s));
	char why[300] = "";

	if (!s)
		return host->fail(instance, "out of memory"), NULL;
	s->flow = calloc(o->flows, sizeof(*s->flow)); /* touched only when used */
	s->rest = calloc(o->flows, sizeof(*s->rest));
	s->host = host;
	s->instance = instance;
	s->o = *o;
	if (!s->flow || !s->rest)
		snprintf(why, sizeof(why), "out of memory for %lu flows", (unsigned long)o->flows);
	else if (o->pcap)
		s->replay = replay_read(o->pcap, why, sizeof(why));
	if (why[0]) {
		host->fail(instance, "%s", why);
		stream_destroy(s);
		return NULL;
	}
	pattern_init(&s->pattern);
	stream_reconfigure(s, options);
	if (o->autostart)
		s->run.wanted = s->run.runs = 1;
	return s;
}

/* ---- Operator ---- */

static void
show_run(const struct stream *s, struct tr_show *out)
{
	run_show(&s->run, out);
	meter_show(&s->meter, "stream", out);
}

static void
stream_show(void *self, struct tr_show *out)
{
	struct stream *s = self;

	out->uint(out, "rate", meter_get(&s->rate));
	out->uint(out, "size", sizes_mean(&s->sizes));
	out->uint(out, "flows", s->o.flows);
	if (s->replay) {
		out->uint(out, "pcap_packets", s->replay->n);
		out->uint(out, "pcap_skipped", s->replay->skipped);
	}
	show_run(s, out);
}

static int
command_start(void *self, int argc, char *const *argv, struct tr_show *out)
{
	return run_start(&((struct stream *)self)->run, argc, argv, out);
}

static int
command_stop(void *self, int argc, char *const *argv, struct tr_show *out)
{
	run_stop(&((struct stream *)self)->run);
	show_run(self, out);
	return 0;
}

static int
command_report(void *self, int argc, char *const *argv, struct tr_show *out)
{
	show_run(self, out);
	return 0;
}

#define OPTION(field) .offset = offsetof(struct stream_options, field)

static const struct tr_option stream_options[] = {
	{.key = "from", .type = TR_OPT_ADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, OPTION(from),
		.doc = "Source address of the first flow."},
	{.key = "to", .type = TR_OPT_ADDR, .change = TR_RECREATE, .flags = TR_OPT_REQUIRED, OPTION(to),
		.doc = "Destination address of the first flow."},
	{.key = "flows", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 1000000, .def = "1", OPTION(flows),
		.doc = "How many flows, sent in turn; each from the next port, 1024 and up."},
	{.key = "sources", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 1000000, .def = "1", OPTION(sources),
		.doc = "From how many addresses, counted from from on: the next flow has the next one."},
	{.key = "destinations", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 1000000, .def = "1",
		OPTION(destinations), .doc = "To how many addresses, counted from to on."},
	{.key = "port", .type = TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = 65535, .def = "9", OPTION(port),
		.doc = "UDP port that they go to."},
	{.key = "rate", .type = TR_OPT_UINT, .unit = TR_UNIT_PER_SEC, .change = TR_LIVE, .min = 1, .max = 100000000, .def = "1k",
		OPTION(rate), .doc = "Packets sent per second, over all flows."},
	{.key = "size", .type = TR_OPT_STRING, .change = TR_LIVE, .def = "512", OPTION(size),
		.doc = "Size of the Ethernet frames, checksum included; or a mix of them: 28x64,16x570,4x1518."},
	{.key = "pcap", .type = TR_OPT_STRING, .change = TR_RECREATE, OPTION(pcap),
		.doc = "A capture whose IP packets are sent as they are, again and again; pcap or pcapng, of Ethernet or raw IP."},
	{.key = "timed", .type = TR_OPT_BOOL, .change = TR_RECREATE, .def = "false", OPTION(timed),
		.doc = "Send them when they were recorded, instead of at the rate."},
	{.key = "autostart", .type = TR_OPT_BOOL, .change = TR_RECREATE, .def = "false", OPTION(autostart),
		.doc = "Begin to send at once, without the start command."},
	{0},
};

static int
command_set(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct stream *s = self;
	struct stream_options o = s->live;

	return set_command(&(struct settings){stream_options, stream_check, stream_reconfigure, s, &o, &o.size, &s->size_text}, argc,
		argv, out);
}

static const struct tr_command commands[] = {
	{"start", "[SECONDS]", "Begins a measurement from zero; without SECONDS it runs until stop.", command_start},
	{"stop", "", "Stops the source and reports; packets under way count as lost until the next report.", command_stop},
	{"report", "", "What the current or last measurement counted.", command_report},
	{"set", "OPTION VALUE", "Changes a live option until the next reload or restart.", command_set},
	{0},
};

static const struct tr_in_gate in_gates[] = {
	[STREAM_IN] = {.name = "in", .type = TR_TYPE_ANY, .process = in_process,
		.doc = "What comes back, of this instance or another one with as many flows; links of type ip and udp."},
	[STREAM_IN_OWN] = {.name = "own", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL, .process = own_process,
		.doc = "The same on the one worker that keeps the books."},
	{0},
};

static const struct tr_out_gate out_gates[] = {
	[STREAM_OUT] = {.name = "out", .type = TR_TYPE_IP, .writes = TR_META_L3 | TR_META_NEXT_HOP, .doc = "The packets."},
	[STREAM_OUT_OWN] = {.name = "own", .type = TR_TYPE_IP, .flags = TR_GATE_INTERNAL | TR_GATE_BY_PEER,
		.doc = "To the worker that keeps the books."},
	{0},
};

static const struct tr_drop_reason drops[] = {
	[STREAM_RECEIVED] = {"received", "Looked at: the normal end of a packet here."},
	[STREAM_NO_ROOM] = {"no_room", "The packet pool's buffers are too small for the configured size."},
	{0},
};

static const struct tr_counter counters[] = {
	[STREAM_OTHER] = {"other", "Received packets that no such source made; those of a capture are among them."},
	[STREAM_STALE] = {"stale", "Packets of an earlier measurement."},
	[STREAM_CORRUPT] = {"corrupt", "Packets of ours whose contents were changed on the way; they count as lost, too."},
	[STREAM_NO_PACKET] = {"no_packet", "Not sent: no packet of the pool was left, or none of that size."},
	[STREAM_REPLAYED] = {"replayed", "Packets of the capture sent."},
	{0},
};

const struct tr_class stream_class = {
	.name = "stream",
	.summary = "Plain streams of IPv4 or IPv6: a source that follows the clock, or replays a capture, and a sink that keeps books",
	.options = stream_options,
	.options_size = sizeof(struct stream_options),
	.in = in_gates,
	.out = out_gates,
	.drops = drops,
	.counters = counters,
	.commands = commands,
	.create = stream_create,
	.reconfigure = stream_reconfigure,
	.destroy = stream_destroy,
	.check = stream_check,
	.poll = stream_poll,
	.show = stream_show,
};
