/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * path: carries a transport's payload to its endpoint. Gate `udp` wraps it into UDP and IP here; other kinds of endpoint
 * (a DERP region, a peer relay) are gates of their own, chosen by the endpoint. What goes to a direct endpoint that is not
 * trusted also goes, as a copy, by the peer's relay.
 *
 * The source address may be unspecified: then the interface that sends fills in its own and corrects the checksum.
 */
#include "engine.h"
#include "net/classes.h"
#include "net/interface.h"
#include "net/ip.h"
#include "netmap/store.h"

#include <stdlib.h>

enum { PATH_UDP, PATH_DERP, PATH_RELAY }; /* out gates; others follow */
_Static_assert(PATH_DERP == (int)TR_KIND_DERP && PATH_RELAY == (int)TR_KIND_RELAY, "a kind is the number of its gate");
enum { PATH_DROP_NO_ENDPOINT, PATH_DROP_NO_GATE, PATH_DROP_TOO_BIG, PATH_DROP_NO_HEADROOM };

enum { PATH_COUNT_COPIES };

/* Of an endpoint as it lies in memory: family, gate, and whether a copy is due. What most are, is seen at once. */
enum { KIND = 0x0f | TR_ENDPOINT_TWICE << 4 | 0xff << 8, DIRECT4 = 4 | TR_KIND_UDP << 8 };

struct path {
	uint16_t gates;
	bool offload; /* the port behind gate udp computes UDP checksums */
};

struct path_worker {
	_Alignas(64) uint16_t id; /* of IPv4 headers: fragments of different datagrams must differ (RFC 6864) */
};

/* The UDP header as it lies in memory, checksum 0: none (RFC 768), or to come. */
static inline uint64_t
udp_header(const struct tr_endpoint *e, uint16_t len)
{
	_Static_assert(offsetof(struct tr_endpoint, local_port) == offsetof(struct tr_endpoint, remote_port) + 2, "swapped as one");
	return __builtin_bswap32(get_32((const uint8_t *)&e->remote_port)) | (uint64_t)swap_16(len) << 32;
}

/*
 * Both headers, put together in registers: a checksum that reads what was written a moment ago in smaller pieces waits
 * for the stores.
 */
static inline uint16_t
wrap4(struct path_worker *w, struct rte_mbuf *m, struct tr_meta *meta)
{
	const struct tr_endpoint *e = &meta->endpoint;
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, IPV4_LEN + UDP_LEN);
	if (unlikely(p == NULL))
		return TR_DROP(PATH_DROP_NO_HEADROOM);
	const uint16_t len = m->data_len;
	const uint64_t first = 0x45u | (uint64_t)meta->tos << 8 | (uint64_t)swap_16(len) << 16 |
			       (uint64_t)swap_16(w->id++) << 32 |
			       (uint64_t)(meta->flags & TR_META_WHOLE ? 0x40 : 0) << 48; /* DF */
	const uint32_t ttl_protocol = 64 | IP_UDP << 8, local = get_32(e->local), remote = get_32(e->remote);
	const uint16_t sum = csum_finish_32((uint32_t)first + (first >> 32) + ttl_protocol + (uint64_t)local + remote);
	const uint64_t udp = udp_header(e, (uint16_t)(len - IPV4_LEN));
	put_64(p, first);
	put_64(p + 8, ttl_protocol | (uint64_t)sum << 16 | (uint64_t)local << 32);
	put_64(p + 16, remote | udp << 32);
	put_32(p + 24, (uint32_t)(udp >> 32));
	meta->l3_len = IPV4_LEN;
	meta->l4 = IP_UDP;
	meta->flags = TR_META_OWN | (meta->flags & TR_META_WHOLE);
	return PATH_UDP;
}

static uint16_t
wrap6(const struct path *path, struct rte_mbuf *m, struct tr_meta *meta)
{
	const struct tr_endpoint *e = &meta->endpoint;
	uint8_t *p = (uint8_t *)rte_pktmbuf_prepend(m, IPV6_LEN + UDP_LEN), *udp = p + IPV6_LEN;
	if (p == NULL)
		return TR_DROP(PATH_DROP_NO_HEADROOM);
	uint16_t len = (uint16_t)(m->data_len - IPV6_LEN);
	ip6_header(p, meta->tos, len, IP_UDP, 64);
	memcpy(p + 8, e->local, 16);
	memcpy(p + 24, e->remote, 16);
	uint64_t header = udp_header(e, len);
	meta->l3_len = IPV6_LEN;
	meta->l4 = IP_UDP;
	meta->flags = TR_META_OWN | (meta->flags & TR_META_WHOLE);
	if (path->offload) {
		m->ol_flags |= RTE_MBUF_F_TX_UDP_CKSUM | RTE_MBUF_F_TX_IPV6;
	} else {
		/* Addresses and UDP header from registers, for the same reason; only the payload is read from the packet. */
		uint64_t sum = (header & 0xffffffff) + (header >> 32) + rte_cpu_to_be_32((uint32_t)IP_UDP << 16 | len);
		for (unsigned i = 0; i < 16; i += 8) {
			const uint64_t local = get_64(e->local + i), remote = get_64(e->remote + i);
			sum += (local & 0xffffffff) + (local >> 32) + (remote & 0xffffffff) + (remote >> 32);
		}
		const uint16_t field = csum_finish(csum_add(sum, udp + UDP_LEN, len - (uint32_t)UDP_LEN));
		header |= (uint64_t)(field == 0 ? 0xffff : field) << 48;
	}
	put_64(udp, header);
	return PATH_UDP;
}

static uint16_t
send(const struct path *path, struct path_worker *w, struct rte_mbuf *m)
{
	struct tr_meta *meta = tr_meta(m);
	const struct tr_endpoint *e = &meta->endpoint;
	if (e->family == 0)
		return TR_DROP(PATH_DROP_NO_ENDPOINT);
	if (e->gate != PATH_UDP && e->mtu != 0 && m->data_len > e->mtu) /* UDP may be split on the way */
		return TR_DROP(PATH_DROP_TOO_BIG);
	if (e->gate != PATH_UDP)
		return e->gate < path->gates ? e->gate : TR_DROP(PATH_DROP_NO_GATE);
	return e->family == 4 ? wrap4(w, m, meta) : wrap6(path, m, meta);
}

/* A copy of what goes to an endpoint that is not trusted, by the peer's relay; the receiver drops what comes second. Or the packet
 * itself, when nothing is hoped for from the endpoint any more. */
static void
send_copy(struct tr_node *node, struct rte_mbuf *m)
{
	const struct path *path = node->self;
	struct tr_meta *meta = tr_meta(m);
	struct tr_endpoint relay;
	bool alone;
	if (meta->peer == TR_NO_PEER || !path_relay(meta->peer, *node->now, &relay, &alone) || relay.gate >= path->gates)
		return;
	if (alone) {
		meta->endpoint = relay;
		return;
	}
	struct rte_mbuf *copy = node->host->packet_new(node);
	if (copy == NULL)
		return;
	struct tr_meta *own = tr_meta(copy);
	*own = (struct tr_meta){.in = TR_IN_SELF, .tos = meta->tos, .flags = TR_META_OWN, .peer = meta->peer, .time = meta->time,
		.endpoint = relay};
	void *p = rte_pktmbuf_append(copy, m->data_len);
	if (p == NULL) {
		node->host->packet_drop(node, copy, PATH_DROP_NO_HEADROOM);
		return;
	}
	memcpy(p, rte_pktmbuf_mtod(m, const void *), m->data_len);
	node->count[PATH_COUNT_COPIES]++;
	node->host->emit(node, relay.gate, &copy, 1);
}

static void
path_process(struct tr_node *node, struct rte_mbuf **pkts, uint16_t n, uint16_t *gate)
{
	engine_sent(node, pkts, n);
	for (uint16_t i = 0; i < n; i++) {
		struct tr_meta *meta = tr_meta(pkts[i]);
		if (likely((get_16((const uint8_t *)&meta->endpoint) & KIND) == DIRECT4)) {
			gate[i] = wrap4(node->local, pkts[i], meta);
			continue;
		}
		if (meta->endpoint.flags & TR_ENDPOINT_TWICE)
			send_copy(node, pkts[i]);
		gate[i] = send(node->self, node->local, pkts[i]);
	}
}

static void *
path_create(struct tr_instance *instance, const struct tr_host *host, const void *options)
{
	const struct plan_instance *me = instance->plan_instance;
	struct path *path = calloc(1, sizeof(*path));
	if (path == NULL || me->n_out > UINT8_MAX + 1) {
		host->fail(instance, path == NULL ? "out of memory" : "more than 256 gates");
		free(path);
		return NULL;
	}
	path->gates = (uint16_t)me->n_out;
	path->offload = interface_csum_offload(&instance->plan->instance[me->out[PATH_UDP].to]);
	return path;
}

static void *
path_worker_init(void *self, uint16_t worker)
{
	struct path_worker *w = aligned_alloc(64, sizeof(*w));
	if (w != NULL)
		*w = (struct path_worker){.id = (uint16_t)(worker * 0x4000)};
	return w;
}

static void
path_worker_fini(struct tr_node *node)
{
	free(node->local);
}

static void
path_destroy(void *self)
{
	free(self);
}

static const struct tr_option path_options[] = {{0}};
static const struct tr_in_gate path_in[] = {{"in", TR_TYPE_ENDPOINT, .process = path_process, .trace = trace_endpoint,
						    .doc = "a payload and the endpoint that it goes to"},
	{0}};
static const struct tr_out_gate path_out[] = {
	[PATH_UDP] = {"udp", TR_TYPE_IP, .writes = TR_META_L3, .doc = "payload in UDP over IPv4 or IPv6"},
	[PATH_DERP] = {"derp", TR_TYPE_ENDPOINT, TR_GATE_OPTIONAL, .doc = "to peers by their DERP region"},
	[PATH_RELAY] = {"relay", TR_TYPE_ENDPOINT, TR_GATE_OPTIONAL, .doc = "to peers by a peer relay"},
	{"*", TR_TYPE_ENDPOINT, TR_GATE_DYNAMIC, .doc = "another kind of endpoint"},
	{0},
};
static const struct tr_drop_reason path_drops[] = {
	[PATH_DROP_NO_ENDPOINT] = {"no_endpoint", "the packet names no endpoint"},
	[PATH_DROP_NO_GATE] = {"no_gate", "the endpoint's kind is not linked"},
	[PATH_DROP_TOO_BIG] = {"too_big", "larger than the endpoint's path carries"},
	[PATH_DROP_NO_HEADROOM] = {"no_headroom", "no room for the outer headers"},
	{0},
};
static const struct tr_counter path_counters[] = {
	[PATH_COUNT_COPIES] = {"copies", "copies sent by a relay because the direct path was not trusted"},
	{0},
};

const struct tr_class class_path = {
	.name = "path",
	.summary = "Carries payloads to endpoints: UDP over IPv4 and IPv6, or another kind's gate",
	.options = path_options,
	.in = path_in,
	.out = path_out,
	.drops = path_drops,
	.counters = path_counters,
	.create = path_create,
	.worker_init = path_worker_init,
	.worker_fini = path_worker_fini,
	.destroy = path_destroy,
};
