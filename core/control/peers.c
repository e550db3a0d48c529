/* SPDX-License-Identifier: BSD-3-Clause */
/* The peers, as `peers` and `status` tell of them. */
#include "commands_private.h"

#include "../netmap/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SLICE_PEERS 256  /* at most, where a slice is a line for a client */
#define SLICE_NS 700000  /* of the control thread at a time */

struct peer_walk {
	struct peer_walk *next;
	struct commands *c;
	struct peer_visit visit;
	struct loop_watch *timer;
	char **instance; /* by name: an apply may come between two slices */
	unsigned n_instances, at;
	uint32_t id;
};

static void
walk_end(struct peer_walk *w)
{
	struct peer_walk **p = &w->c->walks;
	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	loop_watch_close(w->timer);
	for (unsigned i = 0; i < w->n_instances; i++)
		free(w->instance[i]);
	free(w->instance);
	struct peer_visit v = w->visit;
	free(w);
	v.done(v.arg);
}

static void
walk_slice(void *arg)
{
	struct peer_walk *w = arg;
	unsigned peers = 0, ids = 0;
	uint64_t until = commands_now() + SLICE_NS;
	uint32_t max = (uint32_t)w->c->on.appliance->max_peers;
	if (w->visit.ready && !w->visit.ready(w->visit.arg))
		return;
	while (w->at < w->n_instances && (peers < SLICE_PEERS || !w->visit.slice) && (++ids % 64 != 0 || commands_now() < until)) {
		const struct tr_instance *i = engine_instance(w->c->on.engine, w->instance[w->at]);
		if (!i || !i->table || w->id > max) {
			w->at++;
			w->id = 1;
			continue;
		}
		const struct tr_peer *p = netmap_peer(i->table, w->id++);
		if (p) {
			peers++;
			w->visit.each(w->visit.arg, i, p);
		}
	}
	if (peers && w->visit.slice)
		w->visit.slice(w->visit.arg);
	if (w->at == w->n_instances)
		walk_end(w);
}

static void
collect_instance(void *arg, struct tr_instance *i)
{
	struct peer_walk *w = arg;
	const bool own = i->table && (i->class_->flags & TR_CLASS_PEERS); /* not those of which it follows another's */
	char **grown = own ? realloc(w->instance, (w->n_instances + 1) * sizeof(*grown)) : NULL;
	if (!grown)
		return;
	w->instance = grown;
	if ((grown[w->n_instances] = strdup(i->name)))
		w->n_instances++;
}

void
peer_walk_start(struct commands *c, const struct peer_visit *v)
{
	struct peer_walk *w = calloc(1, sizeof(*w));
	if (w) {
		*w = (struct peer_walk){.next = c->walks, .c = c, .visit = *v, .id = 1};
		w->timer = loop_timer(c->on.loop, 0, 1, walk_slice, w);
	}
	if (!w || !w->timer) {
		free(w);
		v->done(v->arg);
		return;
	}
	c->walks = w;
	engine_each(c->on.engine, collect_instance, w);
}

void
peer_walks_free(struct commands *c)
{
	while (c->walks)
		walk_end(c->walks);
}

double
peer_session_age(const struct tr_peer *p, struct tr_endpoint *in_use)
{
	uint64_t session;
	struct timespec now;
	path_read(p->id, in_use, &session);
	if (!session)
		return -1;
	clock_gettime(CLOCK_REALTIME, &now);
	double age = (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)session / 1e9;
	return age >= 0 ? age : path_begun(p->id) ? 0 : -1; /* the clock has gone back */
}

bool
peer_up(const struct tr_peer *p, double age)
{
	return age >= 0 && age < PEER_SESSION_MAX && path_begun(p->id);
}

/* ---- What a class says of a peer ---- */

struct traffic {
	uint64_t rx, tx;
};

static void
take_uint(struct tr_show *s, const char *key, uint64_t value)
{
	struct traffic *t = s->ctx;
	if (strcmp(key, "rx_bytes") == 0)
		t->rx = value;
	else if (strcmp(key, "tx_bytes") == 0)
		t->tx = value;
}

static void __attribute__((format(printf, 2, 3))) take_error(struct tr_show *s, const char *format, ...)
{
}

/* Of any class of peers that has the command `traffic NUMBER`, which shows rx_bytes and tx_bytes. */
bool
peer_traffic(const struct tr_instance *i, uint32_t peer, uint64_t *rx, uint64_t *tx)
{
	const struct tr_command *o = i->class_->commands;
	while (o && o->name && strcmp(o->name, "traffic") != 0)
		o++;
	if (!o || !o->name)
		return false;
	struct traffic t = {0, 0};
	struct tr_show s = {.ctx = &t, .uint = take_uint, .error = take_error};
	char number[16], *argv[] = {number};
	snprintf(number, sizeof(number), "%u", peer);
	if (o->run(i->self, 1, argv, &s) != 0)
		return false;
	*rx = t.rx;
	*tx = t.tx;
	return true;
}

/* ---- The command ---- */

struct peers_request {
	struct request *r;
	struct engine *engine;
	char *filter; /* a name or a key; NULL: all */
	json_t *slice;
	unsigned shown;
};

static void
show_peer(void *arg, const struct tr_instance *i, const struct tr_peer *p)
{
	struct peers_request *q = arg;
	char key[45], prefix[50];
	format_base64_32(p->public_key, key);
	if (q->filter && strcmp(q->filter, key) != 0 && (!p->name || strcmp(q->filter, p->name) != 0))
		return;
	q->shown++;
	struct tr_endpoint in_use;
	double age = peer_session_age(p, &in_use);
	json_t *allowed = json_array();
	for (unsigned k = 0; k < p->n_allowed; k++) {
		format_prefix(&p->allowed[k], prefix);
		json_array_append_new(allowed, json_string(prefix));
	}
	json_t *paths = paths_json(q->engine, p->id), *best = json_array_get(paths, 0);
	json_array_append_new(
		q->slice, json_pack("{s:s*, s:s, s:s, s:b, s:o, s:o, s:O*, s:O*, s:o*, s:o, s:i, s:b, s:s*}", "name", p->name,
				  "public_key", key, "interface", i->name, "up", peer_up(p, age),
				  "session_age", age < 0 ? json_null() : json_real(age), "endpoint",
				  endpoint_json(in_use.family ? &in_use : &p->endpoint), "path",
				  json_object_get(best, "kind"), "why", json_object_get(best, "why"), "paths",
				  q->filter ? json_incref(paths) : NULL, "allowed_ips", allowed,
				  "keepalive", p->keepalive, "preshared_key",
				  memcmp(p->preshared_key, (uint8_t[32]){0}, 32) != 0, "origin", p->origin));
	json_decref(paths);
}

static void
send_slice(void *arg)
{
	struct peers_request *q = arg;
	if (json_array_size(q->slice) == 0)
		return;
	management_progress(q->r, json_pack("{s:o}", "peers", q->slice));
	q->slice = json_array();
}

static bool
client_ready(void *arg)
{
	struct peers_request *q = arg;
	return !management_waiting(q->r);
}

static void
end_peers(void *arg)
{
	struct peers_request *q = arg;
	if (q->filter && q->shown == 0)
		management_error(q->r, "no peer with name or public key %s", q->filter);
	else
		management_reply(q->r, json_pack("{s:i}", "count", (int)q->shown));
	json_decref(q->slice);
	free(q->filter);
	free(q);
}

void
command_peers(void *arg, struct request *r, int argc, char *const *argv)
{
	struct peers_request *q = calloc(1, sizeof(*q));
	if (!q) {
		management_error(r, "no memory");
		return;
	}
	*q = (struct peers_request){.r = r, .engine = ((struct commands *)arg)->on.engine, .slice = json_array(), .filter = argc > 0 ? strdup(argv[0]) : NULL};
	const struct peer_visit v = {show_peer, send_slice, client_ready, end_peers, q};
	peer_walk_start(arg, &v);
}
