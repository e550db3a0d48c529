/* SPDX-License-Identifier: BSD-3-Clause */
#include "info.h"

#include "frame.h"

#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

bool
info_shared(uint8_t shared[32], const uint8_t public_key[32], const uint8_t secret[32])
{
	return crypto_box_beforenm(shared, public_key, secret) == 0;
}

/* The box behind `skip` bytes as JSON; NULL when it does not open or is none. */
static json_t *
open_json(const uint8_t *body, size_t len, size_t skip, const uint8_t shared[32])
{
	struct tr_reader r = tr_reader(body, len);
	tr_take(&r, skip);
	const uint8_t *nonce = tr_take(&r, INFO_NONCE);
	const size_t sealed = tr_left(&r);
	if (r.bad || sealed < INFO_TAG)
		return NULL;
	uint8_t *text = malloc(sealed);
	json_t *json = NULL;
	if (text != NULL && crypto_box_open_easy_afternm(text, r.p, sealed, nonce, shared) == 0)
		json = json_loadb((const char *)text, sealed - INFO_TAG, JSON_DECODE_ANY, NULL);
	if (text != NULL)
		sodium_memzero(text, sealed);
	free(text);
	if (json != NULL && !json_is_object(json) && !json_is_null(json)) {
		json_decref(json);
		return NULL;
	}
	return json;
}

static bool
take_flag(const json_t *v, bool *out)
{
	if (json_is_null(v))
		return true;
	*out = json_is_true(v);
	return json_is_boolean(v);
}

static bool
take_number(const json_t *v, uint64_t *out)
{
	if (json_is_null(v))
		return true;
	if (!json_is_integer(v))
		return false;
	*out = json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 0;
	return true;
}

static bool
take_mesh_key(const json_t *v, struct info_client *out)
{
	const char *hex = json_string_value(v), *end;
	size_t n;
	if (hex == NULL || json_string_length(v) != 64)
		return false;
	out->has_mesh_key = sodium_hex2bin(out->mesh_key, 32, hex, 64, NULL, &n, &end) == 0 && n == 32 && end == hex + 64;
	return out->has_mesh_key;
}

static bool
take_client(const json_t *json, struct info_client *out)
{
	const char *key;
	json_t *v;
	uint64_t version;
	json_object_foreach((json_t *)(uintptr_t)json, key, v)
	{
		bool good = true; /* of keys unknown here */
		if (strcasecmp(key, "meshKey") == 0)
			good = take_mesh_key(v, out);
		else if (strcasecmp(key, "version") == 0)
			good = take_number(v, &version);
		else if (strcasecmp(key, "CanAckPings") == 0)
			good = take_flag(v, &out->can_ack_pings);
		else if (strcasecmp(key, "IsProber") == 0)
			good = take_flag(v, &out->prober);
		else if (strcasecmp(key, "AppName") == 0)
			good = json_is_string(v) || json_is_null(v);
		if (!good)
			return false;
	}
	return true;
}

bool
info_open_client(struct info_client *out, const uint8_t *body, size_t len, const uint8_t shared[32])
{
	*out = (struct info_client){0};
	json_t *json = open_json(body, len, 32, shared);
	if (json == NULL)
		return false;
	memcpy(out->key, body, 32);
	const bool good = take_client(json, out);
	json_decref(json);
	return good;
}

bool
info_open_server(struct info_server *out, const uint8_t *body, size_t len, const uint8_t shared[32])
{
	*out = (struct info_server){0};
	json_t *json = open_json(body, len, 0, shared);
	const char *key;
	json_t *v;
	bool good = json != NULL;
	json_object_foreach(json, key, v)
	{
		if (strcasecmp(key, "TokenBucketBytesPerSecond") == 0)
			good = good && take_number(v, &out->bytes_per_second);
		else if (strcasecmp(key, "TokenBucketBytesBurst") == 0)
			good = good && take_number(v, &out->burst);
	}
	json_decref(json);
	return good;
}

static size_t
seal(uint8_t *out, const char *text, size_t len, const uint8_t shared[32])
{
	randombytes_buf(out, INFO_NONCE);
	crypto_box_easy_afternm(out + INFO_NONCE, (const uint8_t *)text, len, out, shared);
	return INFO_NONCE + INFO_TAG + len;
}

size_t
info_seal_client(uint8_t out[INFO_MAX], const struct info_client *c, const uint8_t shared[32])
{
	char text[256], mesh[32 * 2 + 1] = "";
	if (c->has_mesh_key)
		sodium_bin2hex(mesh, sizeof(mesh), c->mesh_key, 32);
	int n = snprintf(text, sizeof(text), "{%s%s%s\"version\":%d,\"CanAckPings\":%s%s}", c->has_mesh_key ? "\"meshKey\":\"" : "",
		mesh, c->has_mesh_key ? "\"," : "", FRAME_VERSION, c->can_ack_pings ? "true" : "false",
		c->prober ? ",\"IsProber\":true" : "");
	memcpy(out, c->key, 32);
	size_t len = 32 + seal(out + 32, text, (size_t)n, shared);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(mesh, sizeof(mesh));
	return len;
}

size_t
info_seal_server(uint8_t out[INFO_MAX], const struct info_server *s, const uint8_t shared[32])
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"version\":%d", FRAME_VERSION);
	if (s->bytes_per_second != 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"TokenBucketBytesPerSecond\":%lu,\"TokenBucketBytesBurst\":%lu",
			(unsigned long)s->bytes_per_second, (unsigned long)s->burst);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "}");
	return seal(out, text, (size_t)n, shared);
}
