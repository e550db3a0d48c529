/* SPDX-License-Identifier: BSD-3-Clause */
/* What the operator sees of the client. Control thread. */
#include "client.h"

#include <stdio.h>
#include <tailrace/show.h>

static void
show_region(struct tr_show *out, const struct report *r, uint64_t now)
{
	out->begin(out, NULL);
	out->uint(out, "region", r->id);
	if (r->home)
		out->flag(out, "home", true);
	out->text(out, "state", r->open ? "connected" : r->trying ? "connecting" : "idle");
	if (r->node[0] != '\0')
		out->text(out, "node", r->node);
	if (r->latency_us != 0)
		out->real(out, "latency_ms", r->latency_us / 1000.0);
	if (r->since != 0)
		out->uint(out, "since_s", (now - r->since) / (1000000000u));
	if (!r->open && r->failures != 0)
		out->uint(out, "failures", r->failures);
	if (!r->open && r->failure[0] != '\0')
		out->text(out, "problem", r->failure);
	if (r->open && r->health[0] != '\0')
		out->text(out, "problem", r->health);
	out->end(out);
}

void
report_regions(struct client *c, struct tr_show *out)
{
	struct report v[REGIONS_MAX];
	const uint64_t now = c->host->now(c->instance);
	pthread_mutex_lock(&c->lock);
	const unsigned n = c->n_shown;
	memcpy(v, c->shown, n * sizeof(v[0]));
	pthread_mutex_unlock(&c->lock);
	unsigned home = 0, connected = 0;
	for (unsigned i = 0; i < n; i++) {
		home = v[i].home ? v[i].id : home;
		connected += v[i].open;
	}
	if (home != 0)
		out->uint(out, "home", home);
	out->uint(out, "connected", connected);
	out->list(out, "regions");
	for (unsigned i = 0; i < n; i++)
		show_region(out, &v[i], now);
	out->end(out);
}

void
report_show(void *self, struct tr_show *out)
{
	struct client *c = self;
	out->key(out, "public_key", c->self.public_key);
	report_regions(c, out);
}

static void
tell_state(const struct report *v, unsigned n, char *state, size_t size)
{
	const struct report *home = NULL;
	unsigned open = 0;
	for (unsigned i = 0; i < n; i++) {
		home = v[i].home ? &v[i] : home;
		open += v[i].open;
	}
	if (home == NULL)
		snprintf(state, size, "%s, %u connection%s", n > 0 ? "no home region yet" : "no DERP map", open, open == 1 ? "" : "s");
	else
		snprintf(state, size, "home region %u%s%s%s, %u connection%s", home->id, home->open ? " by " : "",
			home->open ? home->node : "", home->open ? "" : " is not connected", open, open == 1 ? "" : "s");
}

/* The home's trouble, else any region's. */
static void
tell_trouble(const struct report *v, unsigned n, char *note, size_t size)
{
	const struct report *worst = NULL;
	for (unsigned i = 0; i < n; i++) {
		const bool bad = v[i].open ? v[i].health[0] != '\0' : v[i].trying && v[i].failure[0] != '\0';
		if (bad && (worst == NULL || v[i].home))
			worst = &v[i];
	}
	note[0] = '\0';
	if (worst != NULL && worst->open)
		snprintf(note, size, "region %u: %s says: %s", worst->id, worst->node, worst->health);
	else if (worst != NULL)
		snprintf(note, size, "region %u is not connected: %s: %s", worst->id, worst->node, worst->failure);
}

int
report_status(void *self, int argc, char *const *argv, struct tr_show *out)
{
	struct client *c = self;
	char state[160], note[320];
	(void)argc;
	(void)argv;
	pthread_mutex_lock(&c->lock);
	tell_state(c->shown, c->n_shown, state, sizeof(state));
	tell_trouble(c->shown, c->n_shown, note, sizeof(note));
	pthread_mutex_unlock(&c->lock);
	out->text(out, "state", state);
	if (note[0] != '\0')
		out->text(out, "note", note);
	return 0;
}
