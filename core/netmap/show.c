/* SPDX-License-Identifier: BSD-3-Clause */
/* The layers for people: who set what, and the operator's as YAML to paste. */
#include "internal.h"

#include "../config/config.h"

#include <sodium.h>
#include <stdlib.h>

static void
show_prefixes(struct tr_show *out, const char *key, const struct tr_prefix *set, uint32_t n)
{
	char text[50];

	out->list(out, key);
	for (uint32_t i = 0; i < n; i++) {
		format_prefix(&set[i], text);
		out->text(out, NULL, text);
	}
	out->end(out);
}

static void
endpoint_text(const struct tr_endpoint *e, char text[64])
{
	struct tr_addr a = {.family = e->family};
	char ip[46];

	memcpy(a.ip, e->remote, 16);
	format_addr(&a, ip);
	snprintf(text, 64, e->family == 6 ? "[%s]:%u" : "%s:%u", ip, e->remote_port);
}

static void
show_endpoint(struct tr_show *out, const struct tr_endpoint *e)
{
	char text[64];

	if (!e->family)
		return;
	endpoint_text(e, text);
	out->text(out, "endpoint", text);
}

static void
show_peer(struct tr_show *out, const char *key, const struct tr_peer *p)
{
	out->begin(out, key);
	show_endpoint(out, &p->endpoint);
	if (p->keepalive)
		out->uint(out, "keepalive", p->keepalive);
	out->flag(out, "preshared_key", !sodium_is_zero(p->preshared_key, 32));
	show_prefixes(out, "allowed_ips", p->allowed, p->n_allowed);
	out->end(out);
}

static void
show_overlay(struct tr_show *out, const struct overlay *o)
{
	out->begin(out, "operator");
	if (o->absent)
		out->flag(out, "absent", true);
	if (o->set & TR_PEER_ENDPOINT)
		show_endpoint(out, &o->endpoint);
	if (o->set & TR_PEER_KEEPALIVE)
		out->uint(out, "keepalive", o->keepalive);
	if (o->set & TR_PEER_PSK)
		out->flag(out, "preshared_key", !sodium_is_zero(o->preshared_key, 32));
	if (o->set & TR_PEER_REPLACE_ALLOWED)
		out->flag(out, "replace_allowed", true);
	if (o->n_add)
		show_prefixes(out, "added", o->add, o->n_add);
	if (o->n_remove)
		show_prefixes(out, "removed", o->remove, o->n_remove);
	out->end(out);
}

static void
show_entry(struct tr_show *out, const struct entry *e)
{
	const struct record *r = entry_record(e);

	out->begin(out, NULL);
	out->key(out, "public_key", e->key);
	if (r) {
		if (r->peer.name)
			out->text(out, "name", r->peer.name);
		out->uint(out, "id", r->peer.id);
		out->text(out, "origin", r->peer.origin);
		show_peer(out, "merged", &r->peer);
	}
	if (e->provided)
		show_peer(out, "provider", &e->provided->peer);
	if (e->overlay)
		show_overlay(out, e->overlay);
	out->end(out);
}

void
netmap_show(struct tr_show *out)
{
	if (netmap_problem())
		out->text(out, "problem", netmap_problem());
	out->list(out, "interfaces");
	for (const struct netmap_table *t = nm.tables; t; t = t->next) {
		out->begin(out, NULL);
		out->text(out, "interface", t->name);
		out->list(out, "operator_options"); /* names only: values may be secret */
		for (unsigned i = 0; i < t->n_options; i++)
			out->text(out, NULL, t->option[i].key);
		out->end(out);
		out->list(out, "peers");
		for (const struct entry *e = t->entries; e; e = e->next)
			show_entry(out, e);
		out->end(out);
		out->end(out);
	}
	out->end(out);
}

static void
persist_peer(FILE *f, const struct netmap_table *t, const struct entry *e)
{
	const struct record *r = entry_record(e);
	char key[45], text[64];

	format_base64_32(e->key, key);
	if (!r) {
		fprintf(f, "    # removed by the operator: %s%s%s\n", key, e->provided && e->provided->peer.name ? " " : "",
			e->provided && e->provided->peer.name ? e->provided->peer.name : "");
		return;
	}
	if (r->peer.name)
		fprintf(f, "    %s:\n", r->peer.name);
	else
		fprintf(f, "    peer-%02x%02x%02x%02x:\n", e->key[0], e->key[1], e->key[2], e->key[3]);
	fprintf(f, "      interface: %s\n      public_key: %s\n", t->name, key);
	if (!sodium_is_zero(r->peer.preshared_key, 32))
		fprintf(f, "      preshared_key: file:/etc/tailrace/%s.psk # put the key there\n", r->peer.name ? r->peer.name : t->name);
	if (r->peer.endpoint.family) {
		endpoint_text(&r->peer.endpoint, text);
		fprintf(f, "      endpoint: \"%s\"\n", text);
	}
	if (r->peer.keepalive)
		fprintf(f, "      persistent_keepalive: %us\n", r->peer.keepalive);
	fprintf(f, "      allowed_ips: [");
	for (uint32_t i = 0; i < r->peer.n_allowed; i++) {
		format_prefix(&r->prefix[i], text);
		fprintf(f, "%s\"%s\"", i ? ", " : "", text);
	}
	fprintf(f, "]\n");
}

static void
persist_options(FILE *f, const struct netmap_table *t)
{
	uint8_t secret[32];

	if (!t->n_options)
		return;
	fprintf(f, "  %s:\n", t->name);
	for (unsigned i = 0; i < t->n_options; i++) {
		if (parse_base64_32(t->option[i].value, secret))
			fprintf(f, "    %s: file:/etc/tailrace/%s.key # put the key there\n", t->option[i].key, t->name);
		else
			fprintf(f, "    %s: %s\n", t->option[i].key, t->option[i].value);
	}
	sodium_memzero(secret, sizeof(secret));
}

char *
netmap_persist(void)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool options = false, peers = false;

	if (!f)
		return NULL;
	for (const struct netmap_table *t = nm.tables; t; t = t->next) {
		if (t->n_options && !options)
			fprintf(f, "instances:\n");
		options = options || t->n_options;
		persist_options(f, t);
	}
	for (const struct netmap_table *t = nm.tables; t; t = t->next) {
		for (const struct entry *e = t->entries; e; e = e->next) {
			if (!e->overlay)
				continue;
			if (!peers)
				fprintf(f, "netmap:\n  peers:\n");
			peers = true;
			persist_peer(f, t, e);
		}
	}
	fclose(f);
	return text;
}
