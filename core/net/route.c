/* SPDX-License-Identifier: BSD-3-Clause */
/* route: forwards by longest prefix, answers for its own addresses, and says why a packet could not go on. */
#include "net/route.h"

#include "config/config.h"
#include "engine.h"
#include "net/classes.h"
#include "net/fragment.h"
#include "net/icmp.h"
#include "net/options.h"
#include "net/route_learn.h"
#include "net/tcp.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <tailrace/show.h>

enum route_drop {
	ROUTE_DROP_IP = 0,
	ROUTE_DROP_UDP = ROUTE_DROP_IP + IP_FAULTS - 1,
	ROUTE_DROP_FRAGMENT = ROUTE_DROP_UDP + UDP_FAULTS - 1,
	ROUTE_DROP_NO_ROUTE = ROUTE_DROP_FRAGMENT + GATHER_REASONS,
	ROUTE_DROP_MULTICAST,
	ROUTE_DROP_TTL,
	ROUTE_DROP_TOO_BIG,
	ROUTE_DROP_ICMP_CHECKSUM,
	ROUTE_DROP_ICMP,
	ROUTE_DROP_PROTOCOL,
	ROUTE_DROP_NO_PORT,
	ROUTE_DROP_NO_SOURCE,
	ROUTE_DROP_OPTIONS,
};
enum route_count { ROUTE_ECHO, ROUTE_ERRORS, ROUTE_ERRORS_LIMITED, ROUTE_CLAMPED, ROUTE_SPLIT };

struct route_worker {
	_Alignas(64) uint64_t icmp_since;
	uint32_t datagram; /* number of the last that was split, for IPv6 */
	struct gather gather;
};

struct walk {
	struct tr_node *node;
	const struct fib *fib;
};

static uint32_t
lookup(const struct fib *fib, uint8_t version, const uint8_t *addr)
{
	uint32_t value;
	if (version == 4)
		lpm_find4(fib->lpm, &addr, 1, &value);
	else
		lpm_find6(fib->lpm, &addr, 1, &value);
	return value;
}

static void
set_via(struct tr_meta *meta, const struct next_hop *hop)
{
	meta->flags &= (uint8_t)~TR_META_VIA;
	if (hop->via.family == 0)
		return;
	meta->next_hop = hop->via;
	meta->flags |= TR_META_VIA;
}

/* Our address for a packet made here that has none yet. On a link it is for the interface to choose. */
static bool
fill_source(const struct walk *w, uint8_t *p, const struct tr_meta *meta, const struct next_hop *hop)
{
	const struct tr_addr *own = p[0] >> 4 == 4 ? &w->fib->own4 : &w->fib->own6;
	if (!hop->fills_source && own->family != 0)
		ip_set_source(p, meta->l3_len, meta->l4, own->ip);
	return hop->fills_source || own->family != 0;
}

static bool
has_source(const uint8_t *p)
{
	return p[0] >> 4 == 4 ? get_16(p + 12) != 0 || get_16(p + 14) != 0 : !ip6_is_unspecified(p + 8);
}

/* Sends an ICMP error about a packet that is being dropped, if one may be sent and somebody can get it. */
static void
report(const struct walk *w, const struct rte_mbuf *m, enum tr_icmp why, uint32_t arg)
{
	enum tr_icmp_fate fate;
	struct tr_node *node = w->node;
	const uint8_t *from = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t back = lookup(w->fib, from[0] >> 4, ip_src(from));
	static const struct next_hop kernel = {.gate = ROUTE_HOST};
	const bool to_kernel = back == ROUTE_LOCAL && ((const struct route *)node->self)->host_linked;
	if (back < ROUTE_HOP && !to_kernel)
		return;
	struct rte_mbuf *e = icmp_make(node, m, why, arg, &((struct route_worker *)node->local)->icmp_since, &fate);
	node->count[ROUTE_ERRORS_LIMITED] += fate == TR_ICMP_LIMITED;
	if (e == NULL)
		return;
	const struct next_hop *hop = to_kernel ? &kernel : &w->fib->hop[back - ROUTE_HOP];
	uint8_t *p = rte_pktmbuf_mtod(e, uint8_t *);
	if (!has_source(p) && !fill_source(w, p, tr_meta(e), hop)) {
		node->host->packet_drop(node, e, ROUTE_DROP_NO_SOURCE);
		return;
	}
	set_via(tr_meta(e), hop);
	node->count[ROUTE_ERRORS]++;
	node->host->emit(node, hop->gate, &e, 1);
}

/* A SYN: the segments that it invites come back by the route to its source, so both directions count. */
static void
clamp(const struct walk *w, uint8_t *p, const struct ip_view *v, uint16_t mtu)
{
	uint8_t *tcp = p + v->l3_len;
	uint32_t len = v->len - v->l3_len;
	if (v->tail || len < 20 || (tcp[13] & 2) == 0)
		return;
	uint32_t back = lookup(w->fib, v->version, ip_src(p));
	if (back >= ROUTE_HOP && w->fib->hop[back - ROUTE_HOP].mtu < mtu)
		mtu = w->fib->hop[back - ROUTE_HOP].mtu;
	const uint16_t headers = v->version == 4 ? IPV4_LEN + 20 : IPV6_LEN + 20;
	if (mtu > headers && tcp_clamp_mss(tcp, len, (uint16_t)(mtu - headers)))
		w->node->count[ROUTE_CLAMPED]++;
}

static inline void
count_hop(uint8_t *p, uint8_t version)
{
	if (version == 6) {
		p[7]--;
		return;
	}
	p[8]--;
	const uint32_t sum = get_16(p + 10) + 1u; /* TTL is the low byte of its word as it lies in memory (RFC 1141) */
	put_16(p + 10, (uint16_t)(sum + (sum >= 0xffff)));
}

/* Split where that is allowed: then *m is the last part. */
static uint16_t
too_big(const struct walk *w, struct rte_mbuf **m, const struct ip_view *v, const struct next_hop *hop)
{
	struct tr_node *node = w->node;
	struct route_worker *local = node->local;
	struct tr_meta *meta = tr_meta(*m);
	uint8_t *p = rte_pktmbuf_mtod(*m, uint8_t *);
	const bool own = (meta->flags & TR_META_OWN) != 0;
	if (v->version == 4 ? (p[6] & 0x40) != 0 : !own || (meta->flags & TR_META_HOST) != 0) {
		report(w, *m, TR_ICMP_TOO_BIG, hop->mtu);
		return TR_DROP(ROUTE_DROP_TOO_BIG);
	}
	if (!own)
		count_hop(p, v->version);
	else if (!has_source(p) && !fill_source(w, p, meta, hop))
		return TR_DROP(ROUTE_DROP_NO_SOURCE);
	set_via(meta, hop);
	if (!fragment_split(node, hop->gate, m, hop->mtu, ++local->datagram, ROUTE_DROP_TOO_BIG))
		return TR_DROP(ROUTE_DROP_TOO_BIG);
	node->count[ROUTE_SPLIT]++;
	return hop->gate;
}

static uint16_t
refuse_options(const struct walk *w, const struct rte_mbuf *m, const struct option_verdict *o)
{
	if (o->tell)
		report(w, m, o->why, o->at);
	return TR_DROP(ROUTE_DROP_OPTIONS);
}

static uint16_t
forward(const struct walk *w, struct rte_mbuf **slot, const struct ip_view *v, uint32_t value)
{
	struct rte_mbuf *m = *slot;
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	struct tr_meta *meta = tr_meta(m);
	if (unlikely(ip_dst_is_multicast(p)))
		return TR_DROP(ROUTE_DROP_MULTICAST);
	if (unlikely(value < ROUTE_HOP)) {
		report(w, m, TR_ICMP_NO_ROUTE, 0);
		return TR_DROP(ROUTE_DROP_NO_ROUTE);
	}
	const struct next_hop *hop = &w->fib->hop[value - ROUTE_HOP];
	bool own = (meta->flags & TR_META_OWN) != 0;
	if (unlikely(v->version == 4 && has_options(v))) {
		struct option_verdict o = options4(p);
		if (o.bad)
			return refuse_options(w, m, &o);
	}
	if (unlikely(!own && v->ttl <= 1)) {
		report(w, m, TR_ICMP_TTL, 0);
		return TR_DROP(ROUTE_DROP_TTL);
	}
	if (unlikely(v->len > hop->mtu))
		return too_big(w, slot, v, hop);
	if (!own)
		count_hop(p, v->version);
	else if (!has_source(p) && !fill_source(w, p, meta, hop))
		return TR_DROP(ROUTE_DROP_NO_SOURCE);
	if (v->l4 == IP_TCP && w->fib->clamp_mss)
		clamp(w, p, v, hop->mtu);
	set_via(meta, hop);
	return hop->gate;
}

static uint16_t deliver(const struct walk *w, struct rte_mbuf **slot, const struct ip_view *v);

static uint16_t
deliver_fragment(const struct walk *w, struct rte_mbuf *m, const struct ip_view *v)
{
	struct tr_node *node = w->node;
	struct route_worker *local = node->local;
	struct rte_mbuf *whole;
	struct ip_view wv;
	uint32_t at;
	enum gather_fate fate = gather_add(node, &local->gather, m, v, ROUTE_DROP_FRAGMENT + GATHER_LOST, &whole, &at);
	if (fate == GATHER_BAD && at != 0)
		report(w, m, TR_ICMP_PARAMETER, at);
	if (fate != GATHER_WHOLE)
		return TR_DROP(ROUTE_DROP_FRAGMENT + fate);
	uint16_t verdict = TR_DROP(ROUTE_DROP_FRAGMENT + GATHER_BAD);
	if (ip_check(rte_pktmbuf_mtod(whole, const uint8_t *), whole->data_len, &wv) == IP_OK && !wv.fragment)
		verdict = deliver(w, &whole, &wv);
	if ((verdict & 0x8000u) != 0)
		node->host->packet_drop(node, whole, verdict & 0x7fffu);
	else
		node->host->emit(node, verdict, &whole, 1);
	return TR_DROP(ROUTE_DROP_FRAGMENT + GATHER_KEPT);
}

static void
tell_lost(void *walk, const struct rte_mbuf *first)
{
	report(walk, first, TR_ICMP_REASSEMBLY, 0);
}

static uint16_t
deliver_datagram(const struct walk *w, struct rte_mbuf *m, const struct ip_view *v)
{
	enum udp_fault fault = udp_accept(m, v);
	if (fault != UDP_OK)
		return TR_DROP(ROUTE_DROP_UDP + fault - 1);
	const struct route *r = w->node->self;
	if (r->udp)
		return ROUTE_UDP;
	if (r->host_linked)
		return ROUTE_HOST;
	report(w, m, TR_ICMP_PORT, 0);
	return TR_DROP(ROUTE_DROP_NO_PORT);
}

static uint16_t
deliver(const struct walk *w, struct rte_mbuf **slot, const struct ip_view *v)
{
	struct rte_mbuf *m = *slot;
	if (unlikely(v->fragment))
		return deliver_fragment(w, m, v);
	if (unlikely(has_options(v))) {
		const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
		struct option_verdict o = v->version == 4 ? options4(p) : extensions6(p, v);
		if (o.bad)
			return refuse_options(w, m, &o);
	}
	const bool host = ((const struct route *)w->node->self)->host_linked;
	if (v->l4 == IP_UDP)
		return deliver_datagram(w, m, v);
	if (v->l4 != (v->version == 4 ? IP_ICMP : IP_ICMP6)) {
		if (host)
			return ROUTE_HOST;
		report(w, m, TR_ICMP_PROTOCOL, ip_protocol_at(rte_pktmbuf_mtod(m, const uint8_t *), v));
		return TR_DROP(ROUTE_DROP_PROTOCOL);
	}
	switch (icmp_echo(m, v)) {
	case ICMP_REPLIED:
		w->node->count[ROUTE_ECHO]++;
		return forward(w, slot, v, lookup(w->fib, v->version, ip_dst(rte_pktmbuf_mtod(m, const uint8_t *))));
	case ICMP_CHECKSUM:
		return TR_DROP(ROUTE_DROP_ICMP_CHECKSUM);
	default:
		return host ? ROUTE_HOST : TR_DROP(ROUTE_DROP_ICMP);
	}
}

/* Header checks: packets come from tunnels too, whose inside nobody has looked at. 0: good. */
static uint16_t
check(struct rte_mbuf *m, struct ip_view *v)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	struct tr_meta *meta = tr_meta(m);
	enum ip_fault fault = ip_check(p, m->data_len, v);
	const bool sourceless = (meta->flags & TR_META_OWN) != 0 && m->data_len >= IPV4_LEN && !has_source(p);
	if (unlikely(fault != IP_OK && !(fault == IP_SOURCE && sourceless)))
		return IP_DROP(fault);
	if (v->version == 6) { /* these never leave their link (RFC 4291 §2.5.2, §2.5.6) */
		if ((ip6_is_unspecified(p + 8) && !sourceless) || ip6_is_link_local(p + 8))
			return IP_DROP(IP_SOURCE);
		if (ip6_is_link_local(p + 24))
			return IP_DROP(IP_DESTINATION);
	}
	ip_resize(m, v->len);
	meta->l3_len = v->l3_len;
	meta->l4 = v->l4;
	return 0;
}

static uint16_t
decide(const struct walk *w, struct rte_mbuf **slot, const struct ip_view *v, uint32_t value)
{
	return value == ROUTE_LOCAL ? deliver(w, slot, v) : forward(w, slot, v, value);
}

/* Every case, one packet at a time. */
static uint16_t
route_one(const struct walk *w, struct rte_mbuf **slot)
{
	struct rte_mbuf *m = *slot;
	struct ip_view v;
	uint16_t verdict = check(m, &v);
	if (verdict != 0)
		return verdict;
	return decide(w, slot, &v, lookup(w->fib, v.version, ip_dst(rte_pktmbuf_mtod(m, const uint8_t *))));
}

/* May it be a SYN, whose MSS is to be clamped? */
static inline bool
maybe_syn(const struct walk *w, const struct rte_mbuf *m, const uint8_t *p)
{
	return p[9] == IP_TCP && w->fib->clamp_mss && (m->data_len < IPV4_LEN + 20 || (p[IPV4_LEN + 13] & 2) != 0);
}

/* What most packets are: plain IPv4 for a next hop, with nothing to be said about it. false: it is left as it was. */
static inline bool
forward_plain4(const struct walk *w, struct rte_mbuf *m, uint32_t value, uint16_t *gate)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	struct tr_meta *meta = tr_meta(m);
	if (unlikely(value < ROUTE_HOP))
		return false;
	const struct next_hop *hop = &w->fib->hop[value - ROUTE_HOP];
	const uint16_t len = get_be16(p + 2);
	if (unlikely(p[8] <= 1 || (meta->flags & TR_META_OWN) != 0 || len > hop->mtu || maybe_syn(w, m, p)))
		return false;
	ip_resize(m, len);
	count_hop(p, 4);
	meta->l3_len = IPV4_LEN;
	meta->l4 = p[9];
	set_via(meta, hop);
	*gate = hop->gate;
	return true;
}

static void
route_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	struct route *r = node->self;
	struct route_worker *local = node->local;
	const struct walk w = {node, atomic_load_explicit(&r->fib, memory_order_acquire)};
	struct ip_view view[TR_BURST]; /* of IPv6 packets */
	const uint8_t *addr4[TR_BURST], *addr6[TR_BURST];
	uint32_t value[TR_BURST];
	uint16_t at4[TR_BURST], at6[TR_BURST], n4 = 0, n6 = 0;
	for (uint16_t i = 0; i < n; i++) {
		const uint8_t *p = rte_pktmbuf_mtod(pkts[i], const uint8_t *);
		if (likely(ip4_is_plain(p, pkts[i]->data_len))) {
			addr4[n4] = p + 16;
			at4[n4++] = i;
		} else if (pkts[i]->data_len < IPV6_LEN || p[0] >> 4 != 6) {
			gate[i] = route_one(&w, &pkts[i]);
		} else if ((gate[i] = check(pkts[i], &view[n6])) == 0) {
			addr6[n6] = p + 24;
			at6[n6++] = i;
		}
	}
	if (n4 > 0)
		lpm_find4(w.fib->lpm, addr4, n4, value);
	for (uint16_t k = 0; k < n4; k++) {
		uint16_t *verdict = &gate[at4[k]];
		if (unlikely(!forward_plain4(&w, pkts[at4[k]], value[k], verdict)))
			*verdict = route_one(&w, &pkts[at4[k]]);
	}
	if (n6 > 0)
		lpm_find6(w.fib->lpm, addr6, n6, value);
	for (uint16_t k = 0; k < n6; k++)
		gate[at6[k]] = decide(&w, &pkts[at6[k]], &view[k], value[k]);
	if (unlikely(*node->now >= local->gather.next))
		gather_expire(node, &local->gather, *node->now, ROUTE_DROP_FRAGMENT + GATHER_LOST, tell_lost, (void *)(uintptr_t)&w);
}

uint32_t route_limit = 100000;

static bool
fill_table(struct route *r, char *why, size_t size)
{
	r->table = route_table_new(route_limit, r->gate);
	struct fib *fib = r->table != NULL ? fib_new(r->table, r->options) : NULL;
	int rc = fib != NULL ? route_table_configure(r->table, r->options) : -ENOMEM;
	atomic_store_explicit(&r->fib, fib, memory_order_release);
	if (rc != 0) {
		snprintf(why, size, rc == -ENOSPC ? "more than %u routes (limits.routes of appliance.cfg)" : "out of memory for %u routes",
			rc == -ENOSPC ? route_limit : r->options->routes.n);
		return false;
	}
	return r->options->file == NULL || route_file_read(r->table, r->options->file, route_gate_by_name, r, why, size);
}

static void
route_destroy(void *self)
{
	struct route *r = self;
	for (unsigned g = 0; g < r->n_gates; g++)
		free(r->gate[g].name);
	free(atomic_load(&r->fib));
	route_table_free(r->table);
	free(r);
}

static void *
route_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct plan_instance *me = instance->plan_instance;
	struct route *r = calloc(1, sizeof(*r) + me->n_out * sizeof(r->gate[0]));
	if (r == NULL)
		return host->fail(instance, "out of memory"), NULL;
	r->instance = instance;
	r->host = host;
	r->options = options;
	r->n_gates = me->n_out;
	bool named = true;
	for (unsigned g = 0; g < me->n_out; g++) {
		const struct plan_instance *to = me->out[g].to < 0 ? NULL : &instance->plan->instance[me->out[g].to];
		uint64_t mtu = to != NULL ? plan_option_flag(to, TR_OPT_MTU) : 0;
		r->gate[g].mtu = mtu == 0 || mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
		r->gate[g].fills_source = to != NULL && to->class_ == &class_interface;
		r->gate[g].name = strdup(me->out[g].name);
		named &= r->gate[g].name != NULL;
	}
	r->udp = me->out[ROUTE_UDP].to >= 0;
	r->host_linked = me->out[ROUTE_HOST].to >= 0;
	char why[300];
	if (!named || !fill_table(r, why, sizeof(why))) {
		host->fail(instance, "%s", named ? why : "out of memory");
		route_destroy(r);
		return NULL;
	}
	return r;
}

static void
route_reconfigure(void *self, const void *options)
{
	struct route *r = self;
	struct fib *fib = fib_new(r->table, options), *old;
	r->options = options;
	if (fib == NULL || route_table_configure(r->table, options) != 0)
		r->host->log(r->instance, TR_LOG_ERROR, "out of memory, or more than %u routes: not all changes were made", route_limit);
	if (fib == NULL)
		return;
	old = atomic_exchange_explicit(&r->fib, fib, memory_order_acq_rel);
	r->host->defer(r->instance, free, old);
	if (r->learn != NULL)
		route_learn_again(r->learn);
}

static int
route_start(void *self)
{
	struct route *r = self;
	char why[200];
	if (r->options->learn.n == 0)
		return 0;
	r->learn = route_learn_start(r, &r->options->learn, (uint32_t)r->options->learn_table, why, sizeof(why));
	if (r->learn != NULL)
		return 0;
	r->host->fail(r->instance, "%s", why);
	return -EIO;
}

static void
route_stop(void *self)
{
	struct route *r = self;
	if (r->learn != NULL)
		route_learn_stop(r->learn);
	r->learn = NULL;
}

static bool
route_check(const void *options, char *text, size_t size)
{
	uint64_t set[4];
	return route_learn_protocols(&((const struct route_options *)options)->learn, set, text, size);
}

static void *
route_worker_init(void *self, uint16_t worker)
{
	struct route_worker *w = aligned_alloc(64, sizeof(*w));
	const struct route *r = self;
	if (w == NULL)
		return NULL;
	*w = (struct route_worker){0};
	gather_init(&w->gather);
	r->host->crypto->random(&w->datagram, sizeof(w->datagram));
	return w;
}

static void
route_worker_fini(struct tr_node *node)
{
	struct route_worker *w = node->local;
	gather_clear(node, &w->gather, ROUTE_DROP_FRAGMENT + GATHER_LOST);
	free(w);
}

static const struct tr_option route_options[] = {
	{"address", TR_OPT_ADDR, .change = TR_LIVE, .flags = TR_OPT_LIST, .offset = offsetof(struct route_options, address),
		.doc = "addresses of this box itself: echo is answered, UDP leaves by gate udp"},
	{"routes", TR_OPT_ROUTES, .change = TR_LIVE, .flags = 0, .offset = offsetof(struct route_options, routes),
		.doc = "where each prefix leads; the longest wins"},
	{"file", TR_OPT_STRING, .change = TR_RECREATE, .offset = offsetof(struct route_options, file),
		.doc = "more routes, read when the instance is made: lines of `PREFIX INSTANCE.GATE` or `PREFIX INSTANCE.GATE via ADDRESS`; "
		       "the gates are those that `routes` names"},
	{"table", TR_OPT_UINT, .change = TR_LIVE, .max = 255, .def = "0", .offset = offsetof(struct route_options, table),
		.doc = "number of this routing table, as shown in status"},
	{"clamp_mss", TR_OPT_BOOL, .change = TR_LIVE, .def = "true", .offset = offsetof(struct route_options, clamp_mss),
		.doc = "lower the MSS of TCP SYNs to what both directions' MTU allows"},
	{"learn", TR_OPT_STRING, .change = TR_RECREATE, .flags = TR_OPT_LIST, .max = 16, .offset = offsetof(struct route_options, learn),
		.doc = "takes in routes that a routing daemon gives the kernel on a host port's device: protocols as the kernel calls them, "
		       "such as `bird`, `bgp` (FRR) or a number; the next hop is found by the routes of this instance"},
	{"learn_table", TR_OPT_UINT, .change = TR_RECREATE, .min = 1, .max = UINT32_MAX, .def = "254",
		.offset = offsetof(struct route_options, learn_table), .doc = "the kernel's table that is learned from"},
	{0},
};
static const struct tr_in_gate route_in[] = {
	{"in", TR_TYPE_IP, .process = route_process, .trace = trace_ip, .doc = "packets to forward"}, {0}};
static const struct tr_out_gate route_out[] = {
	[ROUTE_UDP] = {"udp", TR_TYPE_UDP, TR_GATE_OPTIONAL, TR_META_L3 | TR_META_ENDPOINT, "datagrams for its own addresses"},
	[ROUTE_HOST] = {"host", TR_TYPE_IP, TR_GATE_OPTIONAL, TR_META_L3,
		"what else is for its own addresses, and datagrams without gate udp: for the kernel of this box (class host)"},
	{"*", TR_TYPE_IP, TR_GATE_DYNAMIC, TR_META_L3 | TR_META_NEXT_HOP, "where a route leads"},
	{0},
};
static const struct tr_drop_reason route_drops[] = {
	IP_FAULT_REASONS,
	UDP_FAULT_REASONS,
	GATHER_REASON_TEXTS,
	{"no_route", "no route to the destination"},
	{"multicast", "multicast and broadcast are not forwarded"},
	{"ttl", "TTL or hop limit used up"},
	{"too_big", "larger than the next hop's MTU, and not to be split; the sender is told"},
	{"icmp_checksum", "ICMP checksum wrong"},
	{"icmp", "ICMP message for this box that it does not answer"},
	{"protocol", "for this box, but neither UDP nor ICMP, and gate host leads nowhere"},
	{"no_port", "a datagram for its own addresses, and the gates udp and host lead nowhere"},
	{"no_source", "made here, and no address of this family to send it from"},
	{"options", "source route, or malformed IPv4 options; IPv6 options or routing header that this box does not take"},
	{0},
};
static const struct tr_counter route_counters[] = {
	[ROUTE_ECHO] = {"echo", "echo requests answered"},
	[ROUTE_ERRORS] = {"errors", "ICMP errors sent"},
	[ROUTE_ERRORS_LIMITED] = {"errors_limited", "ICMP errors not sent, because there were too many"},
	[ROUTE_CLAMPED] = {"clamped", "SYNs whose MSS was lowered"},
	[ROUTE_SPLIT] = {"split", "packets that were split into fragments"},
	{0},
};

_Static_assert(sizeof(route_drops) / sizeof(*route_drops) == ROUTE_DROP_OPTIONS + 2, "one text per reason");

const struct tr_class class_route = {
	.name = "route",
	.summary = "Forwards IPv4 and IPv6 by longest prefix",
	.options = route_options,
	.options_size = sizeof(struct route_options),
	.in = route_in,
	.out = route_out,
	.drops = route_drops,
	.counters = route_counters,
	.commands = route_commands,
	.create = route_create,
	.worker_init = route_worker_init,
	.start = route_start,
	.reconfigure = route_reconfigure,
	.stop = route_stop,
	.worker_fini = route_worker_fini,
	.destroy = route_destroy,
	.check = route_check,
	.show = route_show,
};
