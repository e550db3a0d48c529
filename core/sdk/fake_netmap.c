/* SPDX-License-Identifier: BSD-3-Clause */
/* The fake host's netmap: peers, allowed IPs, paths and names, searched from end to end. */
#include "../net/ip.h"
#include "../pipeline/builder.h"
#include "fake.h"

#include <errno.h>
#include <stdlib.h>

struct peer_options {
	struct tr_key public_key;
	struct tr_secret preshared_key;
	struct tr_list allowed_ips;
	struct tr_sockaddr endpoint;
	uint64_t keepalive, derp;
	struct tr_key disco_key;
	bool relay, relay_client;
	const char *interface;
};

#define AT(field) offsetof(struct peer_options, field)
static const struct tr_option peer_table[] = {
	{.key = "public_key", .type = TR_OPT_KEY, .flags = TR_OPT_REQUIRED, .offset = AT(public_key)},
	{.key = "preshared_key", .type = TR_OPT_SECRET, .offset = AT(preshared_key)},
	{.key = "allowed_ips", .type = TR_OPT_PREFIX, .flags = TR_OPT_LIST, .offset = AT(allowed_ips)},
	{.key = "endpoint", .type = TR_OPT_SOCKADDR, .offset = AT(endpoint)},
	{.key = "persistent_keepalive", .type = TR_OPT_UINT, .unit = TR_UNIT_MS, .max = 65535000, .offset = AT(keepalive)},
	{.key = "derp", .type = TR_OPT_UINT, .max = UINT16_MAX, .offset = AT(derp)},
	{.key = "disco_key", .type = TR_OPT_KEY, .offset = AT(disco_key)},
	{.key = "relay", .type = TR_OPT_BOOL, .offset = AT(relay)},
	{.key = "relay_client", .type = TR_OPT_BOOL, .offset = AT(relay_client)},
	{.key = "interface", .type = TR_OPT_STRING, .offset = AT(interface)},
	{.key = NULL},
};

struct name_options {
	const char *domain;
	struct tr_list names;
};

static const struct tr_option name_table[] = {
	{.key = "domain", .type = TR_OPT_STRING, .offset = offsetof(struct name_options, domain)},
	{.key = "names", .type = TR_OPT_NAMES, .flags = 0, .offset = offsetof(struct name_options, names)},
	{.key = NULL},
};

/* ---- Records ---- */

static void
garbage(struct world *w, void *p)
{
	void **grown = realloc(w->garbage, (w->n_garbage + 1u) * sizeof(*grown));

	if (!grown)
		abort();
	w->garbage = grown;
	grown[w->n_garbage++] = p;
}

/* Publishes a copy of `r`; the record before it lives until the step ends. */
static void
publish(struct world *w, const struct tr_peer *r)
{
	size_t allowed = r->n_allowed * sizeof(struct tr_prefix), name = r->name ? strlen(r->name) + 1 : 0;
	struct fake_peer *p = &w->peers[r->id];
	struct tr_peer *copy = malloc(sizeof(*copy) + allowed + name);
	struct tr_prefix *prefix = (struct tr_prefix *)(copy + 1);

	if (!copy)
		abort();
	*copy = *r;
	if (allowed)
		memcpy(prefix, r->allowed, allowed);
	copy->allowed = prefix;
	if (name)
		copy->name = memcpy((char *)prefix + allowed, r->name, name);
	if (p->record)
		garbage(w, p->record);
	p->record = copy;
	p->state = PEER_LIVE;
}

static uint32_t
by_key(const struct world *w, const uint8_t key[32])
{
	for (uint32_t id = 1; id <= w->max_peers; id++)
		if (w->peers[id].state == PEER_LIVE && memcmp(w->peers[id].record->public_key, key, 32) == 0)
			return id;
	return TR_NO_PEER;
}

static uint32_t
free_id(const struct world *w)
{
	for (uint32_t id = 1; id <= w->max_peers; id++)
		if (w->peers[id].state == PEER_FREE)
			return id;
	return TR_NO_PEER;
}

static bool
same_prefix(const struct tr_prefix *a, const struct tr_prefix *b)
{
	return a->len == b->len && tr_addr_eq(&a->addr, &b->addr);
}

static void
event(struct fh *h, enum tr_peer_event e, uint32_t peer)
{
	struct world *w = h->world;
	uint16_t owner = fake_owner(w, peer);
	enum calling calling = w->calling;
	uint16_t calling_worker = w->calling_worker;

	if (!h->instance.class_->peer || !h->started || h->stopping)
		return;
	fake_enter(w, BY_WORKER, owner);
	h->instance.class_->peer(fake_node(h, owner), e, peer);
	fake_enter(w, calling, calling_worker);
	if (calling == BY_CONTROL)
		fake_run(h);
}

static void
remove_peer(struct world *w, uint32_t id)
{
	event(fake_newest(w), TR_PEER_REMOVED, id);
	w->peers[id].state = PEER_DYING;
}

/* An allowed IP has one holder: adding it elsewhere takes it away here. */
static void
take_allowed(struct world *w, uint32_t except, const struct tr_prefix *prefix)
{
	for (uint32_t id = 1; id <= w->max_peers; id++) {
		struct tr_prefix kept[256];
		struct tr_peer r;

		if (w->peers[id].state != PEER_LIVE || id == except)
			continue;
		r = *w->peers[id].record;
		r.n_allowed = 0;
		for (uint16_t i = 0; i < w->peers[id].record->n_allowed; i++)
			if (!same_prefix(&w->peers[id].record->allowed[i], prefix))
				kept[r.n_allowed++] = w->peers[id].record->allowed[i];
		if (r.n_allowed == w->peers[id].record->n_allowed)
			continue;
		r.allowed = kept;
		publish(w, &r);
		event(fake_newest(w), TR_PEER_CHANGED, id);
	}
}

static void
change_allowed(struct world *w, struct tr_peer *r, struct tr_prefix *list, const struct tr_peer_change *c)
{
	if (!(c->fields & TR_PEER_REPLACE_ALLOWED) && r->n_allowed)
		memcpy(list, r->allowed, r->n_allowed * sizeof(*list));
	else
		r->n_allowed = 0;
	r->allowed = list;
	for (uint32_t i = 0; i < c->n_add; i++) {
		uint16_t k = 0;

		while (k < r->n_allowed && !same_prefix(&list[k], &c->add[i]))
			k++;
		if (k == r->n_allowed && k < 256)
			list[r->n_allowed++] = c->add[i];
	}
	for (uint32_t i = 0; i < c->n_remove; i++)
		for (uint16_t k = 0; k < r->n_allowed; k++)
			if (same_prefix(&list[k], &c->remove[i]))
				list[k] = list[--r->n_allowed];
	for (uint32_t i = 0; i < c->n_add; i++)
		take_allowed(w, r->id, &c->add[i]);
}

/* ---- Paths ---- */

static struct candidates *
ways(struct world *w, uint32_t peer)
{
	struct fake_peer *p = &w->peers[peer];

	if (p->ways)
		return p->ways;
	p->ways = malloc(sizeof(*p->ways));
	if (!p->ways)
		abort();
	candidates_init(p->ways);
	if (p->path.family)
		candidates_configure(p->ways, &p->path, TR_PATH_CONFIGURED, w->now);
	return p->ways;
}

static void
adopt(struct world *w, const struct tr_peer *r, bool set)
{
	struct fake_peer *p = &w->peers[r->id];

	if (!r->derp && !p->ways) {
		if (set)
			p->path = r->endpoint;
		return;
	}
	candidates_home(ways(w, r->id), r->derp, r->public_key);
	if (set)
		candidates_configure(p->ways, &r->endpoint, TR_PATH_CONFIGURED, w->now);
}

static void
path_in_use(const struct world *w, uint32_t peer, struct tr_endpoint *out)
{
	const struct fake_peer *p = &w->peers[peer];

	*out = p->path;
	if (!p->ways)
		return;
	const struct choice v = candidates_choice(p->ways, w->now);
	*out = v.endpoint;
	if (v.relayed)
		out->flags = v.until <= w->now ? TR_ENDPOINT_TWICE | TR_ENDPOINT_ASK : v.renew <= w->now ? TR_ENDPOINT_ASK : 0;
}

static int
change_peer(struct world *w, const struct tr_peer_change *c, const char *name, const struct peer_options *o, const char *origin,
	uint32_t *id)
{
	uint32_t known = by_key(w, c->public_key);
	struct tr_peer r = {0};
	struct tr_prefix list[256];

	*id = known;
	if (c->fields & TR_PEER_REMOVE) {
		if (known)
			remove_peer(w, known);
		return 0;
	}
	if (!known && c->fields & TR_PEER_UPDATE_ONLY)
		return 0;
	if (known)
		r = *w->peers[known].record;
	else if ((r.id = *id = free_id(w)) == TR_NO_PEER)
		return -ENOSPC;
	memcpy(r.public_key, c->public_key, 32);
	r.origin = origin;
	if (name)
		r.name = name;
	if (c->fields & TR_PEER_PSK)
		memcpy(r.preshared_key, c->preshared_key, 32);
	if (o) {
		r.derp = (uint16_t)o->derp;
		memcpy(r.disco_key, o->disco_key.b, 32);
		r.relay = o->relay;
		r.relay_client = o->relay_client;
	}
	if (c->fields & TR_PEER_KEEPALIVE)
		r.keepalive = c->keepalive;
	if (c->fields & TR_PEER_ENDPOINT)
		r.endpoint = c->endpoint;
	change_allowed(w, &r, list, c);
	publish(w, &r);
	adopt(w, &r, c->fields & TR_PEER_ENDPOINT);
	event(fake_newest(w), known ? TR_PEER_CHANGED : TR_PEER_ADDED, r.id);
	return 0;
}

static uint32_t
add_yaml(struct world *w, const char *name, const struct cfg_node *node, struct opt_context *ctx)
{
	struct peer_options o = {0};
	struct tr_peer_change c = {.fields = TR_PEER_PSK | TR_PEER_KEEPALIVE};
	uint32_t id;

	if (!options_parse(ctx, "peer", peer_table, node, NULL, node, &o))
		return TR_NO_PEER;
	memcpy(c.public_key, o.public_key.b, 32);
	memcpy(c.preshared_key, o.preshared_key.b, 32);
	c.keepalive = (uint16_t)(o.keepalive / 1000);
	c.n_add = o.allowed_ips.n;
	c.add = o.allowed_ips.items;
	if (o.endpoint.addr.family) {
		c.fields |= TR_PEER_ENDPOINT;
		c.endpoint = (struct tr_endpoint){.family = o.endpoint.addr.family, .remote_port = o.endpoint.port};
		memcpy(c.endpoint.remote, o.endpoint.addr.ip, 16);
	}
	if (change_peer(w, &c, name, &o, "pipeline.yaml", &id) != 0)
		fake_failed("more than %u peers (max_peers)", w->max_peers);
	return id;
}

bool
fake_netmap_load(struct world *w, struct fh *h, const char *yaml)
{
	static const char *const ignore[] = {"peers", "derp", NULL};
	struct diags diags = {0};
	struct name_options names = {0};
	struct opt_context ctx = {.diags = &diags, .secrets = true};
	const struct cfg_node *peers;
	struct cfg_node *root = NULL;

	ctx.arena = w->arena = arena_new(64u << 20);
	if (!fake_map("netmap", yaml, name_table, ignore, &ctx, &names, &root))
		return false;
	w->domain = names.domain;
	w->names = names.names;
	peers = root ? cfg_get(root, "peers") : NULL;
	unsigned n = 0;
	w->derp.node = root ? plan_derp(&ctx, cfg_get(root, "derp"), &n) : NULL;
	w->derp.n = n;
	w->derp.serial = 1;
	if (diags.errors)
		return fake_diags(&diags);
	for (unsigned i = 0; peers && i < peers->n; i++)
		if (add_yaml(w, peers->key[i]->text, peers->child[i], &ctx) == TR_NO_PEER)
			return fake_diags(&diags);
	return true;
}

uint32_t
fh_peer_add(struct fh *h, const char *peer_yaml)
{
	struct diags diags = {0};
	struct opt_context ctx = {.diags = &diags, .secrets = true, .arena = arena_new(1u << 20)};
	struct cfg_node *root = yaml_parse(ctx.arena, "peer", peer_yaml, strlen(peer_yaml), &diags);
	uint32_t id = root ? add_yaml(h->world, NULL, root, &ctx) : TR_NO_PEER;

	if (id == TR_NO_PEER && !fake_diags(&diags))
		fake_failed("fh_peer_add(): %s", fh_failure());
	arena_free(ctx.arena);
	return id;
}

void
fh_peer_remove(struct fh *h, uint32_t peer)
{
	if (peer && peer <= h->world->max_peers && h->world->peers[peer].state == PEER_LIVE)
		remove_peer(h->world, peer);
	else
		fake_failed("fh_peer_remove(): there is no peer %u", peer);
}

void
fh_resume(struct fh *h, uint32_t peer)
{
	event(h, TR_PEER_RESUME, peer);
}

void
fh_own_endpoints(struct fh *h, const struct tr_own_endpoint *list, uint16_t n)
{
	h->world->n_own = n;
	memcpy(h->world->own, list, n * sizeof(*list));
}

void
fh_wanted(struct fh *h, uint32_t peer)
{
	h->world->peers[peer].sent = h->world->now;
	event(h, TR_PEER_WANTED, peer);
}

void
fh_path(struct fh *h, uint32_t peer, struct tr_endpoint *out)
{
	path_in_use(h->world, peer, out);
}

void
fake_netmap_added(struct fh *h)
{
	for (uint32_t id = 1; id <= h->world->max_peers; id++)
		if (h->world->peers[id].state == PEER_LIVE)
			event(h, TR_PEER_ADDED, id);
}

void
fake_netmap_settle(struct world *w)
{
	for (uint32_t id = 1; id <= w->max_peers; id++) {
		if (w->peers[id].state != PEER_DYING)
			continue;
		fake_blocks_zero(w, id);
		garbage(w, w->peers[id].record);
		free(w->peers[id].ways);
		memset(&w->peers[id], 0, sizeof(w->peers[id]));
	}
	while (w->n_garbage)
		free(w->garbage[--w->n_garbage]);
}

void
fake_netmap_free(struct world *w)
{
	fake_netmap_settle(w);
	for (uint32_t id = 1; id <= w->max_peers; id++) {
		free(w->peers[id].record);
		free(w->peers[id].ways);
	}
	free(w->garbage);
	if (w->arena)
		arena_free(w->arena);
}

/* ---- What the plugin calls ---- */

static uint32_t
peer_of(const struct world *w, uint8_t family, const uint8_t *ip)
{
	uint32_t best = TR_NO_PEER;
	int best_len = -1;

	for (uint32_t id = 1; id <= w->max_peers; id++)
		for (uint16_t i = 0; w->peers[id].state == PEER_LIVE && i < w->peers[id].record->n_allowed; i++) {
			const struct tr_prefix *p = &w->peers[id].record->allowed[i];

			if (p->len > best_len && p->addr.family == family && prefix_covers(p, ip)) {
				best_len = p->len;
				best = id;
			}
		}
	return best;
}

static void
peers_by(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint32_t *peer, unsigned v4, unsigned v6)
{
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *d = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		bool is6 = d[0] >> 4 == 6;

		peer[i] = peer_of(fake_of(node->instance)->world, is6 ? 6 : 4, d + (is6 ? v6 : v4));
	}
}

static void
host_peers_by_destination(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint32_t *peer)
{
	peers_by(node, pkts, n, peer, 16, 24);
}

static void
host_peers_by_source(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint32_t *peer)
{
	peers_by(node, pkts, n, peer, 12, 8);
}

static void
host_paths(struct tr_node *node, const uint32_t *peer, uint16_t n, struct tr_endpoint *out)
{
	for (uint16_t i = 0; out && i < n; i++)
		path_in_use(fake_of(node->instance)->world, peer[i], &out[i]);
}

static const struct tr_peer *
host_peer(struct tr_instance *i, uint32_t id)
{
	const struct world *w = fake_of(i)->world;

	return id && id <= w->max_peers && w->peers[id].state == PEER_LIVE ? w->peers[id].record : NULL;
}

static uint32_t
host_peer_by_key(struct tr_instance *i, const uint8_t public_key[32])
{
	return by_key(fake_of(i)->world, public_key);
}

static bool
owned(struct tr_node *node, uint32_t peer, const char *name)
{
	const struct world *w = fake_of(node->instance)->world;

	if (!fake_allow(node->instance, BY_WORKER, name))
		return false;
	if (peer && peer <= w->max_peers && fake_owner(w, peer) == node->worker)
		return true;
	fake_failed("%s(): worker %u does not own peer %u", name, node->worker, peer);
	return false;
}

static void
host_path_learn(struct tr_node *node, uint32_t peer, const struct tr_endpoint *from)
{
	struct world *w = fake_of(node->instance)->world;

	if (!owned(node, peer, "path_learn"))
		return;
	if (from->gate == TR_KIND_UDP && !w->peers[peer].ways)
		w->peers[peer].path = *from;
	else
		candidates_heard(ways(w, peer), from, w->peers[peer].record->public_key, w->now);
}

static void
host_path_session(struct tr_node *node, uint32_t peer)
{
	struct world *w = fake_of(node->instance)->world;

	if (!owned(node, peer, "path_session"))
		return;
	w->peers[peer].session = w->wall_base + w->now;
	if (w->peers[peer].ways)
		candidates_session(w->peers[peer].ways, w->now);
}

static void
host_path_tell(struct tr_node *node, uint32_t peer, const struct tr_path *news)
{
	struct world *w = fake_of(node->instance)->world;

	if (owned(node, peer, "path_tell"))
		candidates_tell(ways(w, peer), news, w->now);
}

static int
host_path_post(struct tr_instance *i, uint32_t peer, const struct tr_path *news)
{
	struct world *w = fake_of(i)->world;

	if (!fake_allow(i, BY_CONTROL | BY_SERVICE | BY_JOB, "path_post"))
		return -EAGAIN;
	if (peer && peer <= w->max_peers && w->peers[peer].state == PEER_LIVE)
		candidates_tell(ways(w, peer), news, w->now);
	return 0;
}

static uint16_t
host_path_list(struct tr_instance *i, uint32_t peer, struct tr_path *out, uint16_t max)
{
	struct world *w = fake_of(i)->world;
	const struct fake_peer *p = &w->peers[peer];

	if (p->ways)
		return candidates_list(p->ways, w->now, out, max);
	if (!p->path.family || !max)
		return 0;
	*out = (struct tr_path){.endpoint = p->path, .state = p->session ? TR_PATH_ALIVE : TR_PATH_UNTRIED, .use = TR_PATH_IN_USE};
	return 1;
}

static uint64_t
host_path_sent(struct tr_node *node, uint32_t peer)
{
	return owned(node, peer, "path_sent") ? fake_of(node->instance)->world->peers[peer].sent : 0;
}

static uint32_t
host_peer_by_disco(struct tr_instance *i, const uint8_t disco_key[32])
{
	const struct world *w = fake_of(i)->world;

	if (!fake_allow(i, BY_WORKER | BY_JOB | BY_CONTROL, "peer_by_disco"))
		return TR_NO_PEER;
	for (uint32_t id = 1; id <= w->max_peers; id++)
		if (w->peers[id].state == PEER_LIVE && memcmp(w->peers[id].record->disco_key, disco_key, 32) == 0)
			return id;
	return TR_NO_PEER;
}

/* One teller is as good as many here. */
static void
host_own_endpoints_tell(struct tr_instance *i, uint16_t port, const struct tr_own_endpoint *list, uint16_t n)
{
	struct world *w = fake_of(i)->world;

	(void)port;
	if (!fake_allow(i, BY_CONTROL | BY_SERVICE, "own_endpoints_tell"))
		return;
	if (n > 0 && list[0].kind == TR_OWN_SEEN) /* a peer's word, which is not kept */
		return;
	w->n_own = n < TR_OWN_ENDPOINTS ? n : TR_OWN_ENDPOINTS;
	if (w->n_own)
		memcpy(w->own, list, w->n_own * sizeof(*list));
}

static uint16_t
host_own_endpoints(struct tr_instance *i, uint16_t port, struct tr_own_endpoint *out, uint16_t max)
{
	const struct world *w = fake_of(i)->world;
	const uint16_t n = w->n_own < max ? w->n_own : max;

	(void)port;
	memcpy(out, w->own, n * sizeof(*out));
	return n;
}

static void
host_peer_each(struct tr_instance *i, void (*fn)(void *, const struct tr_peer *), void *arg)
{
	struct world *w = fake_of(i)->world;

	if (!fake_allow(i, BY_CONTROL, "peer_each"))
		return;
	for (uint32_t id = 1; id <= w->max_peers; id++)
		if (w->peers[id].state == PEER_LIVE)
			fn(arg, w->peers[id].record);
}

static void
host_path_show(struct tr_instance *i, uint32_t peer, struct tr_endpoint *path, uint64_t *session)
{
	path_in_use(fake_of(i)->world, peer, path);
	path->flags = 0;
	*session = fake_of(i)->world->peers[peer].session;
}

static const struct tr_derp_map *
host_derp_map(struct tr_instance *i)
{
	return fake_allow(i, BY_CONTROL, "derp_map") ? &fake_of(i)->world->derp : NULL;
}

static int
host_peer_set(struct tr_instance *i, const struct tr_peer_change *c)
{
	struct world *w = fake_of(i)->world;
	uint32_t id;

	if (!fake_allow(i, BY_CONTROL, "peer_set"))
		return -EINVAL;
	return change_peer(w, c, NULL, NULL, "operator", &id);
}

/* Is `name` below the domain? Then what stands before it. */
static bool
below(const struct world *w, const char *name, size_t len, size_t *head)
{
	size_t domain = w->domain ? strlen(w->domain) : 0;

	if (!domain || len < domain || memcmp(name + len - domain, w->domain, domain) != 0)
		return false;
	if (len > domain && name[len - domain - 1] != '.')
		return false;
	*head = len > domain ? len - domain - 1 : 0;
	return true;
}

static enum tr_name_status
find_name(const struct world *w, const char *name, size_t len, struct tr_addr found[64], struct tr_name *out)
{
	const struct tr_name_option *v = w->names.items;
	size_t head;

	*out = (struct tr_name){.addr = found};
	if (!below(w, name, len, &head))
		return TR_NAME_FOREIGN;
	for (uint32_t i = 0; i < w->names.n; i++)
		if (strlen(v[i].name) == head && memcmp(v[i].name, name, head) == 0 && out->n < 64)
			found[out->n++] = v[i].addr;
	for (uint32_t id = 1; id <= w->max_peers; id++) {
		const struct tr_peer *r = w->peers[id].state == PEER_LIVE ? w->peers[id].record : NULL;

		if (!r || !r->name || strlen(r->name) != head || memcmp(r->name, name, head) != 0)
			continue;
		for (uint16_t k = 0; k < r->n_allowed && out->n < 64; k++)
			if (r->allowed[k].len == (r->allowed[k].addr.family == 6 ? 128 : 32))
				found[out->n++] = r->allowed[k].addr;
	}
	return out->n ? TR_NAME_FOUND : TR_NAME_NONE;
}

static void
host_names_find(struct tr_node *node, struct tr_name_find *names, uint16_t n)
{
	static struct tr_addr found[TR_BURST][64];

	for (uint16_t i = 0; i < n; i++)
		names[i].status = find_name(fake_of(node->instance)->world, names[i].name, names[i].len, found[i],
			&names[i].found);
}

static enum tr_name_status
host_name_reverse(struct tr_node *node, const struct tr_addr *a, const char **name, size_t *len)
{
	static char full[300];
	const struct world *w = fake_of(node->instance)->world;
	const struct tr_name_option *v = w->names.items;
	uint32_t peer = peer_of(w, a->family, a->ip);
	const char *head = peer ? w->peers[peer].record->name : NULL;

	for (uint32_t i = 0; i < w->names.n && !head; i++)
		if (tr_addr_eq(&v[i].addr, a))
			head = v[i].name;
	if (!head)
		return peer ? TR_NAME_NONE : TR_NAME_FOREIGN;
	*len = (size_t)snprintf(full, sizeof(full), "%s.%s", head, w->domain ? w->domain : "");
	*name = full;
	return TR_NAME_FOUND;
}

void
fake_netmap_host(struct tr_host *host)
{
	host->peers_by_destination = host_peers_by_destination;
	host->peers_by_source = host_peers_by_source;
	host->paths = host_paths;
	host->peer = host_peer;
	host->peer_by_key = host_peer_by_key;
	host->path_learn = host_path_learn;
	host->path_session = host_path_session;
	host->peer_each = host_peer_each;
	host->path_show = host_path_show;
	host->path_tell = host_path_tell;
	host->path_post = host_path_post;
	host->path_list = host_path_list;
	host->path_sent = host_path_sent;
	host->peer_by_disco = host_peer_by_disco;
	host->own_endpoints_tell = host_own_endpoints_tell;
	host->own_endpoints = host_own_endpoints;
	host->derp_map = host_derp_map;
	host->peer_set = host_peer_set;
	host->names_find = host_names_find;
	host->name_reverse = host_name_reverse;
}
