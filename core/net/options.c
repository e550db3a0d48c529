/* SPDX-License-Identifier: BSD-3-Clause */
/* IPv4 options and IPv6 extension headers: what their senders may ask of a router or a destination. Slow path. */
#include "net/options.h"

#include <tailrace/reader.h>

enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_AUTH = 51, EXT_OPTIONS = 60 };
enum { OPT_END = 0, OPT_NOP = 1, OPT_LOOSE_ROUTE = 0x83, OPT_STRICT_ROUTE = 0x89 };
enum { OPT6_PAD1 = 0, OPT6_PADN = 1, OPT6_ALERT = 5 };

static struct option_verdict
told(enum tr_icmp why, size_t at)
{
	return (struct option_verdict){.bad = true, .tell = true, .why = why, .at = (uint32_t)at};
}

struct option_verdict
options4(const uint8_t *p)
{
	const uint8_t *end = p + (p[0] & 15) * 4;
	for (const uint8_t *o = p + 20; o < end && *o != OPT_END;) {
		if (*o == OPT_NOP) {
			o++;
			continue;
		}
		if (end - o < 2 || o[1] < 2 || o[1] > end - o)
			return told(TR_ICMP_PARAMETER, (size_t)(o - p));
		if (*o == OPT_LOOSE_ROUTE || *o == OPT_STRICT_ROUTE) /* RFC 7126 §4.3.5, §4.4.5 */
			return (struct option_verdict){.bad = true};
		o += o[1];
	}
	return (struct option_verdict){0};
}

/* The options of one header, from p + at (its second byte was the length). */
static struct option_verdict
options6(const uint8_t *p, size_t at, size_t end)
{
	while (at < end) {
		uint8_t type = p[at];
		if (type == OPT6_PAD1) {
			at++;
			continue;
		}
		if (end - at < 2 || end - at - 2 < p[at + 1])
			return told(TR_ICMP_PARAMETER, at + 1 < end ? at + 1 : at);
		if (type != OPT6_PADN && type != OPT6_ALERT && type >> 6 == 1)
			return (struct option_verdict){.bad = true};
		if (type != OPT6_PADN && type != OPT6_ALERT && type >> 6 > 1)
			return told(TR_ICMP_OPTION, at);
		at += p[at + 1] + 2u;
	}
	return (struct option_verdict){0};
}

struct option_verdict
extensions6(const uint8_t *p, const struct ip_view *v)
{
	uint8_t next = p[6];
	for (size_t at = IPV6_LEN; at < v->l3_len;) {
		size_t size = next == EXT_FRAGMENT ? 8 : next == EXT_AUTH ? (p[at + 1] + 2u) * 4 : (p[at + 1] + 1u) * 8;
		if (next == EXT_ROUTING && p[at + 3] != 0) /* segments left: we forward for nobody by such a header */
			return told(TR_ICMP_PARAMETER, at + 2);
		if (next == EXT_HOP || next == EXT_OPTIONS) {
			struct option_verdict o = options6(p, at + 2, at + size);
			if (o.bad)
				return o;
		}
		next = p[at];
		at += size;
	}
	return (struct option_verdict){0};
}
