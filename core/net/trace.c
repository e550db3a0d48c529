/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/classes.h"
#include "net/ip.h"

#include <arpa/inet.h>
#include <stdio.h>

static const char *
protocol_name(uint8_t l4, char buf[8])
{
	switch (l4) {
	case IP_ICMP:
		return "ICMP";
	case IP_ICMP6:
		return "ICMPv6";
	case IP_TCP:
		return "TCP";
	case IP_UDP:
		return "UDP";
	default:
		snprintf(buf, 8, "%u", l4);
		return buf;
	}
}

void
trace_ip(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	struct ip_view v;
	enum ip_fault fault = ip_check(data, len, &v);
	if (fault != IP_OK) {
		static const struct tr_drop_reason reason[] = {IP_FAULT_REASONS};
		snprintf(text, size, "%u bytes: %s", len, reason[fault - 1].doc);
		return;
	}
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN], proto[8], ports[32] = "";
	const int family = v.version == 4 ? AF_INET : AF_INET6;
	inet_ntop(family, ip_src(data), src, sizeof(src));
	inet_ntop(family, ip_dst(data), dst, sizeof(dst));
	const uint8_t *l4 = data + v.l3_len;
	if (!v.tail && v.len >= v.l3_len + 4 && (v.l4 == IP_UDP || v.l4 == IP_TCP))
		snprintf(ports, sizeof(ports), " %u -> %u", get_be16(l4), get_be16(l4 + 2));
	else if (!v.tail && v.len >= v.l3_len + 2 && (v.l4 == IP_ICMP || v.l4 == IP_ICMP6))
		snprintf(ports, sizeof(ports), " type %u code %u", l4[0], l4[1]);
	snprintf(text, size, "IPv%u %s -> %s %s%s%s, %u bytes, %s %u", v.version, src, dst, protocol_name(v.l4, proto),
		ports, v.fragment ? " fragment" : "", v.len, v.version == 4 ? "TTL" : "hop limit", v.ttl);
}

void
trace_endpoint(const uint8_t *data, uint32_t len, const struct tr_meta *meta, char *text, size_t size)
{
	const struct tr_endpoint *e = &meta->endpoint;
	char remote[INET6_ADDRSTRLEN] = "?", local[INET6_ADDRSTRLEN] = "?";
	const int family = e->family == 4 ? AF_INET : AF_INET6;
	if (e->family == 0) {
		snprintf(text, size, "%u bytes, no endpoint", len);
		return;
	}
	if (e->gate != 0) {
		snprintf(text, size, "%u bytes by gate %u, peer %u", len, e->gate, meta->peer);
		return;
	}
	inet_ntop(family, e->remote, remote, sizeof(remote));
	inet_ntop(family, e->local, local, sizeof(local));
	snprintf(text, size, "%u bytes, %s port %u -> %s port %u, peer %u", len, local, e->local_port, remote,
		e->remote_port, meta->peer);
}
