/* SPDX-License-Identifier: BSD-3-Clause */
/* struct tr_host: what plugins may ask of the core. Each function is documented in <tailrace/host.h>. */
#include "../net/icmp.h"
#include "../net/pmtu.h"
#include "../netmap/own.h"
#include "../runtime/log.h"
#include "../runtime/rcu.h"
#include "private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static struct engine *
engine_of(const struct tr_node *node)
{
	return node->instance->engine;
}

static struct worker *
worker_of(const struct tr_node *node)
{
	return &engine_of(node)->worker[node->worker];
}

static void *
aead_of(const struct tr_node *node)
{
	return node->worker == TR_NO_WORKER ? instance_service(node->instance)->aead : worker_of(node)->aead;
}

static uint64_t
wall_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- Errors and the log ---- */

static void
host_fail(struct tr_instance *i, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(i->failure, sizeof(i->failure), format, args);
	va_end(args);
}

static void
host_log(struct tr_instance *i, enum tr_log_level level, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	log_vline(level, i->name, format, args);
	va_end(args);
}

/* ---- Packets ---- */

static struct rte_mbuf *
host_packet_new(struct tr_node *node)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(engine_of(node)->pool);
	struct graph_totals *t = &graph_node(node)->graph->thread->totals;
	if (!m)
		return NULL;
	*tr_meta(m) = (struct tr_meta){.in = TR_IN_SELF, .time = *node->now};
	t->created++;
	t->held++;
	return m;
}

static void
host_packet_drop(struct tr_node *node, struct rte_mbuf *pkt, uint16_t reason)
{
	graph_node(node)->graph->thread->totals.held--;
	graph_drop(graph_node(node), &pkt, 1, reason);
}

static void
host_emit(struct tr_node *node, uint16_t gate, struct rte_mbuf *const *pkts, uint16_t n)
{
	graph_emit(graph_node(node), gate, pkts, n);
}

static enum tr_icmp_fate
host_icmp_error(struct tr_node *node, uint16_t gate, const struct rte_mbuf *pkt, enum tr_icmp why, uint32_t arg)
{
	struct graph_node *n = graph_node(node);
	if (n->edge[gate].kind == EDGE_UNLINKED)
		return TR_ICMP_NOT_DUE;
	return icmp_send(node, gate, pkt, why, arg, &n->graph->thread->icmp_since);
}

/* ---- Burst services ---- */

/* Splits a burst into runs of one address family and looks each up in the instance's allowed IPs. */
static void
find_peers(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint32_t *peer, unsigned at4, unsigned at6)
{
	const struct lpm *l = netmap_allowed(node->instance->table);
	const uint8_t *addr[TR_BURST];
	for (uint16_t i = 0; i < n;) {
		uint8_t version = *rte_pktmbuf_mtod(pkts[i], uint8_t *) >> 4;
		uint16_t m = 0;
		while (i + m < n && m < TR_BURST) {
			const uint8_t *ip = rte_pktmbuf_mtod(pkts[i + m], uint8_t *);
			if (*ip >> 4 != version)
				break;
			addr[m++] = ip + (version == 4 ? at4 : at6);
		}
		if (version == 4)
			lpm_find4(l, addr, m, peer + i);
		else
			lpm_find6(l, addr, m, peer + i);
		i += m;
	}
}

static void
host_peers_by_destination(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint32_t *peer)
{
	find_peers(node, pkts, n, peer, 16, 24);
}

static void
host_peers_by_source(struct tr_node *node, struct rte_mbuf *const *pkts, uint16_t n, uint32_t *peer)
{
	find_peers(node, pkts, n, peer, 12, 8);
}

static void
host_indexes(struct tr_node *node, const uint32_t *index, uint16_t n, uint64_t *value)
{
	index_table_find(node->instance->slot->indexes, index, n, value);
}

static void
host_paths(struct tr_node *node, const uint32_t *peer, uint16_t n, struct tr_endpoint *out)
{
	path_get(peer, n, *node->now, out);
	if (likely(out == NULL || atomic_load_explicit(&pmtu_known, memory_order_relaxed) == 0))
		return;
	for (uint16_t i = 0; i < n; i++) {
		if (out[i].family == 0 || out[i].gate != TR_KIND_UDP)
			continue;
		struct tr_addr to = {.family = out[i].family};
		memcpy(to.ip, out[i].remote, sizeof(to.ip));
		uint16_t mtu = pmtu_look_up(&to, *node->now);
		if (mtu == 0)
			continue;
		mtu = (uint16_t)(mtu - (out[i].family == 4 ? IPV4_LEN : IPV6_LEN) - UDP_LEN);
		if (out[i].mtu == 0 || mtu < out[i].mtu)
			out[i].mtu = mtu;
	}
}

static void
host_aead_seal(struct tr_node *node, struct tr_aead *p, uint16_t n)
{
	engine_of(node)->aead->seal(aead_of(node), p, n);
}

static void
host_aead_open(struct tr_node *node, struct tr_aead *p, uint16_t n)
{
	engine_of(node)->aead->open(aead_of(node), p, n);
}

/* ---- Peers ---- */

static const struct tr_peer *
host_peer(struct tr_instance *i, uint32_t id)
{
	return i->table ? netmap_peer(i->table, id) : NULL;
}

static uint32_t
host_peer_by_key(struct tr_instance *i, const uint8_t public_key[32])
{
	return i->table ? netmap_by_key(i->table, public_key) : TR_NO_PEER;
}

static void
host_path_learn(struct tr_node *node, uint32_t peer, const struct tr_endpoint *from)
{
	path_heard(peer, from, *node->now);
}

static void
host_path_session(struct tr_node *node, uint32_t peer)
{
	path_session(peer, wall_ns(), *node->now);
}

static void
host_path_tell(struct tr_node *node, uint32_t peer, const struct tr_path *news)
{
	if (path_tell(peer, news, *node->now))
		engine_stir(engine_of(node));
}

static int
host_path_post(struct tr_instance *i, uint32_t peer, const struct tr_path *news)
{
	struct tr_path *copy = malloc(sizeof(*copy));
	struct inbox_entry entry = {.kind = INBOX_PATH, .peer = peer, .arg = (uintptr_t)copy};

	if (!copy)
		return -EAGAIN;
	*copy = *news;
	const int r = worker_post(&i->engine->worker[peer % i->engine->workers], &entry);
	if (r != 0)
		free(copy);
	return r;
}

static uint16_t
host_path_list(struct tr_instance *i, uint32_t peer, struct tr_path *out, uint16_t max)
{
	(void)i;
	return path_list(peer, clock_ns(), out, max);
}

static uint64_t
host_path_sent(struct tr_node *node, uint32_t peer)
{
	return engine_sent_at(engine_of(node), peer, *node->now);
}

static uint32_t
host_peer_by_disco(struct tr_instance *i, const uint8_t disco_key[32])
{
	return i->table ? netmap_by_disco(i->table, disco_key) : TR_NO_PEER;
}

static void
host_own_endpoints_tell(struct tr_instance *i, uint16_t port, const struct tr_own_endpoint *list, uint16_t n)
{
	if (n > 0 && list[0].kind == TR_OWN_SEEN) { /* own.h */
		engine_stir(i->engine);
		return;
	}
	void *old = own_tell(i, port, list, n);
	if (old)
		i->engine->host.defer(i, free, old);
}

static uint16_t
host_own_endpoints(struct tr_instance *i, uint16_t port, struct tr_own_endpoint *out, uint16_t max)
{
	(void)i;
	return own_list(port, out, max);
}

static uint32_t
host_index_new(struct tr_node *node, uint64_t value)
{
	return index_table_add(node->instance->slot->indexes, node->worker, value);
}

static void
host_index_free(struct tr_node *node, uint32_t index)
{
	index_table_del(node->instance->slot->indexes, node->worker, index);
}

/* ---- Netmap ---- */

static void
host_names_find(struct tr_node *node, struct tr_name_find *names, uint16_t n)
{
	(void)node;
	netmap_names(names, n);
}

static enum tr_name_status
host_name_reverse(struct tr_node *node, const struct tr_addr *a, const char **name, size_t *len)
{
	(void)node;
	return netmap_reverse(a, name, len);
}

static void
host_peer_each(struct tr_instance *i, void (*fn)(void *, const struct tr_peer *), void *arg)
{
	if (i->table)
		netmap_each(i->table, fn, arg);
}

static void
host_path_show(struct tr_instance *i, uint32_t peer, struct tr_endpoint *e, uint64_t *session)
{
	(void)i;
	path_read(peer, e, session);
}

static int
host_peer_set(struct tr_instance *i, const struct tr_peer_change *c)
{
	return i->table ? netmap_set(i->table, c) : -EINVAL;
}

/* A port that another instance below the same configuration already listens on. */
static bool
port_taken(struct tr_instance *i, uint64_t port)
{
	const struct plan *p = engine_plan(i->engine);
	for (unsigned k = 0; port && p && k < p->n_instances; k++)
		if (strcmp(p->instance[k].name, i->name) != 0 && plan_option_flag(&p->instance[k], TR_OPT_LISTEN) == port)
			return true;
	return false;
}

static int
host_option_set(struct tr_instance *i, const char *key, const char *value)
{
	struct engine *e = i->engine;
	const struct tr_option *o = i->class_->options;
	const struct plan *plan = engine_plan(e);
	union {
		uint64_t number;
		uint8_t room[64];
	} parsed = {0};
	char why[128];

	while (o && o->key && strcmp(o->key, key) != 0)
		o++;
	if (!o || !o->key || o->change != TR_LIVE || (o->flags & TR_OPT_LIST))
		return -EINVAL;
	if (value && !option_parse_text(i->options_plan->plan->arena, o, value, &parsed, why, sizeof(why)))
		return -EINVAL;
	if (value && (o->flags & TR_OPT_LISTEN) && port_taken(i, parsed.number))
		return -EADDRINUSE;
	explicit_bzero(&parsed, sizeof(parsed));
	int r = netmap_option_set(i->name, key, value);
	if (r != 0)
		return r;
	int32_t k = plan ? plan_find(plan, i->name) : -1;
	if (k >= 0)
		instance_reconfigure(i, e->current->plan, (unsigned)k);
	if (o->flags & (TR_OPT_LISTEN | TR_OPT_MTU))
		engine_rewire(e);
	return 0;
}

/* ---- State ---- */

static void
defer_on_control(void *fn, void *ptr)
{
	void (*call)(void *);
	memcpy(&call, &fn, sizeof(call));
	rcu_defer(call, ptr);
}

static void
host_defer(struct tr_instance *i, void (*fn)(void *), void *ptr)
{
	void *as_data;
	memcpy(&as_data, &fn, sizeof(as_data));
	if (loop_is_mine(i->engine->control))
		rcu_defer(fn, ptr);
	else
		while (loop_post(i->engine->control, defer_on_control, as_data, ptr) != 0)
			rte_pause();
}

/* ---- Time ---- */

static uint64_t
host_now(struct tr_instance *i)
{
	(void)i;
	return clock_ns();
}

static uint64_t
host_wall(struct tr_instance *i)
{
	(void)i;
	return wall_ns();
}

static void
host_timer_arm(struct tr_node *node, struct tr_timer *t, uint64_t at)
{
	wheel_arm(&node->instance->slot->wheel[node->worker], t, at);
}

static void
host_timer_cancel(struct tr_node *node, struct tr_timer *t)
{
	wheel_cancel(&node->instance->slot->wheel[node->worker], t);
}

/* ---- Work on other threads ---- */

static struct tr_job *
host_job_new(struct tr_node *node)
{
	return jobs_take(worker_of(node), node->instance);
}

static void
host_job_submit(struct tr_node *node, struct tr_job *job)
{
	jobs_submit(worker_of(node), job);
}

static uint32_t
host_job_backlog(struct tr_node *node)
{
	const struct engine *e = engine_of(node);
	uint32_t all = JOBS_MAX / e->workers;
	return (all - worker_of(node)->n_job_free) * 256 / all;
}

static int
host_post_peer(struct tr_instance *i, uint32_t peer, void (*fn)(struct tr_node *, uint32_t, uint64_t), uint64_t arg)
{
	struct inbox_entry entry = {.kind = INBOX_POST, .peer = peer, .instance = i, .fn = fn, .arg = arg};
	if (!i->live)
		return backlog_add(i->engine, &entry);
	__atomic_add_fetch(&i->activity, 1, __ATOMIC_RELEASE);
	return worker_post(&i->engine->worker[peer % i->engine->workers], &entry);
}

static int
host_post(struct tr_instance *i, enum tr_thread thread, void (*fn)(void *, void *), void *arg)
{
	bool control = thread == TR_THREAD_CONTROL;
	if (!i->live)
		return backlog_add(i->engine, &(struct inbox_entry){.kind = control ? TO_CONTROL : TO_SERVICE, .instance = i,
						      .call = fn, .arg = (uintptr_t)arg});
	__atomic_add_fetch(&i->activity, 1, __ATOMIC_RELEASE);
	return loop_post(control ? i->engine->control : instance_service(i)->loop, fn, i->self, arg);
}

/* Control's too while its loop does not run yet: instances start before it. */
static struct loop *
my_loop(struct tr_instance *i)
{
	return loop_is_mine(instance_service(i)->loop) ? instance_service(i)->loop : i->engine->control;
}

static struct tr_watch *
host_watch_fd(struct tr_instance *i, int fd, int events, void (*fn)(void *, int), void *arg)
{
	return (struct tr_watch *)loop_fd(my_loop(i), fd, events, fn, arg);
}

static void
host_watch_events(struct tr_watch *w, int events)
{
	loop_fd_events((struct loop_watch *)w, events);
}

static struct tr_watch *
host_watch_timer(struct tr_instance *i, uint64_t after_ms, uint64_t repeat_ms, void (*fn)(void *), void *arg)
{
	return (struct tr_watch *)loop_timer(my_loop(i), after_ms, repeat_ms, fn, arg);
}

static void
host_watch_close(struct tr_watch *w)
{
	loop_watch_close((struct loop_watch *)w);
}

static struct tr_node *
host_service_node(struct tr_instance *i)
{
	return instance_node(i, i->engine->workers);
}

static int
unix_socket(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const struct sockaddr *)a, sizeof(*a)) == 0 && listen(fd, 16) == 0)
		return fd;
	int r = -errno;
	close(fd);
	return r;
}

/* Somebody answers there: then the path is in use, else a leftover. */
static bool
alive(const struct sockaddr_un *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)a, sizeof(*a)) == 0;
	if (fd >= 0)
		close(fd);
	return yes;
}

static int
host_listen_unix(struct tr_instance *i, const char *path)
{
	const char *dir = i->engine->config.appliance->uapi_dir;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = path[0] == '/' ? snprintf(a.sun_path, sizeof(a.sun_path), "%s", path)
			       : snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", dir, path);
	if (n < 0 || (size_t)n >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	if (path[0] != '/' && mkdir(dir, 0755) != 0 && errno != EEXIST)
		return -errno;
	mode_t mask = umask(077);
	int fd = unix_socket(&a);
	if (fd == -EADDRINUSE && !alive(&a) && unlink(a.sun_path) == 0)
		fd = unix_socket(&a);
	umask(mask);
	return fd;
}

static const struct tr_derp_map *
host_derp_map(struct tr_instance *i)
{
	(void)i;
	return netmap_derp();
}

void
host_init(struct engine *e)
{
	e->host = (struct tr_host){
		.size = sizeof(struct tr_host),
		.workers = e->workers,
		.fail = host_fail,
		.log = host_log,
		.packet_new = host_packet_new,
		.packet_drop = host_packet_drop,
		.emit = host_emit,
		.peers_by_destination = host_peers_by_destination,
		.peers_by_source = host_peers_by_source,
		.indexes = host_indexes,
		.paths = host_paths,
		.aead_seal = host_aead_seal,
		.aead_open = host_aead_open,
		.peer = host_peer,
		.peer_by_key = host_peer_by_key,
		.path_learn = host_path_learn,
		.path_session = host_path_session,
		.index_new = host_index_new,
		.index_free = host_index_free,
		.names_find = host_names_find,
		.name_reverse = host_name_reverse,
		.peer_each = host_peer_each,
		.path_show = host_path_show,
		.peer_set = host_peer_set,
		.option_set = host_option_set,
		.blocks = blocks_get,
		.defer = host_defer,
		.now = host_now,
		.wall = host_wall,
		.timer_arm = host_timer_arm,
		.timer_cancel = host_timer_cancel,
		.job_new = host_job_new,
		.job_submit = host_job_submit,
		.job_backlog = host_job_backlog,
		.post_peer = host_post_peer,
		.post = host_post,
		.watch_fd = host_watch_fd,
		.watch_events = host_watch_events,
		.watch_timer = host_watch_timer,
		.watch_close = host_watch_close,
		.service_node = host_service_node,
		.listen_unix = host_listen_unix,
		.icmp_error = host_icmp_error,
		.path_tell = host_path_tell,
		.path_post = host_path_post,
		.path_list = host_path_list,
		.spread = spread_give,
		.path_sent = host_path_sent,
		.peer_by_disco = host_peer_by_disco,
		.own_endpoints_tell = host_own_endpoints_tell,
		.own_endpoints = host_own_endpoints,
		.derp_map = host_derp_map,
		.crypto = &core_crypto,
	};
}
