/* SPDX-License-Identifier: BSD-3-Clause */
/* route: forwards by longest prefix, answers for its own addresses, and says why a packet could not go on. */
#include "net/route.h"

#include "engine.h"
#include "net/classes.h"
#include "net/icmp.h"
#include "net/tcp.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <tailrace/show.h>

enum { ROUTE_UDP }; /* out gates; those of the routes follow */
enum route_drop {
	ROUTE_DROP_IP = 0,
	ROUTE_DROP_UDP = ROUTE_DROP_IP + IP_FAULTS - 1,
	ROUTE_DROP_NO_ROUTE = ROUTE_DROP_UDP + UDP_FAULTS - 1,
	ROUTE_DROP_MULTICAST,
	ROUTE_DROP_TTL,
	ROUTE_DROP_TOO_BIG,
	ROUTE_DROP_NO_FRAGMENTATION,
	ROUTE_DROP_ICMP_CHECKSUM,
	ROUTE_DROP_ICMP,
	ROUTE_DROP_PROTOCOL,
};
enum route_count { ROUTE_ECHO, ROUTE_ERRORS, ROUTE_ERRORS_LIMITED, ROUTE_CLAMPED };

struct route {
	struct tr_instance *instance;
	const struct tr_host *host;
	const struct route_options *options;
	struct fib *_Atomic fib; /* written by the control thread */
	struct route_gate gate[];
};

struct route_worker {
	_Alignas(64) struct icmp_rate errors;
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

/* Sends an ICMP error about a packet that is being dropped, if one may be sent and somebody can get it. */
static void
report(const struct walk *w, const struct rte_mbuf *m, const struct ip_view *v, enum icmp_error what, uint32_t mtu)
{
	static const uint8_t unspecified[16];
	struct route_worker *local = w->node->local;
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	const struct tr_addr *own = v->version == 4 ? &w->fib->own4 : &w->fib->own6;
	if (!icmp_error_allowed(m, v))
		return;
	uint32_t back = lookup(w->fib, v->version, ip_src(p));
	if (back < ROUTE_HOP)
		return;
	const struct next_hop *hop = &w->fib->hop[back - ROUTE_HOP];
	if (own->family == 0 && !hop->fills_source)
		return;
	if (!icmp_rate_take(&local->errors, *w->node->now)) {
		w->node->count[ROUTE_ERRORS_LIMITED]++;
		return;
	}
	struct rte_mbuf *e = w->node->host->packet_new(w->node);
	if (e == NULL)
		return;
	icmp_error(e, m, v, what, mtu, own->family != 0 ? own->ip : unspecified);
	set_via(tr_meta(e), hop);
	w->node->count[ROUTE_ERRORS]++;
	w->node->host->emit(w->node, hop->gate, &e, 1);
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

static uint16_t
too_big(const struct walk *w, struct rte_mbuf *m, const struct ip_view *v, uint16_t mtu)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	if (v->version == 4 && (p[6] & 0x40) == 0)
		return TR_DROP(ROUTE_DROP_NO_FRAGMENTATION);
	report(w, m, v, ICMP_TOO_BIG, mtu);
	return TR_DROP(ROUTE_DROP_TOO_BIG);
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

static uint16_t
forward(const struct walk *w, struct rte_mbuf *m, const struct ip_view *v, uint32_t value)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
	struct tr_meta *meta = tr_meta(m);
	if (unlikely(ip_dst_is_multicast(p)))
		return TR_DROP(ROUTE_DROP_MULTICAST);
	if (unlikely(value < ROUTE_HOP))
		return TR_DROP(ROUTE_DROP_NO_ROUTE);
	const struct next_hop *hop = &w->fib->hop[value - ROUTE_HOP];
	bool own = (meta->flags & TR_META_OWN) != 0;
	if (unlikely(!own && v->ttl <= 1)) {
		report(w, m, v, ICMP_TIME_EXCEEDED, 0);
		return TR_DROP(ROUTE_DROP_TTL);
	}
	if (unlikely(v->len > hop->mtu))
		return too_big(w, m, v, hop->mtu);
	if (!own)
		count_hop(p, v->version);
	if (v->l4 == IP_TCP && w->fib->clamp_mss)
		clamp(w, p, v, hop->mtu);
	set_via(meta, hop);
	return hop->gate;
}

static uint16_t
deliver(const struct walk *w, struct rte_mbuf *m, struct ip_view *v)
{
	if (v->l4 == IP_UDP) {
		enum udp_fault fault = udp_accept(m, v);
		return fault == UDP_OK ? ROUTE_UDP : TR_DROP(ROUTE_DROP_UDP + fault - 1);
	}
	if (v->l4 != (v->version == 4 ? IP_ICMP : IP_ICMP6))
		return TR_DROP(ROUTE_DROP_PROTOCOL);
	switch (icmp_echo(m, v)) {
	case ICMP_REPLIED:
		w->node->count[ROUTE_ECHO]++;
		return forward(w, m, v, lookup(w->fib, v->version, ip_dst(rte_pktmbuf_mtod(m, const uint8_t *))));
	case ICMP_CHECKSUM:
		return TR_DROP(ROUTE_DROP_ICMP_CHECKSUM);
	default:
		return TR_DROP(ROUTE_DROP_ICMP);
	}
}

/* Header checks: packets come from tunnels too, whose inside nobody has looked at. 0: good. */
static uint16_t
check(struct rte_mbuf *m, struct ip_view *v)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
	struct tr_meta *meta = tr_meta(m);
	enum ip_fault fault = ip_check(p, m->data_len, v);
	if (unlikely(fault != IP_OK))
		return IP_DROP(fault);
	if (v->version == 6) { /* these never leave their link (RFC 4291 §2.5.2, §2.5.6) */
		if (ip6_is_unspecified(p + 8) || ip6_is_link_local(p + 8))
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
decide(const struct walk *w, struct rte_mbuf *m, struct ip_view *v, uint32_t value)
{
	return value == ROUTE_LOCAL ? deliver(w, m, v) : forward(w, m, v, value);
}

/* Every case, one packet at a time. */
static uint16_t
route_one(const struct walk *w, struct rte_mbuf *m)
{
	struct ip_view v;
	uint16_t verdict = check(m, &v);
	if (verdict != 0)
		return verdict;
	return decide(w, m, &v, lookup(w->fib, v.version, ip_dst(rte_pktmbuf_mtod(m, const uint8_t *))));
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
			gate[i] = route_one(&w, pkts[i]);
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
			*verdict = route_one(&w, pkts[at4[k]]);
	}
	if (n6 > 0)
		lpm_find6(w.fib->lpm, addr6, n6, value);
	for (uint16_t k = 0; k < n6; k++)
		gate[at6[k]] = decide(&w, pkts[at6[k]], &view[k], value[k]);
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
	for (unsigned g = 0; g < me->n_out; g++) {
		const struct plan_instance *to = me->out[g].to < 0 ? NULL : &instance->plan->instance[me->out[g].to];
		uint64_t mtu = to != NULL ? plan_option_flag(to, TR_OPT_MTU) : 0;
		r->gate[g].mtu = mtu == 0 || mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)mtu;
		r->gate[g].fills_source = to != NULL && to->class_ == &class_interface;
	}
	struct fib *fib = fib_new(options, r->gate);
	if (fib == NULL) {
		host->fail(instance, "out of memory for %u routes", r->options->routes.n);
		free(r);
		return NULL;
	}
	atomic_store_explicit(&r->fib, fib, memory_order_release);
	return r;
}

static void
route_reconfigure(void *self, const void *options)
{
	struct route *r = self;
	struct fib *fib = fib_new(options, r->gate), *old;
	r->options = options;
	if (fib == NULL) {
		r->host->log(r->instance, TR_LOG_ERROR, "out of memory: the old routes stay");
		return;
	}
	old = atomic_exchange_explicit(&r->fib, fib, memory_order_acq_rel);
	r->host->defer(r->instance, fib_free, old);
}

static void *
route_worker_init(void *self, uint16_t worker)
{
	struct route_worker *w = aligned_alloc(64, sizeof(*w));
	if (w != NULL)
		*w = (struct route_worker){0};
	return w;
}

static void
route_worker_fini(struct tr_node *node)
{
	free(node->local);
}

static void
route_destroy(void *self)
{
	struct route *r = self;
	fib_free(atomic_load(&r->fib));
	free(r);
}

static void
route_show(void *self, struct tr_show *out)
{
	struct route *r = self;
	const struct fib *fib = atomic_load_explicit(&r->fib, memory_order_acquire);
	const struct tr_addr *own = r->options->address.items;
	out->uint(out, "table", r->options->table);
	out->uint(out, "routes", r->options->routes.n);
	out->uint(out, "next_hops", fib->n_hops);
	out->uint(out, "memory", lpm_memory(fib->lpm));
	out->list(out, "addresses");
	for (uint32_t k = 0; k < r->options->address.n; k++)
		out->addr(out, NULL, &own[k]);
	out->end(out);
}

static const struct tr_option route_options[] = {
	{"address", TR_OPT_ADDR, .change = TR_LIVE, .flags = TR_OPT_LIST, .offset = offsetof(struct route_options, address),
		.doc = "addresses of this box itself: echo is answered, UDP leaves by gate udp"},
	{"routes", TR_OPT_ROUTES, .change = TR_LIVE, .flags = 0, .offset = offsetof(struct route_options, routes),
		.doc = "where each prefix leads; the longest wins"},
	{"table", TR_OPT_UINT, .change = TR_LIVE, .max = 255, .def = "0", .offset = offsetof(struct route_options, table),
		.doc = "number of this routing table, as shown in status"},
	{"clamp_mss", TR_OPT_BOOL, .change = TR_LIVE, .def = "true", .offset = offsetof(struct route_options, clamp_mss),
		.doc = "lower the MSS of TCP SYNs to what both directions' MTU allows"},
	{0},
};
static const struct tr_in_gate route_in[] = {
	{"in", TR_TYPE_IP, .process = route_process, .trace = trace_ip, .doc = "packets to forward"}, {0}};
static const struct tr_out_gate route_out[] = {
	[ROUTE_UDP] = {"udp", TR_TYPE_UDP, TR_GATE_OPTIONAL, TR_META_L3 | TR_META_ENDPOINT, "datagrams for its own addresses"},
	{"*", TR_TYPE_IP, TR_GATE_DYNAMIC, TR_META_L3 | TR_META_NEXT_HOP, "where a route leads"},
	{0},
};
static const struct tr_drop_reason route_drops[] = {
	IP_FAULT_REASONS,
	UDP_FAULT_REASONS,
	{"no_route", "no route to the destination"},
	{"multicast", "multicast and broadcast are not forwarded"},
	{"ttl", "TTL or hop limit used up"},
	{"too_big", "larger than the next hop's MTU; the sender is told"},
	{"no_fragmentation", "larger than the next hop's MTU and to be fragmented, which is not done"},
	{"icmp_checksum", "ICMP checksum wrong"},
	{"icmp", "ICMP message for this box that it does not answer"},
	{"protocol", "for this box, but neither UDP nor ICMP"},
	{0},
};
static const struct tr_counter route_counters[] = {
	[ROUTE_ECHO] = {"echo", "echo requests answered"},
	[ROUTE_ERRORS] = {"errors", "ICMP errors sent"},
	[ROUTE_ERRORS_LIMITED] = {"errors_limited", "ICMP errors not sent, because there were too many"},
	[ROUTE_CLAMPED] = {"clamped", "SYNs whose MSS was lowered"},
	{0},
};

_Static_assert(sizeof(route_drops) / sizeof(*route_drops) == ROUTE_DROP_PROTOCOL + 2, "one text per reason");

const struct tr_class class_route = {
	.name = "route",
	.summary = "Forwards IPv4 and IPv6 by longest prefix",
	.options = route_options,
	.options_size = sizeof(struct route_options),
	.in = route_in,
	.out = route_out,
	.drops = route_drops,
	.counters = route_counters,
	.create = route_create,
	.worker_init = route_worker_init,
	.reconfigure = route_reconfigure,
	.worker_fini = route_worker_fini,
	.destroy = route_destroy,
	.show = route_show,
};
