/* SPDX-License-Identifier: BSD-3-Clause */
#include "report.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static uint32_t
load32(const _Atomic uint32_t *a)
{
	return atomic_load_explicit(a, memory_order_relaxed);
}

static uint32_t
peer_at(const struct punch *punch, unsigned slot)
{
	return load32(&punch->relays->peer[slot]);
}

/* NULL: not, or not any more, one of those that are asked. */
static struct report *
report_of(const struct punch *punch, uint32_t relay)
{
	for (unsigned i = 0; relay != TR_NO_PEER && i < RELAYS; i++)
		if (peer_at(punch, i) == relay)
			return &punch->reports->relay[i];
	return NULL;
}

void
report_forget(const struct punch *punch, unsigned slot)
{
	struct report *r = &punch->reports->relay[slot];
	_Atomic uint32_t *const numbers[] = {&r->unanswered, &r->asked, &r->latency_us, &r->paths};
	atomic_store_explicit(&r->answered, 0, memory_order_relaxed);
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		atomic_store_explicit(numbers[i], 0, memory_order_relaxed);
}

void
report_asked(const struct punch *punch, uint32_t relay)
{
	struct report *r = report_of(punch, relay);
	if (r != NULL)
		atomic_store_explicit(&r->asked, 1, memory_order_relaxed);
}

void
report_answered(const struct punch *punch, uint32_t relay, uint64_t now)
{
	struct report *r = report_of(punch, relay);
	if (r == NULL)
		return;
	atomic_store_explicit(&r->answered, now, memory_order_relaxed);
	atomic_store_explicit(&r->unanswered, 0, memory_order_relaxed);
}

void
report_unanswered(const struct punch *punch, uint32_t relay)
{
	struct report *r = report_of(punch, relay);
	if (r != NULL)
		atomic_fetch_add_explicit(&r->unanswered, 1, memory_order_relaxed);
}

void
report_challenged(const struct punch *punch, uint32_t relay, uint64_t latency)
{
	struct report *r = report_of(punch, relay);
	if (r != NULL)
		atomic_store_explicit(&r->latency_us, latency < 1000 ? 1 : (uint32_t)(latency / 1000), memory_order_relaxed);
}

void
report_path(const struct punch *punch, uint32_t relay, bool works)
{
	struct report *r = relay == TR_NO_PEER ? &punch->reports->relay[RELAYS] : report_of(punch, relay);
	if (r != NULL && works)
		atomic_fetch_add_explicit(&r->paths, 1, memory_order_relaxed);
	/* A build before this one did not count: its paths are not there to be taken off. */
	for (uint32_t n = r ? load32(&r->paths) : 0; !works && n > 0;)
		if (atomic_compare_exchange_weak_explicit(&r->paths, &n, n - 1, memory_order_relaxed, memory_order_relaxed))
			break;
}

/* ---- What the operator sees. Control thread. ---- */

static bool
answers(const struct report *r)
{
	return load32(&r->unanswered) == 0 && atomic_load_explicit(&r->answered, memory_order_relaxed) != 0;
}

static const char *
state_of(const struct report *r)
{
	if (answers(r))
		return "answers";
	if (load32(&r->unanswered) != 0)
		return "does not answer";
	return load32(&r->asked) ? "asked" : "not asked yet";
}

static const char *
name_at(const struct punch *punch, unsigned slot)
{
	const uint32_t id = peer_at(punch, slot);
	const struct tr_peer *peer = id != TR_NO_PEER ? punch->host->peer(punch->instance, id) : NULL;
	return peer == NULL ? NULL : peer->name != NULL ? peer->name : "";
}

void
report_relays(const struct punch *punch, struct tr_show *out)
{
	const uint64_t now = punch->host->now(punch->instance);
	out->list(out, "peer_relays");
	for (unsigned i = 0; i < RELAYS; i++) {
		const struct report *r = &punch->reports->relay[i];
		const uint64_t answered = atomic_load_explicit(&r->answered, memory_order_relaxed);
		const char *name = name_at(punch, i);
		if (name == NULL)
			continue;
		out->begin(out, NULL);
		out->text(out, "name", name);
		out->key(out, "public_key", punch->host->peer(punch->instance, peer_at(punch, i))->public_key);
		out->text(out, "state", state_of(r));
		out->uint(out, "paths", load32(&r->paths));
		if (load32(&r->latency_us) != 0)
			out->real(out, "latency_ms", load32(&r->latency_us) / 1000.0);
		if (answered != 0)
			out->uint(out, "answered_s", (now - answered) / SECOND);
		out->end(out);
	}
	out->end(out);
	out->uint(out, "paths_by_relays_of_others", load32(&punch->reports->relay[RELAYS].paths));
}

int
report_netcheck(void *self, int argc, char *const *argv, struct tr_show *out)
{
	if (argc == 1 && strcmp(argv[0], "start") == 0)
		return 0; /* relays are asked for a peer, or not at all */
	if (argc != 0) {
		out->error(out, "expected: netcheck [start]");
		return -EINVAL;
	}
	report_relays(self, out);
	return 0;
}

/* The first that does not answer. */
static void
tell_trouble(const struct punch *punch, struct tr_show *out)
{
	for (unsigned i = 0; i < RELAYS; i++) {
		const uint32_t n = load32(&punch->reports->relay[i].unanswered);
		const char *name = name_at(punch, i);
		char note[256];
		if (name == NULL || n == 0)
			continue;
		snprintf(note, sizeof(note), "peer relay `%s` has not answered %u request%s for a path: does it run, and does its netmap let us ask "
			"(`relay_client`)?", name, n, n == 1 ? "" : "s");
		out->text(out, "note", note);
		return;
	}
}

int
report_status(void *self, int argc, char *const *argv, struct tr_show *out)
{
	const struct punch *punch = self;
	unsigned known = 0, asked = 0, answer = 0, paths = load32(&punch->reports->relay[RELAYS].paths);
	char state[96];
	(void)argc;
	(void)argv;
	for (unsigned i = 0; i < RELAYS; i++) {
		const struct report *r = &punch->reports->relay[i];
		if (name_at(punch, i) == NULL)
			continue;
		known++;
		asked += load32(&r->asked);
		answer += answers(r);
		paths += load32(&r->paths);
	}
	if (known == 0 && paths == 0)
		return 0;
	if (known == 0)
		snprintf(state, sizeof(state), "%u path%s by relays of others", paths, paths == 1 ? "" : "s");
	else if (asked == 0 && paths == 0)
		snprintf(state, sizeof(state), "%u peer relay%s, not asked yet", known, known == 1 ? "" : "s");
	else
		snprintf(state, sizeof(state), "%u of %u peer relay%s answer%s, %u path%s", answer, known, known == 1 ? "" : "s",
			known == 1 ? "s" : "", paths, paths == 1 ? "" : "s");
	out->text(out, "state", state);
	tell_trouble(punch, out);
	return 0;
}
