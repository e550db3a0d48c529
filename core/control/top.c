/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * top N: the N peers that carry most, by what they carried since the last such call of anybody's; the first call only looks.
 * Peers are walked in slices; what is kept of each is its sum, so that a million of them take 8 MB, and nothing before the
 * first call.
 */
#include "commands_private.h"

#include <stdio.h>
#include <stdlib.h>

#define MAX_PEERS 1000

struct top {
	uint64_t *rx, *tx; /* by peer id */
	uint64_t at;       /* ns: when that was */
	bool walking;
};

struct top_entry {
	double rx, tx; /* bytes a second */
	json_t *about;
};

struct top_request {
	struct commands *c;
	struct request *r;
	unsigned wanted, n;
	double seconds; /* since the last look; 0: there was none */
	struct top_entry *v;
	uint64_t began;
};

static json_t *
describe(const struct tr_instance *i, const struct tr_peer *p)
{
	char key[45];
	struct tr_endpoint in_use;
	double age = peer_session_age(p, &in_use);
	format_base64_32(p->public_key, key);
	return json_pack("{s:s*, s:s, s:s, s:b, s:o}", "name", p->name, "public_key", key, "interface", i->name, "up",
		peer_up(p, age), "session_age", age < 0 ? json_null() : json_real(age));
}

/* Keeps the list in order, the busiest first. */
static void
insert(struct top_request *q, const struct tr_instance *i, const struct tr_peer *p, double rx, double tx)
{
	unsigned at = q->n;
	if (q->n == q->wanted && rx + tx <= q->v[q->n - 1].rx + q->v[q->n - 1].tx)
		return;
	if (q->n == q->wanted)
		json_decref(q->v[--at].about);
	else
		q->n++;
	for (; at > 0 && q->v[at - 1].rx + q->v[at - 1].tx < rx + tx; at--)
		q->v[at] = q->v[at - 1];
	q->v[at] = (struct top_entry){rx, tx, describe(i, p)};
}

static void
look_at(void *arg, const struct tr_instance *i, const struct tr_peer *p)
{
	struct top_request *q = arg;
	struct top *t = q->c->top;
	uint64_t rx, tx;
	if (p->id > q->c->on.appliance->max_peers || !peer_traffic(i, p->id, &rx, &tx))
		return;
	double drx = rx >= t->rx[p->id] ? (double)(rx - t->rx[p->id]) : (double)rx;
	double dtx = tx >= t->tx[p->id] ? (double)(tx - t->tx[p->id]) : (double)tx;
	t->rx[p->id] = rx;
	t->tx[p->id] = tx;
	insert(q, i, p, q->seconds > 0 ? drx / q->seconds : 0, q->seconds > 0 ? dtx / q->seconds : 0);
}

static void
end(void *arg)
{
	struct top_request *q = arg;
	json_t *peers = json_array();
	for (unsigned k = 0; k < q->n; k++) {
		json_object_set_new(q->v[k].about, "rx_bytes_per_second", json_real(q->v[k].rx));
		json_object_set_new(q->v[k].about, "tx_bytes_per_second", json_real(q->v[k].tx));
		json_array_append_new(peers, q->v[k].about);
	}
	q->c->top->at = q->began;
	q->c->top->walking = false;
	management_reply(q->r, json_pack("{s:f, s:o}", "seconds", q->seconds, "peers", peers));
	free(q->v);
	free(q);
}

static struct top *
top_new(const struct commands *c)
{
	struct top *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->rx = calloc(c->on.appliance->max_peers + 1, sizeof(*t->rx));
	t->tx = calloc(c->on.appliance->max_peers + 1, sizeof(*t->tx));
	if (t->rx && t->tx)
		return t;
	free(t->rx);
	free(t->tx);
	free(t);
	return NULL;
}

void
command_top(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	unsigned n;
	if (argc != 1 || !parse_number(argv[0], 1, MAX_PEERS, &n)) {
		management_error(r, "top takes a number of peers, 1 to %d", MAX_PEERS);
		return;
	}
	if (!c->top)
		c->top = top_new(c);
	struct top_request *q = calloc(1, sizeof(*q));
	struct top_entry *v = calloc(n, sizeof(*v));
	if (!c->top || !q || !v || c->top->walking) {
		management_error(r, "%s", c->top && c->top->walking ? "another `top` looks right now" : "no memory");
		free(q);
		free(v);
		return;
	}
	uint64_t now = commands_now();
	*q = (struct top_request){.c = c, .r = r, .wanted = n, .v = v, .began = now,
		.seconds = c->top->at ? (double)(now - c->top->at) / 1e9 : 0};
	c->top->walking = true;
	const struct peer_visit visit = {look_at, NULL, NULL, end, q};
	peer_walk_start(c, &visit);
}

void
top_free(struct commands *c)
{
	if (!c->top)
		return;
	free(c->top->rx);
	free(c->top->tx);
	free(c->top);
}
