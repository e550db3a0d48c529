/* SPDX-License-Identifier: BSD-3-Clause */
#include "trial.h"

#include "box_port.h"
#include "measure.h"

#include <pthread.h>
#include <sched.h>

#define QUIET_NS 50000000 /* nothing came out for so long: all that will has */
#define LATE_NS 200000   /* a generator that was kept from running does not make up for more than this at once */

struct generator {
	const struct trial *t;
	double rate;
	struct trial_result r;
	uint32_t next; /* number of a packet */
	bool out[BOX_PACKETS]; /* offered, and not seen again */
	int done;      /* written by the generator, read by the gateway */
};

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
	for (uint64_t last = now; g->r.received < g->r.offered && (double)(now - last) < QUIET_NS * hz / 1e9; now = bench_clock()) {
		const uint32_t n = take(g);
		g->r.received += n;
		if (n > 0)
			last = now;
	}
	__atomic_store_n(&g->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

struct trial_result
trial_run(const struct trial *t, double rate)
{
	static struct generator g;
	pthread_attr_t attr;
	pthread_t thread;
	cpu_set_t set;

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
	while (!__atomic_load_n(&g.done, __ATOMIC_ACQUIRE))
		box_turn();
	pthread_join(thread, NULL);
	box_rings(false);
	return g.r;
}
