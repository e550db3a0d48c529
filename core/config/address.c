/* SPDX-License-Identifier: BSD-3-Clause */
/* Text forms of addresses and keys. */
#include "config.h"

#include <arpa/inet.h>
#include <sodium.h>

bool
parse_addr(const char *s, struct tr_addr *out)
{
	*out = (struct tr_addr){0};
	if (inet_pton(AF_INET, s, out->ip) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, s, out->ip) == 1)
		out->family = 6;
	else
		return false;
	return true;
}

/* Digits only, no sign, no leading zero; at most `max`. */
static bool
parse_small(const char *s, unsigned max, unsigned *out)
{
	unsigned v = 0;
	if (*s == '\0' || (s[0] == '0' && s[1] != '\0'))
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9' || (v = v * 10 + (unsigned)(*s - '0')) > max)
			return false;
	}
	*out = v;
	return true;
}

static bool
has_host_bits(const struct tr_prefix *p)
{
	unsigned bytes = p->addr.family == 4 ? 4 : 16;
	for (unsigned i = 0; i < bytes; i++) {
		unsigned bits = p->len > i * 8 ? p->len - i * 8 : 0;
		uint8_t mask = bits >= 8 ? 0xff : (uint8_t)(0xff00u >> bits);
		if (p->addr.ip[i] & ~mask)
			return true;
	}
	return false;
}

bool
parse_prefix(const char *s, struct tr_prefix *out, bool allow_host_bits)
{
	const char *slash = strchr(s, '/');
	char addr[INET6_ADDRSTRLEN];
	unsigned len;
	*out = (struct tr_prefix){0};
	if (slash == NULL || (size_t)(slash - s) >= sizeof(addr))
		return false;
	memcpy(addr, s, (size_t)(slash - s));
	addr[slash - s] = '\0';
	if (!parse_addr(addr, &out->addr) || !parse_small(slash + 1, out->addr.family == 4 ? 32 : 128, &len))
		return false;
	out->len = (uint8_t)len;
	return allow_host_bits || !has_host_bits(out);
}

bool
parse_sockaddr(const char *s, struct tr_sockaddr *out, uint16_t default_port)
{
	char addr[INET6_ADDRSTRLEN];
	unsigned port = default_port;
	const char *colon = strrchr(s, ':'), *end = s + strlen(s);
	bool bracket = *s == '[';
	*out = (struct tr_sockaddr){0};
	if (bracket) {
		end = strchr(++s, ']');
		if (end == NULL || (end[1] != '\0' && end[1] != ':'))
			return false;
		colon = end[1] == ':' ? end + 1 : NULL;
	} else if (colon != NULL && memchr(s, ':', (size_t)(colon - s)) != NULL) {
		colon = NULL; /* a bare IPv6 address */
	} else if (colon != NULL) {
		end = colon;
	}
	if ((size_t)(end - s) >= sizeof(addr))
		return false;
	memcpy(addr, s, (size_t)(end - s));
	addr[end - s] = '\0';
	if (colon != NULL && !parse_small(colon + 1, 65535, &port))
		return false;
	if (!parse_addr(addr, &out->addr) || (bracket && out->addr.family != 6) || port == 0)
		return false;
	out->port = (uint16_t)port;
	return true;
}

bool
parse_base64_32(const char *s, uint8_t out[32])
{
	size_t n = 0;
	const char *end = NULL;
	if (strlen(s) != 44)
		return false;
	return sodium_base642bin(out, 32, s, 44, NULL, &n, &end, sodium_base64_VARIANT_ORIGINAL) == 0 && n == 32 &&
	       *end == '\0';
}

void
format_addr(const struct tr_addr *a, char out[46])
{
	if (a->family == 0)
		memcpy(out, "none", sizeof("none"));
	else
		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, out, 46);
}

void
format_prefix(const struct tr_prefix *p, char out[50])
{
	char addr[46];
	format_addr(&p->addr, addr);
	snprintf(out, 50, "%s/%u", addr, p->len);
}

void
format_base64_32(const uint8_t in[32], char out[45])
{
	sodium_bin2base64(out, 45, in, 32, sodium_base64_VARIANT_ORIGINAL);
}
