/* SPDX-License-Identifier: BSD-3-Clause */
#include "trial.h"

#include "box_port.h"
#include "measure.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#define IDLE_TURNS 1000 /* the gateway found nothing to do so often: all that will has come out */
#define LATE_NS 200000   /* a generator that was kept from running does not make up for more than this at once */

struct generator {
	const struct trial *t;
	double rate;
	struct trial_result r;
	uint32_t next; /* number of a packet */
	bool out[BOX_PACKETS]; /* offered, and not seen again */
	int offered;   /* all is; written by the generator, read by the gateway */
	int drained;   /* the other way round */
};

/* How often this thread had to make room for another. */
static long
interrupted(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) == 0 ? u.ru_nivcsw : 0;
}

static uint32_t
take(struct generator *g)
{
	struct rte_mbuf *pkts[64];
	uint32_t total = 0;

	for (int port = 0; port < BOX_PORTS; port++) {
		const uint32_t n = box_take(port, pkts, 64);
		for (uint32_t i = 0; i < n; i++) {
			if (!box_mine(pkts[i])) {
				rte_pktmbuf_free(pkts[i]);
				continue;
			}
			g->out[box_number(pkts[i])] = false;
			total++;
		}
	}
	return total;
}

/* A burst of packets that are not under way. What a ring has no room for is offered all the same, and lost. */
static void
offer(struct generator *g)
{
	struct rte_mbuf *pkts[BOX_BURST];
	uint32_t number[BOX_BURST], n = 0;

	for (unsigned tries = 0; n < BOX_BURST && tries < BOX_PACKETS; tries++, g->next = (g->next + 1) % BOX_PACKETS)
		if (!g->out[g->next] || box_free(g->next))
			number[n++] = g->next;
	load_burst(g->t->load, number, n, pkts, NULL);
	const uint32_t sent = box_offer(g->t->load->scenario->in, pkts, n);
	for (uint32_t i = 0; i < n; i++)
		g->out[number[i]] = i < sent;
	g->r.offered += n;
}

static void *
generate(void *arg)
{
	struct generator *g = arg;
	const double hz = measure_ghz() * 1e9, step = g->rate > 0 ? BOX_BURST / g->rate * hz : 0;
	const uint64_t begin = bench_clock(), end = begin + (uint64_t)(g->t->seconds * hz);
	const double late = LATE_NS * hz / 1e9;
	const long before = interrupted();
	double next = (double)begin;
	uint64_t now = begin;

	for (; now < end; now = bench_clock()) {
		g->r.received += take(g);
		if ((double)now < next)
			continue;
		offer(g);
		next += step;
		if ((double)now - next > late)
			next = (double)now;
	}
	g->r.seconds = (double)(now - begin) / hz;
	__atomic_store_n(&g->offered, 1, __ATOMIC_RELEASE);
	bool drained;
	uint32_t n;
	do {
		drained = __atomic_load_n(&g->drained, __ATOMIC_ACQUIRE);
		n = take(g);
		g->r.received += n;
	} while (n > 0 || !drained);
	g->r.disturbed = interrupted() != before;
	return NULL;
}

struct trial_result
trial_run(const struct trial *t, double rate)
{
	static struct generator g;
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;
	unsigned idle = 0;

	measure_ghz();
	g = (struct generator){.t = t, .rate = rate};
	box_settle(); /* neighbours that want to be asked again are */
	box_rings(true);
	CPU_ZERO(&set);
	CPU_SET(t->cpu, &set);
	pthread_attr_init(&attr);
	pthread_attr_setaffinity_np(&attr, sizeof(set), &set);
	if (pthread_create(&thread, &attr, generate, &g) != 0)
		give_up("no thread for the generator");
	pthread_attr_destroy(&attr);
	const long before = interrupted();
	while (idle < IDLE_TURNS)
		idle = box_turn() == 0 && __atomic_load_n(&g.offered, __ATOMIC_ACQUIRE) ? idle + 1 : 0;
	__atomic_store_n(&g.drained, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	box_rings(false);
	g.r.disturbed |= interrupted() != before;
	return g.r;
}
