/* SPDX-License-Identifier: BSD-3-Clause */
#include "kernel.h"

#include "../config/config.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST 512

struct talk {
	struct mnl_socket *socket;
	unsigned ifindex;
	uint32_t sequence;
	char *why; /* the first failure */
	size_t size;
	char request[REQUEST];
};

/* Sends the request and awaits its answer: 0 or -errno. */
static int
ask(struct talk *t, struct nlmsghdr *n)
{
	char answer[4096]; /* an acknowledgement quotes the request */
	n->nlmsg_seq = ++t->sequence;
	n->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_sendto(t->socket, n, n->nlmsg_len) < 0)
		return -errno;
	ssize_t got = mnl_socket_recvfrom(t->socket, answer, sizeof(answer));
	if (got < 0 || mnl_cb_run(answer, (size_t)got, t->sequence, mnl_socket_get_portid(t->socket), NULL, NULL) < 0)
		return -errno;
	return 0;
}

static void
failed(struct talk *t, int error, const char *what, const char *of)
{
	if (t->why[0] == '\0')
		snprintf(t->why, t->size, "%s%s: %s", what, of, strerror(-error));
}

static void
put_address(struct nlmsghdr *n, uint16_t type, const struct tr_addr *a)
{
	mnl_attr_put(n, type, a->family == 4 ? 4 : 16, a->ip);
}

static uint8_t
family(const struct tr_addr *a)
{
	return a->family == 4 ? AF_INET : AF_INET6;
}

static struct nlmsghdr *
link_request(struct talk *t, unsigned flags)
{
	struct nlmsghdr *n = mnl_nlmsg_put_header(t->request);
	n->nlmsg_type = RTM_NEWLINK;
	struct ifinfomsg *i = mnl_nlmsg_put_extra_header(n, sizeof(*i));
	*i = (struct ifinfomsg){
	        .ifi_family = AF_UNSPEC, .ifi_index = (int)t->ifindex, .ifi_flags = flags, .ifi_change = flags};
	return n;
}

/* Up, of this MTU; without the link-local address that the kernel makes up when a device comes up: nobody could answer
 * it. Where IPv6 is off there is none anyway. */
static void
set_link(struct talk *t, uint16_t mtu)
{
	struct nlmsghdr *n = link_request(t, 0);
	struct nlattr *spec = mnl_attr_nest_start(n, IFLA_AF_SPEC), *six = mnl_attr_nest_start(n, AF_INET6);
	mnl_attr_put_u8(n, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(n, six);
	mnl_attr_nest_end(n, spec);
	ask(t, n);
	n = link_request(t, IFF_UP);
	mnl_attr_put_u32(n, IFLA_MTU, mtu);
	int r = ask(t, n);
	if (r != 0)
		failed(t, r, "can't make the device up", "");
}

enum change { ADD, KEEP, REMOVE };

static void
change_address(struct talk *t, enum change what, const struct tr_prefix *p)
{
	const bool add = what != REMOVE;
	struct nlmsghdr *n = mnl_nlmsg_put_header(t->request);
	n->nlmsg_type = add ? RTM_NEWADDR : RTM_DELADDR;
	n->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	struct ifaddrmsg *a = mnl_nlmsg_put_extra_header(n, sizeof(*a));
	*a = (struct ifaddrmsg){.ifa_family = family(&p->addr),
	        .ifa_prefixlen = p->len,
	        .ifa_flags = add ? IFA_F_NODAD : 0,
	        .ifa_index = t->ifindex};
	put_address(n, IFA_LOCAL, &p->addr);
	put_address(n, IFA_ADDRESS, &p->addr);
	int r = ask(t, n);
	char text[50];
	format_prefix(p, text);
	if (r != 0 && add && r != -EEXIST)
		failed(t, r, "address ", text);
}

/* A route that somebody else made stays as it is: the way to whoever manages this box may be one. */
static void
change_route(struct talk *t, enum change what, const struct tr_prefix *p)
{
	const bool add = what != REMOVE;
	struct nlmsghdr *n = mnl_nlmsg_put_header(t->request);
	n->nlmsg_type = add ? RTM_NEWROUTE : RTM_DELROUTE;
	n->nlmsg_flags = add ? NLM_F_CREATE | NLM_F_EXCL : 0;
	struct rtmsg *r = mnl_nlmsg_put_extra_header(n, sizeof(*r));
	*r = (struct rtmsg){.rtm_family = family(&p->addr),
	        .rtm_dst_len = p->len,
	        .rtm_table = RT_TABLE_MAIN,
	        .rtm_protocol = RTPROT_STATIC,
	        .rtm_type = RTN_UNICAST,
	        .rtm_scope = p->addr.family == 4 ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE};
	if (p->len > 0)
		put_address(n, RTA_DST, &p->addr);
	mnl_attr_put_u32(n, RTA_OIF, t->ifindex);
	int rc = ask(t, n);
	char text[50];
	format_prefix(p, text);
	if (rc == -EEXIST && what == ADD)
		snprintf(t->why, t->size, "the kernel has another route to %s, which stays", text);
	else if (rc != 0 && rc != -EEXIST && add)
		failed(t, rc, "route to ", text);
}

static bool
has(const struct tr_list *l, const struct tr_prefix *p)
{
	const struct tr_prefix *v = l->items;
	for (uint32_t i = 0; i < l->n; i++)
		if (v[i].len == p->len && tr_addr_eq(&v[i].addr, &p->addr))
			return true;
	return false;
}

/* What was and is not wanted any more. */
static void
remove_old(struct talk *t, const struct tr_list *was, const struct tr_list *now,
        void (*fn)(struct talk *, enum change, const struct tr_prefix *))
{
	const struct tr_prefix *v = was->items;
	for (uint32_t i = 0; i < was->n; i++)
		if (!has(now, &v[i]))
			fn(t, REMOVE, &v[i]);
}

/* All that is wanted: with an address the kernel may have taken others of its network away, or routes. */
static void
put_all(struct talk *t, const struct tr_list *was, const struct tr_list *now,
        void (*fn)(struct talk *, enum change, const struct tr_prefix *))
{
	const struct tr_prefix *v = now->items;
	for (uint32_t i = 0; i < now->n; i++)
		fn(t, has(was, &v[i]) ? KEEP : ADD, &v[i]);
}

static bool
begin(struct talk *t, unsigned ifindex, char *why, size_t size)
{
	*t = (struct talk){.ifindex = ifindex, .sequence = (uint32_t)time(NULL), .why = why, .size = size};
	why[0] = '\0';
	t->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (t->socket != NULL && mnl_socket_bind(t->socket, 0, MNL_SOCKET_AUTOPID) == 0)
		return true;
	snprintf(why, size, "no rtnetlink: %s", strerror(errno));
	if (t->socket != NULL)
		mnl_socket_close(t->socket);
	return false;
}

static bool
set_knob(const char *family_name, const char *device, const char *knob, const char *value)
{
	char path[128];
	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family_name, device, knob);
	FILE *f = fopen(path, "we");
	bool ok = f != NULL && fputs(value, f) >= 0;
	return f != NULL && fclose(f) == 0 && ok;
}

bool
kernel_hush(const char *device)
{
	bool ok = set_knob("ipv4", device, "rp_filter", "1");
	ok &= set_knob("ipv4", device, "arp_ignore", "8");
	return (set_knob("ipv6", device, "disable_ipv6", "1") || access("/proc/sys/net/ipv6", F_OK) != 0) && ok;
}

bool
kernel_configure(
        unsigned ifindex, const struct kernel_device *was, const struct kernel_device *now, char *why, size_t size)
{
	static const struct kernel_device nothing;
	struct talk t;
	if (was == NULL)
		was = &nothing;
	if (!begin(&t, ifindex, why, size))
		return false;
	set_link(&t, now->mtu);
	char device[IF_NAMESIZE];
	if (if_indextoname(ifindex, device) != NULL) {
		set_knob("ipv4", device, "accept_local",
		        "1"); /* errors of the gateway's have the address that both have */
		set_knob("ipv4", device, "promote_secondaries", "1"); /* an address that goes takes no other with it */
	}
	remove_old(&t, &was->routes, &now->routes, change_route);
	put_all(&t, &was->address, &now->address, change_address);
	remove_old(&t, &was->address, &now->address, change_address);
	put_all(&t, &was->address, &now->address, change_address);
	put_all(&t, &was->routes, &now->routes, change_route);
	mnl_socket_close(t.socket);
	return why[0] == '\0';
}

void
kernel_withdraw(unsigned ifindex, const struct kernel_device *was)
{
	static const struct kernel_device nothing;
	char why[200];
	struct talk t;
	if (!begin(&t, ifindex, why, sizeof(why)))
		return;
	remove_old(&t, &was->routes, &nothing.routes, change_route);
	remove_old(&t, &was->address, &nothing.address, change_address);
	mnl_socket_close(t.socket);
}
