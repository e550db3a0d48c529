/* SPDX-License-Identifier: BSD-3-Clause */
/* What an idle peer costs: a plan of N peers with one /32 each, then one more by the operator. */
#include "control/rcu.h"
#include "netmap/store.h"

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

int
main(int argc, char **argv)
{
	uint32_t n = argc > 1 ? (uint32_t)atoi(argv[1]) : 1000000;
	struct plan_instance wg0 = {.name = "wg0"};
	struct plan_peer *peer = calloc(n, sizeof(*peer));
	struct tr_prefix *set = calloc(n, sizeof(*set));
	struct plan p = {.file = "bench", .instance = &wg0, .n_instances = 1, .peer = peer, .n_peers = n};
	char why[256];

	for (uint32_t i = 0; i < n; i++) {
		set[i] = (struct tr_prefix){.addr = {.family = 4, .ip = {100, 64 | i >> 16, i >> 8, i}}, .len = 32};
		memcpy(peer[i].public_key.b, &i, sizeof(i));
		peer[i].allowed = (struct tr_list){1, &set[i]};
	}
	if (netmap_init(n + 10, NULL, why, sizeof(why)))
		return 1;
	double before = resident(), start = ms();
	netmap_provider(&p);
	while (rcu_poll())
		;
	printf("%u peers: taken over in %.0f ms, %.0f bytes each\n", n, ms() - start, (resident() - before) / n);
	start = ms();
	netmap_provider(&p);
	printf("the same plan again: %.0f ms\n", ms() - start);
	struct tr_prefix one = {.addr = {.family = 4, .ip = {10, 1, 1, 1}}, .len = 32};
	struct tr_peer_change c = {.public_key = {[31] = 9}, .add = &one, .n_add = 1};
	start = ms();
	netmap_set(netmap_table("wg0"), &c);
	printf("one more: %.3f ms\n", ms() - start);
	netmap_fini();
	free(peer);
	free(set);
	return 0;
}
