/* SPDX-License-Identifier: BSD-3-Clause */
/* The provider's layer of the netmap: `netmap: {domain, names, peers}`. */
#include "builder.h"
#include "config/value.h"

#include <sodium.h>
#include <stddef.h>
#include <stdlib.h>

#define KEEPALIVE_MAX 65535000 /* ms: WireGuard's is 16 bits of seconds */

struct netmap_options {
	const char *domain;
	struct tr_list names;
};

struct peer_options {
	struct tr_key public_key;
	struct tr_secret preshared_key;
	struct tr_list allowed;
	struct tr_sockaddr endpoint;
	uint64_t keepalive, derp;
	struct tr_key disco_key;
	bool relay, relay_client;
	const char *interface;
};

#define AT(member) .offset = offsetof(struct netmap_options, member)
const struct tr_option plan_netmap_options[] = {
	{.key = "domain", .type = TR_OPT_STRING, AT(domain), .doc = "names of the netmap lie below it: mesh.example"},
	{.key = "names", .type = TR_OPT_NAMES, AT(names), .doc = "names beside those of the peers, and their addresses"},
	{0},
};
#undef AT

#define AT(member) .offset = offsetof(struct peer_options, member)
const struct tr_option plan_peer_options[] = {
	{.key = "public_key", .type = TR_OPT_KEY, .flags = TR_OPT_REQUIRED, AT(public_key), .doc = "who the peer is"},
	{.key = "preshared_key", .type = TR_OPT_SECRET, AT(preshared_key), .doc = "file with the key shared beforehand"},
	{.key = "allowed_ips", .type = TR_OPT_PREFIX, .flags = TR_OPT_LIST, AT(allowed),
		.doc = "addresses that are the peer's"},
	{.key = "endpoint", .type = TR_OPT_SOCKADDR, AT(endpoint), .doc = "where the peer is before it is heard"},
	{.key = "persistent_keepalive", .type = TR_OPT_UINT, .unit = TR_UNIT_MS, .max = KEEPALIVE_MAX, AT(keepalive),
		.doc = "send something at least this often; 0s: off"},
	{.key = "derp", .type = TR_OPT_UINT, .min = 1, .max = UINT16_MAX, AT(derp),
		.doc = "home region of the peer: the DERP relay that it keeps a connection to"},
	{.key = "disco_key", .type = TR_OPT_KEY, AT(disco_key),
		.doc = "public key that the peer signs its probes of paths with"},
	{.key = "relay", .type = TR_OPT_BOOL, AT(relay), .doc = "it may relay for us: it is asked for a relayed path to others"},
	{.key = "relay_client", .type = TR_OPT_BOOL, AT(relay_client), .doc = "it may ask our peer relay (class udp-relay) for a relayed path"},
	{.key = "interface", .type = TR_OPT_STRING, AT(interface),
		.doc = "instance whose peer it is; needed when several take peers"},
	{0},
};
#undef AT

/* The instance that takes the peer, or -1 after a diagnostic. */
static int32_t
interface_of(struct builder *b, const char *name, const struct cfg_node *key, const struct cfg_node *where)
{
	const struct plan *p = b->plan;
	const char *names[PLAN_MAX_INSTANCES + 2];
	char all[200] = "";
	unsigned n = 0;
	size_t at = 0;
	int32_t only = -1;
	for (unsigned i = 0; i < p->n_instances; i++) {
		if (p->instance[i].class_ == NULL || !(p->instance[i].class_->flags & TR_CLASS_PEERS))
			continue;
		if (name != NULL && strcmp(p->instance[i].name, name) == 0)
			return (int32_t)i;
		only = (int32_t)i;
		names[n++] = p->instance[i].name;
		if (at < sizeof(all))
			at += (size_t)snprintf(all + at, sizeof(all) - at, "%s`%s`", at != 0 ? ", " : "", p->instance[i].name);
	}
	names[n] = NULL;
	if (name == NULL && n == 1)
		return only;
	const char *near = name != NULL ? did_you_mean(name, names) : NULL;
	if (n == 0)
		diag_at(b->d, DIAG_ERROR, key, "peer `%.40s`: no instance takes peers", key->text);
	else if (name == NULL)
		diag_at(b->d, DIAG_ERROR, key, "peer `%.40s`: missing key `interface` (one of %s)", key->text, all);
	else if (near != NULL)
		diag_at(b->d, DIAG_ERROR, where, "`interface`: `%.40s` takes no peers (did you mean `%s`?)", name, near);
	else
		diag_at(b->d, DIAG_ERROR, where, "`interface`: `%.40s` takes no peers (expected one of %s)", name, all);
	return -1;
}

static void
parse_peer(struct builder *b, const struct cfg_node *key, const struct cfg_node *node, struct plan_peer *peer)
{
	struct peer_options o = {0};
	char what[80], name[254];
	snprintf(what, sizeof(what), "peer %.60s", key->text);
	if (!value_dns_name(key->text, name) || strchr(name, '.') != NULL)
		diag_at(b->d, DIAG_ERROR, key, "peer name `%.60s`: expected one label of letters, digits and `-`, at most 63",
			key->text);
	else
		peer->name = arena_str(b->plan->arena, name, strlen(name));
	if (peer->name == NULL)
		peer->name = key->text;
	peer->where = node;
	peer->line = node->line;
	peer->interface = -1;
	if (options_parse(&b->context, what, plan_peer_options, node, NULL, key, &o))
		peer->interface = interface_of(b, o.interface, key, cfg_get(node, "interface"));
	if (o.keepalive % 1000 != 0)
		diag_at(b->d, DIAG_ERROR, cfg_get(node, "persistent_keepalive"), "`persistent_keepalive`: expected whole seconds");
	peer->public_key = o.public_key;
	peer->preshared_key = o.preshared_key;
	const struct cfg_node *psk = cfg_get(node, "preshared_key");
	if (psk != NULL && psk->text != NULL)
		peer->preshared_key_file = arena_str(b->plan->arena, psk->text, strlen(psk->text));
	peer->allowed = o.allowed;
	peer->endpoint = o.endpoint;
	peer->keepalive = o.keepalive / 1000;
	peer->derp = o.derp;
	peer->disco_key = o.disco_key;
	peer->relay = o.relay;
	peer->relay_client = o.relay_client;
	sodium_memzero(&o, sizeof(o));
}

/* Something that one interface may have once only. Sorted, so that a million peers are no trouble. */
struct once {
	int32_t interface;
	uint8_t key[32]; /* public key, or family, address and length */
	uint32_t peer, element;
};

static int
by_key(const void *pa, const void *pb)
{
	const struct once *a = pa, *b = pb;
	if (a->interface != b->interface)
		return a->interface < b->interface ? -1 : 1;
	int c = memcmp(a->key, b->key, sizeof(a->key));
	if (c != 0)
		return c;
	if (a->peer != b->peer)
		return a->peer < b->peer ? -1 : 1;
	return a->element < b->element ? -1 : 1;
}

static const struct cfg_node *
element(const struct plan_peer *p, uint32_t i)
{
	const struct cfg_node *list = cfg_get(p->where, "allowed_ips");
	return list != NULL && list->kind == CFG_LIST && i < list->n ? list->child[i] : list;
}

static void
check_keys(struct builder *b, struct once *v)
{
	const struct plan_peer *peer = b->plan->peer;
	for (uint32_t i = 0; i < b->plan->n_peers; i++) {
		v[i] = (struct once){.interface = peer[i].interface, .peer = i};
		memcpy(v[i].key, peer[i].public_key.b, sizeof(v[i].key));
	}
	qsort(v, b->plan->n_peers, sizeof(*v), by_key);
	for (uint32_t i = 1; i < b->plan->n_peers; i++) {
		const struct plan_peer *first = &peer[v[i - 1].peer], *second = &peer[v[i].peer];
		if (v[i].interface >= 0 && v[i].interface == v[i - 1].interface && memcmp(v[i].key, v[i - 1].key, 32) == 0)
			diag_at(b->d, DIAG_ERROR, cfg_get(second->where, "public_key"),
				"`public_key`: peer `%.40s` has the key of peer `%.40s` (line %u)", second->name, first->name,
				cfg_get(first->where, "public_key")->line);
	}
}

static void
check_allowed(struct builder *b, struct once *v)
{
	const struct plan_peer *peer = b->plan->peer;
	uint32_t n = 0;
	char text[50];
	for (uint32_t i = 0; i < b->plan->n_peers; i++) {
		const struct tr_prefix *p = peer[i].allowed.items;
		for (uint32_t j = 0; j < peer[i].allowed.n && peer[i].interface >= 0; j++) {
			v[n] = (struct once){.interface = peer[i].interface, .peer = i, .element = j};
			memcpy(v[n++].key, &p[j], sizeof(p[j]));
		}
	}
	qsort(v, n, sizeof(*v), by_key);
	for (uint32_t i = 1; i < n; i++) {
		const struct plan_peer *first = &peer[v[i - 1].peer], *second = &peer[v[i].peer];
		if (v[i].interface != v[i - 1].interface || memcmp(v[i].key, v[i - 1].key, sizeof(v[i].key)) != 0)
			continue;
		format_prefix(&((const struct tr_prefix *)second->allowed.items)[v[i].element], text);
		diag_at(b->d, DIAG_ERROR, element(second, v[i].element),
			"`allowed_ips`: %s of peer `%.40s` is that of peer `%.40s` (line %u) already", text, second->name, first->name,
			element(first, v[i - 1].element)->line);
	}
}

static void
check_unique(struct builder *b)
{
	size_t n = b->plan->n_peers;
	for (unsigned i = 0; i < b->plan->n_peers; i++)
		n += b->plan->peer[i].allowed.n;
	struct once *v = malloc((n + 1) * sizeof(*v));
	if (v == NULL) {
		diag_pos(b->d, DIAG_ERROR, b->plan->file, 0, 0, "out of memory");
		return;
	}
	check_keys(b, v);
	check_allowed(b, v);
	free(v);
}

static void
parse_peers(struct builder *b, const struct cfg_node *map)
{
	if (map == NULL)
		return;
	if (map->kind != CFG_MAP) {
		diag_at(b->d, DIAG_ERROR, map, "`peers`: expected a map of `NAME: {public_key: KEY, …}`");
		return;
	}
	b->plan->peer = arena_alloc(b->plan->arena, map->n * sizeof(struct plan_peer));
	if (b->plan->peer == NULL) {
		diag_at(b->d, DIAG_ERROR, map, "the configuration is too large");
		return;
	}
	for (unsigned i = 0; i < map->n; i++)
		parse_peer(b, map->key[i], map->child[i], &b->plan->peer[b->plan->n_peers++]);
	check_unique(b);
}

void
plan_netmap(struct builder *b, const struct cfg_node *netmap, const struct cfg_node *peers)
{
	static const char *const ignore[] = {"peers", "derp", NULL};
	struct netmap_options o = {0};
	char domain[254];
	if (netmap == NULL)
		return;
	options_parse(&b->context, "netmap", plan_netmap_options, netmap, ignore, netmap, &o);
	if (o.domain != NULL && !value_dns_name(o.domain, domain))
		diag_at(b->d, DIAG_ERROR, cfg_get(netmap, "domain"),
			"`domain`: expected labels of letters, digits and `-`, such as mesh.example, not `%.60s`", o.domain);
	else if (o.domain != NULL)
		b->plan->domain = arena_str(b->plan->arena, domain, strlen(domain));
	b->plan->names = o.names;
	b->plan->derp = plan_derp(&b->context, cfg_get(netmap, "derp"), &b->plan->n_derp);
	parse_peers(b, peers);
}
