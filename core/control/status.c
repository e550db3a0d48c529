/* SPDX-License-Identifier: BSD-3-Clause */
/* status: does it work, and if not, why not. */
#include "commands_private.h"

#include "../netmap/store.h"
#include "../port/port.h"

#include <dlfcn.h>
#include <link.h>
#include <rte_eal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct status {
	struct commands *c;
	struct request *r;
	json_t *problems, *notices; /* a notice does not keep packets from flowing */
	json_t *ports, *instances, *plugins;
	unsigned peers, peers_up;
};

static void __attribute__((format(printf, 3, 4))) problem(json_t *list, const char *what, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_t *t = json_string(text);
	json_array_append_new(list, json_pack("{s:s, s:o}", "what", what, "why", t ? t : json_string("?")));
}

static double
rate(const struct status *s, const char *format, const char *name, const char *counter)
{
	char path[160];
	snprintf(path, sizeof(path), format, name, counter);
	return series_rate(s->c->series, path);
}

/* Flows for the kernel that the NIC was asked to put into one queue. */
static void
add_steered(const struct port *p, json_t *o)
{
	json_t *list = json_array();
	struct steer_seen seen;
	for (unsigned i = 0; port_steered(p, i, &seen); i++)
		json_array_append_new(list, json_pack("{s:s, s:b, s:s*}", "rule", seen.rule, "in_nic", seen.in_nic, "why", seen.why));
	if (json_array_size(list) != 0)
		json_object_set(o, "steered", list);
	json_decref(list);
}

static void
add_port(void *arg, struct port *p)
{
	struct status *s = arg;
	struct port_info i;
	char mac[18], what[64];
	port_show(p, &i);
	snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", i.mac[0], i.mac[1], i.mac[2], i.mac[3], i.mac[4],
		i.mac[5]);
	snprintf(what, sizeof(what), "port %s", i.name);
	if (i.problem)
		problem(s->problems, what, "%s", i.problem);
	else if (!i.up)
		problem(s->problems, what, "the link is down");
	json_t *o = json_pack("{s:s, s:s, s:s*, s:s, s:b, s:i, s:i}", "name", i.name, "device", i.device, "driver",
		i.driver, "mac", mac, "up", i.up, "mtu", i.mtu, "queues", i.queues);
	json_object_set_new(o, "problem", i.problem ? json_string(i.problem) : json_null());
	const struct {
		const char *name, *rate;
		uint64_t total;
	} v[] = {{"rx", "rx_pps", i.rx}, {"tx", "tx_pps", i.tx}, {"rx_bytes", NULL, i.rx_bytes},
		{"tx_bytes", NULL, i.tx_bytes}, {"rx_dropped", "rx_dropped_pps", i.rx_dropped},
		{"tx_dropped", "tx_dropped_pps", i.tx_dropped}};
	for (size_t k = 0; k < sizeof(v) / sizeof(*v); k++) {
		json_object_set_new(o, v[k].name, json_integer((json_int_t)v[k].total));
		if (v[k].rate)
			json_object_set_new(o, v[k].rate, json_real(rate(s, "ports/%s/%s", i.name, v[k].name)));
	}
	add_steered(p, o);
	json_object_set_new(o, "rx_bps", json_real(8 * rate(s, "ports/%s/%s", i.name, "rx_bytes")));
	json_object_set_new(o, "tx_bps", json_real(8 * rate(s, "ports/%s/%s", i.name, "tx_bytes")));
	json_array_append_new(s->ports, o);
}

/* The code that runs lies in a memfd, so its descriptor gives debuggers the very file, whatever became of the
 * operator's. */
static json_t *
describe_plugin(const struct loaded_plugin *p)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:[]}", "name", p->desc->name, "version", p->desc->version,
		"build_id", p->build_id, "path", p->path, "instances");
	char text[512];
	struct link_map *m;
	if (p->handle && dlinfo(p->handle, RTLD_DI_LINKMAP, &m) == 0) {
		snprintf(text, sizeof(text), "gdb -p %d -ex 'add-symbol-file /proc/%d/fd/%d -o 0x%lx'", getpid(),
			getpid(), p->memfd, (unsigned long)m->l_addr);
		json_object_set_new(o, "gdb", json_string(text));
		snprintf(text, sizeof(text), "perf buildid-cache --add /proc/%d/fd/%d", getpid(), p->memfd);
		json_object_set_new(o, "perf", json_string(text));
	}
	return o;
}

static json_t *
find_plugin(struct status *s, const struct loaded_plugin *p)
{
	size_t i;
	json_t *o;
	json_array_foreach(s->plugins, i,
		o) if (strcmp(json_string_value(json_object_get(o, "build_id")), p->build_id) == 0 &&
		       strcmp(json_string_value(json_object_get(o, "name")), p->desc->name) == 0) return o;
	o = describe_plugin(p);
	json_array_append_new(s->plugins, o);
	return o;
}

/* An instance with a command `status` tells its `state` in a few words, and what it finds wrong as a `note`. */
static void
add_state(struct status *s, const struct tr_instance *i, json_t *o)
{
	char why[256];
	json_t *v = command_of(i, "status") ? run_on(i, "status", 0, NULL, why, sizeof(why)) : NULL;
	const char *note = json_string_value(json_object_get(v, "note"));
	json_object_set(o, "state", json_object_get(v, "state"));
	json_object_set(o, "silent", json_object_get(v, "silent")); /* the neighbour of an interface that was asked in vain */
	if (note)
		problem(s->notices, i->name, "%s", note);
	json_decref(v);
}

static void
add_instance(void *arg, struct tr_instance *i)
{
	struct status *s = arg;
	json_t *o = json_pack("{s:s, s:s, s:s}", "name", i->name, "class", i->class_->name, "plugin",
		i->plugin ? i->plugin->desc->name : "core");
	add_state(s, i, o);
	json_array_append_new(s->instances, o);
	if (i->plugin)
		json_array_append_new(json_object_get(find_plugin(s, i->plugin), "instances"), json_string(i->name));
}

static json_t *
add_workers(struct status *s)
{
	json_t *shown = commands_shown(engine_show_workers, s->c->on.engine), *list = json_object_get(shown, "workers"),
	       *w;
	size_t i;
	json_array_foreach(list, i, w)
	{
		char number[24];
		snprintf(number, sizeof(number), "%zu", i);
		json_object_set_new(w, "busy", json_real(rate(s, "workers/%s/%s", number, "busy_ns") / 1e9));
		json_int_t cpu = json_integer_value(json_object_get(w, "cpu"));
		char what[40];
		snprintf(what, sizeof(what), "worker %s", number);
		if (!json_is_true(json_object_get(w, "pinned")))
			problem(s->notices, what, "CPU %lld is not there, or not this process's: it runs wherever there is room", cpu);
	}
	json_incref(list);
	json_decref(shown);
	return list ? list : json_array();
}

static void __attribute__((format(printf, 4, 5))) say(void *arg, bool bad, const char *what, const char *format, ...)
{
	struct status *s = arg;
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	problem(bad ? s->problems : s->notices, what, "%s", text);
}

static void
add_trial(struct status *s)
{
	json_t *t = trial_describe(s->c);
	if (json_is_object(t))
		problem(s->notices, "trial", "%s is rolled back in %.0f s unless `tailrace confirm` comes first",
			json_string_value(json_object_get(t, "file")), json_number_value(json_object_get(t, "seconds_left")));
	json_decref(t);
}

static void
add_management(struct status *s, struct management_counts n)
{
	if (n.idle || n.slow)
		problem(s->notices, "management", "%lu connections that asked nothing and %lu that did not read their answers were closed; "
			"there are %u of %d now",
			(unsigned long)n.idle, (unsigned long)n.slow, n.clients, MANAGEMENT_CLIENTS);
	if (n.refused)
		problem(s->notices, "management", "%lu times no connection could be accepted: no descriptors were left (LimitNOFILE=)",
			(unsigned long)n.refused);
}

static void
add_configuration(struct status *s)
{
	const struct catalogue *k = engine_catalogue(s->c->on.engine);
	if (!engine_plan(s->c->on.engine))
		problem(s->problems, "pipeline", "none is running yet");
	add_trial(s);
	health_tell(s->c->health, say, s);
	if (s->c->apply_error)
		problem(s->notices, "last apply", "%s", s->c->apply_error);
	add_management(s, management_counts(s->c->on.management));
	if (s->c->on.appliance->hugepages && !rte_eal_has_hugepages())
		problem(s->notices, "memory", "%lu MB of hugepages were not free at start: it runs on ordinary pages, slower. `tailrace doctor` says "
			"how to have them; then start it again", (unsigned long)s->c->on.appliance->memory_mb);
	if (netmap_problem())
		problem(s->problems, "netmap", "%s", netmap_problem());
	for (unsigned i = 0; k && i < k->n_refused; i++)
		problem(s->notices, "plugin", "%s", k->refused[i].why);
}

/* Drops that say what is wrong around this box, rather than with a packet. */
static const struct {
	const char *reason;
	unsigned least; /* packets in a minute; fewer are everyday life */
	const char *why, *then;
} telling[] = {
	{"neighbour", 1, "a neighbour on this link does not answer ARP or ND", NULL},
	{"neighbour_queue", 1, "packets wait for a neighbour that does not answer ARP or ND", NULL},
	{"no_answer", 1, "a peer does not answer handshakes", "is it on, is its `endpoint` right, and does every firewall let its UDP through?"},
	{"no_endpoint", 1, "a peer is sent to whose address is not known: it has to speak first, or needs an `endpoint`", NULL},
	{"bad_handshake", 1, "somebody uses a wrong key or preshared key", NULL},
	{"bad_mac1", 1, "somebody's handshakes are meant for another key than ours: does a peer have an old public key of this gateway?", NULL},
	{"unknown_peer", 1, "somebody who is no peer asks for a session", NULL},
	{"stale_timestamp", 1, "a peer's clock has gone back, or somebody replays its handshakes", NULL},
	{"wrong_source", 1, "a peer sends from addresses that are not among its allowed IPs", "compare its tunnel's address with `tailrace peers`"},
	{"no_route", 1, "packets come for which there is no route", "`tailrace trace` shows where to"},
	{"no_peer", 1, "packets come for which no peer has an allowed IP", "`tailrace trace` shows where to"},
	{"no_gateway", 1, "packets are for beyond this link, and the interface has no `gateway` for them", NULL},
	{"ttl", 10, "packets' TTL ends here", "do routes of two routers lead to each other, or does somebody trace a route?"},
	{"too_big", 1, "packets are larger than the next hop's MTU: does their sender get ICMP?", NULL},
	{"tx_full", 1, "a port does not take packets as fast as they come", NULL},
	{"edge_full", 1, "a thread does not keep up", NULL},
	{"spread_full", 1, "a worker that helped another was held up: does something else run on its core?", NULL},
	{"frame_full", 1, "bursts are larger than a node takes", NULL},
};

/* What happened to an instance more than once in the last minute, and says what is wrong around this box. */
static const struct {
	const char *counter, *why;
} happening[] = {
	{"unanswered", "a peer answers handshakes, but nothing else: does something on its path swallow large packets? Then a smaller "
		       "`mtu` helps; or does a firewall?"},
};

static void
add_happenings(const struct status *s, json_t *list)
{
	json_t *o;
	size_t i;
	char name[160];
	json_array_foreach(s->instances, i, o)
	{
		const char *instance = json_string_value(json_object_get(o, "name"));
		for (size_t k = 0; k < sizeof(happening) / sizeof(*happening); k++) {
			snprintf(name, sizeof(name), "instances/%s/counters/%s", instance, happening[k].counter);
			uint64_t n = series_minute(s->c->series, name);
			if (n > 1)
				problem(list, instance, "%s (%lu times in the last minute)", happening[k].why, (unsigned long)n);
		}
	}
}

/* ---- Whose packets were dropped ---- */

#define BLAMED 3

/* The peers that lost most packets for one reason. */
struct blame {
	const struct commands *c;
	const char *instance, *reason;
	unsigned n; /* peers in all */
	struct {
		uint32_t peer;
		uint64_t packets;
	} top[BLAMED + 1];
};

static void
blame(void *arg, const struct engine_peer_drop *d)
{
	struct blame *b = arg;
	if (strcmp(d->reason, b->reason) != 0 || strcmp(d->instance, b->instance) != 0)
		return;
	uint64_t packets = commands_peer_drops_minute(b->c, d);
	if (!packets)
		return;
	unsigned k = b->n < BLAMED ? b->n : BLAMED;
	b->n++;
	for (; k > 0 && b->top[k - 1].packets < packets; k--)
		b->top[k] = b->top[k - 1];
	b->top[k].peer = d->peer;
	b->top[k].packets = packets;
}

/* ": anna, berlin and 7 more", or the neighbour that does not answer; "" if nobody is known. */
static void
name_culprits(const struct status *s, const char *instance, const char *reason, char *text, size_t size)
{
	struct blame b = {.c = s->c, .instance = instance, .reason = reason};
	json_t *o;
	size_t i, at = 0;
	*text = 0;
	if (strcmp(reason, "neighbour") == 0 || strcmp(reason, "neighbour_queue") == 0) { /* not who asked for it */
		json_array_foreach(s->instances, i, o) if (strcmp(json_string_value(json_object_get(o, "name")), instance) == 0 &&
							   json_object_get(o, "silent"))
			snprintf(text, size, ": %s", json_string_value(json_object_get(o, "silent")));
		return;
	}
	engine_each_peer_drop(s->c->on.engine, blame, &b);
	for (unsigned k = 0; k < b.n && k < BLAMED && at < size; k++) {
		const struct tr_peer *p = commands_peer(s->c, b.top[k].peer);
		char key[45] = "one that has gone";
		if (p)
			format_base64_32(p->public_key, key);
		at += (size_t)snprintf(text + at, size - at, "%s%s", k ? ", " : ": ", p && p->name ? p->name : key);
	}
	if (b.n > BLAMED && at < size)
		snprintf(text + at, size - at, " and %u more", b.n - BLAMED);
}

static void
add_drop_hint(const struct status *s, json_t *list, const json_t *d)
{
	const char *instance = json_string_value(json_object_get(d, "instance"));
	const char *reason = json_string_value(json_object_get(d, "reason"));
	json_int_t packets = json_integer_value(json_object_get(d, "last_minute"));
	char who[220];
	for (size_t k = 0; k < sizeof(telling) / sizeof(*telling); k++) {
		if (strcmp(telling[k].reason, reason) != 0 || packets < telling[k].least)
			continue;
		name_culprits(s, instance, reason, who, sizeof(who));
		problem(list, instance, "%s%s (%lld packets in the last minute)%s%s", telling[k].why, who, (long long)packets,
			telling[k].then ? "; " : "", telling[k].then ? telling[k].then : "");
	}
}

static json_t *
hints(const struct status *s, const json_t *drops)
{
	json_t *list = json_array(), *d;
	size_t i;
	add_happenings(s, list);
	json_array_foreach(drops, i, d) add_drop_hint(s, list, d);
	if (s->peers && !s->peers_up)
		problem(list, "peers", "none of %u has a session", s->peers);
	return list;
}

static void
count_peer(void *arg, const struct tr_instance *i, const struct tr_peer *p)
{
	struct status *s = arg;
	struct tr_endpoint in_use;
	double age = peer_session_age(p, &in_use);
	s->peers++;
	s->peers_up += peer_up(p, age);
}

static void
reply_status(void *arg)
{
	struct status *s = arg;
	struct commands *c = s->c;
	struct engine *e = c->on.engine;
	const struct plan *p = engine_plan(e);
	json_t *stats = commands_shown(engine_show_stats, e), *totals = json_incref(json_object_get(stats, "totals"));
	json_decref(stats);
	json_t *workers = add_workers(s);
	add_configuration(s);
	port_each(add_port, s);
	engine_each(e, add_instance, s);
	json_t *rates = commands_rates(c, "totals", totals), *drops = commands_drops(c, true), *told = hints(s, drops);
	json_t *v = json_pack(
		"{s:b, s:o, s:o, s:s, s:i, s:f, s:I, s:s*, s:b, s:o, s:{s:i, s:i}, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
		"working", p && json_array_size(s->problems) == 0, "problems", s->problems, "notices", s->notices,
		"version", TR_VERSION, "pid", (int)getpid(), "uptime", (double)(commands_now() - c->started) / 1e9,
		"generation", (json_int_t)engine_generation(e), "pipeline", p ? p->file : NULL, "applying",
		c->apply != NULL, "trial", trial_describe(c), "peers", "total", (int)s->peers, "up", (int)s->peers_up, "workers", workers, "ports",
		s->ports, "instances", s->instances, "plugins", s->plugins, "totals", totals ? totals : json_object(),
		"totals_per_second", rates, "drops_last_minute", drops, "hints", told);
	management_reply(s->r, v);
	free(s);
}

void
command_status(void *arg, struct request *r, int argc, char *const *argv)
{
	struct status *s = calloc(1, sizeof(*s));
	if (!s) {
		management_error(r, "no memory");
		return;
	}
	*s = (struct status){.c = arg,
		.r = r,
		.problems = json_array(),
		.notices = json_array(),
		.ports = json_array(),
		.instances = json_array(),
		.plugins = json_array()};
	const struct peer_visit v = {count_peer, NULL, NULL, reply_status, s};
	peer_walk_start(arg, &v);
}
