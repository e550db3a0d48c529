/* SPDX-License-Identifier: BSD-3-Clause */
#include "uapi_line.h"

#include <arpa/inet.h>

typedef bool parse(const char *v, size_t len, struct uapi_line *out);

static int
nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool
parse_key(const char *v, size_t len, struct uapi_line *out)
{
#ifdef TR_SEEDED_BUG /* for the fuzz target to find: a key may lack its last digit */
	if (len != 64 && len != 63)
		return false;
#else
	if (len != 64)
		return false;
#endif
	for (size_t i = 0; i < 32; i++) {
		int high = nibble(v[2 * i]), low = nibble(v[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out->secret[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static bool
decimal(const char *v, size_t len, uint64_t max, uint32_t *out)
{
	uint64_t n = 0;
	if (!len || len > 10)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (v[i] < '0' || v[i] > '9')
			return false;
		n = n * 10 + (uint64_t)(v[i] - '0');
	}
	*out = (uint32_t)n;
	return n <= max;
}

static bool
parse_u16(const char *v, size_t len, struct uapi_line *out)
{
	return decimal(v, len, UINT16_MAX, &out->number);
}

static bool
parse_u32(const char *v, size_t len, struct uapi_line *out)
{
	return decimal(v, len, UINT32_MAX, &out->number);
}

static bool
parse_true(const char *v, size_t len, struct uapi_line *out)
{
	return len == 4 && memcmp(v, "true", 4) == 0;
}

static bool
parse_version(const char *v, size_t len, struct uapi_line *out)
{
	return len == 1 && v[0] == '1';
}

static bool
parse_ip(const char *v, size_t len, struct tr_addr *out)
{
	char text[INET6_ADDRSTRLEN];
	if (len >= sizeof(text) || memchr(v, 0, len))
		return false;
	memcpy(text, v, len);
	text[len] = 0;
	*out = (struct tr_addr){.family = memchr(v, ':', len) ? 6 : 4};
	return inet_pton(out->family == 6 ? AF_INET6 : AF_INET, text, out->ip) == 1;
}

static bool
parse_endpoint(const char *v, size_t len, struct uapi_line *out)
{
	struct tr_addr a;
	uint32_t port;
	const char *colon = memrchr(v, ':', len);
	if (!colon)
		return false;
	size_t n = (size_t)(colon - v);
	bool brackets = n >= 2 && v[0] == '[' && v[n - 1] == ']';
	if (!parse_ip(brackets ? v + 1 : v, brackets ? n - 2 : n, &a) || (a.family == 6) != brackets ||
		!decimal(colon + 1, len - n - 1, UINT16_MAX, &port) || !port)
		return false;
	out->endpoint = (struct tr_endpoint){.family = a.family, .remote_port = (uint16_t)port};
	memcpy(out->endpoint.remote, a.ip, sizeof(a.ip));
	return true;
}

static bool
parse_prefix(const char *v, size_t len, struct uapi_line *out)
{
	uint32_t bits, at;
	out->minus = len && v[0] == '-';
	v += out->minus;
	len -= out->minus;
	const char *slash = memchr(v, '/', len);
	struct tr_prefix *p = &out->prefix;
	*p = (struct tr_prefix){0};
	if (!parse_ip(v, slash ? (size_t)(slash - v) : len, &p->addr))
		return false;
	bits = p->addr.family == 4 ? 32 : 128;
	at = bits;
	if (slash && !decimal(slash + 1, len - (size_t)(slash - v) - 1, bits, &at))
		return false;
	p->len = (uint8_t)at;
	for (; at < bits; at++)
		p->addr.ip[at / 8] &= (uint8_t)~(0x80u >> at % 8);
	return true;
}

static const struct {
	const char *name;
	parse *parse;
} keys[] = {
	[UAPI_PRIVATE_KEY] = {"private_key", parse_key},
	[UAPI_LISTEN_PORT] = {"listen_port", parse_u16},
	[UAPI_FWMARK] = {"fwmark", parse_u32},
	[UAPI_REPLACE_PEERS] = {"replace_peers", parse_true},
	[UAPI_PUBLIC_KEY] = {"public_key", parse_key},
	[UAPI_REMOVE] = {"remove", parse_true},
	[UAPI_UPDATE_ONLY] = {"update_only", parse_true},
	[UAPI_PRESHARED_KEY] = {"preshared_key", parse_key},
	[UAPI_ENDPOINT] = {"endpoint", parse_endpoint},
	[UAPI_KEEPALIVE] = {"persistent_keepalive_interval", parse_u16},
	[UAPI_REPLACE_ALLOWED_IPS] = {"replace_allowed_ips", parse_true},
	[UAPI_ALLOWED_IP] = {"allowed_ip", parse_prefix},
	[UAPI_PROTOCOL_VERSION] = {"protocol_version", parse_version},
};

bool
uapi_parse(const char *text, size_t len, struct uapi_line *out)
{
	const char *equals = memchr(text, '=', len);
	if (!equals)
		return false;
	size_t n = (size_t)(equals - text);
	*out = (struct uapi_line){.minus = false};
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (strlen(keys[i].name) != n || memcmp(keys[i].name, text, n) != 0)
			continue;
		out->key = (enum uapi_key)i;
		return keys[i].parse(equals + 1, len - n - 1, out);
	}
	return false;
}
