/* SPDX-License-Identifier: BSD-3-Clause */
/* The operator's layer as JSON: one object per line of the state file, each the whole entry of a key or an option. */
#include "internal.h"

#include "../config/config.h"

#include <sodium.h>
#include <stdlib.h>

static json_t *
prefixes_json(const struct tr_prefix *set, uint32_t n)
{
	json_t *list = json_array();
	char text[50];

	for (uint32_t i = 0; list && i < n; i++) {
		format_prefix(&set[i], text);
		json_array_append_new(list, json_string(text));
	}
	return list;
}

static json_t *
endpoint_json(const struct tr_endpoint *e)
{
	struct tr_addr a = {.family = e->family};
	char ip[46], text[64];

	if (!e->family)
		return json_null();
	memcpy(a.ip, e->remote, 16);
	format_addr(&a, ip);
	snprintf(text, sizeof(text), e->family == 6 ? "[%s]:%u" : "%s:%u", ip, e->remote_port);
	return json_string(text);
}

static json_t *
secret_json(const uint8_t secret[32])
{
	char text[45];

	if (sodium_is_zero(secret, 32))
		return json_null();
	format_base64_32(secret, text);
	json_t *j = json_string(text);
	sodium_memzero(text, sizeof(text));
	return j;
}

json_t *
overlay_json(const struct netmap_table *t, const uint8_t key[32], const struct overlay *o)
{
	char text[45];
	format_base64_32(key, text);
	json_t *j = json_pack("{ss ss}", "interface", t->name, "public_key", text);

	if (!j || !o || (!o->absent && !o->created && !o->set && !o->n_add && !o->n_remove && !o->other)) {
		json_object_set_new(j, "forget", json_true());
		return j;
	}
	if (o->absent)
		json_object_set_new(j, "absent", json_true());
	if (o->created)
		json_object_set_new(j, "created", json_true());
	if (o->set & TR_PEER_PSK)
		json_object_set_new(j, "preshared_key", secret_json(o->preshared_key));
	if (o->set & TR_PEER_ENDPOINT)
		json_object_set_new(j, "endpoint", endpoint_json(&o->endpoint));
	if (o->set & TR_PEER_KEEPALIVE)
		json_object_set_new(j, "keepalive", json_integer(o->keepalive));
	if (o->set & TR_PEER_REPLACE_ALLOWED)
		json_object_set_new(j, "replace_allowed", json_true());
	if (o->n_add)
		json_object_set_new(j, "add", prefixes_json(o->add, o->n_add));
	if (o->n_remove)
		json_object_set_new(j, "remove", prefixes_json(o->remove, o->n_remove));
	if (o->other)
		json_object_update(j, o->other);
	return j;
}

json_t *
option_json(const char *interface, const char *key, const char *value)
{
	return json_pack("{ss ss ss?}", "interface", interface, "option", key, "value", value);
}

static bool
prefixes_from(const json_t *list, struct tr_prefix **set, uint32_t *n)
{
	size_t count = json_array_size(list);

	if (!list)
		return true;
	*set = calloc(count + 1, sizeof(**set));
	for (size_t i = 0; *set && i < count; i++) {
		const char *text = json_string_value(json_array_get(list, i));
		if (!text || !parse_prefix(text, &(*set)[i], false))
			return false;
	}
	*n = *set ? prefix_sort(*set, (uint32_t)count) : 0;
	return *set && json_is_array(list);
}

/* What this version does not know of an entry. */
static json_t *
other_from(const json_t *j)
{
	static const char *const known[] = {"interface", "public_key", "absent", "created", "preshared_key", "endpoint", "keepalive",
		"replace_allowed", "add", "remove"};
	json_t *other = json_copy((json_t *)(uintptr_t)j);

	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
		json_object_del(other, known[i]);
	if (json_object_size(other) == 0) {
		json_decref(other);
		return NULL;
	}
	return other;
}

static bool
fields_from(const json_t *j, struct overlay *o)
{
	const json_t *psk = json_object_get(j, "preshared_key"), *endpoint = json_object_get(j, "endpoint"),
		     *keepalive = json_object_get(j, "keepalive");
	struct tr_sockaddr at;

	o->absent = json_is_true(json_object_get(j, "absent"));
	o->created = json_is_true(json_object_get(j, "created"));
	o->other = other_from(j);
	if (json_is_true(json_object_get(j, "replace_allowed")))
		o->set |= TR_PEER_REPLACE_ALLOWED;
	if (psk) {
		o->set |= TR_PEER_PSK;
		if (!json_is_null(psk) && (!json_is_string(psk) || !parse_base64_32(json_string_value(psk), o->preshared_key)))
			return false;
	}
	if (endpoint) {
		o->set |= TR_PEER_ENDPOINT;
		if (!json_is_null(endpoint)) {
			if (!json_is_string(endpoint) || !parse_sockaddr(json_string_value(endpoint), &at, 0))
				return false;
			o->endpoint.family = at.addr.family;
			o->endpoint.remote_port = at.port;
			memcpy(o->endpoint.remote, at.addr.ip, 16);
		}
	}
	if (keepalive) {
		json_int_t v = json_integer_value(keepalive);
		if (!json_is_integer(keepalive) || v < 0 || v > UINT16_MAX)
			return false;
		o->set |= TR_PEER_KEEPALIVE;
		o->keepalive = (uint16_t)v;
	}
	return prefixes_from(json_object_get(j, "add"), &o->add, &o->n_add) &&
	       prefixes_from(json_object_get(j, "remove"), &o->remove, &o->n_remove);
}

bool
operator_knows_json(const json_t *j)
{
	const json_t *value = json_object_get(j, "value");

	if (!json_is_string(json_object_get(j, "interface")))
		return false;
	if (json_is_string(json_object_get(j, "public_key")))
		return !json_object_get(j, "option");
	return json_is_string(json_object_get(j, "option")) && (json_is_string(value) || json_is_null(value));
}

bool
operator_apply_json(const json_t *j)
{
	const char *interface = json_string_value(json_object_get(j, "interface")),
		   *key = json_string_value(json_object_get(j, "public_key")),
		   *option = json_string_value(json_object_get(j, "option"));
	struct netmap_table *t = interface ? netmap_table(interface) : NULL;
	uint8_t public_key[32];

	if (!t || !key == !option)
		return false;
	if (option) {
		const json_t *value = json_object_get(j, "value");
		if (!json_is_string(value) && !json_is_null(value))
			return false;
		option_apply(t, option, json_string_value(value));
		return true;
	}
	if (!parse_base64_32(key, public_key))
		return false;
	struct overlay *o = NULL;
	if (!json_is_true(json_object_get(j, "forget"))) {
		o = calloc(1, sizeof(*o));
		if (!o || !fields_from(j, o)) {
			overlay_free(o);
			return false;
		}
	}
	struct entry *e = entry_get(t, public_key);
	if (!e) {
		overlay_free(o);
		return false;
	}
	overlay_free(e->overlay);
	e->overlay = o;
	e->endpoint_serial += o && (o->set & TR_PEER_ENDPOINT);
	return true;
}
