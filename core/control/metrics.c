/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What Prometheus gets: what `status`, `stats` and `drops` know under names of our own, and the peers under those of
 * prometheus_wireguard_exporter, which dashboards already have. Peers are walked in slices, as for `peers`.
 */
#include "commands_private.h"

#include "../netmap/store.h"
#include "../port/port.h"
#include "../telemetry/openmetrics.h"

#include <stdio.h>
#include <stdlib.h>

struct render {
	struct commands *c;
	struct scrape *scrape;
	struct metrics *m;
	struct metrics_family *sent, *received, *handshake, *peers, *peers_up;
	struct peer_count {
		struct peer_count *next;
		unsigned total, up;
		char interface[TR_INSTANCE_NAME_MAX];
	} *counts;
};

static uint64_t
integer(const json_t *o, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(o, key));
}

/* ---- Peers ---- */

static char *
join_allowed(const struct tr_peer *p)
{
	char *text = malloc(p->n_allowed * 51u + 1), *at = text;
	if (!text)
		return NULL;
	*at = 0;
	for (unsigned i = 0; i < p->n_allowed; i++) {
		char prefix[50];
		format_prefix(&p->allowed[i], prefix);
		at += sprintf(at, "%s%s", i ? "," : "", prefix);
	}
	return text;
}

static void
count_peer(struct render *r, const char *interface, bool up)
{
	struct peer_count *n = r->counts;
	while (n && strcmp(n->interface, interface) != 0)
		n = n->next;
	if (!n) {
		n = calloc(1, sizeof(*n));
		if (!n)
			return;
		snprintf(n->interface, sizeof(n->interface), "%s", interface);
		n->next = r->counts;
		r->counts = n;
	}
	n->total++;
	n->up += up;
}

static void
add_peer(void *arg, const struct tr_instance *i, const struct tr_peer *p)
{
	struct render *r = arg;
	char key[45];
	char *allowed = join_allowed(p);
	struct tr_endpoint in_use;
	uint64_t session, rx, tx;
	double age = peer_session_age(p, &in_use);
	format_base64_32(p->public_key, key);
	const char *const *labels = METRICS_LABELS("interface", i->name, "public_key", key, "allowed_ips", allowed ? allowed : "",
		"friendly_name", p->name);
	if (peer_traffic(i, p->id, &rx, &tx)) {
		metrics_count(r->sent, tx, labels);
		metrics_count(r->received, rx, labels);
	}
	path_read(p->id, &in_use, &session);
	metrics_count(r->handshake, session / 1000000000u, labels);
	count_peer(r, i->name, peer_up(p, age));
	free(allowed);
}

static void
end_peers(void *arg)
{
	struct render *r = arg;
	for (struct peer_count *n = r->counts, *next; n; n = next) {
		next = n->next;
		metrics_count(r->peers, n->total, METRICS_LABELS("interface", n->interface));
		metrics_count(r->peers_up, n->up, METRICS_LABELS("interface", n->interface));
		free(n);
	}
	scrape_finish(r->scrape, r->m);
	free(r);
}

/* ---- The box ---- */

static void
add_management(struct metrics *m, struct management_counts n)
{
	struct metrics_family *closed = metrics_family(m, METRICS_COUNTER, "tailrace_management_closed",
		"Connections to the management socket that were closed, by what they did not do.");
	metrics_count(metrics_family(m, METRICS_GAUGE, "tailrace_management_clients", "Connections to the management socket."), n.clients,
		NULL);
	metrics_count(closed, n.idle, METRICS_LABELS("because", "idle"));
	metrics_count(closed, n.slow, METRICS_LABELS("because", "slow"));
	metrics_count(metrics_family(m, METRICS_COUNTER, "tailrace_management_refused",
			      "Times that no connection could be accepted, for want of descriptors."),
		n.refused, NULL);
}

static void
add_box(struct render *r)
{
	struct commands *c = r->c;
	struct metrics *m = r->m;
	metrics_count(metrics_family(m, METRICS_GAUGE, "tailrace_build_info", "Version of the daemon, as a label."), 1,
		METRICS_LABELS("version", TR_VERSION));
	metrics_real(metrics_family(m, METRICS_GAUGE, "tailrace_uptime_seconds", "Since the daemon started."),
		(double)(commands_now() - c->started) / 1e9, NULL);
	metrics_count(metrics_family(m, METRICS_GAUGE, "tailrace_generation", "Applies so far, the first included."),
		engine_generation(c->on.engine), NULL);
	metrics_count(metrics_family(m, METRICS_GAUGE, "tailrace_apply_failed", "1: the last apply was refused."),
		c->apply_error != NULL, NULL);
	struct metrics_family *totals = metrics_family(m, METRICS_COUNTER, "tailrace_packets",
		"Packets by fate: rx + created = tx + drops + held.");
	struct metrics_family *held = metrics_family(m, METRICS_GAUGE, "tailrace_packets_held", "Packets inside.");
	struct graph_totals t;
	engine_totals(c->on.engine, &t);
	metrics_count(totals, t.rx, METRICS_LABELS("fate", "rx"));
	metrics_count(totals, t.created, METRICS_LABELS("fate", "created"));
	metrics_count(totals, t.tx, METRICS_LABELS("fate", "tx"));
	metrics_count(totals, t.drops, METRICS_LABELS("fate", "drops"));
	metrics_count(held, t.held, NULL);
	add_management(m, management_counts(c->on.management));
}

static void
add_stats(struct render *r)
{
	struct metrics_family *in = metrics_family(r->m, METRICS_COUNTER, "tailrace_gate_packets", "Packets into an in gate.");
	struct metrics_family *counters =
		metrics_family(r->m, METRICS_COUNTER, "tailrace_events", "An instance's counter; `tailrace plugins CLASS` explains it.");
	json_t *stats = commands_shown(engine_show_stats, r->c->on.engine), *i, *v;
	const char *name, *key;
	json_object_foreach(json_object_get(stats, "instances"), name, i)
	{
		const char *class = json_string_value(json_object_get(i, "class"));
		json_object_foreach(json_object_get(i, "in"), key, v)
			metrics_count(in, (uint64_t)json_integer_value(v), METRICS_LABELS("stage", name, "class", class, "gate", key));
		json_object_foreach(json_object_get(i, "counters"), key, v) metrics_count(counters,
			(uint64_t)json_integer_value(v), METRICS_LABELS("stage", name, "class", class, "event", key));
	}
	json_decref(stats);
}

static void
add_drops(struct render *r)
{
	struct metrics_family *drops = metrics_family(r->m, METRICS_COUNTER, "tailrace_drops", "Packets dropped, by reason.");
	json_t *shown = commands_shown(engine_show_drops, r->c->on.engine), *d;
	size_t i;
	json_array_foreach(json_object_get(shown, "drops"), i, d)
		metrics_count(drops, integer(d, "packets"), METRICS_LABELS("stage", json_string_value(json_object_get(d, "instance")),
			"reason", json_string_value(json_object_get(d, "reason"))));
	json_decref(shown);
}

static void
add_workers(struct render *r)
{
	struct metrics_family *busy = metrics_family(r->m, METRICS_COUNTER, "tailrace_worker_busy_seconds",
		"Time a worker spent in loops that had work.");
	struct metrics_family *loops = metrics_family(r->m, METRICS_COUNTER, "tailrace_worker_loops", "Loops of a worker.");
	struct metrics_family *longest = metrics_family(r->m, METRICS_GAUGE, "tailrace_worker_longest_loop_seconds",
		"The longest loop since the start.");
	json_t *shown = commands_shown(engine_show_workers, r->c->on.engine), *w;
	size_t i;
	json_array_foreach(json_object_get(shown, "workers"), i, w)
	{
		char number[24];
		snprintf(number, sizeof(number), "%zu", i);
		metrics_real(busy, (double)integer(w, "busy_ns") / 1e9, METRICS_LABELS("worker", number));
		metrics_count(loops, integer(w, "loops"), METRICS_LABELS("worker", number));
		metrics_real(longest, (double)integer(w, "longest_loop_ns") / 1e9, METRICS_LABELS("worker", number));
	}
	json_decref(shown);
}

struct port_families {
	struct metrics_family *up, *packets, *bytes, *dropped;
};

static void
add_port(void *arg, struct port *p)
{
	struct port_families *f = arg;
	struct port_info i;
	port_show(p, &i);
	metrics_count(f->up, i.up && !i.problem, METRICS_LABELS("port", i.name));
	metrics_count(f->packets, i.rx, METRICS_LABELS("port", i.name, "direction", "rx"));
	metrics_count(f->packets, i.tx, METRICS_LABELS("port", i.name, "direction", "tx"));
	metrics_count(f->bytes, i.rx_bytes, METRICS_LABELS("port", i.name, "direction", "rx"));
	metrics_count(f->bytes, i.tx_bytes, METRICS_LABELS("port", i.name, "direction", "tx"));
	metrics_count(f->dropped, i.rx_dropped, METRICS_LABELS("port", i.name, "direction", "rx"));
	metrics_count(f->dropped, i.tx_dropped, METRICS_LABELS("port", i.name, "direction", "tx"));
}

static void
add_ports(struct render *r)
{
	struct port_families f = {
		.up = metrics_family(r->m, METRICS_GAUGE, "tailrace_port_up", "1: the port's device is there and its link is up."),
		.packets = metrics_family(r->m, METRICS_COUNTER, "tailrace_port_packets", "Packets of a port's device."),
		.bytes = metrics_family(r->m, METRICS_COUNTER, "tailrace_port_bytes", "Bytes of a port's device."),
		.dropped = metrics_family(r->m, METRICS_COUNTER, "tailrace_port_dropped", "Packets that a port's device lost."),
	};
	port_each(add_port, &f);
}

void
metrics_render(void *arg, struct scrape *s)
{
	struct render *r = calloc(1, sizeof(*r));
	struct metrics *m = r ? metrics_new(scrape_openmetrics(s)) : NULL;
	if (!m) {
		free(r);
		scrape_finish(s, NULL);
		return;
	}
	*r = (struct render){.c = arg, .scrape = s, .m = m};
	add_box(r);
	add_ports(r);
	add_workers(r);
	add_stats(r);
	add_drops(r);
	r->peers = metrics_family(m, METRICS_GAUGE, "tailrace_peers", "Peers of an interface.");
	r->peers_up = metrics_family(m, METRICS_GAUGE, "tailrace_peers_up", "Of these, those with a session.");
	r->sent = metrics_family(m, METRICS_COUNTER, "wireguard_sent_bytes", "Bytes sent to the peer");
	r->received = metrics_family(m, METRICS_COUNTER, "wireguard_received_bytes", "Bytes received from the peer");
	r->handshake = metrics_family(m, METRICS_GAUGE, "wireguard_latest_handshake_seconds",
		"UNIX time of the last handshake; 0: none yet");
	const struct peer_visit v = {add_peer, NULL, NULL, end_peers, r};
	peer_walk_start(arg, &v);
}
