/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the files of the commands only. */
#pragma once

#include "../telemetry/exporter.h"
#include "../telemetry/json_show.h"
#include "../telemetry/series.h"
#include "commands.h"

struct peer_walk;
struct ping;
struct apply_request;
struct trace_request;
struct trial;
struct capture_request;
struct explain_request;
struct top;

struct commands {
	struct commands_config on;
	struct series *series;
	struct loop_watch *tick;
	uint64_t started;            /* ns, monotonic */
	char *applied_file;          /* NULL: the appliance's */
	char *apply_error;           /* of the last apply; NULL: it went well */
	struct apply_request *apply; /* under way */
	struct trial *trial;         /* waits to be confirmed */
	struct trace_request *trace; /* under way */
	struct top *top;             /* what the last `top` saw */
	struct capture_request *capturing;
	struct explain_request *explaining;
	struct peer_walk *walks;     /* under way */
	struct ping *pings;          /* under way */
	uint64_t looked;             /* ns: when instances were asked last to look around */
	struct health *health;
	struct exporter *exporter;   /* NULL: none */
};

uint64_t commands_now(void); /* ns, monotonic */

/* An answer built through a tr_show; new reference, NULL after `why`. */
json_t *commands_shown(void (*fill)(struct engine *e, struct tr_show *out), struct engine *e);
/* Adds to `o` the rates of its integer members as object NAME; `path` is their prefix in the series. */
json_t *commands_rates(const struct commands *c, const char *path, json_t *counters);

/* Drops so far, in the last minute and per second, those of the last minute first. New reference. */
json_t *commands_drops(struct commands *c, bool recent_only);
uint64_t commands_peer_drops_minute(const struct commands *c, const struct engine_peer_drop *d); /* in the last minute */
const struct tr_peer *commands_peer(const struct commands *c, uint32_t id); /* NULL: gone */

/* Every peer of every instance that has peers, in slices of at most about 1 ms, so that a million of them does not hold
 * up the control thread. `each` and `slice` (after a slice in which each was called; NULL) until `done`, which ends it.
 * ready() false (NULL: always) puts the next slice off. */
struct peer_visit {
	void (*each)(void *arg, const struct tr_instance *i, const struct tr_peer *p);
	void (*slice)(void *arg);
	bool (*ready)(void *arg);
	void (*done)(void *arg);
	void *arg;
};
void peer_walk_start(struct commands *c, const struct peer_visit *v);
void peer_walks_free(struct commands *c); /* done() is called for those under way */
/* Seconds since the peer's last session began, maybe before this process did; -1: never, or by a clock that was ahead. */
double peer_session_age(const struct tr_peer *p, struct tr_endpoint *in_use);
bool peer_up(const struct tr_peer *p, double age); /* is that session alive? */
/* paths.c: the endpoint as text, all of a peer's paths with the one in use first; new references. */
json_t *endpoint_json(const struct tr_endpoint *e);
json_t *paths_json(struct engine *e, uint32_t peer);
/* paths.c: a command of the instance's class, NULL: it has none of that name; what it says, a new reference, NULL after `why`. */
const struct tr_command *command_of(const struct tr_instance *i, const char *name);
json_t *run_on(const struct tr_instance *i, const char *name, int argc, char *const *argv, char *why, size_t size);
void pings_free(struct commands *c); /* those under way fail */
bool parse_number(const char *s, unsigned min, unsigned max, unsigned *out);
/* Bytes so far; false: its class does not count them. */
bool peer_traffic(const struct tr_instance *i, uint32_t peer, uint64_t *rx, uint64_t *tx);
/* A filter as text; the program is malloc()ed. It may still be no valid one. */
bool filter_parse(const char *text, struct filter *out);
#define PEER_SESSION_MAX 180.0 /* s: no session is older (the protocol's reject-after time) */

/* health.c */
struct health;
struct health *health_new(struct engine *e);
void health_free(struct health *h);
void health_look(struct health *h, struct engine *e); /* once a second */
uint64_t health_stalled(const struct health *h);      /* ns: of the worker that has stood still longest */
typedef void health_say(void *arg, bool problem, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
void health_tell(const struct health *h, health_say *say, void *arg);

command_fn command_status, command_peers, command_trace, command_apply, command_reload, command_confirm,
	command_capture, command_top, command_explain, command_ping, command_netcheck;
void metrics_render(void *commands, struct scrape *s);
void apply_remember(struct commands *c, const char *error); /* of the last apply, for status; NULL: it went well */
void apply_free(struct commands *c);
/* trial.c */
void trial_begin(struct commands *c, const char *file, struct plan_ref *held, unsigned seconds); /* takes the hold */
const char *trial_file(const struct commands *c); /* on trial; NULL: none is */
json_t *trial_describe(const struct commands *c); /* new reference; null: none */
void trial_free(struct commands *c);
void trace_free(struct commands *c);
void capture_command_free(struct commands *c);
void explain_free(struct commands *c);
void top_free(struct commands *c);
