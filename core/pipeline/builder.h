/* SPDX-License-Identifier: BSD-3-Clause */
/* A plan being made: what its parts (instances, links, netmap, whole-plan checks) share. */
#pragma once

#include "plan.h"

#define PLAN_MAX_INSTANCES 1000
#define PLAN_MAX_GATES 250 /* out gates of one instance: an endpoint names path's in one byte */

struct builder {
	struct plan *plan;
	const struct catalogue *catalogue;
	const struct appliance *ports;
	struct diags *d;
	struct opt_context context;
	struct plan_instance *current; /* whose options are being parsed */
	unsigned capacity[PLAN_MAX_INSTANCES + 1]; /* of each instance's array of out gates */
};

/* A part of the text of a scalar, with a position of its own where the scalar is unquoted. */
struct word {
	const struct cfg_node *node;
	const char *text;
	unsigned offset; /* in the node's text */
};
void plan_error(struct builder *b, const struct word *w, const char *format, ...) __attribute__((format(printf, 3, 4)));

bool plan_good_name(const char *s);
/* -1 after a diagnostic with a did-you-mean. */
int32_t plan_find_or_error(struct builder *b, const struct word *w);
void plan_instance_init(struct builder *b, int32_t index, const struct catalogue_entry *e);

/* link.c */
void plan_gates(struct builder *b, int32_t index); /* an instance's static gates */
void plan_links(struct builder *b, const struct cfg_node *links);
uint32_t plan_route_gate(void *builder, const struct cfg_node *where, const char *target); /* opt_context.gate */
const struct tr_out_gate *plan_dynamic(const struct tr_class *c); /* NULL: none */
bool plan_has_routes(const struct tr_class *c);

/* netmap.c */
void plan_netmap(struct builder *b, const struct cfg_node *netmap, const struct cfg_node *peers);
extern const struct tr_option plan_netmap_options[], plan_peer_options[], plan_derp_options[]; /* for the schema */
/* The DERP map below `netmap`, in the context's arena. map: NULL = none. */
struct tr_derp_node *plan_derp(const struct opt_context *c, const struct cfg_node *map, unsigned *n);
bool plan_derp_same(const struct tr_derp_node *a, const struct tr_derp_node *b);

/* check.c, services.c */
void plan_check(struct builder *b);
void plan_check_services(struct builder *b);
uint64_t plan_flagged(const struct plan_instance *i, enum tr_option_flag flag); /* value of that option, or 0 */
const struct cfg_node *plan_flagged_node(const struct plan_instance *i, enum tr_option_flag flag);

/* adopt.c: once all links are there */
void plan_adopt(struct builder *b);

/* routes.c */
void plan_check_routes(struct builder *b);

/* diff_netmap.c */
typedef void plan_act(struct plan_diff *d, enum plan_verb verb, int32_t from, int32_t to, const char *format, ...);
void plan_diff_netmap(const struct plan *from, const struct plan *to, struct plan_diff *out, plan_act *act);
