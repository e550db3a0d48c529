/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Filters for traces, and copies of packets at one in gate. Both cost nothing while off: the runner looks at one flag per
 * burst, which tracing has anyway. Filters are interpreted by libpcap's bpf_filter(), which neither allocates nor fails.
 */
#include "../runtime/rcu.h"
#include "private.h"

#include <errno.h>
#include <pcap/bpf.h>
#include <stdlib.h>
#include <time.h>

#define CAPTURE_RING 1024
#define PROGRAM_MAX 4096 /* instructions */

struct program {
	unsigned n;
	struct bpf_insn insn[];
};

struct capture {
	uint16_t slot, gate;
	uint64_t wall; /* ns since 1970 when the threads' clock was 0 */
	struct program *filter;
};

int
program_new(struct filter f, struct program **out)
{
	*out = NULL;
	if (!f.n)
		return 0;
	if (f.n > PROGRAM_MAX || !bpf_validate(f.insn, (int)f.n))
		return -EINVAL;
	struct program *p = malloc(sizeof(*p) + f.n * sizeof(*f.insn));
	if (!p)
		return -ENOMEM;
	p->n = f.n;
	memcpy(p->insn, f.insn, f.n * sizeof(*f.insn));
	*out = p;
	return 0;
}

void
program_free(void *program)
{
	free(program);
}

static bool
matches(const struct program *p, const struct rte_mbuf *m)
{
	return !p || bpf_filter(p->insn, rte_pktmbuf_mtod(m, const u_char *), rte_pktmbuf_pkt_len(m), rte_pktmbuf_data_len(m));
}

/* Worker or service loop, like the next one. */
bool
trace_match(struct graph_thread *t, const struct rte_mbuf *m)
{
	return matches(__atomic_load_n(&thread_engine(t)->trace_filter, __ATOMIC_ACQUIRE), m);
}

/* With a filter a packet may match only later than where it entered, as what was in a tunnel does: it is followed from there. */
static void
follow(struct graph_thread *t, const struct graph_node *node, const struct program *filter, struct rte_mbuf *const *pkts, uint16_t n)
{
	const struct tr_instance *i = node->pub.instance;
	enum tr_gate_type type = i->class_->in[node->pub.gate].type;
	if ((type != TR_TYPE_IP && type != TR_TYPE_UDP) || (t->trace_at && t->trace_at != i))
		return;
	for (uint16_t k = 0; k < n && t->trace_left; k++)
		if (!tr_meta(pkts[k])->trace && matches(filter, pkts[k]) && (tr_meta(pkts[k])->trace = trace_id(t)) != 0)
			t->trace_left--;
}

void
capture_packets(struct graph_thread *t, const struct graph_node *node, struct rte_mbuf *const *pkts, uint16_t n)
{
	struct engine *e = thread_engine(t);
	struct thread *own = (struct thread *)t;
	const struct capture *c = __atomic_load_n(&e->capture, __ATOMIC_ACQUIRE);
	struct captured copy;
	const struct program *filter = __atomic_load_n(&e->trace_filter, __ATOMIC_ACQUIRE);
	if (filter && t->trace_left)
		follow(t, node, filter, pkts, n);
	if (!c || node->slot != c->slot || node->pub.gate != c->gate)
		return;
	copy.at = c->wall + t->now;
	for (uint16_t i = 0; i < n; i++) {
		if (!matches(c->filter, pkts[i]))
			continue;
		copy.len = pkts[i]->data_len;
		copy.captured = RTE_MIN(copy.len, (uint32_t)CAPTURE_BYTES);
		copy.endpoint = tr_meta(pkts[i])->endpoint;
		memcpy(copy.data, rte_pktmbuf_mtod(pkts[i], void *), copy.captured);
		if (ring_put(own->captures, &copy, sizeof(copy)) != 0)
			own->captures_lost++;
	}
}

static void
free_capture(void *capture)
{
	free(((struct capture *)capture)->filter);
	free(capture);
}

static int
find_gate(const struct tr_class *k, const char *gate)
{
	for (int g = 0; k->in && k->in[g].name; g++)
		if (gate ? strcmp(k->in[g].name, gate) == 0 : !(k->in[g].flags & TR_GATE_INTERNAL))
			return g;
	return -1;
}

/* Made by the first capture, kept for the others. */
static bool
make_rings(struct engine *e)
{
	for (unsigned t = 0; t < e->threads; t++) {
		struct thread *own = engine_thread(e, t);
		if (!own->captures && !(own->captures = ring_new(sizeof(struct captured), CAPTURE_RING, RING_F_SP_ENQ | RING_F_SC_DEQ)))
			return false;
	}
	return true;
}

int
engine_capture_start(struct engine *e, const char *instance, const char *gate, struct filter f, enum tr_gate_type *type)
{
	const struct tr_instance *i = engine_instance(e, instance);
	int g = i ? find_gate(i->class_, gate) : -1;
	if (g < 0)
		return -ENOENT;
	if (e->capture)
		return -EBUSY;
	*type = i->class_->in[g].type;
	if (f.n && *type == TR_TYPE_ENDPOINT)
		return -EINVAL;
	struct capture *c = calloc(1, sizeof(*c));
	struct timespec wall;
	int rc = !c || !make_rings(e) ? -ENOMEM : program_new(f, &c->filter);
	if (rc != 0) {
		free(c);
		return rc;
	}
	c->slot = i->slot->id;
	c->gate = (uint16_t)g;
	clock_gettime(CLOCK_REALTIME, &wall);
	c->wall = (uint64_t)wall.tv_sec * 1000000000u + (uint64_t)wall.tv_nsec - clock_ns();
	engine_capture_take(e, NULL, NULL, e->threads * CAPTURE_RING); /* what an earlier one left */
	e->captures_lost += engine_capture_lost(e);
	__atomic_store_n(&e->capture, c, __ATOMIC_RELEASE);
	trace_flag(e);
	return 0;
}

unsigned
engine_capture_take(struct engine *e, void (*fn)(void *arg, const struct captured *c), void *arg, unsigned max)
{
	struct captured c;
	unsigned n = 0;
	for (unsigned t = 0; t < e->threads; t++) {
		struct thread *own = engine_thread(e, t);
		while (own->captures && n < max && ring_take(own->captures, &c, sizeof(c), 1) == 1) {
			n++;
			if (fn)
				fn(arg, &c);
		}
	}
	return n;
}

uint64_t
engine_capture_lost(struct engine *e)
{
	uint64_t lost = 0;
	for (unsigned t = 0; t < e->threads; t++)
		lost += __atomic_load_n(&engine_thread(e, t)->captures_lost, __ATOMIC_RELAXED);
	return lost - e->captures_lost;
}

void
engine_capture_stop(struct engine *e)
{
	struct capture *c = __atomic_exchange_n(&e->capture, NULL, __ATOMIC_ACQ_REL);
	if (!c)
		return;
	rcu_defer(free_capture, c);
	trace_flag(e);
}

void
capture_free(struct engine *e)
{
	if (e->capture)
		free_capture(e->capture);
	free(e->trace_filter);
	for (unsigned t = 0; t < e->threads; t++)
		ring_free(engine_thread(e, t)->captures);
}
