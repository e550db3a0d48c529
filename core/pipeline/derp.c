/* SPDX-License-Identifier: BSD-3-Clause */
/* The DERP map: `netmap: {derp: {NODE: {region, host, …}}}`. The nodes of a region are tried in the order of the file. */
#include "builder.h"
#include "config/value.h"
#include "config/value.h"

#include <sodium.h>

#define NODES_MAX 1024

#define AT(member) .offset = offsetof(struct tr_derp_node, member)
const struct tr_option plan_derp_options[] = {
	{.key = "region", .type = TR_OPT_UINT, .flags = TR_OPT_REQUIRED, .min = 1, .max = UINT16_MAX, AT(region),
		.doc = "region of the relay; peers name theirs by `derp`"},
	{.key = "host", .type = TR_OPT_STRING, .flags = TR_OPT_REQUIRED, AT(host),
		.doc = "its name: the one in its certificate, and to be looked up if no `address` is given"},
	{.key = "address", .type = TR_OPT_ADDR, .flags = TR_OPT_LIST, .max = 8, AT(address),
		.doc = "its addresses, tried in this order, instead of asking the DNS"},
	{.key = "port", .type = TR_OPT_UINT, .min = 1, .max = UINT16_MAX, .def = "443", AT(port), .doc = "TCP port"},
	{.key = "certificate", .type = TR_OPT_STRING, AT(certificate),
		.doc = "another name in its certificate, or `sha256-raw:` and the SHA-256 of the certificate that it must have"},
	{0},
};
#undef AT

static bool
certificate_ok(const char *text)
{
	static const char pin[] = "sha256-raw:";
	uint8_t hash[32];
	char name[254];
	size_t n;
	if (strncmp(text, pin, sizeof(pin) - 1) != 0)
		return value_dns_name(text, name);
	text += sizeof(pin) - 1;
	return strlen(text) == 64 && sodium_hex2bin(hash, sizeof(hash), text, 64, NULL, &n, NULL) == 0 && n == sizeof(hash);
}

static void
parse_node(const struct opt_context *c, const struct cfg_node *key, const struct cfg_node *node, struct tr_derp_node *out)
{
	char what[80], name[254];
	struct tr_addr address;
	snprintf(what, sizeof(what), "derp node %.60s", key->text);
	out->name = arena_str(c->arena, key->text, strlen(key->text));
	if (!options_parse(c, what, plan_derp_options, node, NULL, key, out))
		return;
	if (!value_dns_name(out->host, name) && !parse_addr(out->host, &address))
		diag_at(c->diags, DIAG_ERROR, cfg_get(node, "host"), "`host`: expected a name such as derp1.example, not `%.60s`",
			out->host);
	if (out->certificate != NULL && !certificate_ok(out->certificate))
		diag_at(c->diags, DIAG_ERROR, cfg_get(node, "certificate"),
			"`certificate`: expected a name, or `sha256-raw:` and 64 hexadecimal digits, not `%.80s`", out->certificate);
}

struct tr_derp_node *
plan_derp(const struct opt_context *c, const struct cfg_node *map, unsigned *n)
{
	*n = 0;
	if (map == NULL)
		return NULL;
	if (map->kind != CFG_MAP || map->n > NODES_MAX) {
		diag_at(c->diags, DIAG_ERROR, map, "`derp`: expected a map of `NODE: {region: 1, host: NAME, …}`, at most %d nodes", NODES_MAX);
		return NULL;
	}
	struct tr_derp_node *v = arena_alloc(c->arena, (map->n + 1u) * sizeof(*v));
	for (unsigned i = 0; v != NULL && i < map->n; i++)
		parse_node(c, map->key[i], map->child[i], &v[(*n)++]);
	return v;
}

static bool
same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

bool
plan_derp_same(const struct tr_derp_node *a, const struct tr_derp_node *b)
{
	return same_text(a->name, b->name) && same_text(a->host, b->host) && same_text(a->certificate, b->certificate) &&
	       a->region == b->region && a->port == b->port && a->address.n == b->address.n &&
	       (a->address.n == 0 || memcmp(a->address.items, b->address.items, a->address.n * sizeof(struct tr_addr)) == 0);
}
