/* SPDX-License-Identifier: BSD-3-Clause */
#include "net/route_learn.h"

#include "config/config.h"
#include "port/port.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK 32768      /* what one read gives: some 400 routes, half a millisecond's work */
#define QUEUE (4 << 20)  /* of messages that wait for us; when it overflows all is read anew */
#define PATIENCE_MS 2000 /* for the kernel's answer at start */

/* What was learned, by prefix. */
struct learned {
	struct tr_prefix prefix;
	uint32_t seen; /* the reading that said so last */
};

struct route_learn {
	struct route *route;
	struct mnl_socket *socket;
	struct tr_watch *watch;
	uint64_t protocols[4];
	uint32_t table;
	uint32_t reading; /* counts; what a whole one has not met is gone */
	uint32_t count;
	bool under_way, again; /* a reading; it has to be followed by another */
	void *tree;            /* of struct learned */
	struct learned **stale;
	uint32_t n_stale;
	char buffer[CHUNK];
};

static const struct {
	const char *name;
	uint8_t number;
} names[] = {{"boot", RTPROT_BOOT}, {"static", RTPROT_STATIC}, {"zebra", RTPROT_ZEBRA}, {"bird", RTPROT_BIRD},
        {"babel", RTPROT_BABEL}, {"bgp", RTPROT_BGP}, {"isis", RTPROT_ISIS}, {"ospf", RTPROT_OSPF}, {"rip", RTPROT_RIP},
        {"eigrp", RTPROT_EIGRP}};

bool
route_learn_protocols(const struct tr_list *list, uint64_t set[4], char *why, size_t size)
{
	const char *const *text = list->items;
	memset(set, 0, 4 * sizeof(*set));
	for (uint32_t i = 0; i < list->n; i++) {
		char *end;
		unsigned long number = strtoul(text[i], &end, 10);
		if (end == text[i] || *end != '\0' || text[i][0] == '-')
			number = 256;
		for (size_t k = 0; k < sizeof(names) / sizeof(*names); k++)
			if (strcmp(names[k].name, text[i]) == 0)
				number = names[k].number;
		if (number > 255) {
			snprintf(why, size,
			        "`learn`: expected a routing protocol as the kernel calls it (`bird`, `bgp`, `ospf`, "
			        "`static`, … or a number), not `%.40s`",
			        text[i]);
			return false;
		}
		set[number / 64] |= UINT64_C(1) << number % 64;
	}
	return true;
}

/* ---- Messages ---- */

struct attributes {
	const struct nlattr *at[RTA_MAX + 1];
};

static int
collect(const struct nlattr *a, void *arg)
{
	struct attributes *t = arg;
	if (mnl_attr_type_valid(a, RTA_MAX) > 0)
		t->at[mnl_attr_get_type(a)] = a;
	return MNL_CB_OK;
}

static bool
take_address(const struct nlattr *a, uint8_t family, struct tr_addr *out)
{
	const uint16_t len = family == 4 ? 4 : 16;
	if (a == NULL || mnl_attr_get_payload_len(a) < len)
		return false;
	*out = (struct tr_addr){.family = family};
	memcpy(out->ip, mnl_attr_get_payload(a), len);
	return true;
}

static uint32_t
take_u32(const struct nlattr *a)
{
	return a != NULL && mnl_attr_get_payload_len(a) >= sizeof(uint32_t) ? mnl_attr_get_u32(a) : 0;
}

/* Of several next hops the first: a table of ours has one for each prefix. */
static void
take_first(const struct nlattr *multipath, struct attributes *t, uint32_t *device)
{
	const struct rtnexthop *h = mnl_attr_get_payload(multipath);
	const size_t len = mnl_attr_get_payload_len(multipath);
	if (len < sizeof(*h) || h->rtnh_len < sizeof(*h) || h->rtnh_len > len)
		return;
	*device = (uint32_t)h->rtnh_ifindex;
	mnl_attr_parse_payload(h + 1, h->rtnh_len - sizeof(*h), collect, t);
}

bool
route_learn_parse(const void *message, size_t len, struct kernel_route *out)
{
	const struct nlmsghdr *n = message;
	struct attributes t = {{0}};
	if (len < sizeof(*n) || n->nlmsg_len > len || n->nlmsg_len % MNL_ALIGNTO != 0 ||
	        n->nlmsg_len < MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct rtmsg)) ||
	        (n->nlmsg_type != RTM_NEWROUTE && n->nlmsg_type != RTM_DELROUTE))
		return false;
	const struct rtmsg *r = mnl_nlmsg_get_payload(n);
	const uint8_t family = r->rtm_family == AF_INET ? 4 : r->rtm_family == AF_INET6 ? 6 : 0;
	if (family == 0 || r->rtm_type != RTN_UNICAST || (r->rtm_flags & RTM_F_CLONED) != 0 ||
	        r->rtm_dst_len > (family == 4 ? 32 : 128) || mnl_attr_parse(n, sizeof(*r), collect, &t) < 0)
		return false;
	*out = (struct kernel_route){.prefix = {{.family = family}, r->rtm_dst_len},
	        .protocol = r->rtm_protocol,
	        .table = r->rtm_table,
	        .gone = n->nlmsg_type == RTM_DELROUTE,
	        .device = take_u32(t.at[RTA_OIF])};
	if (t.at[RTA_TABLE] != NULL)
		out->table = take_u32(t.at[RTA_TABLE]);
	if (r->rtm_dst_len > 0 && !take_address(t.at[RTA_DST], family, &out->prefix.addr))
		return false;
	if (t.at[RTA_MULTIPATH] != NULL)
		take_first(t.at[RTA_MULTIPATH], &t, &out->device);
	return take_address(t.at[RTA_GATEWAY], family, &out->gateway);
}

/* ---- The table ---- */

static int
compare(const void *a, const void *b)
{
	const struct learned *x = a, *y = b;
	int c = x->prefix.addr.family - y->prefix.addr.family;
	if (c == 0)
		c = memcmp(x->prefix.addr.ip, y->prefix.addr.ip, sizeof(x->prefix.addr.ip));
	return c != 0 ? c : x->prefix.len - y->prefix.len;
}

static void
forget(struct route_learn *l, const struct tr_prefix *p)
{
	const struct learned key = {.prefix = *p};
	struct learned **found = tfind(&key, &l->tree, compare);
	if (found == NULL)
		return;
	struct learned *e = *found;
	tdelete(&key, &l->tree, compare);
	free(e);
	l->count--;
	route_table_del(l->route->table, p);
}

/* Where the pipeline's routes lead the daemon's gateway; false: nowhere. */
static bool
resolve(const struct route_learn *l, const struct tr_addr *gateway, uint32_t *gate, struct tr_addr *via)
{
	bool local, added;
	const struct next_hop *hop = route_table_find(l->route->table, gateway, &local, &added);
	if (hop == NULL || added)
		return false;
	*gate = hop->gate;
	*via = hop->via.family != 0 ? hop->via : *gateway;
	return true;
}

static void
learn(struct route_learn *l, const struct kernel_route *k)
{
	const struct learned key = {.prefix = k->prefix};
	struct tr_addr via;
	uint32_t gate;
	struct learned **found = tfind(&key, &l->tree, compare);
	if (!resolve(l, &k->gateway, &gate, &via) || route_table_add(l->route->table, &k->prefix, gate, &via) != 0) {
		forget(l, &k->prefix);
		return;
	}
	struct learned *e = found != NULL ? *found : calloc(1, sizeof(*e));
	if (e != NULL && found == NULL) {
		e->prefix = k->prefix;
		found = tsearch(e, &l->tree, compare);
		l->count += found != NULL;
	}
	if (found != NULL) {
		e->seen = l->reading;
		return;
	}
	free(e); /* no memory to remember it by */
	route_table_del(l->route->table, &k->prefix);
}

static void
stale(const void *node, VISIT when, void *arg)
{
	struct route_learn *l = arg;
	struct learned *e = *(struct learned *const *)node;
	if ((when == postorder || when == leaf) && e->seen != l->reading)
		l->stale[l->n_stale++] = e;
}

static void
sweep(struct route_learn *l)
{
	l->stale = calloc(l->count + 1, sizeof(struct learned *));
	l->n_stale = 0;
	if (l->stale != NULL)
		twalk_r(l->tree, stale, l);
	for (uint32_t i = 0; i < l->n_stale; i++) {
		const struct tr_prefix p = l->stale[i]->prefix;
		forget(l, &p);
	}
	free(l->stale);
	l->stale = NULL;
}

static void
heard(struct route_learn *l, const struct nlmsghdr *n)
{
	struct kernel_route k;
	if (!route_learn_parse(n, n->nlmsg_len, &k) || k.table != l->table ||
	        (l->protocols[k.protocol / 64] >> k.protocol % 64 & 1) == 0)
		return;
	if (k.gone)
		forget(l, &k.prefix);
	else if (k.device != 0 && port_of_device(k.device) != NULL)
		learn(l, &k);
}

static bool
read_all(struct route_learn *l)
{
	l->again = l->under_way;
	if (l->under_way)
		return true;
	struct nlmsghdr *n = mnl_nlmsg_put_header(l->buffer);
	n->nlmsg_type = RTM_GETROUTE;
	n->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	n->nlmsg_seq = ++l->reading;
	struct rtmsg *r = mnl_nlmsg_put_extra_header(n, sizeof(*r));
	r->rtm_family = AF_UNSPEC;
	l->under_way = mnl_socket_sendto(l->socket, n, n->nlmsg_len) >= 0;
	return l->under_way;
}

/* A reading is over. What a whole one did not meet is gone. */
static void
end_reading(struct route_learn *l)
{
	l->under_way = false;
	if (l->again)
		read_all(l);
	else
		sweep(l);
}

/* One read. false: nothing is there. */
static bool
take(struct route_learn *l)
{
	ssize_t got = mnl_socket_recvfrom(l->socket, l->buffer, sizeof(l->buffer));
	if (got < 0) {
		if (errno == ENOBUFS) /* some were lost */
			read_all(l);
		return errno == ENOBUFS || errno == EINTR;
	}
	bool over = false;
	int left = (int)got;
	for (const struct nlmsghdr *n = (const void *)l->buffer; mnl_nlmsg_ok(n, left); n = mnl_nlmsg_next(n, &left)) {
		l->again |= l->under_way && (n->nlmsg_flags & NLM_F_DUMP_INTR) != 0; /* the table changed under it */
		if (n->nlmsg_type == NLMSG_DONE || n->nlmsg_type == NLMSG_ERROR)
			over = true;
		else
			heard(l, n);
	}
	if (over && l->under_way)
		end_reading(l);
	return true;
}

static void
readable(void *arg, int events)
{
	take(arg);
}

void
route_learn_again(struct route_learn *l)
{
	read_all(l);
}

uint32_t
route_learn_count(const struct route_learn *l)
{
	return l->count;
}

static bool
open_socket(struct route_learn *l)
{
	const int queue = QUEUE;
	const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
	l->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (l->socket == NULL)
		return false;
	const int fd = mnl_socket_get_fd(l->socket);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &queue, sizeof(queue)) != 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &queue, sizeof(queue));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	return mnl_socket_bind(l->socket, RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, MNL_SOCKET_AUTOPID) == 0;
}

struct route_learn *
route_learn_start(struct route *r, const struct tr_list *protocols, uint32_t table, char *why, size_t size)
{
	struct route_learn *l = calloc(1, sizeof(*l));
	if (l == NULL) {
		snprintf(why, size, "out of memory");
		return NULL;
	}
	l->route = r;
	l->table = table;
	bool ok = route_learn_protocols(protocols, l->protocols, why, size);
	if (ok && !(ok = open_socket(l) && read_all(l)))
		snprintf(why, size, "no rtnetlink: %s", strerror(errno));
	while (ok && l->under_way) /* an instance that takes another's place has its routes from the first packet on */
		if (!take(l))
			ok = (snprintf(why, size, "rtnetlink does not answer: %s", strerror(errno)), false);
	if (ok)
		l->watch = r->host->watch_fd(r->instance, mnl_socket_get_fd(l->socket), TR_WATCH_READ, readable, l);
	if (ok && l->watch == NULL)
		snprintf(why, size, "can't watch rtnetlink");
	if (l->watch != NULL)
		return l;
	route_learn_stop(l);
	return NULL;
}

void
route_learn_stop(struct route_learn *l)
{
	if (l->watch != NULL)
		l->route->host->watch_close(l->watch);
	if (l->socket != NULL)
		mnl_socket_close(l->socket);
	tdestroy(l->tree, free);
	free(l);
}
