/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/host.h"

#include "net/ip.h"

#include <stdio.h>
#include <stdlib.h>

enum { TCP_SYN = 2, TCP_ACK = 16 };
enum { FIRST_EPHEMERAL = 32768 }; /* Linux's: where answers to the kernel's own datagrams come */

static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {{"tcp", IP_TCP}, {"udp", IP_UDP}, {"icmp", IP_ICMP}, {"icmp6", IP_ICMP6}};

static void
set(uint64_t *bits, unsigned i)
{
	bits[i / 64] |= UINT64_C(1) << i % 64;
}

static bool
get(const uint64_t *bits, unsigned i)
{
	return (bits[i / 64] >> i % 64 & 1) != 0;
}

static bool
parse_number(const char *text, unsigned long max, const char **end, unsigned *out)
{
	char *rest;
	if (*text < '0' || *text > '9')
		return false;
	unsigned long v = strtoul(text, &rest, 10);
	*end = rest;
	*out = (unsigned)v;
	return v <= max;
}

static bool
parse_protocol(const char *text, size_t len, unsigned *out)
{
	const char *end;
	for (size_t i = 0; i < sizeof(protocols) / sizeof(*protocols); i++)
		if (strlen(protocols[i].name) == len && strncmp(text, protocols[i].name, len) == 0) {
			*out = protocols[i].number;
			return true;
		}
	return parse_number(text, 255, &end, out) && end == text + len;
}

/* "22" or "5000-5010" */
static bool
parse_ports(const char *text, unsigned *from, unsigned *to)
{
	const char *end;
	if (!parse_number(text, 65535, &end, from))
		return false;
	*to = *from;
	if (*end == '-' && !parse_number(end + 1, 65535, &end, to))
		return false;
	return *end == '\0' && *from <= *to;
}

/* from 0: the whole protocol. */
static bool
parse(const char *text, unsigned *protocol, unsigned *from, unsigned *to)
{
	const char *slash = strchr(text, '/');
	*from = *to = 0;
	if (!parse_protocol(text, slash != NULL ? (size_t)(slash - text) : strlen(text), protocol))
		return false;
	return slash == NULL || ((*protocol == IP_TCP || *protocol == IP_UDP) && parse_ports(slash + 1, from, to));
}

static bool
add(struct host_rules *r, const char *text)
{
	unsigned protocol, from, to;
	if (!parse(text, &protocol, &from, &to))
		return false;
	if (strchr(text, '/') == NULL)
		set(r->protocol, protocol);
	else
		for (unsigned port = from; port <= to; port++)
			set(r->port[protocol == IP_UDP], port);
	return true;
}

unsigned
host_rules_steer(const struct tr_list *accept, const struct tr_list *address, struct steer_rule *out, unsigned max)
{
	const char *const *text = accept->items;
	const struct tr_prefix *own = address->items;
	unsigned n = 0, protocol, from, to;
	for (uint32_t i = 0; i < accept->n; i++) {
		if (!parse(text[i], &protocol, &from, &to) || protocol == IP_ICMP || protocol == IP_ICMP6 ||
			(protocol == IP_UDP && from == 0))
			continue;
		for (uint32_t k = 0; k < address->n && n < max; k++)
			out[n++] = (struct steer_rule){.to = own[k].addr, .protocol = (uint8_t)protocol, .from = (uint16_t)from, .last = (uint16_t)to};
	}
	return n;
}

struct host_rules *
host_rules_new(const struct tr_list *accept, char *why, size_t size)
{
	const char *const *text = accept->items;
	struct host_rules *r = calloc(1, sizeof(*r));
	if (r == NULL) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	if (accept->n == 0)
		memset(r->protocol, 0xff, sizeof(r->protocol));
	for (uint32_t i = 0; i < accept->n; i++) {
		if (add(r, text[i]))
			continue;
		snprintf(why, size,
		        "`accept`: expected `tcp`, `tcp/22`, `udp/5000-5010`, `icmp` or the number of a protocol, not "
		        "`%.40s`",
		        text[i]);
		free(r);
		return NULL;
	}
	return r;
}

bool
host_rules_allow(const struct host_rules *r, const uint8_t *p, uint32_t len, const struct tr_meta *meta)
{
	const uint8_t *l4 = p + meta->l3_len;
	if (get(r->protocol, meta->l4) || meta->l4 == IP_ICMP || meta->l4 == IP_ICMP6)
		return true;
	if (meta->l4 == IP_TCP && len >= meta->l3_len + 20u)
		return (l4[13] & (TCP_SYN | TCP_ACK)) != TCP_SYN || get(r->port[0], get_be16(l4 + 2));
	if (meta->l4 == IP_UDP && len >= meta->l3_len + (uint32_t)UDP_LEN)
		return get_be16(l4 + 2) >= FIRST_EPHEMERAL || get(r->port[1], get_be16(l4 + 2));
	return false;
}
