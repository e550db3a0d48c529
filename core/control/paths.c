/* SPDX-License-Identifier: BSD-3-Clause */
/* The ways to peers: what `peers` says of them, `ping` and `netcheck`. */
#include "commands_private.h"

#include "../netmap/own.h"
#include "../netmap/store.h"
#include "../runtime/clock.h"

#include <stdio.h>
#include <stdlib.h>

#define MS 1000000ull

/* ---- As JSON ---- */

static const char *
kind_name(const struct tr_endpoint *e)
{
	static const char *const names[] = {[TR_KIND_UDP] = "direct", [TR_KIND_DERP] = "derp", [TR_KIND_RELAY] = "relay"};
	return e->gate < sizeof(names) / sizeof(*names) ? names[e->gate] : "other";
}

json_t *
endpoint_json(const struct tr_endpoint *e)
{
	struct tr_addr a = {.family = e->family};
	char ip[46], text[64];
	if (!e->family)
		return json_null();
	if (e->family == TR_FAMILY_KEY) {
		snprintf(text, sizeof(text), "%s %u", kind_name(e), e->remote_port);
		return json_string(text);
	}
	memcpy(a.ip, e->remote, sizeof(a.ip));
	format_addr(&a, ip);
	snprintf(text, sizeof(text), a.family == 6 ? "[%s]:%u" : "%s:%u", ip, e->remote_port);
	return json_string(text);
}

static const char *
why_text(const struct tr_path *p)
{
	static const char *const text[] = {
		[TR_PATH_ONLY] = "no other is known",
		[TR_PATH_LAST_HEARD] = "the peer was last heard from it",
		[TR_PATH_FIRST] = "the first that was answered on",
		[TR_PATH_BETTER] = "better than the others that answer",
		[TR_PATH_LARGER] = "carries larger packets",
		[TR_PATH_TRYING] = "being tried: the relay carries a copy",
		[TR_PATH_NO_DIRECT] = "no direct path works",
	};
	return p->why < sizeof(text) / sizeof(*text) ? text[p->why] : "";
}

static json_t *
path_json(const struct tr_path *p, uint64_t now)
{
	static const char *const states[] = {"untried", "tried", "alive", "dead", "gone"};
	static const char *const origins[] = {"configured", "saved", "heard", "probed", "called"};
	static const char *const uses[] = {"no", "yes", "copies"};
	json_t *v = json_pack("{s:s, s:o, s:s, s:s, s:s}", "kind", kind_name(&p->endpoint), "endpoint", endpoint_json(&p->endpoint),
		"state", states[p->state % 5], "used", uses[p->use % 3], "told_by", origins[p->origin % 5]);
	if (p->use == TR_PATH_IN_USE)
		json_object_set_new(v, "why", json_string(why_text(p)));
	if (p->state == TR_PATH_ALIVE && (p->endpoint.gate == TR_KIND_UDP || p->endpoint.gate == TR_KIND_RELAY) && p->until)
		json_object_set_new(v, "trusted", json_boolean(p->until > now));
	if (p->latency_us)
		json_object_set_new(v, "latency_ms", json_real(p->latency_us / 1000.0));
	if (p->endpoint.mtu)
		json_object_set_new(v, "mtu", json_integer(p->endpoint.mtu));
	if (p->heard && p->heard <= now)
		json_object_set_new(v, "heard_s", json_real((double)((now - p->heard) / MS) / 1000));
	return v;
}

struct relay_of {
	uint32_t peer;
	const struct tr_endpoint *endpoint;
	json_t *answer; /* NULL: nobody knows */
};

/* Of any prober that has the command `relay PEER-ID PATH`: what `local` means is its own. */
static void
relay_in(void *arg, struct tr_instance *i)
{
	struct relay_of *f = arg;
	char id[16], path[33], why[256], *argv[] = {id, path, NULL};
	if (f->answer || !(i->class_->flags & TR_CLASS_PROBES) || i->table != netmap_table_of(f->peer) || !command_of(i, "relay"))
		return;
	snprintf(id, sizeof(id), "%u", f->peer);
	for (unsigned k = 0; k < 16; k++)
		snprintf(path + 2 * k, 3, "%02x", f->endpoint->local[k]);
	f->answer = run_on(i, "relay", 2, argv, why, sizeof(why));
}

/* A path by a peer relay: by which peer, if anybody knows. */
static void
add_relay(struct engine *e, uint32_t peer, const struct tr_endpoint *endpoint, json_t *out)
{
	struct relay_of f = {.peer = peer, .endpoint = endpoint};
	engine_each(e, relay_in, &f);
	const char *name = json_string_value(json_object_get(f.answer, "relay"));
	if (name && *name)
		json_object_set_new(out, "relay", json_string(name));
	json_decref(f.answer);
}

json_t *
paths_json(struct engine *e, uint32_t peer)
{
	struct tr_path v[TR_PATHS];
	const uint64_t now = clock_ns();
	const uint16_t n = path_list(peer, now, v, TR_PATHS);
	json_t *list = json_array();
	for (uint16_t i = 0; i < n; i++) {
		json_t *path = path_json(&v[i], now);
		if (v[i].endpoint.gate == TR_KIND_RELAY)
			add_relay(e, peer, &v[i].endpoint, path);
		json_array_append_new(list, path);
	}
	return list;
}

/* ---- Instances' own commands ---- */

const struct tr_command *
command_of(const struct tr_instance *i, const char *name)
{
	for (const struct tr_command *o = i->class_->commands; o && o->name; o++)
		if (strcmp(o->name, name) == 0)
			return o;
	return NULL;
}

json_t *
run_on(const struct tr_instance *i, const char *name, int argc, char *const *argv, char *why, size_t size)
{
	const struct tr_command *o = command_of(i, name);
	struct json_show *j;
	struct tr_show *s = o ? json_show_begin(&j) : NULL;
	if (!s) {
		snprintf(why, size, "%s has no command %s", i->name, name);
		return NULL;
	}
	const int rc = o->run(i->self, argc, argv, s);
	json_t *v = json_show_end(j, why, size);
	if (!v || rc >= 0)
		return v;
	json_decref(v);
	snprintf(why, size, "%s %s: %s", i->name, name, strerror(-rc));
	return NULL;
}

/* ---- ping: a handshake, timed ---- */

#define PING_PATIENCE (5500 * MS) /* a peer is asked for a session at most every 5 s */

struct ping {
	struct ping *next, **prev;
	struct commands *c;
	struct request *r;
	struct loop_watch *timer;
	char *instance, *name;
	uint32_t peer;
	uint64_t begun, asked, before; /* ns; `before`: begin of the session that there was */
	unsigned asks;
};

static void
ping_end(struct ping *p)
{
	*p->prev = p->next;
	if (p->next)
		p->next->prev = p->prev;
	loop_watch_close(p->timer);
	free(p->instance);
	free(p->name);
	free(p);
}

static void
ping_answered(struct ping *p, uint64_t session)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	const uint64_t wall = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec, now = clock_ns();
	const uint64_t since = wall > session ? wall - session : 0, took = now - p->asked > since ? now - p->asked - since : 0;
	json_t *paths = paths_json(p->c->on.engine, p->peer), *best = json_array_get(paths, 0);
	json_t *copies = NULL, *v;
	size_t i;
	json_array_foreach(paths, i, v) if (!strcmp(json_string_value(json_object_get(v, "used")), "copies")) copies = v;
	management_reply(p->r, json_pack("{s:s, s:f, s:O?, s:O?, s:O*, s:O?, s:O?, s:O?}", "peer", p->name, "latency_ms", (double)took / 1e6, "kind",
				       json_object_get(best, "kind"), "endpoint", json_object_get(best, "endpoint"), "relay", json_object_get(best, "relay"), "why",
				       json_object_get(best, "why"), "and_by", copies ? json_object_get(copies, "endpoint") : NULL, "mtu",
				       json_object_get(best, "mtu")));
	json_decref(paths);
	ping_end(p);
}

static void
ping_look(void *arg)
{
	struct ping *p = arg;
	struct tr_instance *i = engine_instance(p->c->on.engine, p->instance);
	const uint64_t now = clock_ns();
	struct tr_endpoint e;
	uint64_t session;
	char why[256];
	path_read(p->peer, &e, &session);
	if (session != p->before) {
		ping_answered(p, session);
		return;
	}
	if (!i || now - p->begun > PING_PATIENCE + 5000 * MS || management_gone(p->r)) {
		management_error(p->r, e.family ? "%s does not answer" : "no way to %s is known", p->name);
		ping_end(p);
		return;
	}
	if (p->asked && now - p->asked < PING_PATIENCE)
		return;
	json_t *v = run_on(i, "handshake", 1, &p->name, why, sizeof(why));
	if (!v) {
		management_error(p->r, "%s", why);
		ping_end(p);
		return;
	}
	json_decref(v);
	p->asked = now;
}

struct find {
	const char *name;
	uint32_t peer;
	const struct tr_instance *instance;
};

static void
match(void *arg, const struct tr_peer *p)
{
	struct find *f = arg;
	char key[45];
	format_base64_32(p->public_key, key);
	if ((p->name && strcmp(p->name, f->name) == 0) || strcmp(key, f->name) == 0)
		f->peer = p->id;
}

static void
find_in(void *arg, struct tr_instance *i)
{
	struct find *f = arg;
	if (f->peer || !i->table || !command_of(i, "handshake"))
		return;
	netmap_each(i->table, match, f);
	if (f->peer)
		f->instance = i;
}

void
command_ping(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	struct find f = {.name = argc == 1 ? argv[0] : ""};
	struct tr_endpoint e;
	engine_each(c->on.engine, find_in, &f);
	if (argc != 1 || !f.peer) {
		management_error(r, argc == 1 ? "no peer is named %s" : "ping needs a peer%s", argc == 1 ? argv[0] : "");
		return;
	}
	struct ping *p = calloc(1, sizeof(*p));
	if (p) {
		*p = (struct ping){.c = c, .r = r, .peer = f.peer, .begun = clock_ns(), .instance = strdup(f.instance->name),
			.name = strdup(argv[0]), .timer = loop_timer(c->on.loop, 0, 1, ping_look, p), .next = c->pings, .prev = &c->pings};
		path_read(f.peer, &e, &p->before);
	}
	if (!p || !p->timer || !p->instance || !p->name) {
		management_error(r, "no memory");
		if (p) {
			loop_watch_close(p->timer);
			free(p->instance);
			free(p->name);
		}
		free(p);
		return;
	}
	if (p->next)
		p->next->prev = &p->next;
	c->pings = p;
}

void
pings_free(struct commands *c)
{
	while (c->pings) {
		management_error(c->pings->r, "the daemon ends");
		ping_end(c->pings);
	}
}

/* ---- netcheck: whatever instances know of the network around ---- */

struct netcheck {
	json_t *out;
	bool start;
};

static void
netcheck_in(void *arg, struct tr_instance *i)
{
	static char start[] = "start";
	char *const argv[] = {start, NULL};
	struct netcheck *n = arg;
	char why[256];
	if (!command_of(i, "netcheck"))
		return;
	json_t *v = run_on(i, "netcheck", n->start, argv, why, sizeof(why));
	if (!n->start)
		json_object_set_new(n->out, i->name, v ? v : json_pack("{s:s}", "problem", why));
	else
		json_decref(v);
}

/* By convention the command that asks anew what others see of us. */
static void
probe_in(void *arg, struct tr_instance *i)
{
	char why[256];
	(void)arg;
	if (own_told_by(i))
		json_decref(run_on(i, "probe", 0, NULL, why, sizeof(why)));
}

void
commands_look_around(struct commands *c)
{
	const uint64_t now = clock_ns();
	if (now < c->looked + 3000 * MS || !engine_stirred(c->on.engine))
		return;
	c->looked = now;
	engine_each(c->on.engine, probe_in, NULL);
}

/* `start` asks for new measurements; what is known is told at once. */
void
command_netcheck(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	struct netcheck n = {.out = json_object(), .start = argc == 1 && strcmp(argv[0], "start") == 0};
	engine_each(c->on.engine, netcheck_in, &n);
	management_reply(r, n.out);
}
