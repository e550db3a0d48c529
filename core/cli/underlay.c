/* SPDX-License-Identifier: BSD-3-Clause */
#include "underlay.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>

#ifndef RTPROT_DHCP
#define RTPROT_DHCP 16
#endif

enum { ATTRIBUTES = 32 }; /* of both kinds, those that are looked at are lower */

struct attributes {
	const struct nlattr *at[ATTRIBUTES];
};

static int
collect(const struct nlattr *a, void *arg)
{
	struct attributes *t = arg;
	if (mnl_attr_get_type(a) < ATTRIBUTES)
		t->at[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static const char *
text_of(const struct nlattr *a, int family, char text[INET6_ADDRSTRLEN])
{
	const size_t len = family == AF_INET ? 4 : 16;
	return a != NULL && mnl_attr_get_payload_len(a) == len ? inet_ntop(family, mnl_attr_get_payload(a), text, INET6_ADDRSTRLEN) : NULL;
}

static uint32_t
u32_of(const struct nlattr *a)
{
	return a != NULL && mnl_attr_get_payload_len(a) == sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

/* An address that ends some time was told by somebody; one that an operator has set does not end. */
static void
address(struct underlay *u, const struct nlmsghdr *n, const struct ifaddrmsg *m)
{
	struct attributes t = {{0}};
	char text[INET6_ADDRSTRLEN];
	if (m->ifa_index != u->index || m->ifa_scope != RT_SCOPE_UNIVERSE || (m->ifa_family != AF_INET && m->ifa_family != AF_INET6) ||
		mnl_attr_parse(n, sizeof(*m), collect, &t) < 0)
		return;
	const uint32_t flags = t.at[IFA_FLAGS] != NULL ? u32_of(t.at[IFA_FLAGS]) : m->ifa_flags;
	const struct nlattr *a = m->ifa_family == AF_INET ? t.at[IFA_LOCAL] : t.at[IFA_ADDRESS];
	if ((flags & IFA_F_PERMANENT) != 0 || text_of(a, m->ifa_family, text) == NULL)
		return;
	*(m->ifa_family == AF_INET ? &u->dhcp : &u->ra) = true;
	if (u->address[0] == '\0')
		snprintf(u->address, sizeof(u->address), "%s/%u", text, m->ifa_prefixlen);
}

static void
route(struct underlay *u, const struct nlmsghdr *n, const struct rtmsg *m)
{
	struct attributes t = {{0}};
	if ((m->rtm_protocol != RTPROT_DHCP && m->rtm_protocol != RTPROT_RA) || mnl_attr_parse(n, sizeof(*m), collect, &t) < 0 ||
		u32_of(t.at[RTA_OIF]) != u->index)
		return;
	*(m->rtm_protocol == RTPROT_DHCP ? &u->dhcp : &u->ra) = true;
	if (m->rtm_dst_len == 0 && u->gateway[0] == '\0')
		text_of(t.at[RTA_GATEWAY], m->rtm_family, u->gateway);
}

void
underlay_message(struct underlay *u, const void *message, size_t len)
{
	const struct nlmsghdr *n = message;
	if (len < sizeof(*n) || n->nlmsg_len > len || n->nlmsg_len % MNL_ALIGNTO != 0)
		return;
	if (n->nlmsg_type == RTM_NEWADDR && n->nlmsg_len >= MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct ifaddrmsg)))
		address(u, n, mnl_nlmsg_get_payload(n));
	else if (n->nlmsg_type == RTM_NEWROUTE && n->nlmsg_len >= MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct rtmsg)))
		route(u, n, mnl_nlmsg_get_payload(n));
}

static int
heard(const struct nlmsghdr *n, void *arg)
{
	underlay_message(arg, n, n->nlmsg_len);
	return MNL_CB_OK;
}

/* Asks for all of a kind, and listens until the kernel has said all. */
static void
dump(struct mnl_socket *s, uint16_t type, struct underlay *u)
{
	char buffer[32768];
	struct nlmsghdr *n = mnl_nlmsg_put_header(buffer);
	n->nlmsg_type = type;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	n->nlmsg_seq = type;
	mnl_nlmsg_put_extra_header(n, type == RTM_GETADDR ? sizeof(struct ifaddrmsg) : sizeof(struct rtmsg));
	ssize_t got = mnl_socket_sendto(s, n, n->nlmsg_len);
	while (got > 0 && (got = mnl_socket_recvfrom(s, buffer, sizeof(buffer))) > 0)
		if (mnl_cb_run(buffer, (size_t)got, type, mnl_socket_get_portid(s), heard, u) <= MNL_CB_STOP)
			break;
}

bool
underlay_of(const char *iface, struct underlay *out)
{
	*out = (struct underlay){.index = if_nametoindex(iface)};
	struct mnl_socket *s = out->index != 0 ? mnl_socket_open(NETLINK_ROUTE) : NULL;
	if (s == NULL)
		return false;
	if (mnl_socket_bind(s, 0, MNL_SOCKET_AUTOPID) == 0) {
		dump(s, RTM_GETADDR, out);
		dump(s, RTM_GETROUTE, out);
	}
	mnl_socket_close(s);
	return out->dhcp || out->ra;
}
