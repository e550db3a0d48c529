/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The plan: a checked pipeline.yaml as data, before anything runs. `tailrace check`, `diff`, `graph` and the daemon all
 * make it with the same code.
 */
#pragma once

#include "../config/appliance.h"
#include "../plugin/loader.h"

#include <tailrace/netmap.h>

struct plan_gate { /* an out gate with its link */
	const char *name;
	enum tr_gate_type type;
	uint32_t flags;
	int32_t to;      /* index of the target instance; -1: unlinked (only TR_GATE_OPTIONAL) */
	uint32_t to_gate; /* which in gate of it */
	const struct cfg_node *where; /* the link, or the route, that made it; NULL: internal */
};

struct plan_instance {
	const char *name;
	const struct tr_class *class_;
	const struct loaded_plugin *plugin; /* NULL: core */
	const struct cfg_node *where, *options_node;
	void *options;  /* class_->options_size bytes */
	struct plan_gate *out; /* static gates in the class's order, then dynamic ones in the order of their first use */
	unsigned n_out;
	bool service; /* has a node or a wish for a service loop */
};

struct plan_peer { /* provider's layer */
	const char *name;
	struct tr_key public_key;
	struct tr_secret preshared_key;
	const char *preshared_key_file; /* as it is written; NULL: none */
	struct tr_list allowed; /* struct tr_prefix */
	struct tr_sockaddr endpoint;
	uint64_t keepalive; /* seconds */
	uint64_t derp;      /* home region; 0: none */
	struct tr_key disco_key; /* all zero: none */
	bool relay, relay_client;
	int32_t interface;  /* instance index */
	uint32_t line;      /* of the plan's file */
	const struct cfg_node *where; /* while the plan is made */
};

struct plan {
	struct arena *arena;
	const char *file;
	struct plan_instance *instance;
	unsigned n_instances;
	const char *domain;   /* netmap.domain; NULL */
	struct tr_list names; /* struct tr_name_option */
	struct tr_derp_node *derp;
	unsigned n_derp;
	struct plan_peer *peer;
	unsigned n_peers;
};

/* NULL when there are errors. `secrets`: see opt_context. `ports` may be NULL (no appliance.cfg at hand). */
struct plan *plan_load(const char *path, const struct catalogue *c, const struct appliance *ports, bool secrets,
		       struct diags *d);
struct plan *plan_parse(const char *name, const char *text, size_t len, const struct catalogue *c,
			const struct appliance *ports, bool secrets, struct diags *d);
void plan_free(struct plan *p);
int32_t plan_find(const struct plan *p, const char *name); /* index of an instance, or -1 */

/* What applying `to` over `from` does, as a list for people and for the engine. from may be NULL (start). */
enum plan_verb { PLAN_KEEP, PLAN_CREATE, PLAN_RECREATE, PLAN_RECONFIGURE, PLAN_REMOVE, PLAN_RESTART, PLAN_LINK, PLAN_UNLINK,
		 PLAN_PEER_ADD, PLAN_PEER_CHANGE, PLAN_PEER_REMOVE, PLAN_NAMES };
struct plan_action {
	enum plan_verb verb;
	int32_t from, to; /* instance or peer indexes; -1 */
	char *text;       /* "reconfigure wg0: mtu 1420 -> 1380 (live)" */
};
struct plan_diff {
	struct plan_action *v;
	unsigned n;
	bool restart; /* something needs a restart */
};
void plan_diff(const struct plan *from, const struct plan *to, struct plan_diff *out);
/* Only what becomes of the instances: each of `to` once, and those that go. The engine applies just this. */
void plan_diff_instances(const struct plan *from, const struct plan *to, struct plan_diff *out);
/* Only the netmap's part. */
void plan_diff_peers(const struct plan *from, const struct plan *to, struct plan_diff *out);
void plan_diff_free(struct plan_diff *d);

char *plan_dot(const struct plan *p);  /* Graphviz text; malloc()ed */
char *plan_schema(const struct catalogue *c); /* JSON Schema of pipeline.yaml; malloc()ed */
