/* SPDX-License-Identifier: BSD-3-Clause */
/* What an idle peer costs: a plan of a million with one /32 each, then one more by the operator. */
#include "bench.h"
#include "netmap/store.h"
#include "runtime/rcu.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static double
ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static double
resident(void)
{
	unsigned long size, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");
	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		exit(1);
	fclose(f);
	return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* How long the control thread's part took. */
static double
take(const struct plan *from, const struct plan *to)
{
	struct plan_diff d;
	struct netmap_take t = {.from = from, .to = to, .diff = &d};

	if (from)
		plan_diff_peers(from, to, &d);
	double start = ms();
	while (!netmap_take(&t, 700000))
		;
	double took = ms() - start;
	if (from)
		plan_diff_free(&d);
	return took;
}

int
main(int argc, char **argv)
{
	const uint32_t n = 1000000;
	struct plan_instance wg0 = {.name = "wg0"};
	struct plan_peer *peer = calloc(n, sizeof(*peer));
	struct tr_prefix *set = calloc(n, sizeof(*set));
	struct plan p = {.file = "bench", .instance = &wg0, .n_instances = 1, .peer = peer, .n_peers = n};
	char why[256];

	bench_init("peers", argc, argv);
	for (uint32_t i = 0; i < n; i++) {
		set[i] = (struct tr_prefix){.addr = {.family = 4, .ip = {100, 64 | i >> 16, i >> 8, i}}, .len = 32};
		memcpy(peer[i].public_key.b, &i, sizeof(i));
		peer[i].allowed = (struct tr_list){1, &set[i]};
	}
	if (netmap_init(n + 10, NULL, why, sizeof(why)))
		return 1;
	netmap_table("wg0"); /* as the engine has it before peers come */
	double before = resident(), start = ms();
	take(NULL, &p);
	while (rcu_poll())
		;
	bench_value("a million peers, taken over in slices", ms() - start, "ms", NULL);
	bench_value("an idle peer's memory", (resident() - before) / n, "bytes", NULL);
	struct plan less = p;
	less.n_peers--;
	start = ms();
	double took = take(&p, &less);
	bench_value("a plan of one less, compared on another thread", ms() - start - took, "ms", NULL);
	bench_value("a plan of one less, taken over", took, "ms", NULL);
	struct tr_prefix one = {.addr = {.family = 4, .ip = {10, 1, 1, 1}}, .len = 32};
	struct tr_peer_change c = {.public_key = {[31] = 9}, .add = &one, .n_add = 1};
	start = ms();
	netmap_set(netmap_table("wg0"), &c);
	bench_value("one more, by the operator", ms() - start, "ms", NULL);
	netmap_fini();
	free(peer);
	free(set);
	return bench_end();
}
