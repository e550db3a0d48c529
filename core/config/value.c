/* SPDX-License-Identifier: BSD-3-Clause */
#include "value.h"

#include <ctype.h>
#include <stdlib.h>

struct suffix {
	const char *text;
	uint64_t factor;
};

/* Largest last; a unit's own number has the empty suffix where that is allowed. */
static const struct suffix suffixes[][5] = {
	[TR_UNIT_NONE] = {{"", 1}},
	[TR_UNIT_MS] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}},
	[TR_UNIT_BYTES] = {{"", 1}, {"k", 1u << 10}, {"M", 1u << 20}, {"G", 1u << 30}},
	[TR_UNIT_PER_SEC] = {{"", 1}, {"k", 1000}, {"M", 1000000}},
};

size_t
value_size(enum tr_option_type type)
{
	static const size_t sizes[] = {
		[TR_OPT_BOOL] = sizeof(bool),
		[TR_OPT_UINT] = sizeof(uint64_t),
		[TR_OPT_STRING] = sizeof(char *),
		[TR_OPT_ENUM] = sizeof(uint32_t),
		[TR_OPT_ADDR] = sizeof(struct tr_addr),
		[TR_OPT_PREFIX] = sizeof(struct tr_prefix),
		[TR_OPT_IFADDR] = sizeof(struct tr_prefix),
		[TR_OPT_SOCKADDR] = sizeof(struct tr_sockaddr),
		[TR_OPT_MAC] = 6,
		[TR_OPT_KEY] = sizeof(struct tr_key),
		[TR_OPT_SECRET] = sizeof(struct tr_secret),
		[TR_OPT_ROUTES] = sizeof(struct tr_list),
		[TR_OPT_NAMES] = sizeof(struct tr_list),
	};
	return sizes[type];
}

struct tr_option
value_element(const struct tr_option *list)
{
	struct tr_option o = *list;
	o.flags &= ~(uint32_t)TR_OPT_LIST;
	o.min = o.max = 0;
	return o;
}

void
value_format_uint(enum tr_option_unit unit, uint64_t v, char text[32])
{
	const struct suffix *best = &suffixes[unit][0];
	for (const struct suffix *s = best; s->text != NULL; s++)
		if (v != 0 && v % s->factor == 0)
			best = s;
	snprintf(text, 32, "%llu%s", (unsigned long long)(v / best->factor), best->text);
}

static enum value_result
parse_uint(const struct tr_option *o, const char *text, uint64_t *out, char *why, size_t size)
{
	bool negative = *text == '-', overflow = false;
	const char *p = text + negative;
	uint64_t v = 0;
	char bound[32];
	if (!isdigit((unsigned char)*p) || (p[0] == '0' && isdigit((unsigned char)p[1])))
		return VALUE_TYPE;
	for (; isdigit((unsigned char)*p); p++)
		overflow |= __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*p - '0'), &v);
	const struct suffix *s = suffixes[o->unit];
	while (s->text != NULL && strcmp(s->text, p) != 0)
		s++;
	if (s->text == NULL)
		return VALUE_TYPE;
	overflow |= __builtin_mul_overflow(v, s->factor, &v);
	uint64_t max = o->max != 0 || o->min != 0 ? o->max : UINT64_MAX;
	if ((negative && (v != 0 || overflow)) || (!overflow && v < o->min)) {
		value_format_uint(o->unit, o->min, bound);
		snprintf(why, size, "`%.40s` is below the minimum of %s", text, bound);
		return VALUE_BOUNDS;
	}
	if (overflow || v > max) {
		value_format_uint(o->unit, max, bound);
		snprintf(why, size, "`%.40s` is above the maximum of %s", text, bound);
		return VALUE_BOUNDS;
	}
	*out = v;
	return VALUE_OK;
}

static enum value_result
parse_enum(const struct tr_option *o, const char *text, uint32_t *out, char *why, size_t size)
{
	for (uint32_t i = 0; o->names[i] != NULL; i++)
		if (strcmp(o->names[i], text) == 0) {
			*out = i;
			return VALUE_OK;
		}
	const char *near = did_you_mean(text, o->names);
	char expected[200];
	value_expected(o, expected, sizeof(expected));
	if (near == NULL)
		return VALUE_TYPE;
	snprintf(why, size, "expected %s, not `%.40s` (did you mean `%s`?)", expected, text, near);
	return VALUE_TEXT;
}

static bool
parse_mac(const char *text, uint8_t out[6])
{
	if (strlen(text) != 17)
		return false;
	for (unsigned i = 0; i < 6; i++, text += 3) {
		unsigned byte;
		if (!isxdigit((unsigned char)text[0]) || !isxdigit((unsigned char)text[1]) || text[2] != (i < 5 ? ':' : '\0'))
			return false;
		sscanf(text, "%2x", &byte);
		out[i] = (uint8_t)byte;
	}
	return true;
}

bool
value_prefix(const char *text, struct tr_prefix *out, bool host_bits, char *why, size_t size)
{
	if (parse_prefix(text, out, host_bits))
		return true;
	why[0] = '\0';
	if (!host_bits && parse_prefix(text, out, true)) {
		for (unsigned bit = out->len; bit < 128; bit++)
			out->addr.ip[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
		char good[50];
		format_prefix(out, good);
		snprintf(why, size, "`%.60s` has bits set behind the prefix length (did you mean `%s`?)", text, good);
	} else if (parse_addr(text, &out->addr)) {
		snprintf(why, size, "`%.60s` has no prefix length (did you mean `%.60s/%s`?)", text, text,
			out->addr.family == 4 ? "32" : "128");
	}
	return false;
}

uint16_t
value_default_port(const struct tr_option *o)
{
	const char *colon = o->def != NULL ? strrchr(o->def, ':') : NULL;
	return colon != NULL ? (uint16_t)atoi(colon + 1) : 0;
}

bool
value_dns_name(const char *text, char out[254])
{
	size_t len = strlen(text), label = 0;
	if (len == 0 || len > 253)
		return false;
	for (size_t i = 0; i <= len; i++) {
		char c = i < len ? (char)tolower((unsigned char)text[i]) : '.';
		if (c == '.') {
			if (label == 0 || label > 63 || text[i - 1] == '-' || text[i - label] == '-')
				return false;
			label = 0;
		} else if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
			return false;
		} else {
			label++;
		}
		out[i] = i < len ? c : '\0';
	}
	return true;
}

enum value_result
value_parse(const struct tr_option *o, const char *text, bool quoted, void *out, char *why, size_t size)
{
	bool ok = false;
	why[0] = '\0';
	switch (o->type) {
	case TR_OPT_BOOL:
		*(bool *)out = strcmp(text, "true") == 0;
		ok = !quoted && (*(bool *)out || strcmp(text, "false") == 0);
		break;
	case TR_OPT_UINT:
		return quoted ? VALUE_TYPE : parse_uint(o, text, out, why, size);
	case TR_OPT_STRING:
		*(const char **)out = text;
		ok = quoted || *text != '\0';
		break;
	case TR_OPT_ENUM:
		return parse_enum(o, text, out, why, size);
	case TR_OPT_ADDR:
		ok = parse_addr(text, out);
		break;
	case TR_OPT_PREFIX:
	case TR_OPT_IFADDR:
		ok = value_prefix(text, out, o->type == TR_OPT_IFADDR, why, size);
		break;
	case TR_OPT_SOCKADDR:
		ok = parse_sockaddr(text, out, value_default_port(o));
		break;
	case TR_OPT_MAC:
		ok = parse_mac(text, out);
		break;
	case TR_OPT_KEY:
	case TR_OPT_SECRET:
		ok = parse_base64_32(text, out);
		break;
	case TR_OPT_ROUTES:
	case TR_OPT_NAMES:
		break;
	}
	return ok ? VALUE_OK : why[0] != '\0' ? VALUE_TEXT : VALUE_TYPE;
}

static void
expected_uint(const struct tr_option *o, char *text, size_t size)
{
	static const char *const what[] = {"a number", "a duration such as 500ms, 10s, 2m or 1h",
		"a size in bytes such as 64, 64k or 1M", "a rate per second such as 200, 200k or 1M"};
	char min[32], max[32];
	value_format_uint(o->unit, o->min, min);
	value_format_uint(o->unit, o->max, max);
	if (o->min == 0 && o->max == 0)
		snprintf(text, size, "%s", what[o->unit]);
	else
		snprintf(text, size, "%s%s from %s to %s", what[o->unit], o->unit != TR_UNIT_NONE ? "," : "", min, max);
}

void
value_expected(const struct tr_option *o, char *text, size_t size)
{
	static const char *const what[] = {
		[TR_OPT_BOOL] = "`true` or `false`",
		[TR_OPT_STRING] = "text",
		[TR_OPT_ADDR] = "an address such as 192.0.2.1 or 2001:db8::1",
		[TR_OPT_PREFIX] = "a prefix such as 10.0.0.0/8 or 2001:db8::/32",
		[TR_OPT_IFADDR] = "an address with its prefix length, such as 10.20.0.1/16",
		[TR_OPT_SOCKADDR] = "an address and a port such as 192.0.2.1:53 or [2001:db8::1]:53",
		[TR_OPT_MAC] = "a MAC address such as 02:00:00:00:00:01",
		[TR_OPT_KEY] = "a public key: base64 of 32 bytes, 44 characters",
		[TR_OPT_SECRET] = "`file:PATH`, where PATH holds the key: keys are never written into the configuration",
		[TR_OPT_ROUTES] = "a map of `PREFIX: INSTANCE.GATE` or `PREFIX: INSTANCE.GATE via ADDRESS`",
		[TR_OPT_NAMES] = "a map of `NAME: ADDRESS` or `NAME: [ADDRESS, …]`",
	};
	if (o->type == TR_OPT_UINT) {
		expected_uint(o, text, size);
	} else if (o->type == TR_OPT_ENUM) {
		int n = snprintf(text, size, "one of");
		for (unsigned i = 0; o->names[i] != NULL && n > 0 && (size_t)n < size; i++)
			n += snprintf(text + n, size - (size_t)n, "%s `%s`", i != 0 ? "," : "", o->names[i]);
	} else if (o->type == TR_OPT_SOCKADDR && value_default_port(o) != 0) {
		snprintf(text, size, "%s; without a port it is %u", what[o->type], value_default_port(o));
	} else {
		snprintf(text, size, "%s", what[o->type]);
	}
}
