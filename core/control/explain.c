/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * explain SRC DST: where such a packet comes in, what the graph then decides, and what stands at the end: the peer, the next
 * hop, or the reason of the drop, with the lines of the pipeline that made it so. The decisions in the middle are the
 * graph's own (engine_explain_start()); here are its two ends.
 */
#include "commands_private.h"

#include "../net/ip.h"
#include "../net/lpm.h"
#include "../netmap/store.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define POLL_MS 2
#define PATIENCE_NS 2000000000ull

struct explain_request {
	struct commands *c;
	struct request *r;
	struct loop_watch *timer;
	struct tr_addr src, dst;
	uint16_t port;
	uint8_t protocol;
	uint64_t until;
	int32_t at; /* plan's instance whose out gate it leaves by; -1: it begins at an in gate */
	uint32_t out;
	struct graph_probe end; /* the packet behind the last gate */
	char via[46];           /* next hop of the last route; "": it has none */
	json_t *steps;
};

/* ---- Text ---- */

static json_t *
position(const struct cfg_node *where)
{
	char text[512];
	if (!where || !where->file)
		return json_null();
	snprintf(text, sizeof(text), "%s:%u", where->file, where->line);
	return json_string(text);
}

static void __attribute__((format(printf, 4, 5)))
add_step(struct explain_request *q, const char *node, const struct cfg_node *where, const char *format, ...)
{
	char text[512];
	va_list args;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	json_array_append_new(q->steps, json_pack("{s:s, s:s, s:o}", "node", node, "text", text, "where", position(where)));
}

/* ---- Options of a plan's instance, by key ---- */

static const struct tr_list *
list_option(const struct plan_instance *p, const char *key, enum tr_option_type type)
{
	for (const struct tr_option *o = p->class_->options; o && o->key; o++)
		if (strcmp(o->key, key) == 0 && o->type == type && (o->flags & TR_OPT_LIST || type == TR_OPT_ROUTES))
			return (const struct tr_list *)(const void *)((const char *)p->options + o->offset);
	return NULL;
}

static bool
covers(const struct tr_prefix *p, const struct tr_addr *a)
{
	return p->addr.family == a->family && prefix_covers(p, a->ip);
}

static bool
is_interface(const struct plan_instance *p)
{
	return strcmp(p->class_->name, "interface") == 0;
}

/* The address of an interface on whose network `a` is, or that is `a`; NULL: none. */
static const struct tr_prefix *
interface_address(const struct plan_instance *p, const struct tr_addr *a, bool itself)
{
	const struct tr_list *l = is_interface(p) ? list_option(p, "address", TR_OPT_IFADDR) : NULL;
	const struct tr_prefix *v = l ? l->items : NULL;
	for (uint32_t i = 0; l && i < l->n; i++)
		if (itself ? tr_addr_eq(&v[i].addr, a) : covers(&v[i], a))
			return &v[i];
	return NULL;
}

static const struct tr_addr *
gateway(const struct plan_instance *p, uint8_t family)
{
	const struct tr_list *l = is_interface(p) ? list_option(p, "gateway", TR_OPT_ADDR) : NULL;
	const struct tr_addr *v = l ? l->items : NULL;
	for (uint32_t i = 0; l && i < l->n; i++)
		if (v[i].family == family)
			return &v[i];
	return NULL;
}

/* ---- Peers ---- */

static const struct tr_peer *
allowed_peer(struct commands *c, const char *instance, const struct tr_addr *a)
{
	const struct tr_instance *i = engine_instance(c->on.engine, instance);
	const uint8_t *ip = a->ip;
	uint32_t id = 0;
	if (!i || !i->table)
		return NULL;
	if (a->family == 4)
		lpm_find4(netmap_allowed(i->table), &ip, 1, &id);
	else
		lpm_find6(netmap_allowed(i->table), &ip, 1, &id);
	return id ? netmap_peer(i->table, id) : NULL;
}

static const char *
peer_name(const struct tr_peer *p, char key[45])
{
	format_base64_32(p->public_key, key);
	return p->name ? p->name : key;
}

/* A plan keeps no more of a peer's position than its line. NULL: it is not the pipeline's. */
static const struct cfg_node *
peer_where(const struct plan *plan, const struct tr_peer *p, struct cfg_node *at)
{
	for (unsigned k = 0; k < plan->n_peers; k++) {
		if (memcmp(plan->peer[k].public_key.b, p->public_key, 32) != 0)
			continue;
		*at = (struct cfg_node){.file = plan->file, .line = plan->peer[k].line};
		return at;
	}
	return NULL;
}

/* ---- Where it comes in ---- */

static int
find_out(const struct plan_instance *p, const char *name)
{
	for (unsigned g = 0; g < p->n_out; g++)
		if (strcmp(p->out[g].name, name) == 0)
			return (int)g;
	return -1;
}

/* Out of a tunnel, when the source is one of its peers' allowed IPs. */
static bool
enter_by_peer(struct explain_request *q, const struct plan *plan)
{
	char key[45], node[80];
	struct cfg_node at;
	for (unsigned k = 0; k < plan->n_instances; k++) {
		const struct plan_instance *p = &plan->instance[k];
		const struct tr_peer *peer = allowed_peer(q->c, p->name, &q->src);
		int g = peer ? find_out(p, "plain") : -1;
		if (g < 0)
			continue;
		q->at = (int32_t)k;
		q->out = (uint32_t)g;
		snprintf(node, sizeof(node), "%s.plain", p->name);
		add_step(q, node, peer_where(plan, peer, &at), "comes from peer %s, whose allowed IP the source is", peer_name(peer, key));
		return true;
	}
	return false;
}

/* Does what is for the interface's own address, and is neither UDP nor an echo request, go to the kernel? */
static bool
for_kernel(const struct plan_instance *p)
{
	int g = find_out(p, "host");
	return g >= 0 && p->out[g].to >= 0;
}

/* By the interface on whose network the source is, or by one that has a gateway. */
static bool
enter_by_interface(struct explain_request *q, const struct plan *plan, bool by_gateway)
{
	char node[80];
	for (unsigned k = 0; k < plan->n_instances; k++) {
		const struct plan_instance *p = &plan->instance[k];
		if (!is_interface(p) || (by_gateway ? !gateway(p, q->src.family) : !interface_address(p, &q->src, false)))
			continue;
		bool itself = interface_address(p, &q->dst, true) != NULL;
		bool host = itself && q->protocol == IPPROTO_TCP && for_kernel(p);
		const char *gate = itself && q->protocol == IPPROTO_UDP ? "udp" : host ? "host" : "ip";
		snprintf(node, sizeof(node), "%s.%s", p->name, gate);
		add_step(q, node, p->where, by_gateway ? "comes in here: this interface has a gateway" : "comes in here: the source is on its network");
		q->at = (int32_t)k;
		q->out = (uint32_t)find_out(p, gate);
		if (itself && !host && q->protocol != IPPROTO_UDP) {
			add_step(q, p->name, p->where, q->protocol == IPPROTO_TCP ? "drop protocol: for the interface itself, but neither UDP nor ICMP"
					 : "answered by the interface itself");
			q->at = -2;
		}
		return true;
	}
	return false;
}

/* ---- The packet ---- */

/* IP and UDP, TCP (a SYN) or ICMP echo, with right checksums and 8 bytes that no protocol knows. */
static void
make_packet(const struct explain_request *q, struct question *out)
{
	unsigned head = q->src.family == 4 ? 20 : 40, n = q->src.family == 4 ? 4 : 16;
	unsigned l4 = q->protocol == IPPROTO_TCP ? 20 : 16, at;
	uint8_t *p = out->data, *t = p + head;
	memset(out, 0, sizeof(*out));
	out->len = (uint16_t)(head + l4);
	if (n == 4) {
		p[0] = 0x45;
		put_be16(p + 2, out->len);
		p[8] = 64;
		p[9] = q->protocol;
		memcpy(p + 12, q->src.ip, 4);
		memcpy(p + 16, q->dst.ip, 4);
		put_16(p + 10, csum_finish(csum_ipv4_plain(p)));
	} else {
		p[0] = 0x60;
		put_be16(p + 4, (uint16_t)l4);
		p[6] = q->protocol;
		p[7] = 64;
		memcpy(p + 8, q->src.ip, 16);
		memcpy(p + 24, q->dst.ip, 16);
	}
	const uint16_t pseudo = rte_cpu_to_be_16((uint16_t)(l4 + q->protocol));
	const uint64_t sum = q->protocol == IPPROTO_ICMP ? 0 : csum_add(csum_add(pseudo, q->src.ip, n), q->dst.ip, n);
	if (q->protocol == IPPROTO_ICMP || q->protocol == IPPROTO_ICMPV6) {
		t[0] = q->protocol == IPPROTO_ICMP ? 8 : 128;
		at = 2;
	} else {
		put_be16(t, 50000);
		put_be16(t + 2, q->port);
		at = q->protocol == IPPROTO_TCP ? 16 : 6;
		if (q->protocol == IPPROTO_TCP)
			put_be16(t + 12, 0x5002);
		else
			put_be16(t + 4, (uint16_t)l4);
	}
	put_16(t + at, csum_finish(csum_add(sum, t, l4)));
	out->meta = (struct tr_meta){.l3_len = (uint8_t)head, .l4 = q->protocol};
	out->meta.endpoint = (struct tr_endpoint){.family = q->src.family, .remote_port = 50000, .local_port = q->port};
	memcpy(out->meta.endpoint.remote, q->src.ip, 16);
	memcpy(out->meta.endpoint.local, q->dst.ip, 16);
}

/* ---- Where it ends ---- */

/* The line of the route that covers the destination and leads to this gate. */
static const struct cfg_node *
route_where(const struct plan_instance *p, uint32_t gate, const struct tr_addr *dst, char prefix[50])
{
	const struct tr_list *l = list_option(p, "routes", TR_OPT_ROUTES);
	const struct tr_route_option *v = l ? l->items : NULL, *best = NULL;
	const struct cfg_node *map = p->options_node ? cfg_get(p->options_node, "routes") : NULL;
	for (uint32_t i = 0; l && i < l->n; i++)
		if (v[i].gate == gate && covers(&v[i].prefix, dst) && (!best || v[i].prefix.len > best->prefix.len))
			best = &v[i];
	if (!best)
		return NULL;
	format_prefix(&best->prefix, prefix);
	for (unsigned i = 0; map && i < map->n; i++) {
		struct tr_prefix key;
		if (map->key && map->key[i] && parse_prefix(map->key[i]->text, &key, false) && key.len == best->prefix.len &&
			tr_addr_eq(&key.addr, &best->prefix.addr))
			return map->key[i];
	}
	return p->where;
}

/* From a tunnel's network, but of no peer: whoever sends it, it is dropped behind the tunnel. */
static bool
enter_by_nobody(struct explain_request *q, const struct plan *plan)
{
	char prefix[50], src[46], node[80];
	for (unsigned k = 0; k < plan->n_instances; k++) {
		const struct plan_instance *p = &plan->instance[k];
		for (unsigned g = 0; g < p->n_out; g++) {
			const struct plan_instance *to = p->out[g].to >= 0 ? &plan->instance[p->out[g].to] : NULL;
			const struct cfg_node *where = to && to->class_->flags & TR_CLASS_PEERS ? route_where(p, g, &q->src, prefix) : NULL;
			if (!where)
				continue;
			format_addr(&q->src, src);
			snprintf(node, sizeof(node), "%s.open", to->name);
			add_step(q, node, where, "drop wrong_source: the route %s to the source leads to %s, but no peer of it has %s among its allowed IPs",
				prefix, to->name, src);
			q->at = -2;
			return true;
		}
	}
	return false;
}

static void
end_at_peers(struct explain_request *q, const struct plan *plan, const struct plan_instance *p, const char *node)
{
	char key[45], dst[46];
	struct cfg_node at;
	const struct tr_peer *peer = allowed_peer(q->c, p->name, &q->dst);
	struct tr_endpoint to;
	format_addr(&q->dst, dst);
	if (!peer) {
		add_step(q, node, p->where, "drop no_peer: no peer of %s is allowed %s", p->name, dst);
		return;
	}
	double age = peer_session_age(peer, &to);
	if (!to.family && !peer->endpoint.family)
		add_step(q, node, peer_where(plan, peer, &at), "drop no_endpoint: for peer %s, whose address is not known before it speaks",
			peer_name(peer, key));
	else if (peer_up(peer, age))
		add_step(q, node, peer_where(plan, peer, &at), "sealed for peer %s (session %.0f s old) and sent to its endpoint", peer_name(peer, key), age);
	else
		add_step(q, node, peer_where(plan, peer, &at), "for peer %s: waits for a session, which is asked for", peer_name(peer, key));
}

static void
end_at_interface(struct explain_request *q, const struct plan_instance *p, const char *node)
{
	char hop[46];
	const struct tr_addr *via = gateway(p, q->dst.family);
	if (*q->via)
		add_step(q, node, p->where, "sent out of %s to the route's next hop %s", p->name, q->via);
	else if (interface_address(p, &q->dst, true))
		add_step(q, node, p->where, "for the interface itself: %s", q->protocol == IPPROTO_UDP ? "leaves by its gate udp" :
			q->protocol != IPPROTO_TCP ? "answered" : for_kernel(p) ? "leaves by its gate host" : "drop protocol");
	else if (interface_address(p, &q->dst, false))
		add_step(q, node, p->where, "sent out of %s, straight to the destination", p->name);
	else if (via)
		format_addr(via, hop), add_step(q, node, p->where, "sent out of %s to its gateway %s", p->name, hop);
	else
		add_step(q, node, p->where, "drop no_gateway: beyond the networks of %s, which has no gateway", p->name);
}

/* What stands behind the last gate that the graph chose. */
static void
end_behind(struct explain_request *q, const struct plan *plan)
{
	const struct plan_gate *g = &plan->instance[q->at].out[q->out];
	char node[80];
	if (g->to < 0) {
		add_step(q, plan->instance[q->at].name, plan->instance[q->at].where, "drop unlinked: the gate %s has no link", g->name);
		return;
	}
	const struct plan_instance *p = &plan->instance[g->to];
	const struct tr_in_gate *in = &p->class_->in[g->to_gate];
	snprintf(node, sizeof(node), "%s.%s", p->name, in->name);
	if ((p->class_->flags & TR_CLASS_PEERS) && in->type == TR_TYPE_IP)
		end_at_peers(q, plan, p, node);
	else if (is_interface(p))
		end_at_interface(q, p, node);
	else if (strcmp(p->class_->name, "host") == 0)
		add_step(q, node, p->where, "given to the kernel of this box");
	else
		add_step(q, node, p->where, "taken by %s (%s), which decides by its own state", p->name, p->class_->name);
}

static bool
enter(struct explain_request *q, const struct plan *plan)
{
	return enter_by_peer(q, plan) || enter_by_interface(q, plan, false) || enter_by_nobody(q, plan) || enter_by_interface(q, plan, true);
}

/* ---- The answer ---- */

static bool
split(const char *node, char instance[TR_INSTANCE_NAME_MAX])
{
	const char *dot = strchr(node, '.');
	if (!dot || (size_t)(dot - node) >= TR_INSTANCE_NAME_MAX)
		return false;
	snprintf(instance, TR_INSTANCE_NAME_MAX, "%.*s", (int)(dot - node), node);
	return true;
}

/* The next hop of the route that leads to the destination, and whether the pipeline has it (if the class has routes). */
static bool
ask_route(struct explain_request *q, const char *name)
{
	char dst[46], why[256], *argv[] = {dst};
	const struct tr_instance *i = engine_instance(q->c->on.engine, name);
	format_addr(&q->dst, dst);
	*q->via = 0;
	json_t *v = i && command_of(i, "find") ? run_on(i, "find", 1, argv, why, sizeof(why)) : NULL;
	const char *via = json_string_value(json_object_get(v, "via")), *by = json_string_value(json_object_get(v, "by"));
	bool added = by && strcmp(by, "pipeline") != 0;
	if (via)
		snprintf(q->via, sizeof(q->via), "%s", via);
	json_decref(v);
	return added;
}

/* One step of the trace. false: it ended there. */
static bool
add_decision(struct explain_request *q, const struct plan *plan, const json_t *s)
{
	const char *node = json_string_value(json_object_get(s, "node")), *verdict = json_string_value(json_object_get(s, "verdict"));
	const char *to = json_string_value(json_object_get(s, "to")), *packet = json_string_value(json_object_get(s, "packet"));
	char instance[TR_INSTANCE_NAME_MAX], prefix[50] = "";
	int32_t k = split(node, instance) ? plan_find(plan, instance) : -1;
	if (k < 0)
		return false;
	const struct plan_instance *p = &plan->instance[k];
	if (strcmp(verdict, "gate") != 0) {
		add_step(q, node, p->where, "%s %s: %s", verdict, to, packet);
		return false;
	}
	int g = find_out(p, to);
	if (g < 0)
		return false;
	bool added = ask_route(q, p->name);
	const struct cfg_node *where = added ? NULL : route_where(p, (uint32_t)g, &q->dst, prefix);
	const struct cfg_node *link = where ? where : p->out[g].where;
	const char *via = *q->via ? " via " : "";
	q->at = k;
	q->out = (uint32_t)g;
	if (*prefix)
		add_step(q, node, link, "route %s -> %s%s%s", prefix, to, via, q->via);
	else
		add_step(q, node, link, "-> gate %s%s%s%s", to, via, q->via, added ? ": a route that is not the pipeline's" : "");
	return true;
}

/* A route answers an echo to an address of its own: what goes on is the reply. */
static bool
turned_round(const struct explain_request *q)
{
	const uint8_t *p = q->end.data;
	unsigned at = q->src.family == 4 ? 12 : 8, n = q->src.family == 4 ? 4 : 16;
	return q->end.len >= at + 2 * n && p[0] >> 4 == q->src.family && memcmp(p + at, q->dst.ip, n) == 0 &&
		memcmp(p + at + n, q->src.ip, n) == 0;
}

static void
turn_round(struct explain_request *q, const struct plan *plan, const char *node)
{
	char instance[TR_INSTANCE_NAME_MAX], to[46];
	int32_t k = split(node, instance) ? plan_find(plan, instance) : -1;
	struct tr_addr dst = q->src;
	q->src = q->dst;
	q->dst = dst;
	format_addr(&dst, to);
	add_step(q, node, k < 0 ? NULL : plan->instance[k].where, "answers it; the reply goes to %s", to);
}

static void
finish(struct explain_request *q, json_t *trace)
{
	const struct plan *plan = engine_plan(q->c->on.engine);
	json_t *path = json_object_get(json_array_get(json_object_get(trace, "packets"), 0), "path"), *s;
	bool on = q->at != -2;
	size_t i;
	json_array_foreach(path, i, s)
	{
		if (on && i + 1 == json_array_size(path) && turned_round(q))
			turn_round(q, plan, json_string_value(json_object_get(s, "node")));
		on = on && add_decision(q, plan, s);
	}
	if (on && q->at >= 0)
		end_behind(q, plan);
	management_reply(q->r, json_pack("{s:O}", "steps", q->steps));
	json_decref(trace);
	json_decref(q->steps);
	if (q->timer)
		loop_watch_close(q->timer);
	q->c->explaining = NULL;
	free(q);
}

static void
poll_answer(void *arg)
{
	struct explain_request *q = arg;
	struct engine *e = q->c->on.engine;
	struct json_show *j;
	char why[256];
	if (!engine_explain_done(e) && commands_now() < q->until)
		return;
	if (engine_explain_done(e))
		q->end = engine_explain_packet(e);
	else
		add_step(q, "worker 0", NULL, "does not answer: it stands still");
	struct tr_show *s = json_show_begin(&j);
	engine_explain_end(e, s);
	finish(q, s ? json_show_end(j, why, sizeof(why)) : NULL);
}

/* Where it enters the graph: behind the out gate that was found. false: nothing of the graph is asked. */
static bool
ask(struct explain_request *q, const struct plan *plan, char *why, size_t size)
{
	struct question packet;
	const struct plan_gate *g = &plan->instance[q->at].out[q->out];
	*why = 0;
	if (g->to < 0) {
		add_step(q, plan->instance[q->at].name, plan->instance[q->at].where, "drop unlinked: the gate %s has no link", g->name);
		q->at = -2;
		return false;
	}
	make_packet(q, &packet);
	packet.instance = plan->instance[g->to].name;
	packet.gate = plan->instance[g->to].class_->in[g->to_gate].name;
	int rc = engine_explain_start(q->c->on.engine, &packet);
	if (rc == -ENOENT)
		return false; /* a service's gate: the end is all there is to say */
	if (rc != 0)
		snprintf(why, size, "%s", rc == -EBUSY ? "a trace or another question is under way" : "no memory");
	return rc == 0;
}

static bool
parse(struct explain_request *q, int argc, char *const *argv, char *why, size_t size)
{
	unsigned port = 0;
	const char *protocol = argc > 3 ? argv[3] : "";
	if (!parse_addr(argv[0], &q->src) || !parse_addr(argv[1], &q->dst) || q->src.family != q->dst.family) {
		snprintf(why, size, "explain needs two addresses of one family");
		return false;
	}
	if (argc > 2 && *argv[2] && !parse_number(argv[2], 1, 65535, &port)) {
		snprintf(why, size, "%s is no port", argv[2]);
		return false;
	}
	q->port = (uint16_t)port;
	q->protocol = strcmp(protocol, "tcp") == 0 ? IPPROTO_TCP : port ? IPPROTO_UDP : q->src.family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	return true;
}

/* explain SRC DST [PORT [PROTOCOL]] */
void
command_explain(void *arg, struct request *r, int argc, char *const *argv)
{
	struct commands *c = arg;
	const struct plan *plan = engine_plan(c->on.engine);
	char why[256] = "";
	struct explain_request *q = calloc(1, sizeof(*q));
	if (!q || argc < 2 || argc > 4 || !plan || c->explaining || c->apply) {
		management_error(r, !q ? "no memory" : argc < 2 || argc > 4 ? "explain needs a source and a destination"
			: plan ? "an apply or another question is under way" : "no pipeline runs");
		free(q);
		return;
	}
	*q = (struct explain_request){.c = c, .r = r, .steps = json_array(), .at = -1, .until = commands_now() + PATIENCE_NS};
	bool found = parse(q, argc, argv, why, sizeof(why)) && enter(q, plan);
	bool asked = found && q->at >= 0 && ask(q, plan, why, sizeof(why));
	if (!found && !*why)
		snprintf(why, sizeof(why), "no peer is allowed %s, no interface has its network, and none has a gateway", argv[0]);
	if (*why) {
		management_error(r, "%s", why);
		json_decref(q->steps);
		free(q);
		return;
	}
	c->explaining = q;
	q->timer = asked ? loop_timer(c->on.loop, POLL_MS, POLL_MS, poll_answer, q) : NULL;
	if (!asked)
		finish(q, NULL);
}

void
explain_free(struct commands *c)
{
	if (!c->explaining)
		return;
	engine_explain_end(c->on.engine, NULL);
	finish(c->explaining, NULL);
}
